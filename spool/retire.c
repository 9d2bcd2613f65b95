/* Retirement. The order of the steps is the promise (P1): look, take aside, look again, ask for
 * writers, and only then remove. Each failure on the way puts the file back, and a crash between
 * any two steps leaves it at one of its two names, where retire_recover or the next scan finds it.
 *
 * Nothing is synced for a removal: after a power cut the file may be back, and is retired again,
 * since its receipt is durable. */
#include "spool/retire.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/lease.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "spool/archive.h"
#include "spool/beneath.h"
#include "spool/dirpage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OURS_MODE = 0750,
    SPOOL_DIR_MODE = 0775,
    PIECE = 128 * 1024,
    PLACE_DIGITS = 16,
    ASIDE_LEN = PLACE_DIGITS + 1 + 2 * SHA256_SIZE,
};

struct retire_batch {
    const struct fsio *fs;
    int root_fd;
    enum retire_action action;
    int aside_fd;  /* retiring/ */
    int parent_fd; /* of the last file; -1: none */
    char *parent;  /* its path, parent_len bytes */
    size_t parent_len;
    struct archive_place archive;
};

enum rc retire_begin(const struct fsio *fs, int root_fd, enum retire_action action,
                     struct retire_batch **out, struct err *e)
{
    int fd = fs->ops->open_beneath(fs->ctx, root_fd, RETIRE_DIR, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot open %s", RETIRE_DIR);
    *out = mem_alloc(sizeof **out);
    **out = (struct retire_batch){
        .fs = fs,
        .root_fd = root_fd,
        .action = action,
        .aside_fd = fd,
        .parent_fd = -1,
        .archive = {.dirfd = -1},
    };
    return RC_OK;
}

static void leave_parent(struct retire_batch *b)
{
    if (b->parent_fd >= 0)
        (void)b->fs->ops->close(b->fs->ctx, b->parent_fd); /* O_PATH: there is nothing to lose */
    b->parent_fd = -1;
}

enum rc retire_end(struct retire_batch *b, struct err *e)
{
    enum rc rc = archive_sync(b->fs, &b->archive, e);
    leave_parent(b);
    (void)b->fs->ops->close(b->fs->ctx, b->aside_fd); /* O_PATH: there is nothing to lose */
    free(b->parent);
    free(b);
    return rc;
}

/* Have the file's directory open: >= 0 or -errno. */
static int enter_parent(struct retire_batch *b, const char *path)
{
    size_t n = beneath_parent_len(path);
    if (b->parent_fd >= 0 && b->parent_len == n && memcmp(b->parent, path, n) == 0)
        return 0;
    leave_parent(b);
    int fd = beneath_parent(b->fs, b->root_fd, path, O_PATH);
    if (fd < 0)
        return fd;
    b->parent_fd = fd;
    b->parent = mem_resize(b->parent, n + 1, 1);
    memcpy(b->parent, path, n);
    b->parent_len = n;
    return 0;
}

static void aside_name(char out[ASIDE_LEN + 1], uint64_t place, const uint8_t sha[SHA256_SIZE])
{
    (void)snprintf(out, PLACE_DIGITS + 2, "%016" PRIx64 ".", place);
    hex_encode(out + PLACE_DIGITS + 1, sha, SHA256_SIZE);
}

static bool parse_aside(const char *name, uint64_t *place, uint8_t sha[SHA256_SIZE])
{
    uint8_t bytes[PLACE_DIGITS / 2];
    if (strlen(name) != ASIDE_LEN || name[PLACE_DIGITS] != '.' ||
        hex_decode(bytes, sizeof bytes, name, PLACE_DIGITS) != RC_OK ||
        hex_decode(sha, SHA256_SIZE, name + PLACE_DIGITS + 1, 2 * SHA256_SIZE) != RC_OK)
        return false;
    *place = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        *place = *place << 8 | bytes[i];
    return true;
}

/* To the strays, with a reason. */
static enum rc make_stray(struct retire_batch *b, const char *aside, const char *text,
                          struct err *e)
{
    char path[sizeof "strays/" + ASIDE_LEN + NAME_MAX];
    struct err why;
    (void)snprintf(path, sizeof path, "strays/%s", aside);
    (void)err_set(&why, RC_CHANGED, "%s", text);
    (void)snprintf(why.code, sizeof why.code, "stray");
    const struct reject_source source = {.from_dir = b->aside_fd, .from = aside};
    return reject_aside(b->fs, b->root_fd, &source, path, &why, e);
}

static int back_beside(struct retire_batch *b, const char *aside, const char *name)
{
    enum { TRIES = 16, SUFFIX = 9 };
    int result = -EEXIST;
    for (int i = 0; result == -EEXIST && i < TRIES; i++) {
        char beside[BENEATH_NAME_SIZE];
        uint32_t number;
        random_bytes(&number, sizeof number);
        (void)snprintf(beside, sizeof beside, "%.*s~%08" PRIx32, NAME_MAX - SUFFIX, name, number);
        result = b->fs->ops->rename(b->fs->ctx, b->aside_fd, aside, b->parent_fd, beside,
                                    RENAME_NOREPLACE);
    }
    return result;
}

/* Back under its name, or beside it, with its directory made again if it is gone. Else to the
 * strays: it must not be left where nobody looks before the next start. */
static enum rc put_back(struct retire_batch *b, const char *aside, const char *path, struct err *e)
{
    const char *name = beneath_name(path);
    int result = enter_parent(b, path);
    for (int tries = 0; tries < 2; tries++) {
        if (result == 0)
            result = b->fs->ops->rename(b->fs->ctx, b->aside_fd, aside, b->parent_fd, name,
                                        RENAME_NOREPLACE);
        if (result == -EEXIST)
            result = back_beside(b, aside, name);
        if (result != -ENOENT)
            break;
        leave_parent(b);
        int fd;
        struct err why = {.sys_errno = EIO};
        if (beneath_make_parent(b->fs, b->root_fd, path, SPOOL_DIR_MODE, O_PATH, &fd, &why) ==
            RC_OK) {
            (void)b->fs->ops->close(b->fs->ctx, fd); /* O_PATH: there is nothing to lose */
            result = enter_parent(b, path);
        } else {
            result = -why.sys_errno;
        }
    }
    if (result == 0)
        return RC_OK;
    char text[512], shown[BENEATH_SHOWN_SIZE];
    (void)snprintf(text, sizeof text, "it could not be put back to %s: %s",
                   beneath_show(shown, path, strlen(path)), strerrordesc_np(-result));
    return make_stray(b, aside, text, e);
}

static enum rc hash_file(struct retire_batch *b, int fd, uint8_t sha[SHA256_SIZE], struct err *e)
{
    struct digest *d = digest_new(DIGEST_SHA256);
    char *piece = mem_resize(NULL, PIECE, 1);
    uint64_t at = 0;
    size_t got;
    enum rc rc;
    digest_begin(d);
    do {
        rc = fsio_read_full(b->fs, fd, piece, PIECE, at, &got, e);
        if (rc == RC_OK)
            digest_update(d, piece, got);
        at += got;
    } while (rc == RC_OK && got == PIECE);
    digest_finish(d, sha);
    digest_free(d);
    free(piece);
    return rc;
}

/* What lies aside should be. */
struct meant {
    const struct identity *id; /* NULL: its bytes alone tell */
    const uint8_t *sha;
    bool rehash;
    struct open_file *open; /* NULL: it is opened here */
};

static int open_aside(struct retire_batch *b, const char *aside, const struct meant *m)
{
    if (m->open)
        return open_file_fd(m->open);
    return b->fs->ops->open_beneath(b->fs->ctx, b->aside_fd, aside,
                                    O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
}

/* Of one that was open before, its name is asked: no inode gets another's number while that is
 * open, so the right number tells that the name leads to it. */
static int stat_aside(struct retire_batch *b, const char *aside, const struct meant *m, int fd,
                      struct file_stat *st)
{
    const struct fsio *fs = b->fs;
    return m->open ? fs->ops->stat(fs->ctx, b->aside_fd, aside, st)
                   : fs->ops->stat(fs->ctx, fd, "", st);
}

static void close_aside(struct retire_batch *b, struct meant *m, int fd)
{
    if (!m->open)
        (void)b->fs->ops->close(b->fs->ctx, fd); /* only read from: nothing can be lost */
    open_file_free(m->open);
    m->open = NULL;
}

/* Is what lies aside the file that is meant, and finished? RC_OK; RC_CHANGED: it is not. */
static enum rc examine(struct retire_batch *b, const char *aside, struct meant *m, struct err *e)
{
    const struct fsio *fs = b->fs;
    struct file_stat st, after;
    uint8_t now[SHA256_SIZE];
    enum rc rc = RC_OK;
    int fd = open_aside(b, aside, m);
    if (fd == -ELOOP || fd == -ENXIO || fd == -EAGAIN)
        return err_set(e, RC_CHANGED,
                       "it is no regular file any more, or somebody has a lease on it");
    if (fd < 0)
        return err_sys(e, fd, "cannot open %s", aside);
    int result = stat_aside(b, aside, m, fd, &st);
    if (result < 0)
        rc = err_sys(e, result, "cannot stat %s", aside);
    else if (!S_ISREG(st.mode) || (m->id && !identity_equal_moved(m->id, &st.id)))
        rc = err_set(e, RC_CHANGED, "it is another file than was delivered");
    else if ((m->rehash ? lease_ask(fd) : lease_ask_last(fd)) == LEASE_WRITER)
        rc = err_set(e, RC_CHANGED, "somebody has it open for writing");
    if (rc == RC_OK && m->rehash) {
        rc = hash_file(b, fd, now, e);
        result = fs->ops->stat(fs->ctx, fd, "", &after);
        if (rc == RC_OK && result < 0)
            rc = err_sys(e, result, "cannot stat %s", aside);
        else if (rc == RC_OK &&
                 (memcmp(now, m->sha, SHA256_SIZE) != 0 || !identity_equal(&st.id, &after.id)))
            rc = err_set(e, RC_CHANGED, "its bytes are not those that were delivered");
    }
    close_aside(b, m, fd);
    return rc;
}

/* What is asked for is done to what lies aside. */
static enum rc dispose(struct retire_batch *b, const char *aside, const char *path, int64_t at_ns,
                       struct err *e)
{
    if (b->action == RETIRE_DELETE) {
        int result = b->fs->ops->unlink(b->fs->ctx, b->aside_fd, aside);
        return result < 0 ? err_sys(e, result, "cannot remove %s/%s", RETIRE_DIR, aside) : RC_OK;
    }
    const struct archive_source source = {
        .dirfd = b->aside_fd,
        .name = aside,
        .path = path,
        .day_s = at_ns / CLOCK_NS_PER_S,
    };
    return archive_take(b->fs, b->root_fd, &b->archive, &source, e);
}

static enum retire_result failed(const struct retire_batch *b, int result,
                                 const struct retire_file *f, const char *doing, struct err *e)
{
    if (result == -ENOENT || result == -ENOTDIR || result == -ELOOP)
        return RETIRE_GONE; /* what was on the way may be something else now */
    (void)beneath_cannot(b->fs, b->parent_fd, result, doing, f->path, e);
    return RETIRE_FAILED;
}

static int take_aside(struct retire_batch *b, const char *name, const char *aside)
{
    int result =
        b->fs->ops->rename(b->fs->ctx, b->parent_fd, name, b->aside_fd, aside, RENAME_NOREPLACE);
    if (result != -EEXIST)
        return result;
    /* Left by an earlier try that could not even put it back. It is nobody's now: keep it. */
    if (make_stray(b, aside, "it was left behind while it was retired", NULL) != RC_OK)
        return -EEXIST;
    return b->fs->ops->rename(b->fs->ctx, b->parent_fd, name, b->aside_fd, aside, RENAME_NOREPLACE);
}

static enum retire_result retire_one(struct retire_batch *b, const struct retire_file *f,
                                     struct meant *m, struct err *e)
{
    struct file_stat st;
    struct err why, back;
    char aside[ASIDE_LEN + 1];
    const char *name = beneath_name(f->path);
    int result = enter_parent(b, f->path);
    if (result == 0)
        result = b->fs->ops->stat(b->fs->ctx, b->parent_fd, name, &st);
    if (result < 0)
        return failed(b, result, f, "look at", e);
    bool same = identity_equal(&st.id, &f->id);
    if (S_ISREG(st.mode) && f->found)
        *f->found = st.id;
    if (!S_ISREG(st.mode) || (!same && b->action == RETIRE_KEEP) ||
        !identity_equal_moved(&st.id, &f->id))
        return RETIRE_CHANGED;
    if (b->action == RETIRE_KEEP)
        return RETIRE_DONE;

    aside_name(aside, f->place, f->sha256);
    result = take_aside(b, name, aside);
    if (result < 0)
        return failed(b, result, f, "take aside", e);
    m->rehash = f->racy || !same;
    enum rc rc = examine(b, aside, m, &why);
    if (rc == RC_OK)
        rc = dispose(b, aside, f->path, f->delivered_ns, &why);
    if (rc == RC_OK)
        return RETIRE_DONE;
    if (put_back(b, aside, f->path, &back) != RC_OK) {
        (void)err_set(e, back.rc, "%s; left in %s until the next start: %s", why.text, RETIRE_DIR,
                      back.text);
        return RETIRE_FAILED;
    }
    if (e)
        *e = why;
    return rc == RC_CHANGED ? RETIRE_CHANGED : RETIRE_FAILED;
}

enum retire_result retire_next(struct retire_batch *b, const struct retire_file *f, struct err *e)
{
    struct meant m = {.id = &f->id, .sha = f->sha256, .open = f->open};
    enum retire_result r = retire_one(b, f, &m, e);
    open_file_free(m.open); /* it did not come to be looked at */
    return r;
}

enum retire_result retire_file(const struct fsio *fs, int root_fd, enum retire_action action,
                               const struct retire_file *f, struct err *e)
{
    struct retire_batch *b;
    if (retire_begin(fs, root_fd, action, &b, e) != RC_OK) {
        open_file_free(f->open);
        return RETIRE_FAILED;
    }
    enum retire_result r = retire_next(b, f, e);
    if (retire_end(b, e) != RC_OK && r == RETIRE_DONE)
        r = RETIRE_FAILED;
    return r;
}

enum rc retire_prepare(const struct fsio *fs, int root_fd, struct err *e)
{
    static const char *const dirs[] = {
        BENEATH_OURS, REJECT_DIR, STRAYS_DIR, ARCHIVE_DIR, RETIRE_DIR, BENEATH_OURS "/canary",
    };
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        struct file_stat st;
        enum rc rc = fsio_mkdirs(fs, root_fd, dirs[i], OURS_MODE, 1, e);
        if (rc != RC_OK)
            return rc;
        int fd = beneath_open(fs, root_fd, dirs[i], O_PATH | O_DIRECTORY);
        if (fd < 0)
            return err_sys(e, fd, "cannot open %s", dirs[i]);
        int result = fs->ops->stat(fs->ctx, fd, "", &st);
        (void)fs->ops->close(fs->ctx, fd); /* O_PATH: there is nothing to lose */
        if (result < 0)
            return err_sys(e, result, "cannot stat %s", dirs[i]);
        if (st.uid != geteuid() && st.uid != 0)
            return err_set(e, RC_DENIED,
                           "%s in the spool belongs to uid %u, not to the gateway (uid %u): look "
                           "at what is in it, then remove it",
                           dirs[i], st.uid, geteuid());
    }
    return RC_OK;
}

static bool is_taken(struct retire_batch *b, const char *path)
{
    struct file_stat st;
    return enter_parent(b, path) == 0 &&
           b->fs->ops->stat(b->fs->ctx, b->parent_fd, beneath_name(path), &st) == 0;
}

/* One entry of retiring/ at start. */
static enum rc recover_one(struct retire_batch *b, const char *name,
                           bool (*find)(void *arg, uint64_t place, struct retire_origin *out),
                           void *arg, struct err *e)
{
    uint64_t place;
    uint8_t sha[SHA256_SIZE];
    struct file_stat st;
    struct retire_origin origin;
    char *path = origin.path;
    if (!parse_aside(name, &place, sha))
        return make_stray(b, name, "it was found among the files being retired, and is none", e);
    int result = b->fs->ops->stat(b->fs->ctx, b->aside_fd, name, &st);
    if (result < 0)
        return err_sys(e, result, "cannot stat %s/%s", RETIRE_DIR, name);
    /* Its size may be another by now: a writer, a power loss. Its inode no other file had since. */
    bool known = find(arg, place, &origin) && origin.ino == st.id.ino && beneath_is_path(path);
    if (known && !is_taken(b, path))
        return put_back(b, name, path, e);
    /* Where another has its name by now, it would come back as a new file, and be sent again under
     * a new key. */
    struct err why;
    enum rc rc = examine(b, name, &(struct meant){.sha = sha, .rehash = true}, &why);
    if (rc == RC_CHANGED)
        return known ? put_back(b, name, path, e) : make_stray(b, name, why.text, e);
    if (rc == RC_OK) {
        if (!known)
            (void)snprintf(path, sizeof origin.path, "recovered/%s", name);
        rc = dispose(b, name, path, clock_wall_now_ns(), &why);
    }
    if (rc != RC_OK && e)
        *e = why;
    return rc;
}

/* The next start finds it again. */
static void leave(const char *name, const struct err *why)
{
    log_warning("retirement_left", F_STR("file", name), F_STR("why", why->text));
}

enum rc retire_recover(const struct fsio *fs, int root_fd, enum retire_action action,
                       bool (*find)(void *arg, uint64_t place, struct retire_origin *out),
                       void *arg, unsigned *recovered, struct err *e)
{
    struct retire_batch *b;
    struct err why;
    *recovered = 0;
    enum rc rc = retire_begin(fs, root_fd, action, &b, e);
    if (rc != RC_OK)
        return rc == RC_ABSENT ? RC_OK : rc;
    char after[DIRPAGE_NAME_SIZE] = "";
    bool more = true;
    while (more && rc == RC_OK) {
        struct dirpage page = {.after = after};
        rc = dirpage_read(fs, root_fd, RETIRE_DIR, &page, e);
        more = dirpage_next(&page, after);
        for (size_t i = 0; i < page.n; i++) {
            char *name = page.entries[i].name;
            if (page.entries[i].is_dir)
                name[strlen(name) - 1] = '\0';
            if (recover_one(b, name, find, arg, &why) == RC_OK)
                ++*recovered;
            else
                leave(name, &why);
        }
        dirpage_fini(&page);
    }
    if (retire_end(b, &why) != RC_OK)
        leave(ARCHIVE_DIR, &why);
    return rc;
}
