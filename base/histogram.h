/* Counts of durations in fixed buckets: for the thread that owns it, without memory of its own.
 * Copied by assignment.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 24

/* Upper bounds in microseconds, a duration equal to one included, ascending. */
struct histogram_bounds {
    uint64_t upper_us[HISTOGRAM_BOUNDS_MAX];
    unsigned n;
};
/* Requests and disks: 100 us to a minute. */
extern const struct histogram_bounds histogram_quick;
/* Files on their way: 5 ms to a day, close together around the objective of one minute. */
extern const struct histogram_bounds histogram_journey;

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* each bucket by itself; [n]: over the last bound */
    uint64_t sum_us;
};

/* The same bounds each time. */
void histogram_add(struct histogram *h, const struct histogram_bounds *b, uint64_t us);
/* Of two with the same bounds. */
void histogram_merge(struct histogram *to, const struct histogram *from);
uint64_t histogram_count(const struct histogram *h);

#endif
