/* Streams of the status, and the history's samples: see api_watch.h. One status is made a second
 * for all streams, and only while there are any. Who reads slowly gets the newest one when the one
 * before it has gone out, so that a stream holds at most one.
 */
#include "gateway/api_watch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/history.h"
#include "gateway/pipeline_int.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_MS  1000
#define COMMENT_MS 15000
#define SAMPLE_MS  6000
#define STATUS_MAX (768 << 10)

struct stream {
    struct api_watch *watch;
    struct control_stream *out;
    uint64_t version; /* of the status that it was sent last */
    uint64_t sent_ms;
    struct stream *prev, *next;
};

struct api_watch {
    struct api *api;
    struct loop_timer *status_timer, *sample_timer;
    struct stream *streams;
    size_t n_streams;
    struct buf event;          /* the newest status as it is sent */
    struct buf essence, fresh; /* of the one sent last and of now: without what always changes */
    uint64_t version;
    struct history *history;
};

/* ---- the status, as it changes ---- */

/* What moves by itself says nothing new. */
static void drop_restless(json_t *status)
{
    static const struct {
        const char *object, *name;
    } restless[] = {
        {"destination", "waiting_ms"}, {"destination", "next_probe_ms"}, {"spool", "free_bytes"},
        {"watcher", "events"},         {"journal", "disk_bytes"},
    };
    json_object_del(status, "uptime_ms");
    for (size_t i = 0; i < sizeof restless / sizeof restless[0]; i++)
        json_object_del(json_object_get(status, restless[i].object), restless[i].name);
    json_object_del(json_object_get(json_object_get(status, "destination"), "credentials"),
                    "next_ms");
}

static void write_event(struct api_watch *w, const json_t *status)
{
    buf_reset(&w->event);
    buf_adds(&w->event, "event: status\ndata: ");
    json_write(&w->event, status);
    buf_adds(&w->event, "\n\n");
}

static void look_at_status(struct api_watch *w)
{
    json_t *status = pipeline_status(api_pipeline(w->api));
    write_event(w, status);
    if (w->event.overflow) { /* thousands of event types */
        json_object_set_new(status, "event_types", json_array());
        write_event(w, status);
    }
    drop_restless(status);
    buf_reset(&w->fresh);
    json_write(&w->fresh, status);
    json_decref(status);
    if (w->fresh.len == w->essence.len && memcmp(w->fresh.data, w->essence.data, w->fresh.len) == 0)
        return;
    struct buf spare = w->essence;
    w->essence = w->fresh;
    w->fresh = spare;
    w->version++;
}

/* A slow reader misses some: it gets a newer one once it has taken the last. */
static void serve(struct stream *s, uint64_t now_ms)
{
    static const char comment[] = ":\n\n";
    struct api_watch *w = s->watch;
    enum rc rc = RC_OK;
    if (control_stream_waiting(s->out) > 0)
        return;
    if (s->version != w->version) {
        s->version = w->version;
        s->sent_ms = now_ms;
        rc = control_stream_send(s->out, w->event.data, w->event.len);
    } else if (now_ms - s->sent_ms >= COMMENT_MS) {
        s->sent_ms = now_ms;
        rc = control_stream_send(s->out, comment, sizeof comment - 1);
    }
    BUG_ON(rc != RC_OK); /* nothing waited, and a status is smaller than what a stream takes */
}

static void on_status(void *arg)
{
    struct api_watch *w = arg;
    uint64_t now_ms = loop_now_ms(api_loop(w->api));
    if (!w->streams)
        return;
    if (api_pipeline(w->api))
        look_at_status(w);
    for (struct stream *s = w->streams; s; s = s->next)
        serve(s, now_ms);
    loop_timer_set_shared(w->status_timer, STATUS_MS);
}

static void stream_gone(void *arg)
{
    struct stream *s = arg;
    *(s->prev ? &s->prev->next : &s->watch->streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->watch->n_streams--;
    free(s);
}

static void get_events(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api_watch *w = arg;
    (void)r;
    if (w->n_streams == API_STREAMS_MAX) {
        api_problem(a, 503,
                    "32 streams of events are open already: close one, or ask for "
                    "/v1/status");
        return;
    }
    struct stream *s = mem_alloc(sizeof *s);
    *s = (struct stream){.watch = w, .next = w->streams};
    if (s->next)
        s->next->prev = s;
    w->streams = s;
    w->n_streams++;
    a->content_type = "text/event-stream";
    s->out = control_stream_new(a, stream_gone, s);
    look_at_status(w);
    serve(s, loop_now_ms(api_loop(w->api)));
    if (!loop_timer_is_set(w->status_timer))
        loop_timer_set_shared(w->status_timer, STATUS_MS);
}

/* ---- the history ---- */

static void look_at_counts(struct api_watch *w, struct pipeline *p, struct history_now *now)
{
    int64_t oldest_ns = INT64_MAX, wall_ns = clock_wall_now_ns();
    *now = (struct history_now){.delivered_bytes = p->counts.delivered_bytes,
                                .rejected = p->counts.rejected,
                                .journey = p->metrics.journey,
                                .oldest_age_ms = -1};
    for (unsigned i = 0; i < p->n_lanes; i++) {
        const struct pipeline_lane *l = &p->lanes[i];
        const char *name = queue_lane_name(ledger_queue(p->ledger), i);
        struct ledger_lane_counts c;
        if (l->delivered_files > 0)
            now->delivered[history_type(w->history, name, strlen(name))] += l->delivered_files;
        if (!l->selected)
            continue;
        ledger_lane_counts(p->ledger, i, &c);
        now->backlog_files += c.files;
        now->backlog_bytes += c.bytes;
        if (c.oldest_ns < oldest_ns)
            oldest_ns = c.oldest_ns;
    }
    if (oldest_ns != INT64_MAX)
        now->oldest_age_ms = wall_ns > oldest_ns ? (wall_ns - oldest_ns) / CLOCK_NS_PER_MS : 0;
}

static void sample(struct api_watch *w)
{
    struct history_now now;
    struct pipeline *p = api_pipeline(w->api);
    if (!p)
        return;
    look_at_counts(w, p, &now);
    history_add(w->history, clock_mono_now_ns(), &now);
}

static void on_sample(void *arg)
{
    struct api_watch *w = arg;
    sample(w);
    loop_timer_set_shared(w->sample_timer, SAMPLE_MS);
}

static void get_history(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api_watch *w = arg;
    const char *text = control_argument(r, "span");
    enum history_span span = HISTORY_HOUR;
    if (text && !history_parse_span(text, &span)) {
        api_problem(a, 400, "span: expected hour or day");
        return;
    }
    sample(w);
    api_json(a, history_to_json(w->history, span, clock_mono_now_ns(), clock_wall_now_ns()));
}

/* ---- */

static const struct api_route routes[] = {
    {"GET", "/v1/events", get_events, 0},
    {"GET", "/v1/history", get_history, API_NO_PIPELINE},
};

struct api_watch *api_watch_new(struct api *api)
{
    struct api_watch *w = mem_alloc(sizeof *w);
    *w = (struct api_watch){.api = api,
                            .history = history_new(clock_mono_now_ns(), clock_wall_now_ns())};
    buf_init(&w->event, STATUS_MAX);
    buf_init(&w->essence, STATUS_MAX);
    buf_init(&w->fresh, STATUS_MAX);
    w->status_timer = loop_timer_new(api_loop(api), on_status, w);
    w->sample_timer = loop_timer_new(api_loop(api), on_sample, w);
    loop_timer_set_shared(w->sample_timer, SAMPLE_MS);
    api_add(api, routes, sizeof routes / sizeof routes[0], w);
    return w;
}

void api_watch_free(struct api_watch *w)
{
    if (!w)
        return;
    BUG_ON(w->streams);
    loop_timer_free(w->status_timer);
    loop_timer_free(w->sample_timer);
    history_free(w->history);
    buf_fini(&w->event);
    buf_fini(&w->essence);
    buf_fini(&w->fresh);
    free(w);
}
