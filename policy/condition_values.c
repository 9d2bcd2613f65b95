/* The values of conditions that are no text: instants and addresses. */
#include "policy/condition.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* n digits at *s, passed over. */
static bool digits(const char **s, int n, int *out)
{
    *out = 0;
    for (; n > 0; n--, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        *out = *out * 10 + (**s - '0');
    }
    return true;
}

static bool skip(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool is_day(int year, int month, int day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= lengths[month - 1] + (month == 2 && leap);
}

/* What follows "T": hh:mm, seconds, a fraction, and the zone, which may be left out. */
static bool time_of_day(const char *s, double *seconds)
{
    int hour, minute, second = 0, zone_hour = 0, zone_minute = 0;
    double fraction = 0, unit = 0.1;
    if (!digits(&s, 2, &hour) || !skip(&s, ':') || !digits(&s, 2, &minute))
        return false;
    if (skip(&s, ':') && !digits(&s, 2, &second))
        return false;
    if (skip(&s, '.')) {
        for (; *s >= '0' && *s <= '9'; s++, unit /= 10)
            fraction += unit * (*s - '0');
    }
    int sign = *s == '+' ? 1 : *s == '-' ? -1 : 0;
    if (sign) {
        s++;
        if (!digits(&s, 2, &zone_hour) || (skip(&s, ':'), !digits(&s, 2, &zone_minute)))
            return false;
    } else {
        (void)skip(&s, 'Z');
    }
    *seconds = hour * 3600 + minute * 60 + second + fraction -
               sign * (zone_hour * 3600 + zone_minute * 60);
    return *s == '\0' && hour < 24 && minute < 60 && second < 61;
}

bool condition_date(const char *text, double *out)
{
    const char *s = text;
    int year, month, day;
    double seconds = 0;
    size_t n = strspn(text, "0123456789");
    if (n > 0 && text[n] == '\0' && n != 4) {
        *out = strtod(text, NULL);
        return true;
    }
    if (!digits(&s, 4, &year) || !skip(&s, '-') || !digits(&s, 2, &month) || !skip(&s, '-') ||
        !digits(&s, 2, &day) || !is_day(year, month, day))
        return false;
    if (*s != '\0' && (!skip(&s, 'T') || !time_of_day(s, &seconds)))
        return false;
    *out = (double)days_of(year, month, day) * 86400 + seconds;
    return true;
}

/* IPv4 or IPv6; the number of bits, 0: neither. */
static unsigned address(const char *text, unsigned char out[16])
{
    if (inet_pton(AF_INET, text, out) == 1)
        return 32;
    if (inet_pton(AF_INET6, text, out) == 1)
        return 128;
    return 0;
}

enum tri condition_address(const char *range, const char *text)
{
    unsigned char a[16], b[16];
    const char *slash = strchr(range, '/');
    char *alone = mem_strndup(range, slash ? (size_t)(slash - range) : strlen(range));
    unsigned bits = address(alone, a), ours = address(text, b), prefix = bits;
    free(alone);
    if (bits == 0 || ours == 0)
        return TRI_MAYBE;
    if (slash) {
        size_t n = strspn(slash + 1, "0123456789");
        if (n == 0 || n > 3 || slash[1 + n] != '\0')
            return TRI_MAYBE;
        prefix = (unsigned)strtoul(slash + 1, NULL, 10);
        if (prefix > bits)
            return TRI_MAYBE;
    }
    if (bits != ours)
        return TRI_NO;
    for (unsigned i = 0; i < prefix; i++) {
        unsigned char bit = (unsigned char)(0x80u >> (i % 8));
        if ((a[i / 8] & bit) != (b[i / 8] & bit))
            return TRI_NO;
    }
    return TRI_YES;
}
