/* Directories that cannot be watched and read, and names that are too long: what people are told of
 * them. Each directory is told once, until it could be read (TREE_DENIED): see watcher_int.h. */
#include "watcher/watcher_int.h"

#include "base/buf.h"
#include "base/fsio.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
    SHOWN_MAX = 500,               /* bytes of a path that are shown */
    SHOWN_SIZE = SHOWN_MAX * 4 + 4 /* each may be escaped */
};

/* Its path for people, of a very long one the beginning; and in w->path, below the root: its length
 * there, 0 for the root. */
static size_t show(struct watcher *w, const struct tree_node *node, struct buf *shown)
{
    size_t n = tree_path(node, "", 0, w->path, sizeof w->path);
    const char *path = n ? w->path : w->cfg.root;
    size_t len = strlen(path);
    utf8_escape(shown, path, len < SHOWN_MAX ? len : SHOWN_MAX);
    if (len > SHOWN_MAX)
        buf_adds(shown, "…");
    return n;
}

void denied_name(struct watcher *w, const struct tree_node *parent, const char *what,
                 size_t name_len)
{
    struct buf shown;
    if (w->walk.told_name)
        return;
    w->walk.told_name = true; /* of many one; the next rescan tells again */
    buf_init(&shown, SHOWN_SIZE);
    (void)show(w, parent, &shown); /* the root has no path below itself */
    watcher_trouble(w, "denied",
                    "a %s in %s is left out, since its name has %zu bytes: give it one of %d at "
                    "most",
                    what, shown.data, name_len, NAME_MAX);
    buf_fini(&shown);
}

/* No call can open it. The deepest directory on the way that has a path is named. */
static void tell_too_deep(struct watcher *w, const struct tree_node *node)
{
    struct buf shown;
    const struct tree_node *up = node->parent;
    while (up->parent && tree_path(up, "", 0, w->path, sizeof w->path) == 0)
        up = up->parent;
    buf_init(&shown, SHOWN_SIZE);
    (void)show(w, up, &shown); /* the root has no path below itself */
    watcher_trouble(w, "denied",
                    "a directory is left out, since its path has more than %d bytes: give those on "
                    "its way shorter names, or move it up; it is below %s",
                    PATH_MAX - 1, shown.data);
    buf_fini(&shown);
}

void denied_tell(struct watcher *w, struct tree_node *node, int error)
{
    const struct fsio *fs = &fsio_system;
    bool denied = error == EACCES || error == EPERM;
    const char *remedy = denied
                             ? ": let the gateway's group read and enter it (chgrp; chmod g+rwx; "
                               "umask 002 for the producer)"
                             : "; it is tried again";
    struct buf shown;
    struct file_stat st;
    struct err e;
    if (node->flags & TREE_DENIED)
        return;
    tree_set(&w->tree, node, TREE_DENIED);
    if (node->parent && tree_path(node, "", 0, w->path, sizeof w->path) == 0) {
        tell_too_deep(w, node);
        return;
    }
    err_sys(&e, error, "cannot be read");
    buf_init(&shown, SHOWN_SIZE);
    size_t n = show(w, node, &shown);
    int fd = n ? fs->ops->open_beneath(fs->ctx, w->cfg.root_fd, w->path, O_PATH | O_NOFOLLOW, 0)
               : fs->ops->open(fs->ctx, w->cfg.root_fd, ".", O_PATH, 0);
    if (fd >= 0 && fs->ops->stat(fs->ctx, fd, "", &st) == 0)
        watcher_trouble(w, "denied", "the directory %s (owner %u, group %u, mode %04o) %s%s",
                        shown.data, st.uid, st.gid, (unsigned)(st.mode & 07777), e.text, remedy);
    else
        watcher_trouble(w, "denied", "the directory %s %s%s", shown.data, e.text, remedy);
    if (fd >= 0)
        (void)fs->ops->close(fs->ctx, fd); /* O_PATH: there is nothing to lose */
    buf_fini(&shown);
}
