/* The local file of a transfer: what is read is what was accepted, or the transfer ends (P7, P9).
 *
 * Reading and hashing are done on the uploader's own thread: a small file in one go, a large one in
 * slices of a millisecond or so, between which the loop serves the other transfers.
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
#define SLICE_BYTES (1u << 20)
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
    if (t->fd >= 0)
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

/* n bytes at offset into data; false and the result if the file does not have them. */
static bool read_exactly(struct transfer *t, size_t n, uint64_t offset)
{
    size_t got = 0;

    if (fsio_read_full(&fsio_system, t->fd, t->data, n, offset, &got, &t->out.err) != RC_OK) {
        t->out.result = TRANSFER_LOCAL;
        return false;
    }
    if (got == n)
        return true;
    if (file_same(t, &t->out.result)) {
        t->out.result = TRANSFER_LOCAL;
        file_error(t, EIO, "fewer bytes than its size came from");
    }
    return false;
}

bool file_read_whole(struct transfer *t)
{
    size_t n = (size_t)t->job->id.size;

    reserve(t, n + 1);
    if (!read_exactly(t, n, 0))
        return false;
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

static void run_slice(struct transfer *t)
{
    struct pass *p = &t->pass;
    uint64_t slice_end = p->offset + SLICE_BYTES < p->end ? p->offset + SLICE_BYTES : p->end;

    while (p->offset < slice_end) {
        size_t n =
            slice_end - p->offset < READ_BYTES ? (size_t)(slice_end - p->offset) : READ_BYTES;

        if (!read_exactly(t, n, p->offset)) {
            transfer_end(t, t->out.result);
            return;
        }
        if (p->into[1] != NULL)
            digest_update_both(p->into[0], p->into[1], t->data, n);
        else
            digest_update(p->into[0], t->data, n);
        p->offset += n;
    }
    if (p->offset < p->end)
        transfer_later(t, run_slice, 0);
    else
        p->then(t);
}

void file_pass(struct transfer *t, const struct pass *p)
{
    BUG_ON(t->whole_in_memory);
    if (t->ending)
        return;
    t->pass = *p;
    reserve(t, READ_BYTES);
    transfer_later(t, run_slice, 0);
}
