/* When to try again, and whether to try at all: back-off with full jitter, the circuit breaker of
 * the destination, and the number of uploads that may be under way. Pure: time and randomness are
 * arguments.
 */
#ifndef UPLOADER_RETRY_H
#define UPLOADER_RETRY_H

#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

/* Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): uniform in
 * [0, min(30 s, 1 s * 2^(failures-1))], at least floor_ms (a Retry-After). failures from 1. */
uint64_t retry_delay_ms(unsigned failures, uint64_t floor_ms, const struct random_source *rnd);

/* The destination's breaker. CLOSED: everything goes. OPEN: nothing goes before `probe_at`.
 * PROBING: one upload is under way to find out. */
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };
struct breaker {
    enum breaker_state state;
    unsigned failures; /* in a row, of the destination: network, 5xx, hold */
    uint64_t probe_at_ms;
    uint64_t opened_ms; /* when it last left CLOSED */
};
enum breaker_event {
    BREAKER_SUCCESS,
    BREAKER_FAILURE, /* passing: opens after 5 in a row; probes by retry_delay_ms, at most 8 s apart
                      */
    BREAKER_REFUSAL, /* held: opens at once; probes every 30 s */
    BREAKER_KICK /* reload, retry: probe now. Also when a probe came to nothing (its file changed,
                    it was cancelled): another one may go */
};
void breaker_init(struct breaker *b);
/* floor_ms: a Retry-After. */
void breaker_tell(struct breaker *b, enum breaker_event ev, uint64_t now_ms, uint64_t floor_ms,
                  const struct random_source *rnd);
/* May an upload start now? In OPEN with the time come: yes once, and the state is PROBING. */
bool breaker_allows(struct breaker *b, uint64_t now_ms);
/* Milliseconds until breaker_allows may say yes; 0: now; UINT64_MAX: after an answer only. */
uint64_t breaker_wait_ms(const struct breaker *b, uint64_t now_ms);

/* How many uploads at once: additive increase after good answers, halved on throttling (once a
 * round trip), never under 1 or over max. The number that was too many is tried again, but late. */
struct concurrency {
    unsigned max, now;
    unsigned good;          /* since the last change */
    unsigned too_many;      /* that was throttled last; 0: none, or it has passed since */
    uint64_t held_until_ms; /* no second cut before */
    uint64_t best_latency_us;
};
void concurrency_init(struct concurrency *c, unsigned max);
void concurrency_good(struct concurrency *c, uint64_t latency_us);
void concurrency_throttled(struct concurrency *c, uint64_t now_ms);

#endif
