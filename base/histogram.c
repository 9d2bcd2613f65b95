/* Histograms: see histogram.h. The search starts at the short end, where most durations are. */
#include "base/histogram.h"

#define MS UINT64_C(1000)
#define S  (1000 * MS)

const struct histogram_bounds histogram_quick = {{100, 250, 500, 1 * MS, 2500, 5 * MS, 10 * MS,
                                                  25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
                                                  1 * S, 2500 * MS, 5 * S, 10 * S, 30 * S, 60 * S},
                                                 18};

const struct histogram_bounds histogram_journey = {
    {5 * MS,    10 * MS, 25 * MS, 50 * MS,  100 * MS,  250 * MS, 500 * MS, 1 * S,
     2500 * MS, 5 * S,   10 * S,  20 * S,   30 * S,    45 * S,   60 * S,   90 * S,
     120 * S,   300 * S, 900 * S, 3600 * S, 21600 * S, 86400 * S},
    22};

void histogram_add(struct histogram *h, const struct histogram_bounds *b, uint64_t us)
{
    unsigned i = 0;
    while (i < b->n && us > b->upper_us[i])
        i++;
    h->counts[i]++;
    h->sum_us += us;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        to->counts[i] += from->counts[i];
    to->sum_us += from->sum_us;
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        n += h->counts[i];
    return n;
}
