/* Rejected files: moved to .spoolgate/rejected/<same path> with <name>.reason beside them, listed,
 * and put back. Nothing is ever deleted here but reasons of files put back.
 */
#ifndef SPOOL_REJECT_H
#define SPOOL_REJECT_H

#include "base/fsio.h"

#include <stdbool.h>

#define REJECT_DIR ".spoolgate/rejected"

/* Moves it (RENAME_NOREPLACE; "~2", "~3" … when the name is taken), then writes the reason (one line
 * JSON: {"path","code","reason","rejected_at"}). RC_ABSENT: the file is not there any more. Works for
 * any kind of directory entry but a directory, and for any bytes in a name. */
enum rc reject_file(const struct fsio *fs, int root_fd, const char *path, const struct err *why,
                    int64_t now_ns, struct err *e) MUST_CHECK;
/* Back to its place. RC_EXISTS: there is a new file under its name. RC_ABSENT: not rejected. */
enum rc reject_restore(const struct fsio *fs, int root_fd, const char *path, struct err *e) MUST_CHECK;

struct reject_row {
    char path[1025]; /* cut to fit; as under rejected/ */
    uint64_t size;
    int64_t rejected_ns;
    char code[64], reason[512];
};
/* Walk in sorted order of path, from the first path greater than `after` ("" for the first page), until
 * visit returns false. Bounded memory a directory. */
enum rc reject_each(const struct fsio *fs, int root_fd, const char *after,
                    bool (*visit)(void *arg, const struct reject_row *row), void *arg,
                    struct err *e) MUST_CHECK;
enum rc reject_find(const struct fsio *fs, int root_fd, const char *path, struct reject_row *row,
                    struct err *e) MUST_CHECK;

#endif
