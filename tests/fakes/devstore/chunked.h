/* Text in chunks, as HTTP's transfer coding and aws-chunked both have it: a line with the size in
 * hexadecimal, the bytes, an empty line, … a size of 0, trailers, an empty line.
 */
#ifndef DEVSTORE_CHUNKED_H
#define DEVSTORE_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunked {
    unsigned char state;
    unsigned line_len;
    uint64_t left; /* of the chunk */
    char line[256];
    const char *wrong; /* why it cannot be read any further */
};

void chunked_begin(struct chunked *c);
/* Decode; bytes() gets what stands in the chunks. Returns how much of data belongs to this text:
 * less than n when its end, or an error, was found. */
size_t chunked_feed(struct chunked *c, const char *data, size_t n,
                    void (*bytes)(void *arg, const char *data, size_t n), void *arg);
/* Has the empty line after the trailers come? */
bool chunked_ended(const struct chunked *c);
/* Has the last chunk come? */
bool chunked_has_all(const struct chunked *c);

#endif
