#include "base/buf.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

Test(buf, it_grows_and_is_always_terminated)
{
    struct buf b;
    buf_init(&b, 100000);
    cr_assert_str_eq(b.data, "");
    for (size_t i = 0; i < 100000; i++) {
        buf_addc(&b, (char)('a' + i % 26));
        cr_assert_eq(b.len, i + 1);
        cr_assert_eq(b.data[i + 1], '\0');
    }
    cr_assert_not(b.overflow);
    for (size_t i = 0; i < 100000; i++)
        cr_assert_eq(b.data[i], (char)('a' + i % 26));
    buf_fini(&b);
    cr_assert_str_eq(b.data, "");
}

Test(buf, past_the_maximum_nothing_is_added_any_more)
{
    struct buf b;
    buf_init(&b, 5);
    buf_adds(&b, "abc");
    buf_adds(&b, "def");
    cr_assert(b.overflow);
    cr_assert_str_eq(b.data, "abc");
    buf_adds(&b, "d"); /* would fit: but then the result were no prefix of what was meant */
    buf_addf(&b, "%d", 1);
    cr_assert_str_eq(b.data, "abc");
    buf_reset(&b);
    cr_assert_not(b.overflow);
    buf_adds(&b, "12345");
    cr_assert_not(b.overflow);
    cr_assert_str_eq(b.data, "12345");
    buf_addc(&b, '6');
    cr_assert(b.overflow);
    cr_assert_leq(b.cap, 6);
    buf_fini(&b);
}

Test(buf, a_maximum_of_nothing_holds_nothing)
{
    struct buf b;
    buf_init(&b, 0);
    buf_add(&b, "", 0);
    cr_assert_not(b.overflow);
    buf_addc(&b, 'x');
    cr_assert(b.overflow);
    cr_assert_str_eq(b.data, "");
    buf_fini(&b);
}

Test(buf, formatted_text_of_any_length_is_whole)
{
    static const int widths[] = {0, 1, 254, 255, 256, 257, 1000, 4096};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct buf b;
        buf_init(&b, 5000);
        buf_adds(&b, ">");
        buf_addf(&b, "%*s|", widths[i], "");
        cr_assert_eq(b.len, (size_t)widths[i] + 2, "width %d", widths[i]);
        cr_assert_eq(b.data[b.len - 1], '|');
        cr_assert_eq(strlen(b.data), b.len);
        buf_fini(&b);
    }
    struct buf b;
    buf_init(&b, 300);
    buf_addf(&b, "%400d", 1);
    cr_assert(b.overflow);
    cr_assert_eq(b.len, 0);
    buf_fini(&b);
}

Test(buf, bytes_may_be_nul)
{
    struct buf b;
    buf_init(&b, 10);
    buf_add(&b, "a\0b", 3);
    cr_assert_eq(b.len, 3);
    cr_assert_arr_eq(b.data, "a\0b", 4);
    buf_fini(&b);
}

Test(buf, cutting_shortens)
{
    struct buf b;
    buf_init(&b, 10);
    buf_cut(&b, 0);
    buf_adds(&b, "abcdef");
    buf_cut(&b, 3);
    cr_assert_str_eq(b.data, "abc");
    buf_adds(&b, "x");
    cr_assert_str_eq(b.data, "abcx");
    buf_fini(&b);
}

Test(buf, cutting_never_lengthens, .signal = SIGABRT)
{
    struct buf b;
    buf_init(&b, 10);
    buf_cut(&b, 1);
}

Test(buf, what_is_taken_is_the_callers)
{
    struct buf b;
    buf_init(&b, 10);
    char *nothing = buf_take(&b);
    cr_assert_str_eq(nothing, "");
    buf_adds(&b, "abc");
    char *some = buf_take(&b);
    cr_assert_str_eq(some, "abc");
    cr_assert_eq(b.len, 0);
    buf_adds(&b, "next");
    cr_assert_str_eq(some, "abc");
    cr_assert_str_eq(b.data, "next");
    buf_fini(&b);
    free(some);
    free(nothing);
}
