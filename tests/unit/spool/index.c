/* spool/index: finds what was added, nothing else, in the memory that it promises. */
#include "spool/index.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static record_place place(uint64_t i)
{
    return ((i / 80000 + 1) << RECORD_OFFSET_BITS) + (i % 80000) * 200 + 64;
}

Test(index, what_was_added_is_found_with_its_state_and_nothing_else_is)
{
    struct index *x = index_new();
    size_t needless = 0;
    for (uint64_t i = 0; i < 100000; i++)
        index_add(x, mix(i), place(i), (enum index_state)(i & 3));
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t cursor = 0;
        record_place at;
        enum index_state s, got = INDEX_QUEUED;
        bool found = false;
        while (index_find(x, mix(i), &cursor, &at, &s))
            if (at == place(i)) {
                found = true;
                got = s;
            }
        cr_assert(found && got == (enum index_state)(i & 3));
        cr_assert(index_get(x, mix(i), place(i), &s) && s == got);
        cr_assert_not(index_get(x, mix(i), place(i) + 8, &s));
        cursor = 0;
        while (index_find(x, mix(i + 1000000), &cursor, &at, &s))
            needless++;
    }
    for (int s = 0; s < 4; s++)
        cr_assert_eq(index_count(x, (enum index_state)s), 25000);
    cr_assert_lt(needless, 600, "%zu of 100000 strangers had a candidate; 25 bits make it 300",
                 needless);
    index_free(x);
}

Test(index, moving_and_removing_take_the_entry_of_exactly_this_place)
{
    struct index *x = index_new();
    enum index_state s;
    record_place at;
    uint64_t cursor = 0;
    /* Three files with the same hash. */
    for (uint64_t i = 1; i <= 3; i++)
        index_add(x, 42, 8 * i, INDEX_QUEUED);
    cr_assert_not(index_move(x, 42, 800, 808, INDEX_HELD));
    cr_assert_not(index_remove(x, 42, 800));
    cr_assert(index_move(x, 42, 16, 88, INDEX_HELD));
    cr_assert(index_get(x, 42, 88, &s) && s == INDEX_HELD);
    cr_assert_not(index_get(x, 42, 16, &s));
    cr_assert(index_remove(x, 42, 8));
    cr_assert_not(index_remove(x, 42, 8));
    cr_assert(index_remove(x, 42, 24));
    cr_assert(index_find(x, 42, &cursor, &at, &s) && at == 88);
    cr_assert_not(index_find(x, 42, &cursor, &at, &s));
    cr_assert_eq(index_count(x, INDEX_QUEUED), 0);
    cr_assert_eq(index_count(x, INDEX_HELD), 1);
    index_free(x);
}

static bool keep_thirds(void *arg, record_place at, enum index_state s)
{
    (*(size_t *)arg)++;
    return at / 8 % 3 == 0 && s == INDEX_QUEUED;
}

Test(index, filtering_leaves_the_rest_where_it_can_be_found)
{
    enum { N = 300000 };
    struct index *x = index_new();
    enum index_state s;
    size_t asked = 0;
    for (uint64_t i = 1; i <= N; i++)
        index_add(x, mix(i), i * 8, i % 2 ? INDEX_QUEUED : INDEX_HELD);
    index_filter(x, keep_thirds, &asked);
    cr_assert_eq(asked, N);
    for (uint64_t i = 1; i <= N; i++)
        cr_assert_eq(index_get(x, mix(i), i * 8, &s), i % 6 == 3);
    cr_assert(index_count(x, INDEX_QUEUED) == N / 6 && index_count(x, INDEX_HELD) == 0);
    for (uint64_t i = 3; i <= N; i += 6)
        cr_assert(index_remove(x, mix(i), i * 8));
    index_free(x);
}

/* Against a plain array, with additions and removals mixed, growing and shrinking. */
Test(index, it_stays_right_through_a_hundred_thousand_changes)
{
    enum { SLOTS = 30000 };
    struct index *x = index_new();
    record_place *now = mem_alloc(SLOTS * sizeof *now);
    uint64_t next = 1, seed = 1;
    for (int round = 0; round < 300000; round++) {
        uint64_t i = mix(seed++) % SLOTS;
        bool shrinking = round / 60000 % 2 == 1;
        if (now[i] && (shrinking || (seed & 1))) {
            cr_assert(index_remove(x, mix(i), now[i]));
            now[i] = 0;
        } else if (now[i]) {
            cr_assert(index_move(x, mix(i), now[i], next * 8, INDEX_KEPT));
            now[i] = next++ * 8;
        } else if (!shrinking || seed % 8 == 0) {
            index_add(x, mix(i), next * 8, INDEX_QUEUED);
            now[i] = next++ * 8;
        }
    }
    size_t live = 0;
    for (uint64_t i = 0; i < SLOTS; i++) {
        enum index_state s;
        live += now[i] != 0;
        cr_assert(!now[i] || index_get(x, mix(i), now[i], &s));
    }
    cr_assert_gt(live, 100);
    cr_assert_eq(index_count(x, INDEX_QUEUED) + index_count(x, INDEX_KEPT), live);
    for (uint64_t i = 0; i < SLOTS; i++)
        cr_assert(!now[i] || index_remove(x, mix(i), now[i]));
    cr_assert_leq(index_memory(x), 256 * 4096 + 8192, "it keeps %zu bytes", index_memory(x));
    free(now);
    index_free(x);
}

static size_t count_pages(struct index *x, size_t n, uint8_t *seen, bool churn)
{
    record_place at[64];
    enum index_state s[64];
    uint64_t cursor = 0, extra = 5000000;
    size_t got, all = 0;
    while ((got = index_page(x, &cursor, at, s, n)) > 0) {
        cr_assert_leq(got, n);
        for (size_t i = 0; i < got; i++) {
            uint64_t number = at[i] / 8;
            if (number < 5000000)
                seen[number]++;
        }
        all += got;
        for (int i = 0; churn && i < 20; i++, extra++)
            index_add(x, mix(extra), extra * 8, INDEX_HELD);
    }
    return all;
}

Test(index, pages_show_every_entry_once_though_tables_grow_between_them)
{
    enum { N = 20000 };
    static uint8_t seen[N + 1];
    const size_t sizes[] = {1, 3, 64};
    struct index *x = index_new();
    for (uint64_t i = 1; i <= N; i++)
        index_add(x, mix(i), i * 8, INDEX_QUEUED);
    for (int same = 0; same < 10; same++) /* more than a small page of one hash */
        index_add(x, 42, (UINT64_C(6000000) + (uint64_t)same) * 8, INDEX_QUEUED);
    for (size_t k = 0; k < 3; k++) {
        memset(seen, 0, sizeof seen);
        cr_assert_eq(count_pages(x, sizes[k], seen, false), N + 10);
        for (size_t i = 1; i <= N; i++)
            cr_assert_eq(seen[i], 1);
    }
    memset(seen, 0, sizeof seen);
    count_pages(x, 64, seen, true);
    for (size_t i = 1; i <= N; i++)
        cr_assert_eq(seen[i], 1, "entry %zu was seen %u times", i, seen[i]);
    index_free(x);
}

Test(index, a_thousand_files_of_one_hash_are_slow_but_right)
{
    struct index *x = index_new();
    enum index_state s;
    for (uint64_t i = 1; i <= 1000; i++)
        index_add(x, UINT64_MAX, i * 8, INDEX_QUEUED);
    for (uint64_t i = 1; i <= 1000; i += 9)
        cr_assert(index_get(x, UINT64_MAX, i * 8, &s));
    for (uint64_t i = 1000; i > 0; i--)
        cr_assert(index_remove(x, UINT64_MAX, i * 8));
    cr_assert_eq(index_count(x, INDEX_QUEUED), 0);
    index_free(x);
}

Test(index, a_million_entries_take_less_than_thirteen_megabytes_at_any_moment)
{
    struct index *x = index_new();
    size_t most = 0;
    for (uint64_t i = 0; i < 1000000; i++) {
        index_add(x, mix(i), place(i), INDEX_QUEUED);
        if (index_memory(x) > most)
            most = index_memory(x);
    }
    cr_assert_lt(most, 13u * 1000 * 1000, "%zu bytes", most);
    cr_log_info("index of 1000000: %zu bytes", most);
    index_free(x);
}
