/* Admission: may this file be promised? Everything that can be known by looking at it: its kind,
 * its name, that nobody writes it any more, its contents. Runs on a pool thread; changes nothing.
 */
#ifndef SPOOL_ADMIT_H
#define SPOOL_ADMIT_H

#include "base/fsio.h"
#include "spool/layout.h"

struct admit_cfg {
    const struct fsio *fs;
    int root_fd;
    const struct layout *layout;
    uint64_t settle_ms;
    uint64_t size_max;  /* bytes; over it: rejected */
    uint64_t large_min; /* contents of so many bytes are not read: ADMIT_LARGE; 0: all are */
    /* Must the contents be NDJSON? By event type. */
    bool (*wants_ndjson)(void *arg, const char *event_type, size_t n);
    void *arg;
};

enum admit_verdict {
    ADMIT_OK,
    ADMIT_LARGE,  /* all is well so far, and its contents are to be read, which takes long: call
                     again without large_min, where nothing waits behind it */
    ADMIT_BUSY,   /* a writer has it open */
    ADMIT_FRESH,  /* changed less than `settle` ago: wait_ms says how long to wait */
    ADMIT_LINKED, /* more than one link: perhaps a producer between link(2) and unlink(2): wait_ms
                   */
    ADMIT_REJECT, /* err: code and sentence; it will never do as it is */
    ADMIT_GONE,   /* not there any more, or a directory */
    ADMIT_DENIED, /* it may not be opened: err names path, owner, mode and the remedy */
    ADMIT_ERROR   /* the file system failed: look again later */
};
/* How sure the watcher is that it is finished. Old is told by ctime: every write sets it to the
 * kernel's now, while mtime is whatever somebody set. A ctime further ahead of now than `settle`
 * tells that the clock was set back, and nothing about quiet: it counts as old, since the watcher
 * has waited, and since such a file would otherwise wait until the clock has caught up. */
enum admit_trust {
    ADMIT_MOVED, /* it came whole: no need to have been quiet, unless nobody can tell about writers
                  */
    ADMIT_QUIET /* the watcher has waited `settle` since the last event, or a scan found it: it must
                   be `settle` old, or have been renamed or the like since its last byte */
};
struct admit_result {
    enum admit_verdict verdict;
    struct identity id; /* as seen on the descriptor, before and after reading the same; of what
                           cannot be opened, a link or a socket, as seen by its name */
    struct layout_match match;
    uint64_t wait_ms;
    struct err err; /* code of ADMIT_REJECT: layout_match's, or "kind", "links", "size",
                       "content" */
};
/* path: below the root, n bytes and a NUL. now: wall clock. Kinds other than a regular file with
 * one link are rejected with their sentence (a symlink's target is not looked at; a hard
 * link is ADMIT_LINKED until its ctime is `settle`, at least a second, old). Contents are read
 * once, in 128 KiB pieces. A file that changed meanwhile is ADMIT_FRESH. */
void admit_file(const struct admit_cfg *cfg, const char *path, size_t n, enum admit_trust trust,
                int64_t now_ns, struct admit_result *out);

#endif
