/* What an event means: see watcher.h for the rules and settle.h for the states.
 *
 * Nothing is told from here; the caller pumps when a batch has been dealt with, so that a CREATE
 * whose CLOSE_WRITE is in the same batch is never probed. */
#include "watcher/watcher_int.h"

enum { TMP_MISSED_MAX = sizeof((struct watcher *)0)->tmp_missed / sizeof(uint64_t) };

/* "#<inode>", as the kernel names what was made with O_TMPFILE. 0: not such a name. */
static uint64_t tmp_inode(const char *name, size_t n)
{
    uint64_t ino = 0;
    if (n < 2 || n > 20 || name[0] != '#')
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(ino, 10, &ino) ||
            __builtin_add_overflow(ino, (uint64_t)(name[i] - '0'), &ino))
            return 0;
    }
    return ino;
}

static void happen(struct watcher *w, struct tree_node *dir, const char *path, size_t n,
                   enum settle_event event)
{
    uint64_t probes = w->settle.probes;
    bool full;
    struct settle_entry *e = settle_happen(&w->settle, dir, path, n, event, watcher_now(w), &full);
    if (full)
        walk_dirty(w, dir);
    else if (e && w->settle.probes != probes)
        prober_add(&w->prober, e->probe, path, n);
}

/* A CLOSE_WRITE named like an inode, that no entry waited for. Most likely there is no such name:
 * the file was linked in whole and its probe is on the way, or it never got a name. But a file may
 * be called like that: then the probe finds it. */
static void tmp_closed(struct watcher *w, struct tree_node *dir, size_t n)
{
    happen(w, dir, w->path, n, SETTLE_APPEARED);
    struct settle_entry *e = settle_find(&w->settle, w->path, n);
    if (e)
        e->tmp_name = true;
}

static void file_event(struct watcher *w, struct tree_node *dir, const struct inotify_seen *seen)
{
    static const enum settle_event events[] = {
        [INOTIFY_CREATE] = SETTLE_APPEARED,  [INOTIFY_CLOSE_WRITE] = SETTLE_CLOSED,
        [INOTIFY_MOVED_TO] = SETTLE_ARRIVED, [INOTIFY_MOVED_FROM] = SETTLE_MOVED_AWAY,
        [INOTIFY_DELETE] = SETTLE_LEFT,
    };
    uint64_t ino = 0;
    /* While a backlog drains, each file that is retired says so here. */
    if ((seen->kind == INOTIFY_MOVED_FROM || seen->kind == INOTIFY_DELETE) && w->settle.n == 0)
        return;
    if (seen->kind == INOTIFY_CLOSE_WRITE)
        ino = tmp_inode(seen->name, seen->name_len);
    if (ino && settle_tmp_closed(&w->settle, ino, watcher_now(w)))
        return;
    if (ino) {
        if (w->tmp_missed_n < TMP_MISSED_MAX)
            w->tmp_missed[w->tmp_missed_n] = ino;
        w->tmp_missed_n += w->tmp_missed_n <= TMP_MISSED_MAX;
    }
    if (w->cfg.ignored(w->cfg.arg, seen->name))
        return;
    if (seen->name_len > NAME_MAX) {
        if (seen->kind != INOTIFY_MOVED_FROM && seen->kind != INOTIFY_DELETE)
            denied_name(w, dir, "file", seen->name_len);
        return;
    }
    size_t n = tree_path(dir, seen->name, seen->name_len, w->path, sizeof w->path);
    if (n == 0)
        return; /* deeper than any path can lead: its directory was told as not readable */
    if (seen->kind == INOTIFY_MOVED_TO)
        watcher_came_whole(w, dir);
    else if (seen->kind == INOTIFY_CLOSE_WRITE && !ino)
        habit_in_place(dir);
    if (ino && !settle_find(&w->settle, w->path, n))
        tmp_closed(w, dir, n);
    else
        happen(w, dir, w->path, n, events[seen->kind]);
}

static void dir_event(struct watcher *w, struct tree_node *parent, const struct inotify_seen *seen)
{
    struct tree_node *node;
    if (seen->name[0] == '.')
        return;
    switch (seen->kind) {
    case INOTIFY_CREATE:
    case INOTIFY_MOVED_TO:
        walk_arrived(w, parent, seen->name, seen->name_len, seen->kind == INOTIFY_CREATE);
        break;
    case INOTIFY_MOVED_FROM:
    case INOTIFY_DELETE:
        node = tree_child(&w->tree, parent, seen->name, seen->name_len);
        if (!node)
            break;
        walk_drop(w, node);
        /* Of two that changed names each is told at its new name first, and then as gone from it:
         * look whether there is one. */
        if (seen->kind == INOTIFY_MOVED_FROM)
            walk_arrived(w, parent, seen->name, seen->name_len, false);
        break;
    default:
        break;
    }
}

static void tell(void *arg, const struct inotify_seen *seen)
{
    struct watcher *w = arg;
    w->events++;
    if (seen->kind == INOTIFY_OVERFLOW) {
        w->overflows++;
        watcher_trouble(w, "overflow",
                        "more happened than inotify's queue holds, fs.inotify.max_queued_events is "
                        "%llu: all directories are scanned again",
                        (unsigned long long)inotify_limit("max_queued_events"));
        patrol_rescan(w, false, false);
        return;
    }
    if (canary_event(w->canary, seen))
        return;
    struct tree_node *node = tree_by_wd(&w->tree, seen->wd);
    if (!node)
        return; /* of a watch dropped since */
    switch (seen->kind) {
    case INOTIFY_DELETE_SELF:
    case INOTIFY_IGNORED:
        if (node == w->tree.root)
            patrol_check_root(w);
        if (seen->kind == INOTIFY_IGNORED)
            walk_lost(w, node);
        else
            walk_drop(w, node);
        break;
    case INOTIFY_MOVE_SELF:
        /* Of others their parent's MOVED_FROM told already. */
        if (node == w->tree.root)
            patrol_check_root(w);
        break;
    default:
        if (seen->name_len == 0)
            break;
        if (seen->is_dir)
            dir_event(w, node, seen);
        else
            file_event(w, node, seen);
    }
}

void events_drain(struct watcher *w)
{
    /* As much as was there at the start: a producer that never rests must not keep us here. */
    size_t queued = inotify_queued(w->inotify);
    for (size_t n, done = 0; done < queued; done += n) {
        n = inotify_read(w->inotify, tell, w);
        if (n == 0)
            break;
    }
}

void events_ready(void *arg, int events)
{
    struct watcher *w = arg;
    (void)events;
    (void)inotify_read(w->inotify, tell, w);
    watcher_pump(w);
}

/* ---- probes ---- */

static struct settle_entry *probed_entry(struct watcher *w, const struct probe *probe)
{
    struct settle_entry *e = settle_find(&w->settle, probe->path, probe->path_len);
    return e && e->state == SETTLE_CREATED && e->probe == probe->number ? e : NULL;
}

static bool wanted(void *arg, const struct probe *probe)
{
    return probed_entry(arg, probe) != NULL;
}

void events_probe(struct watcher *w)
{
    if (w->prober.busy)
        return;
    w->tmp_missed_n = 0;
    w->probe_overflows = w->overflows;
    prober_go(&w->prober, wanted);
}

/* There was a writer when it was asked: its close is still to come, unless it came meanwhile. */
static void apply_writer(struct watcher *w, const struct probe *probe)
{
    struct settle_entry *e = probed_entry(w, probe);
    if (!e)
        return;
    settle_writer(&w->settle, e, probe->ino, watcher_now(w));
    for (size_t i = 0; i < w->tmp_missed_n && i < TMP_MISSED_MAX; i++) {
        if (w->tmp_missed[i] == probe->ino)
            (void)settle_tmp_closed(&w->settle, probe->ino, watcher_now(w));
    }
    /* Perhaps it was among those that were not kept: ask again. */
    if (w->tmp_missed_n > TMP_MISSED_MAX && e->state == SETTLE_WRITING)
        happen(w, e->dir, probe->path, probe->path_len, SETTLE_APPEARED);
}

static void apply_other(struct watcher *w, const struct probe *probe)
{
    struct settle_entry *e = probed_entry(w, probe);
    uint64_t now_ms = watcher_now(w);
    if (!e)
        return;
    switch (probe->answer) {
    case PROBE_WHOLE:
        /* Written in place and closed would have told so before the writer was counted off, and
         * that event has been read by now; unless events were lost. */
        if (w->overflows != w->probe_overflows) {
            settle_quiet(&w->settle, e, now_ms);
        } else {
            watcher_came_whole(w, e->dir);
            settle_whole(&w->settle, e, now_ms);
        }
        break;
    case PROBE_OTHER:
        settle_whole(&w->settle, e, now_ms);
        break;
    case PROBE_EMPTY:
    case PROBE_UNKNOWN:
        settle_quiet(&w->settle, e, now_ms);
        break;
    case PROBE_GONE:
        settle_drop(&w->settle, e);
        break;
    case PROBE_WRITER:
        break; /* dealt with */
    }
}

void events_probed(void *arg, const struct probe *probes, size_t n)
{
    struct watcher *w = arg;
    if (w->closing)
        return;
    /* Writers first: their closes, which may be queued, are matched by the inode learnt here. */
    for (size_t i = 0; i < n; i++) {
        if (probes[i].answer == PROBE_WRITER)
            apply_writer(w, &probes[i]);
    }
    events_drain(w);
    for (size_t i = 0; i < n; i++)
        apply_other(w, &probes[i]);
    watcher_pump(w);
}
