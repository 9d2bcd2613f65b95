/* The canary: it comes back, it is missed, it comes back again. */
#include "tests/unit/watcher/rig.h"
#include "watcher/watcher_int.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool came(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    const uint64_t *after = arg;
    watcher_stats(r->w, &st);
    return st.canary_last_ms > *after;
}

static bool is_late(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    watcher_stats(r->w, &st);
    return st.canary_late == *(const bool *)arg;
}

Test(canary, it_comes_back_is_missed_when_it_cannot_fly_and_comes_back_again)
{
    struct rig r;
    struct watcher_stats st;
    uint64_t never = 0;
    bool late = true;
    rig_init(&r);
    r.cfg.canary_ms = 1000; /* one is late that takes half of it */
    rig_mkdirs(&r, ".spoolgate/canary");
    rig_write(&r, ".spoolgate/canary/99", ""); /* left behind */
    rig_start(&r);
    cr_assert(rig_until(&r, came, &never, RIG_PATIENCE_MS));
    cr_assert_neq(faccessat(r.root_fd, ".spoolgate/canary/99", F_OK, 0), 0);
    watcher_stats(r.w, &st);
    cr_assert(rig_until(&r, came, &st.canary_last_ms, RIG_PATIENCE_MS));
    cr_assert_str_eq(r.trouble, "");

    rig_rename(&r, ".spoolgate/canary", ".spoolgate/old");
    rig_write(&r, ".spoolgate/canary", "in the way");
    cr_assert(rig_until(&r, is_late, &late, RIG_PATIENCE_MS));
    rig_turn(&r, 2500);
    const char *said = strstr(r.trouble, "canary: no canary");
    cr_assert_not_null(said);
    cr_assert_null(strstr(said + 1, "canary: no"), "once: %s", r.trouble);
    watcher_stats(r.w, &st);
    cr_assert(st.canary_grounded, "it proves nothing");
    cr_assert_eq(st.reopened, 0);

    late = false;
    cr_assert_eq(unlinkat(r.root_fd, ".spoolgate/canary", 0), 0);
    cr_assert(rig_until(&r, is_late, &late, RIG_PATIENCE_MS));
    cr_assert_not_null(strstr(r.trouble, "canary: the canary file came back"));
    cr_assert_eq(r.told_n, 0, "it is never told as a file");
    rig_fini(&r);
}

static bool is_reopened(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    watcher_stats(r->w, &st);
    return st.reopened >= *(const uint64_t *)arg && !st.canary_late;
}

Test(canary, when_inotify_tells_nothing_it_is_opened_anew_and_what_was_missed_is_drift)
{
    struct rig r;
    struct watcher_stats st;
    uint64_t never = 0, once = 1;
    int silent[2];
    rig_init(&r);
    r.cfg.canary_ms = 500;
    r.known_after = true;
    rig_mkdirs(&r, "a/b");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    cr_assert(rig_until(&r, came, &never, RIG_PATIENCE_MS));
    rig_write(&r, "a/b/missed", "{}\n");
    rig_write(&r, "a/b/young", "{}\n");
    rig_age(&r, "a/b/missed", 60);

    /* In the place of its descriptor: something from which nothing ever comes. */
    int fd = inotify_fd(((const struct watcher *)r.w)->inotify);
    cr_assert_eq(pipe2(silent, O_CLOEXEC | O_NONBLOCK), 0);
    cr_assert_eq(dup3(silent[0], fd, O_CLOEXEC), fd);
    cr_assert(rig_until(&r, is_reopened, &once, RIG_PATIENCE_MS), "%s", r.trouble);
    cr_assert(rig_told(&r, "a/b/missed"));
    cr_assert(rig_told(&r, "a/b/young"));
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.watches, st.directories);
    cr_assert_not_null(strstr(r.trouble, "reopened: inotify told nothing"), "%s", r.trouble);
    rig_arrive(&r, "a/b/heard");
    cr_assert(rig_told(&r, "a/b/heard"));
    cr_assert_eq(rig_last(&r, "a/b/heard")->source, WATCHER_EVENT);
    (void)close(silent[0]);
    (void)close(silent[1]);
    rig_fini(&r);
}

Test(canary, the_first_flies_at_once_and_only_once_in_a_period)
{
    struct rig r;
    struct watcher_stats st, later;
    uint64_t never = 0;
    rig_init(&r);
    r.cfg.canary_ms = 3600 * 1000;
    rig_start(&r);
    cr_assert(rig_until(&r, came, &never, RIG_PATIENCE_MS));
    watcher_stats(r.w, &st);
    rig_turn(&r, 100);
    watcher_stats(r.w, &later);
    cr_assert_eq(later.canary_last_ms, st.canary_last_ms);
    rig_fini(&r);
}

Test(canary, when_we_stood_still_it_is_not_inotify_that_is_blamed)
{
    enum { PERIOD_MS = 1000, STILL_MS = PERIOD_MS * 8 / 5 };
    struct rig r;
    struct watcher_stats st;
    uint64_t never = 0;
    rig_init(&r);
    r.cfg.canary_ms = PERIOD_MS;
    rig_start(&r);
    cr_assert(rig_until(&r, came, &never, RIG_PATIENCE_MS));
    (void)usleep(STILL_MS * 1000);
    watcher_stats(r.w, &st);
    cr_assert(rig_until(&r, came, &st.canary_last_ms, RIG_PATIENCE_MS));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.reopened, 0, "%s", r.trouble);
    rig_fini(&r);
}
