/* The canary: it comes back, it is missed, it comes back again. */
#include "tests/unit/watcher/rig.h"

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
    r.cfg.canary_ms = 100;
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
    rig_turn(&r, 300);
    const char *said = strstr(r.trouble, "canary: no canary");
    cr_assert_not_null(said);
    cr_assert_null(strstr(said + 1, "canary: no"), "once: %s", r.trouble);

    late = false;
    cr_assert_eq(unlinkat(r.root_fd, ".spoolgate/canary", 0), 0);
    cr_assert(rig_until(&r, is_late, &late, RIG_PATIENCE_MS));
    cr_assert_not_null(strstr(r.trouble, "canary: the canary file came back"));
    cr_assert_eq(r.told_n, 0, "it is never told as a file");
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
