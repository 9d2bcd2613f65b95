#include "spool/admit.h"

#include "base/clock.h"

#include "tests/unit/spool/scratch.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define GOOD   "P/audit/2026-11-23/acct/"
#define LAYOUT "P/{event_type}/{date}/{account}/{file}"
#define SETTLE 1000
#define LATER  (clock_wall_now_ns() + 3 * CLOCK_NS_PER_S / 2)
#define OBJECT "{\"a\":1}\n"

static bool wants(void *arg, const char *event_type, size_t n)
{
    (void)arg;
    return !(n == 3 && memcmp(event_type, "any", 3) == 0);
}

struct admission {
    struct scratch s;
    struct layout *layout;
    struct admit_cfg cfg;
    struct admit_result r;
};

static void set_up(struct admission *a)
{
    a->s = scratch_new();
    cr_assert_eq(layout_new(LAYOUT, "", &a->layout, NULL), RC_OK);
    a->cfg = (struct admit_cfg){
        .fs = &fsio_system,
        .root_fd = a->s.fd,
        .layout = a->layout,
        .settle_ms = SETTLE,
        .size_max = 1 << 20,
        .wants_ndjson = wants,
    };
}

static void tear_down(struct admission *a)
{
    layout_free(a->layout);
    scratch_free(&a->s);
}

/* When the file last changed, by its own account: nothing runs on meanwhile. */
static int64_t changed(const struct admission *a, const char *path)
{
    struct stat st;
    cr_assert_eq(fstatat(a->s.fd, path, &st, 0), 0);
    return st.st_ctim.tv_sec * CLOCK_NS_PER_S + st.st_ctim.tv_nsec;
}

static enum admit_verdict look(struct admission *a, const char *path, enum admit_trust trust,
                               int64_t now)
{
    admit_file(&a->cfg, path, strlen(path), trust, now, &a->r);
    return a->r.verdict;
}

Test(admit, a_finished_file_is_admitted_with_its_identity_and_its_fields)
{
    struct admission a;
    struct stat st;
    set_up(&a);
    scratch_write(&a.s, GOOD "f", OBJECT);
    cr_assert_eq(look(&a, GOOD "f", ADMIT_MOVED, clock_wall_now_ns()), ADMIT_OK, "%s",
                 a.r.err.text);
    cr_assert_eq(fstatat(a.s.fd, GOOD "f", &st, 0), 0);
    cr_expect_eq(a.r.id.ino, st.st_ino);
    cr_expect_eq(a.r.id.dev, st.st_dev);
    cr_expect_eq(a.r.id.size, strlen(OBJECT));
    cr_expect_eq(a.r.match.event_type.n, 5);
    cr_expect_eq(a.r.match.days, 20780);
    scratch_write(&a.s, "P/any/2026-11-23/acct/bin", "\xff\xff");
    cr_expect_eq(look(&a, "P/any/2026-11-23/acct/bin", ADMIT_MOVED, LATER), ADMIT_OK);
    scratch_write(&a.s, "P/any/2026-11-23/acct/empty", "");
    cr_expect_eq(look(&a, "P/any/2026-11-23/acct/empty", ADMIT_MOVED, LATER), ADMIT_OK);
    tear_down(&a);
}

Test(admit, what_is_no_regular_file_is_rejected_with_a_sentence)
{
    struct admission a;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    set_up(&a);
    scratch_mkdirs(&a.s, GOOD "dir");
    scratch_write(&a.s, GOOD "target", OBJECT);
    cr_assert_eq(symlinkat("target", a.s.fd, GOOD "link"), 0);
    cr_assert_eq(symlinkat("/nowhere", a.s.fd, GOOD "dangling"), 0);
    cr_assert_eq(mkfifoat(a.s.fd, GOOD "fifo", 0644), 0);
    cr_assert_eq(chdir(a.s.path), 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "s");
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(sock, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(renameat(a.s.fd, "s", a.s.fd, GOOD "socket"), 0);
    static const struct {
        const char *name, *says;
    } cases[] = {
        {GOOD "link", "a symbolic link is never followed"},
        {GOOD "dangling", "a symbolic link is never followed"},
        {GOOD "fifo", "a named pipe"},
        {GOOD "socket", "a socket"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(look(&a, cases[i].name, ADMIT_MOVED, LATER), ADMIT_REJECT, "%s",
                     cases[i].name);
        cr_expect_str_eq(a.r.err.code, "kind");
        cr_expect(strstr(a.r.err.text, cases[i].says), "%s", a.r.err.text);
        cr_expect(strstr(a.r.err.text, "write or move a regular file there"));
    }
    if (mknodat(a.s.fd, GOOD "device", S_IFCHR | 0644, makedev(1, 3)) == 0) {
        cr_expect_eq(look(&a, GOOD "device", ADMIT_MOVED, LATER), ADMIT_REJECT);
        cr_expect(strstr(a.r.err.text, "a device is never read"), "%s", a.r.err.text);
    }
    cr_expect_eq(look(&a, GOOD "dir", ADMIT_MOVED, LATER), ADMIT_GONE);
    cr_expect_eq(look(&a, GOOD "absent", ADMIT_MOVED, LATER), ADMIT_GONE);
    cr_expect_eq(look(&a, GOOD "target/below", ADMIT_MOVED, LATER), ADMIT_GONE);
    cr_expect_eq(look(&a, "../x", ADMIT_MOVED, LATER), ADMIT_GONE);
    /* A directory on the way that is a link leads nowhere, not even within the root. */
    cr_assert_eq(symlinkat("audit", a.s.fd, "P/linked"), 0);
    cr_expect_eq(look(&a, "P/linked/2026-11-23/acct/target", ADMIT_MOVED, LATER), ADMIT_GONE);
    (void)close(sock);
    tear_down(&a);
}

Test(admit, a_second_link_is_waited_for_and_then_rejected)
{
    struct admission a;
    set_up(&a);
    scratch_write(&a.s, GOOD "f", OBJECT);
    cr_assert_eq(linkat(a.s.fd, GOOD "f", a.s.fd, "other", 0), 0);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, changed(&a, GOOD "f")), ADMIT_LINKED);
    cr_expect(a.r.wait_ms > 0 && a.r.wait_ms <= 1000);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect_str_eq(a.r.err.code, "links");
    cr_assert_eq(unlinkat(a.s.fd, "other", 0), 0);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, LATER), ADMIT_OK);
    tear_down(&a);
}

Test(admit, a_writer_is_waited_for)
{
    struct admission a;
    set_up(&a);
    scratch_write(&a.s, GOOD "f", OBJECT);
    int fd = openat(a.s.fd, GOOD "f", O_WRONLY | O_APPEND);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, LATER), ADMIT_BUSY);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_QUIET, LATER), ADMIT_BUSY);
    /* A misfit is not moved away from under its writer either. */
    cr_assert_eq(renameat(a.s.fd, GOOD "f", a.s.fd, "f"), 0);
    cr_expect_eq(look(&a, "f", ADMIT_MOVED, LATER), ADMIT_BUSY);
    (void)close(fd);
    cr_expect_eq(look(&a, "f", ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect_str_eq(a.r.err.code, "depth");
    tear_down(&a);
}

Test(admit, what_was_written_in_place_must_be_quiet_and_a_wrong_clock_does_not_hold_it_for_ever)
{
    struct admission a;
    set_up(&a);
    scratch_write(&a.s, GOOD "f", OBJECT);
    /* A future mtime says nothing. */
    static const struct timespec times[][2] = {
        {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}},
        {{.tv_sec = 7258118400}, {.tv_sec = 7258118400}},
    };
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(utimensat(a.s.fd, GOOD "f", times[i], 0), 0);
        int64_t then = changed(&a, GOOD "f");
        static const struct {
            int64_t after_ms;
            enum admit_verdict verdict;
            uint64_t wait_ms;
        } cases[] = {
            {0, ADMIT_FRESH, 1000},     {1, ADMIT_FRESH, 999}, {999, ADMIT_FRESH, 1},
            {1000, ADMIT_OK, 0},        {100000, ADMIT_OK, 0}, {-1, ADMIT_FRESH, 1001},
            {-1000, ADMIT_FRESH, 2000}, {-1001, ADMIT_OK, 0},  {-86400000, ADMIT_OK, 0},
        };
        for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
            int64_t now = then + cases[k].after_ms * CLOCK_NS_PER_MS;
            cr_expect_eq(look(&a, GOOD "f", ADMIT_QUIET, now), cases[k].verdict, "%zu %zu", i, k);
            cr_expect_eq(a.r.wait_ms, cases[k].wait_ms, "%zu %zu: %llu", i, k,
                         (unsigned long long)a.r.wait_ms);
            cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, now), ADMIT_OK);
        }
    }
    tear_down(&a);
}

Test(admit, what_got_its_name_after_its_last_byte_need_not_be_quiet)
{
    struct admission a;
    set_up(&a);
    scratch_write(&a.s, GOOD "f.tmp", OBJECT);
    cr_expect_eq(look(&a, GOOD "f.tmp", ADMIT_QUIET, changed(&a, GOOD "f.tmp")), ADMIT_FRESH);
    (void)usleep(20000); /* past the tick of the coarsest clock */
    cr_assert_eq(renameat(a.s.fd, GOOD "f.tmp", a.s.fd, GOOD "f"), 0);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_QUIET, changed(&a, GOOD "f")), ADMIT_OK);
    int fd = openat(a.s.fd, GOOD "f", O_WRONLY | O_APPEND);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_QUIET, changed(&a, GOOD "f")), ADMIT_BUSY, "but closed");
    cr_assert_eq(write(fd, "{}\n", 3), 3);
    cr_assert_eq(close(fd), 0);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_QUIET, changed(&a, GOOD "f")), ADMIT_FRESH);
    tear_down(&a);
}

Test(admit, contents_and_size_are_held_against_the_rules)
{
    struct admission a;
    set_up(&a);
    scratch_write(&a.s, GOOD "bad", "{}\n{}\n{\"a\":}\n");
    cr_expect_eq(look(&a, GOOD "bad", ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect_str_eq(a.r.err.code, "content");
    cr_expect_str_eq(a.r.err.text, "line 3, column 6: expected a value, found '}'");
    scratch_write(&a.s, GOOD "empty", "");
    cr_expect_eq(look(&a, GOOD "empty", ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect(strstr(a.r.err.text, "empty"));
    scratch_write(&a.s, GOOD "big", OBJECT);
    int fd = openat(a.s.fd, GOOD "big", O_WRONLY);
    cr_assert_eq(ftruncate(fd, 1 + (1 << 20)), 0);
    (void)close(fd);
    cr_expect_eq(look(&a, GOOD "big", ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect_str_eq(a.r.err.code, "size");
    cr_expect(strstr(a.r.err.text, "1048577"), "%s", a.r.err.text);
    tear_down(&a);
}

Test(admit, large_contents_are_left_unread_where_that_is_asked_for_and_nothing_else_is)
{
    static const struct {
        const char *path, *data;
        enum admit_verdict first, then;
    } cases[] = {
        {GOOD "good", "{\"a\":1}\n{\"b\":2}\n", ADMIT_LARGE, ADMIT_OK},
        {GOOD "bad", "{\"a\":1}\n{\"b\":}\n", ADMIT_LARGE, ADMIT_REJECT},
        {GOOD "just", "{\"a\":10000}\n", ADMIT_LARGE, ADMIT_OK},
        {GOOD "small", "{\"a\":1000}\n", ADMIT_OK, ADMIT_OK},
        {GOOD "small-bad", "{\"a\":}\n", ADMIT_REJECT, ADMIT_REJECT},
        {"P/any/2026-11-23/acct/f", "{\"a\":1}\n{\"b\":}\n", ADMIT_OK, ADMIT_OK},
        {"misfit", "{\"a\":1}\n{\"b\":2}\n", ADMIT_REJECT, ADMIT_REJECT},
    };
    struct admission a;
    set_up(&a);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scratch_write(&a.s, cases[i].path, cases[i].data);
        a.cfg.large_min = 12;
        cr_expect_eq(look(&a, cases[i].path, ADMIT_MOVED, LATER), cases[i].first, "%s",
                     cases[i].path);
        cr_expect_eq(a.r.id.size, strlen(cases[i].data));
        a.cfg.large_min = 0;
        cr_expect_eq(look(&a, cases[i].path, ADMIT_MOVED, LATER), cases[i].then, "%s",
                     cases[i].path);
    }
    a.cfg.large_min = a.cfg.size_max = 4;
    cr_expect_eq(look(&a, GOOD "good", ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect_str_eq(a.r.err.code, "size", "what is too large is not read at all");
    tear_down(&a);
}

/* A file system in which the file changes while it is read. */
static ssize_t pread_and_change(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    struct admission *a = ctx;
    ssize_t got = fsio_system.ops->pread(NULL, fd, data, n, offset);
    int out = openat(a->s.fd, GOOD "f", O_WRONLY | O_APPEND);
    cr_assert_eq(write(out, "x", 1), 1);
    (void)close(out);
    return got;
}

static ssize_t pread_fails(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    (void)ctx;
    (void)fd;
    (void)data;
    (void)n;
    (void)offset;
    return -EIO;
}

Test(admit, a_file_that_changes_while_it_is_read_is_fresh_and_one_that_cannot_be_read_an_error)
{
    struct admission a;
    struct fsio_ops ops = *fsio_system.ops;
    struct fsio changing = {&ops, &a};
    set_up(&a);
    ops.pread = pread_and_change;
    a.cfg.fs = &changing;
    scratch_write(&a.s, GOOD "f", OBJECT);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, LATER), ADMIT_FRESH);
    cr_expect_eq(a.r.wait_ms, SETTLE);
    ops.pread = pread_fails;
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, LATER), ADMIT_ERROR);
    cr_expect(strstr(a.r.err.text, "cannot read"), "%s", a.r.err.text);
    tear_down(&a);
}

Test(admit, a_refusal_names_what_refuses_its_owner_its_mode_and_the_remedy,
     .description = "needs root, to become somebody else")
{
    struct admission a;
    if (geteuid() != 0)
        cr_skip_test();
    set_up(&a);
    scratch_write(&a.s, GOOD "own", OBJECT);
    scratch_write(&a.s, GOOD "f", OBJECT);
    scratch_write(&a.s, "P/shut/2026-11-23/acct/f", OBJECT);
    cr_assert_eq(fchmodat(a.s.fd, GOOD "f", 0600, 0), 0);
    cr_assert_eq(fchmodat(a.s.fd, "P/shut", 0700, 0), 0);
    cr_assert_eq(mkfifoat(a.s.fd, GOOD "fifo", 0600), 0);
    cr_assert_eq(setgroups(0, NULL), 0);
    cr_assert_eq(setegid(65534), 0);
    cr_assert_eq(seteuid(65534), 0);
    cr_expect_eq(look(&a, GOOD "f", ADMIT_MOVED, LATER), ADMIT_DENIED);
    cr_expect_eq(a.r.err.rc, RC_DENIED);
    cr_expect(strstr(a.r.err.text, GOOD "f may not be read (owner uid 0, gid 0, mode 0600)"), "%s",
              a.r.err.text);
    cr_expect(strstr(a.r.err.text, "chmod g+r"), "%s", a.r.err.text);
    cr_expect_eq(look(&a, "P/shut/2026-11-23/acct/f", ADMIT_MOVED, LATER), ADMIT_DENIED);
    cr_expect(strstr(a.r.err.text,
                     "the directory P/shut may not be entered (owner uid 0, gid 0, mode 0700)"),
              "%s", a.r.err.text);
    cr_expect_eq(look(&a, GOOD "fifo", ADMIT_MOVED, LATER), ADMIT_REJECT, "a kind is a kind");
    /* Another's file, and no right to ask for a lease: only time tells, moved or not. */
    cr_expect_eq(look(&a, GOOD "own", ADMIT_MOVED, changed(&a, GOOD "own")), ADMIT_FRESH);
    cr_expect_eq(look(&a, GOOD "own", ADMIT_MOVED, LATER), ADMIT_OK);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(setegid(0), 0);
    tear_down(&a);
}

Test(admit, a_path_longer_than_the_kernel_takes_is_rejected_as_too_long)
{
    struct admission a;
    char path[6000] = "";
    set_up(&a);
    int at = dup(a.s.fd);
    for (int i = 0; i < 22; i++) {
        char name[251];
        memset(name, 'd', 250);
        name[250] = '\0';
        (void)snprintf(path + strlen(path), sizeof path - strlen(path), "%s/", name);
        cr_assert_eq(mkdirat(at, name, 0755), 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY);
        (void)close(at);
        at = next;
    }
    (void)snprintf(path + strlen(path), sizeof path - strlen(path), "f");
    int fd = openat(at, "f", O_WRONLY | O_CREAT, 0644);
    (void)close(fd);
    (void)close(at);
    cr_expect_eq(look(&a, path, ADMIT_MOVED, LATER), ADMIT_REJECT);
    cr_expect_str_eq(a.r.err.code, "too-long");
    tear_down(&a);
}
