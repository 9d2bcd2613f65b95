/* Paths below the spool root as a parent's descriptor and one name. No call here resolves more than
 * one component without RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, and ".." is never resolved at all:
 * the kernel would allow it as long as it stays below, and "a/../.spoolgate" is not what a producer
 * may name. */
#include "spool/beneath.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_component(const char *s, size_t n)
{
    return n > 0 && n <= NAME_MAX && !(n == 1 && s[0] == '.') &&
           !(n == 2 && s[0] == '.' && s[1] == '.');
}

bool beneath_is_path(const char *path)
{
    for (;;) {
        size_t n = strcspn(path, "/");
        if (!is_component(path, n))
            return false;
        if (path[n] == '\0')
            return true;
        path += n + 1;
    }
}

const char *beneath_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

size_t beneath_parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* Open the first n bytes of a path that may be longer than the kernel takes at once: its beginning
 * is opened as a directory, and the rest below that. */
static int open_span(const struct fsio *fs, int root_fd, const char *path, size_t n, int flags)
{
    char piece[PATH_MAX];
    int at = root_fd;
    for (;;) {
        size_t len = n;
        if (n >= sizeof piece) {
            /* A component has 255 bytes at most, so there is a slash. */
            len = sizeof piece - 1;
            while (path[len] != '/')
                len--;
        }
        memcpy(piece, path, len);
        piece[len] = '\0';
        bool last = len == n;
        int fd = fs->ops->open_beneath(fs->ctx, at, piece, last ? flags : O_PATH | O_DIRECTORY, 0);
        if (at != root_fd)
            (void)fs->ops->close(fs->ctx, at); /* O_PATH: there is nothing to lose */
        if (last || fd < 0)
            return fd;
        at = fd;
        path += len + 1;
        n -= len + 1;
    }
}

int beneath_open(const struct fsio *fs, int root_fd, const char *path, int flags)
{
    return beneath_is_path(path) ? open_span(fs, root_fd, path, strlen(path), flags) : -EINVAL;
}

int beneath_parent(const struct fsio *fs, int root_fd, const char *path, int flags)
{
    if (!beneath_is_path(path))
        return -EINVAL;
    size_t n = beneath_parent_len(path);
    return n == 0 ? fs->ops->open_beneath(fs->ctx, root_fd, ".", flags | O_DIRECTORY, 0)
                  : open_span(fs, root_fd, path, n, flags | O_DIRECTORY);
}

enum rc beneath_make_parent(const struct fsio *fs, int root_fd, const char *path, mode_t mode,
                            int flags, int *dirfd, struct err *e)
{
    char shown[BENEATH_SHOWN_SIZE];
    int fd = beneath_parent(fs, root_fd, path, flags);
    if (fd == -ENOENT) {
        char *parent = mem_strndup(path, beneath_parent_len(path));
        enum rc rc = fsio_mkdirs(fs, root_fd, parent, mode, 1, e);
        free(parent);
        if (rc != RC_OK)
            return rc;
        fd = beneath_parent(fs, root_fd, path, flags);
    }
    if (fd < 0)
        return err_sys(e, fd, "cannot open the directory of %s",
                       beneath_show(shown, path, strlen(path)));
    *dirfd = fd;
    return RC_OK;
}

/* The n-th name to try: itself, then with "~n" at its end. Cutting may split a character; such
 * names are shown escaped. */
static void nth_name(char out[BENEATH_NAME_SIZE], const char *name, unsigned n)
{
    char suffix[16] = "";
    if (n > 1)
        (void)snprintf(suffix, sizeof suffix, "~%u", n);
    size_t room = NAME_MAX - strlen(suffix);
    (void)snprintf(out, BENEATH_NAME_SIZE, "%.*s%s", (int)room, name, suffix);
}

int beneath_move_aside(const struct fsio *fs, const struct beneath_move *m,
                       char got[BENEATH_NAME_SIZE])
{
    /* So many files of one name mean that something else is wrong. */
    enum { TRIES = 100000 };
    int result = -EEXIST;
    for (unsigned n = 1; result == -EEXIST && n <= TRIES; n++) {
        nth_name(got, m->to, n);
        if (!m->taken || !m->taken(got))
            result =
                fs->ops->rename(fs->ctx, m->from_dir, m->from, m->to_dir, got, RENAME_NOREPLACE);
    }
    return result;
}

enum rc beneath_cannot(const struct fsio *fs, int dirfd, int result, const char *doing,
                       const char *path, struct err *e)
{
    struct file_stat st;
    char shown[BENEATH_SHOWN_SIZE];
    beneath_show(shown, path, strlen(path));
    if (result == -EXDEV)
        return err_sys(e, result, "cannot %s %s, for the spool must be one file system", doing,
                       shown);
    if ((result == -EACCES || result == -EPERM) && fs->ops->stat(fs->ctx, dirfd, "", &st) == 0)
        return err_set(e, RC_DENIED,
                       "cannot %s %s: its directory may not be written (owner uid %u, gid %u, mode "
                       "%04o): make it group-writable (chmod g+rwxs, umask 002 in the producer or "
                       "a default ACL) and put the gateway's user into that group",
                       doing, shown, st.uid, st.gid, (unsigned)st.mode & 07777);
    return err_sys(e, result, "cannot %s %s", doing, shown);
}

char *beneath_show(char out[BENEATH_SHOWN_SIZE], const char *path, size_t n)
{
    enum { HEAD = 80 };
    static const char gap[] = " … ";
    struct buf b;
    buf_init(&b, 4 * n);
    utf8_escape(&b, path, n);
    if (b.len < BENEATH_SHOWN_SIZE) {
        memcpy(out, b.data, b.len + 1);
    } else {
        /* The end says more than the middle. Cut between characters: a continuation byte never
         * begins a piece. */
        size_t tail = BENEATH_SHOWN_SIZE - sizeof gap - HEAD;
        size_t head_len = HEAD, tail_at = b.len - tail;
        while ((b.data[head_len] & 0xc0) == 0x80)
            head_len--;
        while ((b.data[tail_at] & 0xc0) == 0x80)
            tail_at++;
        (void)snprintf(out, BENEATH_SHOWN_SIZE, "%.*s%s%s", (int)head_len, b.data, gap,
                       b.data + tail_at);
    }
    buf_fini(&b);
    return out;
}
