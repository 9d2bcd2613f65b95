/* What the fuzz targets share. A target may not crash, and what it says of its input must hold: a
 * claim that does not is a BUG_ON, which the fuzzer reports as it does a crash.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/mem.h"
#include "base/rc.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The input, taken from its begin on. */
struct fuzz_input {
    const char *p;
    size_t n;
};

static inline struct fuzz_input fuzz_begin(const uint8_t *data, size_t n)
{
    return (struct fuzz_input){.p = (const char *)data, .n = n};
}

/* The next byte; 0 behind the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return (uint8_t)*in->p++;
}

/* The next n bytes, or fewer at the end: a copy of just that size, so that the sanitizer sees a
 * read past it. The caller frees. */
static inline char *fuzz_take(struct fuzz_input *in, size_t n, size_t *got)
{
    *got = n < in->n ? n : in->n;
    char *copy = mem_resize(NULL, *got ? *got : 1, 1);
    if (*got)
        memcpy(copy, in->p, *got);
    in->p += *got;
    in->n -= *got;
    return copy;
}

/* The text up to the next `stop` (which is passed over) or to the end, cut at a NUL, terminated by
 * one. The caller frees. */
static inline char *fuzz_text(struct fuzz_input *in, char stop)
{
    const char *end = in->n ? memchr(in->p, stop, in->n) : NULL;
    size_t len = end ? (size_t)(end - in->p) : in->n;
    char *text = mem_strndup(in->p, len);
    in->p += len + (end ? 1 : 0);
    in->n -= len + (end ? 1 : 0);
    return text;
}

/* Text that goes to a terminal, a log or the journal: UTF-8 without control characters. */
static inline void fuzz_is_safe(const char *text)
{
    size_t n = strlen(text);
    BUG_ON(utf8_span(text, n) != n);
    BUG_ON(utf8_find_control(text, n) != n);
}

/* A failure says why in a sentence that may be shown. */
static inline void fuzz_is_told(enum rc rc, const struct err *e)
{
    BUG_ON(rc == RC_OK || e->rc != rc || e->text[0] == '\0');
    fuzz_is_safe(e->text);
}

#endif
