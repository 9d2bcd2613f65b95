/* The real file system, of which the n-th call fails. */
#ifndef TESTS_UNIT_SPOOL_FAILING_H
#define TESTS_UNIT_SPOOL_FAILING_H

#include "base/fsio.h"

struct failing {
    int at;                                      /* which call fails, from 1; 0: none */
    int calls;                                   /* so far */
    int result;                                  /* -errno that it gives */
    bool (*before)(void *arg, const char *call); /* NULL allowed; true: fail this call */
    void *arg;
};

static inline bool failing_now(void *ctx, const char *call)
{
    struct failing *f = ctx;
    bool wanted = f->before && f->before(f->arg, call);
    return ++f->calls == f->at || wanted;
}

#define FAILING(name, type, params, ...)                                                           \
    static inline type failing_##name params                                                       \
    {                                                                                              \
        return failing_now(ctx, #name) ? ((struct failing *)ctx)->result                           \
                                       : fsio_system.ops->name(NULL, __VA_ARGS__);                 \
    }
FAILING(open, int, (void *ctx, int d, const char *p, int f, mode_t m), d, p, f, m)
FAILING(open_beneath, int, (void *ctx, int d, const char *p, int f, mode_t m), d, p, f, m)
FAILING(pread, ssize_t, (void *ctx, int fd, void *p, size_t n, uint64_t o), fd, p, n, o)
FAILING(pwrite, ssize_t, (void *ctx, int fd, const void *p, size_t n, uint64_t o), fd, p, n, o)
FAILING(truncate, int, (void *ctx, int fd, uint64_t n), fd, n)
FAILING(datasync, int, (void *ctx, int fd), fd)
FAILING(sync, int, (void *ctx, int fd), fd)
FAILING(stat, int, (void *ctx, int d, const char *p, struct file_stat *out), d, p, out)
FAILING(rename, int, (void *ctx, int from, const char *p, int to, const char *q, unsigned flags),
        from, p, to, q, flags)
FAILING(link_fd, int, (void *ctx, int fd, int to, const char *q), fd, to, q)
FAILING(unlink, int, (void *ctx, int d, const char *p), d, p)
FAILING(rmdir, int, (void *ctx, int d, const char *p), d, p)
FAILING(mkdir, int, (void *ctx, int d, const char *p, mode_t m), d, p, m)
FAILING(list, int, (void *ctx, int d, fsio_name *name, void *arg), d, name, arg)

/* close always works. */
static inline int failing_close(void *ctx, int fd)
{
    (void)ctx;
    return fsio_system.ops->close(NULL, fd);
}

static const struct fsio_ops failing_ops = {
    .open = failing_open,
    .open_beneath = failing_open_beneath,
    .close = failing_close,
    .pread = failing_pread,
    .pwrite = failing_pwrite,
    .truncate = failing_truncate,
    .datasync = failing_datasync,
    .sync = failing_sync,
    .stat = failing_stat,
    .rename = failing_rename,
    .link_fd = failing_link_fd,
    .unlink = failing_unlink,
    .rmdir = failing_rmdir,
    .mkdir = failing_mkdir,
    .list = failing_list,
};

#endif
