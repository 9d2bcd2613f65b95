/* The spool root: open and locked (P10), and whether its path still leads there. Somebody may
 * rename it, make it anew, mount something over it, unmount it or take `.spoolgate` away while the
 * gateway runs; the guard sees it, and takes what is there now as soon as it can be taken.
 */
#ifndef GATEWAY_ROOT_H
#define GATEWAY_ROOT_H

#include "base/loop.h"
#include "base/rc.h"

#include <stdbool.h>

struct root {
    int fd, lock; /* -1: not open */
};
/* Opens the directory, makes `.spoolgate` in it and takes its lock. RC_ABSENT, RC_DENIED; RC_AGAIN:
 * another gateway has it. On failure both are -1. */
enum rc root_take(const char *path, struct root *out, struct err *e) MUST_CHECK;
void root_close(struct root *r); /* the lock goes with it */

struct root_guard;
struct root_guard_cfg {
    struct loop *loop;
    const char *path; /* copied */
    unsigned period_ms;
    /* The path leads elsewhere or nowhere, and what is there cannot be taken: why, as a sentence
     * that says that it is tried again. Told each period; NULL: it is as it should be again. */
    void (*trouble)(void *arg, const char *why);
    /* What is there now, open and locked; the caller's now. The guard rests until root_guard_watch.
     */
    void (*replaced)(void *arg, const struct root *other);
    void *arg;
};
struct root_guard *root_guard_new(const struct root_guard_cfg *cfg);
/* Look after this one, every period; it must stay open. */
void root_guard_watch(struct root_guard *g, const struct root *held);
void root_guard_free(struct root_guard *g); /* waits for a look that is under way */

#endif
