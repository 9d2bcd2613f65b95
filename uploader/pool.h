/* The uploader threads: each with its own loop, curl handle, connections and memory. Files go in by
 * batches, outcomes come back by batches on the main loop. With one thread the same code runs.
 */
#ifndef UPLOADER_POOL_H
#define UPLOADER_POOL_H

#include "uploader/transfer.h"

#define POOL_THREADS_MAX 16

struct pool_cfg {
    struct loop *loop;        /* the main one: callbacks run there */
    unsigned threads;         /* 1..POOL_THREADS_MAX */
    unsigned connections;     /* and requests at once, of all threads together: see pool_allow */
    unsigned company_percent; /* of a processor: when each thread that works needs as much,
                                 another one joins them; 0: all of them work from the start */
    struct transfer_cfg transfer; /* copied; strings are copied too */
    struct endpoint endpoint;
    struct http_cfg http; /* with a limit of bytes a second one thread does all of it */
    /* In the order in which things ended in one thread. Valid during the call; `file` may be
     * shared. */
    void (*done)(void *arg, const struct transfer_outcome *o);
    void (*progress)(void *arg, const struct transfer_progress *p);
    bool records; /* pool_recorded is called for each part that progress told of */
    void *arg;
};

struct pool_stats {
    unsigned in_flight, working; /* files; threads */
    struct http_stats http;
    int64_t clock_offset_s;
};

struct pool;
enum rc pool_new(const struct pool_cfg *cfg, struct pool **out, struct err *e) MUST_CHECK;
/* Cancels what is under way (its done is not called any more), joins the threads. Not from `done`.
 */
void pool_free(struct pool *p);
/* No more than so many requests at once from now on, parts and all, 1 to `connections`, which is
 * what it begins with. Divided among the threads that work, which are never more; what is under way
 * goes on, so that there may be more for a moment after this or after another thread has joined. */
void pool_allow(struct pool *p, unsigned requests);
/* Takes the job; to the thread with the least to do. One thread works alone while it keeps up: what
 * wakes two of them wakes one for twice as much. A thread works on as many files as its share of
 * the requests; more of them wait in it, so that it never waits for the main thread. Handed over
 * in batches: call pool_flush after the last one of a round (pool hands over by itself before the
 * main loop waits). */
void pool_submit(struct pool *p, struct transfer_job *job);
void pool_flush(struct pool *p);
/* A part that this worker's progress told of is recorded, or will never be: transfer_progress's
 * `worker`. Until then it counts as under way. */
void pool_recorded(struct pool *p, unsigned worker);
/* For requests that start from now on. */
void pool_set_credentials(struct pool *p, struct credentials *c); /* takes a reference of its own */
void pool_set_endpoint(struct pool *p, const struct endpoint *ep);
/* Ask for all that is under way to end as TRANSFER_CANCELLED (done is called). */
void pool_cancel_all(struct pool *p);
void pool_stats(const struct pool *p, struct pool_stats *out);
/* Adds what its threads have counted since it was made. */
void pool_tally(const struct pool *p, struct tally *sum);

#endif
