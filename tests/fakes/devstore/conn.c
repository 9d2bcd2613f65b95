/* The state machine of a connection. Each state has a function that says: go on at once, wait for
 * the socket or the timer, or close. Only run() closes.
 *
 * Invariant: at most one request is under way; what a client sends ahead stays in `in` or in the
 * socket. Memory is bounded: `in` holds one head and what came with it, bodies pass through.
 */
#include "tests/fakes/devstore/conn.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tests/fakes/devstore/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_START      (16 * 1024)
#define EARLY_BODY    (1024 * 1024) /* a refused body larger than this is not awaited */
#define LINGER_BYTES  ((uint64_t)256 * 1024 * 1024)
#define LINGER_NS     (5 * CLOCK_NS_PER_S)
#define SLOW_TICKS    20 /* a second */
#define READS_A_ROUND 16

enum conn_state { CONN_HEAD, CONN_BODY, CONN_DELAY, CONN_ANSWER, CONN_LINGER, CONN_BLACKHOLE };
enum step { STEP_ON, STEP_WAIT, STEP_CLOSE, STEP_RESET };

struct conn {
    struct worker *worker;
    struct conn *prev, *next; /* of the worker's connections */
    struct conn *timer_prev, *timer_next;
    int64_t deadline_ns; /* 0: no timer is set */
    int fd;
    struct tls_conn *tls;
    uint32_t mask; /* what epoll watches */
    enum conn_state state;
    unsigned
        reads_left;   /* in this round: 0 when the socket is empty or others are to have a turn */
    bool wants_write; /* TLS cannot go on reading before it has written, or the reverse */
    bool counted;     /* a request is under way as far as stats know */
    bool early;       /* the answer goes out before the body has come */
    bool paused;      /* --fault slow: until the timer */
    bool abrupt;      /* a reset, not an end */
    char *in;
    size_t in_len, in_cap;
    uint64_t body_left, linger_left;
    struct chunked chunks; /* of a body in HTTP's chunks, which body_left knows nothing of */
    int64_t tick_left;     /* bytes that slow allows in this tick */
    struct answer answer;
    struct exchange x;
};

int64_t conn_deadline_ns(const struct conn *c)
{
    return c->deadline_ns;
}

static void timer_clear(struct conn *c)
{
    struct worker *w = c->worker;

    if (c->deadline_ns == 0)
        return;
    *(c->timer_prev != NULL ? &c->timer_prev->timer_next : &w->timers_first) = c->timer_next;
    *(c->timer_next != NULL ? &c->timer_next->timer_prev : &w->timers_last) = c->timer_prev;
    c->timer_prev = c->timer_next = NULL;
    c->deadline_ns = 0;
}

static void timer_set(struct conn *c, int64_t delay_ns)
{
    struct worker *w = c->worker;
    struct conn *before;

    timer_clear(c);
    c->deadline_ns = clock_mono_now_ns() + delay_ns;
    before = w->timers_last;
    while (before != NULL && before->deadline_ns > c->deadline_ns)
        before = before->timer_prev;
    c->timer_prev = before;
    c->timer_next = before != NULL ? before->timer_next : w->timers_first;
    *(before != NULL ? &before->timer_next : &w->timers_first) = c;
    *(c->timer_next != NULL ? &c->timer_next->timer_prev : &w->timers_last) = c;
}

struct conn *conn_new(struct worker *w, int fd)
{
    struct conn *c = mem_alloc(sizeof *c);

    c->worker = w;
    c->fd = fd;
    c->mask = EPOLLIN;
    if (w->tls != NULL) {
        c->tls = tls_conn_new(w->tls, fd);
        if (c->tls == NULL) {
            (void)close(fd);
            free(c);
            return NULL;
        }
    }
    c->in_cap = IN_START;
    c->in = mem_alloc(c->in_cap);
    answer_init(&c->answer);
    exchange_init(&c->x, w->service, w->auth);
    stats_add(&w->service->stats.connections_total, 1);
    stats_add(&w->service->stats.connections_now, 1);
    pthread_mutex_lock(&w->lock);
    c->next = w->conns;
    if (c->next != NULL)
        c->next->prev = c;
    w->conns = c;
    pthread_mutex_unlock(&w->lock);
    return c;
}

static void request_ends(struct conn *c, int status)
{
    if (c->counted) {
        stats_answered(&c->worker->service->stats, status);
        stats_request_ends(&c->worker->service->stats);
    }
    c->counted = false;
}

void conn_free(struct conn *c)
{
    struct worker *w = c->worker;

    request_ends(c, 0);
    timer_clear(c);
    pthread_mutex_lock(&w->lock);
    *(c->prev != NULL ? &c->prev->next : &w->conns) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&w->lock);
    atomic_fetch_sub(&w->service->stats.connections_now, 1);
    tls_conn_free(c->tls, !c->abrupt);
    (void)close(c->fd);
    answer_fini(&c->answer);
    exchange_fini(&c->x);
    free(c->in);
    free(c);
}

/* Bytes, 0 at the end, -EAGAIN, or -errno. */
static ssize_t receive(struct conn *c, char *data, size_t n)
{
    ssize_t got;

    if (c->tls != NULL)
        return tls_conn_read(c->tls, data, n, &c->wants_write);
    if (c->reads_left == 0)
        return -EAGAIN;
    do
        got = recv(c->fd, data, n, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    /* Fewer than asked: the socket is empty, and epoll will tell when it is no more. */
    c->reads_left = (size_t)got == n ? c->reads_left - 1 : 0;
    return got;
}

static ssize_t transmit(struct conn *c, const char *data, size_t n)
{
    ssize_t sent;

    if (c->tls != NULL)
        return tls_conn_write(c->tls, data, n, &c->wants_write);
    do
        sent = send(c->fd, data, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

/* How many of n bytes may pass now under slow; 0: paused until the timer. */
static size_t throttle(struct conn *c, size_t n)
{
    int64_t rate = c->x.fault.slow;

    if (rate == 0)
        return n;
    if (c->tick_left <= 0) {
        c->tick_left = rate / SLOW_TICKS > 0 ? rate / SLOW_TICKS : 1;
        c->paused = true;
        timer_set(c, c->tick_left * CLOCK_NS_PER_S / rate);
        return 0;
    }
    return n < (size_t)c->tick_left ? n : (size_t)c->tick_left;
}

static void passed(struct conn *c, size_t n)
{
    if (c->x.fault.slow > 0)
        c->tick_left -= (int64_t)n;
}

static void consume(struct conn *c, size_t n)
{
    c->in_len -= n;
    memmove(c->in, c->in + n, c->in_len);
}

static enum step refuse_head(struct conn *c, const char *why)
{
    static char nothing[] = "";

    failure_set(&c->x.failure, "BadRequest", "This is not HTTP as spoken here: %s.", why);
    (void)snprintf(c->x.request_id, sizeof c->x.request_id, "0");
    c->x.fault = (struct fault_effect){.reset_after = -1, .truncate = -1};
    c->x.op = OP_UNKNOWN;
    buf_reset(&c->x.key);
    c->x.now_ns = clock_wall_now_ns();
    c->x.request.method = c->x.request.path = nothing;
    s3_error_response(&c->x);
    c->x.request.keep_alive = false;
    c->in_len = 0;
    c->early = true;
    stats_request_begins(&c->worker->service->stats, OP_UNKNOWN);
    c->counted = true;
    answer_make(&c->answer, &c->x, c->worker, true);
    c->state = CONN_ANSWER;
    return STEP_ON;
}

static enum step step_answer_made(struct conn *c);

static enum step begin_request(struct conn *c, size_t head_len)
{
    const char *wrong = http_parse(&c->x.request, c->in, head_len);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct http_request *r = &c->x.request;

    if (wrong != NULL)
        return refuse_head(c, wrong);
    consume(c, head_len);
    timer_clear(c);
    s3_begin(&c->x);
    c->counted = c->x.op != OP_ADMIN;
    c->body_left = r->content_length;
    chunked_begin(&c->chunks);
    c->early = false;
    c->tick_left = 0;
    c->state = CONN_BODY;
    if (c->x.failure.status != 0 && (c->body_left > EARLY_BODY || r->chunked ||
                                     (r->expect_continue && c->in_len < c->body_left))) {
        c->early = true;
        return step_answer_made(c);
    }
    if (r->expect_continue && (c->body_left > 0 || r->chunked) && c->in_len == 0) {
        /* The socket's buffer is empty between requests: these bytes always fit. */
        if (transmit(c, go_on, sizeof go_on - 1) != (ssize_t)sizeof go_on - 1)
            return STEP_CLOSE;
    }
    return STEP_ON;
}

static enum step step_head(struct conn *c)
{
    size_t head_len = http_head_end(c->in, c->in_len);
    ssize_t got;

    if (head_len > 0)
        return begin_request(c, head_len);
    if (c->in_len >= HTTP_HEAD_MAX)
        return refuse_head(c, "the head is too large");
    if (c->in_len == c->in_cap) {
        c->in_cap *= 2;
        c->in = mem_resize(c->in, c->in_cap, 1);
    }
    got = receive(c, c->in + c->in_len, c->in_cap - c->in_len);
    if (got == -EAGAIN)
        return STEP_WAIT;
    if (got <= 0)
        return STEP_CLOSE;
    c->in_len += (size_t)got;
    return STEP_ON;
}

static enum step body_bytes(struct conn *c, const char *data, size_t n)
{
    body_feed(&c->x.body, data, n);
    stats_add(&c->worker->service->stats.bytes_in, n);
    passed(c, n);
    c->body_left -= n;
    return STEP_ON;
}

static void chunk_bytes(void *arg, const char *data, size_t n)
{
    struct conn *c = arg;

    body_feed(&c->x.body, data, n);
    stats_add(&c->worker->service->stats.bytes_in, n);
    passed(c, n);
}

/* A body in HTTP's chunks goes by way of `in`, where what comes after it can stay. */
static enum step step_chunks(struct conn *c)
{
    size_t n;
    ssize_t got;

    if (chunked_ended(&c->chunks))
        return step_answer_made(c);
    if (c->chunks.wrong != NULL) {
        failure_set(&c->x.failure, "InvalidRequest", "The chunks cannot be read: %s",
                    c->chunks.wrong);
        c->early = true;
        return step_answer_made(c);
    }
    if (c->in_len == 0) {
        got = receive(c, c->in, c->in_cap);
        if (got == -EAGAIN)
            return STEP_WAIT;
        if (got <= 0)
            return STEP_CLOSE;
        c->in_len = (size_t)got;
    }
    n = throttle(c, c->in_len);
    if (n == 0)
        return STEP_WAIT;
    consume(c, chunked_feed(&c->chunks, c->in, n, chunk_bytes, c));
    return STEP_ON;
}

static enum step step_body(struct conn *c)
{
    size_t n;
    ssize_t got;

    if (c->x.request.chunked)
        return step_chunks(c);
    if (c->body_left == 0)
        return step_answer_made(c);
    n = c->in_len > 0 ? c->in_len : WORKER_SCRATCH;
    n = throttle(c, n < c->body_left ? n : (size_t)c->body_left);
    if (n == 0)
        return STEP_WAIT;
    if (c->in_len > 0) {
        body_bytes(c, c->in, n);
        consume(c, n);
        return STEP_ON;
    }
    got = receive(c, c->worker->scratch, n);
    if (got == -EAGAIN)
        return STEP_WAIT;
    if (got <= 0)
        return STEP_CLOSE;
    return body_bytes(c, c->worker->scratch, (size_t)got);
}

/* The body has come, or is not awaited: do the work, then delay, send, or break off. */
static enum step step_answer_made(struct conn *c)
{
    const struct fault_effect *f = &c->x.fault;

    if (f->reset)
        return STEP_RESET;
    if (f->blackhole) {
        c->state = CONN_BLACKHOLE;
        return STEP_ON;
    }
    s3_finish(&c->x);
    if (f->store_then_reset)
        return STEP_RESET;
    answer_make(&c->answer, &c->x, c->worker, c->early);
    c->state = CONN_ANSWER;
    if (f->latency_ms > 0) {
        c->state = CONN_DELAY;
        timer_set(c, f->latency_ms * CLOCK_NS_PER_MS);
    }
    return STEP_ON;
}

/* One line, whatever bytes the key has. */
static void say(struct exchange *x)
{
    struct buf line;

    buf_init(&line, HTTP_HEAD_MAX);
    buf_addf(&line, "%s %d %s ", operation_name(x->op), x->response.status,
             x->failure.code[0] != '\0' ? x->failure.code : "-");
    utf8_escape(&line, x->key.data, x->key.len);
    (void)fprintf(stderr, "%s\n", line.data);
    buf_fini(&line);
}

static enum step answer_sent(struct conn *c)
{
    const struct config *config = c->worker->service->config;

    if (config->verbose)
        say(&c->x);
    request_ends(c, c->answer.cut ? 0 : c->x.response.status);
    if (c->answer.end == ANSWER_RESET)
        return STEP_RESET;
    if (c->early) {
        (void)shutdown(c->fd, SHUT_WR); /* the client may still be sending: let it see the answer */
        c->state = CONN_LINGER;
        c->linger_left = LINGER_BYTES;
        timer_set(c, LINGER_NS);
        return STEP_ON;
    }
    if (c->answer.end == ANSWER_CLOSE)
        return STEP_CLOSE;
    c->state = CONN_HEAD;
    c->x.fault.slow = 0;
    if (config->idle_ms > 0)
        timer_set(c, (int64_t)config->idle_ms * CLOCK_NS_PER_MS);
    return STEP_ON;
}

static enum step step_answer(struct conn *c)
{
    const char *data;
    size_t n;
    ssize_t sent;

    if (!answer_next(&c->answer, &c->x, c->worker, &data, &n))
        return STEP_RESET; /* the object's file broke off */
    if (n == 0)
        return answer_sent(c);
    n = throttle(c, n);
    if (n == 0)
        return STEP_WAIT;
    sent = transmit(c, data, n);
    if (sent == -EAGAIN) {
        if (c->tls == NULL)
            c->wants_write = true;
        return STEP_WAIT;
    }
    if (sent <= 0)
        return STEP_CLOSE;
    passed(c, (size_t)sent);
    answer_advance(&c->answer, (size_t)sent);
    /* Others want their turn, too: an endless answer goes on at the next event. */
    if (c->x.fault.endless) {
        c->wants_write = true;
        return STEP_WAIT;
    }
    return STEP_ON;
}

static enum step step_drain(struct conn *c)
{
    ssize_t got;

    got = receive(c, c->worker->scratch, WORKER_SCRATCH);
    if (got == -EAGAIN)
        return STEP_WAIT;
    if (got <= 0)
        return STEP_CLOSE;
    if (c->state == CONN_LINGER) {
        if ((uint64_t)got >= c->linger_left)
            return STEP_CLOSE;
        c->linger_left -= (uint64_t)got;
    }
    return STEP_ON;
}

static void watch_for(struct conn *c)
{
    struct epoll_event event = {.data.ptr = c};
    bool reads = c->state != CONN_ANSWER && c->state != CONN_DELAY;

    if (c->paused || c->state == CONN_DELAY)
        event.events = 0;
    else if (c->wants_write)
        event.events = EPOLLOUT;
    else if (reads || c->tls != NULL)
        event.events = EPOLLIN;
    if (event.events == c->mask)
        return;
    c->mask = event.events;
    /* It is in the set: only memory can fail here, and then the client's time-out ends it. */
    (void)epoll_ctl(c->worker->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void run(struct conn *c)
{
    enum step step = STEP_ON;
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    c->wants_write = false;
    while (step == STEP_ON) {
        switch (c->state) {
        case CONN_HEAD:
            step = step_head(c);
            break;
        case CONN_BODY:
            step = step_body(c);
            break;
        case CONN_DELAY:
            step = STEP_WAIT;
            break;
        case CONN_ANSWER:
            step = step_answer(c);
            break;
        case CONN_LINGER:
        case CONN_BLACKHOLE:
            step = step_drain(c);
            break;
        }
    }
    if (step == STEP_WAIT) {
        watch_for(c);
        return;
    }
    c->abrupt = step == STEP_RESET;
    if (c->abrupt) /* cannot fail on a socket of ours */
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    conn_free(c);
}

void conn_event(struct conn *c, uint32_t events)
{
    if (c->mask == 0) { /* hung up while nothing was asked of the socket */
        if (events & (EPOLLHUP | EPOLLERR))
            conn_free(c);
        return;
    }
    c->reads_left = READS_A_ROUND;
    run(c);
}

void conn_timer(struct conn *c)
{
    timer_clear(c);
    if (c->state == CONN_LINGER || c->state == CONN_HEAD) {
        conn_free(c);
        return;
    }
    c->paused = false;
    if (c->state == CONN_DELAY)
        c->state = CONN_ANSWER;
    c->reads_left = READS_A_ROUND;
    run(c);
}
