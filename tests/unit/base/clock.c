#include "base/clock.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    int64_t unix_s;
    const char *amz, *date, *rfc3339;
} moments[] = {
    {0, "19700101T000000Z", "1970-01-01", "1970-01-01T00:00:00.000Z"},
    {-1, "19691231T235959Z", "1969-12-31", "1969-12-31T23:59:59.000Z"},
    {951782400, "20000229T000000Z", "2000-02-29", "2000-02-29T00:00:00.000Z"},
    {1440938160, "20150830T123600Z", "2015-08-30", "2015-08-30T12:36:00.000Z"},
    {1709251199, "20240229T235959Z", "2024-02-29", "2024-02-29T23:59:59.000Z"},
    {2147483648, "20380119T031408Z", "2038-01-19", "2038-01-19T03:14:08.000Z"},
    {4107542400, "21000301T000000Z", "2100-03-01", "2100-03-01T00:00:00.000Z"},
};

Test(clock, moments_are_written_in_utc)
{
    for (size_t i = 0; i < COUNT(moments); i++) {
        char amz[CLOCK_AMZ_SIZE], date[CLOCK_DATE_SIZE], rfc3339[CLOCK_RFC3339_SIZE];
        clock_amz(amz, moments[i].unix_s);
        clock_date(date, moments[i].unix_s);
        clock_rfc3339(rfc3339, moments[i].unix_s * CLOCK_NS_PER_S);
        cr_assert_str_eq(amz, moments[i].amz);
        cr_assert_str_eq(date, moments[i].date);
        cr_assert_str_eq(rfc3339, moments[i].rfc3339);
    }
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, INT64_C(1440938160123999999));
    cr_assert_str_eq(text, "2015-08-30T12:36:00.123Z");
    clock_rfc3339(text, -1);
    cr_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
    clock_rfc3339(text, INT64_MIN);
    cr_assert_str_eq(text, "1677-09-21T00:12:43.145Z");
}

Test(clock, times_out_of_range_are_clamped)
{
    char text[CLOCK_AMZ_SIZE];
    clock_amz(text, INT64_MIN);
    cr_assert_str_eq(text, "00010101T000000Z");
    clock_amz(text, INT64_MAX);
    cr_assert_str_eq(text, "99991231T235959Z");
}

Test(clock, every_day_from_year_1_to_9999_follows_the_one_before)
{
    int64_t days = 0, expected = -719162;
    for (int year = 1; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; clock_is_date(year, month, day); day++, expected++, days++) {
                struct civil c, in = {year, month, day, 23, 59, 59};
                cr_assert_eq(clock_unix(&in), expected * 86400 + 86399, "%d-%d-%d", year, month,
                             day);
                clock_civil(clock_unix(&in), &c);
                cr_assert_eq(memcmp(&c, &in, sizeof c), 0, "%d-%d-%d", year, month, day);
            }
        }
    }
    cr_assert_eq(days, 3652059);
}

Test(clock, a_date_must_be_of_the_calendar)
{
    static const struct {
        const char *text;
        bool valid;
        int64_t days;
    } cases[] = {
        {"1970-01-01", true, 0},
        {"2015-08-30", true, 16677},
        {"1969-12-31", true, -1},
        {"2000-02-29", true, 11016},
        {"1900-02-29", false, 0},
        {"2023-02-29", false, 0},
        {"2024-02-30", false, 0},
        {"2024-04-31", false, 0},
        {"2024-00-10", false, 0},
        {"2024-13-10", false, 0},
        {"2024-01-00", false, 0},
        {"2024-01-32", false, 0},
        {"0000-01-01", false, 0},
        {"0001-01-01", true, -719162},
        {"9999-12-31", true, 2932896},
        {"2024-1-01", false, 0},
        {"2024-01-1", false, 0},
        {"24-01-01", false, 0},
        {"2024/01/01", false, 0},
        {" 2024-01-01", false, 0},
        {"2024-01-01 ", false, 0},
        {"2024-01-011", false, 0},
        {"+024-01-01", false, 0},
        {"2024-01-0x", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t days = 0;
        cr_assert_eq(clock_parse_date(cases[i].text, strlen(cases[i].text), &days), cases[i].valid,
                     "'%s'", cases[i].text);
        cr_assert_eq(days, cases[i].days, "'%s'", cases[i].text);
    }
    int64_t days;
    cr_assert(clock_parse_date("2015-08-30/rest", 10, &days));
    cr_assert_not(clock_parse_date("2015-08-30", 9, &days));
}

Test(clock, http_dates_are_imf_fixdate_only)
{
    static const struct {
        const char *text;
        enum rc rc;
        int64_t unix_s;
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", RC_OK, 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", RC_OK, 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", RC_OK, -1},
        {"Thu, 29 Feb 2024 12:00:00 GMT", RC_OK, 1709208000},
        {"Sat, 31 Dec 2016 23:59:60 GMT", RC_OK, 1483228800},
        {"Mon, 06 Nov 1994 08:49:37 GMT", RC_INVALID, 0}, /* it was a Sunday */
        {"Sunday, 06-Nov-94 08:49:37 GMT", RC_INVALID, 0},
        {"Sun Nov  6 08:49:37 1994", RC_INVALID, 0},
        {"Sun, 6 Nov 1994 08:49:37 GMT", RC_INVALID, 0},
        {"Sun, 06 Nov 1994 08:49:37 UTC", RC_INVALID, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", RC_INVALID, 0},
        {"Sun, 06 nov 1994 08:49:37 GMT", RC_INVALID, 0},
        {"Sun, 06 Nov 1994 24:49:37 GMT", RC_INVALID, 0},
        {"Sun, 06 Nov 1994 08:60:37 GMT", RC_INVALID, 0},
        {"Sun, 06 Nov 1994 08:49:61 GMT", RC_INVALID, 0},
        {"Thu, 30 Feb 2024 12:00:00 GMT", RC_INVALID, 0},
        {"Sun, 06 Nov 1994 08:49", RC_INVALID, 0},
        {"Sun", RC_INVALID, 0},
        {"", RC_INVALID, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t unix_s = 0;
        cr_assert_eq(clock_parse_http_date(cases[i].text, &unix_s), cases[i].rc, "'%s'",
                     cases[i].text);
        cr_assert_eq(unix_s, cases[i].unix_s, "'%s'", cases[i].text);
    }
}

Test(clock, rfc3339_knows_offsets_and_fractions)
{
    static const struct {
        const char *text;
        enum rc rc;
        int64_t unix_ns;
    } cases[] = {
        {"1970-01-01T00:00:00Z", RC_OK, 0},
        {"2015-08-30T12:36:00Z", RC_OK, INT64_C(1440938160000000000)},
        {"2015-08-30t12:36:00z", RC_OK, INT64_C(1440938160000000000)},
        {"2015-08-30T12:36:00.123Z", RC_OK, INT64_C(1440938160123000000)},
        {"2015-08-30T12:36:00.123456789999Z", RC_OK, INT64_C(1440938160123456789)},
        {"2015-08-30T14:36:00.5+02:00", RC_OK, INT64_C(1440938160500000000)},
        {"2015-08-30T09:06:00-03:30", RC_OK, INT64_C(1440938160000000000)},
        {"1970-01-01T00:00:00.000000001-00:00", RC_OK, 1},
        {"1969-12-31T23:59:59.5Z", RC_OK, -500000000},
        {"2262-04-11T23:47:16.854775807Z", RC_OK, INT64_MAX},
        {"2262-04-11T23:47:16.854775808Z", RC_INVALID, 0},
        {"9999-12-31T23:59:59Z", RC_INVALID, 0},
        {"0001-01-01T00:00:00Z", RC_INVALID, 0},
        {"2015-08-30T12:36:00", RC_INVALID, 0},
        {"2015-08-30 12:36:00Z", RC_INVALID, 0},
        {"2015-08-30T12:36Z", RC_INVALID, 0},
        {"2015-08-30T12:36:00.Z", RC_INVALID, 0},
        {"2015-08-30T12:36:00+2:00", RC_INVALID, 0},
        {"2015-08-30T12:36:00+24:00", RC_INVALID, 0},
        {"2015-08-30T12:36:00+02:60", RC_INVALID, 0},
        {"2015-08-30T12:36:00+0200", RC_INVALID, 0},
        {"2015-08-30T12:36:00Z+", RC_INVALID, 0},
        {"2015-02-29T12:36:00Z", RC_INVALID, 0},
        {"", RC_INVALID, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t unix_ns = 0;
        cr_assert_eq(clock_parse_rfc3339(cases[i].text, &unix_ns), cases[i].rc, "'%s'",
                     cases[i].text);
        cr_assert_eq(unix_ns, cases[i].unix_ns, "'%s'", cases[i].text);
    }
}

Test(clock, the_clocks_run)
{
    int64_t mono = clock_mono_now_ns();
    cr_assert_geq(clock_mono_now_ns(), mono);
    cr_assert_gt(clock_wall_now_ns(), INT64_C(1700000000) * CLOCK_NS_PER_S);
}
