#include "spool/tidy.h"

#include "tests/unit/spool/scratch.h"

#define TODAY 20780 /* 2026-11-23 */

static unsigned tidy(const struct scratch *s, const char *template)
{
    struct layout *l;
    struct err e = {0};
    unsigned removed;
    cr_assert_eq(layout_new(template, "", &l, NULL), RC_OK);
    cr_assert_eq(tidy_dates(&fsio_system, s->fd, &(struct tidy){.layout = l, .today_days = TODAY},
                            &removed, &e),
                 RC_OK, "%s", e.text);
    layout_free(l);
    return removed;
}

Test(tidy, only_empty_directories_of_dates_two_days_past_go)
{
    struct scratch s = scratch_new();
    static const struct {
        const char *path;
        bool stays;
    } dirs[] = {
        {"P/audit/2026-11-20", false},
        {"P/audit/2026-11-21", false},
        {"P/audit/2026-11-22", true},
        {"P/audit/2026-11-23", true},
        {"P/audit/2026-11-24", true},
        {"P/findings/2020-02-29/a", false},
        {"P/findings/2020-02-29", false},
        {"P/findings/2020-02-28/a/b/c", false},
        {"P/findings/2020-02-28", false},
        {"P/findings/2020-02-27/full", true},
        {"P/findings/2020-02-27/empty", false},
        {"P/findings/2021-02-29", true},
        {"P/findings/2020-2-3", true},
        {"P/findings/other", true},
        {"P/empty", true},
        {"Q/audit/2026-11-20", true},
        {"P/2026-11-20", true},
        {"P/.hidden/2026-11-20", true},
        {".spoolgate/audit/2026-11-20", true},
    };
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        scratch_mkdirs(&s, dirs[i].path);
    scratch_write(&s, "P/findings/2020-02-27/full/f", "x");
    scratch_mkdirs(&s, "outside/2020-01-01");
    cr_assert_eq(symlinkat("../outside", s.fd, "P/linked"), 0);
    cr_assert_eq(symlinkat("../../outside", s.fd, "P/audit/2020-01-01"), 0);
    cr_expect_eq(tidy(&s, "P/{event_type}/{date}/{account}/{file}"), 2 + 2 + 4 + 1);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        cr_expect_eq(scratch_has(&s, dirs[i].path), dirs[i].stays, "%s", dirs[i].path);
    cr_expect(scratch_has(&s, "outside/2020-01-01"));
    cr_expect(scratch_has(&s, "P/audit/2020-01-01"));
    cr_expect_eq(tidy(&s, "P/{event_type}/{date}/{account}/{file}"), 0);
    scratch_free(&s);
}

Test(tidy, a_stop_ends_it)
{
    struct scratch s = scratch_new();
    struct layout *l = NULL;
    const atomic_bool stop = true;
    unsigned removed;
    cr_assert_eq(layout_new("{account}/{date}/{file}", "", &l, NULL), RC_OK);
    scratch_mkdirs(&s, "a/2020-01-01");
    const struct tidy what = {.layout = l, .today_days = TODAY, .stop = &stop};
    cr_expect_eq(tidy_dates(&fsio_system, s.fd, &what, &removed, NULL), RC_OK);
    cr_expect(removed == 0 && scratch_has(&s, "a/2020-01-01"));
    layout_free(l);
    scratch_free(&s);
}

Test(tidy, the_date_may_stand_first_or_nowhere)
{
    struct scratch s = scratch_new();
    scratch_mkdirs(&s, "2026-11-20/a");
    scratch_mkdirs(&s, "a/2026-11-20");
    cr_expect_eq(tidy(&s, "any"), 0);
    cr_expect_eq(tidy(&s, "{account}/{file}"), 0);
    cr_expect_eq(tidy(&s, "{date}/{file}"), 2);
    cr_expect(!scratch_has(&s, "2026-11-20"));
    cr_expect(scratch_has(&s, "a/2026-11-20"));
    scratch_free(&s);
}

Test(tidy, what_may_not_be_removed_is_told_and_the_rest_goes)
{
    struct scratch s = scratch_new();
    struct layout *l;
    struct err e = {0};
    unsigned removed;
    if (geteuid() != 0)
        cr_skip_test();
    scratch_mkdirs(&s, "a/2020-01-01");
    scratch_mkdirs(&s, "b/2020-01-01");
    cr_assert_eq(fchownat(s.fd, "b", 65534, 65534, 0), 0);
    cr_assert_eq(layout_new("{account}/{date}/{file}", "", &l, NULL), RC_OK);
    cr_assert_eq(seteuid(65534), 0);
    cr_expect_eq(tidy_dates(&fsio_system, s.fd, &(struct tidy){.layout = l, .today_days = TODAY},
                            &removed, &e),
                 RC_DENIED);
    cr_assert_eq(seteuid(0), 0);
    cr_expect_eq(removed, 1);
    cr_expect(scratch_has(&s, "a/2020-01-01"));
    cr_expect(strstr(e.text, "2020-01-01"), "%s", e.text);
    layout_free(l);
    scratch_free(&s);
}
