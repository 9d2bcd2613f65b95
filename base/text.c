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
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            *s = '?';
    }
}
