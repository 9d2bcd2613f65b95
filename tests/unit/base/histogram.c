/* Durations in buckets. */
#include "base/histogram.h"

#include <criterion/criterion.h>

static const struct histogram_bounds *const all[] = {&histogram_quick, &histogram_journey};

Test(histogram, bounds_ascend_and_leave_room)
{
    for (unsigned k = 0; k < 2; k++) {
        cr_assert(all[k]->n > 0 && all[k]->n <= HISTOGRAM_BOUNDS_MAX);
        for (unsigned i = 1; i < all[k]->n; i++)
            cr_expect_lt(all[k]->upper_us[i - 1], all[k]->upper_us[i], "%u: %u", k, i);
    }
}

Test(histogram, the_objective_of_a_minute_is_a_bound)
{
    unsigned found = 0;
    for (unsigned i = 0; i < histogram_journey.n; i++)
        found += histogram_journey.upper_us[i] == 60 * UINT64_C(1000000);
    cr_expect_eq(found, 1);
}

Test(histogram, a_duration_on_a_bound_belongs_to_it_and_one_above_to_the_next)
{
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < all[k]->n; i++) {
            struct histogram h = {0};
            histogram_add(&h, all[k], all[k]->upper_us[i]);
            histogram_add(&h, all[k], all[k]->upper_us[i] + 1);
            cr_expect_eq(h.counts[i], 1, "%u: %u", k, i);
            cr_expect_eq(h.counts[i + 1], 1, "%u: %u", k, i);
            cr_expect_eq(h.sum_us, 2 * all[k]->upper_us[i] + 1);
        }
    }
}

Test(histogram, what_is_merged_is_the_sum)
{
    struct histogram a = {0}, b = {0};
    histogram_add(&a, &histogram_quick, 0);
    histogram_add(&a, &histogram_quick, 3000);
    histogram_add(&b, &histogram_quick, 3001);
    histogram_add(&b, &histogram_quick, UINT64_C(3600000000));
    histogram_merge(&a, &b);
    cr_expect_eq(histogram_count(&a), 4);
    cr_expect_eq(histogram_count(&b), 2);
    cr_expect_eq(a.counts[0], 1);
    cr_expect_eq(a.counts[5], 2);
    cr_expect_eq(a.counts[histogram_quick.n], 1);
    cr_expect_eq(a.sum_us, UINT64_C(3600006001));
}
