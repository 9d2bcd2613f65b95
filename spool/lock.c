/* One gateway at a time, by flock(2): the kernel lets go of it however the holder ends, so that no
 * stale lock is ever to be judged. The pid in the file is for people only. */
#include "spool/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever may open it may hold it, and keep every gateway from starting: nobody else may. */
enum { MODE = 0600, PID_MAX = 15 };

/* The number that the file begins with, or 0. */
static long read_pid(const struct fsio *fs, int fd)
{
    char text[PID_MAX];
    size_t n;
    long pid = 0;
    if (fsio_read_full(fs, fd, text, sizeof text, 0, &n, NULL) != RC_OK)
        return 0;
    for (size_t i = 0; i < n && i < 10 && text[i] >= '0' && text[i] <= '9'; i++)
        pid = pid * 10 + (text[i] - '0');
    return pid;
}

/* As well as it goes: on a full file system, which only a gateway may be able to empty, the lock
 * holds without it. Written over what is there, so that no new block is asked for. */
static void write_pid(const struct fsio *fs, int fd)
{
    char text[PID_MAX + 1];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    bool written = fsio_write_all(fs, fd, text, (size_t)n, 0, NULL) == RC_OK;
    (void)fs->ops->truncate(fs->ctx, fd, written ? (uint64_t)n : 0); /* no pid, or another's rest */
}

/* Is the file that was locked still the one of that name? */
static bool is_named(const struct fsio *fs, int dirfd, const char *name, int fd)
{
    struct file_stat a, b;
    return fs->ops->stat(fs->ctx, dirfd, name, &a) == 0 &&
           fs->ops->stat(fs->ctx, fd, "", &b) == 0 && a.id.ino == b.id.ino && a.id.dev == b.id.dev;
}

static enum rc take_once(const struct fsio *fs, int dirfd, const char *name, const char *what,
                         int *fd, struct err *e)
{
    struct file_stat st;
    /* Non-blocking: it might be a FIFO that somebody put there. */
    int opened =
        fs->ops->open_beneath(fs->ctx, dirfd, name, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, MODE);
    if (opened < 0)
        return err_sys(e, opened, "cannot open the lock of %s", what);
    enum rc rc;
    int result = fs->ops->stat(fs->ctx, opened, "", &st);
    if (result < 0)
        rc = err_sys(e, result, "cannot look at the lock of %s", what);
    else if (!S_ISREG(st.mode))
        rc = err_set(e, RC_INVALID, "the lock of %s is not a regular file: remove it", what);
    else if (flock(opened, LOCK_EX | LOCK_NB) == 0)
        rc = is_named(fs, dirfd, name, opened) ? RC_OK : RC_CHANGED;
    else if (errno == EWOULDBLOCK)
        rc = err_set(e, RC_AGAIN,
                     "%s is in use by another gateway (pid %ld): stop that one first, or give this "
                     "one a directory of its own",
                     what, read_pid(fs, opened));
    else
        rc = err_sys(e, errno, "cannot lock %s", what);
    if (rc == RC_OK) {
        write_pid(fs, opened);
        *fd = opened;
    } else {
        (void)fs->ops->close(fs->ctx, opened); /* nothing was written */
    }
    return rc;
}

enum rc lock_take(int dirfd, const char *name, const char *what, int *fd, struct err *e)
{
    enum { TRIES = 16 };
    enum rc rc = RC_CHANGED;
    for (int i = 0; rc == RC_CHANGED && i < TRIES; i++)
        rc = take_once(&fsio_system, dirfd, name, what, fd, e);
    if (rc == RC_CHANGED)
        return err_set(e, RC_AGAIN, "somebody keeps removing the lock of %s", what);
    return rc;
}
