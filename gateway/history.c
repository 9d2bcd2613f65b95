/* Rings of points: see history.h. The ring of a span has a point for each step; the point of step s
 * is at s % n and says which step it holds, so that what is too old is simply another step's.
 */
#include "gateway/history.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_POINTS 60
#define DAY_POINTS  96
#define MINUTE_NS   (60 * CLOCK_NS_PER_S)
#define HOUR_STEP   MINUTE_NS
#define DAY_STEP    (15 * MINUTE_NS)

struct point {
    int64_t step; /* whose it is; 0: nobody's */
    uint64_t delivered[HISTORY_TYPES_MAX + 1];
    uint64_t delivered_bytes, rejected, backlog_files, backlog_bytes;
    int64_t oldest_age_ms; /* -1: nothing waited */
    struct histogram journey;
};

struct history {
    int64_t offset_ns; /* from the monotonic clock to the one that steps begin by */
    struct {
        char name[HISTORY_TYPE_SIZE];
        size_t n;
    } types[HISTORY_TYPES_MAX];
    unsigned n_types;
    bool others;
    struct history_now last;
    struct point hour[HOUR_POINTS], day[DAY_POINTS];
};

static const struct span {
    const char *name;
    int64_t step_ns;
    size_t n;
} spans[] = {[HISTORY_HOUR] = {"hour", HOUR_STEP, HOUR_POINTS},
             [HISTORY_DAY] = {"day", DAY_STEP, DAY_POINTS}};

struct history *history_new(int64_t mono_ns, int64_t wall_ns)
{
    struct history *h = mem_alloc(sizeof *h);
    /* A whole number of days ahead: no step is 0 or less. */
    int64_t ahead = (wall_ns - mono_ns) % DAY_STEP;
    h->offset_ns = 96 * DAY_STEP + ahead;
    return h;
}

void history_free(struct history *h)
{
    free(h);
}

unsigned history_type(struct history *h, const char *event_type, size_t n)
{
    for (unsigned i = 0; i < h->n_types; i++) {
        if (h->types[i].n == n && memcmp(h->types[i].name, event_type, n) == 0)
            return i;
    }
    if (h->n_types == HISTORY_TYPES_MAX || n >= HISTORY_TYPE_SIZE) {
        h->others = true;
        return HISTORY_TYPES_MAX;
    }
    memcpy(h->types[h->n_types].name, event_type, n);
    h->types[h->n_types].n = n;
    return h->n_types++;
}

/* What a counter grew by; one that fell began anew. */
static uint64_t grown(uint64_t now, uint64_t last)
{
    return now >= last ? now - last : now;
}

static void raise_to(uint64_t *highest, uint64_t now)
{
    if (now > *highest)
        *highest = now;
}

static struct point *ring_of(const struct history *h, enum history_span span)
{
    const struct point *ring = span == HISTORY_HOUR ? h->hour : h->day;
    return (struct point *)(uintptr_t)ring;
}

static void add_to(struct history *h, enum history_span span, int64_t at_ns,
                   const struct history_now *now)
{
    const struct history_now *last = &h->last;
    int64_t step = at_ns / spans[span].step_ns;
    struct point *p = &ring_of(h, span)[(size_t)step % spans[span].n];
    if (p->step != step)
        *p = (struct point){.step = step, .oldest_age_ms = -1};
    for (unsigned i = 0; i <= HISTORY_TYPES_MAX; i++)
        p->delivered[i] += grown(now->delivered[i], last->delivered[i]);
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        p->journey.counts[i] += grown(now->journey.counts[i], last->journey.counts[i]);
    p->delivered_bytes += grown(now->delivered_bytes, last->delivered_bytes);
    p->rejected += grown(now->rejected, last->rejected);
    raise_to(&p->backlog_files, now->backlog_files);
    raise_to(&p->backlog_bytes, now->backlog_bytes);
    if (now->oldest_age_ms > p->oldest_age_ms)
        p->oldest_age_ms = now->oldest_age_ms;
}

void history_add(struct history *h, int64_t mono_ns, const struct history_now *now)
{
    add_to(h, HISTORY_HOUR, mono_ns + h->offset_ns, now);
    add_to(h, HISTORY_DAY, mono_ns + h->offset_ns, now);
    h->last = *now;
}

bool history_parse_span(const char *text, enum history_span *span)
{
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        if (strcmp(text, spans[i].name) == 0) {
            *span = (enum history_span)i;
            return true;
        }
    }
    return false;
}

/* ---- as JSON ---- */

/* Of those counted, in milliseconds: between the bounds of its bucket as if they lay evenly. */
static json_t *quantile(const struct histogram *journey, unsigned percent)
{
    const struct histogram_bounds *b = &histogram_journey;
    uint64_t n = histogram_count(journey), below = 0, wanted = (n * percent + 99) / 100;
    for (unsigned i = 0; i < b->n; i++) {
        uint64_t here = journey->counts[i], from = i ? b->upper_us[i - 1] : 0;
        if (here > 0 && below + here >= wanted) {
            double part = (double)(wanted - below) / (double)here;
            double us = (double)from + part * (double)(b->upper_us[i] - from);
            return json_integer((json_int_t)(us / 1000));
        }
        below += here;
    }
    return n == 0 ? json_null() : json_integer((json_int_t)(b->upper_us[b->n - 1] / 1000));
}

static json_t *time_of(int64_t ns)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, ns);
    return json_string(text);
}

/* The i-th name; NULL: there is no such row. */
static const char *type_name(const struct history *h, unsigned i)
{
    if (i == HISTORY_TYPES_MAX)
        return h->others ? HISTORY_OTHER : NULL;
    return i < h->n_types ? h->types[i].name : NULL;
}

/* An event type may itself be named "other": then the two are told as one. */
static json_t *delivered_of(const struct history *h, const struct point *p)
{
    json_t *o = json_object();
    for (unsigned i = 0; i <= HISTORY_TYPES_MAX; i++) {
        const char *name = type_name(h, i);
        if (!name)
            continue;
        json_t *before = json_object_get(o, name);
        json_int_t n = json_integer_value(before) + (json_int_t)(p ? p->delivered[i] : 0);
        json_object_set_new(o, name, json_integer(n));
    }
    return o;
}

static json_t *point_to_json(const struct history *h, const struct point *p, int64_t at_ns)
{
    json_t *o = json_pack("{s:o, s:o}", "at", time_of(at_ns), "delivered", delivered_of(h, p));
    json_object_set_new(o, "delivered_bytes", json_integer(p ? (json_int_t)p->delivered_bytes : 0));
    json_object_set_new(o, "rejected", json_integer(p ? (json_int_t)p->rejected : 0));
    json_object_set_new(o, "backlog_files",
                        p ? json_integer((json_int_t)p->backlog_files) : json_null());
    json_object_set_new(o, "backlog_bytes",
                        p ? json_integer((json_int_t)p->backlog_bytes) : json_null());
    json_object_set_new(o, "oldest_age_ms",
                        p && p->oldest_age_ms >= 0 ? json_integer(p->oldest_age_ms) : json_null());
    json_object_set_new(o, "p50_ms", p ? quantile(&p->journey, 50) : json_null());
    json_object_set_new(o, "p99_ms", p ? quantile(&p->journey, 99) : json_null());
    return o;
}

static json_t *types_to_json(const struct history *h)
{
    json_t *seen = json_object(), *list = json_array();
    for (unsigned i = 0; i <= HISTORY_TYPES_MAX; i++) {
        const char *name = type_name(h, i);
        if (!name || json_object_get(seen, name))
            continue;
        json_object_set_new(seen, name, json_true());
        json_array_append_new(list, json_string(name));
    }
    json_decref(seen);
    return list;
}

json_t *history_to_json(const struct history *h, enum history_span span, int64_t mono_ns,
                        int64_t wall_ns)
{
    const struct span *s = &spans[span];
    int64_t at_ns = mono_ns + h->offset_ns, newest = at_ns / s->step_ns;
    int64_t newest_wall_ns = wall_ns - at_ns % s->step_ns;
    json_t *points = json_array();
    for (int64_t i = (int64_t)s->n - 1; i >= 0; i--) {
        const struct point *p = &ring_of(h, span)[(size_t)(newest - i) % s->n];
        json_array_append_new(points, point_to_json(h, p->step == newest - i ? p : NULL,
                                                    newest_wall_ns - i * s->step_ns));
    }
    return json_pack("{s:s, s:I, s:o, s:o, s:o}", "span", s->name, "step_ms",
                     (json_int_t)(s->step_ns / CLOCK_NS_PER_MS), "end", time_of(wall_ns),
                     "event_types", types_to_json(h), "points", points);
}
