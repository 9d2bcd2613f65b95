#include "uploader/retry.h"

#include <criterion/criterion.h>

static uint32_t top(void *arg, uint32_t bound)
{
    (void)arg;
    return bound - 1;
}

static uint32_t zero(void *arg, uint32_t bound)
{
    (void)arg;
    (void)bound;
    return 0;
}

static const struct random_source longest = {top, NULL}, shortest = {zero, NULL};

Test(retry, the_delay_is_anything_up_to_a_ceiling_that_doubles_to_30_s_and_at_least_the_floor)
{
    static const struct {
        unsigned failures;
        uint64_t floor_ms, least, most;
    } rows[] = {
        {0, 0, 0, 1000},           {1, 0, 0, 1000},     {2, 0, 0, 2000},
        {3, 0, 0, 4000},           {4, 0, 0, 8000},     {5, 0, 0, 16000},
        {6, 0, 0, 30000},          {7, 0, 0, 30000},    {1000, 0, 0, 30000},
        {UINT32_MAX, 0, 0, 30000}, {1, 500, 500, 1000}, {1, 60000, 60000, 60000},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_expect_eq(retry_delay_ms(rows[i].failures, rows[i].floor_ms, &shortest), rows[i].least,
                     "row %zu", i);
        cr_expect_eq(retry_delay_ms(rows[i].failures, rows[i].floor_ms, &longest), rows[i].most,
                     "row %zu", i);
    }
}

/* A breaker's life, one event a row. ask: breaker_allows first. */
struct step {
    uint64_t now_ms;
    bool ask, allowed;
    int event; /* -1: none */
    uint64_t floor_ms;
    enum breaker_state state;
    uint64_t wait_ms;
};

static void live(const char *name, const struct step *steps, size_t n)
{
    struct breaker b;

    breaker_init(&b);
    for (size_t i = 0; i < n; i++) {
        const struct step *s = &steps[i];

        if (s->ask)
            cr_expect_eq(breaker_allows(&b, s->now_ms), s->allowed, "%s, step %zu", name, i);
        if (s->event >= 0)
            breaker_tell(&b, (enum breaker_event)s->event, s->now_ms, s->floor_ms, &longest);
        cr_expect_eq(b.state, s->state, "%s, step %zu: state %d", name, i, (int)b.state);
        cr_expect_eq(breaker_wait_ms(&b, s->now_ms), s->wait_ms, "%s, step %zu: waits %llu", name,
                     i, (unsigned long long)breaker_wait_ms(&b, s->now_ms));
    }
}
#define LIVE(steps) live(#steps, steps, sizeof(steps) / sizeof(*steps))

Test(retry, the_breaker_opens_after_five_failures_in_a_row_and_lets_one_probe_through_at_a_time)
{
    static const struct step passing[] = {
        {0, true, true, BREAKER_FAILURE, 0, BREAKER_CLOSED, 0},
        {0, true, true, BREAKER_FAILURE, 0, BREAKER_CLOSED, 0},
        {0, true, true, BREAKER_SUCCESS, 0, BREAKER_CLOSED, 0}, /* not in a row any more */
        {0, true, true, BREAKER_FAILURE, 0, BREAKER_CLOSED, 0},
        {0, true, true, BREAKER_FAILURE, 0, BREAKER_CLOSED, 0},
        {0, true, true, BREAKER_FAILURE, 0, BREAKER_CLOSED, 0},
        {0, true, true, BREAKER_FAILURE, 0, BREAKER_CLOSED, 0},
        {100, true, true, BREAKER_FAILURE, 0, BREAKER_OPEN, 1000},
        {200, true, false, BREAKER_FAILURE, 0, BREAKER_OPEN, 900}, /* stragglers change nothing */
        {200, true, false, BREAKER_FAILURE, 5000, BREAKER_OPEN, 5000}, /* but a Retry-After does */
        {5200, true, true, -1, 0, BREAKER_PROBING, UINT64_MAX},
        {5200, true, false, BREAKER_FAILURE, 0, BREAKER_OPEN, 2000},
        {7200, true, true, BREAKER_FAILURE, 0, BREAKER_OPEN, 4000},
        {11200, true, true, BREAKER_SUCCESS, 0, BREAKER_CLOSED, 0},
        {11200, true, true, -1, 0, BREAKER_CLOSED, 0},
    };
    static const struct step refused[] = {
        {0, true, true, BREAKER_REFUSAL, 0, BREAKER_OPEN, 30000},
        {10, false, false, BREAKER_FAILURE, 0, BREAKER_OPEN, 29990},
        {30000, true, true, BREAKER_REFUSAL, 0, BREAKER_OPEN, 30000},
        {30001, true, false, BREAKER_KICK, 0, BREAKER_OPEN, 0},
        {30001, true, true, -1, 0, BREAKER_PROBING, UINT64_MAX},
        {30002, true, false, BREAKER_KICK, 0, BREAKER_OPEN, 0}, /* the probe came to nothing */
        {30002, true, true, BREAKER_SUCCESS, 0, BREAKER_CLOSED, 0},
        {30003, false, false, BREAKER_KICK, 0, BREAKER_CLOSED, 0},
    };

    LIVE(passing);
    LIVE(refused);
}

Test(retry, concurrency_is_halved_on_throttling_once_a_round_trip_and_grows_by_one_a_round)
{
    struct concurrency c;

    concurrency_init(&c, 32);
    cr_assert_eq(c.now, 32);
    concurrency_good(&c, 20000);
    concurrency_throttled(&c, 1000);
    cr_expect_eq(c.now, 16);
    concurrency_throttled(&c, 1050); /* the same wave */
    cr_expect_eq(c.now, 16);
    concurrency_throttled(&c, 1100);
    cr_expect_eq(c.now, 8);
    for (int i = 0; i < 8; i++)
        concurrency_good(&c, 20000);
    cr_expect_eq(c.now, 9);
    for (int i = 0; i < 100; i++) /* far slower than the best: nothing is added */
        concurrency_good(&c, 900000);
    cr_expect_eq(c.now, 9);
    for (int i = 0; i < 10000; i++)
        concurrency_good(&c, 20000);
    cr_expect_eq(c.now, 32);
    for (uint64_t now = 10000; now < 20000; now += 1000)
        concurrency_throttled(&c, now);
    cr_expect_eq(c.now, 1);
    concurrency_init(&c, 0);
    cr_expect_eq(c.now, 1);
}

/* A store that takes so many at once and no more is asked for more once in a while only. */
Test(retry, what_was_too_many_is_tried_again_but_late)
{
    static const unsigned limits[] = {1, 2, 5, 20};

    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        unsigned refused = 0, most = 0;
        struct concurrency c;

        concurrency_init(&c, 32);
        for (uint64_t now = 1000; now < 1000000; now += 1000 / c.now) {
            if (now > 100000 && c.now > most)
                most = c.now;
            if (c.now > limits[i]) {
                refused++;
                concurrency_throttled(&c, now);
            } else {
                concurrency_good(&c, 20000);
            }
        }
        cr_expect_eq(most, limits[i] + 1, "limit %u: %u at most", limits[i], most);
        cr_expect_lt(refused, 1000 * limits[i] / 10, "limit %u: %u refused", limits[i], refused);
    }
}
