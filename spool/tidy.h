/* Empty directories of past dates: a {date} directory whose date is two days past, and the
 * directories in it, removed when they are empty (rmdir: not empty is no error); never today's or
 * yesterday's, and none above {date}. Runs on a pool thread. */
#ifndef SPOOL_TIDY_H
#define SPOOL_TIDY_H

#include "base/fsio.h"
#include "spool/layout.h"

#include <stdatomic.h>
#include <stdbool.h>

/* today_days: since 1970-01-01, UTC. *removed counts directories. Layouts without {date}: nothing.
 * What cannot be read or removed is passed over; the first such failure is the result after all the
 * rest. */
struct tidy {
    const struct layout *layout;
    int64_t today_days;
    const atomic_bool *stop; /* NULL allowed; true: it ends where it is */
};
enum rc tidy_dates(const struct fsio *fs, int root_fd, const struct tidy *what, unsigned *removed,
                   struct err *e) MUST_CHECK;

#endif
