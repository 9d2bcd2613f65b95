/* One HTTP call to its end on a loop of its own: for commands, which have nothing else to do, and
 * for threads that fetch keys. */
#include "uploader/http_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MS = 50 }; /* how soon a wish to stop is noticed */

struct once {
    struct http_call *call;
    void (*done)(void *arg, const struct http_answer *a);
    void *arg;
    struct http_answer *answer;
    char **body;
    struct loop *loop;
    bool ended;
};

static enum rc once_sink(void *arg, const char *data, size_t n)
{
    struct once *o = arg;

    return o->call->sink(o->arg, data, n);
}

static void once_done(void *arg, const struct http_answer *a)
{
    struct once *o = arg;

    *o->answer = *a;
    o->answer->body = "";
    if (o->body != NULL) {
        *o->body = mem_alloc(a->body_len + 1);
        memcpy(*o->body, a->body,
               a->body_len); /* all of it, zero bytes too: body_len counts them */
        o->answer->body = *o->body;
    }
    if (o->done != NULL)
        o->done(o->arg, a);
    o->ended = true;
    loop_stop(o->loop); /* a quick answer comes before the round waits: it is not to wait */
}

/* What watches over a call that may not last for ever. */
struct limit {
    const struct http_bounds *bounds;
    struct http_client *client;
    struct http_call *call;
    struct loop_timer *timer;
    const bool *ended;
    int64_t end_ns;
    bool too_late;
};

static void look(void *arg)
{
    struct limit *m = arg;
    const atomic_bool *stop = m->bounds->stop;

    if (*m->ended)
        return; /* the answer came in this very round of the loop */
    m->too_late = m->bounds->total_ms > 0 && clock_mono_now_ns() >= m->end_ns;
    if (m->too_late || (stop != NULL && atomic_load(stop)))
        http_cancel(m->client, m->call);
    else
        loop_timer_set(m->timer, LOOK_MS);
}

enum rc http_once_within(const struct http_cfg *cfg, struct http_call *call,
                         const struct http_bounds *bounds, struct http_answer *a, char **body)
{
    struct loop *l = loop_new();
    struct http_client *c = http_client_new(l, cfg);
    struct once o = {
        .call = call, .done = call->done, .arg = call->arg, .answer = a, .body = body, .loop = l};
    struct http_call own = *call;
    struct limit m = {.bounds = bounds, .client = c, .call = &own, .ended = &o.ended};

    http_wipe_freed(true);
    own.done = once_done;
    own.arg = &o;
    if (call->sink != NULL)
        own.sink = once_sink;
    m.timer = loop_timer_new(l, look, &m);
    m.end_ns = clock_mono_now_ns() + (int64_t)bounds->total_ms * CLOCK_NS_PER_MS;
    if (bounds->total_ms > 0 || bounds->stop != NULL)
        loop_timer_set(m.timer, LOOK_MS);
    http_start(c, &own);
    while (!o.ended)
        loop_step(l, true);
    if (m.too_late && a->rc == RC_CANCELLED) {
        a->rc = RC_NET;
        a->failure = HTTP_NO_ANSWER;
        (void)snprintf(a->text, sizeof a->text, "no whole answer within %" PRIu64 " ms",
                       bounds->total_ms);
    }
    loop_timer_free(m.timer);
    http_client_free(c);
    loop_free(l);
    http_wipe_freed(false);
    return a->rc;
}

enum rc http_once(const struct http_cfg *cfg, struct http_call *call, struct http_answer *a,
                  char **body)
{
    static const struct http_bounds none;

    return http_once_within(cfg, call, &none, a, body);
}
