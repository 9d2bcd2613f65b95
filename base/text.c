/* See text.h. */
#include "base/text.h"

#include "base/rc.h"

#include <string.h>

void text_copy(char *to, size_t size, const char *from)
{
    BUG_ON(size == 0);
    size_t n = from ? strnlen(from, size) : 0;
    if (n == size) {
        n--;
        while (n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80)
            n--;
    }
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

void text_mask_controls(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p != '\0'; p++) {
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* U+0080 to U+009F */
            *p++ = '?';
        else if (*p >= ' ' && *p != 0x7f)
            continue;
        *p = '?';
    }
}
