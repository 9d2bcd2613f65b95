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

Test(suspects, one_that_is_not_sent_any_more_makes_room)
{
    struct suspects s = {0};
    for (uint64_t i = 0; i < 3; i++)
        (void)suspects_refused(&s, i);
    suspects_drop(&s, 1);
    suspects_drop(&s, 1);
    cr_expect_eq(s.n, 2);
    suspects_delivered(&s, 1000);
    cr_expect_eq(suspects_refused(&s, 0), SUSPECTS_FILE);
    cr_expect_eq(suspects_refused(&s, 2), SUSPECTS_FILE);
    cr_expect_eq(suspects_refused(&s, 1), SUSPECTS_TYPE);
}

Test(suspects, of_too_many_the_newest_wait_until_the_others_are_held)
{
    enum { MANY = 3 * SUSPECTS_MAX };
    struct suspects s = {0};
    bool held[MANY] = {false};
    unsigned n = 0, rounds = 0;
    for (; n < MANY && rounds < 10 * SUSPECTS_TRIES; rounds++) {
        suspects_delivered(&s, 1000 + rounds);
        for (uint64_t i = 0; i < MANY; i++) {
            if (held[i] || suspects_refused(&s, i) != SUSPECTS_HOLD)
                continue;
            held[i] = true;
            n++;
        }
        if (rounds == SUSPECTS_TRIES)
            cr_expect_eq(n, SUSPECTS_MAX - 1, "the others take turns in one place");
    }
    cr_expect_eq(n, MANY, "%u of %d are held after %u rounds", n, MANY, rounds);
}
