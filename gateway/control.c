/* libmicrohttpd on our loop: its epoll descriptor is one of ours, its next time-out one of our
 * timers, so that handlers run on the loop's thread and nothing is shared. See control.h.
 *
 * libmicrohttpd closes a connection on which nothing moves. What moves too slowly is ours to end: a
 * sweep each second shuts its socket down, and libmicrohttpd then sees the end of it.
 */
#include "gateway/control.h"

#include "base/mem.h"
#include "gateway/control_int.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 200
#define CONNECTIONS_GAP 16 /* those that are being closed while new ones come */
#define REQUEST_MS      10000
#define ANSWER_MS       300000
#define SWEEP_MS        1000
#define ANSWER_MAX      (64 << 20)
#define HEADERS_MAX     8192
#define STREAM_MAX      (1 << 20)
#define STREAM_BLOCK    16384

/* A connection. */
struct peer {
    struct control *control;
    struct MHD_Connection *connection;
    enum { PEER_ASKS, PEER_WAITS, PEER_TAKES, PEER_STREAMS } phase;
    uint64_t since_ms;
    bool ended; /* its socket was shut down */
    struct peer *prev, *next;
};

struct control {
    struct control_cfg cfg;
    struct MHD_Daemon *daemon;
    struct loop_poll *poll;
    struct loop_timer *timer, *sweep;
    struct exchange *suspended;
    struct peer *peers; /* the newest first */
    unsigned n_peers;
    bool freeing, made;
    int fd;
};

/* One request on its way. */
struct exchange {
    struct control *control;
    struct MHD_Connection *connection;
    struct peer *peer;
    struct buf body;
    struct control_answer answer;
    bool head, answered, suspended;
    struct control_pending *pending; /* not NULL: deferred */
    struct control_stream *stream;   /* not NULL: being sent */
    struct exchange *prev, *next;    /* of those that are suspended */
};
struct control_pending {
    struct exchange *exchange; /* NULL: nobody waits any more */
};
struct control_stream {
    struct exchange *exchange; /* NULL: not sent yet */
    struct buf out;
    size_t at; /* of out, what was taken */
    void (*gone)(void *arg);
    void *arg;
};

/* ---- what was asked ---- */

static const char *look_up(const struct control_request *r, enum MHD_ValueKind kind,
                           const char *name)
{
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(r->handle_, kind, name, strlen(name), &value, &n) != MHD_YES)
        return NULL;
    return value && strlen(value) == n ? value : NULL;
}

const char *control_argument(const struct control_request *r, const char *name)
{
    return look_up(r, MHD_GET_ARGUMENT_KIND, name);
}

const char *control_header(const struct control_request *r, const char *name)
{
    return look_up(r, MHD_HEADER_KIND, name);
}

const char *control_cookie(const struct control_request *r, const char *name)
{
    return look_up(r, MHD_COOKIE_KIND, name);
}

struct header_count {
    const char *name;
    size_t n;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind, (void)value;
    struct header_count *count = arg;
    if (strcasecmp(name, count->name) == 0)
        count->n++;
    return MHD_YES;
}

size_t control_header_count(const struct control_request *r, const char *name)
{
    struct header_count count = {.name = name};
    (void)MHD_get_connection_values(r->handle_, MHD_HEADER_KIND, count_header, &count);
    return count.n;
}

/* ---- what is answered ---- */

void control_answer_init(struct control_answer *a)
{
    *a = (struct control_answer){.status = 200, .content_type = "application/json"};
    buf_init(&a->body, ANSWER_MAX);
    buf_init(&a->headers, HEADERS_MAX);
}

static void stream_drop(void *stream);

void control_answer_fini(struct control_answer *a)
{
    buf_fini(&a->body);
    buf_fini(&a->headers);
    if (a->stream)
        stream_drop(a->stream);
    a->stream = NULL;
}

/* Each as two texts with their NULs. */
void control_answer_header(struct control_answer *a, const char *name, const char *value)
{
    buf_add(&a->headers, name, strlen(name) + 1);
    for (const char *p = value; *p; p++)
        buf_addc(&a->headers, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    buf_addc(&a->headers, '\0');
}

static void answer_plainly(struct control_answer *a, int status, const char *title)
{
    a->status = status;
    a->content_type = "application/problem+json";
    buf_reset(&a->body);
    buf_addf(&a->body, "{\"type\":\"about:blank\",\"status\":%d,\"title\":\"%s\"}", status, title);
}

/* libmicrohttpd takes no empty value. */
static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return *value == '\0' || MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(const struct control *c, struct MHD_Response *response,
                        const struct control_answer *a)
{
    bool ok = !a->content_type || add_header(response, "Content-Type", a->content_type);
    bool cached = false;
    for (size_t i = 0; ok && i < c->cfg.n_headers; i++)
        ok = add_header(response, c->cfg.headers[i].name, c->cfg.headers[i].value);
    const char *p = a->headers.data, *end = p + a->headers.len;
    while (ok && p < end && !a->headers.overflow) {
        const char *value = p + strlen(p) + 1;
        ok = add_header(response, p, value);
        cached = cached || strcasecmp(p, "Cache-Control") == 0;
        p = value + strlen(value) + 1;
    }
    return ok && (cached || add_header(response, "Cache-Control", "no-store"));
}

static ssize_t stream_read(void *stream, uint64_t pos, char *to, size_t max);

/* What a holds goes over to libmicrohttpd. */
static struct MHD_Response *make_response(struct exchange *x, struct control_answer *a)
{
    struct MHD_Response *response;
    if (a->stream) {
        x->stream = a->stream;
        a->stream->exchange = x;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read,
                                                     a->stream, stream_drop);
        if (response)
            a->stream = NULL;
    } else if (a->constant) {
        response = MHD_create_response_from_buffer(a->constant_len, (void *)(uintptr_t)a->constant,
                                                   MHD_RESPMEM_PERSISTENT);
    } else {
        size_t n = a->body.len;
        char *body = buf_take(&a->body);
        response = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
        if (!response)
            free(body);
    }
    return response;
}

static void enter(struct peer *peer, int phase)
{
    peer->phase = phase;
    peer->since_ms = loop_now_ms(peer->control->cfg.loop);
}

static enum MHD_Result send_answer(struct exchange *x, struct control_answer *a)
{
    if (a->body.overflow)
        answer_plainly(a, 500, "the answer would be too long: ask for less at once");
    if (x->head && a->stream) { /* libmicrohttpd 0.9.75 would send its last chunk */
        stream_drop(a->stream);
        a->stream = NULL;
    }
    enter(x->peer, a->stream ? PEER_STREAMS : PEER_TAKES);
    struct MHD_Response *response = make_response(x, a);
    enum MHD_Result ok = MHD_NO;
    if (response && add_headers(x->control, response, a))
        ok = MHD_queue_response(x->connection, (unsigned)a->status, response);
    if (response)
        MHD_destroy_response(response);
    control_answer_fini(a);
    return ok;
}

static void suspend(struct exchange *x)
{
    struct control *c = x->control;
    MHD_suspend_connection(x->connection);
    x->suspended = true;
    x->prev = NULL;
    x->next = c->suspended;
    if (x->next)
        x->next->prev = x;
    c->suspended = x;
}

static void resume(struct exchange *x)
{
    *(x->prev ? &x->prev->next : &x->control->suspended) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->suspended = false;
    MHD_resume_connection(x->connection);
    loop_timer_set(x->control->timer, 0);
}

struct control_pending *control_defer(const struct control_request *r)
{
    struct exchange *x = r->exchange_;
    BUG_ON(x->pending);
    x->pending = mem_alloc(sizeof *x->pending);
    x->pending->exchange = x;
    return x->pending;
}

void control_answer_late(struct control_pending *w, struct control_answer *a)
{
    struct exchange *x = w->exchange;
    free(w);
    if (!x) {
        control_answer_fini(a);
        return;
    }
    x->answer = *a;
    x->answered = true;
    if (x->suspended)
        resume(x);
}

/* ---- streams ---- */

struct control_stream *control_stream_new(struct control_answer *a, void (*gone)(void *arg),
                                          void *arg)
{
    struct control_stream *s = mem_alloc(sizeof *s);
    *s = (struct control_stream){.gone = gone, .arg = arg};
    buf_init(&s->out, STREAM_MAX);
    a->stream = s;
    return s;
}

size_t control_stream_waiting(const struct control_stream *s)
{
    return s->out.len - s->at;
}

enum rc control_stream_send(struct control_stream *s, const void *data, size_t n)
{
    if (n > STREAM_MAX - control_stream_waiting(s))
        return RC_LIMIT;
    if (s->at > 0) {
        memmove(s->out.data, s->out.data + s->at, s->out.len - s->at);
        buf_cut(&s->out, s->out.len - s->at);
        s->at = 0;
    }
    buf_add(&s->out, data, n);
    if (s->exchange && s->exchange->suspended)
        resume(s->exchange);
    return RC_OK;
}

/* What waits; nothing and asleep until there is more. */
static ssize_t stream_read(void *stream, uint64_t pos, char *to, size_t max)
{
    struct control_stream *s = stream;
    (void)pos;
    size_t n = control_stream_waiting(s);
    if (n == 0 && s->exchange->control->freeing)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        suspend(s->exchange);
        return 0;
    }
    if (n > max)
        n = max;
    memcpy(to, s->out.data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static void stream_drop(void *stream)
{
    struct control_stream *s = stream;
    if (s->exchange)
        s->exchange->stream = NULL;
    s->gone(s->arg);
    buf_fini(&s->out);
    free(s);
}

/* ---- requests ---- */

static enum MHD_Result answer_request(struct exchange *x, const char *method, const char *url)
{
    struct control *c = x->control;
    struct control_request r = {.method = method,
                                .path = url,
                                .body = x->body.data,
                                .body_len = x->body.len,
                                .over_unix = c->cfg.socket_path != NULL,
                                .handle_ = x->connection,
                                .exchange_ = x};
    struct control_answer a;
    x->head = strcmp(method, "HEAD") == 0;
    control_answer_init(&a);
    if (x->body.overflow || c->freeing) {
        answer_plainly(&a, c->freeing ? 503 : 413,
                       c->freeing ? "the gateway stops"
                                  : "the request is longer than what is taken at once: send less");
        return send_answer(x, &a);
    }
    enter(x->peer, PEER_WAITS);
    c->cfg.handler(c->cfg.arg, &r, &a);
    if (!x->pending)
        return send_answer(x, &a);
    control_answer_fini(&a);
    if (x->answered)
        return send_answer(x, &x->answer);
    suspend(x);
    return MHD_YES;
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    BUG_ON(!info || !info->socket_context);
    return info->socket_context;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **state)
{
    struct control *c = arg;
    (void)version;
    struct exchange *x = *state;
    if (!x) {
        x = mem_alloc(sizeof *x);
        *x = (struct exchange){.control = c, .connection = connection, .peer = peer_of(connection)};
        buf_init(&x->body, c->cfg.body_max);
        *state = x;
        return MHD_YES;
    }
    if (*data_len > 0) {
        buf_add(&x->body, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    if (x->answered)
        return send_answer(x, &x->answer);
    return answer_request(x, method, url);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    struct exchange *x = *state;
    if (!x)
        return;
    enter(x->peer, PEER_ASKS);
    if (x->pending && !x->answered)
        x->pending->exchange = NULL;
    if (x->answered)
        control_answer_fini(&x->answer);
    if (x->stream)
        x->stream->exchange = NULL;
    buf_fini(&x->body);
    free(x);
    *state = NULL;
}

/* ---- connections ---- */

static void peer_end(struct peer *peer)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    peer->ended = true;
    if (info)
        (void)shutdown(info->connect_fd, SHUT_RDWR); /* it may have gone by itself */
}

/* Who has said nothing whole for the longest time makes room. */
static void make_room(struct control *c)
{
    struct peer *oldest = NULL;
    for (struct peer *p = c->peers; p; p = p->next) {
        if (p->phase == PEER_ASKS && !p->ended && (!oldest || p->since_ms <= oldest->since_ms))
            oldest = p;
    }
    if (oldest)
        peer_end(oldest);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct control *c = arg;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (c->n_peers >= c->cfg.connections_max)
            make_room(c);
        struct peer *peer = mem_alloc(sizeof *peer);
        *peer = (struct peer){.control = c, .connection = connection, .next = c->peers};
        enter(peer, PEER_ASKS);
        if (peer->next)
            peer->next->prev = peer;
        c->peers = peer;
        c->n_peers++;
        *context = peer;
        if (!loop_timer_is_set(c->sweep))
            loop_timer_set_shared(c->sweep, SWEEP_MS);
        return;
    }
    struct peer *peer = *context;
    if (!peer)
        return;
    *(peer->prev ? &peer->prev->next : &c->peers) = peer->next;
    if (peer->next)
        peer->next->prev = peer->prev;
    c->n_peers--;
    free(peer);
    *context = NULL;
}

static void on_sweep(void *arg)
{
    struct control *c = arg;
    uint64_t now = loop_now_ms(c->cfg.loop);
    for (struct peer *p = c->peers; p; p = p->next) {
        uint64_t age = now - p->since_ms, limit = c->cfg.stream_ms;
        if (!p->ended && ((p->phase == PEER_ASKS && age > c->cfg.request_ms) ||
                          (p->phase == PEER_TAKES && age > c->cfg.answer_ms) ||
                          (p->phase == PEER_STREAMS && limit > 0 && age > limit)))
            peer_end(p);
    }
    if (c->peers)
        loop_timer_set_shared(c->sweep, SWEEP_MS);
}

static void turn(void *arg)
{
    struct control *c = arg;
    MHD_UNSIGNED_LONG_LONG ms;
    (void)MHD_run(c->daemon); /* its failures are those of single connections */
    if (MHD_get_timeout(c->daemon, &ms) == MHD_YES)
        loop_timer_set(c->timer, ms);
    else
        loop_timer_clear(c->timer);
}

static void on_events(void *arg, int events)
{
    (void)events;
    turn(arg);
}

/* ---- listeners ---- */

static void fill_defaults(struct control_cfg *cfg)
{
    cfg->connections_max = cfg->connections_max ? cfg->connections_max : CONNECTIONS_MAX;
    cfg->request_ms = cfg->request_ms ? cfg->request_ms : REQUEST_MS;
    cfg->answer_ms = cfg->answer_ms ? cfg->answer_ms : ANSWER_MS;
    cfg->body_max = cfg->body_max ? cfg->body_max : CONTROL_BODY_MAX;
}

enum rc control_new(const struct control_cfg *cfg, struct control **out, struct err *e)
{
    struct control *c = mem_alloc(sizeof *c);
    *c = (struct control){.cfg = *cfg, .fd = cfg->socket_path ? -1 : cfg->listen_fd};
    fill_defaults(&c->cfg);
    enum rc rc = RC_OK;
    if (cfg->socket_path) {
        c->cfg.socket_path = mem_strdup(cfg->socket_path);
        rc = control_listen(cfg->socket_path, &c->fd, &c->made, e);
    }
    if (rc != RC_OK)
        goto out;
    c->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, c,
        MHD_OPTION_LISTEN_SOCKET, c->fd, MHD_OPTION_CONNECTION_LIMIT,
        c->cfg.connections_max + CONNECTIONS_GAP, MHD_OPTION_CONNECTION_TIMEOUT,
        (c->cfg.request_ms + 999) / 1000, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, c, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        c->daemon ? MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        rc = err_set(e, RC_IO, "libmicrohttpd does not start on %s",
                     cfg->socket_path ? cfg->socket_path : "the socket that it was given");
        goto out;
    }
    c->timer = loop_timer_new(cfg->loop, turn, c);
    c->sweep = loop_timer_new(cfg->loop, on_sweep, c);
    c->poll = loop_poll_new(cfg->loop, info->epoll_fd, on_events, c);
    loop_poll_set(c->poll, LOOP_READ);
    *out = c;
    return RC_OK;
out:
    control_free(c);
    return rc;
}

/* libmicrohttpd cannot be stopped over a suspended connection. */
static void answer_all(struct control *c)
{
    while (c->suspended) {
        struct exchange *x = c->suspended;
        if (!x->stream) {
            x->pending->exchange = NULL;
            control_answer_init(&x->answer);
            answer_plainly(&x->answer, 503, "the gateway stops");
            x->answered = true;
        }
        resume(x);
    }
    if (c->daemon)
        (void)MHD_run(c->daemon); /* its failures are those of single connections */
}

void control_free(struct control *c)
{
    if (!c)
        return;
    c->freeing = true;
    answer_all(c);
    if (c->poll)
        loop_poll_free(c->poll);
    if (c->daemon)
        MHD_stop_daemon(c->daemon); /* closes the socket too */
    else if (c->fd >= 0)
        (void)close(c->fd);
    loop_timer_free(c->timer);
    loop_timer_free(c->sweep);
    if (c->made)
        (void)unlink(c->cfg.socket_path); /* a stale one is replaced at the next start */
    free((char *)(uintptr_t)c->cfg.socket_path);
    free(c);
}
