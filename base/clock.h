/* Time: the two clocks, the civil calendar in UTC, and the formats in which
 * S3 and we write it. Everything but the two *_now functions is pure.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_NS_PER_S  INT64_C(1000000000)
#define CLOCK_NS_PER_MS INT64_C(1000000)

int64_t clock_wall_now_ns(void);   /* nanoseconds since 1970, for signing and ages */
int64_t clock_mono_now_ns(void);   /* monotonic, for delays */
int64_t clock_thread_cpu_ns(void); /* what this thread has used of a processor */

struct civil {
    int year, month, day, hour, minute, second; /* month and day from 1 */
};
/* Any second from year 0001 to 9999, UTC, proleptic Gregorian. Out of range is clamped. */
void clock_civil(int64_t unix_s, struct civil *out);
int64_t clock_unix(const struct civil *c);
/* Is this a day of the calendar (leap years known)? Years 1..9999. */
bool clock_is_date(int year, int month, int day);
/* "YYYY-MM-DD" exactly, and a real date: true, and *days since 1970-01-01. */
bool clock_parse_date(const char *s, size_t n, int64_t *days);

#define CLOCK_AMZ_SIZE     17 /* "20150830T123600Z" + NUL */
#define CLOCK_DATE_SIZE    11 /* "2015-08-30" + NUL */
#define CLOCK_RFC3339_SIZE 25 /* "2015-08-30T12:36:00.123Z" + NUL */
void clock_amz(char out[CLOCK_AMZ_SIZE], int64_t unix_s);
void clock_date(char out[CLOCK_DATE_SIZE], int64_t unix_s);
void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], int64_t unix_ns);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7, IMF-fixdate only). RC_INVALID otherwise. */
enum rc clock_parse_http_date(const char *s, int64_t *unix_s) MUST_CHECK;
/* RFC 3339 with Z or offset, fraction optional ("2026-11-23T01:02:03.5+01:00"). RC_INVALID
 * otherwise. */
enum rc clock_parse_rfc3339(const char *s, int64_t *unix_ns) MUST_CHECK;

#endif
