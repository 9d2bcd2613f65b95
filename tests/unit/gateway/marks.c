/* Very many things known by a hash each. */
#include "gateway/marks.h"

#include <criterion/criterion.h>
#include <string.h>

/* As hashes are, and their lowest bits are of no account. */
static uint64_t hash_of(uint64_t i)
{
    i *= UINT64_C(0x9e3779b97f4a7c15);
    return i ^ (i >> 32);
}

Test(marks, what_is_in_is_found_whatever_came_and_went)
{
    enum { N = 3000, OPS = 200000 };
    static unsigned flags[N];
    struct marks *m = marks_new(N);
    uint64_t seed = 1;
    for (unsigned op = 0; op < OPS; op++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t i = (size_t)(seed >> 40) % N;
        flags[i] = (unsigned)(seed >> 36) & MARKS_FLAGS;
        marks_set(m, hash_of(i), flags[i]);
        size_t other = (size_t)(seed >> 20) % N;
        cr_assert_eq(marks_get(m, hash_of(other)), flags[other], "%zu after %u", other, op);
    }
    marks_clear(m, 2);
    for (size_t i = 0; i < N; i++)
        cr_assert_eq(marks_get(m, hash_of(i)), flags[i] & 2 ? 0 : flags[i], "%zu", i);
    marks_free(m);
}

/* All want the same slots, the last ones and those that follow: the first. */
Test(marks, hashes_that_meet_are_told_apart)
{
    enum { N = 40 };
    for (unsigned gone = 0; gone < N; gone++) {
        struct marks *m = marks_new(N);
        for (uint64_t i = 0; i < N; i++)
            marks_set(m, i << 40 | (60 + i % 3) << 2, 1 + i % 2);
        marks_set(m, (uint64_t)gone << 40 | (60 + gone % 3) << 2, 0);
        for (uint64_t i = 0; i < N; i++) {
            unsigned flags = marks_get(m, i << 40 | (60 + i % 3) << 2);
            cr_expect_eq(flags, i == gone ? 0 : 1 + i % 2, "%u without %u", (unsigned)i, gone);
        }
        marks_clear(m, 1);
        for (uint64_t i = 0; i < N; i++) {
            unsigned flags = marks_get(m, i << 40 | (60 + i % 3) << 2);
            cr_expect_eq(flags, i == gone || i % 2 == 0 ? 0 : 2, "%u", (unsigned)i);
        }
        marks_free(m);
    }
}

Test(marks, past_its_end_the_latest_is_in_and_no_more_than_that_are)
{
    enum { MAX = 100, N = 1000 };
    struct marks *m = marks_new(MAX);
    for (uint64_t i = 0; i < N; i++) {
        marks_set(m, hash_of(i), 1);
        cr_assert_eq(marks_get(m, hash_of(i)), 1);
    }
    size_t known = 0;
    for (uint64_t i = 0; i < N; i++)
        known += marks_get(m, hash_of(i)) == 1;
    cr_expect_eq(known, MAX);
    marks_free(m);
}
