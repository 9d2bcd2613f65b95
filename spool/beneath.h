/* Paths below the spool root, which anybody may rearrange at any moment: a path becomes the
 * descriptor of its parent, opened without following a link, and one name in it. Whatever is then
 * done, is done to that name in that directory, even if the path leads elsewhere by now.
 */
#ifndef SPOOL_BENEATH_H
#define SPOOL_BENEATH_H

#include "base/buf.h"
#include "base/fsio.h"

#include <stdbool.h>

#define BENEATH_OURS ".spoolgate" /* in the root; what is in it is ours */

/* Relative, not empty, and every component a name of 1 to 255 bytes but "." and "..". */
bool beneath_is_path(const char *path);
/* The last component of a path: points into it. */
const char *beneath_name(const char *path);
/* The length of the part before the last component, without its slash; 0: there is none. */
size_t beneath_parent_len(const char *path);

/* Open path with flags, however long it is. -errno: -EINVAL if it is no path in the above sense,
 * -ELOOP for a symlink on the way or at its end. */
int beneath_open(const struct fsio *fs, int root_fd, const char *path, int flags);
/* Open the directory that holds path's last component: O_PATH, or O_RDONLY, which reading and fsync
 * need. The caller closes. */
int beneath_parent(const struct fsio *fs, int root_fd, const char *path, int flags);
/* The same, with the directories made if they are not there (made ones are durable). */
enum rc beneath_make_parent(const struct fsio *fs, int root_fd, const char *path, mode_t mode,
                            int flags, int *dirfd, struct err *e) MUST_CHECK;

/* rename with RENAME_NOREPLACE to name, else name~2, name~3 …, names that are too long cut before
 * the
 * '~'; the name it got in `got`. -errno. `taken` (NULL allowed) may refuse further names. */
#define BENEATH_NAME_SIZE 256
struct beneath_move {
    int from_dir, to_dir;
    const char *from, *to;
    bool (*taken)(const char *name);
};
int beneath_move_aside(const struct fsio *fs, const struct beneath_move *m,
                       char got[BENEATH_NAME_SIZE]);

/* Say why an entry of dirfd could not be moved: result is -errno, `doing` a phrase such as
 * "reject". A refusal names the directory's owner and mode and the remedy. Returns the result's
 * class. */
enum rc beneath_cannot(const struct fsio *fs, int dirfd, int result, const char *doing,
                       const char *path, struct err *e);

/* Path or name as it may be shown in a sentence: escaped, its middle left out if it is long. */
#define BENEATH_SHOWN_SIZE 204
char *beneath_show(char out[BENEATH_SHOWN_SIZE], const char *path, size_t n);

#endif
