/* The segments of a directory taken together: which there are, where each ends, what is damaged.
 *
 * A segment ends where the next one begins: what lies behind the sequence before the next segment's
 * first is void. Only where no next segment says so may a tail be torn (P4), and a tail is torn,
 * not damaged, unless a whole record behind the fault proves that the faulty bytes had been
 * durable.
 */
#include "spool/journal_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? *cap * 2 : 64;
    return mem_resize(p, *cap, size);
}

/* A new segment that never got its name (fsio_replace). */
static bool is_temporary(const char *name)
{
    char stem[SEGMENT_NAME_SIZE];
    uint32_t number;
    if (strlen(name) != SEGMENT_NAME_SIZE - 1 + strlen(".tmp"))
        return false;
    memcpy(stem, name, SEGMENT_NAME_SIZE - 1);
    stem[SEGMENT_NAME_SIZE - 1] = '\0';
    return segment_parse_name(stem, &number) && strcmp(name + SEGMENT_NAME_SIZE - 1, ".tmp") == 0;
}

static void list_entry(void *arg, const char *name, mode_t kind)
{
    struct scan *s = arg;
    uint32_t number;
    (void)kind; /* what is no file fails when it is read, with a reason */
    if (segment_parse_name(name, &number)) {
        s->entries = grow(s->entries, s->n, &s->cap, sizeof *s->entries);
        s->entries[s->n++] = (struct scan_entry){.number = number};
        if (number > s->max_number)
            s->max_number = number;
    } else if (strcmp(name, JOURNAL_QUARANTINE) != 0 && !is_temporary(name)) {
        log_warning("journal_foreign_file", F_STR("name", name), F_STR("action", "ignored"));
    }
}

/* In quarantine a name may have a suffix. */
static void list_set_aside(void *arg, const char *name, mode_t kind)
{
    struct scan *s = arg;
    (void)kind;
    char stem[SEGMENT_NAME_SIZE];
    uint32_t number;
    (void)snprintf(stem, sizeof stem, "%s", name);
    if (!segment_parse_name(stem, &number))
        return;
    s->set_aside = grow(s->set_aside, s->n_aside, &s->aside_cap, sizeof *s->set_aside);
    s->set_aside[s->n_aside++] = number;
    if (number > s->max_number)
        s->max_number = number;
}

static int by_number(const void *a, const void *b)
{
    const struct scan_entry *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static enum rc list(struct scan *s, struct err *e)
{
    int result = s->fs->ops->list(s->fs->ctx, s->dirfd, list_entry, s);
    if (result < 0)
        return err_sys(e, result, "cannot list the journal's directory");
    if (s->n > 0)
        qsort(s->entries, s->n, sizeof *s->entries, by_number);
    int fd = s->fs->ops->open(s->fs->ctx, s->dirfd, JOURNAL_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT)
        return RC_OK;
    if (fd >= 0) {
        result = s->fs->ops->list(s->fs->ctx, fd, list_set_aside, s);
        (void)s->fs->ops->close(s->fs->ctx, fd); /* only read from */
    }
    if (fd < 0 || result < 0)
        return err_sys(e, fd < 0 ? fd : result, "cannot list the journal's quarantine directory");
    if (s->n_aside > 0)
        qsort(s->set_aside, s->n_aside, sizeof *s->set_aside, by_value);
    return RC_OK;
}

static void mark_bad(struct scan_entry *x, const struct err *why, bool refused)
{
    x->bad = mem_alloc(sizeof *x->bad);
    *x->bad = *why;
    x->refused = refused;
}

static enum rc read_header(struct scan *s, struct scan_entry *x, struct err *e)
{
    struct err why;
    enum rc rc = segment_open(s->reader, x->number, false, &x->h, &why);
    switch (rc) {
    case RC_OK:
        return segment_close(s->reader, e);
    case RC_CORRUPT:
    case RC_LIMIT:
        mark_bad(x, &why, rc == RC_LIMIT);
        return segment_close(s->reader, e);
    case RC_INVALID:
        mark_bad(x, &why, true);
        return RC_OK;
    default:
        if (segment_is_at_fault(s->fs, s->dirfd, x->number, why.sys_errno)) {
            mark_bad(x, &why, true);
            return RC_OK;
        }
        if (e)
            *e = why;
        return rc;
    }
}

/* Headers that are whole but contradict each other: somebody copied files between journals. The
 * newest is most likely ours. */
static void compare_headers(struct scan *s)
{
    struct err why;
    uint64_t below = UINT64_MAX;
    for (size_t i = s->n; i-- > 0;) {
        struct scan_entry *x = &s->entries[i];
        if (x->bad)
            continue;
        if (!s->has_key) {
            s->has_key = true;
            memcpy(s->hash_key, x->h.hash_key, sizeof s->hash_key);
        }
        if (memcmp(s->hash_key, x->h.hash_key, sizeof s->hash_key) != 0) {
            (void)err_set(&why, RC_CORRUPT, "the segment belongs to another journal");
            mark_bad(x, &why, true);
        } else if (x->h.first_seq > below) {
            (void)err_set(&why, RC_CORRUPT,
                          "the segment begins with sequence %" PRIu64
                          ", and a newer one with %" PRIu64,
                          x->h.first_seq, below);
            mark_bad(x, &why, true);
        } else {
            below = x->h.first_seq;
        }
    }
}

enum rc scan_init(struct scan *s, const struct fsio *fs, int dirfd, struct err *e)
{
    *s = (struct scan){.fs = fs, .dirfd = dirfd};
    s->reader = segment_reader_new(fs, dirfd);
    enum rc rc = list(s, e);
    for (size_t i = 0; i < s->n && rc == RC_OK; i++)
        rc = read_header(s, &s->entries[i], e);
    if (rc == RC_OK)
        compare_headers(s);
    return rc;
}

void scan_fini(struct scan *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->entries[i].bad);
    free(s->entries);
    free(s->set_aside);
    segment_reader_free(s->reader);
}

/* The next entry with a header that counts; s->n: none. */
static size_t next_good(const struct scan *s, size_t i)
{
    for (i++; i < s->n && s->entries[i].bad; i++)
        ;
    return i;
}

bool scan_is_open_ended(const struct scan *s, size_t i)
{
    size_t next = next_good(s, i);
    return next == s->n || s->entries[next].number != s->entries[i].number + 1;
}

bool scan_hole_before(const struct scan *s, size_t i, uint32_t *from, uint32_t *to)
{
    if (i == 0 || s->entries[i].number == s->entries[i - 1].number + 1)
        return false;
    *from = s->entries[i - 1].number + 1;
    *to = s->entries[i].number - 1;
    return true;
}

bool scan_is_whole_before(const struct scan *s, size_t i)
{
    size_t next = i, before = i;
    while (next < s->n && s->entries[next].bad)
        next++;
    if (next == s->n)
        return true;
    while (before > 0 && s->entries[before - 1].bad)
        before--;
    return before > 0 && s->entries[before - 1].next_seq == s->entries[next].h.first_seq;
}

uint32_t scan_next_number(const struct scan *s)
{
    if (s->max_number < SEGMENT_NUMBER_MAX)
        return s->max_number + 1;
    uint32_t whole = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!s->entries[i].bad)
            whole = s->entries[i].number;
    return whole + 1;
}

bool scan_is_set_aside(const struct scan *s, uint32_t number)
{
    return s->n_aside > 0 &&
           bsearch(&number, s->set_aside, s->n_aside, sizeof number, by_value) != NULL;
}

uint64_t scan_limit(const struct scan *s, size_t i)
{
    size_t next = next_good(s, i);
    return next == s->n ? UINT64_MAX : s->entries[next].h.first_seq;
}

/* A fault where nothing says that the segment ends. Records were appended commit by commit, each
 * begun when all before it was durable: a whole record of a commit that began behind the faulty
 * sequence proves that this one had been durable and is damaged. Without such a proof it is the
 * torn rest of the last commit, of which any part may have reached the disk. */
static void judge_tail(struct scan *s, struct scan_result *out)
{
    struct record r;
    struct err e;
    uint64_t missing = out->next_seq;
    enum rc rc;
    while ((rc = segment_resync(s->reader, missing, &r, &e)) == RC_OK) {
        if (r.nth < r.seq && r.seq - r.nth > missing) {
            out->damaged = true;
            return;
        }
    }
    if (rc == RC_IO) {
        out->damaged = true;
        out->why = e;
        return;
    }
    out->torn = true;
}

/* Deliver records until the limit, the end or a fault. Whether the fault is legal, *fault says only
 * that there is one. */
static enum rc read_records(struct scan *s, size_t i, const struct journal_reader *reader,
                            struct scan_result *out, bool *fault)
{
    uint32_t number = s->entries[i].number;
    bool mended = s->entries[i].h.flags & SEGMENT_MENDED;
    uint64_t limit = scan_limit(s, i);
    struct record r;
    *fault = false;
    while (out->next_seq < limit) {
        enum rc rc = segment_next(s->reader, &r, &out->why);
        if (rc == RC_ABSENT && !scan_is_open_ended(s, i) && !mended) {
            *fault = true;
            (void)err_set(&out->why, RC_CORRUPT,
                          "the segment ends before sequence %" PRIu64 ", but should reach %" PRIu64,
                          out->next_seq, limit - 1);
        }
        if (rc == RC_ABSENT)
            return RC_OK;
        if (rc == RC_OK && r.seq != out->next_seq &&
            !(mended && r.seq > out->next_seq && r.seq < limit)) {
            segment_untake(s->reader);
            rc = err_set(&out->why, RC_CORRUPT,
                         "a record has sequence %" PRIu64 " where %" PRIu64 " is due", r.seq,
                         out->next_seq);
        }
        if (rc != RC_OK) {
            *fault = true;
            return RC_OK;
        }
        out->next_seq = r.seq + 1;
        if (r.at_ns > out->newest_ns || out->records == 0)
            out->newest_ns = r.at_ns;
        out->records++;
        record_place at = (record_place)number << RECORD_OFFSET_BITS | segment_at(s->reader);
        rc = reader ? reader->record(reader->arg, at, &r) : RC_OK;
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc scan_segment(struct scan *s, size_t i, const struct journal_reader *reader, bool rewrite,
                     struct scan_result *out, struct err *e)
{
    struct scan_entry *x = &s->entries[i];
    BUG_ON(x->bad);
    if (reader && reader->segment)
        reader->segment(reader->arg, i + 1, s->n);
    *out = (struct scan_result){.next_seq = x->h.first_seq, .newest_ns = x->h.created_ns};
    rewrite = rewrite && next_good(s, i) == s->n;
    struct err why;
    enum rc rc = segment_open(s->reader, x->number, rewrite, &x->h, &why);
    if (rc == RC_CORRUPT || rc == RC_LIMIT) {
        /* It was whole a moment ago: the disk is failing, or somebody writes to it. */
        (void)err_set(&out->why, RC_CORRUPT, "its header could not be read a second time");
        out->damaged = true;
        return segment_close(s->reader, e);
    }
    if (rc != RC_OK && segment_is_at_fault(s->fs, s->dirfd, x->number, why.sys_errno)) {
        /* To read it is allowed, to write it again is not. */
        out->damaged = true;
        out->why = why;
        return RC_OK;
    }
    if (rc != RC_OK) {
        if (e)
            *e = why;
        return rc;
    }
    bool fault;
    rc = read_records(s, i, reader, out, &fault);
    out->end = segment_end(s->reader);
    if (rc != RC_OK)
        (void)err_set(e, rc, "reading the journal was ended by its reader");
    if (rc == RC_OK && fault) {
        /* The disk refusing bytes is never a torn tail: what was not written reads as zeros. */
        if (!scan_is_open_ended(s, i) || out->why.rc == RC_IO)
            out->damaged = true;
        else
            judge_tail(s, out);
    }
    if (rc == RC_OK && !out->damaged)
        x->next_seq = out->next_seq;
    struct err close_err;
    enum rc close_rc = segment_close(s->reader, &close_err);
    if (rc == RC_OK && close_rc != RC_OK) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, x->number);
        rc = err_set(e, close_rc, "cannot make the journal's segment %s durable: %s", name,
                     close_err.text);
    }
    return rc;
}
