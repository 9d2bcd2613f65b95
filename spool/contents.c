/* The check of a whole file, in pieces that stay in the processor's cache.
 *
 * A line break stands between two lines only, since within a string it is a fault. So a file is
 * right if both its halves are, cut after any line break. The second half's thread says no more
 * than yes: after a no the first half's check, which has counted the lines, goes on through the
 * second half and finds the fault as if nobody had looked before. */
#include "spool/contents.h"

#include "base/mem.h"
#include "spool/ndjson.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 128 * 1024 };

struct file {
    const struct fsio *fs;
    int fd;
    uint64_t size;
};

struct half {
    const struct file *file;
    uint64_t start;   /* it goes to the file's end */
    atomic_bool idle; /* its result is of no use any more */
    bool good;
    pthread_t thread;
};

/* Feed a range of the file to the check; nothing more once *idle (NULL: never). */
static enum rc feed(const struct file *f, uint64_t at, uint64_t end, struct ndjson *v,
                    const atomic_bool *idle, struct err *e)
{
    size_t cap = end - at < PIECE ? (size_t)(end - at) : PIECE;
    char *piece = mem_resize(NULL, cap + 1, 1);
    enum rc rc = RC_OK;
    while (rc == RC_OK && at < end && !(idle && atomic_load(idle))) {
        size_t got, want = end - at < cap ? (size_t)(end - at) : cap;
        rc = fsio_read_full(f->fs, f->fd, piece, want, at, &got, e);
        if (rc == RC_OK && got == 0)
            break; /* it became shorter */
        if (rc == RC_OK)
            rc = ndjson_feed(v, piece, got, e);
        at += got;
    }
    free(piece);
    return rc;
}

/* The beginning of a line near the middle; 0: it has none close by. */
static uint64_t find_middle(const struct file *f)
{
    uint64_t at = f->size / 2;
    size_t got;
    char *piece = mem_resize(NULL, PIECE, 1);
    const char *line_break = NULL;
    if (fsio_read_full(f->fs, f->fd, piece, PIECE, at, &got, NULL) == RC_OK)
        line_break = memchr(piece, '\n', got);
    at = line_break ? at + (uint64_t)(line_break - piece) + 1 : 0;
    free(piece);
    return at;
}

static void *check_half(void *arg)
{
    struct half *h = arg;
    struct ndjson v;
    ndjson_init(&v);
    h->good = feed(h->file, h->start, h->file->size, &v, &h->idle, NULL) == RC_OK &&
              ndjson_finish(&v, NULL) == RC_OK;
    return NULL;
}

enum rc contents_check(const struct fsio *fs, int fd, uint64_t size, struct err *e)
{
    const struct file f = {.fs = fs, .fd = fd, .size = size};
    struct half second = {.file = &f};
    struct ndjson v;
    enum rc rc = RC_OK;
    ndjson_init(&v);
    if (size >= CONTENTS_HALVES_MIN)
        second.start = find_middle(&f);
    /* Without a second thread this one does it all. */
    if (second.start > 0 && pthread_create(&second.thread, NULL, check_half, &second) == 0) {
        rc = feed(&f, 0, second.start, &v, NULL, e);
        if (rc != RC_OK)
            atomic_store(&second.idle, true);
        BUG_ON(pthread_join(second.thread, NULL) != 0);
        if (rc == RC_OK && second.good)
            return RC_OK;
    } else {
        second.start = 0;
    }
    if (rc == RC_OK)
        rc = feed(&f, second.start, size, &v, NULL, e);
    if (rc == RC_OK)
        rc = ndjson_finish(&v, e);
    return rc;
}
