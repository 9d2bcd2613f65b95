#include "base/mem.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Test(mem, new_memory_is_zeroed_and_never_null)
{
    char *p = mem_alloc(1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(p[i], 0);
    free(p);
    p = mem_alloc(0);
    cr_assert_not_null(p);
    p = mem_resize(p, 0, 8);
    cr_assert_not_null(p);
    free(p);
}

Test(mem, resizing_keeps_the_contents)
{
    char *p = mem_resize(NULL, 4, 1);
    memcpy(p, "abc", 4);
    p = mem_resize(p, 1000, 100);
    cr_assert_str_eq(p, "abc");
    free(p);
}

Test(mem, a_product_that_overflows_is_a_bug, .signal = SIGABRT)
{
    free(mem_resize(NULL, SIZE_MAX / 2 + 2, 2));
}

Test(mem, strings_are_copied_up_to_their_end_or_the_limit)
{
    static const struct {
        const char *s;
        size_t n;
        const char *want;
    } cases[] = {{"hello", 10, "hello"}, {"hello", 3, "hel"}, {"hello", 0, ""}, {"", 5, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *s = mem_strndup(cases[i].s, cases[i].n);
        cr_assert_str_eq(s, cases[i].want);
        free(s);
    }
    char *s = mem_strdup("whole");
    cr_assert_str_eq(s, "whole");
    free(s);
}
