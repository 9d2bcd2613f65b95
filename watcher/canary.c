/* The canary: see canary.h. Its file is made and removed on a pool thread, since a disk that hangs
 * is one of the things it is there to tell. Only one is in the air at a time. */
#include "watcher/canary.h"

#include "base/fsio.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY ".spoolgate/canary"

struct canary {
    struct canary_cfg cfg;
    struct loop_timer *timer;
    int wd; /* -1: not watched (any more) */
    uint64_t flight, started_ms, last_ms;
    bool back; /* the latest one that flew came back */
    bool late, grounded;
    /* One piece of work on a pool thread. */
    bool busy;
    bool watched; /* as of the work's begin */
    bool strayed; /* its directory was moved or removed while the pool thread had it */
    int dir_fd;   /* -1: to be opened; the pool thread's while busy */
    char name[24], previous[24];
    struct err error; /* its outcome: RC_OK or why not */
};

/* What an earlier process left behind. */
static void sweep(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            (void)close(fd); /* only read from */
        return;
    }
    for (struct dirent *ent; (ent = readdir(dir));) {
        /* A file that cannot be removed is written anew when its number comes. */
        if (ent->d_name[strspn(ent->d_name, "0123456789")] == '\0')
            (void)unlinkat(dir_fd, ent->d_name, 0);
    }
    (void)closedir(dir); /* only read from */
}

static enum rc open_directory(struct canary *c)
{
    const struct fsio *fs = &fsio_system;
    enum rc rc = fsio_mkdirs(fs, c->cfg.root_fd, DIRECTORY, 0750, 0, &c->error);
    if (rc != RC_OK)
        return rc;
    c->dir_fd = fs->ops->open_beneath(fs->ctx, c->cfg.root_fd, DIRECTORY, O_PATH | O_DIRECTORY, 0);
    if (c->dir_fd < 0) {
        int result = c->dir_fd;
        c->dir_fd = -1;
        return err_sys(&c->error, result, "cannot open " DIRECTORY);
    }
    sweep(c->dir_fd);
    return RC_OK;
}

/* On a pool thread: the last one's file goes; the directory is (re)opened, or the next one flies.
 */
static void work(void *arg)
{
    struct canary *c = arg;
    const struct fsio *fs = &fsio_system;
    c->error = (struct err){0};
    if (c->dir_fd < 0 && open_directory(c) != RC_OK)
        return;
    if (c->previous[0])
        (void)fs->ops->unlink(fs->ctx, c->dir_fd, c->previous); /* swept next time otherwise */
    if (!c->watched)
        return; /* the watch comes first */
    int fd = fs->ops->open_beneath(fs->ctx, c->dir_fd, c->name,
                                   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        err_sys(&c->error, fd, "cannot write " DIRECTORY "/%s", c->name);
        return;
    }
    int result = fs->ops->close(fs->ctx, fd);
    if (result < 0)
        err_sys(&c->error, result, "cannot close " DIRECTORY "/%s", c->name);
}

static void tell_late(struct canary *c, const char *why)
{
    char text[700];
    uint64_t since = c->last_ms ? c->last_ms : c->started_ms;
    if (c->late)
        return;
    c->late = true;
    (void)snprintf(text, sizeof text,
                   "no canary file came back from inotify for %llu s%s%s: events may be lost, and "
                   "files are found by rescans only",
                   (unsigned long long)((loop_now_ms(c->cfg.loop) - since) / 1000),
                   *why ? ", " : "", why);
    c->cfg.trouble(c->cfg.arg, text);
}

static void close_directory(struct canary *c)
{
    if (c->dir_fd >= 0)
        (void)close(c->dir_fd); /* O_PATH: there is nothing to lose */
    c->dir_fd = -1;
}

static void fly(struct canary *c);

static void worked(void *arg)
{
    struct canary *c = arg;
    c->busy = false;
    if (c->strayed) {
        c->strayed = false;
        close_directory(c);
        return;
    }
    if (c->error.rc == RC_OK && c->wd < 0 && c->timer) {
        c->wd = inotify_watch(c->cfg.inotify, c->dir_fd);
        if (c->wd >= 0) {
            fly(c); /* all of c is that work's now */
            return;
        }
        err_sys(&c->error, c->wd, "cannot watch " DIRECTORY);
    }
    c->grounded = c->error.rc != RC_OK && inotify_fd(c->cfg.inotify) >= 0;
    if (c->error.rc != RC_OK && c->wd >= 0) {
        /* Perhaps the directory was removed: begin with it again. */
        inotify_unwatch(c->cfg.inotify, c->wd);
        c->wd = -1;
    }
    if (c->error.rc != RC_OK)
        close_directory(c);
}

static void fly(struct canary *c)
{
    if (c->busy) {
        c->grounded = false;
        return; /* the disk hangs: lateness tells */
    }
    memcpy(c->previous, c->name, sizeof c->name);
    (void)snprintf(c->name, sizeof c->name, "%llu", (unsigned long long)++c->flight);
    c->busy = true;
    c->back = false;
    c->watched = c->wd >= 0;
    loop_work(c->cfg.loop, work, worked, c);
}

static void tick(void *arg)
{
    struct canary *c = arg;
    uint64_t since = c->last_ms ? c->last_ms : c->started_ms;
    loop_timer_set(c->timer, c->cfg.period_ms);
    /* The one that flew at the last tick is missing. Half a period less than two: it came back a
     * little after that tick if it came. And if it came, this tick is late, since it was we who
     * stood still (SIGSTOP, a frozen container). */
    if (!c->back &&
        loop_now_ms(c->cfg.loop) >= since + 2 * c->cfg.period_ms - c->cfg.period_ms / 2) {
        tell_late(c, c->busy ? "the spool's file system does not answer" : c->error.text);
        if (!c->busy && (c->error.rc == RC_OK || inotify_fd(c->cfg.inotify) < 0))
            c->cfg.silent(c->cfg.arg);
    }
    fly(c);
}

struct canary *canary_new(const struct canary_cfg *cfg)
{
    struct canary *c = mem_alloc(sizeof *c);
    c->cfg = *cfg;
    c->wd = c->dir_fd = -1;
    c->started_ms = loop_now_ms(cfg->loop);
    c->timer = loop_timer_new(cfg->loop, tick, c);
    loop_timer_set(c->timer, cfg->period_ms);
    fly(c);
    return c;
}

bool canary_busy(const struct canary *c)
{
    return c && c->busy;
}

void canary_stop(struct canary *c)
{
    if (c)
        loop_timer_free(c->timer);
    if (c)
        c->timer = NULL;
}

void canary_free(struct canary *c)
{
    if (!c)
        return;
    BUG_ON(c->busy);
    canary_stop(c);
    if (c->dir_fd >= 0)
        (void)unlinkat(c->dir_fd, c->name, 0); /* swept next time otherwise */
    close_directory(c);
    free(c);
}

bool canary_event(struct canary *c, const struct inotify_seen *seen)
{
    if (!c || c->wd < 0 || seen->wd != c->wd)
        return false;
    if (seen->kind == INOTIFY_IGNORED || seen->kind == INOTIFY_DELETE_SELF ||
        seen->kind == INOTIFY_MOVE_SELF) {
        if (seen->kind == INOTIFY_MOVE_SELF)
            inotify_unwatch(c->cfg.inotify, c->wd);
        c->wd = -1;
        if (c->busy)
            c->strayed = true;
        else
            close_directory(c);
        return true;
    }
    if (seen->kind != INOTIFY_CLOSE_WRITE || strcmp(seen->name, c->name) != 0)
        return true;
    c->last_ms = loop_now_ms(c->cfg.loop);
    c->back = true;
    if (c->late) {
        c->late = false;
        c->cfg.trouble(c->cfg.arg, "the canary file came back from inotify: events arrive again");
    }
    return true;
}

void canary_reopened(struct canary *c)
{
    if (!c)
        return;
    c->wd = -1;
    if (c->busy)
        c->strayed = true; /* what it is about to write is seen by nobody */
}

bool canary_grounded(const struct canary *c)
{
    return c && c->grounded;
}

uint64_t canary_last_ms(const struct canary *c)
{
    return c ? c->last_ms : 0;
}

bool canary_late(const struct canary *c)
{
    return c && c->late;
}
