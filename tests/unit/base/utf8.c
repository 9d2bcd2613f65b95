#include "base/utf8.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The text of a code point, written from RFC 3629's table of ranges. */
static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

Test(utf8, every_code_point_but_surrogates_is_valid)
{
    char text[4];
    for (uint32_t c = 0; c < 0x120000; c++) {
        size_t n = encode(c, text);
        bool valid = c < 0xd800 || (c > 0xdfff && c <= 0x10ffff);
        cr_assert_eq(utf8_span(text, n), valid ? n : 0, "U+%04X", c);
        for (size_t cut = 1; cut < n; cut++)
            cr_assert_eq(utf8_span(text, cut), 0, "U+%04X cut to %zu", c, cut);
    }
}

Test(utf8, of_all_pairs_of_bytes_only_the_right_ones_are_characters)
{
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char text[2] = {(char)a, (char)b};
            size_t want = a < 0x80 ? (b < 0x80 ? 2 : 1)
                                   : (a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf ? 2 : 0);
            cr_assert_eq(utf8_span(text, 2), want, "%02x %02x", a, b);
        }
    }
}

Test(utf8, the_span_ends_at_the_first_bad_byte)
{
    static const struct {
        const char *s;
        size_t span;
    } cases[] = {
        {"", 0},
        {"plain ascii text, longer than eight", 35},
        {"12345678\xff", 8},
        {"1234567\xff", 7},
        {"gr\xc3\xbc\xc3\x9f"
         "e",
         7},
        {"\xc0\x80", 0},         /* overlong NUL */
        {"\xe0\x80\x80", 0},     /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"a\xed\xa0\x80", 1},    /* surrogate */
        {"\xf4\x90\x80\x80", 0}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\x80", 0},
        {"ab\xe4\xbd\xa0\xe4\xbd", 5}, /* cut */
        {"\xe4\xbd"
         "x",
         0},
        {"\xf0\x9f\x98\x80!", 5},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_assert_eq(utf8_span(cases[i].s, strlen(cases[i].s)), cases[i].span, "case %zu", i);
}

Test(utf8, control_characters_are_found)
{
    char text[4];
    for (uint32_t c = 0; c < 0x1000; c++) {
        size_t n = encode(c, text);
        bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f);
        cr_assert_eq(utf8_find_control(text, n), control ? 0 : n, "U+%04X", c);
    }
    cr_assert_eq(utf8_find_control("abc\ndef", 7), 3);
    cr_assert_eq(utf8_find_control("\xc3\x9f\xc2\x85", 4), 2);
    cr_assert_eq(utf8_find_control("a\0b", 3), 1);
}

Test(utf8, what_is_escaped_is_safe_and_unambiguous)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } cases[] = {
        {"plain", 5, "plain"},
        {"", 0, ""},
        {"a\nb\tc", 5, "a\\nb\\tc"},
        {"back\\slash", 10, "back\\\\slash"},
        {"\x1b[31m", 5, "\\x1b[31m"},
        {"\0", 1, "\\x00"},
        {"\x7f", 1, "\\x7f"},
        {"\xc2\x85", 2, "\\xc2\\x85"},
        {"\xff\xfe", 2, "\\xff\\xfe"},
        {"\xe4\xbd\xa0", 3, "\xe4\xbd\xa0"},
        {"\xe4\xbd", 2, "\\xe4\\xbd"},
        {"\"quoted\"", 8, "\"quoted\""},
        {"\r", 1, "\\x0d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        utf8_escape(&b, cases[i].in, cases[i].n);
        cr_assert_str_eq(b.data, cases[i].out);
        buf_fini(&b);
    }
}

Test(utf8, whatever_is_escaped_is_valid_and_free_of_controls)
{
    uint32_t state = 1;
    for (int round = 0; round < 20000; round++) {
        char in[24];
        for (size_t i = 0; i < sizeof in; i++) {
            state = state * 1664525 + 1013904223;
            in[i] = (char)(state >> 24);
        }
        struct buf b;
        buf_init(&b, 4 * sizeof in);
        utf8_escape(&b, in, sizeof in);
        cr_assert_not(b.overflow);
        cr_assert_eq(utf8_span(b.data, b.len), b.len);
        cr_assert_eq(utf8_find_control(b.data, b.len), b.len);
        buf_fini(&b);
    }
}
