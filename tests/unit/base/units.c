#include "base/units.h"

#include <criterion/criterion.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(units, sizes_are_read_as_people_write_them)
{
    static const struct {
        const char *text;
        enum rc rc;
        uint64_t bytes;
    } cases[] = {
        {"0", RC_OK, 0},
        {"512", RC_OK, 512},
        {"00512", RC_OK, 512},
        {"7B", RC_OK, 7},
        {"64KiB", RC_OK, 65536},
        {"5MiB", RC_OK, 5242880},
        {"1GiB", RC_OK, 1073741824},
        {"2TiB", RC_OK, UINT64_C(2199023255552)},
        {"3kB", RC_OK, 3000},
        {"3MB", RC_OK, 3000000},
        {"3GB", RC_OK, UINT64_C(3000000000)},
        {"3TB", RC_OK, UINT64_C(3000000000000)},
        {"9223372036854775807", RC_OK, INT64_MAX},
        {"9223372036854775808", RC_LIMIT, 0},
        {"18446744073709551616", RC_LIMIT, 0},
        {"99999999999999999999999999999999999", RC_LIMIT, 0},
        {"8388607TiB", RC_OK, UINT64_C(8388607) << 40},
        {"8388608TiB", RC_LIMIT, 0},
        {"18446744073709551617KiB", RC_LIMIT, 0},
        {"", RC_INVALID, 0},
        {"KiB", RC_INVALID, 0},
        {"-1", RC_INVALID, 0},
        {"+1", RC_INVALID, 0},
        {" 1", RC_INVALID, 0},
        {"1 ", RC_INVALID, 0},
        {"1 KiB", RC_INVALID, 0},
        {"1.5GiB", RC_INVALID, 0},
        {"1KB", RC_INVALID, 0},
        {"1kib", RC_INVALID, 0},
        {"1K", RC_INVALID, 0},
        {"0x10", RC_INVALID, 0},
        {"99999999999999999999999999999999999Q", RC_INVALID, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t bytes = 0;
        cr_assert_eq(units_parse_size(cases[i].text, &bytes), cases[i].rc, "'%s'", cases[i].text);
        cr_assert_eq(bytes, cases[i].bytes, "'%s'", cases[i].text);
    }
}

Test(units, durations_always_name_their_unit)
{
    static const struct {
        const char *text;
        enum rc rc;
        uint64_t ms;
    } cases[] = {
        {"0", RC_OK, 0},
        {"0s", RC_OK, 0},
        {"250ms", RC_OK, 250},
        {"30s", RC_OK, 30000},
        {"5min", RC_OK, 300000},
        {"2h", RC_OK, 7200000},
        {"7d", RC_OK, 604800000},
        {"36525d", RC_OK, UINT64_C(3155760000000)},
        {"36526d", RC_LIMIT, 0},
        {"3155760000001ms", RC_LIMIT, 0},
        {"30", RC_INVALID, 0},
        {"00", RC_INVALID, 0},
        {"", RC_INVALID, 0},
        {"s", RC_INVALID, 0},
        {"5m", RC_INVALID, 0},
        {"5 min", RC_INVALID, 0},
        {"1h30min", RC_INVALID, 0},
        {"-1s", RC_INVALID, 0},
        {"1.5s", RC_INVALID, 0},
        {"1S", RC_INVALID, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t ms = 0;
        cr_assert_eq(units_parse_duration(cases[i].text, &ms), cases[i].rc, "'%s'", cases[i].text);
        cr_assert_eq(ms, cases[i].ms, "'%s'", cases[i].text);
    }
}

Test(units, sizes_are_shown_for_people)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {640, "640 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1572864, "1.5 MiB"},
        {1048575, "1.0 MiB"},
        {UINT64_C(1) << 30, "1.0 GiB"},
        {(UINT64_C(1) << 40) - 1, "1.0 TiB"},
        {UINT64_C(1) << 50, "1.0 PiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    char out[UNITS_TEXT_SIZE];
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_assert_str_eq(units_format_size(out, cases[i].bytes), cases[i].text);
}

Test(units, durations_are_shown_for_people)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1.0 s"},
        {1250, "1.2 s"},
        {59999, "59.9 s"},
        {60000, "1 min"},
        {184000, "3 min 4 s"},
        {3600000, "1 h"},
        {3659999, "1 h"},
        {3660000, "1 h 1 min"},
        {183600000, "2 d 3 h"},
        {86400000, "1 d"},
        {UINT64_MAX, "213503982334 d 14 h"},
    };
    char out[UNITS_TEXT_SIZE];
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_assert_str_eq(units_format_duration(out, cases[i].ms), cases[i].text);
}
