/* Rejected files: moved to .spoolgate/rejected/<same path> with <name>.reason beside them, listed,
 * and put back. Nothing is ever deleted here but reasons of files put back.
 */
#ifndef SPOOL_REJECT_H
#define SPOOL_REJECT_H

#include "base/fsio.h"

#include <stdbool.h>

#define REJECT_DIR ".spoolgate/rejected"
#define STRAYS_DIR REJECT_DIR "/strays"

struct reject_what {
    const char *path;
    /* What was found wrong; else it is left alone (RC_CHANGED), since a producer may have put a
     * good one there. Of what is no regular file only device and inode count: a pipe's times move
     * with its use. NULL, or ino 0: whatever lies there. */
    const struct identity *id;
    const struct err *why;
    int64_t now_ns;
};
/* Moves it (RENAME_NOREPLACE; "~2", "~3" … when the name is taken or could be a reason's), then
 * writes the reason (one line JSON: {"path","code","reason","rejected_at"}, and "path_hex" if the
 * path is not UTF-8) into <name>.reason, of a long name its beginning and a hash of it. A reason
 * that cannot be written (disk full) is logged and does not undo the move. Where a rejected file
 * stands in the way of a directory, it goes to STRAYS_DIR; the reason tells its path. RC_ABSENT:
 * the file is not there any more. RC_CHANGED: another is there, or it was changed. RC_INVALID: a
 * directory. Works for any other kind of directory entry, and for any bytes in a name. */
enum rc reject_file(const struct fsio *fs, int root_fd, const struct reject_what *what,
                    struct err *e) MUST_CHECK;
/* The same for what was taken aside before: the entry from_dir/from goes to rejected/<path>,
 * whatever it is, a directory with all that is in it: only we have put anything in its place. */
struct reject_source {
    int from_dir;
    const char *from;
};
enum rc reject_aside(const struct fsio *fs, int root_fd, const struct reject_source *source,
                     const char *path, const struct err *why, struct err *e) MUST_CHECK;
/* path: as under rejected/. It goes back to the path that its reason tells, and the reason goes.
 * RC_EXISTS: there is a new file under its name. RC_ABSENT: not rejected. */
enum rc reject_restore(const struct fsio *fs, int root_fd, const char *path,
                       struct err *e) MUST_CHECK;

/* How many there are; reads no reasons. Directories that cannot be read are passed over. RC_DENIED:
 * some may not be read, and *n is how many there are in the others. Any other failure: *n is too
 * small, for the moment. */
enum rc reject_count(const struct fsio *fs, int root_fd, uint64_t *n, struct err *e) MUST_CHECK;

struct reject_row {
    char path[1025]; /* cut to fit; as under rejected/; any bytes */
    uint64_t size;
    int64_t rejected_ns;
    char code[64], reason[512];
};
/* Walk in sorted order of path, from the first path greater than `after` ("" for the first page),
 * until visit returns false. Bounded memory a directory. */
enum rc reject_each(const struct fsio *fs, int root_fd, const char *after,
                    bool (*visit)(void *arg, const struct reject_row *row), void *arg,
                    struct err *e) MUST_CHECK;
enum rc reject_find(const struct fsio *fs, int root_fd, const char *path, struct reject_row *row,
                    struct err *e) MUST_CHECK;

#endif
