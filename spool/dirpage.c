/* Directories in sorted pages, and a walk over a tree of them. The memory is bounded by a page a
 * level. Only descriptors opened beneath the one that was given are read. */
#include "spool/dirpage.h"

#include "base/buf.h"
#include "base/mem.h"
#include "spool/beneath.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_name(const void *a, const void *b)
{
    const struct dirpage_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static size_t max_of(const struct dirpage *page)
{
    return page->max ? page->max : DIRPAGE_MAX;
}

/* Keep the smallest names only. */
static void shrink(struct dirpage *page)
{
    qsort(page->entries, page->n, sizeof *page->entries, by_name);
    while (page->n > max_of(page)) {
        free(page->entries[--page->n].name);
        page->more = page->shrunk = true;
    }
}

static void take(struct dirpage *page, const char *name, bool is_dir)
{
    char sorts_as[BENEATH_NAME_SIZE + 1];
    size_t n = strlen(name);
    if ((page->dirs_only && !is_dir) || n + 2 > sizeof sorts_as ||
        (page->skip && !is_dir && page->skip(name)))
        return;
    memcpy(sorts_as, name, n + 1);
    if (is_dir)
        memcpy(sorts_as + n, "/", 2);
    if (strcmp(sorts_as, page->after) <= 0)
        return;
    /* Most names of a large directory end here: only few of it fit the page. */
    if (page->shrunk && strcmp(sorts_as, page->entries[max_of(page) - 1].name) > 0)
        return;
    page->entries[page->n++] =
        (struct dirpage_entry){.name = mem_strdup(sorts_as), .is_dir = is_dir};
    if (page->n == 2 * max_of(page))
        shrink(page);
}

struct reading {
    struct dirpage *page;
    const struct fsio *fs;
    int fd;
};

static void told(void *arg, const char *name, mode_t kind)
{
    const struct reading *r = arg;
    struct file_stat st;
    if (kind == 0 && r->fs->ops->stat(r->fs->ctx, r->fd, name, &st) == 0)
        kind = st.mode & S_IFMT;
    take(r->page, name, kind == S_IFDIR);
}

enum rc dirpage_read(const struct fsio *fs, int dirfd, const char *path, struct dirpage *page,
                     struct err *e)
{
    char shown[BENEATH_SHOWN_SIZE];
    page->entries = NULL;
    page->n = 0;
    page->more = page->shrunk = false;
    int fd = fs->ops->open_beneath(fs->ctx, dirfd, path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot open the directory %s",
                       beneath_show(shown, path, strlen(path)));
    struct reading r = {.page = page, .fs = fs, .fd = fd};
    page->entries = mem_alloc(sizeof *page->entries * 2 * max_of(page));
    int result = fs->ops->list(fs->ctx, fd, told, &r);
    (void)fs->ops->close(fs->ctx, fd); /* O_PATH: there is nothing to lose */
    shrink(page);
    return result < 0 ? err_sys(e, result, "cannot read the directory %s",
                                beneath_show(shown, path, strlen(path)))
                      : RC_OK;
}

bool dirpage_next(const struct dirpage *page, char after[DIRPAGE_NAME_SIZE])
{
    if (page->more)
        (void)snprintf(after, DIRPAGE_NAME_SIZE, "%s", page->entries[page->n - 1].name);
    return page->more;
}

void dirpage_fini(struct dirpage *page)
{
    for (size_t i = 0; i < page->n; i++)
        free(page->entries[i].name);
    free(page->entries);
    page->entries = NULL;
    page->n = 0;
}

/* A walk under way. */
struct walk {
    const struct dirwalk *w;
    struct buf path; /* from where the walk began; ends with a slash, or is empty */
    bool stopped;
    enum rc rc;
    struct err *e;
};

static void note(struct walk *k, enum rc rc, const struct err *why)
{
    if (k->rc != RC_OK || rc == RC_OK || rc == RC_ABSENT)
        return;
    k->rc = rc;
    if (k->e)
        *k->e = *why;
}

/* Of a directory: may there be something behind `after` in it? Its own entry comes last, and is
 * that which stays when all in it is not greater. */
static bool is_wanted(const struct walk *k)
{
    const char *after = k->w->after;
    size_t n = strlen(after) < k->path.len ? strlen(after) : k->path.len;
    return memcmp(k->path.data, after, n) >= 0;
}

static void visit(struct walk *k, int dirfd, const char *name, bool is_dir)
{
    const struct dirwalk_entry entry = {
        .dirfd = dirfd, .name = name, .path = k->path.data, .is_dir = is_dir};
    if (!k->w->visit(k->w->arg, &entry))
        k->stopped = true;
}

static void walk_level(struct walk *k, int dirfd, unsigned depth);

static void walk_entry(struct walk *k, int dirfd, const struct dirpage_entry *entry, unsigned depth)
{
    const struct fsio *fs = k->w->fs;
    size_t outer = k->path.len;
    buf_adds(&k->path, entry->name);
    if (!entry->is_dir) {
        if (strcmp(k->path.data, k->w->after) > 0)
            visit(k, dirfd, entry->name, false);
    } else if (is_wanted(k) && depth < DIRWALK_DEPTH_MAX) {
        char name[BENEATH_NAME_SIZE];
        size_t n = strlen(entry->name) - 1;
        memcpy(name, entry->name, n);
        name[n] = '\0';
        int fd = fs->ops->open_beneath(fs->ctx, dirfd, name, O_PATH | O_DIRECTORY, 0);
        if (fd < 0) {
            struct err why;
            note(k, err_sys(&why, fd, "cannot enter a directory"), &why);
        } else {
            walk_level(k, fd, depth + 1);
            (void)fs->ops->close(fs->ctx, fd); /* O_PATH: there is nothing to lose */
        }
        buf_cut(&k->path, k->path.len - 1);
        if (!k->stopped)
            visit(k, dirfd, name, true);
    }
    buf_cut(&k->path, outer);
}

/* Where to begin in this directory: at the name under which the walk left off. */
static void first_name(const struct walk *k, char after[DIRPAGE_NAME_SIZE])
{
    after[0] = '\0';
    if (strncmp(k->w->after, k->path.data, k->path.len) != 0)
        return;
    const char *rest = k->w->after + k->path.len;
    (void)snprintf(after, DIRPAGE_NAME_SIZE, "%.*s", (int)strcspn(rest, "/"), rest);
}

static void walk_level(struct walk *k, int dirfd, unsigned depth)
{
    char after[DIRPAGE_NAME_SIZE];
    bool more = true;
    first_name(k, after);
    while (more && !k->stopped) {
        struct dirpage page = {.after = after, .max = k->w->page, .skip = k->w->skip};
        struct err why;
        note(k, dirpage_read(k->w->fs, dirfd, ".", &page, &why), &why);
        for (size_t i = 0; i < page.n && !k->stopped; i++)
            walk_entry(k, dirfd, &page.entries[i], depth);
        more = dirpage_next(&page, after);
        dirpage_fini(&page);
    }
}

enum rc dirwalk(const struct dirwalk *w, int dirfd, const char *path, struct err *e)
{
    struct walk k = {.w = w, .e = e};
    int fd = w->fs->ops->open_beneath(w->fs->ctx, dirfd, path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot enter the directory %s", path);
    buf_init(&k.path, DIRWALK_DEPTH_MAX * (size_t)(BENEATH_NAME_SIZE + 1));
    walk_level(&k, fd, 0);
    buf_fini(&k.path);
    (void)w->fs->ops->close(w->fs->ctx, fd); /* O_PATH: there is nothing to lose */
    return k.rc;
}
