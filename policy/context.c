/* Context keys: looked up, and what is not known is noted once, in words that may be shown. */
#include "policy/context.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool context_same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0; /* the program never sets a locale: ASCII only */
}

const struct context_key *context_find(const struct context *c, const char *name)
{
    static const struct context_key unknown = {.name = "", .kind = CONTEXT_UNKNOWN};
    static const struct context_key absent = {.name = "", .kind = CONTEXT_ABSENT};
    for (size_t i = c->n; i > 0; i--) {
        if (context_same_name(c->keys[i - 1].name, name))
            return &c->keys[i - 1];
    }
    return c->complete ? &absent : &unknown;
}

const char *context_show(char *out, size_t size, const char *s)
{
    struct buf shown;
    size_t n = strlen(s);
    bool whole = true;
    buf_init(&shown, size - sizeof "…");
    for (;;) {
        buf_reset(&shown);
        utf8_escape(&shown, s, n);
        if (!shown.overflow)
            break;
        whole = false;
        n = n > size ? size : n - 1;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    }
    (void)snprintf(out, size, "%s%s", shown.data, whole ? "" : "…");
    buf_fini(&shown);
    return out;
}

void context_note(struct context_unknown *u, const char *kind, const char *name)
{
    char shown[112];
    if (u->what[0] == '\0')
        (void)snprintf(u->what, sizeof u->what, "%.40s %s", kind,
                       context_show(shown, sizeof shown, name));
}
