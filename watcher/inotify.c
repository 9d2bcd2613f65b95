/* inotify behind a small door: see inotify.h.
 *
 * IN_EXCL_UNLINK is not in the mask: a file made with O_TMPFILE counts as unlinked for its
 * descriptor's whole life, so that flag would hide its CLOSE_WRITE ("#<inode>"), by which we learn
 * that a file linked in while it was written is finished. IN_DONT_FOLLOW is not either: the way to
 * a watch leads through /proc/self/fd, whose entries are links; the directory they lead to was
 * opened without following any. */
#include "watcher/inotify.h"

#include "base/fsio.h"
#include "base/mem.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MASK                                                                                       \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ONLYDIR)

struct inotify {
    int fd;
    _Alignas(struct inotify_event) char buffer[32 * 1024];
};
_Static_assert(sizeof((struct inotify *)0)->buffer > sizeof(struct inotify_event) + NAME_MAX + 1,
               "inotify(7): a buffer too small for the next event is EINVAL");

enum rc inotify_new(struct inotify **out, struct err *e)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE)
            return err_set(e, RC_LIMIT,
                           "no inotify instance is left for this user, "
                           "fs.inotify.max_user_instances is %llu: raise it with sysctl(8)",
                           (unsigned long long)inotify_limit("max_user_instances"));
        return err_sys(e, errno, "cannot make an inotify instance");
    }
    *out = mem_alloc(sizeof **out);
    (*out)->fd = fd;
    return RC_OK;
}

void inotify_free(struct inotify *in)
{
    if (!in)
        return;
    (void)close(in->fd); /* nothing was written to it */
    free(in);
}

int inotify_fd(const struct inotify *in)
{
    return in->fd;
}

int inotify_watch(struct inotify *in, int dir_fd)
{
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", dir_fd);
    int wd = inotify_add_watch(in->fd, self, MASK);
    return wd < 0 ? -errno : wd;
}

void inotify_unwatch(struct inotify *in, int wd)
{
    /* EINVAL: the directory went before us, and its watch with it. */
    (void)inotify_rm_watch(in->fd, wd);
}

static bool kind_of(uint32_t mask, enum inotify_kind *out)
{
    static const struct {
        uint32_t bit;
        enum inotify_kind kind;
    } kinds[] = {
        {IN_CREATE, INOTIFY_CREATE},       {IN_CLOSE_WRITE, INOTIFY_CLOSE_WRITE},
        {IN_MOVED_TO, INOTIFY_MOVED_TO},   {IN_MOVED_FROM, INOTIFY_MOVED_FROM},
        {IN_DELETE, INOTIFY_DELETE},       {IN_DELETE_SELF, INOTIFY_DELETE_SELF},
        {IN_MOVE_SELF, INOTIFY_MOVE_SELF}, {IN_IGNORED, INOTIFY_IGNORED},
        {IN_Q_OVERFLOW, INOTIFY_OVERFLOW},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (mask & kinds[i].bit) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false; /* IN_UNMOUNT: an IN_IGNORED follows */
}

size_t inotify_read(struct inotify *in, void (*tell)(void *arg, const struct inotify_seen *s),
                    void *arg)
{
    ssize_t n;
    do
        n = read(in->fd, in->buffer, sizeof in->buffer);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return 0; /* EAGAIN: nothing is queued */
    for (size_t at = 0; at < (size_t)n;) {
        const struct inotify_event *ev = (const void *)(in->buffer + at);
        struct inotify_seen seen = {.wd = ev->wd, .is_dir = (ev->mask & IN_ISDIR) != 0};
        seen.name = ev->len ? ev->name : "";
        seen.name_len = ev->len ? strnlen(ev->name, ev->len) : 0;
        at += sizeof *ev + ev->len;
        if (kind_of(ev->mask, &seen.kind))
            tell(arg, &seen);
    }
    return (size_t)n;
}

size_t inotify_queued(const struct inotify *in)
{
    int n = 0;
    return ioctl(in->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

uint64_t inotify_limit(const char *name)
{
    char path[96], *text;
    uint64_t value = 0;
    size_t n;
    (void)snprintf(path, sizeof path, "/proc/sys/fs/inotify/%s", name);
    if (fsio_read_file(&fsio_system, AT_FDCWD, path, 64, &text, &n, NULL) != RC_OK)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    if (units_parse_size(text, &value) != RC_OK)
        value = 0;
    free(text);
    return value;
}
