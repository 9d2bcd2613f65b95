/* The door to jansson. What comes in is bounded and has no duplicate keys; what goes out is UTF-8.
 */
#include "base/json.h"

#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_MAX = 4 * 1024 * 1024 };

/* Keys come as JSON, too: what jansson frees is wiped. */
static void wipe_and_free(void *p)
{
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}

/* Before anything of jansson's is made, or it would be freed by another than made it. */
__attribute__((constructor)) static void choose_memory(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

json_t *json_parse(const char *data, size_t n, struct err *e)
{
    if (n > JSON_MAX) {
        (void)err_set(e, RC_LIMIT, "JSON text of %zu bytes is over the limit of %d", n, JSON_MAX);
        return NULL;
    }
    json_error_t error;
    json_t *v = json_loadb(data, n, JSON_REJECT_DUPLICATES, &error);
    if (!v) {
        /* jansson quotes what it read in its message: hostile bytes, maybe cut in mid-character. */
        struct buf text;
        buf_init(&text, 4 * sizeof error.text);
        utf8_escape(&text, error.text, strlen(error.text));
        (void)err_set(e, RC_INVALID, "line %d, column %d: %s", error.line, error.column, text.data);
        buf_fini(&text);
    }
    return v;
}

/* DEL and U+0080 to U+009F stand for themselves in JSON, and jansson writes them so; but a terminal
 * obeys them, and answers come to one through curl as well as through our commands. */
static int append(const char *data, size_t n, void *arg)
{
    size_t at = 0;
    while (at < n) {
        size_t plain = 0;
        while (at + plain < n && data[at + plain] != 0x7f &&
               !(data[at + plain] == '\xc2' && at + plain + 1 < n &&
                 (unsigned char)data[at + plain + 1] < 0xa0))
            plain++;
        buf_add(arg, data + at, plain);
        at += plain;
        if (at == n)
            break;
        bool del = data[at] == 0x7f;
        buf_addf(arg, "\\u%04X", del ? 0x7fU : (unsigned char)data[at + 1]);
        at += del ? 1 : 2;
    }
    return 0;
}

static void write_value(struct buf *b, const json_t *v, size_t flags)
{
    /* Fails only for what is no JSON value (NULL, a cycle): ours, not the world's. */
    BUG_ON(json_dump_callback(v, append, b, flags | JSON_ENCODE_ANY) != 0);
}

void json_write(struct buf *b, const json_t *v)
{
    write_value(b, v, JSON_COMPACT);
}

void json_write_pretty(struct buf *b, const json_t *v)
{
    write_value(b, v, JSON_INDENT(2));
}

json_t *json_text(const char *s, size_t n)
{
    json_t *v;
    if (utf8_span(s, n) == n) {
        v = json_stringn_nocheck(s, n);
    } else {
        struct buf b;
        buf_init(&b, 4 * n);
        utf8_escape(&b, s, n);
        v = json_stringn_nocheck(b.data, b.len);
        buf_fini(&b);
    }
    BUG_ON(!v);
    return v;
}

const json_t *json_at(const json_t *root, const char *path)
{
    char name[64];
    const json_t *at = root;
    while (at && *path) {
        size_t n = strcspn(path, ".");
        BUG_ON(n >= sizeof name);
        memcpy(name, path, n);
        name[n] = '\0';
        at = json_object_get(at, name);
        path += n + (path[n] == '.');
    }
    return at;
}
