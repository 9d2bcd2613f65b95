/* The kernel's event queue: the only file that includes <sys/inotify.h>. Watches are put on open
 * directories, never on paths, so that no link can lead a watch elsewhere.
 */
#ifndef WATCHER_INOTIFY_H
#define WATCHER_INOTIFY_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inotify_kind {
    INOTIFY_CREATE,
    INOTIFY_CLOSE_WRITE,
    INOTIFY_MOVED_TO,
    INOTIFY_MOVED_FROM,
    INOTIFY_DELETE,
    INOTIFY_DELETE_SELF,
    INOTIFY_MOVE_SELF,
    INOTIFY_IGNORED, /* the watch is no more: we dropped it, the directory went or was unmounted */
    INOTIFY_OVERFLOW /* events were lost; wd is -1 */
};
struct inotify_seen {
    enum inotify_kind kind;
    int wd;
    bool is_dir;
    const char *name; /* "" if it is about the watched directory itself; valid during the call */
    size_t name_len;
};

struct inotify;
/* RC_AGAIN: no instance is left, and the text names the sysctl. */
enum rc inotify_new(struct inotify **out, struct err *e) MUST_CHECK;
void inotify_free(struct inotify *in); /* all watches go with it */
/* Another instance instead of this one: all watches are gone. On failure there is none (the
 * descriptor is -1, nothing can be watched), and it may be called again. */
enum rc inotify_reopen(struct inotify *in, struct err *e) MUST_CHECK;
int inotify_fd(const struct inotify *in);
/* Watch an open directory (O_PATH will do): its watch descriptor, the one it has if it is watched
 * already, or -errno (-ENOSPC: no watches left, or no instance; -EACCES: not readable). */
int inotify_watch(struct inotify *in, int dir_fd);
void inotify_unwatch(struct inotify *in, int wd);
/* Read one buffer of what is queued and tell each; the bytes read, 0 if nothing is queued. Events
 * of watches that were dropped meanwhile may still come. */
size_t inotify_read(struct inotify *in, void (*tell)(void *arg, const struct inotify_seen *s),
                    void *arg);
/* Bytes queued now: reading as many reaches everything that has happened before this call. */
size_t inotify_queued(const struct inotify *in);
/* A number from /proc/sys/fs/inotify/<name>, or 0. */
uint64_t inotify_limit(const char *name);
/* How many watches (instances) this user may have, and the sysctl that says so: the system's, or,
 * if that is less, that of the user namespace, as in a container. */
struct inotify_bound {
    const char *sysctl;
    uint64_t limit;
};
struct inotify_bound inotify_bound_watches(void);
struct inotify_bound inotify_bound_instances(void);

#endif
