/* What was delivered and what waited over the last hour and day, for charts: two rings of points of
 * fixed size, in memory only. Steps follow the monotonic clock, so that a clock that is set neither
 * stretches nor repeats them; times are told by the wall clock of whoever asks.
 */
#ifndef GATEWAY_HISTORY_H
#define GATEWAY_HISTORY_H

#include "base/histogram.h"
#include "base/json.h"

#include <stdint.h>

#define HISTORY_TYPES_MAX 16 /* event types by name; all others together */
#define HISTORY_TYPE_SIZE 256
#define HISTORY_OTHER     "other"

enum history_span { HISTORY_HOUR, HISTORY_DAY };

/* How things stand: counters that only grow (from 0 again after a new start of what counts), and
 * what waits now. */
struct history_now {
    uint64_t delivered[HISTORY_TYPES_MAX + 1]; /* files by history_type */
    uint64_t delivered_bytes, rejected;
    struct histogram journey; /* histogram_journey: closed to delivered */
    uint64_t backlog_files, backlog_bytes;
    int64_t oldest_age_ms; /* -1: nothing waits */
};

struct history;
/* wall_ns: so that steps begin where a clock on the wall has whole ones. */
struct history *history_new(int64_t mono_ns, int64_t wall_ns);
void history_free(struct history *h);
/* The row of an event type, made if there is room; HISTORY_TYPES_MAX: that of the others. */
unsigned history_type(struct history *h, const char *event_type, size_t n);
/* Called every few seconds; mono_ns not before that of the last call. Counters are held against
 * those of the last call; the backlog of a point is the highest that was told in it. */
void history_add(struct history *h, int64_t mono_ns, const struct history_now *now);
/* "hour", "day"; false: neither. */
bool history_parse_span(const char *text, enum history_span *span);
/* As docs/api.md has it. Points without a call are there, with null for what is not known. */
json_t *history_to_json(const struct history *h, enum history_span span, int64_t mono_ns,
                        int64_t wall_ns);

#endif
