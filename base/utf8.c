/* UTF-8 by the table of RFC 3629 section 4 (Unicode 3.9, table 3-7): the second byte's range
 * depends on the first, all later ones are 80..BF. */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* The length of the valid sequence at s (1..4), or 0. */
static size_t sequence(const uint8_t *s, size_t n)
{
    uint8_t first = s[0], low = 0x80, high = 0xbf;
    size_t len;
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0) {
        len = 2;
    } else if (first < 0xf0) {
        len = 3;
        if (first == 0xe0)
            low = 0xa0; /* shorter ones are overlong */
        if (first == 0xed)
            high = 0x9f; /* above are surrogates */
    } else if (first < 0xf5) {
        len = 4;
        if (first == 0xf0)
            low = 0x90;
        if (first == 0xf4)
            high = 0x8f; /* above is past U+10FFFF */
    } else {
        return 0;
    }
    if (n < len || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return len;
}

size_t utf8_span(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        /* Nearly all of what we see is ASCII. */
        if (n - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                i += sizeof eight;
                continue;
            }
        }
        size_t len = sequence(p + i, n - i);
        if (len == 0)
            return i;
        i += len;
    }
    return n;
}

/* Is there a control character in the valid sequence at p? */
static bool is_control(const uint8_t *p)
{
    return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

size_t utf8_find_control(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && i + 1 < n && p[i + 1] < 0xa0))
            return i;
    return n;
}

void utf8_escape(struct buf *b, const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t plain = 0; /* start of what can go out as it is */
    for (size_t i = 0; i < n;) {
        size_t len = sequence(p + i, n - i);
        if (len > 0 && p[i] != '\\' && !is_control(p + i)) {
            i += len;
            continue;
        }
        buf_add(b, s + plain, i - plain);
        if (p[i] == '\n')
            buf_adds(b, "\\n");
        else if (p[i] == '\t')
            buf_adds(b, "\\t");
        else if (p[i] == '\\')
            buf_adds(b, "\\\\");
        else if (len == 2)
            buf_addf(b, "\\x%02x\\x%02x", p[i], p[i + 1]);
        else
            buf_addf(b, "\\x%02x", p[i]);
        i += len ? len : 1;
        plain = i;
    }
    buf_add(b, s + plain, n - plain);
}
