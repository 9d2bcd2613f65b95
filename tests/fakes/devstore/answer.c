/* Answers on the wire. A file is read piece by piece as it is sent and never held. */
#include "tests/fakes/devstore/answer.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)1 << 30)

void answer_init(struct answer *a)
{
    memset(a, 0, sizeof *a);
    buf_init(&a->bytes, ANSWER_MAX + HTTP_HEAD_MAX);
}

void answer_fini(struct answer *a)
{
    buf_fini(&a->bytes);
}

static const char *date(struct worker *w, int64_t now_ns)
{
    if (w->date_s != now_ns / CLOCK_NS_PER_S) {
        w->date_s = now_ns / CLOCK_NS_PER_S;
        http_date(w->date, now_ns);
    }
    return w->date;
}

static void add_head(struct answer *a, const struct exchange *x, struct worker *w, uint64_t length)
{
    const struct http_response *r = &x->response;
    struct buf *out = &a->bytes;
    bool no_length = x->fault.endless || r->status == 204 || r->status == 304;

    buf_addf(out, "HTTP/1.1 %d %s\r\nServer: devstore\r\nDate: %s\r\nx-amz-request-id: %s\r\n",
             r->status, http_reason(r->status), date(w, x->now_ns), x->request_id);
    buf_add(out, r->headers.data, r->headers.len);
    if (!no_length)
        buf_addf(out, "Content-Length: %llu\r\n", (unsigned long long)length);
    if (a->end == ANSWER_CLOSE || a->end == ANSWER_RESET)
        buf_adds(out, "Connection: close\r\n");
    buf_adds(out, "\r\n");
}

void answer_make(struct answer *a, const struct exchange *x, struct worker *w, bool close)
{
    const struct http_response *r = &x->response;
    const struct fault_effect *f = &x->fault;
    bool from_file = r->fd >= 0;
    uint64_t length = from_file || r->head_only ? r->length : r->body.len;
    size_t head_len;

    if (r->head_only && r->body.len > 0)
        length = r->body.len;
    if (a->bytes.cap > 1024 * 1024) {
        buf_fini(&a->bytes);
        buf_init(&a->bytes, ANSWER_MAX + HTTP_HEAD_MAX);
    }
    buf_reset(&a->bytes);
    a->sent = 0;
    a->file_sent = r->head_only || !from_file ? r->length : 0;
    a->limit = -1;
    a->cut = f->endless || f->wrong_length != 0;
    a->end = close || !x->request.keep_alive || a->cut ? ANSWER_CLOSE : ANSWER_KEEP;

    if (f->wrong_length < 0)
        length = length > (uint64_t)-f->wrong_length ? length - (uint64_t)-f->wrong_length : 0;
    else
        length += (uint64_t)f->wrong_length;
    add_head(a, x, w, length);
    head_len = a->bytes.len;
    if (!from_file && !r->head_only)
        buf_add(&a->bytes, r->body.data, r->body.len);
    for (int64_t i = f->wrong_length; i < 0 && r->body.len == 0 && !from_file; i++)
        buf_addc(&a->bytes, 'X'); /* an empty body has no bytes to be too many */
    if (f->truncate >= 0) {
        a->limit = (int64_t)head_len + f->truncate;
        a->end = ANSWER_CLOSE;
        a->cut = true;
    }
    if (f->reset_after >= 0) {
        a->limit = f->reset_after;
        a->end = ANSWER_RESET;
        a->cut = true;
    }
}

/* The scratch as filler for an answer without end. */
static void filler(struct worker *w, const char **data, size_t *n)
{
    memset(w->scratch, 'x', WORKER_SCRATCH);
    *data = w->scratch;
    *n = WORKER_SCRATCH;
}

bool answer_next(struct answer *a, const struct exchange *x, struct worker *w, const char **data,
                 size_t *n)
{
    const struct http_response *r = &x->response;
    uint64_t total_sent = a->sent + (r->fd >= 0 ? a->file_sent : 0);

    *n = 0;
    *data = NULL;
    if (a->sent < a->bytes.len) {
        *data = a->bytes.data + a->sent;
        *n = a->bytes.len - a->sent;
    } else if (a->file_sent < r->length) {
        uint64_t left = r->length - a->file_sent;
        size_t want = left < WORKER_SCRATCH ? (size_t)left : WORKER_SCRATCH;
        ssize_t got;
        do
            got = pread(r->fd, w->scratch, want, (off_t)(r->offset + a->file_sent));
        while (got < 0 && errno == EINTR);
        if (got <= 0)
            return false;
        *data = w->scratch;
        *n = (size_t)got;
    } else if (x->fault.endless) {
        filler(w, data, n);
    }
    if (a->limit >= 0) {
        uint64_t left = (uint64_t)a->limit > total_sent ? (uint64_t)a->limit - total_sent : 0;
        if (*n > left)
            *n = (size_t)left;
    }
    return true;
}

void answer_advance(struct answer *a, size_t n)
{
    if (a->sent < a->bytes.len)
        a->sent += n;
    else
        a->file_sent += n;
}
