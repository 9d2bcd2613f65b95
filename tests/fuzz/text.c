/* The small parsers of base: sizes, durations, dates, hexadecimal, base64, UTF-8. What is taken is
 * in its range, and says the same when it is written and read again. */
#include "base/text.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/units.h"
#include "tests/fuzz/fuzz.h"

#include <strings.h>

static void units(const char *s)
{
    char text[UNITS_TEXT_SIZE];
    uint64_t v;
    if (units_parse_size(s, &v) == RC_OK) {
        BUG_ON(v > INT64_MAX);
        fuzz_is_safe(units_format_size(text, v));
    }
    if (units_parse_duration(s, &v) == RC_OK) {
        BUG_ON(v > UINT64_C(101) * 366 * 86400 * 1000);
        fuzz_is_safe(units_format_duration(text, v));
    }
}

static void times(const char *s)
{
    int64_t t, back;
    struct civil c;
    char date[CLOCK_DATE_SIZE], text[CLOCK_RFC3339_SIZE];
    if (clock_parse_http_date(s, &t) == RC_OK) {
        clock_civil(t, &c);
        BUG_ON(!clock_is_date(c.year, c.month, c.day) || clock_unix(&c) != t);
    }
    if (clock_parse_date(s, strlen(s), &t)) {
        clock_date(date, t * 86400);
        BUG_ON(strcmp(date, s) != 0);
    }
    if (clock_parse_rfc3339(s, &t) == RC_OK) {
        clock_rfc3339(text, t);
        BUG_ON(clock_parse_rfc3339(text, &back) != RC_OK);
        BUG_ON(t - back < 0 || t - back >= CLOCK_NS_PER_MS);
    }
}

static void encodings(const char *s)
{
    unsigned char bytes[64];
    char text[BASE64_SIZE(sizeof bytes) + 2 * sizeof bytes];
    size_t n = strlen(s), got;
    if (n / 2 <= sizeof bytes && hex_decode(bytes, n / 2, s, n) == RC_OK) {
        hex_encode(text, bytes, n / 2);
        BUG_ON(strlen(text) != n || strcasecmp(text, s) != 0);
    }
    if (base64_decode(bytes, sizeof bytes, &got, s, n) == RC_OK) {
        base64_encode(text, bytes, got);
        BUG_ON(strcmp(text, s) != 0);
    }
}

static void utf8(const char *s, size_t n)
{
    struct buf b;
    char cut[16];
    size_t valid = utf8_span(s, n);
    BUG_ON(valid > n || utf8_span(s, valid) != valid);
    BUG_ON(utf8_find_control(s, valid) > valid);
    buf_init(&b, 4 * n + 1);
    utf8_escape(&b, s, n);
    BUG_ON(b.overflow || b.len < n);
    fuzz_is_safe(b.data);
    buf_fini(&b);
    json_t *v = json_text(s, n);
    BUG_ON(valid == n && (json_string_length(v) != n || memcmp(json_string_value(v), s, n) != 0));
    json_decref(v);
    text_copy(cut, sizeof cut, s);
    BUG_ON(strlen(cut) >= sizeof cut || strncmp(cut, s, strlen(cut)) != 0);
    if (valid == n)
        BUG_ON(utf8_span(cut, strlen(cut)) != strlen(cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    char *s = fuzz_text(&in, '\0');
    struct err e;
    units(s);
    times(s);
    encodings(s);
    utf8(s, strlen(s));
    (void)err_set(&e, RC_INVALID, "%s", s);
    fuzz_is_safe(e.text);
    free(s);
    return 0;
}
