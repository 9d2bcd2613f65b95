/* The journal: what is promised is there, what is damaged is set aside, and it always starts. */
#include "tests/unit/spool/journal_fix.h"

#include "base/clock.h"

Test(journal, what_was_told_is_there_after_a_restart_and_can_be_read_at_its_place)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_expect(x, 1, 0, "new");
    uint8_t key[KEYED_HASH_KEY_SIZE];
    memcpy(key, journal_hash_key(x->j), sizeof key);
    fix_fill(x, 1, 1000, 7);
    fix_expect_told(x, 0, 1000, RC_OK);
    for (int again = 0; again < 2; again++) {
        char buf[RECORD_MAX];
        struct record r;
        struct err e;
        for (unsigned i = 0; i < 1000; i += 3) { /* forwards and backwards at once */
            cr_assert_eq(journal_read(x->j, x->told_at[i], buf, &r, &e), RC_OK, "%s", e.text);
            cr_assert_eq(r.hash, i + 1);
            cr_assert(r.text.p >= buf && r.text.p < buf + sizeof buf);
            cr_assert_eq(journal_read(x->j, x->told_at[999 - i], buf, &r, &e), RC_OK);
            cr_assert_eq(r.hash, 1000 - i);
        }
        fix_reopen(x);
        fix_expect(x, 1, 1000, "again");
        cr_assert_not(x->lost);
        cr_assert_eq(memcmp(x->read_at, x->told_at, 1000 * sizeof x->read_at[0]), 0);
        cr_assert_eq(memcmp(key, journal_hash_key(x->j), sizeof key), 0);
    }
    fix_free(x);
}

Test(journal, a_place_that_holds_nothing_is_refused)
{
    struct fix *x = fix_new();
    char buf[RECORD_MAX];
    struct record r;
    struct err e;
    fix_open(x);
    fix_fill(x, 1, 10, 10);
    record_place first = x->told_at[0], last = x->told_at[9];
    const struct {
        record_place at;
        enum rc rc;
    } places[] = {
        {0, RC_ABSENT},          {first - 64, RC_CORRUPT}, {first + 8, RC_CORRUPT},
        {last + 72, RC_CORRUPT}, {last + 1, RC_CORRUPT},   {first + (1 << 24), RC_ABSENT},
        {UINT64_MAX, RC_ABSENT}, {first, RC_OK},           {last, RC_OK},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        cr_assert_eq(journal_read(x->j, places[i].at, buf, &r, &e), places[i].rc, "place %zu", i);
    fix_free(x);
}

Test(journal, a_cut_at_every_byte_leaves_exactly_the_records_before_it)
{
    struct fix *x = fix_new();
    size_t n;
    fix_open(x);
    fix_fill(x, 1, 12, 4);
    char *whole = fix_read_file(x, SEG1, &n);
    journal_close(x->j);
    cr_assert_eq(n, SEGMENT_HEADER_SIZE + 12 * 64);
    for (size_t cut = SEGMENT_HEADER_SIZE; cut <= n; cut++)
        for (int zeros = 0; zeros < 2; zeros++) { /* the file may have got its length, or not */
            char data[SEGMENT_HEADER_SIZE + 12 * 64] = {0};
            memcpy(data, whole, cut);
            fix_write_file(x, SEG1, data, zeros ? n : cut);
            fix_open(x);
            cr_assert_not(x->lost, "cut at %zu", cut);
            uint64_t left = (cut - SEGMENT_HEADER_SIZE) / 64; /* none ends with a zero */
            fix_expect(x, 1, left, "cut");
            x->n_told = 0;
            fix_fill(x, left + 1, 12, 4);
            fix_reopen(x);
            cr_assert_not(x->lost);
            fix_expect(x, 1, 12, "written on");
            journal_close(x->j);
            x->j = NULL;
            (void)x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG2);
        }
    free(whole);
    fix_free(x);
}

Test(journal, damage_in_what_was_durable_is_quarantined_and_the_records_before_it_are_kept)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_fill(x, 1, 10, 1);
    fix_reopen(x);
    fix_fill(x, 11, 20, 1);
    journal_close(x->j);
    fix_flip(x, SEG2, SEGMENT_HEADER_SIZE + 4 * 64 + 30); /* the fifth of the newest */
    fix_open(x);
    cr_assert(x->lost);
    fix_expect(x, 1, 14, "newest");
    cr_assert_not(fix_has(x, SEG2));
    cr_assert(fix_has(x, "quarantine/" SEG2) && fix_has(x, "quarantine/" SEG2 ".reason"));
    char buf[RECORD_MAX];
    struct record r;
    struct err e;
    cr_assert_eq(journal_read(x->j, x->read_at[13], buf, &r, &e), RC_ABSENT, "it is set aside");
    struct journal_stats stats;
    journal_stats(x->j, &stats);
    cr_assert_eq(stats.quarantined, 1);
    fix_fill(x, 15, 16, 1); /* in a third segment: the second's number is not used again */
    cr_assert_eq(x->told_at[x->n_told - 1] >> RECORD_OFFSET_BITS, 3);
    fix_free(x);
}

/* In the newest segment the same would be a torn tail. */
Test(journal, a_fault_at_the_end_of_an_older_segment_is_damage)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_fill(x, 1, 10, 10);
    fix_reopen(x);
    fix_fill(x, 11, 12, 1);
    journal_close(x->j);
    fix_flip(x, SEG1, SEGMENT_HEADER_SIZE + 9 * 64 + 30);
    fix_open(x);
    cr_assert(x->lost);
    cr_assert_eq(x->n_read, 9 + 2);
    cr_assert(fix_has(x, "quarantine/" SEG1));
    fix_free(x);
}

/* Whole records, but one is gone or stands there twice: as bytes that are no record. */
Test(journal, a_sequence_that_is_not_due_is_damage)
{
    for (int twice = 0; twice < 2; twice++) {
        struct fix *x = fix_new();
        char changed[SEGMENT_HEADER_SIZE + 11 * 64];
        const size_t four = SEGMENT_HEADER_SIZE + 3 * 64, five = four + 64;
        size_t n;
        fix_open(x);
        fix_fill(x, 1, 10, 1);
        journal_close(x->j);
        char *data = fix_read_file(x, SEG1, &n);
        cr_assert_eq(n, SEGMENT_HEADER_SIZE + 10 * 64);
        memcpy(changed, data, five);
        if (twice)
            memcpy(changed + five, data + four, n - four);
        else
            memcpy(changed + five, data + five + 64, n - five - 64);
        fix_write_file(x, SEG1, changed, twice ? n + 64 : n - 64);
        fix_open(x);
        cr_assert(x->lost);
        fix_expect(x, 1, 4, twice ? "twice" : "gone");
        cr_assert(fix_has(x, "quarantine/" SEG1));
        free(data);
        fix_free(x);
    }
}

/* One commit may reach the disk in any parts; that is no damage. */
Test(journal, holes_in_the_last_commit_are_a_torn_tail)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_fill(x, 1, 5, 1);
    fix_fill(x, 6, 15, 10);
    journal_close(x->j);
    fix_flip(x, SEG1, SEGMENT_HEADER_SIZE + 7 * 64 + 30); /* the eighth; seven whole ones follow */
    fix_open(x);
    cr_assert_not(x->lost);
    fix_expect(x, 1, 7, "torn");
    fix_free(x);
}

struct broken {
    const char *what;
    void (*break_it)(struct fix *x);
    bool lost;
    const char *aside; /* in quarantine afterwards */
};

static void header_flipped(struct fix *x)
{
    fix_flip(x, SEG2, 30);
}
static void newer_version(struct fix *x)
{
    size_t n;
    char *data = fix_read_file(x, SEG2, &n);
    data[8] = 9;
    fix_write_file(x, SEG2, data, n);
    free(data);
}
static void emptied(struct fix *x)
{
    fix_write_file(x, SEG2, "", 0);
}
static void cut_short(struct fix *x)
{
    size_t n;
    char *data = fix_read_file(x, SEG2, &n);
    fix_write_file(x, SEG2, data, n - 64);
    free(data);
}
static void copied_under_another_number(struct fix *x)
{
    size_t n;
    char *data = fix_read_file(x, SEG2, &n);
    fix_write_file(x, "0000000000000009.seg", data, n);
    free(data);
}
static void removed(struct fix *x)
{
    cr_assert_eq(x->fs->ops->unlink(x->fs->ctx, x->dirfd, SEG2), 0);
}
static void directory_instead(struct fix *x)
{
    removed(x);
    cr_assert_eq(x->fs->ops->mkdir(x->fs->ctx, x->dirfd, SEG2, 0755), 0);
}
static void foreign_files(struct fix *x)
{
    fix_write_file(x, "README", "hello", 5);
    fix_write_file(x, "0000000000000007.seg.tmp", "half a header", 13);
}
static void of_another_journal(struct fix *x)
{
    char data[SEGMENT_HEADER_SIZE];
    struct segment_header h = {.number = 2, .first_seq = 11, .hash_key = {42}};
    segment_encode_header(data, &h);
    fix_write_file(x, SEG2, data, sizeof data);
}
static void sequence_backwards(struct fix *x)
{
    char data[SEGMENT_HEADER_SIZE];
    struct segment_header h = {.number = 2, .first_seq = 1000};
    memcpy(h.hash_key, journal_hash_key(x->j), sizeof h.hash_key);
    segment_encode_header(data, &h);
    fix_write_file(x, SEG2, data, sizeof data);
}

Test(journal, whatever_happens_to_a_segment_it_starts_and_keeps_the_others)
{
    static const struct broken cases[] = {
        {"a wrong byte in the header", header_flipped, true, "quarantine/" SEG2},
        {"a newer version", newer_version, true, "quarantine/" SEG2},
        {"an empty file", emptied, true, "quarantine/" SEG2},
        {"a segment that ends too early", cut_short, true, "quarantine/" SEG2},
        {"another number", copied_under_another_number, true, "quarantine/0000000000000009.seg"},
        {"a missing segment", removed, true, NULL},
        {"a directory", directory_instead, true, "quarantine/" SEG2},
        {"foreign files", foreign_files, false, NULL},
        {"another journal's segment", of_another_journal, true, "quarantine/" SEG2},
        {"a sequence that runs backwards", sequence_backwards, true, "quarantine/" SEG2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix *x = fix_new();
        for (uint64_t s = 0; s < 3; s++) {
            fix_open(x);
            fix_fill(x, s * 10 + 1, s * 10 + 10, 5);
            if (s < 2)
                journal_close(x->j);
        }
        cases[i].break_it(x);
        fix_reopen(x);
        cr_assert_eq(x->lost, cases[i].lost, "%s", cases[i].what);
        cr_assert_geq(x->n_read, 20, "%s: %u", cases[i].what, x->n_read);
        cr_assert_eq(x->read[0], 1);
        cr_assert_eq(x->read[x->n_read - 1], 30);
        if (cases[i].aside)
            cr_assert(fix_has(x, cases[i].aside), "%s", cases[i].what);
        fix_fill(x, 31, 40, 5);
        fix_expect_told(x, x->n_told - 10, x->n_told, RC_OK);
        fix_reopen(x);
        cr_assert_eq(x->read[x->n_read - 1], 40);
        fix_free(x);
    }
}

Test(journal, what_lies_behind_the_next_segments_first_sequence_is_void)
{
    struct fix *x = fix_new();
    size_t n;
    fix_open(x);
    fix_fill(x, 1, 10, 5);
    char *ten = fix_read_file(x, SEG1, &n);
    journal_close(x->j);
    fix_write_file(x, SEG1, ten, n - 4 * 64); /* as found by the next process: six are durable */
    fix_open(x);
    fix_fill(x, 107, 109, 5);
    journal_close(x->j);
    fix_write_file(x, SEG1, ten, n); /* and now whole records behind them */
    fix_open(x);
    cr_assert_not(x->lost);
    cr_assert_eq(x->n_read, 9);
    cr_assert_eq(x->read[5], 6);
    cr_assert_eq(x->read[6], 107);
    free(ten);
    fix_free(x);
}

Test(journal, quarantine_never_overwrites)
{
    struct fix *x = fix_new();
    for (int i = 0; i < 3; i++) {
        fix_write_file(x, SEG1, "nonsense", (size_t)i);
        fix_open(x);
        cr_assert(x->lost);
        journal_close(x->j);
        x->j = NULL;
    }
    cr_assert(fix_has(x, "quarantine/" SEG1));
    cr_assert(fix_has(x, "quarantine/" SEG1 ".2"));
    cr_assert(fix_has(x, "quarantine/" SEG1 ".3") && fix_has(x, "quarantine/" SEG1 ".3.reason"));
    fix_free(x);
}

Test(journal, a_stray_file_with_the_last_number_does_not_end_it)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_fill(x, 1, 3, 1);
    journal_close(x->j);
    fix_write_file(x, "0000000008388607.seg", "stray", 5);
    for (uint64_t i = 0; i < 2; i++) {
        fix_open(x);
        cr_assert_eq(x->lost, i == 0);
        fix_fill(x, 4 + i, 4 + i, 1);
        fix_expect_told(x, x->n_told - 1, x->n_told, RC_OK);
        cr_assert_eq(x->told_at[x->n_told - 1] >> RECORD_OFFSET_BITS, 2 + i);
        fix_reopen(x);
        fix_expect(x, 1, 4 + i, "appended");
        journal_close(x->j);
    }
    x->j = NULL;
    fix_free(x);
}

Test(journal, segments_rotate_and_the_oldest_can_go)
{
    struct fix *x = fix_new();
    uint32_t number;
    int64_t newest_ns;
    struct err e;
    struct journal_stats stats;
    cr_assert_eq(fix_try_open(x, NULL, 1), RC_OK); /* the least: a header and the longest record */
    cr_assert_eq(journal_oldest(x->j, &number, &newest_ns), RC_ABSENT);
    for (uint64_t i = 1; i <= 30; i++)
        fix_append(x, i, 3000); /* two a segment */
    journal_flush(x->j);
    fix_expect_told(x, 0, 30, RC_OK);
    for (unsigned i = 0; i < 30; i++) {
        cr_assert_eq(x->told[i], i + 1, "in order");
        cr_assert_eq(x->told_at[i] >> RECORD_OFFSET_BITS, i / 2 + 1);
    }
    journal_stats(x->j, &stats);
    cr_assert_eq(stats.segments, 15);
    cr_assert_eq(stats.newest_segment, 15);
    cr_assert_eq(stats.records, 30);
    cr_assert_eq(stats.waiting, 0);
    for (uint32_t i = 1; i < 15; i++) {
        char buf[RECORD_MAX];
        struct record r;
        cr_assert_eq(journal_oldest(x->j, &number, &newest_ns), RC_OK);
        cr_assert_eq(number, i);
        cr_assert_eq(newest_ns, i * 2 * 10);
        cr_assert_eq(journal_read(x->j, x->told_at[i * 2 - 1], buf, &r, &e), RC_OK);
        cr_assert_eq(journal_drop_oldest(x->j, &e), RC_OK);
        cr_assert_eq(journal_read(x->j, x->told_at[i * 2 - 1], buf, &r, &e), RC_ABSENT);
    }
    cr_assert_eq(journal_oldest(x->j, &number, &newest_ns), RC_ABSENT, "it is being written");
    cr_assert_eq(journal_drop_oldest(x->j, &e), RC_ABSENT);
    fix_reopen(x);
    cr_assert_not(x->lost, "numbers below the lowest are not missing");
    fix_expect(x, 29, 30, "the last");
    fix_free(x);
}

Test(journal, a_full_disk_refuses_and_nothing_refused_comes_back)
{
    static const struct {
        enum faultfs_call call;
        enum faultfs_fault fault;
    } cases[] = {
        {FAULTFS_PWRITE, FAULTFS_ERROR},
        {FAULTFS_PWRITE, FAULTFS_FILLS},
        {FAULTFS_OPEN, FAULTFS_ERROR}, /* of the new segment */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix *x = fix_new();
        struct journal_stats stats;
        fix_open(x);
        bool new_segment = cases[i].call == FAULTFS_OPEN;
        unsigned before = new_segment ? 0 : 5;
        if (before)
            fix_fill(x, 1, before, 1);
        fix_arm(x, cases[i].call, cases[i].fault, ENOSPC, false);
        fix_fill(x, 101, 120, 20);
        fix_expect_told(x, before, before + 20, RC_FULL);
        journal_stats(x->j, &stats);
        cr_assert_not(stats.poisoned);
        cr_assert_eq(stats.why.rc, RC_FULL);
        cr_assert_eq(x->poisonings, 0);
        fix_fill(x, before + 1, before + 2, 2); /* shorter than what was refused */
        fix_expect_told(x, before + 20, before + 22, RC_OK);
        faultfs_kill(x->faultfs);
        x->dirfd = faultfs_root(x->faultfs);
        fix_reopen(x);
        cr_assert_not(x->lost);
        fix_expect(x, 1, before + 2, "after the disk was full");
        fix_free(x);
    }
}

Test(journal, a_failed_sync_poisons_and_a_new_segment_voids_what_is_in_doubt)
{
    static const struct {
        const char *what;
        enum faultfs_call call;
        int error;
    } cases[] = {
        {"fdatasync fails", FAULTFS_DATASYNC, EIO},
        {"fdatasync finds no space", FAULTFS_DATASYNC, ENOSPC},
        {"write fails", FAULTFS_PWRITE, EIO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fix *x = fix_new();
        fix_open(x);
        fix_fill(x, 1, 3, 1);
        for (uint64_t n = 100; n < 110; n++)
            fix_append(x, n, 4);
        fix_arm(x, cases[i].call, FAULTFS_ERROR, cases[i].error, false);
        journal_flush(x->j);
        fix_expect_told(x, 3, 13, RC_IO);
        cr_assert_eq(x->poisonings, 1, "%s", cases[i].what);
        struct journal_stats stats;
        journal_stats(x->j, &stats);
        cr_assert(stats.poisoned && *stats.why.text);
        fix_fill(x, 4, 6, 1); /* without a loop, a flush reopens it */
        fix_expect_told(x, 13, 16, RC_OK);
        cr_assert_eq(x->cures, 1);
        cr_assert_eq(x->told_at[13] >> RECORD_OFFSET_BITS, 2, "never the same segment");
        fix_reopen(x);
        cr_assert_not(x->lost, "%s", cases[i].what);
        fix_expect(x, 1, 6, cases[i].what);
        fix_free(x);
    }
}

Test(journal, it_stays_poisoned_while_its_durable_part_is_not_what_it_was)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_fill(x, 1, 3, 1);
    fix_arm(x, FAULTFS_DATASYNC, FAULTFS_ERROR, EIO, false);
    fix_fill(x, 100, 100, 1);
    faultfs_arm(x->faultfs, NULL);
    fix_flip(x, SEG1, SEGMENT_HEADER_SIZE + 70);
    fix_fill(x, 101, 101, 1);
    cr_assert_eq(x->told_rc[x->n_told - 1], RC_IO);
    cr_assert_eq(x->poisonings, 1, "told once");
    fix_flip(x, SEG1, SEGMENT_HEADER_SIZE + 70); /* as it was */
    fix_fill(x, 102, 102, 1);
    cr_assert_eq(x->told_rc[x->n_told - 1], RC_OK);
    fix_free(x);
}

static void append_again(void *arg, enum rc rc, record_place at)
{
    struct fix *x = arg;
    (void)at;
    cr_assert_eq(rc, RC_OK);
    if (x->n_told < 5) {
        fix_append(x, x->n_told + 1, 4);
        struct record r = {.type = RECORD_RETIRED};
        journal_append(x->j, &r, append_again, x);
        journal_flush(x->j); /* from within: whoever tells goes on */
    }
}

Test(journal, a_callback_may_append)
{
    struct fix *x = fix_new();
    fix_open(x);
    struct record r = {.type = RECORD_RETIRED};
    journal_append(x->j, &r, append_again, x);
    journal_flush(x->j);
    cr_assert(journal_is_idle(x->j));
    cr_assert_eq(x->n_told, 5);
    fix_free(x);
}

Test(journal, a_record_that_is_too_long_is_refused_in_its_turn)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_append(x, 1, 4);
    fix_append(x, 2, RECORD_MAX);
    fix_append(x, 3, 4);
    journal_flush(x->j);
    cr_assert_eq(x->n_told, 3);
    cr_assert(x->told_rc[0] == RC_OK && x->told_rc[1] == RC_LIMIT && x->told_rc[2] == RC_OK);
    cr_assert_eq(x->told[1], 2);
    fix_reopen(x);
    cr_assert_eq(x->n_read, 2);
    fix_free(x);
}

Test(journal, closing_cancels_what_was_not_committed)
{
    struct fix *x = fix_new();
    fix_open(x);
    fix_fill(x, 1, 2, 1);
    fix_append(x, 3, 4);
    cr_assert_not(journal_is_idle(x->j));
    fix_reopen(x);
    cr_assert_eq(x->told_rc[2], RC_CANCELLED);
    fix_expect(x, 1, 2, "closed");
    fix_free(x);
}

static enum rc stop_at_three(void *arg, record_place at, const struct record *r)
{
    (void)arg, (void)at;
    return r->hash == 3 ? RC_CANCELLED : RC_OK;
}

Test(journal, a_reader_can_end_the_opening)
{
    struct fix *x = fix_new();
    struct err e;
    fix_open(x);
    fix_fill(x, 1, 5, 1);
    journal_close(x->j);
    x->j = NULL;
    struct journal_cfg cfg = {.fs = x->fs, .dirfd = x->dirfd};
    const struct journal_reader reader = {.record = stop_at_three};
    cr_assert_eq(journal_open(&cfg, &reader, &x->lost, &x->j, &e), RC_CANCELLED);
    fix_free(x);
}

Test(journal, a_loop_commits_what_a_round_gathered_with_one_sync_and_tells_in_order)
{
    struct fix *x = fix_new();
    struct loop *loop = loop_new();
    cr_assert_eq(fix_try_open(x, loop, 0), RC_OK);
    fix_append(x, 1, 4);
    while (!journal_is_idle(x->j))
        loop_step(loop, true);
    uint64_t before = fix_calls(x, FAULTFS_DATASYNC);
    for (uint64_t i = 2; i <= 1001; i++)
        fix_append(x, i, 4);
    cr_assert_eq(x->n_told, 1, "never from within append");
    while (!journal_is_idle(x->j))
        loop_step(loop, true);
    cr_assert_eq(fix_calls(x, FAULTFS_DATASYNC) - before, 1);
    cr_assert_eq(x->n_told, 1001);
    for (unsigned i = 0; i < 1001; i++)
        cr_assert(x->told[i] == i + 1 && x->told_rc[i] == RC_OK);
    for (uint64_t i = 1002; i <= 1010; i++)
        fix_append(x, i, 4);
    journal_flush(x->j);
    fix_append(x, 1011, 4);
    journal_close(x->j); /* waits for what is under way */
    x->j = NULL;
    fix_expect_told(x, 1001, 1010, RC_OK);
    cr_assert_eq(x->told_rc[1010], RC_CANCELLED);
    loop_free(loop);
    fix_open(x);
    fix_expect(x, 1, 1010, "again");
    fix_free(x);
}

Test(journal, a_loop_reopens_a_poisoned_journal_after_a_second)
{
    struct fix *x = fix_new();
    struct loop *loop = loop_new();
    cr_assert_eq(fix_try_open(x, loop, 0), RC_OK);
    fix_append(x, 1, 4);
    while (!journal_is_idle(x->j))
        loop_step(loop, true);
    fix_arm(x, FAULTFS_DATASYNC, FAULTFS_ERROR, EIO, false);
    fix_append(x, 2, 4);
    while (!journal_is_idle(x->j))
        loop_step(loop, true);
    cr_assert(x->poisonings == 1 && x->told_rc[1] == RC_IO);
    int64_t begun = clock_mono_now_ns();
    fix_append(x, 3, 4); /* refused, not kept until it works again */
    while (x->cures == 0)
        loop_step(loop, true);
    cr_assert_eq(x->told_rc[2], RC_IO);
    cr_assert_geq(clock_mono_now_ns() - begun, 900 * CLOCK_NS_PER_MS);
    fix_append(x, 4, 4);
    while (!journal_is_idle(x->j))
        loop_step(loop, true);
    cr_assert_eq(x->told_rc[3], RC_OK);
    journal_close(x->j);
    x->j = NULL;
    loop_free(loop);
    fix_free(x);
}
