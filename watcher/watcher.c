/* The watcher as a whole: see watcher.h. It joins the tree, the settle table and the scans, and is
 * the only place where candidates are told: in watcher_pump and watcher_found, never from inside a
 * call that came from outside, so that a caller may answer at once or later. */
#include "watcher/watcher_int.h"

#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t watcher_now(const struct watcher *w)
{
    return loop_now_ms(w->cfg.loop);
}

void watcher_trouble(struct watcher *w, const char *code, const char *fmt, ...)
{
    char text[2048 + 512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    w->cfg.trouble(w->cfg.arg, code, text);
}

static void canary_trouble(void *arg, const char *text)
{
    struct watcher *w = arg;
    w->cfg.trouble(w->cfg.arg, "canary", text);
}

/* The poll that waits for events, on the present instance. */
static void poll_events(struct watcher *w)
{
    loop_poll_free(w->poll);
    w->poll = NULL;
    if (inotify_fd(w->inotify) < 0)
        return;
    w->poll = loop_poll_new(w->cfg.loop, inotify_fd(w->inotify), events_ready, w);
    loop_poll_set(w->poll, LOOP_READ);
}

/* Whatever it is that keeps events from us, a new instance has none of it. */
static void on_silent(void *arg)
{
    struct watcher *w = arg;
    struct err e;
    loop_poll_free(w->poll);
    w->poll = NULL;
    enum rc rc = inotify_reopen(w->inotify, &e);
    poll_events(w);
    w->probe_overflows = UINT64_MAX; /* of what the probes on their way ask, events were lost */
    canary_reopened(w->canary);
    w->reopened += rc == RC_OK;
    if (rc == RC_OK)
        watcher_trouble(w, "reopened",
                        "inotify told nothing any more: it was opened anew, and all directories "
                        "are scanned");
    else
        watcher_trouble(w, "instances", "%s; until then all directories are polled", e.text);
    patrol_reopened(w);
    watcher_pump(w);
}

/* ---- telling ---- */

bool watcher_has_room(const struct watcher *w)
{
    return w->settle.out < w->cfg.window;
}

static void tell(struct watcher *w, const struct settle_entry *e)
{
    /* The answer may come from inside the call, and end the entry. */
    char path[PATH_MAX];
    size_t n = e->path_len;
    BUG_ON(n >= sizeof path);
    memcpy(path, e->path, n + 1);
    w->cfg.candidate(w->cfg.arg, path, n, (enum watcher_trust)e->trust,
                     (enum watcher_source)e->source);
}

bool watcher_found(struct watcher *w, struct tree_node *dir, const char *path, size_t n,
                   enum watcher_source source, bool unsure)
{
    struct settle_entry *e = settle_found(&w->settle, dir, path, n, source, watcher_now(w));
    if (!e)
        return false;
    if (unsure)
        settle_unsure(&w->settle, e);
    tell(w, e);
    return true;
}

void watcher_came_whole(struct watcher *w, struct tree_node *dir)
{
    struct tree_node *top = habit_whole(dir);
    if (!top || w->settle.unsure == 0)
        return;
    /* In this directory and those beside it, not further away: these files are there already, many
     * perhaps, and were promised to be left alone for `settle`. */
    struct tree_node *node = top == dir ? dir : dir->parent->child;
    for (struct tree_node *next; node; node = next) {
        next = top == dir ? NULL : node->next;
        if (habit_is_whole(node))
            settle_sure(&w->settle, node, WATCHER_FRESH_MS, watcher_now(w));
    }
}

/* One timer for all that is to be done without an event: the earliest file that is due, or now. */
static void arm(struct watcher *w, bool now)
{
    uint64_t at_ms = watcher_has_room(w) ? settle_due_ms(&w->settle) : UINT64_MAX;
    uint64_t now_ms = watcher_now(w);
    if (now || at_ms < now_ms)
        at_ms = now_ms;
    if (at_ms == w->armed_ms)
        return;
    w->armed_ms = at_ms;
    if (at_ms == UINT64_MAX)
        loop_timer_clear(w->due);
    else
        loop_timer_set(w->due, at_ms - now_ms);
}

void watcher_pump(struct watcher *w)
{
    const struct settle_entry *e;
    if (w->pumping || w->closing)
        return;
    w->pumping = true;
    while (watcher_has_room(w) && (e = settle_take(&w->settle, watcher_now(w))))
        tell(w, e);
    walk_step(w);
    while (watcher_has_room(w) && (e = settle_take(&w->settle, watcher_now(w))))
        tell(w, e);
    events_probe(w);
    patrol_sooner(w);
    w->pumping = false;
    arm(w, w->walk.fresh.head != NULL);
}

static void due(void *arg)
{
    struct watcher *w = arg;
    w->armed_ms = UINT64_MAX;
    watcher_pump(w);
}

/* Somebody called from outside: go on when the loop turns. */
static void pump_soon(struct watcher *w)
{
    if (!w->pumping)
        arm(w, true);
}

/* ---- from outside ---- */

void watcher_answer(struct watcher *w, const char *path, size_t n, enum watcher_verdict v,
                    uint64_t wait_ms)
{
    struct settle_entry *e = settle_find(&w->settle, path, n);
    BUG_ON(!e || e->state != SETTLE_OUT);
    struct tree_node *dir = e->dir; /* NULL: when it is there again, it is scanned */
    struct tree_node *unsure = v != WATCHER_DONE && e->unsure ? dir : NULL;
    if (!settle_answer(&w->settle, e, v, wait_ms, watcher_now(w)) && dir)
        patrol_later(w, dir);
    if (unsure && habit_is_whole(unsure)) /* it was learnt meanwhile */
        settle_sure(&w->settle, unsure, WATCHER_FRESH_MS, watcher_now(w));
    pump_soon(w);
}

void watcher_look(struct watcher *w, const char *path, size_t n, uint64_t wait_ms)
{
    struct tree_node *dir = tree_dir_of(&w->tree, path, n);
    if (!settle_look(&w->settle, dir, path, n, wait_ms, watcher_now(w)))
        walk_dirty(w, dir ? dir : w->tree.root);
    pump_soon(w);
}

void watcher_rescan(struct watcher *w)
{
    patrol_rescan(w, true, false);
    pump_soon(w);
}

void watcher_stats(const struct watcher *w, struct watcher_stats *out)
{
    *out = (struct watcher_stats){
        .events = w->events,
        .overflows = w->overflows,
        .rescans = w->rescans,
        .drift = w->drift,
        .directories = w->tree.nodes,
        .watches = w->tree.watches,
        .settling = w->settle.n - w->settle.out,
        .outstanding = w->settle.out,
        .polled_directories = w->tree.flagged[__builtin_ctz(TREE_POLLED)],
        .denied_directories = w->tree.flagged[__builtin_ctz(TREE_DENIED)],
        .later_directories = w->tree.flagged[__builtin_ctz(TREE_LATER)],
        .root_gone = w->root_told,
        .canary_last_ms = canary_last_ms(w->canary),
        .canary_late = canary_late(w->canary),
        .canary_grounded = canary_grounded(w->canary),
        .reopened = w->reopened,
        .unwatched = inotify_fd(w->inotify) < 0,
        .scanning_start = w->scanning_start,
    };
    for (size_t i = 0; i < WATCHER_READERS; i++)
        out->scans_running += w->walk.readers[i].phase != WALK_IDLE;
}

static void row_of(const struct settle_entry *e, struct watcher_row *row)
{
    *row = (struct watcher_row){
        .path = e->path, .since_ms = e->since_ms, .why = settle_why(e), .stuck = e->stuck};
}

void watcher_each(const struct watcher *w, bool (*visit)(void *arg, const struct watcher_row *row),
                  void *arg)
{
    const struct hash *h = &w->settle.by_path;
    for (size_t i = 0; i < h->slot_count; i++) {
        for (struct hash_link *l = h->slots[i]; l; l = l->next) {
            const struct settle_entry *e = HASH_OWNER(l, struct settle_entry, by_path);
            struct watcher_row row;
            row_of(e, &row);
            if (!e->tmp_name && !visit(arg, &row))
                return;
        }
    }
}

bool watcher_find(const struct watcher *w, const char *path, size_t n, struct watcher_row *row)
{
    const struct settle_entry *e = settle_find(&w->settle, path, n);
    if (!e || e->tmp_name)
        return false;
    row_of(e, row);
    return true;
}

/* ---- life ---- */

enum rc watcher_new(const struct watcher_cfg *cfg, struct watcher **out, struct err *e)
{
    struct inotify *in;
    enum rc rc = inotify_new(&in, e);
    if (rc != RC_OK)
        return rc;
    struct watcher *w = mem_alloc(sizeof *w);
    w->cfg = *cfg;
    w->inotify = in;
    w->armed_ms = UINT64_MAX;
    tree_init(&w->tree);
    settle_init(&w->settle, cfg->settle_ms, cfg->table_max);
    w->prober = (struct prober){
        .loop = cfg->loop, .root_fd = cfg->root_fd, .done = events_probed, .arg = w};
    prober_init(&w->prober);
    w->due = loop_timer_new(cfg->loop, due, w);
    walk_init(w);
    rc = walk_begin(w, e);
    if (rc != RC_OK) {
        watcher_free(w);
        return rc;
    }
    poll_events(w);
    if (cfg->canary_ms) {
        w->canary = canary_new(&(struct canary_cfg){.loop = cfg->loop,
                                                    .inotify = in,
                                                    .root_fd = cfg->root_fd,
                                                    .period_ms = cfg->canary_ms,
                                                    .trouble = canary_trouble,
                                                    .silent = on_silent,
                                                    .arg = w});
    }
    pump_soon(w);
    *out = w;
    return RC_OK;
}

void watcher_free(struct watcher *w)
{
    if (!w)
        return;
    w->closing = true;
    loop_poll_free(w->poll);
    loop_timer_free(w->due);
    walk_stop(w);
    canary_stop(w->canary);
    while (walk_busy(w) || w->prober.busy || canary_busy(w->canary))
        loop_step(w->cfg.loop, true);
    canary_free(w->canary);
    prober_fini(&w->prober);
    settle_fini(&w->settle);
    walk_fini(w);
    tree_fini(&w->tree);
    inotify_free(w->inotify);
    free(w);
}
