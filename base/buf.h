/* A growing byte buffer with a maximum chosen when it is made.
 *
 * Appending past the maximum sets `overflow` and appends nothing more, so a
 * builder runs to its end and the result is checked once.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NUL-terminated always, never NULL after init ("" while empty) */
    size_t len; /* bytes, the NUL not counted */
    size_t cap;
    size_t max; /* largest len */
    bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empty it and clear overflow; keeps the memory. */
void buf_reset(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Shorten to len (BUG if longer than now). */
void buf_cut(struct buf *b, size_t len);
/* Hand the bytes over; the caller frees. *b is empty and usable afterwards. */
char *buf_take(struct buf *b);

#endif
