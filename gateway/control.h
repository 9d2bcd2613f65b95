/* The control socket: HTTP on a unix socket by libmicrohttpd, driven by our loop. The only file
 * that includes it. Requests are answered on the loop's thread by one handler.
 */
#ifndef GATEWAY_CONTROL_H
#define GATEWAY_CONTROL_H

#include "base/buf.h"
#include "base/loop.h"

#define CONTROL_BODY_MAX (1 << 20) /* bytes of a request's body; more is 413 */

struct control_request {
    const char *method; /* "GET", "POST" */
    const char *path;   /* decoded, without the query */
    const char *body;
    size_t body_len;
    void *handle_, *exchange_;
};
/* A query argument, decoded; NULL: not given. */
const char *control_argument(const struct control_request *r, const char *name);

struct control_answer {
    int status;
    const char *content_type;
    struct buf body; /* made by control.c, filled by the handler */
};
/* 200, JSON, an empty body. */
void control_answer_init(struct control_answer *a);
typedef void control_handler(void *arg, const struct control_request *r, struct control_answer *a);

/* The answer comes later: the handler calls it and then leaves its answer alone. */
struct control_pending;
struct control_pending *control_defer(const struct control_request *r);
/* Once for each that was deferred, on the loop's thread, at any time; takes a's body over. */
void control_answer_late(struct control_pending *w, struct control_answer *a);

struct control;
/* The socket is made with mode 0660, a stale one replaced. RC_AGAIN: someone answers on it;
 * RC_EXISTS: it is no socket; RC_DENIED, RC_ABSENT (its directory), RC_LIMIT (path over 107 bytes).
 */
enum rc control_new(struct loop *l, const char *socket_path, control_handler *handler, void *arg,
                    struct control **out, struct err *e) MUST_CHECK;
/* Removes the socket. What was deferred is answered 503, and still wants its control_answer_late.
 */
void control_free(struct control *c);

#endif
