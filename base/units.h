/* Sizes and durations as people write them in the configuration and on the command line. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

/* "0", "512", "64KiB", "5MiB", "1GiB", "2TiB", also kB/MB/GB/TB (powers of 1000); no spaces, no
 * sign, no fraction. RC_INVALID: not such a text; RC_LIMIT: over 2^63-1. */
enum rc units_parse_size(const char *s, uint64_t *bytes) MUST_CHECK;
/* "250ms", "30s", "5min", "2h", "7d"; a bare number other than 0 is RC_INVALID (its unit would be a
 * guess). RC_LIMIT: over 100 years. */
enum rc units_parse_duration(const char *s, uint64_t *ms) MUST_CHECK;
#define UNITS_TEXT_SIZE 32
/* For people: "1.5 MiB", "640 B"; "1.2 s", "3 min 4 s", "2 d 3 h". Returns out. */
char *units_format_size(char out[UNITS_TEXT_SIZE], uint64_t bytes);
char *units_format_duration(char out[UNITS_TEXT_SIZE], uint64_t ms);

#endif
