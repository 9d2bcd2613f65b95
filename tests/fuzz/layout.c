/* A template, a prefix, patterns to ignore and a path, a line each: what matches is a path below
 * the root and a key that S3 takes. */
#include "spool/layout.h"

#include "spool/beneath.h"
#include "tests/fuzz/fuzz.h"

static void check_span(struct layout_span s, size_t n)
{
    BUG_ON(s.at > n || s.n > n - s.at);
}

/* The same path from its fields. */
static void check_back(const struct layout *l, const char *path, size_t n,
                       const struct layout_match *m)
{
    struct buf again;
    char *fields[4];
    const struct layout_span spans[4] = {m->event_type, m->date, m->account, m->file};
    for (int i = 0; i < 4; i++)
        fields[i] = mem_strndup(path + spans[i].at, spans[i].n);
    buf_init(&again, 2 * LAYOUT_KEY_MAX);
    layout_path(l, fields[0], fields[1], fields[2], fields[3], &again);
    BUG_ON(again.len != n || memcmp(again.data, path, n) != 0);
    buf_fini(&again);
    for (int i = 0; i < 4; i++)
        free(fields[i]);
}

static void check_match(const struct layout *l, const char *path, size_t n)
{
    struct layout_match m;
    struct buf key;
    struct err e = {0};
    enum rc rc = layout_match(l, path, n, &m, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
        BUG_ON(rc != RC_INVALID || e.code[0] == '\0');
        return;
    }
    check_span(m.event_type, n);
    check_span(m.date, n);
    check_span(m.account, n);
    check_span(m.file, n);
    char *text = mem_strndup(path, n);
    BUG_ON(strlen(text) != n || !beneath_is_path(text));
    free(text);
    buf_init(&key, 4096);
    layout_key(l, path, n, &key);
    BUG_ON(key.overflow || key.len > LAYOUT_KEY_MAX || key.len < n);
    BUG_ON(memcmp(key.data + key.len - n, path, n) != 0);
    fuzz_is_safe(key.data);
    buf_fini(&key);
    if (!layout_is_any(l))
        check_back(l, path, n, &m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    char *template = fuzz_text(&in, '\n'), *prefix = fuzz_text(&in, '\n');
    char *pattern = fuzz_text(&in, '\n');
    struct layout *l = NULL;
    struct err e = {0};
    char *path = fuzz_take(&in, in.n, &n);
    enum rc rc = layout_new(template, prefix, &l, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
    } else {
        size_t len;
        unsigned depth = layout_date_depth(l);
        for (unsigned i = 1; i <= depth; i++)
            (void)layout_literal(l, i, &len);
        check_match(l, path, n);
    }
    layout_free(l);
    char *name = mem_strndup(path, n < 255 ? n : 255);
    const char *patterns[] = {pattern};
    (void)layout_ignored(&(struct layout_ignore){patterns, strlen(pattern) < 256 ? 1 : 0}, name);
    free(name);
    free(path);
    free(template);
    free(prefix);
    free(pattern);
    return 0;
}
