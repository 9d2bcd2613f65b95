/* Metrics as text: OpenMetrics 1.0, or the older text format 0.0.4 of Prometheus for those who ask
 * for it. The names of series and the values are the same in both.
 */
#ifndef GATEWAY_METRICS_TEXT_H
#define GATEWAY_METRICS_TEXT_H

#include "base/buf.h"
#include "base/histogram.h"

enum metrics_format { METRICS_OPENMETRICS, METRICS_PLAIN };
/* What an Accept header wants; NULL or anything goes: OpenMetrics. */
enum metrics_format metrics_format_of(const char *accept);
const char *metrics_content_type(enum metrics_format f); /* static */

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_INFO };

/* A family is begun, then its samples are written. The name is that of the family: without the
 * _total of a counter's and the _info of an info's samples, and with its unit as its last word. */
struct metrics_text {
    struct buf *out; /* the caller's */
    enum metrics_format format;
    const char *name;
    enum metrics_kind kind;
};
/* unit: "seconds", "bytes" or NULL. help: a sentence without quotes, backslashes and newlines. */
void metrics_family(struct metrics_text *t, const char *name, enum metrics_kind kind,
                    const char *unit, const char *help);

/* Values may be any text; what is not UTF-8 and controls are shown as \xHH. */
struct metrics_label {
    const char *name, *value;
};
#define METRICS_LABELS_MAX 4
struct metrics_labels {
    struct metrics_label at[METRICS_LABELS_MAX]; /* up to the first without a name */
};
#define METRICS_UNLABELLED ((struct metrics_labels){0})
/* METRICS_LABELLED({"event_type", name}, {"reason", word}) */
#define METRICS_LABELLED(...) ((struct metrics_labels){{__VA_ARGS__}})

void metrics_sample(struct metrics_text *t, const struct metrics_labels *l, uint64_t value);
/* In seconds; INT64_MAX: for ever. */
void metrics_sample_us(struct metrics_text *t, const struct metrics_labels *l, int64_t us);
void metrics_sample_histogram(struct metrics_text *t, const struct metrics_labels *l,
                              const struct histogram *h, const struct histogram_bounds *b);
/* After the last family. */
void metrics_end(struct metrics_text *t);

#endif
