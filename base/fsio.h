/* File I/O behind one table, so that a test can fail each call in turn or cut the power at it.
 *
 * Every call that a promise hangs on goes through a struct fsio: journal, retirement, rejection,
 * archive, `put`. Calls return >= 0 or -errno, never touch errno, and add O_CLOEXEC. EINTR is
 * handled below the table's callers (the system table repeats the call).
 */
#ifndef BASE_FSIO_H
#define BASE_FSIO_H

#include "base/identity.h"
#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef void fsio_name(void *arg, const char *name, mode_t kind);

struct fsio_ops {
    /* openat */
    int (*open)(void *ctx, int dirfd, const char *path, int flags, mode_t mode);
    /* openat2 with RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS: -ELOOP for a link,
     * -EXDEV for an escape. For every path below the spool root. */
    int (*open_beneath)(void *ctx, int dirfd, const char *path, int flags, mode_t mode);
    int (*close)(void *ctx, int fd);
    ssize_t (*pread)(void *ctx, int fd, void *data, size_t n, uint64_t offset);
    ssize_t (*pwrite)(void *ctx, int fd, const void *data, size_t n, uint64_t offset);
    int (*truncate)(void *ctx, int fd, uint64_t size);
    int (*datasync)(void *ctx, int fd);
    int (*sync)(void *ctx, int fd); /* files and directories */
    /* AT_SYMLINK_NOFOLLOW always; path "" means dirfd itself */
    int (*stat)(void *ctx, int dirfd, const char *path, struct file_stat *out);
    /* renameat2; flags 0 or RENAME_NOREPLACE */
    int (*rename)(void *ctx, int from_dir, const char *from, int to_dir, const char *to,
                  unsigned flags);
    /* linkat of an open O_TMPFILE descriptor (through /proc/self/fd) */
    int (*link_fd)(void *ctx, int fd, int to_dir, const char *to);
    int (*unlink)(void *ctx, int dirfd, const char *path);
    int (*rmdir)(void *ctx, int dirfd, const char *path);
    int (*mkdir)(void *ctx, int dirfd, const char *path, mode_t mode);
    /* Tell of each name in the directory but . and .., in no order, and its kind (S_IFDIR, …; 0:
     * not known). Names made or removed meanwhile may or may not be told. */
    int (*list)(void *ctx, int dirfd, fsio_name *name, void *arg);
};
struct fsio {
    const struct fsio_ops *ops;
    void *ctx;
};
/* The real system calls. */
extern const struct fsio fsio_system;

/* All of n bytes, or an error; a short write that cannot go on is RC_FULL or the errno's class. */
enum rc fsio_write_all(const struct fsio *fs, int fd, const void *data, size_t n, uint64_t offset,
                       struct err *e) MUST_CHECK;
/* Up to n bytes; *got < n only at the end of the file. */
enum rc fsio_read_full(const struct fsio *fs, int fd, void *data, size_t n, uint64_t offset,
                       size_t *got, struct err *e) MUST_CHECK;
/* The whole of a small regular file into a NUL-terminated buffer that the caller frees. RC_LIMIT if
 * it has more than max bytes. */
enum rc fsio_read_file(const struct fsio *fs, int dirfd, const char *path, size_t max, char **data,
                       size_t *n, struct err *e) MUST_CHECK;
/* Durable replacement of dirfd/name: write "name.tmp", fsync, rename, fsync the directory. After an
 * error the old file is what it was (or, if only the last fsync failed, whole and new, but maybe
 * not for long), and the temporary one is gone or is replaced next time. The only way by which we
 * make a new file that a promise hangs on, journal segments included. */
enum rc fsio_replace(const struct fsio *fs, int dirfd, const char *name, const void *data, size_t n,
                     mode_t mode, struct err *e) MUST_CHECK;
/* mkdir -p of a relative path, one component at a time, never through a symlink (open_beneath).
 * Existing directories are fine. With sync_made, every parent of a new directory is fsynced. */
enum rc fsio_mkdirs(const struct fsio *fs, int dirfd, const char *path, mode_t mode, int sync_made,
                    struct err *e) MUST_CHECK;
/* close() whose result counts. fd < 0 is fine. */
enum rc fsio_close(const struct fsio *fs, int fd, struct err *e) MUST_CHECK;

#endif
