/* The numbers that the gateway keeps for those who watch it, beyond what its parts count for
 * themselves. Plain counters of the loop's thread: counting takes no lock and no memory.
 *
 * What may become a label is bounded: METRICS_TYPES_MAX event types, in the order in which they
 * appear, the others together; reasons and codes from closed lists, since paths and answers hold
 * whatever somebody wrote into them.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "base/histogram.h"
#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>

#define METRICS_TYPES_MAX    32
#define METRICS_TYPES        (METRICS_TYPES_MAX + 1) /* and all others */
#define METRICS_TYPE_SIZE    256
#define METRICS_REASONS_MAX  32
#define METRICS_CODES_MAX    64
#define METRICS_OBJECTIVE_US UINT64_C(60000000) /* from closed to delivered */
#define METRICS_OTHER        "other"
#define METRICS_NO_TYPE      "none" /* a path that names no event type */

struct metrics_sum {
    uint64_t files, bytes;
};
/* By event type and reason; the reasons are the rows of a closed list. */
struct metrics_by_reason {
    struct metrics_sum sums[METRICS_TYPES][METRICS_REASONS_MAX];
};
struct metrics {
    struct {
        char name[METRICS_TYPE_SIZE];
        size_t n;
        struct metrics_sum accepted, delivered;
        uint64_t late; /* delivered past the objective */
    } types[METRICS_TYPES];
    unsigned n_types; /* those that have a row of their own */
    bool others;      /* there is something for the others' row */
    unsigned recent;
    struct metrics_by_reason rejected, held;
    struct histogram journey; /* closed to delivered: histogram_journey */
    struct {
        const char *code;
        uint64_t n;
    } failed[METRICS_CODES_MAX];
    unsigned n_failed;
};

/* The row of an event type, made if there is room; METRICS_TYPES_MAX: that of the others. */
unsigned metrics_type(struct metrics *m, const char *event_type, size_t n);
/* Is there such a row? */
bool metrics_has_type(const struct metrics *m, unsigned type);
/* "other" for METRICS_TYPES_MAX; so no row of its own has that name. */
const char *metrics_type_name(const struct metrics *m, unsigned type);

void metrics_accepted(struct metrics *m, unsigned type, uint64_t bytes);
/* closed_ns: the file's ctime, which is when it was moved in or last written; accepted_ns stands in
 * where it says nothing. */
struct metrics_delivery {
    unsigned type;
    uint64_t bytes;
    int64_t closed_ns, accepted_ns, delivered_ns;
};
void metrics_delivered(struct metrics *m, const struct metrics_delivery *d);
/* reason: the code of the decision. */
void metrics_rejected(struct metrics *m, unsigned type, const char *reason, uint64_t bytes);
void metrics_held(struct metrics *m, unsigned type, const char *reason, uint64_t bytes);
/* The row's word, NULL past the last one. */
const char *metrics_reason(unsigned row);
/* An attempt to send a file ended, and the file is still here. */
void metrics_attempt_failed(struct metrics *m, const struct err *why);

#endif
