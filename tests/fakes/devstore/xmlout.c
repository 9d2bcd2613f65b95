/* XML for answers. Whatever a client chose (keys, ids) passes through xmlout_text, so no answer
 * can be broken by a hostile name.
 */
#include "tests/fakes/devstore/xmlout.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

void xmlout_begin(struct buf *out)
{
    buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void xmlout_text(struct buf *out, const char *s, size_t n)
{
    bool foreign = utf8_span(s, n) != n;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '&')
            buf_adds(out, "&amp;");
        else if (c == '<')
            buf_adds(out, "&lt;");
        else if (c == '>')
            buf_adds(out, "&gt;");
        else if (c == '"')
            buf_adds(out, "&quot;");
        else if (c == '\r' || c == '\n' || c == '\t')
            buf_addf(out, "&#%u;", (unsigned)c);
        else
            buf_addc(out, c < 0x20 || c == 0x7f || (foreign && c >= 0x80) ? '?' : s[i]);
    }
}

void xmlout_element_n(struct buf *out, const char *name, const char *text, size_t n)
{
    buf_addf(out, "<%s>", name);
    xmlout_text(out, text, n);
    buf_addf(out, "</%s>", name);
}

void xmlout_element(struct buf *out, const char *name, const char *text)
{
    xmlout_element_n(out, name, text, strlen(text));
}

void xmlout_number(struct buf *out, const char *name, uint64_t value)
{
    buf_addf(out, "<%s>%llu</%s>", name, (unsigned long long)value, name);
}

void xmlout_time(struct buf *out, const char *name, int64_t unix_ns)
{
    char text[CLOCK_RFC3339_SIZE];

    clock_rfc3339(text, unix_ns);
    xmlout_element(out, name, text);
}
