/* Rejected files. A rejected file never has a name that a reason could have (".reason" at its end),
 * so that writing a reason replaces no file, whatever names producers think of.
 *
 * The move is made durable in the directory it goes to: a power cut leaves the file at one of its
 * two names, or at both, never at none. */
#include "spool/reject.h"

#include "base/checksum.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "spool/beneath.h"
#include "spool/dirpage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    REASON_MAX = 64 * 1024,
    DIR_MODE = 0750,
    REASON_MODE = 0640,
    NAMES_A_PAGE = 8192,   /* each page reads the whole directory */
    GIVE_BACK_TRIES = 100, /* 0.2 s */
};
static const char suffix[] = ".reason";

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

/* A reason's name, or that of one being written (fsio_replace). */
static bool is_reason_name(const char *name)
{
    return ends_with(name, suffix) || ends_with(name, ".reason.tmp");
}

static void reason_name(char out[BENEATH_NAME_SIZE], const char *name)
{
    enum { ROOM = NAME_MAX - sizeof ".reason.tmp" + 1, HASH_BYTES = 8, KEPT = 200 };
    if (strlen(name) <= ROOM) {
        (void)snprintf(out, BENEATH_NAME_SIZE, "%.*s%s", ROOM, name, suffix);
        return;
    }
    uint8_t hash[SHA256_SIZE];
    char hex[2 * HASH_BYTES + 1];
    sha256(name, strlen(name), hash);
    hex_encode(hex, hash, HASH_BYTES);
    (void)snprintf(out, BENEATH_NAME_SIZE, "%.*s~%s%s", KEPT, name, hex, suffix);
}

static char *below_rejected(const char *path)
{
    size_t n = sizeof REJECT_DIR + strlen(path) + 1;
    char *whole = mem_alloc(n);
    (void)snprintf(whole, n, REJECT_DIR "/%s", path);
    return whole;
}

static void reason_text(struct buf *b, const char *path, const struct err *why, int64_t now_ns)
{
    char at[CLOCK_RFC3339_SIZE];
    json_t *o = json_object();
    BUG_ON(!o);
    clock_rfc3339(at, now_ns);
    BUG_ON(json_object_set_new(o, "path", json_text(path, strlen(path))) != 0);
    if (utf8_span(path, strlen(path)) < strlen(path)) {
        char *hex = mem_alloc(2 * strlen(path) + 1);
        hex_encode(hex, path, strlen(path));
        BUG_ON(json_object_set_new(o, "path_hex", json_string(hex)) != 0);
        free(hex);
    }
    BUG_ON(json_object_set_new(o, "code", json_text(why->code, strlen(why->code))) != 0);
    BUG_ON(json_object_set_new(o, "reason", json_text(why->text, strlen(why->text))) != 0);
    BUG_ON(json_object_set_new(o, "rejected_at", json_string(at)) != 0);
    json_write(b, o);
    buf_addc(b, '\n');
    json_decref(o);
}

/* The file is in place; say why. */
static enum rc write_reason(const struct fsio *fs, int dirfd, const char *name,
                            const struct buf *text, struct err *e)
{
    char reason[BENEATH_NAME_SIZE];
    struct err why;
    reason_name(reason, name);
    enum rc rc = fsio_replace(fs, dirfd, reason, text->data, text->len, REASON_MODE, &why);
    if (rc == RC_OK)
        return RC_OK; /* which has synced the directory, and with it the move */
    log_warning("reason_not_written", F_STR("file", name), F_STR("error", why.text));
    int result = fs->ops->sync(fs->ctx, dirfd);
    return result < 0 ? err_sys(e, result, "cannot fsync the directory of rejected files") : RC_OK;
}

/* Is it what was judged? `moved` by us: that set its ctime. */
static bool is_judged(const struct file_stat *st, const struct identity *id, bool moved)
{
    if (!id || id->ino == 0)
        return true;
    if (!S_ISREG(st->mode))
        return st->id.ino == id->ino && st->id.dev == id->dev;
    return moved ? identity_equal_moved(&st->id, id) : identity_equal(&st->id, id);
}

/* Between the look at a name and its move somebody may have put a directory or another file there:
 * it goes back. RC_OK: it is the right one, or its name has been taken again: then it stays with
 * the rejected, and what took it is the newer. Where it came from may just be swapped out of the
 * spool, where the gateway's sandbox refuses to put anything. */
static enum rc give_back(const struct fsio *fs, const struct beneath_move *m, const char *got,
                         const struct identity *id, struct err *e)
{
    static const struct timespec moment = {.tv_nsec = 2000000};
    struct file_stat st;
    int result = -EACCES;
    if (fs->ops->stat(fs->ctx, m->to_dir, got, &st) != 0 ||
        (!S_ISDIR(st.mode) && is_judged(&st, id, true)))
        return RC_OK;
    for (int tries = 0; tries < GIVE_BACK_TRIES && result == -EACCES; tries++) {
        if (tries > 0)
            (void)nanosleep(&moment, NULL); /* a signal only shortens it */
        result = fs->ops->rename(fs->ctx, m->to_dir, got, m->from_dir, m->from, RENAME_NOREPLACE);
    }
    if (result != 0)
        return RC_OK;
    return S_ISDIR(st.mode) ? err_set(e, RC_ABSENT, "there is a directory in its place")
                            : err_set(e, RC_CHANGED, "there is another file in its place");
}

/* What is moved, and the path that it gets below rejected/. */
struct moving {
    struct reject_source source;
    const char *path;
    const struct reject_what *what; /* others may put something else in its place; NULL: nobody */
};

static enum rc move(const struct fsio *fs, int root_fd, const struct moving *it,
                    const struct buf *reason, struct err *e)
{
    char got[BENEATH_NAME_SIZE];
    char *to = below_rejected(it->path);
    int dirfd = -1;
    struct err why = {0};
    enum rc rc = beneath_make_parent(fs, root_fd, to, DIR_MODE, O_RDONLY, &dirfd, &why);
    if (rc != RC_OK && (why.sys_errno == ENOTDIR || why.sys_errno == ELOOP))
        rc = beneath_make_parent(fs, root_fd, STRAYS_DIR "/x", DIR_MODE, O_RDONLY, &dirfd, &why);
    if (rc != RC_OK) {
        if (e)
            *e = why;
        goto out;
    }
    const struct beneath_move m = {
        .from_dir = it->source.from_dir,
        .from = it->source.from,
        .to_dir = dirfd,
        .to = beneath_name(it->path),
        .taken = is_reason_name,
    };
    int result = beneath_move_aside(fs, &m, got);
    if (result < 0)
        rc = beneath_cannot(fs, m.from_dir, result, "reject", it->path, e);
    else if (!it->what || (rc = give_back(fs, &m, got, it->what->id, e)) == RC_OK)
        rc = write_reason(fs, dirfd, got, reason, e);
out:
    if (dirfd >= 0)
        (void)fs->ops->close(fs->ctx, dirfd); /* a directory: nothing can be lost */
    free(to);
    return rc;
}

enum rc reject_file(const struct fsio *fs, int root_fd, const struct reject_what *what,
                    struct err *e)
{
    const char *path = what->path;
    char shown[BENEATH_SHOWN_SIZE];
    struct file_stat st;
    struct buf reason;
    enum rc rc;
    int from_dir = beneath_parent(fs, root_fd, path, O_PATH);
    if (from_dir == -ELOOP || from_dir == -ENOTDIR)
        from_dir = -ENOENT; /* what was on the way is something else now */
    if (from_dir < 0)
        return err_sys(e, from_dir, "cannot reject %s", beneath_show(shown, path, strlen(path)));
    buf_init(&reason, REASON_MAX);
    int result = fs->ops->stat(fs->ctx, from_dir, beneath_name(path), &st);
    if (result < 0) {
        rc = err_sys(e, result, "cannot reject %s", beneath_show(shown, path, strlen(path)));
    } else if (S_ISDIR(st.mode)) {
        rc = err_set(e, RC_INVALID, "cannot reject %s: it is a directory",
                     beneath_show(shown, path, strlen(path)));
    } else if (!is_judged(&st, what->id, false)) {
        rc = err_set(e, RC_CHANGED, "cannot reject %s: it was changed or replaced",
                     beneath_show(shown, path, strlen(path)));
    } else {
        const struct moving it = {.source = {.from_dir = from_dir, .from = beneath_name(path)},
                                  .path = path,
                                  .what = what};
        reason_text(&reason, path, what->why, what->now_ns);
        rc = move(fs, root_fd, &it, &reason, e);
    }
    buf_fini(&reason);
    (void)fs->ops->close(fs->ctx, from_dir); /* O_PATH: there is nothing to lose */
    return rc;
}

enum rc reject_aside(const struct fsio *fs, int root_fd, const struct reject_source *source,
                     const char *path, const struct err *why, struct err *e)
{
    const struct moving it = {.source = *source, .path = path};
    struct buf reason;
    buf_init(&reason, REASON_MAX);
    reason_text(&reason, path, why, clock_wall_now_ns());
    enum rc rc = move(fs, root_fd, &it, &reason, e);
    buf_fini(&reason);
    return rc;
}

/* The reason beside dirfd/name, or NULL. */
static json_t *read_reason(const struct fsio *fs, int dirfd, const char *name)
{
    char reason[BENEATH_NAME_SIZE];
    char *text;
    size_t n;
    reason_name(reason, name);
    if (fsio_read_file(fs, dirfd, reason, REASON_MAX, &text, &n, NULL) != RC_OK)
        return NULL;
    json_t *o = json_parse(text, n, NULL);
    free(text);
    return o;
}

static const char *member(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* Where it was, by its reason; else where it is below rejected/. The caller frees. Whoever could
 * write in our directory could write a reason too: it is checked like any other path. */
static char *original_path(const json_t *reason, const char *path)
{
    char *was = mem_strdup(member(reason, "path"));
    const char *hex = member(reason, "path_hex");
    size_t n = strlen(hex) / 2;
    if (n > 0) {
        free(was);
        was = mem_alloc(n + 1);
        if (hex_decode(was, n, hex, strlen(hex)) != RC_OK)
            was[0] = '\0';
    }
    size_t first = strcspn(was, "/");
    if (!beneath_is_path(was) ||
        (first == strlen(BENEATH_OURS) && memcmp(was, BENEATH_OURS, first) == 0)) {
        free(was);
        was = mem_strdup(path);
    }
    return was;
}

/* Open the directory of a rejected file, and look at it. */
static enum rc find(const struct fsio *fs, int root_fd, const char *path, int *dirfd,
                    struct file_stat *st, struct err *e)
{
    char shown[BENEATH_SHOWN_SIZE];
    char *whole = below_rejected(path);
    *dirfd = beneath_parent(fs, root_fd, whole, O_RDONLY);
    free(whole);
    int result = *dirfd < 0 ? *dirfd : fs->ops->stat(fs->ctx, *dirfd, beneath_name(path), st);
    if (result == 0 && !S_ISDIR(st->mode) && !is_reason_name(path))
        return RC_OK;
    if (*dirfd >= 0)
        (void)fs->ops->close(fs->ctx, *dirfd); /* only read from: nothing can be lost */
    *dirfd = -1;
    if (result == 0 || result == -ENOENT || result == -ENOTDIR || result == -ELOOP ||
        result == -EINVAL)
        return err_set(e, RC_ABSENT, "there is no rejected file %s",
                       beneath_show(shown, path, strlen(path)));
    return err_sys(e, result, "cannot look at the rejected file %s",
                   beneath_show(shown, path, strlen(path)));
}

/* dirfd/name back to root/to. */
static enum rc move_back(const struct fsio *fs, int root_fd, int dirfd, const char *name,
                         const char *to, struct err *e)
{
    enum { SPOOL_DIR_MODE = 0775 };
    char shown[BENEATH_SHOWN_SIZE], reason[BENEATH_NAME_SIZE];
    int to_dir;
    enum rc rc = beneath_make_parent(fs, root_fd, to, SPOOL_DIR_MODE, O_RDONLY, &to_dir, e);
    if (rc != RC_OK)
        return rc;
    beneath_show(shown, to, strlen(to));
    int result = fs->ops->rename(fs->ctx, dirfd, name, to_dir, beneath_name(to), RENAME_NOREPLACE);
    if (result == -EEXIST)
        rc = err_set(e, RC_EXISTS, "there is a new file %s: move it away first", shown);
    else if (result < 0)
        rc = err_sys(e, result, "cannot put %s back", shown);
    else if ((result = fs->ops->sync(fs->ctx, to_dir)) < 0)
        rc = err_sys(e, result, "cannot fsync the directory of %s", shown);
    if (rc == RC_OK) {
        reason_name(reason, name);
        result = fs->ops->unlink(fs->ctx, dirfd, reason);
        if (result < 0 && result != -ENOENT)
            log_warning("reason_not_removed", F_STR("file", to),
                        F_STR("error", strerrordesc_np(-result)));
    }
    (void)fs->ops->close(fs->ctx, to_dir); /* a directory: nothing can be lost */
    return rc;
}

enum rc reject_restore(const struct fsio *fs, int root_fd, const char *path, struct err *e)
{
    struct file_stat st;
    int dirfd;
    enum rc rc = find(fs, root_fd, path, &dirfd, &st, e);
    if (rc != RC_OK)
        return rc;
    json_t *reason = read_reason(fs, dirfd, beneath_name(path));
    char *to = original_path(reason, path);
    rc = move_back(fs, root_fd, dirfd, beneath_name(path), to, e);
    free(to);
    json_decref(reason);
    (void)fs->ops->close(fs->ctx, dirfd); /* a directory: nothing can be lost */
    return rc;
}

static void fill_row(const struct fsio *fs, int dirfd, const char *name, const struct file_stat *st,
                     struct reject_row *row)
{
    json_t *reason = read_reason(fs, dirfd, name);
    row->size = st->id.size;
    (void)snprintf(row->code, sizeof row->code, "%s", member(reason, "code"));
    (void)snprintf(row->reason, sizeof row->reason, "%s",
                   reason ? member(reason, "reason") : "no reason is kept beside it");
    if (clock_parse_rfc3339(member(reason, "rejected_at"), &row->rejected_ns) != RC_OK)
        row->rejected_ns = st->id.ctime_ns; /* the time of its rename */
    json_decref(reason);
}

struct listing {
    const struct fsio *fs;
    const char *after;
    bool (*visit)(void *arg, const struct reject_row *row);
    void *arg;
    struct reject_row row;
};

static bool list_entry(void *arg, const struct dirwalk_entry *entry)
{
    struct listing *l = arg;
    struct file_stat st;
    if (entry->is_dir || is_reason_name(entry->name) ||
        l->fs->ops->stat(l->fs->ctx, entry->dirfd, entry->name, &st) < 0)
        return true;
    (void)snprintf(l->row.path, sizeof l->row.path, "%s", entry->path);
    /* A path that was cut must not come again on the next page. */
    if (strcmp(l->row.path, l->after) <= 0)
        return true;
    fill_row(l->fs, entry->dirfd, entry->name, &st, &l->row);
    return l->visit(l->arg, &l->row);
}

enum rc reject_each(const struct fsio *fs, int root_fd, const char *after,
                    bool (*visit)(void *arg, const struct reject_row *row), void *arg,
                    struct err *e)
{
    struct listing l = {.fs = fs, .after = after, .visit = visit, .arg = arg};
    const struct dirwalk w = {.fs = fs,
                              .after = after,
                              .visit = list_entry,
                              .arg = &l,
                              .page = NAMES_A_PAGE,
                              .skip = is_reason_name};
    enum rc rc = dirwalk(&w, root_fd, REJECT_DIR, e);
    return rc == RC_ABSENT ? RC_OK : rc; /* nothing was ever rejected */
}

struct counting {
    const struct fsio *fs;
    int fd;
    uint64_t n;
    char **dirs;
    size_t n_dirs;
};

static void count_entry(void *arg, const char *name, mode_t kind)
{
    struct counting *c = arg;
    struct file_stat st;
    if (kind == 0 && c->fs->ops->stat(c->fs->ctx, c->fd, name, &st) == 0)
        kind = st.mode & S_IFMT;
    if (kind != S_IFDIR) {
        c->n += !is_reason_name(name);
        return;
    }
    if ((c->n_dirs & (c->n_dirs - 1)) == 0)
        c->dirs = mem_resize(c->dirs, c->n_dirs ? c->n_dirs * 2 : 1, sizeof *c->dirs);
    c->dirs[c->n_dirs++] = mem_strdup(name);
}

static enum rc count_below(const struct fsio *fs, int dirfd, const char *path, unsigned depth,
                           uint64_t *n, struct err *e)
{
    struct counting c = {.fs = fs};
    char shown[BENEATH_SHOWN_SIZE];
    c.fd = fs->ops->open_beneath(fs->ctx, dirfd, path, O_PATH | O_DIRECTORY, 0);
    if (c.fd == -ENOENT)
        return RC_OK;
    if (c.fd < 0)
        return err_sys(e, c.fd, "cannot enter the directory %s of rejected files",
                       beneath_show(shown, path, strlen(path)));
    enum rc rc = RC_OK;
    int result = fs->ops->list(fs->ctx, c.fd, count_entry, &c);
    if (result < 0)
        rc = err_sys(e, result, "cannot read the directory %s of rejected files",
                     beneath_show(shown, path, strlen(path)));
    *n += c.n;
    for (size_t i = 0; i < c.n_dirs; i++) {
        if (depth < DIRWALK_DEPTH_MAX) {
            struct err why;
            enum rc below = count_below(fs, c.fd, c.dirs[i], depth + 1, n, &why);
            /* What is denied stays so; another failure is what makes the count useless. */
            if (below != RC_OK && (rc == RC_OK || (rc == RC_DENIED && below != RC_DENIED))) {
                rc = below;
                if (e)
                    *e = why;
            }
        }
        free(c.dirs[i]);
    }
    free(c.dirs);
    (void)fs->ops->close(fs->ctx, c.fd); /* O_PATH: there is nothing to lose */
    return rc;
}

enum rc reject_count(const struct fsio *fs, int root_fd, uint64_t *n, struct err *e)
{
    *n = 0;
    return count_below(fs, root_fd, REJECT_DIR, 0, n, e);
}

enum rc reject_find(const struct fsio *fs, int root_fd, const char *path, struct reject_row *row,
                    struct err *e)
{
    struct file_stat st;
    int dirfd;
    enum rc rc = find(fs, root_fd, path, &dirfd, &st, e);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(row->path, sizeof row->path, "%s", path);
    fill_row(fs, dirfd, beneath_name(path), &st, row);
    (void)fs->ops->close(fs->ctx, dirfd); /* only read from: nothing can be lost */
    return RC_OK;
}
