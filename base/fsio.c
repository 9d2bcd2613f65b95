/* File I/O: the table of real system calls, and the few sequences of calls that promises hang on.
 * Everything after the table goes through it, never around it, so that a test sees every step. */
#include "base/fsio.h"

#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A call as the table wants it: repeated after EINTR, errno kept, the result or -errno. */
#define CALL(type, expression)                                                                     \
    __extension__({                                                                                \
        int saved_errno_ = errno;                                                                  \
        type result_;                                                                              \
        do                                                                                         \
            result_ = (expression);                                                                \
        while (result_ < 0 && errno == EINTR);                                                     \
        if (result_ < 0)                                                                           \
            result_ = -errno;                                                                      \
        errno = saved_errno_;                                                                      \
        result_;                                                                                   \
    })

static int sys_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    return CALL(int, openat(dirfd, path, flags | O_CLOEXEC, mode));
}

static int sys_open_beneath(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    /* openat2 refuses a mode where nothing is made; openat ignores it. */
    bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = makes ? mode & 07777 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    /* EAGAIN: a rename somewhere raced with the walk, and the kernel could not rule out an escape
     * (openat2(2)). Rare, but a busy machine may do it a few times in a row. */
    int fd = -EAGAIN;
    for (int tries = 0; fd == -EAGAIN && tries < 16; tries++)
        fd = CALL(int, (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how));
    return fd;
}

static int sys_close(void *ctx, int fd)
{
    (void)ctx;
    /* Never repeated: on Linux the descriptor is gone whatever close says, EINTR too. */
    int saved_errno = errno;
    int result = close(fd) == 0 || errno == EINTR ? 0 : -errno;
    errno = saved_errno;
    return result;
}

static ssize_t sys_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    (void)ctx;
    return CALL(ssize_t, pread(fd, data, n, (off_t)offset));
}

static ssize_t sys_pwrite(void *ctx, int fd, const void *data, size_t n, uint64_t offset)
{
    (void)ctx;
    return CALL(ssize_t, pwrite(fd, data, n, (off_t)offset));
}

static int sys_truncate(void *ctx, int fd, uint64_t size)
{
    (void)ctx;
    return CALL(int, ftruncate(fd, (off_t)size));
}

static int sys_datasync(void *ctx, int fd)
{
    (void)ctx;
    return CALL(int, fdatasync(fd));
}

static int sys_sync(void *ctx, int fd)
{
    (void)ctx;
    return CALL(int, fsync(fd));
}

static int64_t nanoseconds(struct timespec t)
{
    int64_t ns;
    /* A file system may hold any 64-bit second; times out of range need only stay unequal to others
     * of the same file, and saturating is as good as anything. */
    if (__builtin_mul_overflow((int64_t)t.tv_sec, CLOCK_NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, (int64_t)t.tv_nsec, &ns))
        return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static int sys_stat(void *ctx, int dirfd, const char *path, struct file_stat *out)
{
    (void)ctx;
    struct stat st;
    int result = CALL(int, fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
    if (result < 0)
        return result;
    *out = (struct file_stat){
        .id = {.dev = st.st_dev,
               .ino = st.st_ino,
               .size = (uint64_t)st.st_size,
               .mtime_ns = nanoseconds(st.st_mtim),
               .ctime_ns = nanoseconds(st.st_ctim)},
        .mode = st.st_mode,
        .nlink = st.st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)st.st_nlink,
        .uid = st.st_uid,
        .gid = st.st_gid,
    };
    return 0;
}

static int sys_rename(void *ctx, int from_dir, const char *from, int to_dir, const char *to,
                      unsigned flags)
{
    (void)ctx;
    return CALL(int, renameat2(from_dir, from, to_dir, to, flags));
}

static int sys_link_fd(void *ctx, int fd, int to_dir, const char *to)
{
    (void)ctx;
    /* AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH; open(2) names this way instead. */
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return CALL(int, linkat(AT_FDCWD, self, to_dir, to, AT_SYMLINK_FOLLOW));
}

static int sys_unlink(void *ctx, int dirfd, const char *path)
{
    (void)ctx;
    return CALL(int, unlinkat(dirfd, path, 0));
}

static int sys_rmdir(void *ctx, int dirfd, const char *path)
{
    (void)ctx;
    return CALL(int, unlinkat(dirfd, path, AT_REMOVEDIR));
}

static int sys_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    (void)ctx;
    return CALL(int, mkdirat(dirfd, path, mode));
}

static int sys_list(void *ctx, int dirfd, fsio_name *name, void *arg)
{
    /* Opened anew: a duplicate would share its position with dirfd, and other readers of it. */
    int fd = sys_open(ctx, dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int saved_errno = errno;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int result = -errno;
        (void)close(fd); /* only read from */
        errno = saved_errno;
        return result;
    }
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            name(arg, entry->d_name, (mode_t)DTTOIF(entry->d_type));
    int result = -errno;
    (void)closedir(dir); /* only read from */
    errno = saved_errno;
    return result;
}

static const struct fsio_ops system_ops = {
    .open = sys_open,
    .open_beneath = sys_open_beneath,
    .close = sys_close,
    .pread = sys_pread,
    .pwrite = sys_pwrite,
    .truncate = sys_truncate,
    .datasync = sys_datasync,
    .sync = sys_sync,
    .stat = sys_stat,
    .rename = sys_rename,
    .link_fd = sys_link_fd,
    .unlink = sys_unlink,
    .rmdir = sys_rmdir,
    .mkdir = sys_mkdir,
    .list = sys_list,
};
const struct fsio fsio_system = {.ops = &system_ops};

enum rc fsio_write_all(const struct fsio *fs, int fd, const void *data, size_t n, uint64_t offset,
                       struct err *e)
{
    const char *from = data;
    while (n > 0) {
        ssize_t done = fs->ops->pwrite(fs->ctx, fd, from, n, offset);
        if (done < 0)
            return err_sys(e, (int)done, "cannot write");
        if (done == 0) /* POSIX allows it, Linux does not do it for n > 0; never loop on it */
            return err_sys(e, ENOSPC, "cannot write");
        from += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
    return RC_OK;
}

enum rc fsio_read_full(const struct fsio *fs, int fd, void *data, size_t n, uint64_t offset,
                       size_t *got, struct err *e)
{
    char *to = data;
    *got = 0;
    while (*got < n) {
        ssize_t done = fs->ops->pread(fs->ctx, fd, to + *got, n - *got, offset + *got);
        if (done < 0)
            return err_sys(e, (int)done, "cannot read");
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    return RC_OK;
}

enum rc fsio_read_file(const struct fsio *fs, int dirfd, const char *path, size_t max, char **data,
                       size_t *n, struct err *e)
{
    struct file_stat st;
    char *text = NULL;
    size_t cap, got;
    enum rc rc;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = fs->ops->open(fs->ctx, dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot open %s", path);
    int result = fs->ops->stat(fs->ctx, fd, "", &st);
    if (result < 0) {
        rc = err_sys(e, result, "cannot stat %s", path);
        goto out;
    }
    if (!S_ISREG(st.mode)) {
        rc = err_set(e, RC_INVALID, "%s is not a regular file", path);
        goto out;
    }
    /* One byte more than allowed tells whether there is more; the size that stat told may be out of
     * date, and is 0 in /proc. What is in /proc/sys is told by the first read only. */
    cap = st.id.size < 512 ? 512 : (size_t)st.id.size;
    if (cap > max)
        cap = max;
    for (got = 0;;) {
        size_t more;
        text = mem_resize(text, cap + 2, 1);
        rc = fsio_read_full(fs, fd, text + got, cap + 1 - got, got, &more, e);
        if (rc != RC_OK)
            goto out;
        got += more;
        if (got <= cap)
            break;
        if (cap >= max) {
            rc = err_set(e, RC_LIMIT, "%s has more than %zu bytes", path, max);
            goto out;
        }
        cap = cap > max / 2 ? max : cap * 2 + 512;
        if (cap > max)
            cap = max;
    }
    text[got] = '\0';
    *data = text;
    *n = got;
    text = NULL;
out:
    free(text);
    (void)fs->ops->close(fs->ctx, fd); /* only read from: nothing can be lost */
    return rc;
}

/* Make name hold the bytes, durably, before it gets its final name. */
static enum rc write_new(const struct fsio *fs, int dirfd, const char *name, const void *data,
                         size_t n, mode_t mode, struct err *e)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL;
    int fd = fs->ops->open(fs->ctx, dirfd, name, flags, mode);
    /* Left by an earlier attempt. Made anew rather than truncated: its mode, or a link to it, may
     * be anybody's. */
    if (fd == -EEXIST && fs->ops->unlink(fs->ctx, dirfd, name) == 0)
        fd = fs->ops->open(fs->ctx, dirfd, name, flags, mode);
    if (fd < 0)
        return err_sys(e, fd, "cannot create %s", name);
    enum rc rc = fsio_write_all(fs, fd, data, n, 0, e);
    if (rc == RC_OK) {
        int result = fs->ops->sync(fs->ctx, fd);
        if (result < 0)
            rc = err_sys(e, result, "cannot fsync %s", name);
    }
    struct err close_err;
    enum rc close_rc = fsio_close(fs, fd, &close_err);
    if (rc == RC_OK && close_rc != RC_OK) {
        rc = close_rc;
        if (e)
            *e = close_err;
    }
    return rc;
}

enum rc fsio_replace(const struct fsio *fs, int dirfd, const char *name, const void *data, size_t n,
                     mode_t mode, struct err *e)
{
    char temporary[NAME_MAX + 1];
    int len = snprintf(temporary, sizeof temporary, "%s.tmp", name);
    if (len < 0 || (size_t)len >= sizeof temporary || strchr(name, '/'))
        return err_set(e, RC_INVALID, "%s is no name for a file in a directory", name);
    enum rc rc = write_new(fs, dirfd, temporary, data, n, mode, e);
    if (rc == RC_OK) {
        int result = fs->ops->rename(fs->ctx, dirfd, temporary, dirfd, name, 0);
        if (result < 0)
            rc = err_sys(e, result, "cannot rename %s to %s", temporary, name);
    }
    if (rc != RC_OK) {
        /* What stays is replaced by the next attempt. */
        (void)fs->ops->unlink(fs->ctx, dirfd, temporary);
        return rc;
    }
    /* KNOWN: when this fails the new contents are there to see, and which of the two a power cut
     * would leave nobody can tell. Both are whole. */
    int result = fs->ops->sync(fs->ctx, dirfd);
    if (result < 0)
        return err_sys(e, result, "cannot fsync the directory of %s", name);
    return RC_OK;
}

/* Make one directory below at, if it is not there. */
static enum rc make_one(const struct fsio *fs, int at, const char *name, mode_t mode, int sync_made,
                        struct err *e)
{
    int result = fs->ops->mkdir(fs->ctx, at, name, mode);
    if (result < 0 && result != -EEXIST)
        return err_sys(e, result, "cannot make the directory %s", name);
    /* KNOWN: where another process has just made it and not yet synced, or died between the two, we
     * do not sync. ext4, xfs and btrfs make a file's new parents durable when the file is synced,
     * so a caller that syncs what it puts there is safe on them. */
    if (result == -EEXIST || !sync_made)
        return RC_OK;
    /* Opened anew since `at` may be O_PATH, which cannot be synced. */
    int parent = fs->ops->open_beneath(fs->ctx, at, ".", O_RDONLY | O_DIRECTORY, 0);
    result = parent < 0 ? parent : fs->ops->sync(fs->ctx, parent);
    if (parent >= 0)
        (void)fs->ops->close(fs->ctx, parent); /* synced, or failing anyway */
    if (result == 0)
        return RC_OK;
    /* The next call must not find it and believe it durable. */
    (void)fs->ops->rmdir(fs->ctx, at, name); /* the first error is told, not this one */
    return err_sys(e, result, "cannot fsync the directory above %s", name);
}

/* The next component of a path, which moves past it; RC_INVALID for what leads up or is too long.
 */
static enum rc next_component(const char **path, char name[NAME_MAX + 1], struct err *e)
{
    size_t len = strcspn(*path, "/");
    if (len > NAME_MAX)
        return err_set(e, RC_INVALID, "a directory's name may have no more than %d bytes",
                       NAME_MAX);
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    *path += strspn(*path, "/");
    if (len == 0 || strcmp(name, "..") == 0)
        return err_set(e, RC_INVALID,
                       "the path of a directory to make may not begin with / or "
                       "contain ..");
    return RC_OK;
}

enum rc fsio_mkdirs(const struct fsio *fs, int dirfd, const char *path, mode_t mode, int sync_made,
                    struct err *e)
{
    int at = dirfd;
    enum rc rc = RC_OK;
    while (rc == RC_OK && *path) {
        char name[NAME_MAX + 1];
        rc = next_component(&path, name, e);
        if (rc == RC_OK && strcmp(name, ".") != 0)
            rc = make_one(fs, at, name, mode, sync_made, e);
        if (rc != RC_OK)
            break;
        int next = fs->ops->open_beneath(fs->ctx, at, name, O_PATH | O_DIRECTORY, 0);
        if (next < 0)
            rc = err_sys(e, next, "cannot enter the directory %s", name);
        if (at != dirfd)
            (void)fs->ops->close(fs->ctx, at); /* O_PATH: there is nothing to lose */
        at = next < 0 ? dirfd : next;
    }
    if (at != dirfd)
        (void)fs->ops->close(fs->ctx, at); /* as above */
    return rc;
}

enum rc fsio_close(const struct fsio *fs, int fd, struct err *e)
{
    if (fd < 0)
        return RC_OK;
    int result = fs->ops->close(fs->ctx, fd);
    return result < 0 ? err_sys(e, result, "cannot close") : RC_OK;
}
