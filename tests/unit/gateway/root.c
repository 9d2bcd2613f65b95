/* The guard of the spool root: what it takes for the same, what it takes over, what it says. */
#include "gateway/root.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERIOD_MS = 20, PATIENCE = 1500 };

struct rig {
    struct loop *loop;
    struct loop_timer *tick;
    struct root_guard *guard;
    struct root held, other;
    char top[64], root[80], aside[80];
    char said[2000];
    unsigned looks_told; /* times that trouble was called */
    bool back;
};

static void on_trouble(void *arg, const char *why)
{
    struct rig *r = arg;
    r->looks_told++;
    r->back = !why;
    (void)snprintf(r->said, sizeof r->said, "%s", why ? why : "");
}

static void on_replaced(void *arg, const struct root *other)
{
    struct rig *r = arg;
    r->other = *other;
}

static void wake(void *arg)
{
    (void)arg;
}

/* Turn the loop so many times at most, until another root was taken. */
static void turn(struct rig *r, unsigned rounds)
{
    for (unsigned i = 0; i < rounds && r->other.fd < 0; i++) {
        loop_timer_set(r->tick, PERIOD_MS);
        while (loop_timer_is_set(r->tick))
            loop_step(r->loop, true);
    }
}

static void rig_init(struct rig *r)
{
    const char *tmp = getenv("TMPDIR");
    struct err e;
    *r = (struct rig){.other = {.fd = -1, .lock = -1}};
    (void)snprintf(r->top, sizeof r->top, "%.40s/root-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(r->top));
    (void)snprintf(r->root, sizeof r->root, "%s/spool", r->top);
    (void)snprintf(r->aside, sizeof r->aside, "%s/aside", r->top);
    cr_assert_eq(mkdir(r->root, 0755), 0);
    r->loop = loop_new();
    r->tick = loop_timer_new(r->loop, wake, NULL);
    cr_assert_eq(root_take(r->root, &r->held, &e), RC_OK, "%s", e.text);
    char path[80];
    (void)snprintf(path, sizeof path, "%s", r->root);
    r->guard = root_guard_new(&(struct root_guard_cfg){.loop = r->loop,
                                                       .path = path,
                                                       .period_ms = PERIOD_MS,
                                                       .trouble = on_trouble,
                                                       .replaced = on_replaced,
                                                       .arg = r});
    memset(path, 'x', sizeof path - 1); /* it has a copy */
    root_guard_watch(r->guard, &r->held);
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void rig_fini(struct rig *r)
{
    loop_timer_free(r->tick);
    root_guard_free(r->guard);
    root_close(&r->held);
    root_close(&r->other);
    loop_free(r->loop);
    cr_assert_eq(nftw(r->top, drop, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static bool is_at(const struct rig *r, const char *path)
{
    struct stat a, b;
    return r->other.fd >= 0 && fstat(r->other.fd, &a) == 0 && stat(path, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

Test(root, what_is_as_it_should_be_is_left_alone_and_one_put_back_is_told)
{
    struct rig r;
    rig_init(&r);
    turn(&r, 10);
    cr_assert_eq(r.other.fd, -1);
    cr_assert_eq(r.looks_told, 0);
    cr_assert_eq(rename(r.root, r.aside), 0);
    for (unsigned i = 0; i < PATIENCE && r.looks_told == 0; i++)
        turn(&r, 1);
    cr_assert_not_null(strstr(r.said, r.root), "%s", r.said);
    cr_assert_not_null(strstr(r.said, "No such file"), "%s", r.said);
    cr_assert_eq(rename(r.aside, r.root), 0);
    for (unsigned i = 0; i < PATIENCE && !r.back; i++)
        turn(&r, 1);
    cr_assert(r.back);
    cr_assert_eq(r.other.fd, -1);
    rig_fini(&r);
}

Test(root, another_directory_at_the_path_is_taken_and_locked)
{
    struct rig r;
    struct root second;
    struct err e;
    rig_init(&r);
    cr_assert_eq(rename(r.root, r.aside), 0);
    cr_assert_eq(mkdir(r.root, 0755), 0);
    turn(&r, PATIENCE);
    cr_assert(is_at(&r, r.root), "%s", r.said);
    cr_assert_eq(root_take(r.root, &second, &e), RC_AGAIN, "P10");
    cr_assert_eq(root_take(r.aside, &second, &e), RC_AGAIN,
                 "the old one is held until it is let go");
    cr_assert_eq(second.fd, -1);
    rig_fini(&r);
}

Test(root, without_the_name_of_its_lock_it_is_locked_anew)
{
    struct rig r;
    struct root second;
    struct err e;
    char lock[120];
    rig_init(&r);
    (void)snprintf(lock, sizeof lock, "%s/.spoolgate/lock", r.root);
    cr_assert_eq(unlink(lock), 0);
    turn(&r, PATIENCE);
    cr_assert(is_at(&r, r.root), "%s", r.said);
    cr_assert_eq(root_take(r.root, &second, &e), RC_AGAIN, "P10");
    rig_fini(&r);
}

Test(root, one_that_somebody_else_holds_is_waited_for)
{
    struct rig r;
    struct root second;
    struct err e;
    rig_init(&r);
    cr_assert_eq(rename(r.root, r.aside), 0);
    char made[120];
    (void)snprintf(made, sizeof made, "%s/made", r.top);
    cr_assert_eq(mkdir(made, 0755), 0);
    cr_assert_eq(root_take(made, &second, &e), RC_OK);
    cr_assert_eq(rename(made, r.root), 0);
    for (unsigned i = 0; i < PATIENCE && !strstr(r.said, "in use by another gateway"); i++)
        turn(&r, 1);
    cr_assert_not_null(strstr(r.said, "in use by another gateway"), "%s", r.said);
    cr_assert_eq(r.other.fd, -1);
    root_close(&second);
    turn(&r, PATIENCE);
    cr_assert(is_at(&r, r.root), "%s", r.said);
    rig_fini(&r);
}
