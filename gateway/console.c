/* The console's web server: see console.h. Every request passes `answer`: where it comes from, then
 * what it wants, then whether it has a session for it. No secret is in any answer but the one that
 * was asked for by its owner.
 */
#include "gateway/console.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "gateway/api.h"
#include "gateway/console_files.h"
#include "gateway/console_guard.h"
#include "gateway/session.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS        60000
#define BACKLOG        64
#define CONNECTIONS    64 /* a browser has six, and a stream for each page */
#define BODY_MAX       ((size_t)256 * 1024)
#define TOKEN_BODY_MAX 1024
#define BIND_TRIES     8
/* A stream outlives the session that opened it no longer than this. */
#define STREAM_MS (5 * 60 * 1000)

struct console {
    struct console_cfg cfg;
    /* Of the cookie: with the port, as cookies know none, and two gateways of one machine would
     * take each other's. */
    char cookie[24];
    struct session_table *sessions;
    struct control *control; /* NULL: it does not listen */
    struct loop_timer *look;
    uint64_t used_ms; /* there was a session or a link then */
};

static const struct control_header_line headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

/* ---- files ---- */

static bool is_reading(const struct control_request *r)
{
    return strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
}

static void refuse_method(struct control_answer *a, const char *allow)
{
    control_answer_header(a, "Allow", allow);
    api_problem(a, 405, "this resource has other methods");
}

static const struct console_file *file_of(const char *path)
{
    for (size_t i = 0; i < console_files_n; i++) {
        if (strcmp(console_files[i].path, path) == 0)
            return &console_files[i];
    }
    return NULL;
}

static void answer_file(const struct console_file *f, const struct control_request *r,
                        struct control_answer *a)
{
    const char *known = control_header(r, "If-None-Match");
    if (!is_reading(r)) {
        refuse_method(a, "GET, HEAD");
        return;
    }
    control_answer_header(a, "ETag", f->etag);
    control_answer_header(a, "Cache-Control", "no-cache");
    if (known && strstr(known, f->etag)) {
        a->status = 304;
        a->content_type = NULL;
        return;
    }
    a->content_type = f->type;
    a->constant = f->data;
    a->constant_len = f->n;
}

/* ---- sessions ---- */

static uint64_t now_ms(const struct console *c)
{
    return loop_now_ms(c->cfg.loop);
}

static void answer_session(const struct console *c, const char *csrf, struct control_answer *a)
{
    api_json(a, json_pack("{s:s, s:s, s:s}", "csrf", csrf, "mode", c->cfg.mode, "version",
                          SPOOLGATE_VERSION));
}

static void set_cookie(const struct console *c, const char *value, const char *more,
                       struct control_answer *a)
{
    char line[192];
    (void)snprintf(line, sizeof line, "%s=%s; HttpOnly; SameSite=Strict; Path=/%s", c->cookie,
                   value, more); /* fits: a name, a token, a constant */
    control_answer_header(a, "Set-Cookie", line);
    secret_wipe(line, sizeof line);
}

static void log_in(struct console *c, const char *token, struct control_answer *a)
{
    char cookie[SESSION_TOKEN_SIZE], csrf[SESSION_TOKEN_SIZE], wait[24];
    switch (session_open(c->sessions, now_ms(c), token, cookie, csrf)) {
    case SESSION_OPENED:
        log_info("console_login");
        set_cookie(c, cookie, "", a);
        answer_session(c, csrf, a);
        break;
    case SESSION_REFUSED:
        log_warning("console_login_refused",
                    F_STR("why", "the link was used already, is too old, or is none of ours"));
        api_problem(
            a, 401,
            "this link was used already, or is too old: spoolgate console prints a new one");
        break;
    case SESSION_LATER:
        (void)snprintf(wait, sizeof wait, "%llu", /* fits: a number */
                       (unsigned long long)(session_wait_ms(c->sessions, now_ms(c)) / 1000 + 1));
        control_answer_header(a, "Retry-After", wait);
        api_problem(a, 429, "too many links were wrong: wait a minute, then open a new one");
        break;
    }
    secret_wipe(cookie, sizeof cookie);
    secret_wipe(csrf, sizeof csrf);
}

static void post_session(struct console *c, const struct control_request *r,
                         struct control_answer *a)
{
    const char *type = control_header(r, "Content-Type");
    struct err e;
    if (!type || strncmp(type, "application/json", 16) != 0) {
        api_problem(a, 415, "expected application/json");
        return;
    }
    json_t *body = r->body_len <= TOKEN_BODY_MAX ? json_parse(r->body, r->body_len, &e) : NULL;
    log_in(c, json_string_value(json_object_get(body, "token")), a);
    json_decref(body);
}

/* With a session; csrf is its. */
static void with_session(struct console *c, const struct control_request *r, const char *cookie,
                         const char *csrf, struct control_answer *a)
{
    bool is_session = strcmp(r->path, "/session") == 0;
    if (!is_reading(r) && (control_header_count(r, "Spoolgate-Token") != 1 ||
                           !session_csrf_is(csrf, control_header(r, "Spoolgate-Token")))) {
        api_problem(a, 403, "the header Spoolgate-Token of this session is missing or wrong");
    } else if (!is_session) {
        c->cfg.handler(c->cfg.arg, r, a);
    } else if (is_reading(r)) {
        answer_session(c, csrf, a);
    } else if (strcmp(r->method, "DELETE") == 0) {
        session_end(c->sessions, cookie);
        set_cookie(c, "", "; Max-Age=0", a);
        a->status = 204;
        a->content_type = NULL;
    } else {
        refuse_method(a, "GET, HEAD, POST, DELETE");
    }
}

/* ---- requests ---- */

static const char *foreign(const struct control_request *r)
{
    struct console_origin o = {
        .host = control_header(r, "Host"),
        .n_hosts = control_header_count(r, "Host"),
        .origin = control_header(r, "Origin"),
        .n_origins = control_header_count(r, "Origin"),
        .fetch_site = control_header(r, "Sec-Fetch-Site"),
        .fetch_mode = control_header(r, "Sec-Fetch-Mode"),
        .is_entrance = is_reading(r) && strcmp(r->path, "/login") == 0,
    };
    return console_guard(&o);
}

static void answer(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct console *c = arg;
    const struct console_file *file = file_of(r->path);
    const char *cookie = control_cookie(r, c->cookie), *why = foreign(r);
    char csrf[SESSION_TOKEN_SIZE];
    if (why) {
        api_problem(a, 403, why);
    } else if (file) {
        answer_file(file, r, a);
    } else if (strcmp(r->path, "/session") == 0 && strcmp(r->method, "POST") == 0) {
        post_session(c, r, a);
    } else if (session_use(c->sessions, now_ms(c), cookie, csrf)) {
        with_session(c, r, cookie, csrf, a);
        secret_wipe(csrf, sizeof csrf);
    } else {
        api_problem(a, 401, "not logged in: open the link that spoolgate console prints");
    }
}

/* ---- the listener ---- */

static enum rc bind_once(uint16_t port, struct console_port *out, struct err *e)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket for the console");
    /* What the last console's connections have left does not keep its port. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
        enum rc rc = err_sys(e, errno, "the console cannot have port %u of 127.0.0.1", port);
        (void)close(fd); /* nothing was written */
        return rc;
    }
    *out = (struct console_port){.fd = fd, .port = ntohs(at.sin_port)};
    return RC_OK;
}

enum rc console_bind(uint16_t port, struct console_port *out, struct err *e)
{
    enum rc rc = bind_once(port, out, e);
    /* A port that the kernel chose it takes back when the socket stops listening; one that was
     * asked for stays ours. So what it chose is asked for. */
    for (int i = 0; rc == RC_OK && port == 0 && i < BIND_TRIES; i++) {
        (void)close(out->fd); /* nothing was written */
        rc = bind_once(out->port, out, e);
        if (rc == RC_OK)
            return RC_OK;
        rc = bind_once(0, out, e);
    }
    return rc;
}

static void stop_listening(struct console *c)
{
    if (!c->control)
        return;
    control_free(c->control);
    c->control = NULL;
    /* The descriptor is shared with the one that was freed: only this ends its listening. */
    (void)shutdown(c->cfg.port.fd, SHUT_RDWR);
    loop_timer_clear(c->look);
    log_info("console_closed");
}

static void on_look(void *arg)
{
    struct console *c = arg;
    uint64_t now = now_ms(c);
    if (session_count(c->sessions, now) > 0)
        c->used_ms = now;
    if (now - c->used_ms < CONSOLE_UNUSED_MS) {
        loop_timer_set_shared(c->look, LOOK_MS);
        return;
    }
    stop_listening(c);
    if (c->cfg.unused)
        c->cfg.unused(c->cfg.unused_arg);
}

struct console *console_new(const struct console_cfg *cfg)
{
    struct console *c = mem_alloc(sizeof *c);
    *c = (struct console){.cfg = *cfg, .sessions = session_table_new()};
    c->look = loop_timer_new(cfg->loop, on_look, c);
    return c;
}

/* Another port than the one that is there, or the first. */
static enum rc take_port(struct console *c, uint16_t port, struct err *e)
{
    struct console_port *now = &c->cfg.port, other = {.fd = -1};
    if (now->fd >= 0 && (port == 0 || port == now->port))
        return RC_OK;
    if (c->control)
        return err_set(e, RC_EXISTS,
                       "the console is open on port %u already: leave --port out, or wait until it "
                       "closes",
                       now->port);
    enum rc rc = console_bind(port, &other, e);
    if (rc == RC_DENIED && now->fd >= 0)
        return err_set(e, RC_DENIED,
                       "the gateway may not open port %u (its sandbox lets it open %u, ports below "
                       "1024 are root's): leave --port out",
                       port, now->port);
    if (rc != RC_OK)
        return rc;
    if (now->fd >= 0)
        (void)close(now->fd); /* it does not listen */
    *now = other;
    return RC_OK;
}

static enum rc start_listening(struct console *c, struct err *e)
{
    struct control_cfg cc = {
        .loop = c->cfg.loop,
        .connections_max = CONNECTIONS,
        .stream_ms = STREAM_MS,
        .body_max = BODY_MAX,
        .headers = headers,
        .n_headers = sizeof headers / sizeof headers[0],
        .handler = answer,
        .arg = c,
    };
    if (listen(c->cfg.port.fd, BACKLOG) != 0)
        return err_sys(e, errno, "the console cannot listen on port %u", c->cfg.port.port);
    cc.listen_fd = fcntl(c->cfg.port.fd, F_DUPFD_CLOEXEC, 0);
    if (cc.listen_fd < 0)
        return err_sys(e, errno, "the console cannot listen on port %u", c->cfg.port.port);
    enum rc rc = control_new(&cc, &c->control, e);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(c->cookie, sizeof c->cookie, "spoolgate-%u", c->cfg.port.port); /* fits */
    log_info("console_open", F_U64("port", c->cfg.port.port));
    loop_timer_set_shared(c->look, LOOK_MS);
    return RC_OK;
}

enum rc console_link(struct console *c, uint16_t port, struct buf *url, struct err *e)
{
    char token[SESSION_TOKEN_SIZE];
    enum rc rc = take_port(c, port, e);
    if (rc == RC_OK && !c->control)
        rc = start_listening(c, e);
    if (rc != RC_OK)
        return rc;
    c->used_ms = now_ms(c);
    session_link(c->sessions, c->used_ms, token);
    buf_addf(url, "http://127.0.0.1:%u/login#%s", c->cfg.port.port, token);
    secret_wipe(token, sizeof token);
    return RC_OK;
}

uint16_t console_port_of(const struct console *c)
{
    return c->cfg.port.fd >= 0 ? c->cfg.port.port : 0;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    stop_listening(c);
    loop_timer_free(c->look);
    session_table_free(c->sessions);
    if (c->cfg.port.fd >= 0)
        (void)close(c->cfg.port.fd); /* nothing was written */
    free(c);
}
