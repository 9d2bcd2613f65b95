/* What the journal does on a pool thread: write and sync records, begin segments, and read the
 * durable part again after a failure. It touches nothing but its struct journal_job, and decides
 * nothing: the job comes back with what is durable and what is in doubt.
 */
#include "spool/journal_int.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>

/* Close the segment that was written to and begin another. */
static enum rc begin_segment(struct journal_job *b)
{
    char name[SEGMENT_NAME_SIZE];
    enum rc rc = fsio_close(b->fs, b->fd, &b->err);
    b->fd = -1;
    if (rc == RC_OK && b->header.number > SEGMENT_NUMBER_MAX)
        rc = err_set(&b->err, RC_LIMIT, "the journal has no segment numbers left");
    if (rc == RC_OK)
        rc = segment_create(b->fs, b->dirfd, &b->header, &b->err);
    if (rc == RC_OK) {
        segment_name(name, b->header.number);
        b->fd = b->fs->ops->open(b->fs->ctx, b->dirfd, name, O_WRONLY | O_NOFOLLOW, 0);
        if (b->fd < 0) {
            rc = err_sys(&b->err, b->fd, "cannot open the journal's new segment %s", name);
            b->fd = -1;
        }
    }
    b->created = rc == RC_OK;
    b->offset = SEGMENT_HEADER_SIZE;
    /* Without space nothing was begun, and nothing is in doubt. */
    b->poison = rc != RC_OK && rc != RC_FULL;
    return rc;
}

/* A write failed. Without space nothing is in doubt, if the part that was written is taken back:
 * left there, it could be read as records by whoever looks for the segment's end. */
static enum rc take_back(struct journal_job *b, enum rc rc)
{
    if (rc == RC_FULL && b->fs->ops->truncate(b->fs->ctx, b->fd, b->offset) == 0 &&
        b->fs->ops->datasync(b->fs->ctx, b->fd) == 0)
        return RC_FULL;
    b->poison = true;
    return rc;
}

/* A file that has lost its name takes records and syncs them, and nobody will ever read them. */
static enum rc check_named(struct journal_job *b)
{
    char name[SEGMENT_NAME_SIZE];
    struct file_stat st;
    segment_name(name, b->header.number);
    if (b->fs->ops->stat(b->fs->ctx, b->dirfd, name, &st) != -ENOENT)
        return RC_OK;
    b->poison = true;
    return err_set(&b->err, RC_IO, "the journal's segment %s was removed: restart the gateway",
                   name);
}

static enum rc write_records(struct journal_job *b)
{
    uint32_t nth = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct journal_entry *x = &b->entries[i];
        if (x->len == 0)
            continue;
        record_seal(b->data + (x->offset - b->entries[0].offset), x->len, b->seq + nth, nth,
                    b->header.number);
        nth++;
    }
    if (b->len == 0)
        return RC_OK;
    enum rc rc = fsio_write_all(b->fs, b->fd, b->data, b->len, b->offset, &b->err);
    if (rc != RC_OK)
        return take_back(b, rc);
    int result = b->fs->ops->datasync(b->fs->ctx, b->fd);
    if (result < 0) {
        b->poison = true;
        return err_sys(&b->err, result, "cannot sync the journal");
    }
    return check_named(b);
}

void journal_job_commit(struct journal_job *b)
{
    int64_t begun = clock_mono_now_ns();
    b->rc = b->create ? begin_segment(b) : RC_OK;
    if (b->rc == RC_OK)
        b->rc = write_records(b);
    b->ns = clock_mono_now_ns() - begun;
}

/* Is the durable part of the last segment what we took it for?
 * KNOWN: the page cache may answer for the disk. What it holds there was synced before the failure,
 * so this finds a disk that was swapped, cut or remounted, not one that lies. */
static enum rc check_durable(struct journal_job *b)
{
    struct segment_header h;
    struct record r;
    uint64_t next = 0;
    struct segment_reader *s = segment_reader_new(b->fs, b->dirfd);
    enum rc rc = segment_open(s, b->check_number, false, &h, &b->err);
    bool opened = rc == RC_OK || rc == RC_CORRUPT || rc == RC_LIMIT;
    bool removed = rc == RC_ABSENT;
    if (rc == RC_OK)
        next = h.first_seq;
    while (rc == RC_OK && segment_end(s) < b->check_end) {
        rc = segment_next(s, &r, &b->err);
        if (rc == RC_OK && r.seq != next)
            rc = err_set(&b->err, RC_CORRUPT, "its sequence is broken");
        next++;
    }
    if (rc == RC_OK && (segment_end(s) != b->check_end || next != b->check_seq))
        rc = err_set(&b->err, RC_CORRUPT, "its records end elsewhere than they did");
    else if (rc == RC_ABSENT)
        rc = err_set(&b->err, RC_CORRUPT, "it has lost records");
    if (rc != RC_OK) {
        struct err why = b->err;
        if (removed)
            (void)err_set(&b->err, RC_IO,
                          "the journal's segment %u was removed: restart the gateway",
                          b->check_number);
        else
            (void)err_set(
                &b->err, RC_IO,
                "the durable part of the journal's segment %u cannot be read again: %s; a "
                "restart would set it aside",
                b->check_number, why.text);
    }
    struct err close_err; /* only read from */
    if (opened && segment_close(s, &close_err) != RC_OK && rc == RC_OK) {
        b->err = close_err;
        rc = RC_IO;
    }
    segment_reader_free(s);
    return rc;
}

void journal_job_reopen(struct journal_job *b)
{
    b->rc = b->check_number ? check_durable(b) : RC_OK;
    /* The new segment makes void what lies behind the durable part; cut off, it stays void when
     * that segment is lost. A disk that refuses the one may yet take the other. */
    if (b->rc == RC_OK && b->check_number)
        (void)!segment_cut(b->fs, b->dirfd, b->check_number, b->check_end, NULL);
    if (b->rc == RC_OK)
        b->rc = begin_segment(b);
}
