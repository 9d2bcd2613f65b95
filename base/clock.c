/* Time without the C library's calendar: gmtime and strptime know locales and zones, and have
 * hidden state; this needs none of it. All but the two *_now functions is pure. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S          INT64_C(86400)
#define FIRST_SECOND_S INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define LAST_SECOND_S  INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static int64_t now_ns(clockid_t id)
{
    struct timespec t;
    BUG_ON(clock_gettime(id, &t) != 0);
    return (int64_t)t.tv_sec * CLOCK_NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_now_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}

int64_t clock_mono_now_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_thread_cpu_ns(void)
{
    return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01. The year is taken to begin in March, so that the leap day is its last and
 * the days before a month are (153*m+2)/5. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t era = floor_div(y, 400); /* 146097 days each */
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, struct civil *out)
{
    days += 719468; /* from 0000-03-01 on */
    int64_t era = floor_div(days, 146097);
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    out->day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    out->month = (int)(m < 10 ? m + 3 : m - 9);
    out->year = (int)(year_of_era + era * 400 + (out->month <= 2));
}

void clock_civil(int64_t unix_s, struct civil *out)
{
    if (unix_s < FIRST_SECOND_S)
        unix_s = FIRST_SECOND_S;
    if (unix_s > LAST_SECOND_S)
        unix_s = LAST_SECOND_S;
    int64_t days = floor_div(unix_s, DAY_S);
    int second = (int)(unix_s - days * DAY_S);
    date_from_days(days, out);
    out->hour = second / 3600;
    out->minute = second / 60 % 60;
    out->second = second % 60;
}

int64_t clock_unix(const struct civil *c)
{
    return days_from_date(c->year, c->month, c->day) * DAY_S + c->hour * 3600 + c->minute * 60 +
           c->second;
}

bool clock_is_date(int year, int month, int day)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= lengths[month - 1] + (month == 2 && leap);
}

/* Exactly n digits at *p, which moves past them; -1 if they are not. */
static int take_digits(const char **p, const char *end, int n)
{
    int value = 0;
    if (end - *p < n)
        return -1;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool take_text(const char **p, const char *end, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(end - *p) < n || memcmp(*p, text, n) != 0)
        return false;
    *p += n;
    return true;
}

/* "YYYY-MM-DD", a real date */
static bool take_date(const char **p, const char *end, struct civil *c)
{
    return (c->year = take_digits(p, end, 4)) >= 0 && take_text(p, end, "-") &&
           (c->month = take_digits(p, end, 2)) >= 0 && take_text(p, end, "-") &&
           (c->day = take_digits(p, end, 2)) >= 0 && clock_is_date(c->year, c->month, c->day);
}

/* "HH:MM:SS"; a leap second becomes the first second of the next minute, as POSIX counts. */
static bool take_time(const char **p, const char *end, struct civil *c)
{
    return (c->hour = take_digits(p, end, 2)) >= 0 && c->hour < 24 && take_text(p, end, ":") &&
           (c->minute = take_digits(p, end, 2)) >= 0 && c->minute < 60 && take_text(p, end, ":") &&
           (c->second = take_digits(p, end, 2)) >= 0 && c->second <= 60;
}

bool clock_parse_date(const char *s, size_t n, int64_t *days)
{
    struct civil c = {0};
    const char *end = s + n;
    if (!take_date(&s, end, &c) || s != end)
        return false;
    *days = days_from_date(c.year, c.month, c.day);
    return true;
}

/* Four or two digits, always that many: what snprintf would do for tens of thousands of signatures
 * a second at ten times the cost. */
static char *put_digits(char *to, int value, int n)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + n;
}

void clock_amz(char out[CLOCK_AMZ_SIZE], int64_t unix_s)
{
    struct civil c;
    clock_civil(unix_s, &c);
    out = put_digits(out, c.year, 4);
    out = put_digits(out, c.month, 2);
    out = put_digits(out, c.day, 2);
    *out++ = 'T';
    out = put_digits(out, c.hour, 2);
    out = put_digits(out, c.minute, 2);
    out = put_digits(out, c.second, 2);
    *out++ = 'Z';
    *out = '\0';
}

static char *put_date(char *out, const struct civil *c)
{
    out = put_digits(out, c->year, 4);
    *out++ = '-';
    out = put_digits(out, c->month, 2);
    *out++ = '-';
    return put_digits(out, c->day, 2);
}

void clock_date(char out[CLOCK_DATE_SIZE], int64_t unix_s)
{
    struct civil c;
    clock_civil(unix_s, &c);
    *put_date(out, &c) = '\0';
}

void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], int64_t unix_ns)
{
    struct civil c;
    int64_t unix_s = floor_div(unix_ns, CLOCK_NS_PER_S);
    int64_t ns = unix_ns % CLOCK_NS_PER_S;
    if (ns < 0)
        ns += CLOCK_NS_PER_S;
    clock_civil(unix_s, &c);
    out = put_date(out, &c);
    *out++ = 'T';
    out = put_digits(out, c.hour, 2);
    *out++ = ':';
    out = put_digits(out, c.minute, 2);
    *out++ = ':';
    out = put_digits(out, c.second, 2);
    *out++ = '.';
    out = put_digits(out, (int)(ns / CLOCK_NS_PER_MS), 3);
    *out++ = 'Z';
    *out = '\0';
}

/* The index of the name at *p, or -1. */
static int take_name(const char **p, const char *end, const char names[][4], int count)
{
    for (int i = 0; i < count; i++)
        if (take_text(p, end, names[i]))
            return i;
    return -1;
}

enum rc clock_parse_http_date(const char *s, int64_t *unix_s)
{
    const char *end = s + strlen(s);
    struct civil c = {0};
    int weekday = take_name(&s, end, day_names, 7);
    if (weekday < 0 || !take_text(&s, end, ", ") || (c.day = take_digits(&s, end, 2)) < 0 ||
        !take_text(&s, end, " ") || (c.month = take_name(&s, end, month_names, 12) + 1) < 1 ||
        !take_text(&s, end, " ") || (c.year = take_digits(&s, end, 4)) < 0 ||
        !take_text(&s, end, " ") || !take_time(&s, end, &c) || !take_text(&s, end, " GMT") ||
        s != end || !clock_is_date(c.year, c.month, c.day))
        return RC_INVALID;
    /* The weekday is redundant, and a sender that gets it wrong may have any of the rest wrong. */
    int64_t days = days_from_date(c.year, c.month, c.day);
    if (days + 4 - floor_div(days + 4, 7) * 7 != weekday)
        return RC_INVALID;
    *unix_s = clock_unix(&c);
    return RC_OK;
}

/* ".123456789…" in nanoseconds, what is finer cut off; 0 if there is none. */
static bool take_fraction(const char **p, const char *end, int64_t *ns)
{
    *ns = 0;
    if (!take_text(p, end, "."))
        return true;
    int64_t unit = CLOCK_NS_PER_S;
    const char *first = *p;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        unit /= 10;
        *ns += unit * (**p - '0');
    }
    return *p > first;
}

/* "Z" or "+HH:MM" or "-HH:MM", in seconds east of UTC. */
static bool take_offset(const char **p, const char *end, int64_t *offset_s)
{
    *offset_s = 0;
    if (take_text(p, end, "Z") || take_text(p, end, "z"))
        return true;
    int sign = take_text(p, end, "+") ? 1 : take_text(p, end, "-") ? -1 : 0;
    int hour, minute;
    if (sign == 0 || (hour = take_digits(p, end, 2)) < 0 || hour > 23 || !take_text(p, end, ":") ||
        (minute = take_digits(p, end, 2)) < 0 || minute > 59)
        return false;
    *offset_s = sign * (hour * 3600 + minute * 60);
    return true;
}

enum rc clock_parse_rfc3339(const char *s, int64_t *unix_ns)
{
    const char *end = s + strlen(s);
    struct civil c = {0};
    int64_t ns, offset_s, unix_s, result;
    if (!take_date(&s, end, &c) || !(take_text(&s, end, "T") || take_text(&s, end, "t")) ||
        !take_time(&s, end, &c) || !take_fraction(&s, end, &ns) ||
        !take_offset(&s, end, &offset_s) || s != end)
        return RC_INVALID;
    unix_s = clock_unix(&c) - offset_s;
    /* 64 bits of nanoseconds reach from 1677 to 2262. */
    if (__builtin_mul_overflow(unix_s, CLOCK_NS_PER_S, &result) ||
        __builtin_add_overflow(result, ns, &result))
        return RC_INVALID;
    *unix_ns = result;
    return RC_OK;
}
