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

static enum rc open_instance(int *fd, struct err *e)
{
    *fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (*fd >= 0)
        return RC_OK;
    if (errno != EMFILE)
        return err_sys(e, errno, "cannot make an inotify instance");
    struct inotify_bound bound = inotify_bound_instances();
    return err_set(e, RC_AGAIN,
                   "no inotify instance is left for this user, %s is %llu: sysctl -w %s=%llu",
                   bound.sysctl, (unsigned long long)bound.limit, bound.sysctl,
                   (unsigned long long)(bound.limit < 256 ? 512 : bound.limit * 2));
}

enum rc inotify_new(struct inotify **out, struct err *e)
{
    int fd;
    enum rc rc = open_instance(&fd, e);
    if (rc != RC_OK)
        return rc;
    *out = mem_alloc(sizeof **out);
    (*out)->fd = fd;
    return RC_OK;
}

enum rc inotify_reopen(struct inotify *in, struct err *e)
{
    if (in->fd >= 0)
        (void)close(in->fd); /* first: it counts against what we may have */
    return open_instance(&in->fd, e);
}

void inotify_free(struct inotify *in)
{
    if (!in)
        return;
    if (in->fd >= 0)
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
    if (in->fd < 0)
        return -ENOSPC;
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", dir_fd);
    int wd = inotify_add_watch(in->fd, self, MASK);
    return wd < 0 ? -errno : wd;
}

void inotify_unwatch(struct inotify *in, int wd)
{
    /* EINVAL: the directory went before us, and its watch with it. EBADF: all went. */
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

/* `otherwise`: there is no such file, or no number in it. */
static uint64_t read_number(const char *path, uint64_t otherwise)
{
    char *text;
    uint64_t value = 0;
    size_t n;
    if (fsio_read_file(&fsio_system, AT_FDCWD, path, 64, &text, &n, NULL) != RC_OK)
        return otherwise;
    text[strcspn(text, "\n")] = '\0';
    if (units_parse_size(text, &value) != RC_OK)
        value = otherwise;
    free(text);
    return value;
}

uint64_t inotify_limit(const char *name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/proc/sys/fs/inotify/%s", name);
    return read_number(path, 0);
}

static struct inotify_bound lower(struct inotify_bound system, struct inotify_bound space)
{
    return space.limit < system.limit ? space : system;
}

struct inotify_bound inotify_bound_watches(void)
{
    return lower(
        (struct inotify_bound){"fs.inotify.max_user_watches", inotify_limit("max_user_watches")},
        (struct inotify_bound){"user.max_inotify_watches",
                               read_number("/proc/sys/user/max_inotify_watches", UINT64_MAX)});
}

struct inotify_bound inotify_bound_instances(void)
{
    return lower(
        (struct inotify_bound){"fs.inotify.max_user_instances",
                               inotify_limit("max_user_instances")},
        (struct inotify_bound){"user.max_inotify_instances",
                               read_number("/proc/sys/user/max_inotify_instances", UINT64_MAX)});
}
