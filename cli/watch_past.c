/* What `status --watch` remembers: the rate, deliveries of the last minutes, the last errors. See
 * watch_int.h. It lives as long as the watching; the gateway's own figures are the truth.
 */
#include "cli/watch_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rate ---- */

/* Large files count as they go, not when they are through. */
static int64_t bytes_so_far(const json_t *status)
{
    int64_t sum = watch_number(status, "since_start", "delivered_bytes");
    size_t i;
    const json_t *t;
    json_array_foreach(json_object_get(status, "transfers"), i, t) sum +=
        json_integer_value(json_object_get(t, "sent"));
    return sum;
}

static double per_second(int64_t from, int64_t to, uint64_t ms)
{
    return to > from && ms > 0 ? (double)(to - from) * 1000.0 / (double)ms : 0;
}

static void take_sample(struct watch *w)
{
    struct watch_sample now = {.at_ms = loop_now_ms(w->loop),
                               .files = watch_number(w->status, "since_start", "delivered_files"),
                               .bytes = bytes_so_far(w->status)};
    const size_t max = sizeof w->samples / sizeof w->samples[0];
    if (w->n_samples > 0 && now.files < w->samples[w->n_samples - 1].files) {
        w->n_samples = 0; /* another gateway, which counts from its start */
        w->second_files = -1;
    }
    if (w->n_samples == max)
        memmove(&w->samples[0], &w->samples[1], (--w->n_samples) * sizeof w->samples[0]);
    w->samples[w->n_samples++] = now;
    const struct watch_sample *first = &w->samples[0];
    w->files_per_s = per_second(first->files, now.files, now.at_ms - first->at_ms);
    w->bytes_per_s = per_second(first->bytes, now.bytes, now.at_ms - first->at_ms);
}

void watch_past_tick(struct watch *w)
{
    int64_t files = watch_number(w->status, "since_start", "delivered_files");
    bool known = w->status && w->gone[0] == '\0';
    float *second = &w->seconds[w->ticks++ % WATCH_SECONDS];
    *second = known && w->second_files >= 0 ? (float)(files - w->second_files) : -1;
    w->second_files = known ? files : -1;
}

static float rate_of(const json_t *point, double seconds)
{
    double sum = 0;
    const char *type;
    const json_t *n;
    if (json_is_null(json_object_get(point, "backlog_files")))
        return -1; /* no gateway ran */
    json_object_foreach(json_object_get(point, "delivered"), type, n)
    {
        sum += (double)json_integer_value(n);
    }
    return (float)(sum / seconds);
}

void watch_past_history(struct watch *w, const json_t *history)
{
    const json_t *points = json_object_get(history, "points");
    double step_s = (double)json_integer_value(json_object_get(history, "step_ms")) / 1000;
    const char *text = json_string_value(json_object_get(json_array_get(points, 0), "at"));
    int64_t first_ns;
    if (!text || step_s < 1 || clock_parse_rfc3339(text, &first_ns) != RC_OK)
        return;
    double since_s = (double)(clock_wall_now_ns() - first_ns) / (double)CLOCK_NS_PER_S;
    for (unsigned ago = 1; ago < WATCH_SECONDS && ago < since_s; ago++) {
        float *second = &w->seconds[(w->ticks - ago) % WATCH_SECONDS];
        size_t at = (size_t)((since_s - ago) / step_s);
        double so_far = since_s - (double)at * step_s; /* the last one is not full yet */
        if (*second < 0)
            *second = rate_of(json_array_get(points, at), so_far < step_s ? so_far : step_s);
    }
}

/* Columns begin at multiples of their seconds, so that they stay as they are while they move. */
void watch_past_columns(const struct watch *w, unsigned step, float *out, unsigned n)
{
    uint64_t last = w->ticks / step; /* the column that is being filled */
    for (unsigned i = 0; i < n; i++) {
        float sum = 0;
        unsigned known = 0;
        out[i] = -1;
        if (last + i + 1 < n)
            continue;
        uint64_t from = (last + i + 1 - n) * step;
        for (uint64_t at = from; at < from + step && at < w->ticks; at++) {
            if (at + WATCH_SECONDS < w->ticks || w->seconds[at % WATCH_SECONDS] < 0)
                continue;
            sum += w->seconds[at % WATCH_SECONDS];
            known++;
        }
        if (known > 0)
            out[i] = sum / (float)known;
    }
}

/* ---- errors ---- */

static void note(struct watch *w, const char *what, const char *text)
{
    char whole[2048], now[CLOCK_RFC3339_SIZE];
    struct watch_error e = {0};
    unsigned at = 0;
    if (!text || !text[0])
        return;
    (void)snprintf(whole, sizeof whole, "%s%s%s", what, what[0] ? ": " : "", text);
    while (at < w->n_errors && strcmp(w->errors[at].text, whole) != 0)
        at++;
    if (at < w->n_errors) {
        e = w->errors[at];
        memmove(&w->errors[at], &w->errors[at + 1], (--w->n_errors - at) * sizeof w->errors[0]);
    } else {
        if (w->n_errors == WATCH_ERRORS_MAX)
            free(w->errors[--w->n_errors].text);
        e.text = mem_strdup(whole);
        at = 0;
    }
    clock_rfc3339(now, clock_wall_now_ns());
    if (!e.now && !e.before) /* since when, where it goes on */
        (void)snprintf(e.at, sizeof e.at, "%.8s", now + 11);
    e.now = true;
    memmove(&w->errors[at + 1], &w->errors[at], (w->n_errors++ - at) * sizeof w->errors[0]);
    w->errors[at] = e; /* where it was, or in front */
}

void watch_past_answer(struct watch *w)
{
    static const char *const places[][2] = {{"destination", "why"}, {"watcher", "trouble"},
                                            {"journal", "why"},     {"spool", "why"},
                                            {"spool", "denied"},    {"sandbox", "why"}};
    size_t i;
    const json_t *t;
    take_sample(w);
    for (unsigned k = 0; k < w->n_errors; k++) {
        w->errors[k].before = w->errors[k].now;
        w->errors[k].now = false;
    }
    json_array_foreach(json_object_get(w->status, "event_types"), i, t)
    {
        const char *held = json_string_value(json_object_get(t, "held"));
        if (held && strcmp(held, "not selected") != 0 && /* that is as it was configured */
            json_integer_value(json_object_get(t, "files")) > 0)
            note(w, "event types", held);
    }
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++)
        note(w, "", watch_text(w->status, places[k][0], places[k][1]));
    watch_past_files(w);
}

/* Many fail for one reason: it stands once, the files are in their table. */
void watch_past_files(struct watch *w)
{
    const char *known = watch_text(w->status, "destination", "why");
    size_t i;
    const json_t *f;
    json_array_foreach(w->files, i, f)
    {
        const char *state = json_string_value(json_object_get(f, "state"));
        const char *why = json_string_value(json_object_get(f, "why"));
        if (!state || !why || (known && strcmp(known, why) == 0))
            continue;
        if (strcmp(state, "rejected") == 0 || strcmp(state, "deferred") == 0)
            note(w, state, why);
    }
}

void watch_past_fini(struct watch *w)
{
    for (unsigned i = 0; i < w->n_errors; i++)
        free(w->errors[i].text);
}
