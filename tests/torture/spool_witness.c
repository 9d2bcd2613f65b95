/* P1 at the moment when it counts: a file of the spool is removed, or moved to the archive, only if
 * a receipt for its bytes is durable by then; nothing of a producer's is replaced; nothing but what
 * is wrong is rejected. All else goes to the failing file system unseen. */
#include "tests/torture/spool_rig.h"

#include "spool/archive.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define INNER(t) faultfs_fsio((t)->fs)

void witness_receipt(struct run *t, const uint8_t sha[SHA256_SIZE], uint64_t ino)
{
    for (size_t i = 0; i < t->n_receipts; i++)
        if (t->receipts[i].ino == ino && memcmp(t->receipts[i].sha, sha, SHA256_SIZE) == 0)
            return;
    BUG_ON(t->n_receipts == RECEIPTS_MAX);
    memcpy(t->receipts[t->n_receipts].sha, sha, SHA256_SIZE);
    t->receipts[t->n_receipts++].ino = ino;
}

static bool begins(const char *path, const char *with)
{
    return strncmp(path, with, strlen(with)) == 0;
}

static bool ends(const char *path, const char *with)
{
    size_t n = strlen(path), m = strlen(with);
    return n >= m && strcmp(path + n - m, with) == 0;
}

/* A producer's file, wherever it lies below the spool. */
static bool is_theirs(const char *path)
{
    return begins(path, RIG_ROOT "/") && !ends(path, ".reason") && !ends(path, ".reason.tmp");
}

static bool has_receipt(const struct run *t, const struct file_stat *st, const char *data)
{
    uint8_t sha[SHA256_SIZE];
    sha256(data, st->id.size, sha);
    for (size_t i = 0; i < t->n_receipts; i++)
        if (t->receipts[i].ino == st->id.ino && memcmp(t->receipts[i].sha, sha, SHA256_SIZE) == 0)
            return true;
    return false;
}

static void judge_end(struct run *t, int dirfd, const char *name, const char *path,
                      const char *what)
{
    struct file_stat st;
    const char *data;
    if (faultfs_peek(t->fs, dirfd, name, &st, &data) && S_ISREG(st.mode) &&
        !has_receipt(t, &st, data))
        violation(t, what, path);
}

static int seen_unlink(void *ctx, int dirfd, const char *path)
{
    struct run *t = ctx;
    char where[PATH_MAX];
    faultfs_where(t->fs, dirfd, path, where);
    if (is_theirs(where))
        judge_end(t, dirfd, path, where, "a file was removed before its receipt was durable");
    return INNER(t)->ops->unlink(INNER(t)->ctx, dirfd, path);
}

static void judge_rejection(struct run *t, int dirfd, const char *name, const char *path)
{
    struct file_stat st;
    const char *data;
    uint8_t sha[SHA256_SIZE];
    if (!faultfs_peek(t->fs, dirfd, name, &st, &data))
        return;
    sha256(data, st.id.size, sha);
    int v = version_of(sha);
    if (v >= 0 && !versions[v].wrong)
        violation(t, "a file with nothing wrong was rejected", path);
    if (v >= 0 && versions[v].wrong && !t->refused[v])
        violation(t, "a file was moved away before REJECTED was durable", path);
}

static int seen_rename(void *ctx, int from_dir, const char *from, int to_dir, const char *to,
                       unsigned flags)
{
    struct run *t = ctx;
    char source[PATH_MAX], target[PATH_MAX];
    struct file_stat st;
    const char *data;
    faultfs_where(t->fs, from_dir, from, source);
    faultfs_where(t->fs, to_dir, to, target);
    if (is_theirs(target) && !(flags & RENAME_NOREPLACE) &&
        faultfs_peek(t->fs, to_dir, to, &st, &data))
        violation(t, "a file was replaced", target);
    if (is_theirs(target) && !(flags & RENAME_NOREPLACE))
        violation(t, "a rename could replace a file", target);
    if (begins(target, RIG_ROOT "/" ARCHIVE_DIR))
        judge_end(t, from_dir, from, source, "a file was archived before its receipt was durable");
    if (begins(target, RIG_ROOT "/" REJECT_DIR) && !begins(target, RIG_ROOT "/" STRAYS_DIR) &&
        is_theirs(target))
        judge_rejection(t, from_dir, from, source);
    return INNER(t)->ops->rename(INNER(t)->ctx, from_dir, from, to_dir, to, flags);
}

#define PASS(name, type, params, ...)                                                              \
    static type pass_##name params                                                                 \
    {                                                                                              \
        return INNER((struct run *)ctx)->ops->name(INNER((struct run *)ctx)->ctx, __VA_ARGS__);    \
    }
PASS(open, int, (void *ctx, int d, const char *p, int f, mode_t m), d, p, f, m)
PASS(close, int, (void *ctx, int fd), fd)
PASS(pread, ssize_t, (void *ctx, int fd, void *p, size_t n, uint64_t o), fd, p, n, o)
PASS(pwrite, ssize_t, (void *ctx, int fd, const void *p, size_t n, uint64_t o), fd, p, n, o)
PASS(truncate, int, (void *ctx, int fd, uint64_t n), fd, n)
PASS(datasync, int, (void *ctx, int fd), fd)
PASS(sync, int, (void *ctx, int fd), fd)
PASS(stat, int, (void *ctx, int d, const char *p, struct file_stat *out), d, p, out)
PASS(link_fd, int, (void *ctx, int fd, int to, const char *q), fd, to, q)
PASS(rmdir, int, (void *ctx, int d, const char *p), d, p)
PASS(mkdir, int, (void *ctx, int d, const char *p, mode_t m), d, p, m)
PASS(list, int, (void *ctx, int d, fsio_name *name, void *arg), d, name, arg)

const struct fsio_ops witness_ops = {
    .open = pass_open,
    .open_beneath = pass_open,
    .close = pass_close,
    .pread = pass_pread,
    .pwrite = pass_pwrite,
    .truncate = pass_truncate,
    .datasync = pass_datasync,
    .sync = pass_sync,
    .stat = pass_stat,
    .rename = seen_rename,
    .link_fd = pass_link_fd,
    .unlink = seen_unlink,
    .rmdir = pass_rmdir,
    .mkdir = pass_mkdir,
    .list = pass_list,
};
