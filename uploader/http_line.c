/* The line of calls that wait for a connection or for their turn under the bandwidth limit, and
 * what they send of a file. */
#include "uploader/http_int.h"

#include "base/clock.h"
#include "base/fsio.h"

#define IDLE_CREDIT_NS (CLOCK_NS_PER_S / 10) /* what an idle line may be ahead afterwards */

void http_line_add(struct http_line *l, struct http_call *call)
{
    call->next_ = NULL;
    if (l->last != NULL)
        l->last->next_ = call;
    else
        l->first = call;
    l->last = call;
}

static void take_out(struct http_line *l, struct http_call *call)
{
    struct http_call *before = NULL;

    for (struct http_call *at = l->first; at != call; at = at->next_) {
        BUG_ON(at == NULL);
        before = at;
    }
    if (before != NULL)
        before->next_ = call->next_;
    else
        l->first = call->next_;
    if (l->last == call)
        l->last = before;
    call->next_ = NULL;
}

void http_line_cancel(struct http_line *l, struct http_call *call)
{
    struct http_answer a = {
        .rc = RC_CANCELLED, .body = "", .content_length = UINT64_MAX, .text = HTTP_CANCELLED_TEXT};

    take_out(l, call);
    call->done(call->arg, &a);
}

bool http_waits(const struct http_call *call)
{
    return call->handle_ == NULL;
}

static int64_t ns_of(const struct http_line *l, uint64_t bytes)
{
    return (int64_t)((double)bytes * 1e9 / (double)l->bytes_per_second);
}

struct http_call *http_line_take(struct http_line *l, int64_t now_ns)
{
    struct http_call *call = l->first;

    if (call == NULL)
        return NULL;
    if (l->bytes_per_second > 0 && call->body.size > 0) {
        if (l->free_ns > now_ns) {
            loop_timer_set(l->pace, (uint64_t)((l->free_ns - now_ns) / CLOCK_NS_PER_MS) + 1);
            return NULL;
        }
        if (l->free_ns < now_ns - IDLE_CREDIT_NS)
            l->free_ns = now_ns - IDLE_CREDIT_NS;
        l->free_ns += ns_of(l, call->body.size);
    }
    call->booked_ns_ = l->free_ns;
    take_out(l, call);
    return call;
}

void http_line_give_back(struct http_line *l, const struct http_call *call, uint64_t sent,
                         int64_t now_ns)
{
    int64_t left_ns = call->booked_ns_ - now_ns, unsent_ns;

    if (l->bytes_per_second == 0 || sent >= call->body.size || left_ns <= 0)
        return;
    unsent_ns = ns_of(l, call->body.size - sent);
    l->free_ns -= unsent_ns < left_ns ? unsent_ns : left_ns;
}

bool http_line_leaves(struct http_line *l, struct http_call *call)
{
    if (call->leaves == NULL || call->leaves(call->arg))
        return true;
    http_line_give_back(l, call, 0, clock_mono_now_ns());
    return false;
}

enum rc http_body_read(const struct http_body *b, uint64_t sent, void *out, size_t max, size_t *got,
                       struct err *e)
{
    size_t want = max < b->size - sent ? max : (size_t)(b->size - sent);
    enum rc rc = RC_OK;

    *got = 0;
    if (want > 0)
        rc = fsio_read_full(&fsio_system, b->fd, out, want, b->offset + sent, got, e);
    if (rc == RC_OK && *got < want)
        rc = err_set(e, RC_IO, "the file is shorter than it was");
    if (rc == RC_OK)
        return RC_OK;
    *got = 0;
    return RC_IO;
}
