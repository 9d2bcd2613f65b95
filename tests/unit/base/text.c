#include "base/text.h"

#include <criterion/criterion.h>
#include <string.h>

Test(text, what_fits_is_copied_and_no_character_is_cut_in_two)
{
    static const struct {
        const char *from;
        size_t size;
        const char *want;
    } cases[] = {
        {"abc", 4, "abc"},   {"abc", 3, "ab"}, {"abc", 1, ""},  {NULL, 8, ""},
        {"", 1, ""},         {"aü", 3, "a"},   {"aü", 4, "aü"}, {"漢字", 6, "漢"},
        {"漢字", 7, "漢字"}, {"漢字", 3, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char to[16];
        memset(to, 'x', sizeof to);
        text_copy(to, cases[i].size, cases[i].from);
        cr_assert_str_eq(to, cases[i].want, "case %zu", i);
    }
}

Test(text, controls_are_masked)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"plain \xc3\xbc", "plain \xc3\xbc"},
        {"\x1b[31m", "?[31m"},
        {"a\x7f\n", "a??"},
        {"\xc2\x9b"
         "31m",
         "??31m"},
        {"\xc2\xa0\xc2", "\xc2\xa0\xc2"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char s[32];
        text_copy(s, sizeof s, rows[i].from);
        text_mask_controls(s);
        cr_expect_str_eq(s, rows[i].to);
    }
}
