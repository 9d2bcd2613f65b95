/* Names that have just appeared: does somebody write the file, was it linked in whole, is it no
 * file at all? Asked on a pool thread, many at a time.
 */
#ifndef WATCHER_PROBE_H
#define WATCHER_PROBE_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum probe_answer {
    PROBE_WHOLE, /* a regular file with bytes in it, and no writer */
    PROBE_EMPTY, /* no writer, and no bytes: perhaps its writer is between creating and opening it
                  */
    PROBE_WRITER,
    PROBE_UNKNOWN, /* whether there is a writer cannot be told */
    PROBE_OTHER,   /* no regular file */
    PROBE_GONE     /* not there, or a directory */
};
struct probe {
    uint64_t number; /* the caller's */
    char *path;      /* below the root; owned */
    size_t path_len;
    enum probe_answer answer;
    uint64_t ino; /* with PROBE_WRITER */
};
/* Gathers probes, and asks them in batches, one batch at a time. */
struct prober {
    struct loop *loop;
    int root_fd;
    void (*done)(void *arg, const struct probe *probes, size_t n);
    void *arg;
    struct probe *waiting, *asked; /* asked: on a pool thread while busy */
    size_t waiting_n, waiting_cap, asked_n;
    bool busy;
};
void prober_init(struct prober *p);
void prober_fini(struct prober *p); /* not while busy */
void prober_add(struct prober *p, uint64_t number, const char *path, size_t path_len);
/* Ask what has been gathered, unless a batch is under way: then that one's end starts the next.
 * Those for which wanted() says no are left out. */
void prober_go(struct prober *p, bool (*wanted)(void *arg, const struct probe *probe));
/* One, here and now. */
void probe_ask(int root_fd, struct probe *probe);

#endif
