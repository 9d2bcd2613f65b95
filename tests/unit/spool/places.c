/* spool/places: an exact set, whatever comes and goes. */
#include "spool/places.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(places, it_holds_exactly_what_was_added_and_not_removed)
{
    enum { N = 5000 };
    static bool in[N + 1];
    struct places *p = places_new();
    size_t count = 0;
    srand(7);
    for (int i = 0; i < 200000; i++) {
        record_place n = 1 + (record_place)rand() % N;
        if (rand() % (i < 100000 ? 3 : 5) < 2) {
            places_add(p, n * 208);
            count += !in[n];
            in[n] = true;
        } else {
            cr_assert_eq(places_remove(p, n * 208), in[n]);
            count -= in[n];
            in[n] = false;
        }
        cr_assert_eq(places_count(p), count);
    }
    for (record_place n = 1; n <= N; n++)
        cr_assert_eq(places_has(p, n * 208), in[n]);
    record_place at;
    while (places_pop(p, &at)) {
        cr_assert(at % 208 == 0 && in[at / 208]);
        in[at / 208] = false;
        count--;
    }
    cr_assert_eq(count, 0);
    cr_assert_not(places_has(p, 208));
    places_free(p);
}

Test(places, one_that_is_put_back_each_time_does_not_hide_the_others)
{
    enum { N = 100 };
    bool met[N + 1] = {0};
    struct places *p = places_new();
    record_place at;
    for (record_place n = 1; n <= N; n++)
        places_add(p, n * 208);
    for (int i = 0; i < 4 * N; i++) {
        cr_assert(places_pop(p, &at));
        met[at / 208] = true;
        places_add(p, at);
    }
    for (int n = 1; n <= N; n++)
        cr_assert(met[n], "%d had no turn", n);
    cr_assert_eq(places_count(p), N);
    places_free(p);
}

Test(places, it_gives_memory_back_when_it_is_emptied)
{
    struct places *p = places_new();
    record_place at;
    for (record_place n = 1; n <= 100000; n++)
        places_add(p, n * 8);
    size_t full = places_memory(p);
    cr_assert_leq(full, 100000 * 21u);
    while (places_pop(p, &at))
        ;
    cr_assert_lt(places_memory(p), full / 50);
    for (record_place n = 1; n <= 1000; n++)
        places_add(p, n * 8);
    places_clear(p);
    cr_assert(places_count(p) == 0 && !places_has(p, 8) && !places_remove(p, 8));
    places_free(p);
}
