/* The journal read, and mended if asked, while no gateway runs.
 *
 * Mending never moves a record: places point at them. What is damaged becomes zeros, the header
 * says so (SEGMENT_MENDED), and the file as it was lies in quarantine/ before anything is replaced.
 */
#include "spool/journal_int.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct verify {
    const struct journal_verify_cfg *cfg;
    struct scan scan;
    bool damaged;
    bool again;  /* a later pass: only what it mends is news */
    bool mended; /* something, in this pass */
};

static void tell(struct verify *v, const struct journal_fault *f)
{
    if (f->mended)
        v->mended = true;
    else if (v->again)
        return;
    if (!f->legal)
        v->damaged = true;
    if (v->cfg->fault)
        v->cfg->fault(v->cfg->arg, f);
}

/* The file as it is. The bytes behind the largest place cannot be records. */
static enum rc read_file(struct verify *v, uint32_t number, char **data, size_t *n, struct err *e)
{
    const struct fsio *fs = v->cfg->fs;
    struct err close_err;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, number);
    int fd = fs->ops->open(fs->ctx, v->cfg->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot open the journal's segment %s", name);
    *data = mem_resize(NULL, SEGMENT_BYTES_MAX, 1);
    enum rc rc = fsio_read_full(fs, fd, *data, SEGMENT_BYTES_MAX, 0, n, e);
    if (fsio_close(fs, fd, &close_err) != RC_OK && rc == RC_OK)
        rc = err_set(e, close_err.rc, "%s", close_err.text);
    if (rc != RC_OK) {
        free(*data);
        *data = NULL;
    }
    return rc;
}

/* A header for a segment whose own is lost, from its first whole record. */
static enum rc invent_header(struct verify *v, const struct scan_entry *x, const char *data,
                             size_t n, struct segment_header *h)
{
    struct record r;
    size_t len;
    if (x->refused || !v->scan.has_key)
        return RC_CORRUPT;
    for (size_t at = SEGMENT_HEADER_SIZE; at < n; at += 8) {
        size_t sight = n - at < RECORD_MAX ? n - at : RECORD_MAX;
        if (record_decode(data + at, sight, x->number, &r, &len, NULL) != RC_OK || r.seq == 0)
            continue;
        *h =
            (struct segment_header){.number = x->number, .first_seq = r.seq, .created_ns = r.at_ns};
        memcpy(h->hash_key, v->scan.hash_key, sizeof h->hash_key);
        return RC_OK;
    }
    return RC_CORRUPT;
}

/* Keep the records that may follow each other below the limit; zeros for all else. Returns how many
 * bytes the file then has. */
static size_t keep_whole(char *data, size_t n, const struct segment_header *h, uint64_t limit)
{
    struct record r;
    size_t len, end = SEGMENT_HEADER_SIZE;
    uint64_t next = h->first_seq;
    for (size_t at = SEGMENT_HEADER_SIZE; at < n;) {
        size_t sight = n - at < RECORD_MAX ? n - at : RECORD_MAX;
        enum rc rc = record_decode(data + at, sight, h->number, &r, &len, NULL);
        if (rc == RC_OK && r.seq >= next && r.seq < limit) {
            next = r.seq + 1;
            at += len;
            end = at;
            continue;
        }
        size_t word = n - at < 8 ? n - at : 8;
        memset(data + at, 0, word);
        at += word;
    }
    return end;
}

static enum rc write_mended(struct verify *v, const struct scan_entry *x, char *data, size_t n,
                            uint64_t limit, struct err *e)
{
    struct segment_header h = x->h;
    char name[SEGMENT_NAME_SIZE];
    if (x->bad && invent_header(v, x, data, n, &h) != RC_OK)
        return journal_quarantine_move(v->cfg->fs, v->cfg->dirfd, x->number, x->bad, e);
    struct err why;
    (void)err_set(&why, RC_CORRUPT, "a copy from before the segment was mended");
    enum rc rc = journal_quarantine_copy(v->cfg->fs, v->cfg->dirfd, x->number, data, n, &why, e);
    if (rc != RC_OK)
        return rc;
    size_t end = keep_whole(data, n, &h, limit);
    h.flags |= SEGMENT_MENDED;
    segment_encode_header(data, &h);
    segment_name(name, x->number);
    return fsio_replace(v->cfg->fs, v->cfg->dirfd, name, data, end, 0640, e);
}

static enum rc mend(struct verify *v, size_t i, struct journal_fault *f, struct err *e)
{
    const struct scan_entry *x = &v->scan.entries[i];
    char *data = NULL;
    size_t n = 0;
    enum rc rc = RC_OK;
    if (x->refused) { /* whole, but not ours to change */
        rc = journal_quarantine_move(v->cfg->fs, v->cfg->dirfd, x->number, x->bad, e);
    } else {
        rc = read_file(v, x->number, &data, &n, e);
        if (rc == RC_OK)
            rc = write_mended(v, x, data, n, scan_limit(&v->scan, i), e);
    }
    free(data);
    f->mended = rc == RC_OK;
    return rc;
}

static void verify_hole(struct verify *v, size_t i)
{
    uint32_t from, to;
    if (!scan_hole_before(&v->scan, i, &from, &to))
        return;
    struct journal_fault f = {.segment = from, .legal = true};
    /* What was set aside is known to be missing. */
    for (uint64_t n = from; n <= to && f.legal; n++)
        f.legal = scan_is_set_aside(&v->scan, (uint32_t)n);
    if (from == to)
        (void)err_set(&f.why, RC_CORRUPT, "segment %u is missing%s", from,
                      f.legal ? ": it was moved to quarantine" : "");
    else
        (void)err_set(&f.why, RC_CORRUPT, "segments %u to %u are missing%s", from, to,
                      f.legal ? ": they were moved to quarantine" : "");
    tell(v, &f);
}

static enum rc verify_segment(struct verify *v, size_t i, struct err *e)
{
    const struct scan_entry *x = &v->scan.entries[i];
    struct journal_fault f = {.segment = x->number};
    struct scan_result got;
    if (x->bad) {
        f.why = *x->bad;
    } else {
        enum rc rc = scan_segment(&v->scan, i, v->again ? NULL : v->cfg->reader, false, &got, e);
        if (rc != RC_OK)
            return rc;
        if (!got.damaged && !got.torn)
            return RC_OK;
        f.offset = got.end;
        f.legal = got.torn;
        f.why = got.why;
    }
    enum rc rc = RC_OK;
    if (v->cfg->fix && !f.legal)
        rc = mend(v, i, &f, e);
    tell(v, &f);
    return rc;
}

static enum rc verify_all(struct verify *v, struct err *e)
{
    v->mended = false;
    enum rc rc = scan_init(&v->scan, v->cfg->fs, v->cfg->dirfd, e);
    for (size_t i = 0; i < v->scan.n && rc == RC_OK; i++) {
        verify_hole(v, i);
        rc = verify_segment(v, i, e);
    }
    scan_fini(&v->scan);
    return rc;
}

enum rc journal_verify(const struct journal_verify_cfg *cfg, struct err *e)
{
    struct verify v = {.cfg = cfg};
    enum rc rc = verify_all(&v, e);
    /* A header that was mended, or a segment that is gone, says anew where the one before it ends:
     * that one is looked at again, and so on to the oldest. */
    size_t passes_left = v.scan.n;
    for (v.again = true; rc == RC_OK && v.mended && passes_left > 0; passes_left--)
        rc = verify_all(&v, e);
    if (rc == RC_OK && v.damaged)
        rc = err_set(e, RC_CORRUPT, "the journal is damaged");
    return rc;
}
