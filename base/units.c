/* Sizes and durations as people write them. Parsing is exact: no sign, space, fraction or guess. */
#include "base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

enum { S = 1000, MIN = 60 * S, HOUR = 60 * MIN, DAY = 24 * HOUR };
#define CENTURY_MS (UINT64_C(36525) * DAY)

/* Digits, then exactly one of the units; RC_LIMIT over max. The list ends with a NULL name. */
static enum rc parse(const char *s, const struct unit *units, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;
    bool too_large = false;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
            too_large = true;
    }
    if (p == s)
        return RC_INVALID;
    for (; units->name; units++) {
        if (strcmp(p, units->name) != 0)
            continue;
        if (too_large || number > max / units->factor)
            return RC_LIMIT;
        *value = number * units->factor;
        return RC_OK;
    }
    return RC_INVALID;
}

enum rc units_parse_size(const char *s, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
        {"kB", UINT64_C(1000)},
        {"MB", UINT64_C(1000000)},
        {"GB", UINT64_C(1000000000)},
        {"TB", UINT64_C(1000000000000)},
        {NULL, 0},
    };
    return parse(s, units, INT64_MAX, bytes);
}

enum rc units_parse_duration(const char *s, uint64_t *ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", S}, {"min", MIN}, {"h", HOUR}, {"d", DAY}, {NULL, 0},
    };
    if (strcmp(s, "0") == 0) {
        *ms = 0;
        return RC_OK;
    }
    return parse(s, units, CENTURY_MS, ms);
}

char *units_format_size(char out[UNITS_TEXT_SIZE], uint64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRIu64 " B", bytes);
        return out;
    }
    size_t unit = 0;
    double value = (double)bytes / 1024;
    /* 1023.95 would be shown as 1024.0 of the smaller unit. */
    while (value >= 1023.95 && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, UNITS_TEXT_SIZE, "%.1f %s", value, names[unit]);
    return out;
}

char *units_format_duration(char out[UNITS_TEXT_SIZE], uint64_t ms)
{
    static const struct unit units[] = {{"d", DAY}, {"h", HOUR}, {"min", MIN}, {"s", S}};
    if (ms < S) {
        (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRIu64 " ms", ms);
        return out;
    }
    if (ms < MIN) {
        (void)snprintf(out, UNITS_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " s", ms / S, ms % S / 100);
        return out;
    }
    size_t i = 0;
    while (ms < units[i].factor)
        i++;
    uint64_t rest = ms % units[i].factor / units[i + 1].factor;
    int n = snprintf(out, UNITS_TEXT_SIZE, "%" PRIu64 " %s", ms / units[i].factor, units[i].name);
    if (rest > 0)
        (void)snprintf(out + n, UNITS_TEXT_SIZE - (size_t)n, " %" PRIu64 " %s", rest,
                       units[i + 1].name);
    return out;
}
