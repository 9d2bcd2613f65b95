/* A growing byte buffer with a maximum. Once `overflow` is set nothing more is added, so what is
 * there is always a prefix of what was meant. An empty buffer owns no memory. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an empty buffer's data points at; cap 0 says that it is not ours to write or free. */
static char empty[1];

void buf_init(struct buf *b, size_t max)
{
    BUG_ON(max > SIZE_MAX / 4);
    *b = (struct buf){.data = empty, .max = max};
}

void buf_fini(struct buf *b)
{
    if (b->cap > 0)
        free(b->data);
    *b = (struct buf){.data = empty, .max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->cap > 0)
        b->data[0] = '\0';
}

/* Room for n more bytes and the NUL, or overflow. */
static bool reserve(struct buf *b, size_t n)
{
    if (b->overflow || n > b->max - b->len) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap * 2 : 64;
    if (cap > b->max + 1)
        cap = b->max + 1;
    if (cap < need)
        cap = need;
    b->data = mem_resize(b->cap ? b->data : NULL, cap, 1);
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, fmt, args);
    BUG_ON(n < 0);
    if ((size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
    } else if (reserve(b, (size_t)n)) {
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void buf_cut(struct buf *b, size_t len)
{
    BUG_ON(len > b->len);
    b->len = len;
    if (b->cap > 0)
        b->data[len] = '\0';
}

char *buf_take(struct buf *b)
{
    char *data = b->cap ? b->data : mem_alloc(1);
    *b = (struct buf){.data = empty, .max = b->max};
    return data;
}
