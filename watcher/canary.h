/* The canary: a small file goes through inotify every period, and its CLOSE_WRITE must come back.
 * It proves that events arrive at all. It lives in .spoolgate/canary/, whose watch is its own.
 */
#ifndef WATCHER_CANARY_H
#define WATCHER_CANARY_H

#include "base/loop.h"
#include "watcher/inotify.h"

struct canary_cfg {
    struct loop *loop;
    struct inotify *inotify;
    int root_fd;
    uint64_t period_ms;
    /* It came late, or cannot be written; and once more when it is back. */
    void (*trouble)(void *arg, const char *text);
    /* It was written and did not come back for two periods: inotify does not tell. Once a period,
     * before the next one flies; canary_reopened may be called from inside. */
    void (*silent)(void *arg);
    void *arg;
};
struct canary;
/* The first one flies at once. */
struct canary *canary_new(const struct canary_cfg *cfg);
/* Removes its file; not while canary_busy. */
void canary_free(struct canary *c);
bool canary_busy(const struct canary *c);
void canary_stop(struct canary *c); /* no new one; what is under way ends by itself */
/* Is this its directory's event? It is dealt with then. */
bool canary_event(struct canary *c, const struct inotify_seen *seen);
void canary_reopened(struct canary *c); /* all watches are gone */
uint64_t canary_last_ms(const struct canary *c);
bool canary_late(const struct canary *c);
bool canary_grounded(const struct canary *c); /* it could not be written when last tried */

#endif
