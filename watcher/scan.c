/* Directories in batches: see scan.h. The kernel's records are read where they lie, without
 * readdir, whose 32 KiB for each open directory would be more than all the rest; so the state of a
 * large directory between two turns is its descriptor. */
#include "watcher/scan.h"

#include "base/rc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for one more name: the header of a record, the longest name, its NUL, and padding. Not all
 * file systems keep to NAME_MAX: 255 units of UTF-16 are up to 765 bytes, and FUSE allows 1024. */
enum { RECORD_MAX = offsetof(struct dirent64, d_name) + 1024 + 1 + 8 };

bool scan_add(struct scan *s, void *tag, int fd)
{
    if (s->parts_n == SCAN_DIRS)
        return false;
    s->parts[s->parts_n++] = (struct scan_part){.tag = tag, .fd = fd};
    return true;
}

static struct dirent64 *record(struct scan *s, size_t at)
{
    return (void *)(s->buffer + at);
}

/* File systems without d_type: ask for each, and note it in the record. */
static void fill_kinds(struct scan *s, const struct scan_part *p, size_t from)
{
    for (size_t at = from; at < p->end; at += record(s, at)->d_reclen) {
        struct dirent64 *r = record(s, at);
        struct stat st;
        if (r->d_type != DT_UNKNOWN)
            continue;
        /* One that cannot be asked (gone, most likely) goes on as a file, to be looked at. */
        if (fstatat(p->fd, r->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            r->d_type = DT_DIR;
        else
            r->d_type = DT_REG;
    }
}

void scan_read(struct scan *s)
{
    size_t used = 0;
    for (size_t i = 0; i < s->parts_n; i++) {
        struct scan_part *p = &s->parts[i];
        p->begin = p->end = used;
        while (!p->eof && !p->error && SCAN_BUFFER - used >= RECORD_MAX) {
            ssize_t n = getdents64(p->fd, s->buffer + used, SCAN_BUFFER - used);
            if (n < 0) {
                p->error = errno;
            } else if (n == 0) {
                p->eof = true;
            } else {
                used += (size_t)n;
                p->end = used;
                fill_kinds(s, p, used - (size_t)n);
            }
        }
        if (p->eof || p->error) {
            (void)close(p->fd); /* only read from */
            p->fd = -1;
        }
    }
}

static void run(void *arg)
{
    scan_read(arg);
}

static void finish(void *arg)
{
    struct scan *s = arg;
    s->busy = false;
    s->done(s->arg, s);
}

void scan_start(struct scan *s, struct loop *l)
{
    BUG_ON(s->busy || s->parts_n == 0);
    s->busy = true;
    loop_work(l, run, finish, s);
}

void scan_turn(struct scan *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->parts_n; i++) {
        if (s->parts[i].fd >= 0)
            s->parts[kept++] = s->parts[i];
    }
    s->parts_n = kept;
}

bool scan_next(const struct scan *s, const struct scan_part *p, size_t *at, struct scan_name *out)
{
    while (*at < p->end) {
        const struct dirent64 *r = (const void *)(s->buffer + *at);
        *at += r->d_reclen;
        if (strcmp(r->d_name, ".") == 0 || strcmp(r->d_name, "..") == 0)
            continue;
        out->kind = r->d_type == DT_DIR ? SCAN_DIRECTORY : SCAN_FILE;
        out->name = r->d_name;
        out->len = strlen(r->d_name);
        return true;
    }
    return false;
}

void scan_close(struct scan *s)
{
    for (size_t i = 0; i < s->parts_n; i++) {
        if (s->parts[i].fd >= 0)
            (void)close(s->parts[i].fd); /* only read from */
    }
    s->parts_n = 0;
}
