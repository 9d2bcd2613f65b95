#include "base/hex.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(hex, bytes_become_digits_and_bytes_again)
{
    uint8_t all[256], back[256];
    char text[2 * sizeof all + 1];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    hex_encode(text, all, sizeof all);
    cr_assert_eq(strlen(text), 512);
    cr_assert_eq(memcmp(text, "000102", 6), 0);
    cr_assert_str_eq(text + 506, "fdfeff");
    cr_assert_eq(hex_decode(back, sizeof back, text, 512), RC_OK);
    cr_assert_arr_eq(back, all, sizeof all);
    cr_assert_eq(hex_decode(back, 2, "aBCd", 4), RC_OK);
    cr_assert_arr_eq(back, "\xab\xcd", 2);
    hex_encode(text, all, 0);
    cr_assert_str_eq(text, "");
}

Test(hex, what_is_not_exactly_that_many_digits_is_refused)
{
    static const char *const bad[] = {"",     "a",    "abc",  "abcde", "abcdef",
                                      "ab g", "0x12", "-123", "12\n4"};
    uint8_t out[8];
    for (size_t i = 0; i < COUNT(bad); i++)
        cr_assert_eq(hex_decode(out, 2, bad[i], strlen(bad[i])), RC_INVALID, "'%s'", bad[i]);
}

/* RFC 4648 section 10, and digits 62 and 63 */
static const struct {
    const char *bytes, *text;
} base64_cases[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};

Test(hex, base64_goes_there_and_back)
{
    for (size_t i = 0; i < COUNT(base64_cases); i++) {
        const char *bytes = base64_cases[i].bytes, *text = base64_cases[i].text;
        char out[32];
        size_t n = 99;
        base64_encode(out, bytes, strlen(bytes));
        cr_assert_str_eq(out, text);
        cr_assert_eq(strlen(text) + 1, BASE64_SIZE(strlen(bytes)));
        cr_assert_eq(base64_decode(out, strlen(bytes), &n, text, strlen(text)), RC_OK);
        cr_assert_eq(n, strlen(bytes));
        cr_assert_arr_eq(out, bytes, n);
        if (n > 0)
            cr_assert_eq(base64_decode(out, n - 1, &n, text, strlen(text)), RC_LIMIT);
    }
}

Test(hex, base64_has_one_text_for_each_byte_string)
{
    static const char *const bad[] = {
        "Z",    "Zg",     "Zg=",  "Zm9",  "Zh==", /* bits that say nothing */
        "Zm9=", "Zm9vY",  "====", "=",    "Z===", "Zg==Zg==",
        "Zm 9", "Zm9v\n", "Zm9-", "Zm9_", "Zg=a", "Zm8=Zm8=",
    };
    uint8_t out[32];
    size_t n;
    for (size_t i = 0; i < COUNT(bad); i++)
        cr_assert_eq(base64_decode(out, sizeof out, &n, bad[i], strlen(bad[i])), RC_INVALID, "'%s'",
                     bad[i]);
}
