#include "spool/put.h"

#include "tests/unit/spool/failing.h"
#include "tests/unit/spool/scratch.h"

#include <errno.h>
#include <sys/wait.h>

#define PATH "P/audit/2026-11-23/acct/f"
#define DIR  "P/audit/2026-11-23/acct"

/* A pipe whose other end holds the text already. */
static int source(const char *text)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
    (void)close(ends[1]);
    return ends[0];
}

static enum rc put(const struct put_cfg *cfg, const char *path, const char *text, uint64_t *size,
                   struct err *e)
{
    int fd = source(text);
    enum rc rc = put_file(cfg, fd, path, size, e);
    (void)close(fd);
    return rc;
}

/* A file system without O_TMPFILE. */
static int no_tmpfile(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    return (flags & O_TMPFILE) == O_TMPFILE ? -EOPNOTSUPP
                                            : failing_open_beneath(ctx, dirfd, path, flags, mode);
}

Test(put, a_file_appears_whole_under_its_name_and_overwrites_nothing)
{
    struct fsio_ops ops = failing_ops;
    struct failing none = {0};
    const struct fsio old = {&ops, &none};
    const struct fsio *const systems[] = {&fsio_system, &old};
    ops.open_beneath = no_tmpfile;
    for (size_t i = 0; i < 2; i++) {
        struct scratch s = scratch_new();
        struct put_cfg cfg = {.fs = systems[i], .root_fd = s.fd, .size_max = 10};
        uint64_t size;
        struct err e = {0};
        struct stat st;
        (void)umask(022);
        cr_assert_eq(put(&cfg, PATH, "0123456789", &size, &e), RC_OK, "%s", e.text);
        cr_expect_eq(size, 10);
        cr_expect_str_eq(scratch_text(&s, PATH), "0123456789");
        cr_assert_eq(fstatat(s.fd, PATH, &st, 0), 0);
        cr_expect_eq(st.st_mode & 07777, 0644);
        cr_expect_eq(st.st_nlink, 1);
        cr_expect_eq(put(&cfg, PATH, "other", &size, &e), RC_EXISTS);
        cr_expect(strstr(e.text, PATH), "%s", e.text);
        cr_expect_str_eq(scratch_text(&s, PATH), "0123456789");
        cr_expect_eq(put(&cfg, DIR "/big", "0123456789a", &size, &e), RC_LIMIT);
        cr_expect_eq(put(&cfg, "empty", "", &size, &e), RC_OK);
        cr_expect(scratch_has(&s, "empty"));
        cr_expect_eq(put(&cfg, "../x", "", &size, &e), RC_INVALID);
        cr_expect_eq(put(&cfg, "/x", "", &size, &e), RC_INVALID);
        cr_expect_eq(scratch_count(&s, DIR), 1);
        cr_assert_eq(symlinkat("P", s.fd, "link"), 0);
        cr_expect_neq(put(&cfg, "link/f", "x", &size, &e), RC_OK);
        cr_expect_eq(scratch_count(&s, "P"), 1);
        scratch_free(&s);
    }
}

struct seen {
    char text[64];
    enum rc check, finish;
};

static enum rc check(void *arg, const char *data, size_t n, struct err *e)
{
    struct seen *seen = arg;
    size_t at = strlen(seen->text);
    (void)snprintf(seen->text + at, sizeof seen->text - at, "%.*s", (int)n, data);
    return seen->check == RC_OK ? RC_OK : err_set(e, seen->check, "refused");
}

static enum rc finish(void *arg, struct err *e)
{
    struct seen *seen = arg;
    return seen->finish == RC_OK ? RC_OK : err_set(e, seen->finish, "refused at the end");
}

Test(put, the_check_sees_every_byte_and_may_refuse)
{
    struct scratch s = scratch_new();
    struct seen seen = {0};
    struct put_cfg cfg = {.fs = &fsio_system,
                          .root_fd = s.fd,
                          .size_max = 100,
                          .check = check,
                          .finish = finish,
                          .arg = &seen};
    uint64_t size;
    struct err e = {0};
    seen.check = RC_INVALID;
    cr_expect_eq(put(&cfg, "a", "bytes", &size, &e), RC_INVALID);
    seen.check = RC_OK;
    seen.finish = RC_FULL;
    cr_expect_eq(put(&cfg, "a", "bytes", &size, &e), RC_FULL);
    cr_expect_str_eq(e.text, "refused at the end");
    cr_expect_eq(scratch_count(&s, "."), 0);
    seen = (struct seen){0};
    cr_expect_eq(put(&cfg, "a", "bytes", &size, &e), RC_OK);
    cr_expect_str_eq(seen.text, "bytes");
    scratch_free(&s);
}

Test(put, whichever_call_fails_nothing_is_there_afterwards)
{
    struct fsio_ops old_ops = failing_ops;
    old_ops.open_beneath = no_tmpfile;
    const struct fsio_ops *const tables[] = {&failing_ops, &old_ops};
    for (size_t i = 0; i < 2; i++)
        for (int at = 1;; at++) {
            struct scratch s = scratch_new();
            struct failing failing = {.at = at, .result = -ENOSPC};
            const struct fsio fs = {tables[i], &failing};
            struct put_cfg cfg = {.fs = &fs, .root_fd = s.fd, .size_max = 100};
            uint64_t size;
            struct err e = {0};
            enum rc rc = put(&cfg, PATH, "bytes", &size, &e);
            cr_expect_eq(scratch_count(&s, DIR), rc == RC_OK ? 1 : 0, "table %zu, call %d", i, at);
            if (rc != RC_OK)
                cr_expect_neq(e.text[0], '\0');
            if (rc == RC_OK)
                cr_expect_str_eq(scratch_text(&s, PATH), "bytes");
            scratch_free(&s);
            if (failing.calls < at) {
                cr_expect_eq(rc, RC_OK);
                cr_expect_gt(at, 8);
                break;
            }
        }
}

static bool tidied_away(void *arg, const char *call)
{
    const struct scratch *s = arg;
    if (strcmp(call, "link_fd") == 0 && !scratch_has(s, "again")) {
        (void)mkdirat(s->fd, "again", 0755);
        cr_assert_eq(unlinkat(s->fd, DIR, AT_REMOVEDIR), 0);
    }
    return false;
}

Test(put, a_directory_that_is_tidied_away_meanwhile_is_made_again)
{
    struct scratch s = scratch_new();
    struct failing failing = {.before = tidied_away, .arg = &s};
    const struct fsio fs = {&failing_ops, &failing};
    struct put_cfg cfg = {.fs = &fs, .root_fd = s.fd, .size_max = 100};
    uint64_t size;
    struct err e = {0};
    cr_expect_eq(put(&cfg, PATH, "bytes", &size, &e), RC_OK, "%s", e.text);
    cr_expect(scratch_has(&s, "again"));
    cr_expect_str_eq(scratch_text(&s, PATH), "bytes");
    scratch_free(&s);
}

/* Kill the command before its n-th call. */
static bool die(void *arg, const char *call)
{
    (void)call;
    int *left = arg;
    if (--*left == 0)
        (void)raise(SIGKILL);
    return false;
}

Test(put, killed_at_any_moment_it_leaves_nothing_or_the_whole_file)
{
    int status = 0;
    for (int at = 1; at == 1 || WIFSIGNALED(status); at++) {
        struct scratch s = scratch_new();
        pid_t child = fork();
        if (child == 0) {
            int left = at;
            struct failing failing = {.before = die, .arg = &left};
            const struct fsio fs = {&failing_ops, &failing};
            struct put_cfg cfg = {.fs = &fs, .root_fd = s.fd, .size_max = 100};
            uint64_t size;
            _exit(put(&cfg, PATH, "bytes", &size, NULL) == RC_OK ? 0 : 1);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        unsigned n = scratch_count(&s, DIR);
        cr_expect_leq(n, 1);
        if (n == 1)
            cr_expect_str_eq(scratch_text(&s, PATH), "bytes", "killed at call %d", at);
        if (WIFEXITED(status)) {
            cr_expect_eq(WEXITSTATUS(status), 0);
            cr_expect_eq(n, 1);
            cr_expect_gt(at, 8);
        }
        scratch_free(&s);
    }
}
