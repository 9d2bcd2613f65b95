/* A page of the files that the gateway knows of, in whatever state: for the lists and for the verbs
 * that choose their files. A page is bounded by what is looked at and by its bytes, not only by
 * what matches, so it may be short or empty and yet not the last.
 */
#ifndef GATEWAY_LISTING_H
#define GATEWAY_LISTING_H

#include "gateway/pipeline.h"

#define LISTING_CURSOR_SIZE 2112

/* Sets of states. */
enum {
    LISTING_SETTLING = 1,
    LISTING_SENDING = 2,
    LISTING_DEFERRED = 4,
    LISTING_ACCEPTED = 8,
    LISTING_HELD = 16, /* also accepted ones whose event type does not go out */
    LISTING_DELIVERED = 32,
    LISTING_FORGOTTEN = 64,
    LISTING_REJECTED = 128,
    LISTING_ALL = 255,
};
/* 0: there is no such state. */
unsigned listing_state(const char *name);

struct listing_row {
    const char *path, *why, *code; /* code: "" if none */
    const char *state_name;
    unsigned state;
    bool paused;      /* held with its event type, not by itself */
    bool stranded;    /* rejected, and in the spool still */
    int64_t size;     /* -1: not known */
    int64_t since_ns; /* 0: not known */
};

struct listing_query {
    unsigned states;
    const char *match; /* NULL: all; copied */
    bool whole; /* match must be the whole path, as a pattern or as it is; else also a part */
    const char *cursor; /* "": the first page; copied */
    size_t limit;
};

/* Called once, possibly before listing_start returns. cursor: "" after the last page. RC_INVALID: a
 * wrong cursor; RC_AGAIN: too many lists at once. */
typedef void listing_done(void *arg, enum rc rc, const char *cursor, const struct err *e);
/* row may be called on a pool thread, and touches nothing but what arg owns. */
void listing_start(struct pipeline *p, const struct listing_query *q,
                   void (*row)(void *arg, const struct listing_row *row), listing_done *done,
                   void *arg);

#endif
