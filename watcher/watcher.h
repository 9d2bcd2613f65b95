/* Which files are finished: inotify on every directory under the root, scans, the settle rules, the
 * canary. It names candidates; admission looks at them and answers. It knows no journal: whether a
 * path is in someone's care already is asked through a callback.
 *
 * No file is missed: a directory is watched before it is scanned; an overflow, a failed watch or a
 * directory that could not be read leads to one coalesced rescan; a slow rescan proves all that.
 * Everything here runs on the loop's thread; directories are read on pool threads.
 */
#ifndef WATCHER_WATCHER_H
#define WATCHER_WATCHER_H

#include "base/loop.h"
#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum watcher_trust {
    WATCHER_MOVED, /* moved or linked in: came whole */
    WATCHER_QUIET  /* written in place and quiet for `settle`, or found by a scan */
};
enum watcher_source { WATCHER_EVENT, WATCHER_STARTUP_SCAN, WATCHER_RESCAN };

struct watcher_cfg {
    struct loop *loop;
    int root_fd;      /* borrowed */
    const char *root; /* its path, for messages and for inotify */
    uint64_t settle_ms;
    uint64_t rescan_ms; /* the slow rescan; 0: none */
    uint64_t canary_ms; /* 60 000; 0: none. The canary is .spoolgate/canary/<n> */
    size_t window;    /* candidates unanswered at most; scans wait, events are kept in the table */
    size_t table_max; /* files in the settle table at most (65 536); past it their directory is
                         marked for a rescan instead */
    /* Names that are not looked at (the last component). */
    bool (*ignored)(void *arg, const char *name);
    /* Is it in someone's care already? Asked for each file of a scan. */
    bool (*known)(void *arg, const char *path, size_t n);
    /* Look at this file and answer with watcher_answer, soon, once. path is valid during the call.
     */
    void (*candidate)(void *arg, const char *path, size_t n, enum watcher_trust trust,
                      enum watcher_source source);
    /* A state of the whole changed: overflow, watches used up, root gone, canary silent. For the
     * log and for status. */
    void (*trouble)(void *arg, const char *code, const char *text);
    void *arg;
};

enum watcher_verdict {
    WATCHER_DONE,  /* taken care of: accepted, rejected, gone */
    WATCHER_AGAIN, /* not finished: look again after wait_ms, or when it is closed */
    /* The same, but somebody has to do something about it first, so that it may stay for ever. The
     * settle table keeps table_max / 4 of these; the others come again with the next rescan,
     * after five minutes, or when half of those that it keeps have ended. */
    WATCHER_STUCK
};

struct watcher_stats {
    uint64_t events, overflows, rescans, scans_running, directories, watches;
    uint64_t drift; /* files that a rescan found and no event had told of */
    uint64_t settling, outstanding, polled_directories;
    uint64_t denied_directories; /* that cannot be read now: what is in them is not known */
    uint64_t later_directories;  /* files of them are STUCK and not kept: see there */
    bool root_gone;              /* its path leads elsewhere or nowhere */
    uint64_t canary_last_ms;     /* loop time of the last canary that came back; 0: none yet */
    uint64_t reopened;           /* times that inotify was opened anew, since it told nothing */
    bool canary_late;            /* two minutes without */
    bool canary_grounded;        /* it cannot be written, so that it proves nothing */
    bool unwatched;              /* no inotify instance: all directories are polled */
    bool scanning_start;         /* the first scan is not finished */
};

struct watcher;
/* Starts watching and the first scan. RC_DENIED, RC_ABSENT (root), RC_AGAIN (no inotify instance:
 * names the sysctl). */
enum rc watcher_new(const struct watcher_cfg *cfg, struct watcher **out, struct err *e) MUST_CHECK;
void watcher_free(struct watcher *w); /* waits for scans under way */
/* The answer to a candidate, from inside its call or later; BUG if the path is not out. Candidates
 * are told from the loop's callbacks only, never from inside this or any other call here. */
void watcher_answer(struct watcher *w, const char *path, size_t n, enum watcher_verdict v,
                    uint64_t wait_ms);
/* Someone knows that this file needs a look (it came back, it changed while it was sent). */
void watcher_look(struct watcher *w, const char *path, size_t n, uint64_t wait_ms);
void watcher_rescan(struct watcher *w); /* now; coalesced */
void watcher_stats(const struct watcher *w, struct watcher_stats *out);
/* The settle table, for `ls`: in no order, until visit returns false. */
struct watcher_row {
    const char *path;
    uint64_t since_ms; /* loop time it was first seen */
    const char *why;   /* "being written", "waiting to be quiet", "being looked at" */
    bool stuck;        /* WATCHER_STUCK was the last answer, and nothing has happened to it since */
};
void watcher_each(const struct watcher *w, bool (*visit)(void *arg, const struct watcher_row *row),
                  void *arg);
bool watcher_find(const struct watcher *w, const char *path, size_t n, struct watcher_row *row);

#endif
