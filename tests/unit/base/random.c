#include "base/random.h"

#include <criterion/criterion.h>
#include <string.h>

Test(random, numbers_stay_below_the_bound_and_reach_each_value)
{
    bool seen[10] = {false};
    cr_assert_eq(random_below(0), 0);
    cr_assert_eq(random_below(1), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t n = random_system.below(random_system.arg, 10);
        cr_assert_lt(n, 10);
        seen[n] = true;
    }
    for (int i = 0; i < 10; i++)
        cr_assert(seen[i], "never %d in 1000", i);
}

Test(random, bytes_differ_each_time)
{
    uint8_t a[32] = {0}, b[32] = {0}, none = 7;
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    cr_assert_neq(memcmp(a, b, sizeof a), 0);
    random_bytes(&none, 0);
    cr_assert_eq(none, 7);
}
