/* What the journal's tests share: a journal in a file system in memory, and records to tell apart.
 */
#ifndef UNIT_SPOOL_JOURNAL_FIX_H
#define UNIT_SPOOL_JOURNAL_FIX_H

#include "spool/journal_int.h"
#include "tests/torture/faultfs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { FIX_MAX = 4096 };

/* Everything that a test heard. */
struct fix {
    struct faultfs *faultfs;
    const struct fsio *fs;
    int dirfd;
    struct journal *j;
    bool lost;
    /* from the reader, in order */
    unsigned n_read;
    uint64_t read[FIX_MAX]; /* the records' hashes */
    record_place read_at[FIX_MAX];
    /* from done, in order */
    unsigned n_told;
    uint64_t told[FIX_MAX];
    enum rc told_rc[FIX_MAX];
    record_place told_at[FIX_MAX];
    unsigned poisonings, cures;
};

static inline enum rc fix_record(void *arg, record_place at, const struct record *r)
{
    struct fix *x = arg;
    BUG_ON(x->n_read == FIX_MAX);
    x->read_at[x->n_read] = at;
    x->read[x->n_read++] = r->hash;
    return RC_OK;
}

static inline void fix_poisoned(void *arg, bool is, const struct err *why)
{
    struct fix *x = arg;
    cr_assert(*why->text);
    if (is)
        x->poisonings++;
    else
        x->cures++;
}

static inline enum rc fix_try_open(struct fix *x, struct loop *loop, uint32_t segment_bytes)
{
    struct err e;
    struct journal_cfg cfg = {.fs = x->fs,
                              .dirfd = x->dirfd,
                              .loop = loop,
                              .segment_bytes = segment_bytes,
                              .poisoned = fix_poisoned,
                              .arg = x};
    const struct journal_reader reader = {.record = fix_record, .arg = x};
    x->n_read = 0;
    return journal_open(&cfg, &reader, &x->lost, &x->j, &e);
}

static inline void fix_open(struct fix *x)
{
    cr_assert_eq(fix_try_open(x, NULL, 0), RC_OK);
}

static inline struct fix *fix_new(void)
{
    struct fix *x = calloc(1, sizeof *x);
    x->faultfs = faultfs_new();
    x->fs = faultfs_fsio(x->faultfs);
    x->dirfd = faultfs_root(x->faultfs);
    return x;
}

static inline void fix_free(struct fix *x)
{
    journal_close(x->j);
    faultfs_free(x->faultfs);
    free(x);
}

/* The journal is closed, and another opened. */
static inline void fix_reopen(struct fix *x)
{
    journal_close(x->j);
    x->j = NULL;
    fix_open(x);
}

struct fix_told {
    struct fix *x;
    uint64_t hash;
};

static inline void fix_done(void *arg, enum rc rc, record_place at)
{
    struct fix_told *t = arg;
    struct fix *x = t->x;
    BUG_ON(x->n_told == FIX_MAX);
    x->told[x->n_told] = t->hash;
    x->told_at[x->n_told] = at;
    x->told_rc[x->n_told++] = rc;
    free(t);
}

/* HELD with a text of size bytes: 64 + size bytes, rounded up to 8. */
static inline void fix_append(struct fix *x, uint64_t hash, size_t size)
{
    static char text[RECORD_MAX * 2];
    struct fix_told *t = malloc(sizeof *t);
    memset(text, 'x', sizeof text);
    *t = (struct fix_told){x, hash};
    struct record r = {.type = RECORD_HELD,
                       .hash = hash,
                       .at_ns = (int64_t)hash * 10,
                       .text = {text, (uint16_t)size}};
    journal_append(x->j, &r, fix_done, t);
}

/* Append and commit records from..to, `per` a commit. */
static inline void fix_fill(struct fix *x, uint64_t from, uint64_t to, unsigned per)
{
    for (uint64_t i = from; i <= to; i++) {
        fix_append(x, i, 4);
        if ((i - from + 1) % per == 0 || i == to)
            journal_flush(x->j);
    }
}

/* What was read is from..to, whole and in order. */
static inline void fix_expect(const struct fix *x, uint64_t from, uint64_t to, const char *when)
{
    cr_assert_eq(x->n_read, to + 1 - from, "%s: %u records", when, x->n_read);
    for (unsigned i = 0; i < x->n_read; i++)
        cr_assert_eq(x->read[i], from + i, "%s: record %u", when, i);
}

static inline void fix_expect_told(const struct fix *x, unsigned from, unsigned to, enum rc rc)
{
    cr_assert_geq(x->n_told, to);
    for (unsigned i = from; i < to; i++)
        cr_assert_eq(x->told_rc[i], rc, "answer %u: %s", i, rc_name(x->told_rc[i]));
}

/* A file of the journal's directory, from n bytes on disk and in the cache. */
static inline void fix_write_file(struct fix *x, const char *name, const void *data, size_t n)
{
    struct err e;
    cr_assert_eq(fsio_replace(x->fs, x->dirfd, name, data, n, 0640, &e), RC_OK, "%s", e.text);
}

/* NULL: there is none. The caller frees. */
static inline char *fix_read_file(struct fix *x, const char *name, size_t *n)
{
    char *data = NULL;
    struct err e;
    if (fsio_read_file(x->fs, x->dirfd, name, 1 << 25, &data, n, &e) != RC_OK)
        return NULL;
    return data;
}

static inline bool fix_has(struct fix *x, const char *name)
{
    struct file_stat st;
    return x->fs->ops->stat(x->fs->ctx, x->dirfd, name, &st) == 0;
}

static inline void fix_flip(struct fix *x, const char *name, size_t at)
{
    size_t n;
    char *data = fix_read_file(x, name, &n);
    cr_assert(data && at < n);
    data[at] = (char)(data[at] ^ 0x40);
    fix_write_file(x, name, data, n);
    free(data);
}

static inline uint64_t fix_calls(struct fix *x, enum faultfs_call call)
{
    return faultfs_calls(x->faultfs, call);
}

static inline void fix_arm(struct fix *x, enum faultfs_call call, enum faultfs_fault fault,
                           int error, bool stays)
{
    struct faultfs_plan plan = {call, 1, fault, error, stays};
    faultfs_arm(x->faultfs, &plan);
}

#define SEG1 "0000000000000001.seg"
#define SEG2 "0000000000000002.seg"
#define SEG3 "0000000000000003.seg"

#endif
