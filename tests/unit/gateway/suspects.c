/* Which refusals are a file's own. */
#include "gateway/suspects.h"

#include <criterion/criterion.h>

Test(suspects, a_refusal_is_the_types_until_another_file_passes_and_the_same_one_is_refused_again)
{
    struct suspects s = {0};
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_TYPE);
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_TYPE);
    cr_expect_eq(suspects_refused(&s, 2), SUSPECTS_TYPE);
    suspects_delivered(&s, 3);
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_FILE);
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_TYPE, "nothing passed since");
    cr_expect_eq(suspects_refused(&s, 2), SUSPECTS_FILE);
    cr_expect_eq(suspects_refused(&s, 4), SUSPECTS_TYPE);
}

Test(suspects, a_file_that_passes_is_none_any_more)
{
    struct suspects s = {0};
    (void)suspects_refused(&s, 1);
    (void)suspects_refused(&s, 2);
    suspects_delivered(&s, 1);
    cr_expect_eq(s.n, 1);
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_TYPE);
    cr_expect_eq(suspects_refused(&s, 2), SUSPECTS_FILE);
}

Test(suspects, one_that_is_refused_again_and_again_while_others_pass_is_held_at_last)
{
    struct suspects s = {0};
    (void)suspects_refused(&s, 1);
    for (unsigned i = 1; i < SUSPECTS_TRIES; i++) {
        suspects_delivered(&s, 100 + i);
        cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_FILE);
        cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_TYPE, "does not count");
    }
    suspects_delivered(&s, 200);
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_HOLD);
    cr_expect_eq(s.n, 0);
}

Test(suspects, of_too_many_the_oldest_are_forgotten)
{
    struct suspects s = {0};
    for (uint64_t i = 0; i < 3 * SUSPECTS_MAX; i++)
        cr_expect_eq(suspects_refused(&s, i), SUSPECTS_TYPE);
    suspects_delivered(&s, 1000);
    for (uint64_t i = 2 * SUSPECTS_MAX; i < 3 * SUSPECTS_MAX; i++)
        cr_expect_eq(suspects_refused(&s, i), SUSPECTS_FILE);
    cr_expect_eq(suspects_refused(&s, 0), SUSPECTS_TYPE);
}
