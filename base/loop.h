/* The event loop: timers, descriptors, wake-ups from other threads, signals, work for the pool.
 * The only file that includes <uv.h>. One loop belongs to one thread; only loop_wake_send may be
 * called from another. Callbacks run on the loop's thread, never inside the call that arms them.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/rc.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop *loop_new(void);
/* Everything made on it must have been freed before, and all work come back; closing is completed
 * here by running the loop. */
void loop_free(struct loop *l);
/* Runs until loop_stop, or until nothing is armed that could ever call it. */
void loop_run(struct loop *l);
/* One round; waits for an event if wait. For tests and for winding down. */
void loop_step(struct loop *l, bool wait);
void loop_stop(struct loop *l);
/* Monotonic milliseconds as of this round, or of the last timer set in it. */
uint64_t loop_now_ms(struct loop *l);

struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_timer_free(struct loop_timer *t); /* NULL allowed; the memory goes when the loop turns */
/* Once; replaces an earlier setting. */
void loop_timer_set(struct loop_timer *t, uint64_t delay_ms);
/* At the next multiple of period_ms that is at least half of it away: those who look at something
 * every so often wake the processor together. */
void loop_timer_set_shared(struct loop_timer *t, uint64_t period_ms);
void loop_timer_clear(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_poll;
/* events: LOOP_READ|LOOP_WRITE that are ready; an error or hang-up is told as all of those asked,
 * and again each round until the caller stops asking. Makes fd non-blocking; one poll an fd. */
struct loop_poll *loop_poll_new(struct loop *l, int fd, void (*cb)(void *arg, int events),
                                void *arg);
void loop_poll_set(struct loop_poll *p, int events); /* 0: none */
void loop_poll_free(struct loop_poll *p);            /* stops at once; does not close fd */

struct loop_wake;
struct loop_wake *loop_wake_new(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_wake_send(struct loop_wake *w); /* any thread; several may be told as one */
void loop_wake_free(struct loop_wake *w); /* no sender may be left */

struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *l, int signo, void (*cb)(void *arg), void *arg);
void loop_signal_free(struct loop_signal *s);

/* Run `run` on a pool thread, then `done` on the loop's thread. Never fails. */
void loop_work(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);

/* `cb` runs just before the loop waits: the place to hand over what the round gathered. Several run
 * in the order in which they were made, so whoever hands over what others bring is made after them.
 */
struct loop_prepare;
struct loop_prepare *loop_prepare_new(struct loop *l, void (*cb)(void *arg), void *arg);
void loop_prepare_free(struct loop_prepare *p);

#endif
