/* What goes and comes in the course of a call: the answer is taken in within its limits, or by who
 * wants it piece by piece, and a body in a file is read as the socket takes it. */
#include "uploader/http_int.h"

#include "base/text.h"

#define ANSWER_DEFAULT_MAX (64u << 10)
#define ANSWER_KEEP_MAX    (64u << 10) /* a larger buffer is not kept for the next call */

void http_flow_init(struct http_flow *f)
{
    *f = (struct http_flow){0};
    buf_init(&f->body, ANSWER_DEFAULT_MAX);
}

void http_flow_fini(struct http_flow *f)
{
    buf_fini(&f->body);
}

void http_flow_begin(struct http_flow *f, struct http_call *call)
{
    f->call = call;
    f->own = RC_OK;
    f->sent = 0;
    http_head_begin(&f->head, &f->answer);
    f->body.max = call->answer_max ? call->answer_max : ANSWER_DEFAULT_MAX;
    buf_reset(&f->body);
}

void http_flow_end(struct http_flow *f)
{
    if (f->body.cap <= ANSWER_KEEP_MAX + 1)
        return;
    buf_fini(&f->body);
    buf_init(&f->body, ANSWER_DEFAULT_MAX);
}

static bool refuse(struct http_flow *f, enum rc why, const char *text)
{
    f->own = why;
    text_copy(f->answer.text, sizeof(f->answer.text), text);
    return false;
}

bool http_flow_head(struct http_flow *f, const char *line, size_t n)
{
    return http_head_line(&f->head, line, n) ||
           refuse(f, RC_LIMIT, "the answer's header does not end");
}

bool http_flow_body(struct http_flow *f, const char *data, size_t n)
{
    if (f->call->sink != NULL && f->answer.status / 100 == 2) {
        enum rc rc = f->call->sink(f->call->arg, data, n);
        return rc == RC_OK || refuse(f, rc, "the answer was not wanted any further");
    }
    buf_add(&f->body, data, n);
    return !f->body.overflow || refuse(f, RC_LIMIT, "the answer is too long");
}

bool http_flow_read(struct http_flow *f, void *out, size_t max, size_t *got)
{
    struct err e;

    f->own = http_body_read(&f->call->body, f->sent, out, max, got, &e);
    f->sent += *got;
    return f->own == RC_OK || refuse(f, f->own, e.text);
}

bool http_flow_seek(struct http_flow *f, int64_t offset)
{
    if (offset < 0 || (uint64_t)offset > f->call->body.size)
        return false;
    f->sent = (uint64_t)offset;
    return true;
}
