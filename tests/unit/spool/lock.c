#include "spool/lock.h"

#include "tests/unit/spool/scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

Test(lock, a_second_taker_is_told_who_has_it)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    int fd, other;
    char pid[32];
    scratch_write(&s, "lock", "99999999999999999999999999999999");
    cr_assert_eq(lock_take(s.fd, "lock", "/var/spool/x", &fd, &e), RC_OK, "%s", e.text);
    (void)snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    cr_expect_str_eq(scratch_text(&s, "lock"), pid);
    cr_expect_eq(lock_take(s.fd, "lock", "/var/spool/x", &other, &e), RC_AGAIN);
    (void)snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    cr_expect(strstr(e.text, pid), "%s", e.text);
    cr_expect(strstr(e.text, "/var/spool/x is in use"), "%s", e.text);
    (void)close(fd);
    cr_expect_eq(lock_take(s.fd, "lock", "x", &fd, &e), RC_OK);
    (void)close(fd);
    scratch_free(&s);
}

Test(lock, it_is_taken_though_nothing_can_be_written)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    int fd, other;
    (void)signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        if (i == 1)
            scratch_write(&s, "lock", "4711\n");
        const struct rlimit none = {0, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
        cr_assert_eq(lock_take(s.fd, "lock", "x", &fd, &e), RC_OK, "%s", e.text);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &any), 0);
        cr_expect_eq(lock_take(s.fd, "lock", "x", &other, &e), RC_AGAIN);
        cr_expect_not(strstr(e.text, "4711"), "the pid of one that ended: %s", e.text);
        (void)close(fd);
    }
    scratch_free(&s);
}

Test(lock, nobody_else_may_open_it_and_so_hold_it)
{
    struct scratch s = scratch_new();
    struct stat st;
    struct err e = {0};
    int fd;
    mode_t mask = umask(0);
    cr_assert_eq(lock_take(s.fd, "lock", "x", &fd, &e), RC_OK, "%s", e.text);
    (void)umask(mask);
    cr_assert(fstatat(s.fd, "lock", &st, 0) == 0 && (st.st_mode & 077) == 0);
    (void)close(fd);
    scratch_free(&s);
}

Test(lock, a_holder_that_was_killed_holds_nothing)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    int fd, ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)!write(ready[1], lock_take(s.fd, "lock", "x", &fd, NULL) == RC_OK ? "y" : "n", 1);
        for (;;)
            (void)pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_expect_eq(byte, 'y');
    cr_expect_eq(lock_take(s.fd, "lock", "x", &fd, &e), RC_AGAIN);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_expect_eq(lock_take(s.fd, "lock", "x", &fd, &e), RC_OK, "%s", e.text);
    (void)close(fd);
    scratch_free(&s);
}

Test(lock, what_is_no_regular_file_is_refused)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    int fd;
    cr_assert_eq(symlinkat("elsewhere", s.fd, "link"), 0);
    cr_assert_eq(mkfifoat(s.fd, "pipe", 0600), 0);
    cr_expect_neq(lock_take(s.fd, "link", "x", &fd, &e), RC_OK);
    cr_expect(!scratch_has(&s, "elsewhere"));
    cr_expect_eq(lock_take(s.fd, "pipe", "x", &fd, &e), RC_INVALID);
    scratch_free(&s);
}
