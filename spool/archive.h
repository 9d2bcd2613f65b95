/* The archive of delivered files, .spoolgate/archive/<YYYY-MM-DD>/<path>: a file into it, and what
 * is too old or too much out of it. Runs on a pool thread.
 */
#ifndef SPOOL_ARCHIVE_H
#define SPOOL_ARCHIVE_H

#include "base/fsio.h"

#include <stdatomic.h>
#include <stdbool.h>

#define ARCHIVE_DIR ".spoolgate/archive"

/* The directory that the last file went to, kept open from one to the next. Begin with {.dirfd =
 * -1}. */
struct archive_place {
    int dirfd;
    char *parent; /* its path below the root */
    bool unsynced;
    struct err failed; /* the first of the directories before it that could not be synced */
};
/* Move dir/from into the archive of a day (seconds since 1970), as path; "~2" … on a clash; where a
 * file stands in the way of a directory, under its last component alone. Durable after
 * archive_sync. */
struct archive_source {
    int dirfd;
    const char *name, *path;
    int64_t day_s;
};
enum rc archive_take(const struct fsio *fs, int root_fd, struct archive_place *place,
                     const struct archive_source *source, struct err *e) MUST_CHECK;
/* Make durable what was taken; *place is as in the beginning, after an error too, which may be that
 * of any directory since then. */
enum rc archive_sync(const struct fsio *fs, struct archive_place *place, struct err *e) MUST_CHECK;

/* Keep the archive within days and bytes: the oldest dates go first, then the oldest files of the
 * oldest date (by ctime, which is when they came). 0: no limit. What cannot be removed is passed
 * over, and the first such failure is the result after all the rest. */
struct archive_limits {
    uint64_t keep_ms, bytes;
    const atomic_bool *stop; /* NULL allowed; true: it ends where it is, and *usage is in part */
};
struct archive_usage {
    uint64_t files, bytes, removed_files, removed_bytes; /* the first two: what is left */
};
enum rc archive_sweep(const struct fsio *fs, int root_fd, const struct archive_limits *limits,
                      int64_t now_ns, struct archive_usage *usage, struct err *e) MUST_CHECK;

#endif
