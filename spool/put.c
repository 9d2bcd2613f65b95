/* Putting a file into the spool. It has no name until all of it is on disk: with O_TMPFILE none at
 * all, so that a command that is killed leaves nothing; where the file system has no such files, a
 * hidden name, which nobody looks at. */
#include "spool/put.h"

#include "base/mem.h"
#include "base/random.h"
#include "spool/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIR_MODE = 0775, FILE_MODE = 0644, PIECE = 128 * 1024 };

struct putting {
    const struct put_cfg *cfg;
    const char *path;
    char shown[BENEATH_SHOWN_SIZE];
    int dirfd;
    int fd;
    bool linked;     /* it has its name */
    char hidden[32]; /* its name until then; "": O_TMPFILE */
};

static bool has_no_tmpfile(int result)
{
    /* EISDIR: a kernel that does not know the flag; the others: a file system that does not. */
    return result == -EOPNOTSUPP || result == -EISDIR || result == -EINVAL || result == -ENOSYS;
}

static enum rc create_file(struct putting *p, struct err *e)
{
    enum { TRIES = 16 };
    const struct fsio *fs = p->cfg->fs;
    p->fd = fs->ops->open_beneath(fs->ctx, p->dirfd, ".", O_TMPFILE | O_RDWR, FILE_MODE);
    if (!has_no_tmpfile(p->fd))
        return p->fd < 0 ? err_sys(e, p->fd, "cannot create %s", p->shown) : RC_OK;
    p->fd = -EEXIST;
    for (int i = 0; p->fd == -EEXIST && i < TRIES; i++) {
        uint64_t number;
        random_bytes(&number, sizeof number);
        (void)snprintf(p->hidden, sizeof p->hidden, ".put-%016" PRIx64, number);
        p->fd = fs->ops->open_beneath(fs->ctx, p->dirfd, p->hidden, O_CREAT | O_EXCL | O_RDWR,
                                      FILE_MODE);
    }
    if (p->fd >= 0)
        return RC_OK;
    p->hidden[0] = '\0';
    return err_sys(e, p->fd, "cannot create %s", p->shown);
}

/* read(2), as what is read may be a pipe. */
static ssize_t read_piece(int fd, char *data, size_t n)
{
    ssize_t got;
    do
        got = read(fd, data, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static enum rc copy(struct putting *p, int from_fd, uint64_t *size, struct err *e)
{
    const struct put_cfg *cfg = p->cfg;
    char *piece = mem_resize(NULL, PIECE, 1);
    enum rc rc = RC_OK;
    ssize_t got;
    *size = 0;
    while (rc == RC_OK && (got = read_piece(from_fd, piece, PIECE)) != 0) {
        if (got < 0)
            rc = err_sys(e, errno, "cannot read what is to be put");
        else if ((uint64_t)got > cfg->size_max - *size)
            rc =
                err_set(e, RC_LIMIT, "%s has more than %" PRIu64 " bytes, the largest size allowed",
                        p->shown, cfg->size_max);
        else if (cfg->check)
            rc = cfg->check(cfg->arg, piece, (size_t)got, e);
        if (rc == RC_OK)
            rc = fsio_write_all(cfg->fs, p->fd, piece, (size_t)got, *size, e);
        if (rc == RC_OK)
            *size += (uint64_t)got;
    }
    free(piece);
    return rc == RC_OK && cfg->finish ? cfg->finish(cfg->arg, e) : rc;
}

static enum rc enter(struct putting *p, int root_fd, struct err *e)
{
    return beneath_make_parent(p->cfg->fs, root_fd, p->path, DIR_MODE, O_RDONLY, &p->dirfd, e);
}

static void leave(struct putting *p)
{
    if (p->dirfd >= 0)
        (void)p->cfg->fs->ops->close(p->cfg->fs->ctx, p->dirfd); /* a directory: nothing is lost */
    p->dirfd = -1;
}

/* Give it its name. */
static int give_name(struct putting *p)
{
    const struct fsio *fs = p->cfg->fs;
    const char *name = beneath_name(p->path);
    if (p->hidden[0] == '\0')
        return fs->ops->link_fd(fs->ctx, p->fd, p->dirfd, name);
    int result = fs->ops->rename(fs->ctx, p->dirfd, p->hidden, p->dirfd, name, RENAME_NOREPLACE);
    if (result == 0)
        p->hidden[0] = '\0';
    return result;
}

static enum rc publish(struct putting *p, struct err *e)
{
    enum { TRIES = 4 };
    const struct fsio *fs = p->cfg->fs;
    int result = fs->ops->sync(fs->ctx, p->fd);
    if (result < 0)
        return err_sys(e, result, "cannot fsync %s", p->shown);
    result = give_name(p);
    /* The directory was empty, of a past date, and has been tidied away: make it again. */
    for (int i = 0; result == -ENOENT && i < TRIES; i++) {
        leave(p);
        enum rc rc = enter(p, p->cfg->root_fd, e);
        if (rc != RC_OK)
            return rc;
        result = give_name(p);
    }
    if (result == -EEXIST)
        return err_set(e, RC_EXISTS, "%s is there already and is not overwritten", p->shown);
    if (result < 0)
        return err_sys(e, result, "cannot give %s its name", p->shown);
    p->linked = true;
    result = fs->ops->sync(fs->ctx, p->dirfd);
    return result < 0 ? err_sys(e, result, "cannot fsync the directory of %s", p->shown) : RC_OK;
}

/* After an error: what has a name is taken away, if it is still ours. */
static void withdraw(struct putting *p)
{
    const struct fsio *fs = p->cfg->fs;
    const char *name = p->hidden[0] ? p->hidden : beneath_name(p->path);
    struct file_stat named, ours;
    if ((!p->linked && p->hidden[0] == '\0') || p->dirfd < 0)
        return;
    if (fs->ops->stat(fs->ctx, p->dirfd, name, &named) < 0 ||
        fs->ops->stat(fs->ctx, p->fd, "", &ours) < 0 || named.id.ino != ours.id.ino ||
        named.id.dev != ours.id.dev)
        return;
    (void)fs->ops->unlink(fs->ctx, p->dirfd, name); /* the first error is told, not this one */
}

enum rc put_file(const struct put_cfg *cfg, int from_fd, const char *path, uint64_t *size,
                 struct err *e)
{
    struct putting p = {.cfg = cfg, .path = path, .dirfd = -1, .fd = -1};
    const struct fsio *fs = cfg->fs;
    struct file_stat st;
    *size = 0;
    beneath_show(p.shown, path, strlen(path));
    if (!beneath_is_path(path))
        return err_set(e, RC_INVALID, "%s is not a path below the spool", p.shown);
    enum rc rc = enter(&p, cfg->root_fd, e);
    /* Known before all is read, if it can be; the link is what decides. */
    if (rc == RC_OK && fs->ops->stat(fs->ctx, p.dirfd, beneath_name(path), &st) == 0)
        rc = err_set(e, RC_EXISTS, "%s is there already and is not overwritten", p.shown);
    if (rc == RC_OK)
        rc = create_file(&p, e);
    if (rc == RC_ABSENT) {
        /* Its directory was tidied away since. */
        leave(&p);
        rc = enter(&p, cfg->root_fd, e);
        if (rc == RC_OK)
            rc = create_file(&p, e);
    }
    if (rc == RC_OK)
        rc = copy(&p, from_fd, size, e);
    if (rc == RC_OK)
        rc = publish(&p, e);
    if (rc != RC_OK && p.fd >= 0)
        withdraw(&p);
    if (p.fd >= 0)
        (void)fs->ops->close(fs->ctx, p.fd); /* synced, or failed anyway */
    leave(&p);
    return rc;
}
