/* spool/queue: fair between lanes, mostly the oldest first, and what was dropped stays away. */
#include "spool/queue.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static unsigned priority(void *arg, const char *event_type)
{
    (void)arg;
    return strcmp(event_type, "findings") == 0 ? 2 : strcmp(event_type, "greedy") == 0 ? 5000 : 0;
}

static unsigned lane(struct queue *q, const char *name)
{
    return queue_lane(q, name, strlen(name));
}

static void fill(struct queue *q, unsigned l, record_place from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        queue_push(q, l, from + 8 * i);
}

Test(queue, a_small_lane_is_served_beside_a_backlog_by_weight_and_without_rows)
{
    struct queue *q = queue_new(priority, NULL);
    unsigned big = lane(q, "audit"), small = lane(q, "findings"), got, served[2] = {0}, row = 0;
    record_place at;
    enum queue_end end;
    fill(q, big, 8, 100000);
    fill(q, small, 8000000, 30);
    for (int i = 0; i < 40; i++) {
        cr_assert(queue_take(q, &got, &at, &end));
        served[got]++;
        row = got == small ? row + 1 : 0;
        cr_assert_leq(row, 3);
    }
    cr_assert(served[big] == 10 && served[small] == 30, "%u and %u", served[big], served[small]);
    cr_assert_eq(queue_total(q), 100000 - 10);
    queue_free(q);
}

static unsigned asked_for(void *arg, const char *event_type)
{
    return strcmp(event_type, "findings") == 0 ? *(const unsigned *)arg : 0;
}

Test(queue, other_priorities_count_from_then_on)
{
    unsigned wanted = 0, got;
    struct queue *q = queue_new(asked_for, &wanted);
    unsigned big = lane(q, "audit"), small = lane(q, "findings");
    record_place at;
    enum queue_end end;
    fill(q, big, 8, 1000);
    fill(q, small, 8000000, 1000);
    for (unsigned i = 0; i < 2; i++) {
        unsigned served[2] = {0};
        wanted = 4 * i;
        queue_reweigh(q);
        for (int n = 0; n < 120; n++) {
            cr_assert(queue_take(q, &got, &at, &end));
            served[got]++;
        }
        cr_expect_eq(served[small], i ? 100 : 60, "%u", served[small]);
    }
    queue_free(q);
}

Test(queue, three_of_four_turns_take_the_oldest_and_one_the_newest)
{
    struct queue *q = queue_new(NULL, NULL);
    unsigned l = lane(q, "audit"), got;
    const record_place want[] = {8, 16, 24, 800, 32, 40, 48, 792, 56};
    record_place at;
    enum queue_end end;
    fill(q, l, 8, 100);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        cr_assert(queue_take(q, &got, &at, &end) && at == want[i] &&
                  (end == QUEUE_NEWEST) == (want[i] > 56));
    queue_push_again(q, l, 56);
    cr_assert(queue_take_from(q, l, false, &at, &end) && at == 56, "a probe takes the oldest");
    queue_put_back(q, l, at, end);
    cr_assert(queue_take_from(q, l, true, &at, &end) && at == 784 && end == QUEUE_NEWEST);
    queue_free(q);
}

Test(queue, those_that_are_early_go_first_and_stay_so_when_put_back_or_swept)
{
    enum { N = 10000 };
    struct queue *q = queue_new(NULL, NULL);
    unsigned l = lane(q, "audit"), got;
    const record_place want[] = {800016, 800008, 800024, 8 * N, 8, 16};
    record_place at;
    enum queue_end end;
    fill(q, l, 8, N);
    queue_push_early(q, l, 800000);
    queue_push_early(q, l, 800016);
    queue_push_early(q, l, 800008);
    queue_push_early(q, l, 800024);
    queue_drop(q, 800000);
    cr_assert(queue_front(q, l, QUEUE_EARLY, &at) && at == 800016);
    cr_assert_eq(queue_total(q), N + 3);
    for (int i = 0; i < 2; i++) {
        cr_assert(queue_take_from(q, l, false, &at, &end) && at == 800016 &&
                  end == QUEUE_FIRST_EARLY);
        queue_put_back(q, l, at, end);
    }
    for (size_t i = 3; i < N; i++)
        queue_drop(q, 8 * i);
    cr_assert_lt(queue_count(q, l), N, "many were swept out");
    cr_assert_eq(queue_total(q), 6);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        cr_assert(queue_take(q, &got, &at, &end) && at == want[i], "%zu: %lu", i, at);
    cr_assert_not(queue_take(q, &got, &at, &end));
    queue_free(q);
}

Test(queue, a_paused_lane_keeps_its_files_and_neither_saves_up_nor_owes)
{
    struct queue *q = queue_new(NULL, NULL);
    unsigned a = lane(q, "a"), b = lane(q, "b"), got;
    record_place at;
    enum queue_end end;
    fill(q, a, 8, 1000);
    fill(q, b, 80000, 1000);
    queue_pause(q, a, "refused");
    cr_assert_str_eq(queue_paused(q, a), "refused");
    cr_assert_null(queue_paused(q, b));
    for (int i = 0; i < 100; i++)
        cr_assert(queue_take(q, &got, &at, &end) && got == b);
    cr_assert(queue_take_from(q, a, false, &at, &end), "a probe may");
    queue_pause(q, a, NULL);
    unsigned from_a = 0;
    for (int i = 0; i < 10; i++) {
        cr_assert(queue_take(q, &got, &at, &end));
        from_a += got == a;
    }
    cr_assert_eq(from_a, 5);
    queue_pause(q, a, "x");
    queue_pause(q, b, "y");
    cr_assert_not(queue_take(q, &got, &at, &end));
    queue_free(q);
}

Test(queue, lanes_are_stable_and_past_the_last_one_shared)
{
    struct queue *q = queue_new(priority, NULL);
    char name[32];
    for (unsigned i = 0; i < 4095; i++) {
        (void)snprintf(name, sizeof name, "type%u", i);
        cr_assert_eq(lane(q, name), i);
    }
    cr_assert_eq(lane(q, "one more"), 4095);
    cr_assert_eq(lane(q, "and another"), 4095);
    cr_assert_str_eq(queue_lane_name(q, 4095), QUEUE_OTHERS, "what is shared is named after none");
    cr_assert_eq(lane(q, "type17"), 17);
    cr_assert_str_eq(queue_lane_name(q, 17), "type17");
    cr_assert_eq(queue_lane(q, "type1", 4), 4095, "a name that begins like another is another");
    cr_assert_eq(queue_lane(q, "type2\0x", 7), 2, "what a file system cannot name ends at the NUL");
    cr_assert_eq(queue_lanes(q), 4096);
    queue_free(q);
}

Test(queue, what_was_dropped_is_passed_over_swept_out_and_can_be_restored)
{
    enum { N = 50000 };
    struct queue *q = queue_new(NULL, NULL);
    unsigned a = lane(q, "a"), b = lane(q, "b"), got;
    size_t taken = 0;
    record_place at;
    enum queue_end end;
    fill(q, a, 8, N);
    fill(q, b, 8 + 8 * N, N);
    queue_drop(q, 8);
    cr_assert(queue_is_dropped(q, 8) && queue_total(q) == 2 * N - 1);
    cr_assert(queue_front(q, a, QUEUE_IN_TURN, &at) && at == 16);
    cr_assert_not(queue_is_dropped(q, 8), "it has been passed over");
    queue_restore(q, a, 8);
    queue_drop(q, 24);
    queue_restore(q, a, 24);
    cr_assert(queue_total(q) == 2 * N && queue_front(q, a, QUEUE_EARLY, &at) && at == 8);
    for (size_t i = 1; i <= 2 * N; i++)
        if (i % 3)
            queue_drop(q, 8 * i);
    cr_assert_lt(queue_count(q, a) + queue_count(q, b), 2 * N / 2, "most were swept out");
    cr_assert_eq(queue_total(q), 2 * N / 3);
    while (queue_take(q, &got, &at, &end)) {
        cr_assert_eq(at / 8 % 3, 0);
        cr_assert_eq(got, at > 8 * N ? b : a);
        taken++;
    }
    cr_assert_eq(taken, 2 * N / 3);
    cr_assert_eq(queue_total(q), 0);
    queue_free(q);
}
