/* Reading directories: getdents64 into one buffer, on a pool thread, for several directories at a
 * time, or for one on the spot. It knows descriptors and names only; what they mean is the
 * caller's.
 */
#ifndef WATCHER_SCAN_H
#define WATCHER_SCAN_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>

enum scan_kind { SCAN_DIRECTORY, SCAN_FILE /* whatever is no directory */ };
struct scan_name {
    enum scan_kind kind;
    const char *name;
    size_t len;
};

enum { SCAN_BUFFER = 32 * 1024, SCAN_DIRS = 32 };
/* What was read of one directory. */
struct scan_part {
    void *tag;         /* the caller's */
    int fd;            /* open while not at the end; -1 afterwards */
    size_t begin, end; /* in the buffer */
    bool eof;
    int error; /* an errno: it was not read to its end, and will not be */
};
/* A reader: up to SCAN_DIRS directories, and what was read of them in this turn. */
struct scan {
    struct scan_part parts[SCAN_DIRS];
    size_t parts_n;
    bool busy; /* on a pool thread: hands off */
    void (*done)(void *arg, struct scan *s);
    void *arg;
    _Alignas(8) char buffer[SCAN_BUFFER];
};
/* Add a directory; its descriptor (opened for reading) is the scan's now. False: no room. */
bool scan_add(struct scan *s, void *tag, int fd);
/* Read on a pool thread as much as the buffer holds; then done, on the loop's thread. */
void scan_start(struct scan *s, struct loop *l);
/* The same here and now. */
void scan_read(struct scan *s);
/* After a turn: forget the finished directories; those not read to their end stay for the next. */
void scan_turn(struct scan *s);
/* The next name of a part from *at on (begin at part->begin). False: no more. "." and ".." are left
 * out. */
bool scan_next(const struct scan *s, const struct scan_part *p, size_t *at, struct scan_name *out);
void scan_close(struct scan *s); /* the descriptors still open */

#endif
