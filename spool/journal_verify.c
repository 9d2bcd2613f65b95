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

/* A segment in memory. */
struct image {
    char *data; /* SEGMENT_BYTES_MAX bytes */
    size_t n;
    bool unreadable; /* some of it: zeros stand there */
};

/* Piece by piece, past what the disk does not give. */
static enum rc read_around(const struct fsio *fs, int fd, struct image *file, struct err *e)
{
    enum { PIECE = 4096 };
    struct file_stat st;
    int result = fs->ops->stat(fs->ctx, fd, "", &st);
    if (result < 0)
        return err_sys(e, result, "cannot stat a segment of the journal");
    uint64_t size = st.id.size < SEGMENT_BYTES_MAX ? st.id.size : SEGMENT_BYTES_MAX;
    file->unreadable = true;
    file->n = (size_t)size;
    for (size_t at = 0; at < file->n; at += PIECE) {
        size_t want = file->n - at < PIECE ? file->n - at : PIECE, got;
        if (fsio_read_full(fs, fd, file->data + at, want, at, &got, NULL) != RC_OK)
            got = 0;
        memset(file->data + at + got, 0, want - got);
    }
    return RC_OK;
}

/* The file as it is. The bytes behind the largest place cannot be records. */
static enum rc read_file(struct verify *v, uint32_t number, struct image *file, struct err *e)
{
    const struct fsio *fs = v->cfg->fs;
    struct err close_err;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, number);
    int fd = fs->ops->open(fs->ctx, v->cfg->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot open the journal's segment %s", name);
    file->data = mem_resize(NULL, SEGMENT_BYTES_MAX, 1);
    enum rc rc = fsio_read_full(fs, fd, file->data, SEGMENT_BYTES_MAX, 0, &file->n, e);
    if (rc != RC_OK)
        rc = read_around(fs, fd, file, e);
    if (fsio_close(fs, fd, &close_err) != RC_OK && rc == RC_OK)
        rc = err_set(e, close_err.rc, "%s", close_err.text);
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

/* What cannot be read cannot be copied either: then the file itself is what is kept. */
static enum rc keep_original(struct verify *v, uint32_t number, const struct image *file,
                             struct err *e)
{
    const struct journal_verify_cfg *c = v->cfg;
    struct err why;
    (void)err_set(&why, RC_CORRUPT, "%s from before the segment was mended",
                  file->unreadable ? "the file" : "a copy");
    return file->unreadable
               ? journal_quarantine_move(c->fs, c->dirfd, number, &why, e)
               : journal_quarantine_copy(c->fs, c->dirfd, number, file->data, file->n, &why, e);
}

static enum rc write_mended(struct verify *v, const struct scan_entry *x, struct image *file,
                            uint64_t limit, struct err *e)
{
    struct segment_header h = x->h;
    char name[SEGMENT_NAME_SIZE];
    if (x->bad && invent_header(v, x, file->data, file->n, &h) != RC_OK)
        return journal_quarantine_move(v->cfg->fs, v->cfg->dirfd, x->number, x->bad, e);
    enum rc rc = keep_original(v, x->number, file, e);
    if (rc != RC_OK)
        return rc;
    size_t end = keep_whole(file->data, file->n, &h, limit);
    h.flags |= SEGMENT_MENDED;
    segment_encode_header(file->data, &h);
    segment_name(name, x->number);
    return fsio_replace(v->cfg->fs, v->cfg->dirfd, name, file->data, end, 0640, e);
}

static enum rc mend(struct verify *v, size_t i, struct journal_fault *f, struct err *e)
{
    const struct scan_entry *x = &v->scan.entries[i];
    struct image file = {0};
    enum rc rc = RC_OK;
    if (x->refused) { /* whole, but not ours to change */
        rc = journal_quarantine_move(v->cfg->fs, v->cfg->dirfd, x->number, x->bad, e);
    } else {
        rc = read_file(v, x->number, &file, e);
        if (rc == RC_OK)
            rc = write_mended(v, x, &file, scan_limit(&v->scan, i), e);
    }
    free(file.data);
    f->mended = rc == RC_OK;
    return rc;
}

/* A loss that was told of once: a note in quarantine/ says so from then on. */
static enum rc note_missing(struct verify *v, uint32_t from, uint32_t to, struct journal_fault *f,
                            struct err *e)
{
    enum { NOTES_MAX = 1000 }; /* a stray file with a high number makes a hole of millions */
    enum rc rc = RC_OK;
    if (to - from >= NOTES_MAX)
        return RC_OK;
    for (uint32_t n = from; n <= to && rc == RC_OK; n++)
        if (!scan_is_set_aside(&v->scan, n))
            rc = journal_quarantine_note(v->cfg->fs, v->cfg->dirfd, n, &f->why, e);
    f->mended = rc == RC_OK;
    return rc;
}

static enum rc verify_hole(struct verify *v, size_t i, struct err *e)
{
    uint32_t from, to;
    if (!scan_hole_before(&v->scan, i, &from, &to) || scan_is_whole_before(&v->scan, i))
        return RC_OK;
    struct journal_fault f = {.segment = from, .legal = true};
    /* What was set aside is known to be missing. */
    for (uint64_t n = from; n <= to && f.legal; n++)
        f.legal = scan_is_set_aside(&v->scan, (uint32_t)n);
    if (from == to)
        (void)err_set(&f.why, RC_CORRUPT, "segment %u is missing%s", from,
                      f.legal ? ": quarantine/ says why" : "");
    else
        (void)err_set(&f.why, RC_CORRUPT, "segments %u to %u are missing%s", from, to,
                      f.legal ? ": quarantine/ says why" : "");
    enum rc rc = v->cfg->fix && !f.legal ? note_missing(v, from, to, &f, e) : RC_OK;
    tell(v, &f);
    return rc;
}

/* By the gateway, since the directory was listed: its time was over. */
static bool is_dropped(const struct verify *v, const struct err *why)
{
    return why->rc == RC_ABSENT && !v->cfg->fix;
}

static enum rc verify_segment(struct verify *v, size_t i, struct err *e)
{
    const struct scan_entry *x = &v->scan.entries[i];
    struct journal_fault f = {.segment = x->number};
    struct scan_result got;
    if (x->bad) {
        if (is_dropped(v, x->bad))
            return RC_OK;
        f.why = *x->bad;
    } else {
        enum rc rc = scan_segment(&v->scan, i, v->again ? NULL : v->cfg->reader, false, &got, e);
        if (rc != RC_OK)
            return rc;
        if ((!got.damaged && !got.torn) || is_dropped(v, &got.why))
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

/* Nothing in entry i is as young as since_ns: the segment after it was begun before that. */
static bool is_too_old(const struct verify *v, size_t i)
{
    const struct scan_entry *next = &v->scan.entries[i + 1];
    return v->cfg->since_ns != 0 && i + 1 < v->scan.n && !next->bad &&
           next->h.created_ns <= v->cfg->since_ns;
}

static enum rc verify_all(struct verify *v, struct err *e)
{
    v->mended = false;
    enum rc rc = scan_init(&v->scan, v->cfg->fs, v->cfg->dirfd, e);
    for (size_t k = 0; k < v->scan.n && rc == RC_OK; k++) {
        size_t i = v->cfg->newest_first ? v->scan.n - 1 - k : k;
        if (is_too_old(v, i))
            continue;
        rc = verify_hole(v, i, e);
        if (rc == RC_OK)
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
