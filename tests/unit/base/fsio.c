#include "base/fsio.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static int root_fd;

static void make_root(void)
{
    (void)snprintf(root, sizeof root, "/tmp/spoolgate-test-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(root_fd, 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void remove_root(void)
{
    cr_assert_eq(close(root_fd), 0);
    cr_assert_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void put(const char *name, const char *text)
{
    struct err e;
    cr_assert_eq(fsio_replace(&fsio_system, root_fd, name, text, strlen(text), 0600, &e), RC_OK,
                 "%s", e.text);
}

/* What the file holds, or NULL. */
static const char *get(const char *name)
{
    static char text[1000];
    int fd = openat(root_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, text, sizeof text - 1);
    cr_assert_geq(n, 0);
    text[n] = '\0';
    cr_assert_eq(close(fd), 0);
    return text;
}

static bool exists(const char *name)
{
    return faccessat(root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A table over the system's that writes and reads a few bytes at a time, notes each call, and can
 * fail the n-th. */
struct faulty {
    int calls, fail_at, fail_with;
    size_t piece;
    char log[64]; /* a letter each call */
    int open_fds;
};

static int step(struct faulty *f, char letter)
{
    size_t at = strlen(f->log);
    if (at + 1 < sizeof f->log)
        f->log[at] = letter;
    return ++f->calls == f->fail_at ? -f->fail_with : 0;
}

#define SYS(call, ...) fsio_system.ops->call(NULL, __VA_ARGS__)

static int faulty_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    struct faulty *f = ctx;
    int result = step(f, 'o');
    if (result == 0)
        result = SYS(open, dirfd, path, flags, mode);
    f->open_fds += result >= 0;
    return result;
}

static int faulty_open_beneath(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    struct faulty *f = ctx;
    int result = step(f, 'b');
    if (result == 0)
        result = SYS(open_beneath, dirfd, path, flags, mode);
    f->open_fds += result >= 0;
    return result;
}

static int faulty_close(void *ctx, int fd)
{
    struct faulty *f = ctx;
    int result = step(f, 'c');
    cr_assert_eq(SYS(close, fd), 0);
    f->open_fds--;
    return result;
}

static ssize_t faulty_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    struct faulty *f = ctx;
    int result = step(f, 'p');
    return result ? result : SYS(pread, fd, data, n < f->piece ? n : f->piece, offset);
}

static ssize_t faulty_pwrite(void *ctx, int fd, const void *data, size_t n, uint64_t offset)
{
    struct faulty *f = ctx;
    int result = step(f, 'w');
    return result ? result : SYS(pwrite, fd, data, n < f->piece ? n : f->piece, offset);
}

static int faulty_sync(void *ctx, int fd)
{
    int result = step(ctx, 's');
    return result ? result : SYS(sync, fd);
}

static int faulty_stat(void *ctx, int dirfd, const char *path, struct file_stat *out)
{
    int result = step(ctx, 'i');
    return result ? result : SYS(stat, dirfd, path, out);
}

static int faulty_rename(void *ctx, int from_dir, const char *from, int to_dir, const char *to,
                         unsigned flags)
{
    int result = step(ctx, 'r');
    return result ? result : SYS(rename, from_dir, from, to_dir, to, flags);
}

static int faulty_unlink(void *ctx, int dirfd, const char *path)
{
    int result = step(ctx, 'u');
    return result ? result : SYS(unlink, dirfd, path);
}

static int faulty_rmdir(void *ctx, int dirfd, const char *path)
{
    int result = step(ctx, 'M');
    return result ? result : SYS(rmdir, dirfd, path);
}

static int faulty_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    int result = step(ctx, 'm');
    return result ? result : SYS(mkdir, dirfd, path, mode);
}

static const struct fsio_ops faulty_ops = {
    .open = faulty_open,
    .open_beneath = faulty_open_beneath,
    .close = faulty_close,
    .pread = faulty_pread,
    .pwrite = faulty_pwrite,
    .sync = faulty_sync,
    .stat = faulty_stat,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .rmdir = faulty_rmdir,
    .mkdir = faulty_mkdir,
};

TestSuite(fsio, .init = make_root, .fini = remove_root);

Test(fsio, the_system_table_returns_minus_errno_and_leaves_errno_alone)
{
    struct file_stat st;
    char byte;
    errno = EXDEV;
    cr_assert_eq(SYS(open, root_fd, "absent", O_RDONLY, 0), -ENOENT);
    cr_assert_eq(SYS(open_beneath, root_fd, "absent", O_RDONLY, 0), -ENOENT);
    cr_assert_eq(SYS(close, -1), -EBADF);
    cr_assert_eq(SYS(pread, -1, &byte, 1, 0), -EBADF);
    cr_assert_eq(SYS(pwrite, -1, "x", 1, 0), -EBADF);
    cr_assert_eq(SYS(pwrite, root_fd, "x", 1, UINT64_MAX), -EINVAL);
    cr_assert_eq(SYS(truncate, -1, 0), -EBADF);
    cr_assert_eq(SYS(datasync, -1), -EBADF);
    cr_assert_eq(SYS(sync, -1), -EBADF);
    cr_assert_eq(SYS(stat, root_fd, "absent", &st), -ENOENT);
    cr_assert_eq(SYS(rename, root_fd, "absent", root_fd, "x", 0), -ENOENT);
    cr_assert_eq(SYS(link_fd, 9999, root_fd, "x"), -ENOENT);
    cr_assert_eq(SYS(unlink, root_fd, "absent"), -ENOENT);
    cr_assert_eq(SYS(rmdir, root_fd, "absent"), -ENOENT);
    cr_assert_eq(SYS(mkdir, root_fd, "absent/x", 0700), -ENOENT);
    cr_assert_eq(errno, EXDEV);
}

Test(fsio, a_file_is_made_written_read_measured_and_removed)
{
    struct file_stat st, renamed;
    char back[6] = "";
    int fd = SYS(open, root_fd, "a", O_RDWR | O_CREAT | O_EXCL, 0640);
    cr_assert_geq(fd, 0);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(SYS(pwrite, fd, "hello", 5, 3), 5);
    cr_assert_eq(SYS(pread, fd, back, 5, 3), 5);
    cr_assert_str_eq(back, "hello");
    cr_assert_eq(SYS(truncate, fd, 6), 0);
    cr_assert_eq(SYS(datasync, fd), 0);
    cr_assert_eq(SYS(sync, fd), 0);
    cr_assert_eq(SYS(sync, root_fd), 0);
    cr_assert_eq(SYS(stat, fd, "", &st), 0);
    cr_assert_eq(st.id.size, 6);
    cr_assert(S_ISREG(st.mode));
    cr_assert_eq(st.nlink, 1);
    cr_assert_eq(st.uid, getuid());
    cr_assert_eq(st.gid, getgid());
    cr_assert_lt(llabs(st.id.mtime_ns - clock_wall_now_ns()), 60 * CLOCK_NS_PER_S);
    cr_assert_eq(SYS(close, fd), 0);

    put("b", "other");
    cr_assert_eq(SYS(rename, root_fd, "a", root_fd, "b", RENAME_NOREPLACE), -EEXIST);
    cr_assert_eq(SYS(rename, root_fd, "a", root_fd, "b", 0), 0);
    cr_assert_eq(SYS(stat, root_fd, "b", &renamed), 0);
    cr_assert(identity_equal_moved(&st.id, &renamed.id));
    cr_assert_eq(SYS(unlink, root_fd, "b"), 0);
    cr_assert_eq(SYS(mkdir, root_fd, "d", 0700), 0);
    cr_assert_eq(SYS(unlink, root_fd, "d"), -EISDIR);
    cr_assert_eq(SYS(rmdir, root_fd, "d"), 0);
}

Test(fsio, a_nameless_file_gets_its_name_once)
{
    int fd = SYS(open, root_fd, ".", O_WRONLY | O_TMPFILE, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(SYS(pwrite, fd, "x", 1, 0), 1);
    cr_assert_eq(SYS(link_fd, fd, root_fd, "named"), 0);
    cr_assert_eq(SYS(link_fd, fd, root_fd, "named"), -EEXIST);
    cr_assert_eq(SYS(close, fd), 0);
    cr_assert_str_eq(get("named"), "x");
}

Test(fsio, nothing_opened_beneath_is_outside_or_through_a_link)
{
    cr_assert_eq(SYS(mkdir, root_fd, "d", 0700), 0);
    put("file", "x");
    cr_assert_eq(symlinkat("file", root_fd, "link"), 0);
    cr_assert_eq(symlinkat("d", root_fd, "dirlink"), 0);
    static const struct {
        const char *path;
        int flags, want; /* 0: opens */
    } cases[] = {
        {"file", O_RDONLY, 0},
        {"d/../file", O_RDONLY, 0},
        {"d", O_PATH | O_DIRECTORY, 0},
        {"d/new", O_WRONLY | O_CREAT | O_EXCL, 0},
        {"link", O_RDONLY, -ELOOP},
        {"dirlink/new", O_RDONLY, -ELOOP},
        {"dirlink", O_PATH | O_DIRECTORY, -ELOOP},
        {"..", O_RDONLY, -EXDEV},
        {"d/../../etc/passwd", O_RDONLY, -EXDEV},
        {"/etc/passwd", O_RDONLY, -EXDEV},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* a mode where nothing is made is no error, as with open(2) */
        int fd = SYS(open_beneath, root_fd, cases[i].path, cases[i].flags, 0600);
        cr_assert_eq(fd < 0 ? fd : 0, cases[i].want, "%s: %d", cases[i].path, fd);
        if (fd >= 0) {
            cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            cr_assert_eq(SYS(close, fd), 0);
        }
    }
}

Test(fsio, all_is_written_and_read_though_in_pieces)
{
    struct faulty f = {.piece = 7};
    struct fsio fs = {&faulty_ops, &f};
    char data[100], back[120];
    struct err e;
    size_t got;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)i;
    int fd = SYS(open, root_fd, "a", O_RDWR | O_CREAT, 0600);
    cr_assert_eq(fsio_write_all(&fs, fd, data, sizeof data, 10, &e), RC_OK);
    cr_assert_eq(f.calls, 15);
    cr_assert_eq(fsio_read_full(&fs, fd, back, sizeof back, 10, &got, &e), RC_OK);
    cr_assert_eq(got, sizeof data);
    cr_assert_arr_eq(back, data, sizeof data);

    f.piece = 0; /* a write that gets nowhere ends */
    cr_assert_eq(fsio_write_all(&fs, fd, data, 1, 0, &e), RC_FULL);
    f.piece = 7;
    f.fail_at = f.calls + 3;
    f.fail_with = ENOSPC;
    cr_assert_eq(fsio_write_all(&fs, fd, data, sizeof data, 0, &e), RC_FULL);
    cr_assert_eq(e.sys_errno, ENOSPC);
    f.fail_at = f.calls + 2;
    f.fail_with = EIO;
    cr_assert_eq(fsio_read_full(&fs, fd, back, sizeof back, 0, &got, &e), RC_IO);
    cr_assert_eq(got, 7);
    cr_assert_eq(SYS(close, fd), 0);
}

Test(fsio, a_small_file_is_read_whole)
{
    char *data;
    size_t n;
    struct err e;
    put("a", "hello");
    cr_assert_eq(fsio_read_file(&fsio_system, root_fd, "a", 5, &data, &n, &e), RC_OK);
    cr_assert_eq(n, 5);
    cr_assert_str_eq(data, "hello");
    free(data);
    cr_assert_eq(fsio_read_file(&fsio_system, root_fd, "a", 4, &data, &n, &e), RC_LIMIT);
    put("empty", "");
    cr_assert_eq(fsio_read_file(&fsio_system, root_fd, "empty", 0, &data, &n, &e), RC_OK);
    cr_assert_str_eq(data, "");
    free(data);
    cr_assert_eq(fsio_read_file(&fsio_system, root_fd, "absent", 9, &data, &n, &e), RC_ABSENT);
    cr_assert_eq(fsio_read_file(&fsio_system, root_fd, ".", 9, &data, &n, &e), RC_INVALID);
    cr_assert_eq(mkfifoat(root_fd, "fifo", 0600), 0);
    cr_assert_eq(fsio_read_file(&fsio_system, root_fd, "fifo", 9, &data, &n, &e), RC_INVALID);
    /* its size is told as 0, and it has thousands of bytes */
    cr_assert_eq(fsio_read_file(&fsio_system, AT_FDCWD, "/proc/self/smaps", 1 << 24, &data, &n, &e),
                 RC_OK);
    cr_assert_gt(n, 5000);
    cr_assert_eq(strlen(data), n);
    free(data);
    cr_assert_eq(fsio_read_file(&fsio_system, AT_FDCWD, "/proc/self/smaps", 2000, &data, &n, &e),
                 RC_LIMIT);
}

Test(fsio, reading_a_file_leaks_nothing_whichever_call_fails)
{
    put("a", "some text");
    for (int at = 1;; at++) {
        struct faulty f = {.piece = 4, .fail_at = at, .fail_with = EIO};
        struct fsio fs = {&faulty_ops, &f};
        char *data;
        size_t n;
        enum rc rc = fsio_read_file(&fs, root_fd, "a", 100, &data, &n, NULL);
        cr_assert_eq(f.open_fds, 0);
        if (rc == RC_OK) {
            cr_assert_str_eq(data, "some text");
            free(data);
            if (f.calls < at)
                break;
        }
    }
}

Test(fsio, a_replaced_file_is_the_old_one_or_the_new_one_whichever_call_fails)
{
    for (int at = 1; at < 20; at++) {
        put("a", "old");
        struct faulty f = {.piece = 2, .fail_at = at, .fail_with = EIO};
        struct fsio fs = {&faulty_ops, &f};
        struct err e;
        enum rc rc = fsio_replace(&fs, root_fd, "a", "new!!", 5, 0600, &e);
        cr_assert_eq(f.open_fds, 0);
        /* create, three writes, fsync, close, rename, fsync of the directory */
        if (at > 8) {
            cr_assert_eq(rc, RC_OK);
            cr_assert_str_eq(f.log, "owwwscrs");
        } else {
            cr_assert_eq(rc, RC_IO, "call %d", at);
            cr_assert_eq(e.sys_errno, EIO);
        }
        cr_assert_str_eq(get("a"), at < 8 ? "old" : "new!!");
        cr_assert_not(exists("a.tmp"), "call %d", at);
    }
}

Test(fsio, what_an_earlier_attempt_left_is_replaced_and_not_written_through)
{
    struct stat st;
    struct err e;
    put("victim", "precious");
    cr_assert_eq(linkat(root_fd, "victim", root_fd, "a.tmp", 0), 0);
    cr_assert_eq(fsio_replace(&fsio_system, root_fd, "a", "x", 1, 0640, &e), RC_OK, "%s", e.text);
    cr_assert_str_eq(get("a"), "x");
    cr_assert_str_eq(get("victim"), "precious");
    cr_assert_eq(symlinkat("victim", root_fd, "b.tmp"), 0);
    cr_assert_eq(fsio_replace(&fsio_system, root_fd, "b", "y", 1, 0600, &e), RC_OK);
    cr_assert_str_eq(get("victim"), "precious");
    cr_assert_eq(fstatat(root_fd, "b", &st, AT_SYMLINK_NOFOLLOW), 0);
    cr_assert(S_ISREG(st.st_mode));
    cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(fsio, a_name_that_is_none_is_refused)
{
    char longer[300];
    struct err e;
    memset(longer, 'x', sizeof longer - 1);
    longer[252] = '\0'; /* 252 and ".tmp" are one too many */
    cr_assert_eq(fsio_replace(&fsio_system, root_fd, longer, "", 0, 0600, &e), RC_INVALID);
    longer[251] = '\0';
    cr_assert_eq(fsio_replace(&fsio_system, root_fd, longer, "", 0, 0600, &e), RC_OK);
    cr_assert_eq(fsio_replace(&fsio_system, root_fd, "d/a", "", 0, 0600, &e), RC_INVALID);
}

Test(fsio, directories_are_made_down_the_path)
{
    struct stat st;
    struct err e;
    cr_assert_eq(fsio_mkdirs(&fsio_system, root_fd, "a/b//c/", 0750, 0, &e), RC_OK, "%s", e.text);
    cr_assert_eq(fstatat(root_fd, "a/b/c", &st, 0), 0);
    cr_assert(S_ISDIR(st.st_mode));
    cr_assert_eq(fsio_mkdirs(&fsio_system, root_fd, "a/b/c", 0750, 1, &e), RC_OK);
    cr_assert_eq(fsio_mkdirs(&fsio_system, root_fd, "./a/./d", 0750, 1, &e), RC_OK);
    cr_assert(exists("a/d"));
    cr_assert_eq(fsio_mkdirs(&fsio_system, root_fd, "", 0750, 1, &e), RC_OK);

    struct faulty f = {.piece = 100};
    struct fsio fs = {&faulty_ops, &f};
    cr_assert_eq(fsio_mkdirs(&fs, root_fd, "a/x/y", 0750, 1, &e), RC_OK);
    /* the parents of x and of y are synced, that of a is not */
    cr_assert_str_eq(f.log, "mb"
                            "mbscbc"
                            "mbscbc"
                            "c");
}

Test(fsio, directories_are_not_made_through_links_or_outside)
{
    struct err e;
    char longer[400];
    put("file", "x");
    cr_assert_eq(fsio_mkdirs(&fsio_system, root_fd, "real", 0700, 0, &e), RC_OK);
    cr_assert_eq(symlinkat("real", root_fd, "link"), 0);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    static const char *const refused[] = {"/abs", "../out", "real/../../out", "link/x", "file/x"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        cr_assert_neq(fsio_mkdirs(&fsio_system, root_fd, refused[i], 0700, 0, &e), RC_OK, "%s",
                      refused[i]);
    cr_assert_neq(fsio_mkdirs(&fsio_system, root_fd, longer, 0700, 0, &e), RC_OK);
    cr_assert_not(exists("real/x"));
    cr_assert_not(exists("../out"));
}

Test(fsio, making_directories_leaks_nothing_whichever_call_fails)
{
    for (int at = 1; at < 30; at++) {
        char path[32];
        struct faulty f = {.piece = 100, .fail_at = at, .fail_with = ENOSPC};
        struct fsio fs = {&faulty_ops, &f};
        (void)snprintf(path, sizeof path, "%d/x/y", at);
        enum rc rc = fsio_mkdirs(&fs, root_fd, path, 0700, 1, NULL);
        cr_assert_eq(f.open_fds, 0, "call %d", at);
        if (rc == RC_OK)
            cr_assert(exists(path));
        else
            cr_assert_eq(rc, RC_FULL);
    }
}

Test(fsio, a_directory_that_could_not_be_synced_is_not_there_for_the_next_call)
{
    for (int at = 1; at <= 3; at++) { /* mkdir, opening what is above, its fsync */
        struct faulty f = {.piece = 100, .fail_at = at, .fail_with = EIO};
        struct fsio fs = {&faulty_ops, &f};
        cr_assert_eq(fsio_mkdirs(&fs, root_fd, "once", 0700, 1, NULL), RC_IO);
        cr_assert_not(exists("once"), "call %d", at);
    }
    struct faulty f = {.piece = 100};
    struct fsio fs = {&faulty_ops, &f};
    cr_assert_eq(fsio_mkdirs(&fs, root_fd, "once", 0700, 1, NULL), RC_OK);
}

Test(fsio, closing_tells_its_result)
{
    struct faulty f = {.fail_at = 1, .fail_with = ENOSPC};
    struct fsio fs = {&faulty_ops, &f};
    struct err e;
    cr_assert_eq(fsio_close(&fs, -1, &e), RC_OK);
    int fd = SYS(open, root_fd, "a", O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(fsio_close(&fs, fd, &e), RC_FULL);
    cr_assert_eq(fsio_close(&fsio_system, fd, &e), RC_IO);
}
