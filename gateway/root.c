/* The spool root and its guard: see root.h. Looking happens on a pool thread, since a path may lead
 * to a file system that hangs.
 *
 * The same means: the same inode, still linked, on the same mount, with our lock in it. A mount
 * counts, so that a detached one is let go of; the lock counts, since without its name a second
 * gateway could take the root (P10). */
#include "gateway/root.h"

#include "base/fsio.h"
#include "base/mem.h"
#include "spool/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum rc root_take(const char *path, struct root *out, struct err *e)
{
    int own = -1;
    *out = (struct root){.fd = -1, .lock = -1};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno,
                       "cannot open the directory %s (make it, or let this user read and write it)",
                       path);
    enum rc rc = fsio_mkdirs(&fsio_system, fd, ".spoolgate", 0755, 1, e);
    if (rc != RC_OK)
        goto out;
    own = openat(fd, ".spoolgate", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (own < 0) {
        rc = err_sys(e, errno, "cannot open %s/.spoolgate", path);
        goto out;
    }
    rc = lock_take(own, "lock", path, &out->lock, e);
out:
    if (own >= 0)
        (void)close(own); /* only read from */
    if (rc == RC_OK)
        out->fd = fd;
    else
        (void)close(fd); /* only read from */
    return rc;
}

void root_close(struct root *r)
{
    if (r->fd >= 0)
        (void)close(r->fd); /* a directory: nothing was written through it */
    if (r->lock >= 0)
        (void)close(r->lock); /* what it says is for people only */
    *r = (struct root){.fd = -1, .lock = -1};
}

struct root_guard {
    struct root_guard_cfg cfg;
    char *path; /* outlives a reload, a configuration does not */
    struct loop_timer *timer;
    struct root held;
    bool busy, troubled;
    /* What a look found: the same; another one, taken; or why not. */
    bool same;
    struct root other;
    struct err why;
};

static bool is_same_file(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
           a->stx_dev_minor == b->stx_dev_minor;
}

static bool is_same_root(const struct root *held, const char *path)
{
    enum { WANTED = STATX_INO | STATX_NLINK | STATX_MNT_ID };
    struct statx named, opened, lock_named, lock_opened;
    if (statx(AT_FDCWD, path, 0, WANTED, &named) != 0 ||
        statx(held->fd, "", AT_EMPTY_PATH, WANTED, &opened) != 0)
        return false;
    if (!is_same_file(&named, &opened) || opened.stx_nlink == 0)
        return false;
    if ((named.stx_mask & opened.stx_mask & STATX_MNT_ID) && named.stx_mnt_id != opened.stx_mnt_id)
        return false;
    return statx(held->fd, ".spoolgate/lock", AT_SYMLINK_NOFOLLOW, WANTED, &lock_named) == 0 &&
           statx(held->lock, "", AT_EMPTY_PATH, WANTED, &lock_opened) == 0 &&
           is_same_file(&lock_named, &lock_opened);
}

/* The same directory on another mount: it has our lock in it, which another flock would not get. */
static bool take_other_mount(const struct root *held, const char *path, struct root *out)
{
    struct statx ours, theirs;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (statx(held->lock, "", AT_EMPTY_PATH, STATX_INO, &ours) == 0 &&
        statx(fd, ".spoolgate/lock", AT_SYMLINK_NOFOLLOW, STATX_INO, &theirs) == 0 &&
        is_same_file(&ours, &theirs)) {
        int lock = fcntl(held->lock, F_DUPFD_CLOEXEC, 0);
        if (lock >= 0) {
            *out = (struct root){.fd = fd, .lock = lock};
            return true;
        }
    }
    (void)close(fd); /* only read from */
    return false;
}

static void look(void *arg)
{
    struct root_guard *g = arg;
    g->why = (struct err){0};
    g->same = is_same_root(&g->held, g->cfg.path);
    if (g->same || take_other_mount(&g->held, g->cfg.path, &g->other))
        return;
    if (root_take(g->cfg.path, &g->other, &g->why) != RC_OK && g->why.text[0] == '\0')
        err_set(&g->why, RC_ABSENT, "it cannot be opened");
}

static void tell_trouble(struct root_guard *g)
{
    char text[1600];
    (void)snprintf(text, sizeof text,
                   "the spool root %s was removed, moved, replaced or unmounted, and what is there "
                   "now cannot be used: %s; put it back, the gateway goes on by itself",
                   g->cfg.path, g->why.text);
    g->troubled = true;
    g->cfg.trouble(g->cfg.arg, text);
}

static void looked(void *arg)
{
    struct root_guard *g = arg;
    g->busy = false;
    if (!g->timer) {
        root_close(&g->other); /* we are being freed */
        return;
    }
    if (g->other.fd >= 0) {
        struct root other = g->other;
        g->other = (struct root){.fd = -1, .lock = -1};
        g->troubled = false;
        g->cfg.replaced(g->cfg.arg, &other);
        return;
    }
    loop_timer_set_shared(g->timer, g->cfg.period_ms);
    if (!g->same) {
        tell_trouble(g);
    } else if (g->troubled) {
        g->troubled = false;
        g->cfg.trouble(g->cfg.arg, NULL);
    }
}

static void tick(void *arg)
{
    struct root_guard *g = arg;
    if (g->busy)
        return;
    g->busy = true;
    loop_work(g->cfg.loop, look, looked, g);
}

struct root_guard *root_guard_new(const struct root_guard_cfg *cfg)
{
    struct root_guard *g = mem_alloc(sizeof *g);
    g->cfg = *cfg;
    g->cfg.path = g->path = mem_strdup(cfg->path);
    g->other = g->held = (struct root){.fd = -1, .lock = -1};
    g->timer = loop_timer_new(cfg->loop, tick, g);
    return g;
}

void root_guard_watch(struct root_guard *g, const struct root *held)
{
    g->held = *held;
    loop_timer_set_shared(g->timer, g->cfg.period_ms);
}

void root_guard_free(struct root_guard *g)
{
    if (!g)
        return;
    loop_timer_free(g->timer);
    g->timer = NULL;
    while (g->busy)
        loop_step(g->cfg.loop, true);
    free(g->path);
    free(g);
}
