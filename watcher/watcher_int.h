/* The inside of the watcher, for watcher.c, events.c, walk.c, denied.c, patrol.c and
 * the tests of this folder. */
#ifndef WATCHER_WATCHER_INT_H
#define WATCHER_WATCHER_INT_H

#include "watcher/canary.h"
#include "watcher/habit.h"
#include "watcher/inotify.h"
#include "watcher/probe.h"
#include "watcher/scan.h"
#include "watcher/settle.h"
#include "watcher/tree.h"
#include "watcher/watcher.h"

#include <limits.h>

enum {
    WATCHER_READERS = 2,  /* directories are read by as many pool threads; others have work too */
    WATCHER_PACE_MS = 10, /* the rest between two turns of a reader with slow work */
    WATCHER_FRESH_MS =
        2 /* of quiet, before a file in a new directory is taken as its neighbours are */
};

enum walk_phase {
    WALK_IDLE,
    WALK_READY,   /* has directories to read, or to read on */
    WALK_READING, /* on a pool thread */
    WALK_READ     /* what was read is being dealt with, as far as the window allows */
};
struct walk_reader {
    struct scan scan; /* the tags are nodes, pinned */
    struct watcher *w;
    enum walk_phase phase;
    bool slow;
    size_t part, at; /* WALK_READ: how far */
};
struct walk {
    struct walk_reader readers[WATCHER_READERS];
    struct scan spot;                      /* for new directories, read on the spot */
    struct tree_queue fresh, prompt, slow; /* made just now; to be scanned; paced */
    struct loop_timer *pace, *tick, *next; /* next: the slow rescan */
    struct loop_timer *later;              /* set while a directory is LATER */
    bool is_soon;                          /* it is set to a moment */
    uint64_t slow_at_ms;                   /* no slow turn before */
    bool rescanning, wanted;               /* a rescan runs; another one is to follow */
    bool counts_drift, is_slow;            /* the running one */
    bool wanted_drift, wanted_slow;        /* the one that follows */
    bool told_name;                        /* a name is too long, and that was told */
    size_t told_polled;                    /* directories without a watch when that was told last */
};

struct watcher {
    struct watcher_cfg cfg;
    struct inotify *inotify;
    struct loop_poll *poll;
    struct loop_timer *due;
    uint64_t armed_ms; /* what `due` is set to; UINT64_MAX: not set */
    struct tree tree;
    struct settle settle;
    struct prober prober;
    struct canary *canary;
    struct walk walk;
    uint64_t events, overflows, rescans, drift, reopened;
    /* overflows when the probes on their way were asked; another number if events were lost since
     */
    uint64_t probe_overflows;
    /* "#<inode>" closed that nobody waited for, since the probes on their way were asked; with n
     * over the size some are not kept. */
    uint64_t tmp_missed[32];
    size_t tmp_missed_n;
    bool scanning_start, root_told, pumping, closing;
    char path[PATH_MAX];
};

/* ---- watcher.c ---- */
void watcher_pump(struct watcher *w); /* tell what is due, go on scanning, set the timers */
void watcher_trouble(struct watcher *w, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Tell a file that a scan found. `unsure`: in a directory made just now, where it is not known how
 * files come. False: the table has no room for it. */
bool watcher_found(struct watcher *w, struct tree_node *dir, const char *path, size_t n,
                   enum watcher_source source, bool unsure);
/* A file came whole into dir: a habit (habit.h), which those that are unsure may be judged by. */
void watcher_came_whole(struct watcher *w, struct tree_node *dir);
bool watcher_has_room(const struct watcher *w); /* in the window */
uint64_t watcher_now(const struct watcher *w);

/* ---- events.c: events, and the probes they ask for ---- */
void events_ready(void *arg, int events);
void events_drain(struct watcher *w); /* deal with all that is queued now; tells nothing yet */
void events_probe(struct watcher *w); /* ask the probes that are still wanted */
void events_probed(void *arg, const struct probe *probes, size_t n);

/* ---- walk.c: directories, their watches and their scans ---- */
void walk_init(struct watcher *w);
enum rc walk_begin(struct watcher *w, struct err *e) MUST_CHECK; /* watch the root, queue it */
bool walk_busy(const struct watcher *w);
void walk_stop(struct watcher *w); /* the timers; no new scans */
void walk_fini(struct watcher *w);
/* A directory came. `made`: by mkdir, so that it has little in it; else moved here. */
void walk_arrived(struct watcher *w, struct tree_node *parent, const char *name, size_t name_len,
                  bool made);
void walk_drop(struct watcher *w, struct tree_node *node); /* with all below; the root stays */
void walk_lost(struct watcher *w, struct tree_node *node); /* the kernel took its watch */
void walk_dirty(struct watcher *w, struct tree_node *node);
void walk_step(struct watcher *w);
/* Have it scanned; once more if that is being done. */
void walk_enqueue(struct watcher *w, struct tree_queue *q, struct tree_node *node);
struct tree_queue *walk_queue_for(struct watcher *w, const struct tree_node *node);

/* ---- denied.c: telling of what cannot be watched and read ---- */
void denied_tell(struct watcher *w, struct tree_node *node, int error); /* an errno */
/* The name of a "file" or "directory" is longer than NAME_MAX. */
void denied_name(struct watcher *w, const struct tree_node *parent, const char *what,
                 size_t name_len);

/* ---- patrol.c: rescans, and the polling of directories that cannot be watched ---- */
void patrol_init(struct watcher *w);
void patrol_stop(struct watcher *w);
/* Asks for a rescan; one that runs is followed by one more. */
void patrol_rescan(struct watcher *w, bool counts_drift, bool slow);
void patrol_step(struct watcher *w);       /* ends and begins rescans */
void patrol_need_tick(struct watcher *w);  /* a directory is POLLED or DIRTY */
void patrol_check_root(struct watcher *w); /* does its path still lead to it? */
void patrol_reopened(struct watcher *w);   /* all watches are gone: rescan, and watch anew */
/* Files of it were dropped from the settle table: have it scanned in some minutes. */
void patrol_later(struct watcher *w, struct tree_node *node);
void patrol_sooner(struct watcher *w); /* or at once, if there is room again for such files */

#endif
