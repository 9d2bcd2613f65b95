/* The calls of the failing file system: each may be told to fail, and then does what its plan says.
 * The rest is what a small file system does, on the inodes of faultfs_disk.c.
 */
#include "tests/torture/faultfs_int.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FD_BASE = 1000, FILE_MAX = 64 * 1024 * 1024 };

static const char *const call_names[] = {
    [FAULTFS_ANY] = "any",           [FAULTFS_OPEN] = "open",     [FAULTFS_CLOSE] = "close",
    [FAULTFS_PREAD] = "pread",       [FAULTFS_PWRITE] = "pwrite", [FAULTFS_TRUNCATE] = "truncate",
    [FAULTFS_DATASYNC] = "datasync", [FAULTFS_SYNC] = "sync",     [FAULTFS_STAT] = "stat",
    [FAULTFS_RENAME] = "rename",     [FAULTFS_LINK] = "link",     [FAULTFS_UNLINK] = "unlink",
    [FAULTFS_RMDIR] = "rmdir",       [FAULTFS_MKDIR] = "mkdir",   [FAULTFS_LIST] = "list",
};
_Static_assert(sizeof call_names / sizeof call_names[0] == FAULTFS_CALL_COUNT_, "all named");

const char *faultfs_call_name(enum faultfs_call call)
{
    return call_names[call];
}

/* Every call begins here, with the lock held on return. 0: go on; HALF: do half of it; else what to
 * return. */
enum { HALF = 1 };
static int begin(struct faultfs *f, enum faultfs_call call)
{
    (void)pthread_mutex_lock(&f->lock);
    f->calls[FAULTFS_ANY]++;
    f->calls[call]++;
    if (f->dark)
        return -EIO;
    if (!f->armed || (f->plan.call != FAULTFS_ANY && f->plan.call != call))
        return 0;
    f->counted++;
    if (f->counted == f->plan.nth + 1 && f->plan.fault == FAULTFS_FILLS)
        return -ENOSPC;
    if (f->counted < f->plan.nth || (f->counted > f->plan.nth && !f->plan.stays))
        return 0;
    f->fired = true;
    if (f->plan.fault == FAULTFS_ERROR)
        return -f->plan.error;
    if (f->plan.fault != FAULTFS_POWER)
        return HALF;
    f->dark = true;
    return -EIO;
}

static ssize_t end(struct faultfs *f, ssize_t result)
{
    (void)pthread_mutex_unlock(&f->lock);
    return result;
}

static struct inode *of_fd(struct faultfs *f, int fd)
{
    return fd >= FD_BASE && fd < FD_BASE + FAULTFS_FDS ? f->fds[fd - FD_BASE] : NULL;
}

static int new_fd(struct faultfs *f, struct inode *i)
{
    for (int n = 0; n < FAULTFS_FDS; n++)
        if (!f->fds[n]) {
            f->fds[n] = i;
            return FD_BASE + n;
        }
    return -EMFILE;
}

/* The directory that holds the path's last component, and that component. */
static int walk(struct faultfs *f, int dirfd, const char *path, struct inode **dir,
                char last[NAME_MAX + 1])
{
    struct inode *at = of_fd(f, dirfd);
    if (!at)
        return -EBADF;
    for (;;) {
        size_t n = strcspn(path, "/");
        if (!S_ISDIR(at->mode))
            return -ENOTDIR;
        if (n > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(last, path, n);
        last[n] = '\0';
        if (strcmp(last, "..") == 0)
            return -EXDEV;
        if (path[n] == '\0')
            break;
        struct name *next = find_name(at->names, last);
        if (!next)
            return -ENOENT;
        at = next->inode;
        path += n + 1;
    }
    *dir = at;
    return 0;
}

/* The inode of a path; "" and "." are dirfd's own. */
static int lookup(struct faultfs *f, int dirfd, const char *path, struct inode **out)
{
    char last[NAME_MAX + 1];
    struct inode *dir;
    if (*path == '\0') {
        *out = of_fd(f, dirfd);
        return *out ? 0 : -EBADF;
    }
    int result = walk(f, dirfd, path, &dir, last);
    if (result < 0)
        return result;
    if (strcmp(last, ".") == 0) {
        *out = dir;
        return 0;
    }
    struct name *n = find_name(dir->names, last);
    if (!n)
        return -ENOENT;
    *out = n->inode;
    return 0;
}

static int open_locked(struct faultfs *f, int dirfd, const char *path, int flags, mode_t mode)
{
    char last[NAME_MAX + 1];
    struct inode *i, *dir;
    int result = lookup(f, dirfd, path, &i);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return result < 0 ? result : new_fd(f, new_inode(f, S_IFREG | mode));
    if (result == -ENOENT && (flags & O_CREAT)) {
        result = walk(f, dirfd, path, &dir, last);
        if (result < 0)
            return result;
        i = new_inode(f, S_IFREG | mode);
        change_names(f, NULL, NULL, dir, last, i);
    } else if (result < 0) {
        return result;
    } else if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
        return -EEXIST;
    } else if ((flags & O_DIRECTORY) && !S_ISDIR(i->mode)) {
        return -ENOTDIR;
    } else if ((flags & O_ACCMODE) != O_RDONLY && S_ISDIR(i->mode)) {
        return -EISDIR;
    } else if ((flags & O_TRUNC) && i->seen.n > 0) {
        bytes_resize(&i->seen, 0);
        add_change(i, 0, NULL, 0);
    }
    return new_fd(f, i);
}

static int do_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    int result = begin(ctx, FAULTFS_OPEN);
    return (int)end(ctx, result < 0 ? result : open_locked(ctx, dirfd, path, flags, mode));
}

static int do_close(void *ctx, int fd)
{
    struct faultfs *f = ctx;
    int result = begin(f, FAULTFS_CLOSE);
    if (!of_fd(f, fd))
        return (int)end(f, -EBADF);
    f->fds[fd - FD_BASE] = NULL; /* whatever close says, it is closed */
    return (int)end(f, result < 0 ? result : 0);
}

static ssize_t do_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    struct faultfs *f = ctx;
    int result = begin(f, FAULTFS_PREAD);
    const struct inode *i = of_fd(f, fd);
    if (result < 0 || !i)
        return end(f, result < 0 ? result : -EBADF);
    if (S_ISDIR(i->mode))
        return end(f, -EISDIR);
    if (result == HALF && n > 1)
        n /= 2;
    if (offset >= i->seen.n)
        return end(f, 0);
    if (n > i->seen.n - offset)
        n = i->seen.n - (size_t)offset;
    if (n > 0)
        memcpy(data, i->seen.data + offset, n);
    return end(f, (ssize_t)n);
}

static ssize_t do_pwrite(void *ctx, int fd, const void *data, size_t n, uint64_t offset)
{
    struct faultfs *f = ctx;
    int result = begin(f, FAULTFS_PWRITE);
    struct inode *i = of_fd(f, fd);
    if (result < 0 || !i)
        return end(f, result < 0 ? result : -EBADF);
    if (offset > FILE_MAX || n > FILE_MAX)
        return end(f, -EFBIG);
    if (result == HALF && n > 1)
        n /= 2;
    bytes_write(&i->seen, offset, data, n);
    add_change(i, offset, data, n);
    i->mtime_ns = i->ctime_ns = ++f->now_ns;
    return end(f, (ssize_t)n);
}

static int do_truncate(void *ctx, int fd, uint64_t size)
{
    struct faultfs *f = ctx;
    int result = begin(f, FAULTFS_TRUNCATE);
    struct inode *i = of_fd(f, fd);
    if (result < 0 || !i || size > FILE_MAX)
        return (int)end(f, result < 0 ? result : i ? -EFBIG : -EBADF);
    bytes_resize(&i->seen, (size_t)size);
    add_change(i, size, NULL, 0);
    i->mtime_ns = i->ctime_ns = ++f->now_ns;
    return (int)end(f, 0);
}

static int sync_any(struct faultfs *f, enum faultfs_call call, int fd)
{
    int result = begin(f, call);
    struct inode *i = of_fd(f, fd);
    if (!i)
        return (int)end(f, result < 0 ? result : -EBADF);
    if (result < 0 && !f->dark)
        lose_changes(i); /* clean in the cache, never on the disk */
    if (result < 0)
        return (int)end(f, result);
    settle_file(i, NULL);
    if (S_ISDIR(i->mode))
        settle_names(f, i, UINT64_MAX);
    return (int)end(f, 0);
}

static int do_datasync(void *ctx, int fd)
{
    return sync_any(ctx, FAULTFS_DATASYNC, fd);
}

static int do_sync(void *ctx, int fd)
{
    return sync_any(ctx, FAULTFS_SYNC, fd);
}

static uint32_t count_links(const struct faultfs *f, const struct inode *i)
{
    uint32_t n = 0;
    for (const struct inode *d = f->inodes; d; d = d->next)
        for (const struct name *x = d->names; x; x = x->next)
            n += x->inode == i;
    return n;
}

static struct file_stat stat_of(const struct faultfs *f, const struct inode *i)
{
    return (struct file_stat){.id = {.dev = 1,
                                     .ino = i->number,
                                     .size = i->seen.n,
                                     .mtime_ns = i->mtime_ns,
                                     .ctime_ns = i->ctime_ns},
                              .mode = i->mode,
                              .nlink = count_links(f, i)};
}

static int do_stat(void *ctx, int dirfd, const char *path, struct file_stat *out)
{
    struct faultfs *f = ctx;
    struct inode *i;
    int result = begin(f, FAULTFS_STAT);
    if (result >= 0)
        result = lookup(f, dirfd, path, &i);
    if (result < 0)
        return (int)end(f, result);
    *out = stat_of(f, i);
    return (int)end(f, 0);
}

static int rename_locked(struct faultfs *f, int from_dir, const char *from, int to_dir,
                         const char *to, unsigned flags)
{
    char from_last[NAME_MAX + 1], to_last[NAME_MAX + 1];
    struct inode *from_at, *to_at;
    int result = walk(f, from_dir, from, &from_at, from_last);
    if (result == 0)
        result = walk(f, to_dir, to, &to_at, to_last);
    if (result < 0)
        return result;
    struct name *source = find_name(from_at->names, from_last);
    struct name *target = find_name(to_at->names, to_last);
    if (!source)
        return -ENOENT;
    if (target && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    change_names(f, from_at, from_last, to_at, to_last, source->inode);
    return 0;
}

static int do_rename(void *ctx, int from_dir, const char *from, int to_dir, const char *to,
                     unsigned flags)
{
    int result = begin(ctx, FAULTFS_RENAME);
    return (int)end(ctx,
                    result < 0 ? result : rename_locked(ctx, from_dir, from, to_dir, to, flags));
}

static int do_link_fd(void *ctx, int fd, int to_dir, const char *to)
{
    struct faultfs *f = ctx;
    char last[NAME_MAX + 1];
    struct inode *dir, *i = of_fd(f, fd);
    int result = begin(f, FAULTFS_LINK);
    if (result >= 0)
        result = i ? walk(f, to_dir, to, &dir, last) : -EBADF;
    if (result == 0 && find_name(dir->names, last))
        result = -EEXIST;
    if (result == 0)
        change_names(f, NULL, NULL, dir, last, i);
    return (int)end(f, result);
}

static int remove_locked(struct faultfs *f, int dirfd, const char *path, bool directory)
{
    char last[NAME_MAX + 1];
    struct inode *dir;
    int result = walk(f, dirfd, path, &dir, last);
    if (result < 0)
        return result;
    struct name *n = find_name(dir->names, last);
    if (!n)
        return -ENOENT;
    if (S_ISDIR(n->inode->mode) != directory)
        return directory ? -ENOTDIR : -EISDIR;
    if (n->inode->names)
        return -ENOTEMPTY;
    change_names(f, dir, last, NULL, NULL, n->inode);
    return 0;
}

static int do_unlink(void *ctx, int dirfd, const char *path)
{
    int result = begin(ctx, FAULTFS_UNLINK);
    return (int)end(ctx, result < 0 ? result : remove_locked(ctx, dirfd, path, false));
}

static int do_rmdir(void *ctx, int dirfd, const char *path)
{
    int result = begin(ctx, FAULTFS_RMDIR);
    return (int)end(ctx, result < 0 ? result : remove_locked(ctx, dirfd, path, true));
}

static int do_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    struct faultfs *f = ctx;
    char last[NAME_MAX + 1];
    struct inode *dir;
    int result = begin(f, FAULTFS_MKDIR);
    if (result >= 0)
        result = walk(f, dirfd, path, &dir, last);
    if (result == 0 && find_name(dir->names, last))
        result = -EEXIST;
    if (result == 0)
        change_names(f, NULL, NULL, dir, last, new_inode(f, S_IFDIR | mode));
    return (int)end(f, result);
}

static int do_list(void *ctx, int dirfd, fsio_name *name, void *arg)
{
    struct faultfs *f = ctx;
    int result = begin(f, FAULTFS_LIST);
    const struct inode *i = of_fd(f, dirfd);
    if (result < 0 || !i)
        return (int)end(f, result < 0 ? result : -EBADF);
    struct name *copy = NULL; /* the callback may change the directory */
    copy_names(&copy, i->names);
    (void)end(f, 0);
    for (const struct name *n = copy; n; n = n->next)
        name(arg, n->text, n->inode->mode & S_IFMT);
    free_names(&copy);
    return 0;
}

static const struct fsio_ops ops = {
    .open = do_open,
    .open_beneath = do_open, /* there are no links to follow, and no way up */
    .close = do_close,
    .pread = do_pread,
    .pwrite = do_pwrite,
    .truncate = do_truncate,
    .datasync = do_datasync,
    .sync = do_sync,
    .stat = do_stat,
    .rename = do_rename,
    .link_fd = do_link_fd,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .mkdir = do_mkdir,
    .list = do_list,
};

/* ---- for tests ---- */

struct faultfs *faultfs_new(void)
{
    struct faultfs *f = mem_alloc(sizeof *f);
    f->fsio = (struct fsio){.ops = &ops, .ctx = f};
    (void)pthread_mutex_init(&f->lock, NULL);
    f->namings_end = &f->namings;
    f->root = new_inode(f, S_IFDIR | 0755);
    return f;
}

void faultfs_free(struct faultfs *f)
{
    settle_names(f, NULL, 0);
    while (f->inodes) {
        struct inode *i = f->inodes;
        f->inodes = i->next;
        lose_changes(i);
        free_names(&i->names);
        free_names(&i->disk_names);
        free(i->seen.data);
        free(i->disk.data);
        free(i);
    }
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

const struct fsio *faultfs_fsio(struct faultfs *f)
{
    return &f->fsio;
}

int faultfs_root(struct faultfs *f)
{
    return new_fd(f, f->root);
}

void faultfs_arm(struct faultfs *f, const struct faultfs_plan *plan)
{
    f->armed = plan != NULL;
    f->fired = false;
    f->counted = 0;
    if (plan)
        f->plan = *plan;
}

bool faultfs_fired(const struct faultfs *f)
{
    return f->fired;
}

uint64_t faultfs_calls(const struct faultfs *f, enum faultfs_call call)
{
    return f->calls[call];
}

void faultfs_kill(struct faultfs *f)
{
    memset(f->fds, 0, sizeof f->fds);
    f->armed = f->dark = false;
}

bool faultfs_peek(struct faultfs *f, int dirfd, const char *path, struct file_stat *st,
                  const char **data)
{
    struct inode *i;
    (void)pthread_mutex_lock(&f->lock);
    bool found = lookup(f, dirfd, path, &i) == 0;
    if (found) {
        *st = stat_of(f, i);
        *data = i->seen.data;
    }
    (void)pthread_mutex_unlock(&f->lock);
    return found;
}

/* The path of the inode below dir, appended to out. */
static bool find_inode(const struct inode *dir, const struct inode *wanted, char out[PATH_MAX])
{
    size_t n = strlen(out);
    if (dir == wanted)
        return true;
    for (const struct name *x = dir->names; x; x = x->next) {
        (void)snprintf(out + n, PATH_MAX - n, "%s%s", n ? "/" : "", x->text);
        if (find_inode(x->inode, wanted, out))
            return true;
    }
    out[n] = '\0';
    return false;
}

void faultfs_where(struct faultfs *f, int dirfd, const char *path, char out[PATH_MAX])
{
    out[0] = '\0';
    (void)pthread_mutex_lock(&f->lock);
    const struct inode *dir = of_fd(f, dirfd);
    if (dir && find_inode(f->root, dir, out)) {
        size_t n = strlen(out);
        (void)snprintf(out + n, PATH_MAX - n, "%s%s", n ? "/" : "", path);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

void faultfs_restart(struct faultfs *f, uint64_t seed)
{
    faultfs_kill(f);
    uint64_t kept = 0;
    if (seed != 0 && coin(&seed) % 2) {
        settle_some_names(f, &seed); /* directories that are written one by one, in any order */
    } else if (seed != 0) {
        for (const struct naming *n = f->namings; n; n = n->next)
            kept += coin(&seed) % 2; /* of an ordered log any first part may have been written */
    }
    settle_names(f, NULL, kept);
    for (struct inode *i = f->inodes; i; i = i->next) {
        if (seed != 0)
            settle_file(i, &seed);
        else
            lose_changes(i);
        bytes_resize(&i->seen, 0);
        bytes_write(&i->seen, 0, i->disk.data, i->disk.n);
        copy_names(&i->names, i->disk_names);
    }
}
