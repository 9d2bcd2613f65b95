/* Empty directories of past dates: removed when their date is two days past (rmdir: not empty is no
 * error), with the parents that this leaves empty below the same rule; never today's. Runs on a pool
 * thread. */
#ifndef SPOOL_TIDY_H
#define SPOOL_TIDY_H

#include "base/fsio.h"
#include "spool/layout.h"

/* today_days: since 1970-01-01, UTC. *removed counts directories. Layouts without {date}: nothing. */
enum rc tidy_dates(const struct fsio *fs, int root_fd, const struct layout *l, int64_t today_days,
                   unsigned *removed, struct err *e) MUST_CHECK;

#endif
