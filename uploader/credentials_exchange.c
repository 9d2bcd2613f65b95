/* One question to an endpoint that yields keys, on the thread of whoever asks. Bounded in time and
 * size, ended early when the source is stopped; the answer lies in one buffer that is wiped. */
#include "uploader/credentials_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 * 1024, SKEW_S = 60 };

static bool add(struct credentials_text *t, const char *data, size_t n)
{
    if (n >= t->size - t->len)
        return false;
    memcpy(t->data + t->len, data, n);
    t->len += n;
    t->data[t->len] = '\0';
    return true;
}

static enum rc take(void *arg, const char *data, size_t n)
{
    return add(&((struct credentials_reply *)arg)->body, data, n) ? RC_OK : RC_LIMIT;
}

/* A 2xx body went to take; what else came has no keys in it. */
static void take_rest(void *arg, const struct http_answer *a)
{
    struct credentials_reply *r = arg;
    if (r->body.len == 0)
        (void)add(&r->body, a->body, a->body_len); /* longer ones than we keep say enough without */
}

enum rc credentials_ask(struct credentials_source *s, const struct credentials_question *q,
                        struct credentials_reply *out)
{
    struct http_cfg cfg = {
        .ca_file = q->ca_file,
        .connections = 1,
        .connect_ms = q->connect_ms,
        .no_proxy = q->no_proxy,
    };
    struct http_call call = {
        .method = q->method,
        .url = q->url,
        .headers = q->headers,
        .n_headers = q->n_headers,
        .body = {.data = q->body, .fd = -1, .size = q->body ? q->body_len : 0},
        .answer_max = ANSWER_MAX - 1,
        .sink = take,
        .done = take_rest,
        .arg = out,
    };
    struct http_bounds bounds = {.total_ms = q->total_ms, .stop = s->stop};
    struct http_answer a;
    *out = (struct credentials_reply){.body = {.data = mem_alloc(ANSWER_MAX), .size = ANSWER_MAX}};
    enum rc rc = http_once_within(&cfg, &call, &bounds, &a, NULL);
    text_copy(out->text, sizeof out->text, a.text);
    if (rc == RC_LIMIT)
        return RC_INVALID;
    if (rc != RC_OK) {
        out->failure = a.failure;
        return rc == RC_CANCELLED ? rc : RC_NET;
    }
    out->status = a.status;
    if (a.date_unix_s != 0) {
        int64_t ahead = a.date_unix_s - clock_wall_now_ns() / CLOCK_NS_PER_S;
        out->ahead_s = ahead > SKEW_S || ahead < -SKEW_S ? ahead : 0;
    }
    return RC_OK;
}

void credentials_reply_fini(struct credentials_reply *r)
{
    credentials_text_fini(&r->body);
}
