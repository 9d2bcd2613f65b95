/* Admission. The file is opened once, without following any link, and everything is asked of that
 * descriptor: what is said of it holds for the bytes whose identity is returned, whatever its name
 * leads to by then. Nothing is changed, and no call waits: a FIFO is opened without its writer.
 *
 * KNOWN: a device's node is opened before it is known to be one, which may have an effect of its
 * own (a tape rewinds). Only root can put one here. */
#include "spool/admit.h"

#include "base/clock.h"
#include "base/lease.h"
#include "base/mem.h"
#include "spool/beneath.h"
#include "spool/contents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What one call works on. */
struct look {
    const struct admit_cfg *cfg;
    const char *path;
    size_t n;
    int64_t now_ns;
    struct admit_result *out;
};

static void reject(struct look *k, const char *code, const char *why)
{
    k->out->verdict = ADMIT_REJECT;
    (void)err_set(&k->out->err, RC_INVALID, "%s", why);
    (void)snprintf(k->out->err.code, sizeof k->out->err.code, "%s", code);
}

static void failed(struct look *k, int result, const char *doing)
{
    char shown[BENEATH_SHOWN_SIZE];
    k->out->verdict = ADMIT_ERROR;
    (void)err_sys(&k->out->err, result, "cannot %s %s", doing, beneath_show(shown, k->path, k->n));
}

/* What is no regular file is rejected, or was a directory all along. */
static void refuse_kind(struct look *k, mode_t mode)
{
    if (S_ISDIR(mode))
        k->out->verdict = ADMIT_GONE;
    else if (S_ISLNK(mode))
        reject(k, "kind", "a symbolic link is never followed: write or move a regular file there");
    else if (S_ISFIFO(mode))
        reject(k, "kind",
               "a named pipe (FIFO) has no contents to send: write or move a regular file there");
    else if (S_ISSOCK(mode))
        reject(k, "kind", "a socket has no contents to send: write or move a regular file there");
    else
        reject(k, "kind", "a device is never read: write or move a regular file there");
}

static void denied_directory(struct look *k, const char *path, const struct file_stat *st)
{
    char shown[BENEATH_SHOWN_SIZE];
    (void)err_set(&k->out->err, RC_DENIED,
                  "the directory %s may not be entered (owner uid %u, gid %u, mode %04o): make it "
                  "group-accessible (chmod g+rwxs, umask 027 or 022 in the producer) and put the "
                  "gateway's user into that group",
                  beneath_show(shown, path, strlen(path)), st->uid, st->gid,
                  (unsigned)st->mode & 07777);
}

/* Which directory on the way is it that may not be entered? */
static void explain_way(struct look *k)
{
    const struct fsio *fs = k->cfg->fs;
    char *path = mem_strndup(k->path, k->n);
    (void)err_set(&k->out->err, RC_DENIED, "a directory on the way to it may not be entered");
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        struct file_stat st;
        int parent = beneath_parent(fs, k->cfg->root_fd, path, O_PATH);
        int fd = beneath_open(fs, k->cfg->root_fd, path, O_PATH | O_DIRECTORY);
        /* Entering is asked of what is in it: "." needs the search permission as any name does. */
        int in = fd < 0 ? fd : fs->ops->open_beneath(fs->ctx, fd, ".", O_PATH | O_DIRECTORY, 0);
        bool here = in == -EACCES && parent >= 0 &&
                    fs->ops->stat(fs->ctx, parent, beneath_name(path), &st) == 0;
        if (here)
            denied_directory(k, path, &st);
        if (parent >= 0)
            (void)fs->ops->close(fs->ctx, parent); /* O_PATH: there is nothing to lose */
        if (fd >= 0)
            (void)fs->ops->close(fs->ctx, fd);
        if (in >= 0)
            (void)fs->ops->close(fs->ctx, in);
        if (here)
            break;
        *slash = '/';
    }
    free(path);
}

/* It could not be opened: look at it by its name, from its directory. */
static void explain_open(struct look *k, int result)
{
    const struct fsio *fs = k->cfg->fs;
    struct file_stat st;
    char shown[BENEATH_SHOWN_SIZE];
    int parent = beneath_parent(fs, k->cfg->root_fd, k->path, O_PATH);
    int seen = parent;
    if (parent >= 0) {
        seen = fs->ops->stat(fs->ctx, parent, beneath_name(k->path), &st);
        (void)fs->ops->close(fs->ctx, parent); /* O_PATH: there is nothing to lose */
    }
    if (seen == -ENOENT || seen == -ENOTDIR || seen == -ELOOP) {
        /* -ELOOP: a directory on the way became a link; nothing is below a link. */
        k->out->verdict = ADMIT_GONE;
    } else if (seen == -EACCES || seen == -EPERM) {
        k->out->verdict = ADMIT_DENIED;
        explain_way(k);
    } else if (seen < 0) {
        failed(k, seen, "look at");
    } else if (!S_ISREG(st.mode)) {
        k->out->id = st.id;
        refuse_kind(k, st.mode);
    } else if (result == -EACCES || result == -EPERM) {
        k->out->verdict = ADMIT_DENIED;
        (void)err_set(&k->out->err, RC_DENIED,
                      "%s may not be read (owner uid %u, gid %u, mode %04o): make it "
                      "group-readable (chmod g+r, umask 027 or 022 in the producer) and put the "
                      "gateway's user into that group",
                      beneath_show(shown, k->path, k->n), st.uid, st.gid,
                      (unsigned)st.mode & 07777);
    } else if (result == -EAGAIN) {
        k->out->verdict = ADMIT_BUSY; /* somebody holds a lease on it */
    } else if (result == -ENOENT || result == -ENOTDIR || result == -ELOOP || result == -ENXIO) {
        k->out->verdict = ADMIT_GONE; /* there is another now: its own event or scan tells of it */
    } else {
        failed(k, result, "open");
    }
}

/* Was its last change at least quiet_ms ago? If not, how long is there to wait. */
static bool is_quiet_for(struct look *k, uint64_t quiet_ms)
{
    int64_t changed = k->out->id.ctime_ns, age;
    int64_t settle = INT64_MAX;
    (void)__builtin_mul_overflow((int64_t)quiet_ms, CLOCK_NS_PER_MS, &settle);
    if (__builtin_sub_overflow(k->now_ns, changed, &age))
        return true; /* centuries ago or ahead */
    if (age >= settle || age < -settle)
        return true;
    int64_t wait = settle - age;
    k->out->verdict = ADMIT_FRESH;
    k->out->wait_ms = (uint64_t)((wait + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS);
    return false;
}

static bool is_quiet(struct look *k)
{
    return is_quiet_for(k, k->cfg->settle_ms);
}

/* More than one link, since so long ago that no producer is between link(2) and unlink(2)? */
static bool is_linked_for_good(struct look *k)
{
    const uint64_t link_ms = 1000;
    return is_quiet_for(k, k->cfg->settle_ms > link_ms ? k->cfg->settle_ms : link_ms);
}

/* A name, a mode or times were given to it after the last byte was written (rename(2), link(2),
 * chmod(2), utimes(2)): what producers do last. Two changes within one tick of the kernel's clock
 * look alike, so that this says yes or nothing. */
static bool was_placed(const struct look *k)
{
    return k->out->id.ctime_ns > k->out->id.mtime_ns;
}

/* Does anyone still write it, as far as can be told? */
static bool is_finished(struct look *k, int fd, enum admit_trust trust)
{
    switch (lease_ask(fd)) {
    case LEASE_WRITER:
        k->out->verdict = ADMIT_BUSY;
        return false;
    case LEASE_NO_WRITER:
        return trust == ADMIT_MOVED || was_placed(k) || is_quiet(k);
    case LEASE_UNKNOWN:
        break;
    }
    return is_quiet(k);
}

/* It is finished: is it what it should be? */
static void judge(struct look *k, int fd)
{
    const struct admit_cfg *cfg = k->cfg;
    struct admit_result *out = k->out;
    struct err why;
    char text[160];
    if (layout_match(cfg->layout, k->path, k->n, &out->match, &out->err) != RC_OK) {
        out->verdict = ADMIT_REJECT;
        return;
    }
    if (out->id.size > cfg->size_max) {
        (void)snprintf(text, sizeof text, "it has %llu bytes; the largest object allowed has %llu",
                       (unsigned long long)out->id.size, (unsigned long long)cfg->size_max);
        reject(k, "size", text);
        return;
    }
    const char *event_type = k->path + out->match.event_type.at;
    if (!cfg->wants_ndjson(cfg->arg, event_type, out->match.event_type.n)) {
        out->verdict = ADMIT_OK;
        return;
    }
    if (cfg->large_min > 0 && out->id.size >= cfg->large_min) {
        out->verdict = ADMIT_LARGE;
        return;
    }
    enum rc rc = contents_check(cfg->fs, fd, out->id.size, &why);
    struct file_stat after;
    int result = cfg->fs->ops->stat(cfg->fs->ctx, fd, "", &after);
    if (result < 0) {
        failed(k, result, "stat");
    } else if (!identity_equal(&out->id, &after.id)) {
        out->verdict = ADMIT_FRESH;
        out->wait_ms = cfg->settle_ms;
    } else if (rc == RC_INVALID) {
        reject(k, "content", why.text);
    } else if (rc != RC_OK) {
        out->verdict = ADMIT_ERROR;
        out->err = why;
    } else {
        out->verdict = ADMIT_OK;
    }
}

void admit_file(const struct admit_cfg *cfg, const char *path, size_t n, enum admit_trust trust,
                int64_t now_ns, struct admit_result *out)
{
    struct look k = {.cfg = cfg, .path = path, .n = n, .now_ns = now_ns, .out = out};
    struct file_stat st;
    *out = (struct admit_result){.verdict = ADMIT_GONE, .match = {.days = INT64_MIN}};
    if (strlen(path) != n || !beneath_is_path(path))
        return; /* no directory holds such a name */
    int fd = beneath_open(cfg->fs, cfg->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        explain_open(&k, fd);
        return;
    }
    int result = cfg->fs->ops->stat(cfg->fs->ctx, fd, "", &st);
    if (result == 0)
        out->id = st.id;
    if (result < 0) {
        failed(&k, result, "stat");
    } else if (!S_ISREG(st.mode)) {
        refuse_kind(&k, st.mode);
    } else if (st.nlink == 0) {
        out->verdict = ADMIT_GONE;
    } else if (st.nlink > 1 && !is_linked_for_good(&k)) {
        out->verdict = ADMIT_LINKED;
    } else if (st.nlink > 1) {
        reject(&k, "links",
               "it has another name elsewhere (a hard link), by which it could be changed after it "
               "was sent: copy it here, or move it");
    } else if (is_finished(&k, fd, trust)) {
        judge(&k, fd);
    }
    (void)cfg->fs->ops->close(cfg->fs->ctx, fd); /* only read from: nothing can be lost */
}
