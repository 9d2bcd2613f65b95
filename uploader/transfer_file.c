/* The local file of a transfer: what is read is what was accepted, or the transfer ends (P7, P9).
 *
 * A small file is read and hashed on the uploader's own thread in one go; a large one on the
 * pool's, in slices of a few milliseconds, while the uploader's thread sends.
 */
#include "uploader/transfer_int.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define READ_BYTES  (256u << 10)
#define SLICE_BYTES (4u << 20)
#define SHOWN_MAX   300

/* An error of the system about the file, its name made safe to print. */
static void file_error(struct transfer *t, int sys_errno, const char *what)
{
    struct buf shown;

    buf_init(&shown, SHOWN_MAX);
    utf8_escape(&shown, t->job->path, strlen(t->job->path));
    err_sys(&t->out.err, sys_errno, "%s %s", what, shown.data);
    buf_fini(&shown);
}

/* Which end follows from what stat says of the file, or TRANSFER_STORED if it is the accepted one.
 */
static enum transfer_result judge(const struct transfer *t, const struct file_stat *st)
{
    const struct identity *was = &t->job->id, *is = &st->id;

    if (S_ISREG(st->mode) && st->nlink == 1 && identity_equal(was, is))
        return TRANSFER_STORED;
    /* Shorter without having been written to since: a power loss took what was never synced. Within
     * a tick of the clock one cannot tell, but no power loss is over that soon. */
    if (S_ISREG(st->mode) && identity_is_torn(was, is) &&
        !identity_is_racy(is, clock_wall_now_ns()))
        return TRANSFER_SHRUNK;
    return TRANSFER_CHANGED;
}

static void explain(struct transfer *t, enum transfer_result r)
{
    if (r == TRANSFER_SHRUNK)
        err_set(&t->out.err, RC_CORRUPT,
                "The file is shorter than when it was accepted, though nobody wrote to it since: "
                "its producer should sync before it closes.");
    else if (r == TRANSFER_CHANGED)
        err_set(&t->out.err, RC_CHANGED, "The file is not the one that was accepted any more.");
    else if (r == TRANSFER_VANISHED)
        err_set(&t->out.err, RC_ABSENT, "There is no such file any more.");
}

bool file_same(struct transfer *t, enum transfer_result *why)
{
    struct file_stat st;
    int rc = fsio_system.ops->stat(fsio_system.ctx, t->fd, "", &st);

    if (rc < 0) {
        file_error(t, -rc, "cannot stat");
        *why = TRANSFER_LOCAL;
        return false;
    }
    /* Removed or renamed over while it was sent: the bytes that we hold open are still the accepted
     * ones, but the name is not theirs any more. */
    *why = st.nlink == 0 ? TRANSFER_VANISHED : judge(t, &st);
    explain(t, *why);
    return *why == TRANSFER_STORED;
}

bool file_open(struct transfer *t)
{
    int fd = fsio_system.ops->open_beneath(fsio_system.ctx, t->env->cfg->root_fd, t->job->path,
                                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);

    if (fd >= 0) {
        t->fd = fd;
        t->out.read_wall_ns = clock_wall_now_ns();
        return file_same(t, &t->out.result);
    }
    switch (fd) {
    case -ENOENT:
    case -ENOTDIR:
        t->out.result = TRANSFER_VANISHED;
        break;
    case -ELOOP: /* a link, a device or a socket stands there now */
    case -EXDEV:
    case -ENXIO:
    case -ENODEV:
        t->out.result = TRANSFER_CHANGED;
        break;
    default:
        t->out.result = TRANSFER_LOCAL;
        file_error(t, -fd, "cannot open");
        break;
    }
    explain(t, t->out.result);
    return false;
}

void file_close(struct transfer *t)
{
    if (t->fd >= 0 && t->out.result == TRANSFER_STORED && t->env->cfg->hand_on)
        t->out.file = open_file_new(t->fd);
    if (t->fd >= 0 && !t->out.file)
        (void)fsio_system.ops->close(fsio_system.ctx, t->fd); /* only read from: nothing to lose */
    t->fd = -1;
}

struct digest *file_digest(struct digest **kept, enum digest_kind kind)
{
    if (*kept == NULL)
        *kept = digest_new(kind);
    return *kept;
}

static void reserve(struct transfer *t, size_t n)
{
    if (t->data_cap >= n)
        return;
    free(t->data); /* the old bytes are of no use: no copying */
    t->data = mem_resize(NULL, n, 1);
    t->data_cap = n;
}

/* What it means that fewer bytes came than the accepted file had. */
static enum transfer_result too_short(struct transfer *t)
{
    enum transfer_result why;

    if (!file_same(t, &why))
        return why;
    file_error(t, EIO, "fewer bytes than its size came from");
    return TRANSFER_LOCAL;
}

bool file_read_whole(struct transfer *t)
{
    size_t n = (size_t)t->job->id.size, got = 0;

    reserve(t, n + 1);
    if (fsio_read_full(&fsio_system, t->fd, t->data, n, 0, &got, &t->out.err) != RC_OK) {
        t->out.result = TRANSFER_LOCAL;
        return false;
    }
    if (got < n) {
        t->out.result = too_short(t);
        return false;
    }
    t->whole_in_memory = true;
    digest_begin(t->whole);
    digest_update(t->whole, t->data, n);
    digest_finish(t->whole, t->out.sha256);
    t->have_sha256 = true;
    if (t->env->cfg->content_md5) {
        digest_begin(file_digest(&t->md5_digest, DIGEST_MD5));
        digest_update(t->md5_digest, t->data, n);
        digest_finish(t->md5_digest, t->md5);
        t->have_md5 = true;
    }
    return true;
}

/* A slice on its way through a thread of the pool. It has a descriptor and memory of its own, so
 * that the transfer need not wait for it to end: then it is nobody's (`transfer` is NULL), and the
 * digests that it may be writing into are its own. */
struct reading {
    struct transfer_env *env;
    struct transfer *transfer;
    int fd;
    struct pass pass;
    void *data;
    enum rc rc;
    bool ended; /* of the file: fewer bytes than its size */
    struct err err;
};

static void read_slice(void *arg)
{
    struct reading *r = arg;
    struct pass *p = &r->pass;
    uint64_t slice_end = p->offset + SLICE_BYTES < p->end ? p->offset + SLICE_BYTES : p->end;

    while (p->offset < slice_end) {
        size_t got = 0;
        size_t n =
            slice_end - p->offset < READ_BYTES ? (size_t)(slice_end - p->offset) : READ_BYTES;

        r->rc = fsio_read_full(&fsio_system, r->fd, r->data, n, p->offset, &got, &r->err);
        r->ended = got < n;
        if (r->rc != RC_OK || r->ended)
            return;
        if (p->into[1] != NULL)
            digest_update_both(p->into[0], p->into[1], r->data, n);
        else
            digest_update(p->into[0], r->data, n);
        if (p->into[2] != NULL)
            digest_update(p->into[2], r->data, n);
        p->offset += n;
    }
}

static void reading_free(struct reading *r)
{
    (void)fsio_system.ops->close(fsio_system.ctx, r->fd); /* only read from: nothing to lose */
    r->env->readings--;
    free(r->data);
    free(r);
}

static void slice_read(void *arg)
{
    struct reading *r = arg;
    struct transfer *t = r->transfer;

    if (t == NULL) {
        for (size_t i = 0; i < PASS_DIGESTS; i++)
            digest_free(r->pass.into[i]);
        reading_free(r);
        return;
    }
    if (r->rc == RC_OK && !r->ended && r->pass.offset < r->pass.end) {
        loop_work(r->env->loop, read_slice, slice_read, r);
        return;
    }
    bool ended = r->ended;
    enum rc rc = r->rc;
    void (*then)(struct transfer * t) = r->pass.then;
    if (rc != RC_OK)
        t->out.err = r->err;
    t->reading = NULL;
    reading_free(r);
    if (rc != RC_OK)
        transfer_end(t, TRANSFER_LOCAL);
    else if (ended)
        transfer_end(t, too_short(t));
    else
        then(t);
}

void file_pass(struct transfer *t, const struct pass *p)
{
    struct reading *r;
    int fd;

    BUG_ON(t->whole_in_memory || t->reading != NULL);
    if (t->ending)
        return;
    fd = fcntl(t->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        file_error(t, errno, "cannot read");
        transfer_end_soon(t, TRANSFER_LOCAL);
        return;
    }
    r = mem_alloc(sizeof(*r));
    *r = (struct reading){.env = t->env, .transfer = t, .fd = fd, .pass = *p};
    r->data = mem_resize(NULL, READ_BYTES, 1);
    t->reading = r;
    t->env->readings++;
    loop_work(t->env->loop, read_slice, slice_read, r);
}

/* In place of one that is given away. */
static void renew(struct digest **kept, const struct reading *r)
{
    for (size_t i = 0; i < PASS_DIGESTS && *kept != NULL; i++) {
        if (*kept == r->pass.into[i])
            *kept = NULL;
    }
}

void file_pass_drop(struct transfer *t)
{
    struct reading *r = t->reading;

    if (r == NULL)
        return;
    r->transfer = NULL;
    t->reading = NULL;
    renew(&t->whole, r);
    renew(&t->piece, r);
    renew(&t->md5_digest, r);
    (void)file_digest(&t->whole, DIGEST_SHA256);
}
