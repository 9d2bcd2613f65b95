/* Rescans, and the polling of what cannot be watched: see watcher_int.h.
 *
 * One rescan runs at a time; requests meanwhile become one more after it, so none that lost events
 * is content with directories read before they were lost. The slow one, and polling, go through the
 * paced queue; the others through the prompt one. */
#include "watcher/watcher_int.h"

#include <sys/stat.h>

enum { TICK_MIN_MS = 250, TICK_MAX_MS = 5000, LATER_MS = 300000, SOON_MS = 1000 };

static uint64_t tick_ms(const struct watcher *w)
{
    uint64_t ms = w->cfg.settle_ms;
    return ms < TICK_MIN_MS ? TICK_MIN_MS : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
}

static size_t flagged(const struct watcher *w, enum tree_flag flag)
{
    return w->tree.flagged[__builtin_ctz(flag)];
}

void patrol_need_tick(struct watcher *w)
{
    if (!w->closing && !loop_timer_is_set(w->walk.tick))
        loop_timer_set(w->walk.tick, tick_ms(w));
}

/* ---- the root ---- */

void patrol_check_root(struct watcher *w)
{
    struct stat named, opened;
    bool was_told = w->root_told;
    w->root_told = fstat(w->cfg.root_fd, &opened) != 0 || opened.st_nlink == 0 ||
                   stat(w->cfg.root, &named) != 0 || named.st_dev != opened.st_dev ||
                   named.st_ino != opened.st_ino;
    if (w->root_told && !was_told)
        watcher_trouble(w, "root",
                        "the spool root %s was removed, moved, replaced or unmounted: put it back",
                        w->cfg.root);
    else if (was_told && !w->root_told)
        watcher_trouble(w, "root", "the spool root %s is back", w->cfg.root);
}

/* ---- rescans ---- */

static void rescan_start(struct watcher *w)
{
    struct walk *k = &w->walk;
    k->wanted = false;
    k->rescanning = true;
    k->told_name = false;
    k->counts_drift = k->wanted_drift;
    k->is_slow = k->wanted_slow;
    w->rescans++;
    loop_timer_clear(k->next);
    patrol_check_root(w);
    tree_set(&w->tree, w->tree.root, TREE_RESCAN);
    walk_enqueue(w, walk_queue_for(w, w->tree.root), w->tree.root);
}

void patrol_rescan(struct watcher *w, bool counts_drift, bool slow)
{
    struct walk *k = &w->walk;
    k->wanted_drift = counts_drift && (!k->wanted || k->wanted_drift);
    k->wanted_slow = slow && (!k->wanted || k->wanted_slow);
    k->wanted = true;
    if (!counts_drift)
        k->counts_drift = false; /* events were lost: what the running one finds is explained */
    if (!slow)
        k->is_slow = false;
}

void patrol_reopened(struct watcher *w)
{
    struct tree_node *root = w->tree.root;
    for (struct tree_node *node = root; node; node = tree_next(root, node))
        tree_set_wd(&w->tree, node, -1);
    patrol_rescan(w, true, false);
    patrol_need_tick(w);
}

static void next_rescan(void *arg)
{
    struct watcher *w = arg;
    patrol_rescan(w, true, true);
    watcher_pump(w);
}

void patrol_step(struct watcher *w)
{
    struct walk *k = &w->walk;
    bool was_busy = w->scanning_start || k->rescanning;
    if (w->scanning_start && flagged(w, TREE_STARTUP) == 0)
        w->scanning_start = false;
    if (k->rescanning && flagged(w, TREE_RESCAN) == 0)
        k->rescanning = false;
    if (w->scanning_start || k->rescanning)
        return;
    if (k->wanted)
        rescan_start(w);
    else if (was_busy && w->cfg.rescan_ms)
        loop_timer_set(k->next, w->cfg.rescan_ms);
}

/* ---- directories without a watch, and those whose files found no room ---- */

static uint64_t power_of_two_over(uint64_t n)
{
    uint64_t power = 8192; /* the kernel's own smallest default */
    while (power < n)
        power *= 2;
    return power;
}

static void tell_polled(struct watcher *w)
{
    struct walk *k = &w->walk;
    size_t polled = flagged(w, TREE_POLLED);
    bool changed = (polled == 0) != (k->told_polled == 0) || polled > k->told_polled * 2;
    if (!changed || w->scanning_start)
        return;
    k->told_polled = polled;
    if (polled == 0) {
        watcher_trouble(w, "watches", "all %zu directories are watched again", w->tree.nodes);
        return;
    }
    struct inotify_bound bound = inotify_bound_watches();
    uint64_t needed = w->tree.watches + polled + 1;
    if (inotify_fd(w->inotify) < 0)
        return; /* the reason is another, and was told */
    watcher_trouble(w, "watches",
                    "%s is %llu, %llu are needed here: sysctl -w %s=%llu; until then %zu "
                    "directories are polled",
                    bound.sysctl, (unsigned long long)bound.limit, (unsigned long long)needed,
                    bound.sysctl, (unsigned long long)power_of_two_over(bound.limit + needed * 2),
                    polled);
}

static void tick(void *arg)
{
    struct watcher *w = arg;
    struct tree_node *root = w->tree.root;
    tell_polled(w);
    if (flagged(w, TREE_POLLED) + flagged(w, TREE_DIRTY) == 0)
        return;
    for (struct tree_node *node = root; node; node = tree_next(root, node)) {
        if (node->flags & TREE_DIRTY) {
            if (w->settle.n >= w->settle.max)
                continue;
            tree_clear(&w->tree, node, TREE_DIRTY);
            tree_set(&w->tree, node, TREE_EXCUSED);
            walk_enqueue(w, &w->walk.slow, node);
        } else if ((node->flags & TREE_POLLED) && !(node->flags & (TREE_SCANNING | TREE_LATER))) {
            /* One that is LATER would bring all that were dropped, each time. */
            walk_enqueue(w, &w->walk.slow, node);
        }
    }
    patrol_need_tick(w);
    watcher_pump(w);
}

/* At once they would only take each other's place in the settle table. */
void patrol_later(struct watcher *w, struct tree_node *node)
{
    tree_set(&w->tree, node, TREE_LATER);
    if (!w->closing && !loop_timer_is_set(w->walk.later))
        loop_timer_set(w->walk.later, LATER_MS);
}

/* What kept them out may have ended for them as well: the rights are right now. No sooner than in a
 * moment, and no more often: the next time it takes many that are stuck anew. */
void patrol_sooner(struct watcher *w)
{
    if (w->walk.is_soon || flagged(w, TREE_LATER) == 0 || !settle_takes_stuck(&w->settle))
        return;
    w->walk.is_soon = true;
    loop_timer_set(w->walk.later, SOON_MS);
}

static void later(void *arg)
{
    struct watcher *w = arg;
    struct tree_node *root = w->tree.root;
    w->walk.is_soon = false;
    if (flagged(w, TREE_LATER) == 0)
        return;
    for (struct tree_node *node = root; node; node = tree_next(root, node)) {
        if (!(node->flags & TREE_LATER))
            continue;
        tree_clear(&w->tree, node, TREE_LATER);
        tree_set(&w->tree, node, TREE_EXCUSED);
        walk_enqueue(w, &w->walk.slow, node);
    }
    watcher_pump(w);
}

void patrol_init(struct watcher *w)
{
    w->walk.later = loop_timer_new(w->cfg.loop, later, w);
    w->walk.tick = loop_timer_new(w->cfg.loop, tick, w);
    w->walk.next = loop_timer_new(w->cfg.loop, next_rescan, w);
}

void patrol_stop(struct watcher *w)
{
    loop_timer_free(w->walk.tick);
    loop_timer_free(w->walk.next);
    loop_timer_free(w->walk.later);
    w->walk.tick = w->walk.next = w->walk.later = NULL;
}
