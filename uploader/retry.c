/* Back-off, breaker, concurrency: three small machines over numbers. No clock and no randomness of
 * their own, so every case can be a row of a table.
 */
#include "uploader/retry.h"

#define DELAY_FIRST_MS   UINT64_C(1000)
#define DELAY_MAX_MS     UINT64_C(30000)
#define PROBE_REFUSED_MS UINT64_C(30000)
#define OPEN_AFTER       5u
/* A probe is one request of a whole gateway, so its back-off need not grow as far as a file's: an
 * outage's end is noticed within 8 s. */
#define PROBE_ROUND_MAX  4u
#define CUT_MIN_MS       UINT64_C(100)
#define CUT_MAX_MS       UINT64_C(1000)
#define LATENCY_NOISE_US UINT64_C(50000)
#define LATENCY_TIMES    4
#define LATE_ROUNDS      16u

uint64_t retry_delay_ms(unsigned failures, uint64_t floor_ms, const struct random_source *rnd)
{
    unsigned doublings = failures > 0 ? failures - 1 : 0;
    uint64_t ceiling = doublings < 5 ? DELAY_FIRST_MS << doublings : DELAY_MAX_MS;
    uint64_t delay = rnd->below(rnd->arg, (uint32_t)ceiling + 1);

    return delay > floor_ms ? delay : floor_ms;
}

void breaker_init(struct breaker *b)
{
    *b = (struct breaker){.state = BREAKER_CLOSED};
}

static void open_until(struct breaker *b, uint64_t now_ms, uint64_t probe_at_ms)
{
    if (b->state == BREAKER_CLOSED)
        b->opened_ms = now_ms;
    b->state = BREAKER_OPEN;
    b->probe_at_ms = probe_at_ms;
}

/* While it is open, answers still come from uploads that had started before: they tell nothing new,
 * so they neither count nor lengthen the back-off; only a Retry-After moves the probe. */
static void tell_failure(struct breaker *b, uint64_t now_ms, uint64_t floor_ms,
                         const struct random_source *rnd)
{
    if (b->state == BREAKER_OPEN) {
        if (b->probe_at_ms < now_ms + floor_ms)
            b->probe_at_ms = now_ms + floor_ms;
        return;
    }
    if (b->failures < UINT32_MAX)
        b->failures++;
    if (b->state == BREAKER_PROBING || b->failures >= OPEN_AFTER) {
        unsigned round = b->failures > OPEN_AFTER ? b->failures - OPEN_AFTER + 1 : 1;
        round = round < PROBE_ROUND_MAX ? round : PROBE_ROUND_MAX;

        open_until(b, now_ms, now_ms + retry_delay_ms(round, floor_ms, rnd));
    }
}

static void tell_refusal(struct breaker *b, uint64_t now_ms, uint64_t floor_ms)
{
    uint64_t wait = floor_ms > PROBE_REFUSED_MS ? floor_ms : PROBE_REFUSED_MS;

    if (b->state == BREAKER_OPEN && b->probe_at_ms >= now_ms + wait)
        return;
    if (b->failures < UINT32_MAX)
        b->failures++;
    open_until(b, now_ms, now_ms + wait);
}

void breaker_tell(struct breaker *b, enum breaker_event ev, uint64_t now_ms, uint64_t floor_ms,
                  const struct random_source *rnd)
{
    switch (ev) {
    case BREAKER_SUCCESS:
        b->state = BREAKER_CLOSED;
        b->failures = 0;
        break;
    case BREAKER_FAILURE:
        tell_failure(b, now_ms, floor_ms, rnd);
        break;
    case BREAKER_REFUSAL:
        tell_refusal(b, now_ms, floor_ms);
        break;
    case BREAKER_KICK:
        if (b->state != BREAKER_CLOSED)
            open_until(b, now_ms, now_ms);
        break;
    }
}

bool breaker_allows(struct breaker *b, uint64_t now_ms)
{
    if (b->state == BREAKER_OPEN && now_ms >= b->probe_at_ms) {
        b->state = BREAKER_PROBING;
        return true;
    }
    return b->state == BREAKER_CLOSED;
}

uint64_t breaker_wait_ms(const struct breaker *b, uint64_t now_ms)
{
    switch (b->state) {
    case BREAKER_CLOSED:
        return 0;
    case BREAKER_OPEN:
        return b->probe_at_ms > now_ms ? b->probe_at_ms - now_ms : 0;
    case BREAKER_PROBING:
        break;
    }
    return UINT64_MAX;
}

/* It begins at the maximum: the usual store takes it, and one that does not says so at once. */
void concurrency_init(struct concurrency *c, unsigned max)
{
    *c = (struct concurrency){.max = max ? max : 1, .now = max ? max : 1};
}

/* Best latency is forgotten slowly, so that a store that became slower for good is not compared
 * with its youth for ever. Answers far slower than the best mean that a queue has built up
 * somewhere: they do not lower the number (large objects take long, too), but nothing is added. */
void concurrency_good(struct concurrency *c, uint64_t latency_us)
{
    if (c->best_latency_us == 0 || latency_us < c->best_latency_us)
        c->best_latency_us = latency_us;
    else
        c->best_latency_us += c->best_latency_us / 1024 + 1;
    if (c->now >= c->max)
        return;
    if (latency_us > LATENCY_NOISE_US && latency_us / LATENCY_TIMES > c->best_latency_us)
        return;
    if (++c->good < (c->now + 1 == c->too_many ? LATE_ROUNDS * c->now : c->now))
        return;
    c->good = 0;
    if (++c->now == c->too_many)
        c->too_many = 0;
}

void concurrency_throttled(struct concurrency *c, uint64_t now_ms)
{
    uint64_t round_trip_ms = c->best_latency_us / 1000;

    if (now_ms < c->held_until_ms)
        return;
    if (c->now > 1)
        c->too_many = c->now;
    c->now = c->now > 1 ? c->now / 2 : 1;
    c->good = 0;
    if (round_trip_ms < CUT_MIN_MS)
        round_trip_ms = CUT_MIN_MS;
    c->held_until_ms = now_ms + (round_trip_ms < CUT_MAX_MS ? round_trip_ms : CUT_MAX_MS);
}
