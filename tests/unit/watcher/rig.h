/* A watcher on a temporary directory, and what it told: for the tests of this folder. */
#ifndef TESTS_UNIT_WATCHER_RIG_H
#define TESTS_UNIT_WATCHER_RIG_H

#include "base/loop.h"
#include "watcher/hash.h"
#include "watcher/watcher.h"

#include <stdbool.h>
#include <stddef.h>

enum { RIG_PATIENCE_MS = 30000 }; /* for what must happen; a busy machine takes its time */

struct told {
    struct hash_link by_path;
    size_t at; /* in told */
    char *path;
    enum watcher_trust trust;
    enum watcher_source source;
    bool answered;
};
struct rig {
    struct loop *loop;
    struct watcher *w;
    struct watcher_cfg cfg;
    int root_fd;
    char root[64];
    struct told **told; /* in the order of telling */
    struct hash by_path;
    size_t told_n, told_cap;
    size_t most_outstanding;   /* by our own count */
    size_t outstanding, twice; /* twice: told while it was out */
    char trouble[4096];        /* "code: text\n", all of them */
    /* How to answer: DONE from inside the call unless told otherwise. */
    bool hold;            /* no answer: the test does */
    unsigned again_first; /* AGAIN with again_ms so many times a path, then DONE */
    uint64_t again_ms;
    bool known_after; /* what was DONE is known from then on */
};
/* settle 100 ms, no slow rescan, no canary; change rig->cfg between the two. */
void rig_init(struct rig *r);
void rig_start(struct rig *r);
void rig_fini(struct rig *r); /* removes the directory */

/* Turn the loop until cond() holds, or fail after ms. */
bool rig_until(struct rig *r, bool (*cond)(struct rig *r, const void *arg), const void *arg,
               unsigned ms);
bool rig_told(struct rig *r, const char *path);              /* until this was told at least once */
bool rig_more(struct rig *r, size_t n);                      /* until more than n were told */
bool rig_counted(struct rig *r, const char *path, size_t n); /* until it was told so often */
bool rig_troubled(struct rig *r, const char *text);          /* until this was said */
size_t rig_count(const struct rig *r, const char *path);
const struct told *rig_last(const struct rig *r, const char *path);
bool rig_scanned(struct rig *r);           /* until nothing is scanned, queued or out any more */
void rig_turn(struct rig *r, unsigned ms); /* just let time go by */
void rig_answer(struct rig *r, const char *path, enum watcher_verdict v, uint64_t wait_ms);

/* In the root. */
void rig_mkdirs(const struct rig *r, const char *path);
void rig_write(const struct rig *r, const char *path, const char *text);
void rig_rename(const struct rig *r, const char *from, const char *to);
void rig_arrive(const struct rig *r, const char *path); /* written beside it as .tmp, and renamed */
/* Set the times of a file back. */
void rig_age(const struct rig *r, const char *path, unsigned seconds);

#endif
