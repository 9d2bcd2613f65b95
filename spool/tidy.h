/* Empty directories of past dates: a {date} directory whose date is two days past, and the
 * directories in it, removed when they are empty (rmdir: not empty is no error); never today's or
 * yesterday's, and none above {date}. Runs on a pool thread. */
#ifndef SPOOL_TIDY_H
#define SPOOL_TIDY_H

#include "base/fsio.h"
#include "spool/layout.h"

/* today_days: since 1970-01-01, UTC. *removed counts directories. Layouts without {date}: nothing.
 * What cannot be read or removed is passed over; the first such failure is the result after all the
 * rest. */
enum rc tidy_dates(const struct fsio *fs, int root_fd, const struct layout *l, int64_t today_days,
                   unsigned *removed, struct err *e) MUST_CHECK;

#endif
