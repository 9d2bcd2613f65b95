/* The rings of the last hour and day. */
#include "gateway/history.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <string.h>

#define SECOND CLOCK_NS_PER_S
#define MINUTE (60 * SECOND)

/* 2026-11-23T08:00:30Z, while the monotonic clock says 1000 s. */
static const int64_t wall0 = INT64_C(1795420830) * CLOCK_NS_PER_S, mono0 = 1000 * CLOCK_NS_PER_S;

static json_t *points_of(const struct history *h, enum history_span span, int64_t passed)
{
    json_t *all = history_to_json(h, span, mono0 + passed, wall0 + passed);
    json_t *points = json_incref(json_object_get(all, "points"));
    json_decref(all);
    return points;
}

static json_int_t number(const json_t *points, size_t i, const char *name)
{
    return json_integer_value(json_object_get(json_array_get(points, i), name));
}

static json_int_t delivered(const json_t *points, size_t i, const char *type)
{
    return json_integer_value(
        json_object_get(json_object_get(json_array_get(points, i), "delivered"), type));
}

Test(history, counts_go_to_the_minute_in_which_they_grew)
{
    struct history *h = history_new(mono0, wall0);
    struct history_now now = {.oldest_age_ms = -1};
    unsigned findings = history_type(h, "findings", 8);
    cr_assert_eq(findings, history_type(h, "findings", 8));
    now.delivered[findings] = 5;
    now.delivered_bytes = 500;
    now.rejected = 1;
    history_add(h, mono0 + 1 * SECOND, &now);
    now.delivered[findings] = 7;
    now.backlog_files = 9;
    now.oldest_age_ms = 4000;
    history_add(h, mono0 + 31 * SECOND, &now); /* the next minute of the wall */
    now.backlog_files = 2;
    now.oldest_age_ms = 10;
    history_add(h, mono0 + 37 * SECOND, &now);
    json_t *p = points_of(h, HISTORY_HOUR, 40 * SECOND);
    cr_assert_eq(json_array_size(p), 60);
    cr_assert_eq(delivered(p, 58, "findings"), 5);
    cr_assert_eq(number(p, 58, "delivered_bytes"), 500);
    cr_assert_eq(number(p, 58, "rejected"), 1);
    cr_assert_eq(delivered(p, 59, "findings"), 2);
    cr_assert_eq(number(p, 59, "delivered_bytes"), 0);
    cr_assert_eq(number(p, 59, "backlog_files"), 9);
    cr_assert_eq(number(p, 59, "oldest_age_ms"), 4000);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(p, 59), "at")),
                     "2026-11-23T08:01:00.000Z");
    cr_assert(json_is_null(json_object_get(json_array_get(p, 57), "backlog_files")));
    json_decref(p);
    p = points_of(h, HISTORY_DAY, 40 * SECOND);
    cr_assert_eq(json_array_size(p), 96);
    cr_assert_eq(delivered(p, 95, "findings"), 7);
    cr_assert_eq(number(p, 95, "backlog_files"), 9);
    json_decref(p);
    history_free(h);
}

Test(history, what_is_older_than_the_span_is_gone_and_gaps_are_unknown)
{
    struct history *h = history_new(mono0, wall0);
    struct history_now now = {.oldest_age_ms = -1};
    now.delivered[history_type(h, "a", 1)] = 3;
    history_add(h, mono0, &now);
    json_t *p = points_of(h, HISTORY_HOUR, 59 * MINUTE);
    cr_assert_eq(delivered(p, 0, "a"), 3);
    cr_assert_eq(number(p, 0, "backlog_files"), 0);
    cr_assert(json_is_integer(json_object_get(json_array_get(p, 0), "backlog_files")));
    for (size_t i = 1; i < 60; i++)
        cr_assert(json_is_null(json_object_get(json_array_get(p, i), "backlog_files")));
    json_decref(p);
    p = points_of(h, HISTORY_HOUR, 60 * MINUTE); /* its place in the ring is asked for again */
    for (size_t i = 0; i < 60; i++)
        cr_assert_eq(delivered(p, i, "a"), 0);
    json_decref(p);
    history_add(h, mono0 + 60 * MINUTE, &now); /* nothing grew, and the old is not added to */
    p = points_of(h, HISTORY_HOUR, 60 * MINUTE);
    cr_assert_eq(delivered(p, 59, "a"), 0);
    json_decref(p);
    history_free(h);
}

Test(history, counters_that_begin_anew_count_from_nothing)
{
    struct history *h = history_new(mono0, wall0);
    struct history_now now = {.oldest_age_ms = -1, .rejected = 10};
    history_add(h, mono0, &now);
    now.rejected = 4;
    history_add(h, mono0 + SECOND, &now);
    json_t *p = points_of(h, HISTORY_HOUR, SECOND);
    cr_assert_eq(number(p, 59, "rejected"), 14);
    json_decref(p);
    history_free(h);
}

Test(history, a_seventeenth_event_type_is_one_of_the_others)
{
    struct history *h = history_new(mono0, wall0);
    struct history_now now = {.oldest_age_ms = -1};
    char name[300];
    for (int i = 0; i < HISTORY_TYPES_MAX; i++) {
        (void)snprintf(name, sizeof name, "type-%d", i);
        cr_assert_eq(history_type(h, name, strlen(name)), (unsigned)i);
    }
    cr_assert_eq(history_type(h, "one-more", 8), (unsigned)HISTORY_TYPES_MAX);
    cr_assert_eq(history_type(h, "type-3", 6), 3);
    memset(name, 'x', sizeof name);
    cr_assert_eq(history_type(h, name, sizeof name), (unsigned)HISTORY_TYPES_MAX);
    now.delivered[HISTORY_TYPES_MAX] = 6;
    history_add(h, mono0, &now);
    json_t *all = history_to_json(h, HISTORY_HOUR, mono0, wall0);
    cr_assert_eq(json_array_size(json_object_get(all, "event_types")), HISTORY_TYPES_MAX + 1);
    cr_assert_eq(delivered(json_object_get(all, "points"), 59, "other"), 6);
    json_decref(all);
    history_free(h);
}

Test(history, quantiles_lie_in_the_bucket_that_holds_them)
{
    struct history *h = history_new(mono0, wall0);
    struct history_now now = {.oldest_age_ms = -1};
    for (int i = 0; i < 99; i++)
        histogram_add(&now.journey, &histogram_journey, 60 * 1000);
    histogram_add(&now.journey, &histogram_journey, UINT64_C(7000) * 1000 * 1000);
    history_add(h, mono0, &now);
    json_t *p = points_of(h, HISTORY_HOUR, 0);
    cr_assert(number(p, 59, "p50_ms") > 50 && number(p, 59, "p50_ms") <= 100);
    cr_assert(number(p, 59, "p99_ms") > 50 && number(p, 59, "p99_ms") <= 100);
    json_decref(p);
    for (int i = 0; i < 9; i++) /* past the last bound */
        histogram_add(&now.journey, &histogram_journey, UINT64_C(100000) * 1000 * 1000);
    history_add(h, mono0, &now);
    p = points_of(h, HISTORY_HOUR, 0);
    cr_assert_eq(number(p, 59, "p99_ms"), 86400000);
    json_decref(p);
    history_free(h);
}

Test(history, a_span_is_hour_or_day)
{
    enum history_span span = HISTORY_HOUR;
    cr_assert(history_parse_span("day", &span));
    cr_assert_eq(span, HISTORY_DAY);
    cr_assert(history_parse_span("hour", &span));
    cr_assert_eq(span, HISTORY_HOUR);
    cr_assert_not(history_parse_span("", &span));
    cr_assert_not(history_parse_span("days", &span));
}
