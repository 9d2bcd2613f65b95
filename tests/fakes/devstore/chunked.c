/* Decoding chunks, a piece at a time; nothing but one line is kept. Trailers and what follows a
 * chunk's size (aws-chunked: its signature) are read over.
 */
#include "tests/fakes/devstore/chunked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the next byte stands. */
enum { CHUNK_LINE, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF, CHUNK_TRAILER, CHUNK_DONE };

void chunked_begin(struct chunked *c)
{
    c->state = CHUNK_LINE;
    c->line_len = 0;
    c->left = 0;
    c->wrong = NULL;
}

bool chunked_ended(const struct chunked *c)
{
    return c->state == CHUNK_DONE;
}

bool chunked_has_all(const struct chunked *c)
{
    return c->state == CHUNK_DONE || c->state == CHUNK_TRAILER;
}

/* "400;chunk-signature=…" or a trailer's line is complete. */
static void end_line(struct chunked *c)
{
    char *end;

    c->line[c->line_len] = '\0';
    if (c->state == CHUNK_TRAILER) {
        if (c->line_len == 0)
            c->state = CHUNK_DONE;
    } else {
        errno = 0;
        c->left = strtoull(c->line, &end, 16);
        if (end == c->line || (*end != ';' && *end != '\0') || errno != 0 || c->line[0] == '-')
            c->wrong = "a chunk's size is no hexadecimal number";
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
    }
    c->line_len = 0;
}

static void line_byte(struct chunked *c, char byte)
{
    if (byte == '\n') {
        if (c->line_len > 0 && c->line[c->line_len - 1] == '\r')
            c->line_len--;
        end_line(c);
    } else if (c->line_len + 1 < sizeof c->line) {
        c->line[c->line_len++] = byte;
    } else {
        c->wrong = "a chunk's header is too long";
    }
}

size_t chunked_feed(struct chunked *c, const char *data, size_t n,
                    void (*bytes)(void *arg, const char *data, size_t n), void *arg)
{
    size_t at = 0;

    while (at < n && c->wrong == NULL && c->state != CHUNK_DONE) {
        size_t taken = 1;
        switch (c->state) {
        case CHUNK_DATA:
            taken = n - at < c->left ? n - at : (size_t)c->left;
            bytes(arg, data + at, taken);
            c->left -= taken;
            if (c->left == 0)
                c->state = CHUNK_DATA_CR;
            break;
        case CHUNK_DATA_CR:
        case CHUNK_DATA_LF:
            if (data[at] != (c->state == CHUNK_DATA_CR ? '\r' : '\n'))
                c->wrong = "a chunk does not end where its size says";
            c->state = c->state == CHUNK_DATA_CR ? CHUNK_DATA_LF : CHUNK_LINE;
            break;
        default:
            line_byte(c, data[at]);
            break;
        }
        at += taken;
    }
    return at;
}
