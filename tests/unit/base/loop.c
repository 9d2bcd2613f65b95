#include "base/loop.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* What callbacks did, and on what. */
struct seen {
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_poll *poll;
    struct loop_wake *wake;
    struct loop_prepare *prepare;
    int count, last, order[8];
    pthread_t ran_on;
};

static void count_and_stop(void *arg)
{
    struct seen *s = arg;
    s->count++;
    loop_stop(s->loop);
}

Test(loop, a_timer_fires_once_and_not_early)
{
    struct seen s = {.loop = loop_new()};
    s.timer = loop_timer_new(s.loop, count_and_stop, &s);
    cr_assert_not(loop_timer_is_set(s.timer));
    usleep(30000); /* the loop's idea of the time is old by now */
    int64_t before = clock_mono_now_ns();
    loop_timer_set(s.timer, 20);
    cr_assert(loop_timer_is_set(s.timer));
    cr_assert_eq(s.count, 0);
    loop_run(s.loop);
    cr_assert_eq(s.count, 1);
    /* libuv counts in whole milliseconds, cut off at both ends */
    cr_assert_geq(clock_mono_now_ns() - before, 19 * CLOCK_NS_PER_MS);
    cr_assert_not(loop_timer_is_set(s.timer));
    loop_timer_set(s.timer, 1);
    loop_timer_clear(s.timer);
    usleep(5000);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 1);
    loop_timer_free(s.timer);
    loop_timer_free(NULL);
    loop_free(s.loop);
}

Test(loop, timers_that_share_their_period_fire_together)
{
    enum { PERIOD_MS = 200 };
    struct seen s = {.loop = loop_new()};
    for (int i = 0; i < 2; i++) {
        struct loop_timer *other = loop_timer_new(s.loop, count_and_stop, &s);
        s.timer = loop_timer_new(s.loop, count_and_stop, &s);
        uint64_t now = loop_now_ms(s.loop);
        loop_timer_set_shared(s.timer, PERIOD_MS);
        usleep(15000);
        loop_timer_set_shared(other, PERIOD_MS);
        s.count = 0;
        while (s.count == 0)
            loop_step(s.loop, true);
        /* Not before its multiple; how long after it, the machine decides. */
        cr_assert_geq(loop_now_ms(s.loop), ((now + PERIOD_MS / 2) / PERIOD_MS + 1) * PERIOD_MS);
        /* Set on both sides of the half, they are a period apart; else they are one wake. */
        cr_assert(s.count == 2 || loop_timer_is_set(other));
        loop_timer_free(s.timer);
        loop_timer_free(other);
    }
    loop_step(s.loop, false);
    loop_free(s.loop);
}

Test(loop, a_timer_of_no_delay_never_fires_inside_the_call)
{
    struct seen s = {.loop = loop_new()};
    s.timer = loop_timer_new(s.loop, count_and_stop, &s);
    loop_timer_set(s.timer, 0);
    cr_assert_eq(s.count, 0);
    loop_run(s.loop);
    cr_assert_eq(s.count, 1);
    loop_timer_free(s.timer);
    loop_free(s.loop);
}

static void free_itself(void *arg)
{
    struct seen *s = arg;
    loop_timer_free(s->timer);
    s->timer = NULL;
    s->count++;
}

Test(loop, a_timer_may_free_itself_or_one_that_is_due)
{
    struct seen s = {.loop = loop_new()}, other = {.loop = s.loop};
    s.timer = loop_timer_new(s.loop, free_itself, &s);
    loop_timer_set(s.timer, 0);
    loop_step(s.loop, true);
    cr_assert_eq(s.count, 1);

    /* both are due; the first to run frees the second */
    s.timer = loop_timer_new(s.loop, count_and_stop, &other);
    struct loop_timer *first = loop_timer_new(s.loop, free_itself, &s);
    loop_timer_set(first, 0);
    loop_timer_set(s.timer, 0);
    loop_step(s.loop, true);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 2);
    cr_assert_eq(other.count, 0);
    loop_timer_free(first);
    loop_free(s.loop);
}

static void free_on_ready(void *arg, int events)
{
    struct seen *s = arg;
    s->last = events;
    s->count++;
    loop_poll_free(s->poll);
    s->poll = NULL;
}

static void note_events(void *arg, int events)
{
    struct seen *s = arg;
    s->last = events;
    s->count++;
}

Test(loop, a_descriptor_tells_what_it_is_asked)
{
    struct seen s = {.loop = loop_new()};
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    s.poll = loop_poll_new(s.loop, ends[0], note_events, &s);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 0);
    loop_poll_set(s.poll, LOOP_READ);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    loop_step(s.loop, true);
    cr_assert_eq(s.last, LOOP_READ);
    loop_poll_set(s.poll, LOOP_READ | LOOP_WRITE);
    loop_step(s.loop, true);
    cr_assert_eq(s.last, LOOP_READ | LOOP_WRITE);
    loop_poll_set(s.poll, 0);
    int before = s.count;
    loop_step(s.loop, false);
    cr_assert_eq(s.count, before);
    loop_poll_free(s.poll);

    /* the same descriptor again at once, freed by its own callback */
    s.poll = loop_poll_new(s.loop, ends[0], free_on_ready, &s);
    loop_poll_set(s.poll, LOOP_READ);
    loop_step(s.loop, true);
    cr_assert_eq(s.count, before + 1);
    cr_assert_null(s.poll);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, before + 1);
    cr_assert_eq(close(ends[0]), 0);
    cr_assert_eq(close(ends[1]), 0);
    loop_poll_free(NULL);
    loop_free(s.loop);
}

Test(loop, an_error_is_told_as_all_that_was_asked_each_round)
{
    struct seen s = {.loop = loop_new()};
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    s.poll = loop_poll_new(s.loop, ends[1], note_events, &s);
    loop_poll_set(s.poll, LOOP_WRITE);
    cr_assert_eq(close(ends[0]), 0); /* writing has no reader: POLLERR */
    for (int round = 1; round <= 3; round++) {
        loop_step(s.loop, true);
        cr_assert_eq(s.count, round);
        cr_assert_eq(s.last, LOOP_WRITE);
    }
    loop_poll_set(s.poll, 0);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 3);
    loop_poll_free(s.poll);
    cr_assert_eq(close(ends[1]), 0);
    loop_free(s.loop);
}

static void *send_wakes(void *arg)
{
    for (int i = 0; i < 100; i++)
        loop_wake_send(arg);
    return NULL;
}

Test(loop, another_thread_can_wake_it)
{
    struct seen s = {.loop = loop_new()};
    pthread_t thread;
    s.wake = loop_wake_new(s.loop, count_and_stop, &s);
    cr_assert_eq(pthread_create(&thread, NULL, send_wakes, s.wake), 0);
    loop_run(s.loop);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    loop_step(s.loop, false);
    cr_assert_geq(s.count, 1);
    cr_assert_leq(s.count, 100);
    int before = s.count;
    loop_wake_send(s.wake);
    loop_wake_send(s.wake);
    loop_step(s.loop, true);
    cr_assert_eq(s.count, before + 1);
    loop_wake_free(s.wake);
    loop_wake_free(NULL);
    loop_free(s.loop);
}

Test(loop, a_signal_arrives_as_a_callback)
{
    struct seen s = {.loop = loop_new()};
    struct loop_signal *signal = loop_signal_new(s.loop, SIGUSR1, count_and_stop, &s);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(s.count, 0);
    loop_run(s.loop);
    cr_assert_eq(s.count, 1);
    cr_assert_eq(raise(SIGUSR1), 0); /* freed while one is on its way */
    loop_signal_free(signal);
    loop_signal_free(NULL);
    loop_free(s.loop);
}

static void work(void *arg)
{
    struct seen *s = arg;
    s->ran_on = pthread_self();
    s->count++;
}

static void work_done(void *arg)
{
    struct seen *s = arg;
    s->last = pthread_equal(pthread_self(), s->ran_on) ? -1 : s->count;
    s->count++;
    loop_stop(s->loop);
}

Test(loop, work_runs_elsewhere_and_is_done_here)
{
    struct seen s = {.loop = loop_new()};
    loop_work(s.loop, work, work_done, &s);
    loop_run(s.loop);
    cr_assert_eq(s.last, 1);
    cr_assert_eq(s.count, 2);
    loop_free(s.loop);
}

static void prepare_first(void *arg)
{
    struct seen *s = arg;
    s->order[s->count++ % 8] = 'p';
}

static void timer_then(void *arg)
{
    struct seen *s = arg;
    s->order[s->count++ % 8] = 't';
}

Test(loop, prepare_runs_after_the_timers_of_a_round_and_before_it_waits)
{
    struct seen s = {.loop = loop_new()};
    s.prepare = loop_prepare_new(s.loop, prepare_first, &s);
    s.timer = loop_timer_new(s.loop, timer_then, &s);
    loop_timer_set(s.timer, 0);
    loop_step(s.loop, false); /* from libuv 1.45 on the timers are at a round's end */
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 3);
    cr_assert_eq(s.order[2], 'p');
    cr_assert_eq(s.order[0] == 'p' ? s.order[1] : s.order[0], 't');
    loop_prepare_free(s.prepare);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 3);
    loop_timer_free(s.timer);
    loop_prepare_free(NULL);
    loop_free(s.loop);
}

static void prepare_second(void *arg)
{
    struct seen *s = arg;
    s->order[s->count++ % 8] = 'q';
}

static void prepare_and_free(void *arg)
{
    struct seen *s = arg;
    s->order[s->count++ % 8] = 'f';
    loop_prepare_free(s->prepare);
    s->prepare = NULL;
}

Test(loop, prepares_run_in_the_order_in_which_they_were_made)
{
    struct seen s = {.loop = loop_new()};
    struct loop_prepare *first = loop_prepare_new(s.loop, prepare_first, &s);
    struct loop_prepare *second = loop_prepare_new(s.loop, prepare_second, &s);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 2);
    cr_assert_eq(s.order[0], 'p');
    cr_assert_eq(s.order[1], 'q');
    loop_prepare_free(first);
    first = loop_prepare_new(s.loop, prepare_first, &s);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 4);
    cr_assert_eq(s.order[2], 'q');
    cr_assert_eq(s.order[3], 'p');
    loop_prepare_free(first);
    loop_prepare_free(second);
    loop_free(s.loop);
}

Test(loop, a_prepare_may_free_itself_or_the_one_after_it)
{
    struct seen s = {.loop = loop_new()};
    struct loop_prepare *first = loop_prepare_new(s.loop, prepare_and_free, &s);
    s.prepare = loop_prepare_new(s.loop, prepare_first, &s);
    struct loop_prepare *third = loop_prepare_new(s.loop, prepare_second, &s);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 2);
    cr_assert_eq(s.order[0], 'f');
    cr_assert_eq(s.order[1], 'q');
    s.prepare = first;
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 4);
    cr_assert_eq(s.order[2], 'f');
    cr_assert_eq(s.order[3], 'q');
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 5);
    loop_prepare_free(third);
    loop_step(s.loop, false);
    cr_assert_eq(s.count, 5);
    loop_free(s.loop);
}

Test(loop, it_does_not_wait_for_what_cannot_happen)
{
    struct seen s = {.loop = loop_new()};
    s.timer = loop_timer_new(s.loop, count_and_stop, &s);
    loop_run(s.loop);
    loop_step(s.loop, true);
    cr_assert_eq(s.count, 0);
    loop_timer_free(s.timer);
    loop_free(s.loop);
    loop_free(NULL);
}

Test(loop, freeing_it_under_something_that_lives_is_a_bug, .signal = SIGABRT)
{
    struct loop *l = loop_new();
    (void)loop_timer_new(l, timer_then, NULL);
    loop_free(l);
}
