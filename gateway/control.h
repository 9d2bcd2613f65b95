/* The control API's transport: HTTP/1.1 by libmicrohttpd, driven by our loop. The only file that
 * includes it. Requests are answered on the loop's thread by one handler for each listener: a unix
 * socket, or a TCP descriptor that somebody else opened and checked.
 *
 * What a listener bears is bounded: connections (when all are taken, the one that has been idle the
 * longest makes room), the time that a request may take to arrive and an answer to be read, the
 * bytes of a body, the streams.
 */
#ifndef GATEWAY_CONTROL_H
#define GATEWAY_CONTROL_H

#include "base/buf.h"
#include "base/loop.h"

#include <stdint.h>

#define CONTROL_BODY_MAX (1 << 20) /* bytes of a request's body; more is 413 */

struct control_request {
    const char *method; /* any token: "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", … */
    const char *path;   /* decoded, without the query */
    const char *body;
    size_t body_len;
    bool over_unix; /* by the unix socket: whoever may open it is trusted */
    void *handle_, *exchange_;
};
/* A query argument, decoded; NULL: not given, or it holds the character 0. */
const char *control_argument(const struct control_request *r, const char *name);
/* A request's header, the first of that name, in whatever case; NULL: not given. */
const char *control_header(const struct control_request *r, const char *name);
/* How often it is there: two Host or Origin headers are an attack. */
size_t control_header_count(const struct control_request *r, const char *name);
/* Of the Cookie header; NULL: not given. */
const char *control_cookie(const struct control_request *r, const char *name);

struct control_stream;
struct control_answer {
    int status;
    const char *content_type; /* static; NULL: none */
    struct buf body;          /* made by control.c, filled by the handler */
    const void *constant;     /* instead of body: bytes that live as long as the program */
    size_t constant_len;
    struct buf headers;            /* filled by control_answer_header */
    struct control_stream *stream; /* filled by control_stream_new */
};
/* 200, JSON, an empty body. */
void control_answer_init(struct control_answer *a);
void control_answer_fini(struct control_answer *a); /* for one that is not sent */
/* Controls in the value become '?'. Without a Cache-Control of its own an answer gets no-store. */
void control_answer_header(struct control_answer *a, const char *name, const char *value);
typedef void control_handler(void *arg, const struct control_request *r, struct control_answer *a);

/* The answer comes later: the handler calls it and then leaves its answer alone. */
struct control_pending;
struct control_pending *control_defer(const struct control_request *r);
/* Once for each that was deferred, on the loop's thread, at any time; takes over all that a holds.
 */
void control_answer_late(struct control_pending *w, struct control_answer *a);

/* ---- a body without an end ---- */

/* Makes a's body a stream. gone is called once, on the loop's thread, when the client went, was too
 * slow for too long or the listener is freed; the stream is not to be touched from then on. */
struct control_stream *control_stream_new(struct control_answer *a, void (*gone)(void *arg),
                                          void *arg);
/* Bytes that were sent and not yet taken over by the kernel: who sees some leaves the next out. */
size_t control_stream_waiting(const struct control_stream *s);
/* Copied. RC_LIMIT: more than 1 MiB would wait; nothing was added. */
enum rc control_stream_send(struct control_stream *s, const void *data, size_t n) MUST_CHECK;

/* ---- listeners ---- */

struct control_header_line {
    const char *name, *value;
};
struct control_cfg {
    struct loop *loop;
    const char *socket_path;  /* a unix socket, made with mode 0660; NULL: listen_fd */
    int listen_fd;            /* bound and listening; taken over, also when control_new fails */
    unsigned connections_max; /* 0: 200 */
    unsigned request_ms; /* from the connection or the last answer to a whole request; 0: 10 s */
    unsigned answer_ms;  /* for the client to take an answer, a stream's excepted; 0: 5 min */
    unsigned stream_ms;  /* after which the client of a stream has to ask again; 0: never */
    size_t body_max;     /* 0: CONTROL_BODY_MAX */
    const struct control_header_line *headers; /* on every answer; static */
    size_t n_headers;
    control_handler *handler;
    void *arg;
};

struct control;
/* A stale socket is replaced. RC_AGAIN: someone answers on it; RC_EXISTS: it is no socket;
 * RC_DENIED, RC_ABSENT (its directory), RC_LIMIT (path over 107 bytes). */
enum rc control_new(const struct control_cfg *cfg, struct control **out, struct err *e) MUST_CHECK;
/* Removes the socket. What was deferred is answered 503, and still wants its control_answer_late.
 * Not to be called by a handler of the same listener. */
void control_free(struct control *c);

#endif
