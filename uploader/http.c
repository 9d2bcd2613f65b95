/* HTTP calls over curl's multi interface, driven by base/loop.
 *
 * Invariants: at most `allowed` calls are inside curl at once, the others wait here in order,
 * so curl never queues and its connect time is only that. An easy handle is set up once and keeps
 * what does not change; a steady stream of small calls costs no allocation and no epoll_ctl of
 * ours. RC_OK means that a whole answer came; what is cut short is RC_NET. No S3 here.
 */
#include "uploader/http_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UPLOAD_BUFFER (128l << 10)
#define OWN_HEADERS   3               /* Expect, Accept, Content-Type: suppressed */
#define TOO_LARGE     ((CURLcode)100) /* CURLE_TOO_LARGE, from 8.6 on: it counts headers */

enum mode { MODE_NEW, MODE_NO_BODY, MODE_HEAD, MODE_MEMORY, MODE_FILE };

/* One easy handle and the call it carries: flow.call, NULL when it is idle. */
struct handle {
    struct http_client *client;
    CURL *easy;
    enum mode mode;
    char method[8];
    char origin[320]; /* that curl has for its URL; "": it has a whole one */
    struct curl_slist headers[HTTP_HEADERS_MAX + OWN_HEADERS];
    struct http_flow flow;
    struct http_progress progress;
    int fd; /* that curl last wanted watched for it; -1: none */
    char error[CURL_ERROR_SIZE];
};

struct http_client {
    struct loop *loop;
    struct http_cfg cfg;
    char *ca_file;
    CURLM *multi;
    struct loop_timer *timer; /* curl's */
    struct loop_timer *watch; /* first byte and stall */
    struct handle **handles, **idle;
    unsigned n_handles, n_active, n_idle;
    unsigned allowed;      /* of n_active; at most cfg.connections */
    struct http_line line; /* waiting */
    struct http_sockets *sockets;
    struct http_stats stats;
};

#define EASY_SET(h, option, value)                                                                 \
    BUG_ON(curl_easy_setopt((h)->easy, (option), (value)) != CURLE_OK)
#define MULTI_SET(c, option, value)                                                                \
    BUG_ON(curl_multi_setopt((c)->multi, (option), (value)) != CURLM_OK)

static void run_queue(struct http_client *c);
static void collect(struct http_client *c);

static void socket_ready(void *arg, int fd, int events)
{
    struct http_client *c = arg;
    int mask =
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    int running;

    (void)curl_multi_socket_action(c->multi, fd, mask, &running); /* results come by messages */
    collect(c);
}

/* NULL: one of curl's own. */
static struct handle *handle_of(CURL *easy)
{
    char *private = NULL;

    BUG_ON(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) != CURLE_OK);
    return (struct handle *)(void *)private;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct http_client *c = arg;
    struct handle *h = handle_of(easy); /* CURLINFO_ACTIVESOCKET tells only when a call is over */
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

    (void)assigned;
    if (h != NULL && (events != 0 || h->fd == fd))
        h->fd = events != 0 ? fd : -1;
    http_sockets_watch(c->sockets, fd, events);
    return 0;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_client *c = arg;
    int fd = http_sockets_open(c->sockets, address->family, address->socktype, address->protocol);

    (void)purpose;
    c->stats.connections += fd >= 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    return http_sockets_close(((struct http_client *)arg)->sockets, fd);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *c = arg;

    (void)multi;
    if (timeout_ms < 0)
        loop_timer_clear(c->timer);
    else
        loop_timer_set(c->timer, (uint64_t)timeout_ms);
    return 0;
}

static void timer_fired(void *arg)
{
    struct http_client *c = arg;
    int running;

    (void)curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

/* What is not taken ends the call: then curl has to be told another count than it gave. */
static size_t taken(bool yes, size_t len)
{
    return yes ? len : len == 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    return taken(http_flow_head(arg, line, size * n), size * n);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    return taken(http_flow_body(arg, data, size * n), size * n);
}

static size_t on_read(char *out, size_t size, size_t n, void *arg)
{
    size_t got;

    return http_flow_read(arg, out, size * n, &got) ? got : CURL_READFUNC_ABORT;
}

/* curl sends a request again when a kept connection turns out to be dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    return origin == SEEK_SET && http_flow_seek(arg, offset) ? CURL_SEEKFUNC_OK
                                                             : CURL_SEEKFUNC_CANTSEEK;
}

static struct handle *handle_new(struct http_client *c)
{
    struct handle *h = mem_alloc(sizeof(*h));

    h->client = c;
    h->easy = curl_easy_init();
    BUG_ON(h->easy == NULL);
    http_flow_init(&h->flow);
    EASY_SET(h, CURLOPT_PRIVATE, h);
    EASY_SET(h, CURLOPT_ERRORBUFFER, h->error);
    EASY_SET(h, CURLOPT_NOSIGNAL, 1L);
    EASY_SET(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    EASY_SET(h, CURLOPT_PROTOCOLS_STR, "http,https");
    EASY_SET(h, CURLOPT_FOLLOWLOCATION, 0L);
    EASY_SET(h, CURLOPT_PATH_AS_IS, 1L); /* a key may hold "..": what was signed is what is sent */
    EASY_SET(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    EASY_SET(h, CURLOPT_TCP_KEEPALIVE, 1L);
    EASY_SET(h, CURLOPT_QUICK_EXIT, 1L); /* a name server that is slow is not waited for */
    EASY_SET(h, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
    EASY_SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long)c->cfg.connect_ms);
    EASY_SET(h, CURLOPT_MAXLIFETIME_CONN, (long)c->cfg.lifetime_s);
    if (c->cfg.bytes_per_second > 0)
        EASY_SET(h, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)c->cfg.bytes_per_second);
    EASY_SET(h, CURLOPT_SSL_VERIFYPEER, 1L);
    EASY_SET(h, CURLOPT_SSL_VERIFYHOST, 2L);
    EASY_SET(h, CURLOPT_CA_CACHE_TIMEOUT, 30L); /* a file of CAs that is mended counts soon */
    if (c->ca_file != NULL)
        EASY_SET(h, CURLOPT_CAINFO, c->ca_file);
    if (c->cfg.no_proxy) {
        EASY_SET(h, CURLOPT_PROXY, "");
        EASY_SET(h, CURLOPT_NOPROXY, ""); /* both, or it reads the environment for each call */
    }
    EASY_SET(h, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    EASY_SET(h, CURLOPT_OPENSOCKETDATA, c);
    EASY_SET(h, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    EASY_SET(h, CURLOPT_CLOSESOCKETDATA, c);
    EASY_SET(h, CURLOPT_HEADERFUNCTION, on_header);
    EASY_SET(h, CURLOPT_HEADERDATA, &h->flow);
    EASY_SET(h, CURLOPT_WRITEFUNCTION, on_body);
    EASY_SET(h, CURLOPT_WRITEDATA, &h->flow);
    EASY_SET(h, CURLOPT_READFUNCTION, on_read);
    EASY_SET(h, CURLOPT_READDATA, &h->flow);
    EASY_SET(h, CURLOPT_SEEKFUNCTION, on_seek);
    EASY_SET(h, CURLOPT_SEEKDATA, &h->flow);
    EASY_SET(h, CURLOPT_HTTPHEADER, h->headers); /* the list is rebuilt in place for each call */
    return h;
}

static void set_headers(struct handle *h, const struct http_call *call)
{
    size_t n = 0;
    bool typed = false;

    BUG_ON(call->n_headers > HTTP_HEADERS_MAX);
    for (; n < call->n_headers; n++) {
        h->headers[n].data = (char *)(uintptr_t)call->headers[n]; /* curl only reads it */
        typed = typed || strncasecmp(call->headers[n], "content-type:", 13) == 0;
    }
    h->headers[n++].data = (char *)(uintptr_t) "Accept:";
    h->headers[n++].data = (char *)(uintptr_t) "Expect:";
    if (!typed)
        h->headers[n++].data = (char *)(uintptr_t) "Content-Type:";
    for (size_t i = 0; i < n; i++)
        h->headers[i].next = i + 1 < n ? &h->headers[i + 1] : NULL;
}

/* Bodies in memory go as CURLOPT_POSTFIELDS whatever the method is called: curl then sends a small
 * one together with the header in one system call, where CURLOPT_UPLOAD takes two and a callback.
 * A PUT or POST without a body is one of zero bytes, for its Content-Length. */
static void set_body(struct handle *h, const struct http_call *call)
{
    bool sends = strcmp(call->method, "PUT") == 0 || strcmp(call->method, "POST") == 0;
    enum mode mode = call->body.size > 0 && call->body.data == NULL ? MODE_FILE
                     : sends || call->body.size > 0                 ? MODE_MEMORY
                     : strcmp(call->method, "HEAD") == 0            ? MODE_HEAD
                                                                    : MODE_NO_BODY;

    BUG_ON(call->body.size > INT64_MAX);
    if (mode != h->mode) {
        /* Undoes the other modes. Fields left over from a body in memory would keep curl from
         * rewinding a file when it sends a request again. */
        EASY_SET(h, CURLOPT_POSTFIELDS, NULL);
        EASY_SET(h, CURLOPT_HTTPGET, 1L);
        if (mode == MODE_HEAD)
            EASY_SET(h, CURLOPT_NOBODY, 1L);
        else if (mode == MODE_FILE)
            EASY_SET(h, CURLOPT_UPLOAD, 1L);
        h->mode = mode;
    }
    if (mode == MODE_MEMORY) {
        EASY_SET(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        EASY_SET(h, CURLOPT_POSTFIELDS, call->body.size > 0 ? call->body.data : "");
    } else if (mode == MODE_FILE) {
        EASY_SET(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body.size);
    }
    if (strcmp(h->method, call->method) != 0) {
        snprintf(h->method, sizeof(h->method), "%s", call->method);
        EASY_SET(h, CURLOPT_CUSTOMREQUEST, h->method);
    }
}

/* curl takes a URL apart and puts it together again for each call. One that stays the same costs it
 * little where it is short, and what changes goes beside it. A proxy would get the whole URL. */
static void set_url(struct handle *h, const struct http_call *call)
{
    bool whole = !h->client->cfg.no_proxy || call->origin_len >= sizeof(h->origin);
    size_t n = whole ? 0 : call->origin_len;

    EASY_SET(h, CURLOPT_REQUEST_TARGET, n > 0 ? call->url + n : NULL);
    if (n > 0 && strncmp(h->origin, call->url, n) == 0 && h->origin[n] == '\0')
        return;
    text_copy(h->origin, n + 1, call->url);
    EASY_SET(h, CURLOPT_URL, n > 0 ? h->origin : call->url);
}

static void start_call(struct handle *h, struct http_call *call)
{
    struct http_client *c = h->client;

    call->handle_ = h;
    http_flow_begin(&h->flow, call);
    h->error[0] = '\0';
    h->fd = -1;
    http_progress_begin(&h->progress, loop_now_ms(c->loop));
    set_headers(h, call);
    set_body(h, call);
    set_url(h, call);
    EASY_SET(h, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    c->n_active++;
    c->stats.calls++;
    BUG_ON(curl_multi_add_handle(c->multi, h->easy) != CURLM_OK);
    if (!loop_timer_is_set(c->watch))
        loop_timer_set(c->watch, http_cfg_watch_ms(&c->cfg));
}

static uint64_t info(struct handle *h, CURLINFO what)
{
    curl_off_t v = 0;
    long small = 0; /* one of the two stays 0 */
    bool is_long = (what & CURLINFO_TYPEMASK) == CURLINFO_LONG;
    CURLcode rc =
        is_long ? curl_easy_getinfo(h->easy, what, &small) : curl_easy_getinfo(h->easy, what, &v);

    v += small;
    return rc == CURLE_OK && v > 0 ? (uint64_t)v : 0;
}

static enum http_failure failure_of(struct handle *h, CURLcode result)
{
    static const struct {
        CURLcode code;
        enum http_failure failure;
    } rows[] = {
        {CURLE_COULDNT_RESOLVE_HOST, HTTP_NAME_NOT_FOUND},
        {CURLE_COULDNT_RESOLVE_PROXY, HTTP_PROXY_NOT_FOUND},
        {CURLE_PROXY, HTTP_PROXY_REFUSED},
        {CURLE_COULDNT_CONNECT, HTTP_NOT_CONNECTED},
        {CURLE_OPERATION_TIMEDOUT, HTTP_CONNECT_TIMEOUT}, /* the only limit that is curl's */
        {CURLE_SSL_CONNECT_ERROR, HTTP_TLS_FAILED},
        {CURLE_SSL_CACERT_BADFILE, HTTP_CA_FILE_BAD},
        {CURLE_UNSUPPORTED_PROTOCOL, HTTP_NOT_HTTP},
        {CURLE_WEIRD_SERVER_REPLY, HTTP_NOT_HTTP},
    };
    if (info(h, CURLINFO_HTTP_CONNECTCODE) >= 300)
        return HTTP_PROXY_REFUSED;
    if (strncmp(h->error, "SSL connection timeout", 22) == 0)
        return HTTP_TLS_FAILED; /* no code of its own */
    if (result == CURLE_PEER_FAILED_VERIFICATION)
        return http_failure_of_certificate((long)info(h, CURLINFO_SSL_VERIFYRESULT));
    if (result == CURLE_OPERATION_TIMEDOUT && strncmp(h->error, "SSL", 3) == 0)
        return HTTP_TLS_FAILED; /* connected; only curl's words tell it from the other */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == result)
            return rows[i].failure;
    return HTTP_CONNECTION_LOST;
}

static void explain(struct handle *h, CURLcode result)
{
    struct http_answer *a = &h->flow.answer;

    if (a->text[0] == '\0')
        text_copy(a->text, sizeof(a->text), h->error[0] ? h->error : curl_easy_strerror(result));
    text_mask_controls(a->text);
    if (a->rc == RC_NET && a->failure == HTTP_NO_FAILURE)
        a->failure = failure_of(h, result);
}

/* Complete the answer from what curl knows at the end. */
static void conclude(struct handle *h, CURLcode result)
{
    struct http_answer *a = &h->flow.answer;
    struct http_stats *st = &h->client->stats;
    uint64_t up = info(h, CURLINFO_SIZE_UPLOAD_T), request = info(h, CURLINFO_REQUEST_SIZE);
    curl_off_t length = -1;

    a->rc = h->flow.own ? h->flow.own : result == TOO_LARGE ? RC_LIMIT : result ? RC_NET : RC_OK;
    if (a->rc == RC_OK && (!h->flow.head.whole || a->status < 200)) {
        a->rc = RC_NET; /* curl takes a header block cut short for an answer */
        snprintf(a->text, sizeof(a->text), "the connection was closed within the answer's header");
    }
    if (a->rc != RC_OK)
        explain(h, result);
    a->body = h->flow.body.data;
    a->body_len = h->flow.body.len;
    http_line_give_back(&h->client->line, h->flow.call, up, clock_mono_now_ns());
    a->request_sent = request > 0 && up >= h->flow.call->body.size;
    a->total_us = info(h, CURLINFO_TOTAL_TIME_T);
    if (curl_easy_getinfo(h->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
        length >= 0)
        a->content_length = (uint64_t)length;
    http_head_end(&h->flow.head, clock_wall_now_ns() / CLOCK_NS_PER_S);
    st->bytes_sent += up + request;
    st->bytes_received += info(h, CURLINFO_SIZE_DOWNLOAD_T) + info(h, CURLINFO_HEADER_SIZE);
}

/* Out of curl, the answer told, the handle free again. The answer's memory is the handle's, so it
 * is lent out again only afterwards. */
static void finish_call(struct handle *h, CURLcode result)
{
    struct http_client *c = h->client;
    struct http_call *call = h->flow.call;

    conclude(h, result);
    BUG_ON(curl_multi_remove_handle(c->multi, h->easy) != CURLM_OK);
    call->handle_ = NULL;
    h->flow.call = NULL;
    c->n_active--;
    call->done(call->arg, &h->flow.answer);
    http_flow_end(&h->flow);
    c->idle[c->n_idle++] = h;
}

static void collect(struct http_client *c)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (m->msg == CURLMSG_DONE)
            finish_call(handle_of(m->easy_handle), m->data.result);
    }
    run_queue(c);
}

static void end_call(struct handle *h, enum rc why, const char *text)
{
    h->flow.own = why;
    text_copy(h->flow.answer.text, sizeof(h->flow.answer.text), text);
    finish_call(h, CURLE_ABORTED_BY_CALLBACK);
}

static void run_queue(struct http_client *c)
{
    struct http_call *call;

    while (c->n_active < c->allowed && (c->n_idle > 0 || c->n_handles < c->allowed) &&
           (call = http_line_take(&c->line, clock_mono_now_ns())) != NULL) {
        if (!http_line_leaves(&c->line, call))
            continue;
        if (c->n_idle == 0)
            c->idle[c->n_idle++] = c->handles[c->n_handles++] = handle_new(c);
        start_call(c->idle[--c->n_idle], call);
    }
}

static void pace_fired(void *arg)
{
    run_queue(arg);
}

/* One timer for all calls: reading a few counters a second is cheaper than a timer for each call.
 * Connecting is left to curl's own limit. */
static void watch_fired(void *arg)
{
    struct http_client *c = arg;
    uint64_t now = loop_now_ms(c->loop);

    for (unsigned i = 0; i < c->n_handles; i++) {
        struct handle *h = c->handles[i];
        struct http_counters n = {.fd = h->fd};
        char text[96];

        if (h->flow.call == NULL)
            continue;
        n.up = info(h, CURLINFO_SIZE_UPLOAD_T);
        n.down = info(h, CURLINFO_SIZE_DOWNLOAD_T) + info(h, CURLINFO_HEADER_SIZE);
        n.body_size = h->flow.call->body.size;
        n.connected = info(h, CURLINFO_PRETRANSFER_TIME_T) > 0;
        h->flow.answer.failure = http_progress_look(&h->progress, &n, &c->cfg, now);
        if (h->flow.answer.failure == HTTP_NO_FAILURE)
            continue;
        snprintf(text, sizeof text, "no byte came or went for %" PRIu64 " ms",
                 now - h->progress.moved_ms);
        end_call(h, RC_NET, text);
    }
    if (c->n_active > 0)
        loop_timer_set(c->watch, http_cfg_watch_ms(&c->cfg));
    run_queue(c);
}

struct http_client *http_client_new(struct loop *l, const struct http_cfg *cfg)
{
    struct http_client *c = mem_alloc(sizeof(*c));

    c->loop = l;
    c->cfg = *cfg;
    http_cfg_complete(&c->cfg);
    c->allowed = c->cfg.connections;
    c->line.bytes_per_second = cfg->bytes_per_second;
    c->ca_file = cfg->ca_file ? mem_strdup(cfg->ca_file) : NULL;
    c->multi = curl_multi_init();
    BUG_ON(c->multi == NULL);
    c->sockets = http_sockets_new(l, socket_ready, c);
    c->timer = loop_timer_new(l, timer_fired, c);
    c->watch = loop_timer_new(l, watch_fired, c);
    c->line.pace = loop_timer_new(l, pace_fired, c);
    c->handles = mem_alloc(c->cfg.connections * sizeof(struct handle *));
    c->idle = mem_alloc(c->cfg.connections * sizeof(struct handle *));
    MULTI_SET(c, CURLMOPT_SOCKETFUNCTION, on_socket);
    MULTI_SET(c, CURLMOPT_SOCKETDATA, c);
    MULTI_SET(c, CURLMOPT_TIMERFUNCTION, on_timer);
    MULTI_SET(c, CURLMOPT_TIMERDATA, c);
    MULTI_SET(c, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    MULTI_SET(c, CURLMOPT_MAXCONNECTS, (long)c->cfg.connections);
    return c;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    while (c->line.first != NULL)
        http_line_cancel(&c->line, c->line.first);
    for (unsigned i = 0; i < c->n_handles; i++) {
        if (c->handles[i]->flow.call != NULL)
            http_cancel(c, c->handles[i]->flow.call);
    }
    for (unsigned i = 0; i < c->n_handles; i++) {
        curl_easy_cleanup(c->handles[i]->easy);
        http_flow_fini(&c->handles[i]->flow);
        free(c->handles[i]);
    }
    BUG_ON(curl_multi_cleanup(c->multi) != CURLM_OK);
    http_sockets_free(c->sockets);
    loop_timer_free(c->timer);
    loop_timer_free(c->watch);
    loop_timer_free(c->line.pace);
    free(c->handles);
    free(c->idle);
    free(c->ca_file);
    free(c);
}

void http_start(struct http_client *c, struct http_call *call)
{
    call->handle_ = NULL;
    http_line_add(&c->line, call);
    run_queue(c);
}

void http_cancel(struct http_client *c, struct http_call *call)
{
    if (call->handle_ != NULL)
        end_call(call->handle_, RC_CANCELLED, HTTP_CANCELLED_TEXT);
    else
        http_line_cancel(&c->line, call);
    run_queue(c);
}

void http_client_allow(struct http_client *c, unsigned calls)
{
    BUG_ON(calls < 1 || calls > c->cfg.connections);
    c->allowed = calls;
    run_queue(c);
}

void http_client_stats(const struct http_client *c, struct http_stats *out)
{
    *out = c->stats;
}

enum rc http_global_init(struct err *e)
{
    CURLcode rc = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, http_memory_free,
                                       http_memory_realloc, strdup, calloc);
    if (rc != CURLE_OK)
        return err_set(e, RC_IO, "libcurl does not start: %s", curl_easy_strerror(rc));
    http_sockets_outlive_their_peers();
    return RC_OK;
}

void http_global_fini(void)
{
    curl_global_cleanup();
}

const char *http_version(void)
{
    return curl_version();
}
