/* The event loop: a narrow door to libuv.
 *
 * Every object is one allocation that begins with its uv handle, and its memory is freed in the
 * close callback, which libuv runs when the loop turns next; a callback of a closed handle never
 * runs, so the caller may free an object from any callback, its own included. libuv fails here only
 * for want of descriptors or memory, or for misuse: none that a caller could mend. */
#include "base/loop.h"

#include "base/mem.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
    /* One handle for all: libuv would run the youngest of several first, and what it hands over
     * then misses what the older ones are about to bring. */
    uv_prepare_t prepare;
    struct loop_prepare *first, *last;
    struct loop_prepare *next; /* while they run: the one that is next */
};

/* Says which call failed and why; the line number alone would not tell EMFILE from EBADF. */
static void must(int result, const char *call)
{
    if (result >= 0)
        return;
    fprintf(stderr, "spoolgate: %s: %s\n", call, uv_strerror(result));
    BUG_ON(result < 0);
}

struct loop *loop_new(void)
{
    struct loop *l = mem_alloc(sizeof *l);
    must(uv_loop_init(&l->uv), "uv_loop_init");
    must(uv_prepare_init(&l->uv, &l->prepare), "uv_prepare_init");
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    BUG_ON(l->first != NULL); /* it would not be seen below */
    uv_close((uv_handle_t *)&l->prepare, NULL);
    /* Only close callbacks are left to run, if the caller kept the contract: one round, or some
     * more where a signal is on its way through libuv's pipe. */
    for (int rounds = 0; rounds < 16 && uv_loop_alive(&l->uv); rounds++)
        (void)uv_run(&l->uv, UV_RUN_NOWAIT);
    must(uv_loop_close(&l->uv), "uv_loop_close, with something made on the loop not freed");
    free(l);
}

void loop_run(struct loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_step(struct loop *l, bool wait)
{
    (void)uv_run(&l->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

uint64_t loop_now_ms(struct loop *l)
{
    return uv_now(&l->uv);
}

/* Every object begins with its handle, so the handle's address is the allocation's. */
static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

struct loop_timer {
    uv_timer_t uv;
    void (*cb)(void *arg);
    void *arg;
};
_Static_assert(offsetof(struct loop_timer, uv) == 0, "free_handle");

struct loop_timer *loop_timer_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
    struct loop_timer *t = mem_alloc(sizeof *t);
    t->cb = cb;
    t->arg = arg;
    must(uv_timer_init(&l->uv, &t->uv), "uv_timer_init");
    return t;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, free_handle);
}

static void timer_fired(uv_timer_t *uv)
{
    struct loop_timer *t = (struct loop_timer *)uv;
    t->cb(t->arg);
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ms)
{
    /* The loop's time is that of the round's begin: after long work the delay would come short. */
    uv_update_time(t->uv.loop);
    must(uv_timer_start(&t->uv, timer_fired, delay_ms, 0), "uv_timer_start");
}

void loop_timer_set_shared(struct loop_timer *t, uint64_t period_ms)
{
    uv_update_time(t->uv.loop);
    uint64_t since = (uv_now(t->uv.loop) + period_ms / 2) % period_ms;
    loop_timer_set(t, period_ms - since + period_ms / 2);
}

void loop_timer_clear(struct loop_timer *t)
{
    must(uv_timer_stop(&t->uv), "uv_timer_stop");
}

bool loop_timer_is_set(const struct loop_timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->uv);
}

struct loop_poll {
    uv_poll_t uv;
    void (*cb)(void *arg, int events);
    void *arg;
    int asked;
};
_Static_assert(offsetof(struct loop_poll, uv) == 0, "free_handle");
_Static_assert((int)LOOP_READ == (int)UV_READABLE && (int)LOOP_WRITE == (int)UV_WRITABLE,
               "events pass unchanged");

struct loop_poll *loop_poll_new(struct loop *l, int fd, void (*cb)(void *arg, int events),
                                void *arg)
{
    struct loop_poll *p = mem_alloc(sizeof *p);
    p->cb = cb;
    p->arg = arg;
    must(uv_poll_init(&l->uv, &p->uv, fd), "uv_poll_init");
    return p;
}

static void poll_ready(uv_poll_t *uv, int status, int events)
{
    struct loop_poll *p = (struct loop_poll *)uv;
    /* libuv stops polling at an error. Armed again before the callback, which may free p. */
    if (status < 0)
        must(uv_poll_start(uv, p->asked, poll_ready), "uv_poll_start");
    p->cb(p->arg, status < 0 ? p->asked : events);
}

void loop_poll_set(struct loop_poll *p, int events)
{
    BUG_ON((events & ~(LOOP_READ | LOOP_WRITE)) != 0);
    p->asked = events;
    if (events == 0)
        must(uv_poll_stop(&p->uv), "uv_poll_stop");
    else
        must(uv_poll_start(&p->uv, events, poll_ready), "uv_poll_start");
}

void loop_poll_free(struct loop_poll *p)
{
    if (p)
        uv_close((uv_handle_t *)&p->uv, free_handle);
}

struct loop_wake {
    uv_async_t uv;
    void (*cb)(void *arg);
    void *arg;
};
_Static_assert(offsetof(struct loop_wake, uv) == 0, "free_handle");

static void woken(uv_async_t *uv)
{
    struct loop_wake *w = (struct loop_wake *)uv;
    w->cb(w->arg);
}

struct loop_wake *loop_wake_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
    struct loop_wake *w = mem_alloc(sizeof *w);
    w->cb = cb;
    w->arg = arg;
    must(uv_async_init(&l->uv, &w->uv, woken), "uv_async_init");
    return w;
}

void loop_wake_send(struct loop_wake *w)
{
    must(uv_async_send(&w->uv), "uv_async_send");
}

void loop_wake_free(struct loop_wake *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->uv, free_handle);
}

struct loop_signal {
    uv_signal_t uv;
    void (*cb)(void *arg);
    void *arg;
};
_Static_assert(offsetof(struct loop_signal, uv) == 0, "free_handle");

static void signalled(uv_signal_t *uv, int signo)
{
    struct loop_signal *s = (struct loop_signal *)uv;
    (void)signo;
    s->cb(s->arg);
}

struct loop_signal *loop_signal_new(struct loop *l, int signo, void (*cb)(void *arg), void *arg)
{
    struct loop_signal *s = mem_alloc(sizeof *s);
    s->cb = cb;
    s->arg = arg;
    must(uv_signal_init(&l->uv, &s->uv), "uv_signal_init");
    must(uv_signal_start(&s->uv, signalled, signo), "uv_signal_start");
    return s;
}

void loop_signal_free(struct loop_signal *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->uv, free_handle);
}

struct work {
    uv_work_t uv;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void run_work(uv_work_t *uv)
{
    struct work *w = (struct work *)uv;
    slice_follow();
    w->run(w->arg);
}

static void finish_work(uv_work_t *uv, int status)
{
    struct work *w = (struct work *)uv;
    void (*done)(void *arg) = w->done;
    void *arg = w->arg;
    must(status, "uv_queue_work: cancelled, which we never do");
    free(w);
    if (done)
        done(arg);
}

void loop_work(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
    struct work *w = mem_alloc(sizeof *w);
    w->run = run;
    w->done = done;
    w->arg = arg;
    must(uv_queue_work(&l->uv, &w->uv, run_work, finish_work), "uv_queue_work");
}

struct loop_prepare {
    struct loop *loop;
    struct loop_prepare *before, *after;
    void (*cb)(void *arg);
    void *arg;
};

static void preparing(uv_prepare_t *uv)
{
    struct loop *l = (struct loop *)(void *)((char *)uv - offsetof(struct loop, prepare));
    for (struct loop_prepare *p = l->first; p; p = l->next) {
        l->next = p->after;
        p->cb(p->arg); /* may free any of them */
    }
}

struct loop_prepare *loop_prepare_new(struct loop *l, void (*cb)(void *arg), void *arg)
{
    struct loop_prepare *p = mem_alloc(sizeof *p);
    p->loop = l;
    p->cb = cb;
    p->arg = arg;
    p->before = l->last;
    if (l->last)
        l->last->after = p;
    else
        l->first = p;
    l->last = p;
    must(uv_prepare_start(&l->prepare, preparing), "uv_prepare_start");
    return p;
}

void loop_prepare_free(struct loop_prepare *p)
{
    if (!p)
        return;
    struct loop *l = p->loop;
    *(p->before ? &p->before->after : &l->first) = p->after;
    *(p->after ? &p->after->before : &l->last) = p->before;
    if (l->next == p)
        l->next = p->after;
    if (!l->first)
        must(uv_prepare_stop(&l->prepare), "uv_prepare_stop");
    free(p);
}
