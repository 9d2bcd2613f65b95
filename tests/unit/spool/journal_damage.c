/* Damage that only the next start, or the one after it, would show; files that cannot be opened or
 * are removed under a running journal. What a single start makes of broken bytes: journal.c. */
#include "tests/unit/spool/journal_fix.h"

#include <limits.h>

/* Six records that count in the first segment and four whole ones behind them that the second
 * segment's first sequence makes void. */
static struct fix *with_void_records(void)
{
    struct fix *x = fix_new();
    size_t n;
    fix_open(x);
    fix_fill(x, 1, 10, 5);
    char *ten = fix_read_file(x, SEG1, &n);
    journal_close(x->j);
    fix_write_file(x, SEG1, ten, n - 4 * 64);
    fix_open(x);
    fix_fill(x, 107, 109, 1);
    journal_close(x->j);
    x->j = NULL;
    fix_write_file(x, SEG1, ten, n);
    free(ten);
    return x;
}

Test(journal_damage, what_a_quarantined_segment_had_made_void_stays_void)
{
    struct fix *x = with_void_records();
    fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 30);
    fix_open(x);
    cr_assert(x->lost);
    cr_assert(fix_has(x, "quarantine/" SEG2));
    fix_expect(x, 1, 6, "when it is set aside");
    fix_reopen(x);
    fix_expect(x, 1, 6, "at the next start");
    journal_close(x->j);
    /* Also when the power fails between the two. */
    faultfs_restart(x->faultfs, 0);
    x->dirfd = faultfs_root(x->faultfs);
    fix_open(x);
    fix_expect(x, 1, 6, "after a power cut");
    fix_free(x);
}

/* Cutting comes first: whichever call fails, nothing void is ever read. */
Test(journal_damage, whichever_call_fails_while_a_segment_is_set_aside_void_stays_void)
{
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct fix *x = with_void_records();
        fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 30);
        struct faultfs_plan plan = {FAULTFS_ANY, nth, FAULTFS_POWER, EIO, true};
        faultfs_arm(x->faultfs, &plan);
        if (fix_try_open(x, NULL, 0) == RC_OK)
            journal_close(x->j);
        x->j = NULL;
        bool fired = faultfs_fired(x->faultfs);
        faultfs_restart(x->faultfs, nth);
        x->dirfd = faultfs_root(x->faultfs);
        fix_open(x);
        fix_reopen(x);
        fix_expect(x, 1, 6, "after a power cut at some call");
        fix_free(x);
        if (!fired)
            return;
    }
    cr_assert_fail("it never ends");
}

Test(journal_damage, what_a_failed_sync_left_is_cut_off_and_needs_no_second_segment_to_be_void)
{
    struct fix *x = fix_new();
    size_t n;
    fix_open(x);
    fix_fill(x, 1, 3, 1);
    for (uint64_t i = 100; i < 110; i++)
        fix_append(x, i, 4);
    fix_arm(x, FAULTFS_DATASYNC, FAULTFS_ERROR, EIO, false);
    journal_flush(x->j);
    fix_fill(x, 4, 6, 1);
    fix_expect_told(x, 13, 16, RC_OK);
    free(fix_read_file(x, SEG1, &n));
    cr_assert_eq(n, SEGMENT_HEADER_SIZE + 3 * 64);
    journal_close(x->j);
    cr_assert_eq(x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG2), 0);
    fix_open(x);
    fix_expect(x, 1, 3, "without the segment that made the rest void");
    fix_free(x);
}

Test(journal_damage, a_segment_that_cannot_be_opened_is_set_aside_and_a_machine_that_cannot_is_told)
{
    /* Opened are: quarantine/, three headers, three segments, the newest of them for writing. */
    static const struct {
        uint64_t nth;
        int error;
        enum rc rc;
        const char *aside;
    } cases[] = {
        {2, EACCES, RC_OK, "quarantine/" SEG1},
        {3, EIO, RC_OK, "quarantine/" SEG2},
        {4, EPERM, RC_OK, "quarantine/" SEG3},
        {7, EACCES, RC_OK, "quarantine/" SEG3},
        {3, EMFILE, RC_IO, NULL},
        {7, EROFS, RC_DENIED, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix *x = fix_new();
        for (uint64_t s = 0; s < 3; s++) {
            fix_open(x);
            fix_fill(x, s * 10 + 1, s * 10 + 10, 5);
            journal_close(x->j);
            x->j = NULL;
        }
        struct faultfs_plan plan = {FAULTFS_OPEN, cases[i].nth, FAULTFS_ERROR, cases[i].error,
                                    false};
        faultfs_arm(x->faultfs, &plan);
        cr_assert_eq(fix_try_open(x, NULL, 0), cases[i].rc, "case %zu", i);
        if (cases[i].rc == RC_OK) {
            cr_assert(x->lost, "case %zu", i);
            cr_assert_eq(x->n_read, 20, "case %zu: %u records", i, x->n_read);
            cr_assert(fix_has(x, cases[i].aside), "case %zu", i);
            fix_fill(x, 90, 91, 1);
            fix_expect_told(x, 30, 32, RC_OK);
        } else {
            x->j = NULL;
        }
        fix_free(x);
    }
}

Test(journal_damage, a_segment_that_was_removed_takes_no_more_records)
{
    struct fix *x = fix_new();
    struct journal_stats stats;
    fix_open(x);
    fix_fill(x, 1, 2, 1);
    cr_assert_eq(x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG1), 0);
    for (uint64_t n = 3; n < 6; n++) {
        fix_append(x, n, 4);
        journal_flush(x->j);
    }
    fix_expect_told(x, 2, 5, RC_IO);
    journal_stats(x->j, &stats);
    cr_assert(stats.poisoned);
    cr_assert(strstr(stats.why.text, "was removed: restart"), "%s", stats.why.text);
    fix_reopen(x);
    fix_fill(x, 6, 8, 1);
    fix_reopen(x);
    fix_expect(x, 6, 8, "after a restart");
    fix_free(x);
}

/* A disk that does not give one block of the first segment. */
static const struct fsio *good_disk;
enum { BAD_FROM = 8192, BAD_TO = 12288 };

static ssize_t bad_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    if (offset < BAD_TO && offset + n > BAD_FROM) {
        if (offset >= BAD_FROM)
            return -EIO;
        n = (size_t)(BAD_FROM - offset);
    }
    return good_disk->ops->pread(ctx, fd, data, n, offset);
}

Test(journal_damage, a_block_that_cannot_be_read_costs_the_records_in_it_while_running)
{
    struct fix *x = fix_new();
    char buf[RECORD_MAX];
    struct record r;
    unsigned lost = 0;
    good_disk = x->fs;
    struct fsio_ops ops = *x->fs->ops;
    ops.pread = bad_pread;
    struct fsio failing = {&ops, x->fs->ctx};
    x->fs = &failing;
    fix_open(x);
    fix_fill(x, 1, 300, 10);
    for (unsigned i = 0; i < 300; i++) {
        enum rc rc = journal_read(x->j, x->told_at[i], buf, &r, NULL);
        cr_assert(rc == RC_OK || rc == RC_CORRUPT, "it is gone for good: not to be tried again");
        cr_assert(rc != RC_OK || r.hash == i + 1);
        lost += rc != RC_OK;
    }
    cr_assert_eq(lost, 64, "%u of 300", lost);
    fix_reopen(x);
    cr_assert(x->lost);
    fix_expect(x, 1, 127, "those before it, at the next start");
    x->fs = good_disk;
    fix_free(x);
}

/* The first segment cannot be opened. */
static int open_error, stat_error;

static int bad_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    return strcmp(path, SEG1) == 0 && open_error
               ? -open_error
               : good_disk->ops->open(ctx, dirfd, path, flags, mode);
}

static int bad_stat(void *ctx, int dirfd, const char *path, struct file_stat *out)
{
    return strcmp(path, SEG1) == 0 && stat_error ? -stat_error
                                                 : good_disk->ops->stat(ctx, dirfd, path, out);
}

Test(journal_damage, while_running_a_segment_that_cannot_be_opened_is_judged_as_at_the_start)
{
    static const struct {
        int open_error, stat_error;
        enum rc rc, start;
    } cases[] = {
        {EIO, 0, RC_CORRUPT, RC_OK},
        {EUCLEAN, 0, RC_CORRUPT, RC_OK},
        {EBADMSG, 0, RC_CORRUPT, RC_OK},
        {ENODATA, 0, RC_CORRUPT, RC_OK},
        {EACCES, 0, RC_CORRUPT, RC_OK},
        {EPERM, 0, RC_CORRUPT, RC_OK},
        {ELOOP, 0, RC_CORRUPT, RC_OK},
        {ENOENT, ENOENT, RC_ABSENT, RC_OK},
        {EACCES, EACCES, RC_DENIED, RC_DENIED}, /* the directory is shut: so are all of them */
        {EMFILE, 0, RC_IO, RC_IO},
        {ENOMEM, 0, RC_IO, RC_IO},
        {ESTALE, 0, RC_IO, RC_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix *x = fix_new();
        char buf[RECORD_MAX];
        struct record r;
        good_disk = x->fs;
        struct fsio_ops ops = *x->fs->ops;
        ops.open = bad_open;
        ops.stat = bad_stat;
        struct fsio failing = {&ops, x->fs->ctx};
        x->fs = &failing;
        open_error = stat_error = 0;
        fix_open(x);
        fix_fill(x, 1, 10, 5);
        fix_reopen(x);
        fix_fill(x, 11, 20, 5);
        fix_reopen(x);
        open_error = cases[i].open_error;
        stat_error = cases[i].stat_error;
        cr_expect_eq(journal_read(x->j, x->told_at[3], buf, &r, NULL), cases[i].rc, "case %zu", i);
        cr_expect_eq(journal_read(x->j, x->told_at[13], buf, &r, NULL), RC_OK, "case %zu", i);
        journal_close(x->j);
        x->j = NULL;
        cr_expect_eq(fix_try_open(x, NULL, 0), cases[i].start, "case %zu", i);
        if (cases[i].start != RC_OK)
            x->j = NULL;
        x->fs = good_disk;
        fix_free(x);
    }
}

/* A descriptor that the server has forgotten gives nothing any more; a new one does. */
static int stale_fd;

static ssize_t stale_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    if (stale_fd < 0)
        stale_fd = fd;
    return fd == stale_fd ? -ESTALE : good_disk->ops->pread(ctx, fd, data, n, offset);
}

static int stale_close(void *ctx, int fd)
{
    if (fd == stale_fd)
        stale_fd = INT_MAX; /* none has it: numbers come again */
    return good_disk->ops->close(ctx, fd);
}

Test(journal_damage, a_stale_descriptor_is_not_kept)
{
    struct fix *x = fix_new();
    char buf[RECORD_MAX];
    struct record r;
    fix_open(x);
    fix_fill(x, 1, 10, 5);
    good_disk = x->fs;
    struct fsio_ops ops = *x->fs->ops;
    struct fsio failing = {&ops, x->fs->ctx};
    x->fs = &failing;
    fix_reopen(x);
    ops.pread = stale_pread;
    ops.close = stale_close;
    stale_fd = -1;
    cr_assert_eq(journal_read(x->j, x->told_at[3], buf, &r, NULL), RC_IO, "another time");
    cr_assert_eq(journal_read(x->j, x->told_at[3], buf, &r, NULL), RC_OK);
    cr_assert_eq(r.hash, 4);
    journal_close(x->j);
    x->j = NULL;
    x->fs = good_disk;
    fix_free(x);
}
