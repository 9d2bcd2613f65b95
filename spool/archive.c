/* The archive. What is taken in comes by rename and is never copied; what is removed has been
 * delivered, and has a durable receipt, before it came here: the limits may remove anything. */
#include "spool/archive.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spool/beneath.h"
#include "spool/dirpage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void leave(const struct fsio *fs, struct archive_place *place)
{
    if (place->dirfd >= 0)
        (void)fs->ops->close(fs->ctx, place->dirfd); /* a directory: nothing can be lost */
    free(place->parent);
    *place = (struct archive_place){.dirfd = -1, .failed = place->failed};
}

/* A failure is that of the files that went there before, whatever comes next: it is kept. */
static void sync_and_leave(const struct fsio *fs, struct archive_place *place)
{
    struct err *first = place->failed.rc == RC_OK ? &place->failed : NULL;
    int result = 0;
    if (place->dirfd >= 0 && place->unsynced)
        result = fs->ops->sync(fs->ctx, place->dirfd);
    if (result < 0)
        (void)err_sys(first, result, "cannot fsync a directory of the archive");
    leave(fs, place);
}

enum rc archive_sync(const struct fsio *fs, struct archive_place *place, struct err *e)
{
    sync_and_leave(fs, place);
    enum rc rc = place->failed.rc;
    if (rc != RC_OK && e)
        *e = place->failed;
    place->failed = (struct err){0};
    return rc;
}

/* Have root/path's directory open, which is made if need be. */
static enum rc enter(const struct fsio *fs, int root_fd, struct archive_place *place,
                     const char *path, struct err *e)
{
    enum { MODE = 0750 };
    size_t n = beneath_parent_len(path);
    if (place->dirfd >= 0 && strlen(place->parent) == n && memcmp(place->parent, path, n) == 0)
        return RC_OK;
    sync_and_leave(fs, place);
    enum rc rc = beneath_make_parent(fs, root_fd, path, MODE, O_RDONLY, &place->dirfd, e);
    if (rc == RC_OK)
        place->parent = mem_strndup(path, n);
    else
        place->dirfd = -1;
    return rc;
}

static enum rc take_as(const struct fsio *fs, int root_fd, struct archive_place *place,
                       const struct archive_source *source, const char *path, struct err *e)
{
    char got[BENEATH_NAME_SIZE];
    enum rc rc = enter(fs, root_fd, place, path, e);
    if (rc != RC_OK)
        return rc;
    const struct beneath_move m = {
        .from_dir = source->dirfd,
        .from = source->name,
        .to_dir = place->dirfd,
        .to = beneath_name(path),
    };
    int result = beneath_move_aside(fs, &m, got);
    if (result < 0)
        return err_sys(e, result, "cannot move a delivered file into %s", ARCHIVE_DIR);
    place->unsynced = true;
    return RC_OK;
}

enum rc archive_take(const struct fsio *fs, int root_fd, struct archive_place *place,
                     const struct archive_source *source, struct err *e)
{
    char date[CLOCK_DATE_SIZE];
    struct err why = {0};
    size_t room = sizeof ARCHIVE_DIR + sizeof date + strlen(source->path) + 1;
    char *path = mem_alloc(room);
    clock_date(date, source->day_s);
    (void)snprintf(path, room, ARCHIVE_DIR "/%s/%s", date, source->path);
    enum rc rc = take_as(fs, root_fd, place, source, path, &why);
    if (rc == RC_ABSENT && place->dirfd >= 0) {
        /* The sweep removed the directory that was open. */
        leave(fs, place);
        rc = take_as(fs, root_fd, place, source, path, &why);
    }
    if (rc != RC_OK && (why.sys_errno == ENOTDIR || why.sys_errno == ELOOP)) {
        (void)snprintf(path, room, ARCHIVE_DIR "/%s/%s", date, beneath_name(source->path));
        rc = take_as(fs, root_fd, place, source, path, &why);
    }
    if (rc != RC_OK && e)
        *e = why;
    free(path);
    return rc;
}

/* A file that may have to go. */
struct old_file {
    int64_t ctime_ns;
    uint64_t size;
    char *path; /* below its date */
};
enum { OLD_MAX = 4096 };

/* One sweep. */
struct sweep {
    const struct fsio *fs;
    int archive_fd;
    const struct archive_limits *limits;
    struct archive_usage *usage;
    /* of the date under way: */
    uint64_t files, bytes;
    bool removing;
    struct old_file *old; /* the oldest ones, when they are wanted; else NULL */
    size_t old_count;
    enum rc rc;
    struct err *e;
};

static void note(struct sweep *s, enum rc rc, const struct err *why)
{
    if (s->rc != RC_OK || rc == RC_OK || rc == RC_ABSENT)
        return;
    s->rc = rc;
    if (s->e)
        *s->e = *why;
}

/* True: it is gone now, by us. */
static bool remove_entry(struct sweep *s, int dirfd, const char *name, bool is_dir)
{
    struct err why;
    int result = is_dir ? s->fs->ops->rmdir(s->fs->ctx, dirfd, name)
                        : s->fs->ops->unlink(s->fs->ctx, dirfd, name);
    if (result < 0 && result != -ENOENT && !(is_dir && result == -ENOTEMPTY))
        note(s, err_sys(&why, result, "cannot remove %s from the archive", name), &why);
    return result == 0;
}

static int oldest_first(const void *a, const void *b)
{
    const struct old_file *x = a, *y = b;
    if (x->ctime_ns != y->ctime_ns)
        return x->ctime_ns < y->ctime_ns ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* Sort, and keep the oldest only. */
static void shrink(struct sweep *s)
{
    qsort(s->old, s->old_count, sizeof *s->old, oldest_first);
    while (s->old_count > OLD_MAX)
        free(s->old[--s->old_count].path);
}

static bool is_stopped(const struct sweep *s)
{
    return s->limits->stop && atomic_load(s->limits->stop);
}

/* A directory that is being read. Its names come in no order, each once, so that one of millions
 * costs no more than a look at each; only the names of directories are kept until it was read. */
struct level {
    struct sweep *s;
    int fd;
    const char *path; /* below its date; ends with a slash, or is empty */
    char **dirs;
    size_t n_dirs;
};

static void note_old(struct sweep *s, const char *path, const char *name,
                     const struct file_stat *st)
{
    size_t room = strlen(path) + strlen(name) + 1;
    char *whole = mem_alloc(room);
    (void)snprintf(whole, room, "%s%s", path, name);
    s->old[s->old_count++] =
        (struct old_file){.ctime_ns = st->id.ctime_ns, .size = st->id.size, .path = whole};
    if (s->old_count == (size_t)2 * OLD_MAX)
        shrink(s);
}

static void visit(void *arg, const char *name, mode_t kind)
{
    struct level *l = arg;
    struct sweep *s = l->s;
    struct file_stat st;
    if (is_stopped(s))
        return;
    if (kind == S_IFDIR) {
        if ((l->n_dirs & (l->n_dirs - 1)) == 0)
            l->dirs = mem_resize(l->dirs, l->n_dirs ? l->n_dirs * 2 : 1, sizeof *l->dirs);
        l->dirs[l->n_dirs++] = mem_strdup(name);
        return;
    }
    if (s->fs->ops->stat(s->fs->ctx, l->fd, name, &st) < 0)
        return;
    if (kind == 0 && S_ISDIR(st.mode)) {
        visit(arg, name, S_IFDIR);
        return;
    }
    if (s->removing && remove_entry(s, l->fd, name, false)) {
        s->usage->removed_files++;
        s->usage->removed_bytes += st.id.size;
        return;
    }
    s->files++;
    s->bytes += st.id.size;
    if (s->old)
        note_old(s, l->path, name, &st);
}

static void walk_below(struct sweep *s, int dirfd, const char *name, const char *path,
                       unsigned depth)
{
    struct level l = {.s = s, .path = path};
    struct err why;
    l.fd = s->fs->ops->open_beneath(s->fs->ctx, dirfd, name, O_PATH | O_DIRECTORY, 0);
    if (l.fd < 0) {
        note(s, err_sys(&why, l.fd, "cannot enter a directory of the archive"), &why);
        return;
    }
    int result = s->fs->ops->list(s->fs->ctx, l.fd, visit, &l);
    if (result < 0)
        note(s, err_sys(&why, result, "cannot read a directory of the archive"), &why);
    for (size_t i = 0; i < l.n_dirs; i++) {
        if (depth < DIRWALK_DEPTH_MAX && !is_stopped(s)) {
            size_t room = strlen(path) + strlen(l.dirs[i]) + sizeof "/";
            char *below = mem_alloc(room);
            (void)snprintf(below, room, "%s%s/", path, l.dirs[i]);
            walk_below(s, l.fd, l.dirs[i], below, depth + 1);
            free(below);
        }
        if (s->removing && !is_stopped(s))
            (void)remove_entry(s, l.fd, l.dirs[i], true);
        free(l.dirs[i]);
    }
    free(l.dirs);
    (void)s->fs->ops->close(s->fs->ctx, l.fd); /* O_PATH: there is nothing to lose */
}

/* Count what is in a date, and remove it if `removing`. */
static void walk_date(struct sweep *s, const char *date, bool removing)
{
    s->files = 0;
    s->bytes = 0;
    s->removing = removing;
    walk_below(s, s->archive_fd, date, "", 0);
    if (removing && !is_stopped(s))
        (void)remove_entry(s, s->archive_fd, date, true);
}

/* Remove the oldest files of a date until no more than `bytes` of the archive are left. */
static void thin_date(struct sweep *s, const char *date)
{
    bool progress = true;
    s->old = mem_alloc(sizeof *s->old * 2 * OLD_MAX);
    while (progress && s->usage->bytes > s->limits->bytes && !is_stopped(s)) {
        progress = false;
        s->old_count = 0;
        walk_date(s, date, false);
        shrink(s);
        int fd = beneath_open(s->fs, s->archive_fd, date, O_PATH | O_DIRECTORY);
        for (size_t i = 0; i < s->old_count; i++) {
            const struct old_file *f = &s->old[i];
            bool enough = s->usage->bytes <= s->limits->bytes || is_stopped(s);
            int dirfd = fd < 0 || enough ? -1 : beneath_parent(s->fs, fd, f->path, O_PATH);
            if (dirfd >= 0 && remove_entry(s, dirfd, beneath_name(f->path), false)) {
                progress = true;
                s->usage->files--;
                s->usage->bytes -= f->size < s->usage->bytes ? f->size : s->usage->bytes;
                s->usage->removed_files++;
                s->usage->removed_bytes += f->size;
            }
            if (dirfd >= 0)
                (void)s->fs->ops->close(s->fs->ctx, dirfd); /* O_PATH */
            free(f->path);
        }
        if (fd >= 0)
            (void)s->fs->ops->close(s->fs->ctx, fd); /* O_PATH: there is nothing to lose */
    }
    free(s->old);
    s->old = NULL;
}

/* Has all of this day been here for long enough? */
static bool is_expired(const struct sweep *s, int64_t days, int64_t now_ns)
{
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    int64_t end_ms = (days + 1) * day_ms, now_ms = now_ns / CLOCK_NS_PER_MS;
    return s->limits->keep_ms > 0 && now_ms > end_ms &&
           (uint64_t)(now_ms - end_ms) >= s->limits->keep_ms;
}

static void sweep_by_age(struct sweep *s, const char *date, int64_t days, int64_t now_ns)
{
    walk_date(s, date, is_expired(s, days, now_ns));
    s->usage->files += s->files;
    s->usage->bytes += s->bytes;
}

static void sweep_by_size(struct sweep *s, const char *date, int64_t days, int64_t now_ns)
{
    (void)days;
    (void)now_ns;
    if (s->limits->bytes == 0 || s->usage->bytes <= s->limits->bytes)
        return;
    walk_date(s, date, false);
    uint64_t files = s->files, bytes = s->bytes;
    if (bytes > s->usage->bytes || s->usage->bytes - bytes < s->limits->bytes) {
        thin_date(s, date);
        return;
    }
    walk_date(s, date, true);
    s->usage->files -= files - s->files;
    s->usage->bytes -= bytes - s->bytes;
}

/* Each date from the oldest on. What is not a date is not ours to remove. */
static void each_date(struct sweep *s, int64_t now_ns,
                      void (*visit_date)(struct sweep *s, const char *date, int64_t days,
                                         int64_t now_ns))
{
    char after[DIRPAGE_NAME_SIZE] = "";
    bool more = true;
    while (more && !is_stopped(s)) {
        struct dirpage page = {.after = after, .dirs_only = true};
        struct err why;
        note(s, dirpage_read(s->fs, s->archive_fd, ".", &page, &why), &why);
        more = dirpage_next(&page, after);
        for (size_t i = 0; i < page.n; i++) {
            char *name = page.entries[i].name;
            size_t n = strlen(name) - 1;
            int64_t days;
            name[n] = '\0';
            if (clock_parse_date(name, n, &days) && !is_stopped(s))
                visit_date(s, name, days, now_ns);
        }
        dirpage_fini(&page);
    }
}

enum rc archive_sweep(const struct fsio *fs, int root_fd, const struct archive_limits *limits,
                      int64_t now_ns, struct archive_usage *usage, struct err *e)
{
    struct sweep s = {.fs = fs, .limits = limits, .usage = usage, .e = e};
    *usage = (struct archive_usage){0};
    s.archive_fd = beneath_open(fs, root_fd, ARCHIVE_DIR, O_PATH | O_DIRECTORY);
    if (s.archive_fd == -ENOENT)
        return RC_OK; /* nothing was ever archived */
    if (s.archive_fd < 0)
        return err_sys(e, s.archive_fd, "cannot open %s", ARCHIVE_DIR);
    each_date(&s, now_ns, sweep_by_age);
    each_date(&s, now_ns, sweep_by_size);
    (void)fs->ops->close(fs->ctx, s.archive_fd); /* O_PATH: there is nothing to lose */
    return s.rc;
}
