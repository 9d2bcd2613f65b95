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
