/* Walking the directories: see watcher_int.h.
 *
 * A directory is watched before it is read, through the same descriptor, so a file is either in
 * what is read or tells of itself. Before names that were read are dealt with, the events queued by
 * then are: what an event told is not told again by the scan, and is no drift. Reading stops while
 * the window is full. */
#include "watcher/watcher_int.h"

#include "base/clock.h"
#include "base/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
    SPOT_MAX = 512,       /* directories read on the spot in one go */
    DRIFT_GRACE_MS = 2000 /* past `settle`: younger files may have their events under way */
};

/* ---- queues ---- */

void walk_enqueue(struct watcher *w, struct tree_queue *q, struct tree_node *node)
{
    if (node->flags & TREE_SCANNING)
        tree_set(&w->tree, node, TREE_AGAIN);
    else if (!(node->flags & TREE_QUEUED))
        tree_queue_push(&w->tree, q, node);
}

struct tree_queue *walk_queue_for(struct watcher *w, const struct tree_node *node)
{
    bool slow = (node->flags & TREE_RESCAN) && w->walk.is_slow;
    return slow ? &w->walk.slow : &w->walk.prompt;
}

void walk_dirty(struct watcher *w, struct tree_node *node)
{
    if (!node)
        return;
    tree_set(&w->tree, node, TREE_DIRTY);
    patrol_need_tick(w);
}

/* ---- the tree ---- */

static void unwatch(struct watcher *w, struct tree_node *node)
{
    if (node->wd >= 0)
        inotify_unwatch(w->inotify, node->wd);
    tree_set_wd(&w->tree, node, -1);
}

void walk_drop(struct watcher *w, struct tree_node *node)
{
    if (node == w->tree.root)
        return;
    for (struct tree_node *gone = NULL; gone != node;) {
        gone = tree_deepest(node);
        unwatch(w, gone);
        settle_drop_dir(&w->settle, gone);
        tree_remove(&w->tree, gone);
    }
}

void walk_lost(struct watcher *w, struct tree_node *node)
{
    tree_set_wd(&w->tree, node, -1);
    /* Removed, and its parent's event told or will tell; or unmounted, and the directory below the
     * mount point is there again. */
    walk_dirty(w, node->parent ? node->parent : node); /* the root may be there still */
    walk_drop(w, node);
}

/* A directory whose name was read or told: NULL if it is to be left out. Some file systems allow
 * longer names than the rest of us can deal with. */
static struct tree_node *add(struct watcher *w, struct tree_node *parent, const char *name,
                             size_t name_len)
{
    if (name_len <= NAME_MAX)
        return tree_add(&w->tree, parent, name, name_len);
    denied_name(w, parent, "directory", name_len);
    return NULL;
}

/* Of what a rescan is about to find below here, events are telling just now. */
static void excuse(struct watcher *w, struct tree_node *top)
{
    for (struct tree_node *node = top; node; node = tree_next(top, node))
        tree_set(&w->tree, node, TREE_EXCUSED);
}

void walk_arrived(struct watcher *w, struct tree_node *parent, const char *name, size_t name_len,
                  bool made)
{
    struct tree_node *node = tree_child(&w->tree, parent, name, name_len);
    bool queued = node && (node->flags & TREE_QUEUED) && !(node->flags & TREE_RESCAN);
    if (node && made && (node->wd >= 0 || queued)) {
        /* A scan was faster. Had that been another directory of this name, its removal would have
         * been told before this. */
        node->seen = parent->scan_id;
        if (node->flags & TREE_RESCAN)
            excuse(w, node);
        return;
    }
    if (node)
        walk_drop(w, node); /* moved over, or never watched */
    node = add(w, parent, name, name_len);
    if (!node)
        return;
    walk_enqueue(w, made ? &w->walk.fresh : &w->walk.prompt, node);
}

/* ---- entering a directory: open it, watch it ---- */

static bool is_to_be_read(struct tree_node *top)
{
    for (struct tree_node *node = top; node; node = tree_next(top, node)) {
        if (node->flags & (TREE_QUEUED | TREE_SCANNING))
            return true;
    }
    return false;
}

/* The kernel gives one watch an inode, so another node that holds this one is out of date (moved,
 * not yet told), or the same directory is mounted twice. One that is to be read stays: another
 * directory has its name by now, perhaps, and it gets that one's watch when it is entered. KNOWN:
 * of two places where one directory is mounted one is watched at a time; rescans read both. */
static bool take_over(struct watcher *w, struct tree_node *node, int wd)
{
    struct tree_node *holder = tree_by_wd(&w->tree, wd);
    for (const struct tree_node *up = node; up; up = up->parent) {
        if (up == holder)
            return false; /* mounted below itself */
    }
    if (holder) {
        tree_set_wd(&w->tree, holder, -1);
        if (!is_to_be_read(holder))
            walk_drop(w, holder);
    }
    return true;
}

/* A change of the watch of node, which is open as fd. -errno: it is not to be read. */
static int watch(struct watcher *w, struct tree_node *node, int fd)
{
    int wd = inotify_watch(w->inotify, fd);
    if (wd >= 0 && wd == node->wd)
        return 0;
    unwatch(w, node); /* of what was here before */
    if (wd == -ENOSPC || wd == -ENOMEM) {
        tree_set(&w->tree, node, TREE_POLLED | TREE_EXCUSED);
        patrol_need_tick(w);
        return 0;
    }
    if (wd < 0)
        return wd;
    if (!take_over(w, node, wd))
        return -ELOOP;
    tree_set_wd(&w->tree, node, wd);
    if (node->flags & (TREE_POLLED | TREE_DENIED))
        tree_set(&w->tree, node, TREE_EXCUSED);
    tree_clear(&w->tree, node, TREE_POLLED);
    return 0;
}

/* Open and watch it. The descriptor, or -errno. */
static int enter(struct watcher *w, struct tree_node *node)
{
    const struct fsio *fs = &fsio_system;
    const char *path = ".";
    if (node->parent) {
        if (tree_path(node, "", 0, w->path, sizeof w->path) == 0)
            return -ENAMETOOLONG;
        path = w->path;
    }
    int fd = fs->ops->open_beneath(fs->ctx, w->cfg.root_fd, path,
                                   O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    int result = watch(w, node, fd);
    if (result < 0) {
        (void)fs->ops->close(fs->ctx, fd); /* nothing was written */
        return result;
    }
    return fd;
}

/* ---- a scan, from taking the node (pinned) to its end ---- */

static int scan_begin(struct watcher *w, struct tree_node *node)
{
    tree_set(&w->tree, node, TREE_SCANNING);
    node->scan_id++;
    return enter(w, node);
}

static void drop_unseen(struct watcher *w, struct tree_node *node)
{
    for (struct tree_node *child = node->child, *next; child; child = next) {
        next = child->next;
        if (child->seen != node->scan_id)
            walk_drop(w, child);
    }
}

/* error: an errno, 0 if it was read to its end. Gives the pin back. */
static void scan_end(struct watcher *w, struct tree_node *node, int error)
{
    if (node->flags & TREE_GONE)
        goto out;
    tree_clear(&w->tree, node, TREE_SCANNING);
    if (error == 0) {
        tree_clear(&w->tree, node, TREE_DENIED);
        drop_unseen(w, node);
    } else if (node->parent && (error == ENOENT || error == ENOTDIR || error == ELOOP)) {
        walk_drop(w, node);
        goto out;
    } else {
        denied_tell(w, node, error);
        if (error != EACCES && error != EPERM && error != ENAMETOOLONG)
            walk_dirty(w, node); /* descriptors, memory, the disk: another time, soon */
    }
    if (node->flags & TREE_AGAIN) {
        tree_clear(&w->tree, node, TREE_AGAIN);
        walk_enqueue(w, walk_queue_for(w, node), node);
        goto out;
    }
    tree_clear(&w->tree, node, TREE_STARTUP | TREE_RESCAN | TREE_EXCUSED);
out:
    tree_unpin(node);
}

static void directory_seen(struct watcher *w, struct tree_node *parent,
                           const struct scan_name *found, bool on_spot)
{
    if (found->name[0] == '.')
        return;
    struct tree_node *node = tree_child(&w->tree, parent, found->name, found->len);
    if (node) {
        node->seen = parent->scan_id;
        if ((parent->flags & TREE_RESCAN) && !(node->flags & TREE_RESCAN)) {
            /* Being taken on, since it came: of what is in it nobody could have told. */
            bool is_pending = node->flags & (TREE_QUEUED | TREE_SCANNING);
            tree_set(&w->tree, node, TREE_RESCAN | (is_pending ? TREE_EXCUSED : 0U));
            walk_enqueue(w, walk_queue_for(w, node), node);
        }
        return;
    }
    node = add(w, parent, found->name, found->len);
    if (!node)
        return;
    tree_set(&w->tree, node, parent->flags & (TREE_STARTUP | TREE_RESCAN | TREE_EXCUSED));
    walk_enqueue(w, on_spot ? &w->walk.fresh : walk_queue_for(w, node), node);
}

/* Has it been there for so long that an event must have come? */
static bool is_drift(struct watcher *w, const struct tree_node *dir, const char *path)
{
    const struct fsio *fs = &fsio_system;
    struct file_stat st;
    if (!(dir->flags & TREE_RESCAN) || (dir->flags & (TREE_EXCUSED | TREE_DIRTY | TREE_LATER)) ||
        !w->walk.counts_drift)
        return false;
    int fd = fs->ops->open_beneath(fs->ctx, w->cfg.root_fd, path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return false;
    int result = fs->ops->stat(fs->ctx, fd, "", &st);
    (void)fs->ops->close(fs->ctx, fd); /* O_PATH: there is nothing to lose */
    int64_t grace_ns = (int64_t)(w->cfg.settle_ms + DRIFT_GRACE_MS) * CLOCK_NS_PER_MS;
    int64_t before_ns = clock_wall_now_ns() - grace_ns;
    return result >= 0 && st.id.mtime_ns < before_ns && st.id.ctime_ns < before_ns;
}

static void file_seen(struct watcher *w, struct tree_node *dir, const struct scan_name *found,
                      bool on_spot)
{
    bool by_scan = dir->flags & (TREE_STARTUP | TREE_RESCAN | TREE_POLLED | TREE_EXCUSED);
    if (w->cfg.ignored(w->cfg.arg, found->name))
        return;
    if (found->len > NAME_MAX) {
        denied_name(w, dir, "file", found->len);
        return;
    }
    size_t n = tree_path(dir, found->name, found->len, w->path, sizeof w->path);
    if (n == 0)
        return; /* KNOWN: no call could open it; such a path is four times what a key may be */
    struct settle_entry *e = settle_find(&w->settle, w->path, n);
    if (e) {
        /* Its close may be among the events that were lost. */
        if (e->state == SETTLE_WRITING && (dir->flags & TREE_RESCAN))
            (void)settle_look(&w->settle, dir, w->path, n, w->cfg.settle_ms, watcher_now(w));
        /* It went with its directory while it was looked at, and is back. */
        if (e->state == SETTLE_OUT && e->left)
            (void)settle_look(&w->settle, dir, w->path, n, 0, watcher_now(w));
        return;
    }
    if (w->cfg.known(w->cfg.arg, w->path, n))
        return;
    bool fresh = on_spot && !by_scan;
    if (fresh && habit_is_whole(dir)) {
        if (!settle_fresh(&w->settle, dir, w->path, n, WATCHER_FRESH_MS, watcher_now(w)))
            walk_dirty(w, dir);
        return;
    }
    w->drift += is_drift(w, dir, w->path);
    enum watcher_source source = WATCHER_EVENT;
    if (dir->flags & TREE_STARTUP)
        source = WATCHER_STARTUP_SCAN;
    else if (dir->flags & (TREE_RESCAN | TREE_POLLED | TREE_EXCUSED))
        source = WATCHER_RESCAN;
    if (!watcher_found(w, dir, w->path, n, source, fresh))
        walk_dirty(w, dir);
}

/* Deal with the names of a part from *at on. False: the window is full, *at is where to go on. */
static bool part_seen(struct watcher *w, const struct scan *s, const struct scan_part *p,
                      size_t *at, bool on_spot)
{
    struct tree_node *dir = p->tag;
    struct scan_name found;
    for (;;) {
        size_t next = *at;
        if (dir->flags & TREE_GONE)
            return true;
        if (!scan_next(s, p, &next, &found))
            return true;
        if (found.kind == SCAN_DIRECTORY)
            directory_seen(w, dir, &found, on_spot);
        else if (watcher_has_room(w))
            file_seen(w, dir, &found, on_spot);
        else
            return false;
        *at = next;
    }
}

/* ---- new directories, on the spot ----
 * mkdir's CREATE is followed within microseconds by what goes into the directory. A pool thread
 * would come too late to hear of it by events, and cost more than the reading: what has just been
 * made is in the kernel's cache, and small. */

static void spot_read(struct watcher *w, struct tree_node *node)
{
    struct scan *s = &w->walk.spot;
    int fd = scan_begin(w, node);
    if (fd < 0) {
        scan_end(w, node, -fd);
        return;
    }
    if (!scan_add(s, node, fd))
        bug_found(__FILE__, __LINE__, "the spot is taken");
    scan_read(s);
    events_drain(w);
    const struct scan_part *p = &s->parts[0];
    size_t at = p->begin;
    bool all = part_seen(w, s, p, &at, true);
    int error = p->error;
    if (!all || !p->eof) {
        if (!(node->flags & TREE_GONE) && !error)
            tree_set(&w->tree, node, TREE_AGAIN);
        if (!error)
            error = EAGAIN;
    }
    scan_close(s);
    if (error == EAGAIN && (node->flags & TREE_AGAIN)) {
        /* More than a new directory holds: the readers begin with it anew. */
        tree_clear(&w->tree, node, TREE_AGAIN | TREE_SCANNING);
        walk_enqueue(w, &w->walk.prompt, node);
        tree_unpin(node);
        return;
    }
    scan_end(w, node, error);
}

static void spot_step(struct watcher *w)
{
    struct tree_node *node;
    for (size_t n = 0; n < SPOT_MAX && (node = tree_queue_pop(&w->tree, &w->walk.fresh)); n++) {
        if (watcher_has_room(w)) {
            spot_read(w, node);
        } else {
            walk_enqueue(w, &w->walk.prompt, node);
            tree_unpin(node);
        }
    }
}

/* ---- readers ---- */

static void reader_done(void *arg, struct scan *s)
{
    struct walk_reader *r = arg;
    struct watcher *w = r->w;
    (void)s;
    r->phase = WALK_READ;
    r->part = 0;
    r->at = 0;
    if (w->closing)
        return;
    events_drain(w);
    watcher_pump(w);
}

/* Deal with what was read. False: the window is full. */
static bool reader_deal(struct watcher *w, struct walk_reader *r)
{
    for (; r->part < r->scan.parts_n; r->part++, r->at = 0) {
        struct scan_part *p = &r->scan.parts[r->part];
        size_t at = p->begin + r->at;
        bool all = part_seen(w, &r->scan, p, &at, false);
        r->at = at - p->begin;
        if (!all)
            return false;
        if (p->eof || p->error)
            scan_end(w, p->tag, p->error);
    }
    scan_turn(&r->scan);
    r->phase = r->scan.parts_n ? WALK_READY : WALK_IDLE;
    if (r->slow)
        w->walk.slow_at_ms = watcher_now(w) + WATCHER_PACE_MS;
    return true;
}

static void reader_fill(struct watcher *w, struct walk_reader *r, struct tree_queue *q)
{
    struct tree_node *node;
    while (r->scan.parts_n < SCAN_DIRS && (node = tree_queue_pop(&w->tree, q))) {
        int fd = scan_begin(w, node);
        if (fd < 0)
            scan_end(w, node, -fd);
        else if (!scan_add(&r->scan, node, fd))
            bug_found(__FILE__, __LINE__, "a reader has no room");
    }
    if (r->scan.parts_n)
        r->phase = WALK_READY;
}

static bool slow_is_free(const struct watcher *w)
{
    for (size_t i = 0; i < WATCHER_READERS; i++) {
        if (w->walk.readers[i].slow && w->walk.readers[i].phase != WALK_IDLE)
            return false;
    }
    return true;
}

static bool slow_may_go(struct watcher *w)
{
    uint64_t now_ms = watcher_now(w);
    if (now_ms >= w->walk.slow_at_ms)
        return true;
    if (!loop_timer_is_set(w->walk.pace))
        loop_timer_set(w->walk.pace, w->walk.slow_at_ms - now_ms);
    return false;
}

static void reader_step(struct watcher *w, struct walk_reader *r)
{
    struct walk *k = &w->walk;
    if (r->phase == WALK_READ && !reader_deal(w, r))
        return;
    if (r->phase == WALK_IDLE) {
        r->slow = false;
        reader_fill(w, r, &k->prompt);
        if (r->phase == WALK_IDLE && k->slow.head && slow_is_free(w) && slow_may_go(w)) {
            r->slow = true;
            reader_fill(w, r, &k->slow);
        }
    }
    if (r->phase == WALK_READY && (!r->slow || slow_may_go(w))) {
        r->phase = WALK_READING;
        scan_start(&r->scan, w->cfg.loop);
    }
}

/* ---- as a whole ---- */

static void pace(void *arg)
{
    watcher_pump(arg);
}

void walk_step(struct watcher *w)
{
    spot_step(w);
    for (size_t i = 0; i < WATCHER_READERS; i++)
        reader_step(w, &w->walk.readers[i]);
    patrol_step(w);
    /* That may have begun a rescan: its root waits for a reader that is free now. */
    if (w->walk.prompt.head || w->walk.slow.head) {
        for (size_t i = 0; i < WATCHER_READERS; i++) {
            if (w->walk.readers[i].phase == WALK_IDLE)
                reader_step(w, &w->walk.readers[i]);
        }
    }
}

void walk_init(struct watcher *w)
{
    struct walk *k = &w->walk;
    for (size_t i = 0; i < WATCHER_READERS; i++) {
        k->readers[i].w = w;
        k->readers[i].scan.done = reader_done;
        k->readers[i].scan.arg = &k->readers[i];
    }
    k->pace = loop_timer_new(w->cfg.loop, pace, w);
    patrol_init(w);
}

enum rc walk_begin(struct watcher *w, struct err *e)
{
    struct tree_node *root = w->tree.root;
    int fd = enter(w, root);
    if (fd < 0)
        return err_sys(e, fd, "cannot watch the spool root %s", w->cfg.root);
    (void)fsio_system.ops->close(fsio_system.ctx, fd); /* only to see that it can be done */
    w->scanning_start = true;
    tree_set(&w->tree, root, TREE_STARTUP);
    walk_enqueue(w, &w->walk.prompt, root);
    return RC_OK;
}

bool walk_busy(const struct watcher *w)
{
    for (size_t i = 0; i < WATCHER_READERS; i++) {
        if (w->walk.readers[i].scan.busy)
            return true;
    }
    return false;
}

void walk_stop(struct watcher *w)
{
    loop_timer_free(w->walk.pace);
    w->walk.pace = NULL;
    patrol_stop(w);
}

void walk_fini(struct watcher *w)
{
    struct tree_queue *queues[] = {&w->walk.fresh, &w->walk.prompt, &w->walk.slow};
    struct tree_node *node;
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        while ((node = tree_queue_pop(&w->tree, queues[i])))
            tree_unpin(node);
    }
    for (size_t i = 0; i < WATCHER_READERS; i++) {
        struct scan *s = &w->walk.readers[i].scan;
        /* Those before `part` gave their pin back, if they were read to their end. */
        size_t done = w->walk.readers[i].phase == WALK_READ ? w->walk.readers[i].part : 0;
        for (size_t at = 0; at < s->parts_n; at++) {
            if (at >= done || s->parts[at].fd >= 0)
                tree_unpin(s->parts[at].tag);
        }
        scan_close(s);
    }
}
