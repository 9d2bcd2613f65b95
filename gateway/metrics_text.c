/* The exposition: see metrics_text.h. A scrape is refused whole when one line of it is wrong, so
 * whatever comes from outside goes through escape().
 */
#include "gateway/metrics_text.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- which format ---- */

/* Of a media range's parameters, in thousandths; 1000 where it says none. */
static unsigned weight(const char *params, size_t n)
{
    for (size_t i = 0; i + 2 < n; i++) {
        bool begins = i == 0 || params[i - 1] == ';' || params[i - 1] == ' ';
        if (!begins || (params[i] != 'q' && params[i] != 'Q') || params[i + 1] != '=')
            continue;
        double q = strtod(params + i + 2, NULL);
        return q >= 1 ? 1000 : q > 0 ? (unsigned)(q * 1000) : 0;
    }
    return 1000;
}

static bool is_type(const char *range, size_t n, const char *type)
{
    return n == strlen(type) && strncasecmp(range, type, n) == 0;
}

enum metrics_format metrics_format_of(const char *accept)
{
    unsigned open = 0, plain = 0, any = 0;
    for (const char *at = accept ? accept : ""; *at != '\0'; at += *at == ',') {
        at += strspn(at, " \t");
        size_t whole = strcspn(at, ","), n = strcspn(at, ",; \t");
        unsigned q = weight(at + n, whole - n);
        unsigned *which = is_type(at, n, "application/openmetrics-text")             ? &open
                          : is_type(at, n, "text/plain") || is_type(at, n, "text/*") ? &plain
                          : is_type(at, n, "*/*") || is_type(at, n, "application/*") ? &any
                                                                                     : NULL;
        if (which && q > *which)
            *which = q;
        at += whole;
    }
    return plain > open && plain > any ? METRICS_PLAIN : METRICS_OPENMETRICS;
}

const char *metrics_content_type(enum metrics_format f)
{
    return f == METRICS_PLAIN ? "text/plain; version=0.0.4; charset=utf-8"
                              : "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

/* ---- families and samples ---- */

static const char *suffix_of(enum metrics_kind kind)
{
    return kind == METRICS_COUNTER ? "_total" : kind == METRICS_INFO ? "_info" : "";
}

void metrics_family(struct metrics_text *t, const char *name, enum metrics_kind kind,
                    const char *unit, const char *help)
{
    static const char *const kinds[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram",
                                        [METRICS_INFO] = "info"};
    t->name = name;
    t->kind = kind;
    if (t->format == METRICS_OPENMETRICS) {
        buf_addf(t->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
        if (unit)
            buf_addf(t->out, "# UNIT %s %s\n", name, unit);
        return;
    }
    const char *suffix = suffix_of(kind); /* belongs to the name here */
    buf_addf(t->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix,
             kind == METRICS_INFO ? "gauge" : kinds[kind]);
}

static void escape(struct buf *out, const char *value)
{
    struct buf shown;
    size_t n = strlen(value);
    buf_init(&shown, 4 * n + 1);
    if (utf8_span(value, n) < n || utf8_find_control(value, n) < n)
        utf8_escape(&shown, value, n);
    else
        buf_add(&shown, value, n);
    for (size_t i = 0; i < shown.len; i++) {
        if (shown.data[i] == '"' || shown.data[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, shown.data[i]);
    }
    buf_fini(&shown);
}

/* le: of a bucket, else NULL. */
static void begin(struct metrics_text *t, const char *suffix, const struct metrics_labels *l,
                  const char *le)
{
    const char *between = "{";
    buf_addf(t->out, "%s%s", t->name, suffix);
    for (size_t i = 0; i < METRICS_LABELS_MAX && l->at[i].name; i++) {
        buf_addf(t->out, "%s%s=\"", between, l->at[i].name);
        escape(t->out, l->at[i].value);
        buf_addc(t->out, '"');
        between = ",";
    }
    if (le)
        buf_addf(t->out, "%sle=\"%s\"}", between, le);
    else if (between[0] == ',')
        buf_addc(t->out, '}');
    buf_addc(t->out, ' ');
}

void metrics_sample(struct metrics_text *t, const struct metrics_labels *l, uint64_t value)
{
    begin(t, suffix_of(t->kind), l, NULL);
    buf_addf(t->out, "%llu\n", (unsigned long long)value);
}

#define SECONDS_SIZE 32
/* "0.005", "60.0": as OpenMetrics wants bounds, and the same in both formats, so that series do not
 * change their names with the format. */
static const char *seconds(char out[SECONDS_SIZE], uint64_t us)
{
    int n = snprintf(out, SECONDS_SIZE, "%llu.%06llu", (unsigned long long)(us / 1000000),
                     (unsigned long long)(us % 1000000));
    while (n > 2 && out[n - 1] == '0' && out[n - 2] != '.')
        out[--n] = '\0';
    return out;
}

void metrics_sample_us(struct metrics_text *t, const struct metrics_labels *l, int64_t us)
{
    char text[SECONDS_SIZE];
    begin(t, suffix_of(t->kind), l, NULL);
    if (us == INT64_MAX)
        buf_adds(t->out, "+Inf\n");
    else
        buf_addf(t->out, "%s%s\n", us < 0 ? "-" : "",
                 seconds(text, us < 0 ? -(uint64_t)us : (uint64_t)us));
}

void metrics_sample_histogram(struct metrics_text *t, const struct metrics_labels *l,
                              const struct histogram *h, const struct histogram_bounds *b)
{
    char text[SECONDS_SIZE];
    uint64_t sum = 0;
    for (unsigned i = 0; i <= b->n; i++) {
        sum += h->counts[i];
        begin(t, "_bucket", l, i == b->n ? "+Inf" : seconds(text, b->upper_us[i]));
        buf_addf(t->out, "%llu\n", (unsigned long long)sum);
    }
    begin(t, "_sum", l, NULL);
    buf_addf(t->out, "%s\n", seconds(text, h->sum_us));
    begin(t, "_count", l, NULL);
    buf_addf(t->out, "%llu\n", (unsigned long long)sum);
}

void metrics_end(struct metrics_text *t)
{
    if (t->format == METRICS_OPENMETRICS)
        buf_adds(t->out, "# EOF\n");
}
