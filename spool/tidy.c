/* Empty directories of past dates. Only rmdir(2) decides what is empty, so that a file that arrives
 * at the last moment keeps its directory.
 *
 * KNOWN: a producer that made a directory of a past date, and has not yet made its file in it, may
 * have it removed in between; it has to make it again. */
#include "spool/tidy.h"

#include "base/clock.h"
#include "spool/beneath.h"
#include "spool/dirpage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { DEPTH_MAX = 64, DAYS_KEPT = 2 };

struct tidying {
    const struct fsio *fs;
    const struct tidy *what;
    unsigned removed;
    enum rc rc;
    struct err *e;
};

static void note(struct tidying *t, enum rc rc, const struct err *why)
{
    if (t->rc != RC_OK || rc == RC_OK || rc == RC_ABSENT)
        return;
    t->rc = rc;
    if (t->e)
        *t->e = *why;
}

static bool is_stopped(const struct tidying *t)
{
    return t->what->stop && atomic_load(t->what->stop);
}

/* For each directory in dirfd/name, its name without the slash. */
static void each_directory(struct tidying *t, int dirfd,
                           void (*visit)(struct tidying *t, int dirfd, const char *name,
                                         unsigned depth),
                           unsigned depth)
{
    char after[DIRPAGE_NAME_SIZE] = "";
    bool more = true;
    while (more && !is_stopped(t)) {
        struct dirpage page = {.after = after, .dirs_only = true};
        struct err why;
        note(t, dirpage_read(t->fs, dirfd, ".", &page, &why), &why);
        more = dirpage_next(&page, after);
        for (size_t i = 0; i < page.n && !is_stopped(t); i++) {
            char *name = page.entries[i].name;
            name[strlen(name) - 1] = '\0';
            visit(t, dirfd, name, depth);
        }
        dirpage_fini(&page);
    }
}

/* True: it is not there any more. */
static bool remove_empty(struct tidying *t, int dirfd, const char *name)
{
    char shown[BENEATH_SHOWN_SIZE];
    struct err why;
    int result = t->fs->ops->rmdir(t->fs->ctx, dirfd, name);
    t->removed += result == 0;
    if (result < 0 && result != -ENOENT && result != -ENOTEMPTY && result != -EEXIST &&
        result != -ENOTDIR && result != -EBUSY)
        note(t,
             err_sys(&why, result, "cannot remove the empty directory %s",
                     beneath_show(shown, name, strlen(name))),
             &why);
    return result == 0 || result == -ENOENT;
}

/* A directory of a past date or below one. */
static void tidy_past(struct tidying *t, int dirfd, const char *name, unsigned depth)
{
    if (remove_empty(t, dirfd, name) || depth == DEPTH_MAX)
        return;
    int fd = t->fs->ops->open_beneath(t->fs->ctx, dirfd, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return; /* gone, or no directory any more */
    unsigned before = t->removed;
    each_directory(t, fd, tidy_past, depth + 1);
    (void)t->fs->ops->close(t->fs->ctx, fd); /* O_PATH: there is nothing to lose */
    if (t->removed > before)
        (void)remove_empty(t, dirfd, name);
}

/* A directory at the place of component `number` of the layout. */
static void tidy_component(struct tidying *t, int dirfd, const char *name, unsigned number)
{
    int64_t days;
    size_t n;
    if (number == layout_date_depth(t->what->layout)) {
        if (clock_parse_date(name, strlen(name), &days) && days <= t->what->today_days - DAYS_KEPT)
            tidy_past(t, dirfd, name, number);
        return;
    }
    const char *literal = layout_literal(t->what->layout, number, &n);
    if (literal ? strlen(name) != n || memcmp(name, literal, n) != 0 : name[0] == '.')
        return;
    int fd = t->fs->ops->open_beneath(t->fs->ctx, dirfd, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return; /* gone, or no directory any more */
    each_directory(t, fd, tidy_component, number + 1);
    (void)t->fs->ops->close(t->fs->ctx, fd); /* O_PATH: there is nothing to lose */
}

enum rc tidy_dates(const struct fsio *fs, int root_fd, const struct tidy *what, unsigned *removed,
                   struct err *e)
{
    struct tidying t = {.fs = fs, .what = what, .e = e};
    if (layout_date_depth(what->layout) > 0)
        each_directory(&t, root_fd, tidy_component, 1);
    *removed = t.removed;
    return t.rc;
}
