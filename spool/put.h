/* Putting a file into the spool, durably, from a command: O_TMPFILE, write, fsync, link, fsync of
 * the directory. What producers in other languages do with a temporary name and rename.
 */
#ifndef SPOOL_PUT_H
#define SPOOL_PUT_H

#include "base/fsio.h"

/* Copies from from_fd until its end to root/path. Directories are made (0775 less the umask; the
 * kernel hands setgid down from the directory above) and synced; the file has 0644 less the umask.
 * RC_EXISTS: the name is taken (nothing is overwritten); RC_LIMIT: over size_max; RC_FULL,
 * RC_DENIED, RC_IO. After an error nothing is there. *size: bytes written. `check` sees every piece
 * as it goes by and may refuse (its result is returned). */
struct put_cfg {
    const struct fsio *fs;
    int root_fd;
    uint64_t size_max;
    enum rc (*check)(void *arg, const char *data, size_t n, struct err *e); /* NULL allowed */
    enum rc (*finish)(void *arg, struct err *e); /* after the last piece; NULL allowed */
    void *arg;
};
enum rc put_file(const struct put_cfg *cfg, int from_fd, const char *path, uint64_t *size,
                 struct err *e) MUST_CHECK;

#endif
