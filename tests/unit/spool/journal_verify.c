/* Verifying and mending a journal offline. */
#include "tests/unit/spool/journal_fix.h"

struct heard {
    unsigned n, illegal, mended;
    struct journal_fault last;
};

static void hear(void *arg, const struct journal_fault *f)
{
    struct heard *h = arg;
    h->n++;
    h->illegal += !f->legal;
    h->mended += f->mended;
    h->last = *f;
    cr_assert(*f->why.text);
}

static enum rc verify(struct fix *x, bool fix, struct heard *h)
{
    struct err e;
    const struct journal_reader reader = {.record = fix_record, .arg = x};
    struct journal_verify_cfg cfg = {
        .fs = x->fs, .dirfd = x->dirfd, .reader = &reader, .fault = hear, .arg = h, .fix = fix};
    *h = (struct heard){0};
    x->n_read = 0;
    return journal_verify(&cfg, &e);
}

/* Three segments of ten records, each record its own commit; closed. */
static struct fix *three_segments(void)
{
    struct fix *x = fix_new();
    for (uint64_t s = 0; s < 3; s++) {
        fix_open(x);
        fix_fill(x, s * 10 + 1, s * 10 + 10, 1);
        journal_close(x->j);
        x->j = NULL;
    }
    return x;
}

Test(journal_verify, a_whole_journal_has_no_fault)
{
    struct fix *x = three_segments();
    struct heard h;
    cr_assert_eq(verify(x, true, &h), RC_OK);
    cr_assert_eq(h.n, 0);
    fix_expect(x, 1, 30, "whole");
    fix_free(x);
}

Test(journal_verify, an_empty_directory_is_a_whole_journal)
{
    struct fix *x = fix_new();
    struct heard h;
    cr_assert_eq(verify(x, false, &h), RC_OK);
    fix_free(x);
}

Test(journal_verify, a_torn_tail_is_told_and_legal)
{
    struct fix *x = three_segments();
    struct heard h;
    size_t n;
    char *data = fix_read_file(x, SEG3, &n);
    fix_write_file(x, SEG3, data, n - 5);
    cr_assert_eq(verify(x, true, &h), RC_OK);
    cr_assert(h.n == 1 && h.illegal == 0 && h.mended == 0);
    cr_assert(h.last.segment == 3 && h.last.offset == SEGMENT_HEADER_SIZE + 9 * 64);
    fix_expect(x, 1, 29, "torn");
    free(data);
    fix_free(x);
}

Test(journal_verify, without_fix_nothing_is_changed)
{
    struct fix *x = three_segments();
    struct heard h;
    fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 3 * 64 + 30);
    uint64_t writes = fix_calls(x, FAULTFS_PWRITE), renames = fix_calls(x, FAULTFS_RENAME);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(verify(x, false, &h), RC_CORRUPT);
        cr_assert(h.n == 1 && h.illegal == 1 && h.mended == 0);
        cr_assert(h.last.segment == 2 && h.last.offset == SEGMENT_HEADER_SIZE + 3 * 64);
    }
    cr_assert_eq(fix_calls(x, FAULTFS_PWRITE), writes);
    cr_assert_eq(fix_calls(x, FAULTFS_RENAME), renames);
    fix_free(x);
}

static void flip_middle(struct fix *x)
{
    fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 3 * 64 + 30);
}
static void flip_length(struct fix *x)
{
    fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 3 * 64 + 1);
}
static void flip_last(struct fix *x)
{
    fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 9 * 64 + 30);
}
static void flip_header(struct fix *x)
{
    fix_flip(x, SEG2, 30);
}
static void flip_newest(struct fix *x)
{
    fix_flip(x, SEG3, SEGMENT_HEADER_SIZE + 30);
}
static void blank(struct fix *x)
{
    size_t n;
    char *data = fix_read_file(x, SEG2, &n);
    memset(data + SEGMENT_HEADER_SIZE + 64, 0, 5 * 64);
    fix_write_file(x, SEG2, data, n);
    free(data);
}
static void empty(struct fix *x)
{
    fix_write_file(x, SEG2, "", 0);
}

Test(journal_verify, mending_keeps_every_whole_record_at_its_place)
{
    static const struct {
        const char *what;
        void (*break_it)(struct fix *x);
        unsigned left; /* records */
        bool hole;     /* the segment could only be moved away */
    } cases[] = {
        {"a wrong byte in the middle", flip_middle, 29, false},
        {"a wrong length", flip_length, 29, false},
        {"a wrong byte at the end", flip_last, 29, false},
        {"a wrong byte in the header", flip_header, 30, false},
        {"a wrong byte in the newest", flip_newest, 29, false},
        {"zeros in the middle", blank, 25, false},
        {"an empty file", empty, 20, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix *x = three_segments();
        struct heard h;
        cases[i].break_it(x);
        cr_assert_eq(verify(x, true, &h), RC_CORRUPT, "%s", cases[i].what);
        cr_assert(h.n == 1 && h.mended == 1, "%s: %u, %s", cases[i].what, h.n, h.last.why.text);
        cr_assert_eq(verify(x, false, &h), RC_OK, "%s: %s", cases[i].what, h.last.why.text);
        cr_assert_eq(h.n, cases[i].hole, "%s", cases[i].what);
        cr_assert_eq(x->n_read, cases[i].left, "%s: %u", cases[i].what, x->n_read);
        fix_open(x);
        cr_assert_eq(x->lost, cases[i].hole, "%s", cases[i].what);
        cr_assert_eq(x->n_read, cases[i].left, "%s: %u", cases[i].what, x->n_read);
        for (unsigned k = 0; k < x->n_read; k++) {
            unsigned id = (unsigned)x->read[k] - 1;
            cr_assert_eq(x->read_at[k], x->told_at[id], "%s: record %u", cases[i].what, id);
        }
        fix_free(x);
    }
}

Test(journal_verify, mending_saves_the_segment_as_it_was)
{
    struct fix *x = three_segments();
    struct heard h;
    size_t n, saved_n;
    flip_middle(x);
    char *broken = fix_read_file(x, SEG2, &n);
    cr_assert_eq(verify(x, true, &h), RC_CORRUPT);
    char *saved = fix_read_file(x, "quarantine/" SEG2, &saved_n);
    cr_assert(saved && saved_n == n && memcmp(saved, broken, n) == 0);
    cr_assert(fix_has(x, "quarantine/" SEG2 ".reason"));
    free(broken);
    free(saved);
    fix_free(x);
}

Test(journal_verify, what_shows_only_after_mending_is_mended_too)
{
    struct fix *x = three_segments();
    struct heard h;
    size_t n;
    char *data = fix_read_file(x, SEG2, &n);
    fix_write_file(x, SEG2, data, n - 5); /* a torn tail, as long as the next one has no header */
    fix_flip(x, SEG3, 30);
    cr_assert_eq(verify(x, true, &h), RC_CORRUPT);
    cr_assert(h.mended == 2 && h.last.segment == 2, "%u were mended", h.mended);
    cr_assert_eq(x->n_read, 19, "none is told twice, but %u", x->n_read);
    cr_assert_eq(verify(x, false, &h), RC_OK);
    cr_assert_eq(x->n_read, 29);
    free(data);
    fix_free(x);
}

Test(journal_verify, a_missing_segment_is_a_fault_unless_it_was_set_aside)
{
    struct fix *x = three_segments();
    struct heard h;
    cr_assert_eq(x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG2), 0);
    cr_assert_eq(verify(x, true, &h), RC_CORRUPT);
    cr_assert(h.n == 1 && h.illegal == 1 && h.mended == 1 && h.last.segment == 2);
    cr_assert_eq(x->n_read, 20);
    cr_assert(fix_has(x, "quarantine/" SEG2 ".reason"), "from now on it is known");
    cr_assert_eq(verify(x, false, &h), RC_OK);
    cr_assert(h.n == 1 && h.illegal == 0);
    fix_write_file(x, "0000000008388607.seg", "", 0); /* millions are missing before it */
    cr_assert_eq(verify(x, true, &h), RC_CORRUPT);
    cr_assert(h.illegal == 1 && h.mended == 1, "the stray file, and nothing before it");
    fix_free(x);

    x = three_segments();
    flip_header(x);
    fix_open(x);
    cr_assert(x->lost);
    cr_assert_eq(verify(x, false, &h), RC_OK);
    cr_assert(h.n == 1 && h.illegal == 0 && h.last.segment == 2);
    fix_free(x);
}

/* A gateway drops the oldest two segments when the first record is read. */
static enum rc drop_two(void *arg, record_place at, const struct record *r)
{
    struct fix *x = arg;
    if (x->n_read == 0) {
        cr_assert_eq(x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG1), 0);
        cr_assert_eq(x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG2), 0);
    }
    return fix_record(x, at, r);
}

Test(journal_verify, what_is_dropped_while_it_reads_is_no_fault)
{
    for (int newest_first = 0; newest_first < 2; newest_first++) {
        struct fix *x = three_segments();
        struct heard h = {0};
        const struct journal_reader reader = {.record = drop_two, .arg = x};
        struct journal_verify_cfg cfg = {.fs = x->fs,
                                         .dirfd = x->dirfd,
                                         .reader = &reader,
                                         .fault = hear,
                                         .arg = &h,
                                         .newest_first = newest_first};
        x->n_read = 0;
        cr_assert_eq(journal_verify(&cfg, NULL), RC_OK, "newest first: %d", newest_first);
        cr_assert_eq(h.n, 0);
        cr_assert_eq(x->n_read, newest_first ? 10 : 20);
        fix_free(x);
    }
}

/* A disk that does not give the bytes of the first file that was opened between these offsets. */
static struct {
    uint64_t from, to, ino;
    const struct fsio *fs;
} bad_blocks;

static ssize_t bad_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    const struct fsio_ops *real = bad_blocks.fs->ops;
    struct file_stat st;
    if (real->stat(ctx, fd, "", &st) == 0 && st.id.ino == bad_blocks.ino &&
        offset < bad_blocks.to && offset + n > bad_blocks.from) {
        if (offset >= bad_blocks.from)
            return -EIO;
        n = (size_t)(bad_blocks.from - offset);
    }
    return real->pread(ctx, fd, data, n, offset);
}

Test(journal_verify, what_a_failing_disk_still_gives_is_saved_and_the_file_itself_is_kept)
{
    struct fix *x = fix_new();
    struct heard h;
    struct file_stat st;
    fix_open(x);
    fix_fill(x, 1, 300, 10); /* 19 264 bytes */
    journal_close(x->j);
    x->j = NULL;
    cr_assert_eq(x->fs->ops->stat(x->fs->ctx, x->dirfd, SEG1, &st), 0);
    bad_blocks.fs = x->fs;
    bad_blocks.from = 8192;
    bad_blocks.to = 8193;
    bad_blocks.ino = st.id.ino;
    struct fsio_ops ops = *x->fs->ops;
    ops.pread = bad_pread;
    struct fsio failing = {&ops, x->fs->ctx};
    x->fs = &failing;
    cr_assert_eq(verify(x, true, &h), RC_CORRUPT);
    cr_assert(h.illegal == 1 && h.mended == 1);
    cr_assert_eq(verify(x, false, &h), RC_OK);
    cr_assert_eq(x->n_read, 300 - 64, "but for a page: %u", x->n_read);
    cr_assert_eq(x->fs->ops->stat(x->fs->ctx, x->dirfd, "quarantine/" SEG1, &st), 0);
    cr_assert_eq(st.id.ino, bad_blocks.ino);
    x->fs = bad_blocks.fs;
    fix_free(x);
}

Test(journal_verify, numbers_that_a_stray_file_made_it_pass_over_are_not_missing)
{
    struct fix *x = three_segments();
    struct heard h;
    fix_write_file(x, "0000000000000009.seg", "", 0);
    fix_open(x);
    cr_assert(x->lost);
    fix_fill(x, 31, 33, 1);
    journal_close(x->j);
    x->j = NULL;
    cr_assert(fix_has(x, "0000000000000010.seg"));
    cr_assert_eq(verify(x, false, &h), RC_OK);
    cr_assert_eq(h.n, 0, "%s", h.last.why.text);
    fix_expect(x, 1, 33, "all");
    fix_free(x);
}

Test(journal_verify, a_newer_version_is_moved_not_mended)
{
    struct fix *x = three_segments();
    struct heard h;
    size_t n;
    char *data = fix_read_file(x, SEG2, &n);
    data[8] = 2;
    fix_write_file(x, SEG2, data, n);
    cr_assert_eq(verify(x, true, &h), RC_CORRUPT);
    cr_assert_not(fix_has(x, SEG2));
    char *saved = fix_read_file(x, "quarantine/" SEG2, &n);
    cr_assert(saved && memcmp(saved, data, n) == 0);
    free(saved);
    free(data);
    fix_free(x);
}
