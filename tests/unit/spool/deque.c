/* spool/deque: against a plain array, and in the bytes that it promises. */
#include "spool/deque.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct check {
    const record_place *want;
    size_t n;
};

static bool check_visit(void *arg, record_place at)
{
    struct check *c = arg;
    cr_assert(c->n > 0 && at == *c->want);
    c->want++;
    c->n--;
    return true;
}

static record_place random_place(void)
{
    switch (rand() % 4) {
    case 0:
        return 8; /* the smallest */
    case 1:
        return ((UINT64_C(1) << 47) - 1) & ~UINT64_C(7); /* the largest */
    default:
        return ((UINT64_C(1) << 24) + (uint64_t)rand() % 4000000 * 8);
    }
}

static bool keep_even(void *arg, record_place at)
{
    (void)arg;
    return at / 8 % 2 == 0;
}

/* The plain one: an array with room on both sides. */
enum { ROOM = 400000 };

Test(deque, it_agrees_with_a_plain_array_for_three_hundred_thousand_steps)
{
    record_place *plain = mem_alloc(2 * ROOM * sizeof *plain), at;
    size_t front = ROOM, back = ROOM; /* [front, back) */
    struct deque *d = deque_new();
    uint64_t number = deque_front_number(d);
    srand(11);
    for (int i = 0; i < 300000; i++) {
        int grow = i % 100000 < 60000 ? 3 : 1;
        switch (rand() % (grow + 2)) {
        case 0:
            cr_assert_eq(deque_pop_front(d, &at), front < back);
            if (front < back) {
                cr_assert_eq(at, plain[front++]);
                number++;
            }
            break;
        case 1:
            cr_assert_eq(deque_pop_back(d, &at), front < back);
            if (front < back)
                cr_assert_eq(at, plain[--back]);
            break;
        case 2:
            plain[--front] = random_place();
            deque_push_front(d, plain[front]);
            number--;
            break;
        default:
            plain[back] = random_place();
            deque_push_back(d, plain[back++]);
        }
        cr_assert_eq(deque_count(d), back - front);
        if (front < back)
            cr_assert(deque_front(d, &at) && at == plain[front]);
        cr_assert_eq(deque_front_number(d), number);
        if (i % 20000 == 0 && front < back) {
            size_t skip = (size_t)rand() % (back - front);
            struct check from = {plain + front + skip, back - front - skip};
            deque_each_from(d, number + skip, check_visit, &from);
            cr_assert_eq(from.n, 0);
            deque_each_from(d, number - 1, check_visit, &from);
            deque_each_from(d, number + back - front, check_visit, &from);
        }
    }
    struct check all = {plain + front, back - front};
    deque_each(d, check_visit, &all);
    cr_assert_eq(all.n, 0);

    size_t kept = front;
    for (size_t i = front; i < back; i++)
        if (keep_even(NULL, plain[i]))
            plain[kept++] = plain[i];
    deque_filter(d, keep_even, NULL);
    all = (struct check){plain + front, kept - front};
    deque_each(d, check_visit, &all);
    cr_assert(all.n == 0 && deque_count(d) == kept - front);
    free(plain);
    deque_free(d);
}

Test(deque, a_million_places_in_a_row_take_less_than_three_megabytes)
{
    struct deque *d = deque_new();
    record_place at = (UINT64_C(7) << 24) + 64;
    srand(3);
    for (int i = 0; i < 1000000; i++) {
        deque_push_back(d, at);
        at +=
            8 * (20 + (uint64_t)rand() % 20) * (1 + (uint64_t)rand() % 6); /* other lanes between */
    }
    cr_assert_lt(deque_memory(d), 3u * 1000 * 1000, "%zu bytes", deque_memory(d));
    while (deque_pop_front(d, &at) && deque_pop_back(d, &at))
        ;
    cr_assert_lt(deque_memory(d), 1000);
    deque_free(d);
}
