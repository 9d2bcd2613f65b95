/* spool/ledger: what is told while it is opened, and a machine that cannot read the journal now. */
#include "tests/unit/spool/ledger_fix.h"

struct heard {
    size_t times, of;
    bool in_turn;
};

static void small_segments(struct fix *f)
{
    fix_new(f);
    ledger_close(f->l);
    f->segment_bytes = 16384;
    fix_open(f);
}

static void hear(void *arg, size_t nth, size_t of)
{
    struct heard *h = arg;
    h->in_turn = h->in_turn && nth == ++h->times;
    h->of = of;
}

Test(ledger_open, each_segment_is_told_before_it_is_read)
{
    struct fix f;
    struct heard h = {.in_turn = true};
    struct journal_stats stats;
    struct err e = {0};
    char path[32];
    small_segments(&f);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(path, sizeof path, "file%d", i);
        accept(&f, path, "audit", 1);
    }
    flush(&f);
    journal_stats(ledger_journal(f.l), &stats);
    cr_assert_gt(stats.segments, 3);
    ledger_close(f.l);
    const struct ledger_cfg cfg = {
        .journal = {.fs = &f.fs, .dirfd = f.dir.fd}, .reading = hear, .reading_arg = &h};
    cr_assert_eq(ledger_open(&cfg, &f.lost, &f.l, &e), RC_OK, "%s", e.text);
    cr_expect(h.in_turn);
    cr_expect_eq(h.times, stats.segments);
    cr_expect_eq(h.of, stats.segments);
    fix_free(&f);
}

/* ---- no descriptors, no memory ---- */

static int no_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    return flags & O_WRONLY || flags & O_RDWR
               ? fsio_system.ops->open(NULL, dirfd, path, flags, mode)
               : -EMFILE;
}

static ssize_t no_pread(void *ctx, int fd, void *data, size_t n, uint64_t offset)
{
    (void)ctx;
    (void)fd;
    (void)data;
    (void)n;
    (void)offset;
    return -ENOMEM;
}

static void told(void *arg, enum rc rc)
{
    *(enum rc *)arg = rc;
}

enum { FILLERS = 1000 }; /* of a KiB each, in segments as large as a window of the journal's */

static void read_fillers(struct fix *f)
{
    char path[1000];
    memset(path, 'x', sizeof path);
    for (int i = 0; i < FILLERS; i++) {
        (void)snprintf(path, sizeof path - 1, "%04d", i);
        path[4] = 'x';
        cr_assert(ledger_knows(f->l, path, sizeof path, NULL));
    }
}

static void fill(struct fix *f)
{
    accept(f, "held", "audit", 1);
    accept(f, "forgotten", "audit", 2);
    accept(f, "queued", "audit", 3);
    accept(f, "sent", "sent", 4);
    flush(f);
    const struct err why = {.code = "by-hand", .text = "until it is known"};
    cr_assert_eq(ledger_hold_path(f->l, "held", 4, &why, NULL, NULL), RC_OK);
    cr_assert_eq(ledger_forget_path(f->l, "forgotten", 9, &why, NULL, NULL), RC_OK);
    struct ledger_file *sent =
        ledger_take_from(f->l, queue_lane(ledger_queue(f->l), "sent", 4), false);
    ledger_deliver(f->l, sent, receipt(), NULL, NULL);
    flush(f);
    char path[1000];
    memset(path, 'x', sizeof path);
    for (int i = 0; i < FILLERS; i++) {
        const struct identity id = id_of(1);
        (void)snprintf(path, sizeof path - 1, "%04d", i);
        path[4] = 'x';
        ledger_accept(f->l, path, sizeof path, &id, "filler", NULL, NULL);
    }
    flush(f);
    restart(f);
    read_fillers(f); /* then nothing of the first ones is in memory */
}

static void check_untouched(struct fix *f)
{
    cr_expect_str_eq(state(f, "held"), "held");
    cr_expect_str_eq(state(f, "forgotten"), "forgotten");
    cr_expect_str_eq(state(f, "queued"), "accepted");
    cr_expect_eq(ledger_count(f->l, LEDGER_HELD), 1);
    cr_expect_eq(ledger_count(f->l, LEDGER_FORGOTTEN), 1);
    cr_expect_eq(ledger_count(f->l, LEDGER_ACCEPTED), 1 + FILLERS);
    cr_expect_eq(lane_counts(f, "audit").files, 1);
}

Test(ledger_open, what_cannot_be_read_now_is_not_taken_for_nobodys)
{
    static const char *const paths[] = {"held", "forgotten", "queued", "sent"};
    for (int i = 0; i < 2; i++) {
        struct fix f;
        struct ledger_view v;
        small_segments(&f);
        fill(&f);
        const struct fsio_ops good = f.ops;
        if (i == 0)
            f.ops.open = no_open;
        else
            f.ops.pread = no_pread;
        for (size_t k = 0; k < sizeof paths / sizeof paths[0]; k++) {
            enum rc rc = ledger_find(f.l, paths[k], strlen(paths[k]), &v), done = RC_OK;
            cr_expect(rc != RC_OK && rc != RC_ABSENT, "%s: %s", paths[k], rc_name(rc));
            struct identity id = id_of(9);
            ledger_accept(f.l, paths[k], strlen(paths[k]), &id, "audit", told, &done);
            flush(&f);
            cr_expect_neq(done, RC_OK, "%s is accepted beside itself", paths[k]);
        }
        cr_expect_null(ledger_take_from(f.l, queue_lane(ledger_queue(f.l), "audit", 5), false));
        cr_expect_null(ledger_take_delivered(f.l));
        f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
        ledger_compact(f.l, f.now);
        flush(&f);
        f.ops = good;
        check_untouched(&f);
        struct ledger_file *sent = ledger_take_delivered(f.l);
        cr_assert(sent && strcmp(sent->path, "sent") == 0, "it is still to be removed");
        restart(&f);
        check_untouched(&f);
        fix_free(&f);
    }
}

static int opens, fail_at;

static int nth_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    return ++opens == fail_at ? -EMFILE : fsio_system.ops->open(NULL, dirfd, path, flags, mode);
}

static struct ledger_file *try_once(struct fix *f, const char *type)
{
    struct ledger_file *file =
        ledger_take_from(f->l, queue_lane(ledger_queue(f->l), type, strlen(type)), false);
    ledger_attempt(f->l, file, 1, &(struct err){.text = "no answer"});
    flush(f);
    return file;
}

/* In four segments: what replay counts, puts in its lane and doubts only when it can read. */
static void life(struct fix *f)
{
    static const char *const paths[] = {"held", "forgotten", "tried", "released"};
    const struct err why = {.code = "by-hand", .text = "until it is known"};
    fix_new(f);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        accept(f, paths[i], paths[i], i + 1);
    flush(f);
    restart(f);
    cr_assert_eq(ledger_hold_path(f->l, "held", 4, &why, NULL, NULL), RC_OK);
    cr_assert_eq(ledger_hold_path(f->l, "released", 8, &why, NULL, NULL), RC_OK);
    cr_assert_eq(ledger_forget_path(f->l, "forgotten", 9, &why, NULL, NULL), RC_OK);
    flush(f);
    cr_assert_eq(ledger_release_path(f->l, "released", 8, NULL, NULL), RC_OK);
    ledger_put_back(f->l, try_once(f, "tried"));
    restart(f);
    accept(f, "doubted", "doubted", 5);
    flush(f);
    restart(f);
    (void)try_once(f, "doubted");
    ledger_close(f->l);
}

Test(ledger_open, it_is_not_opened_without_what_cannot_be_read_now)
{
    static const char *const want[][2] = {{"held", "held"},
                                          {"forgotten", "forgotten"},
                                          {"tried", "accepted"},
                                          {"released", "accepted"}};
    for (int loses = 0; loses < 2; loses++) {
        struct fix f;
        struct err e;
        int failed = 0;
        life(&f);
        if (loses) {
            int fd = openat(f.dir.fd, "0000000000000003.seg", O_WRONLY | O_CLOEXEC);
            cr_assert(fd >= 0 && pwrite(fd, "damage", 6, 80) == 6 && close(fd) == 0);
        }
        f.ops.open = nth_open;
        for (fail_at = opens = 1; opens >= fail_at - 1; fail_at++) {
            cr_assert_lt(fail_at, 100);
            opens = 0;
            if (fix_try_open(&f, &e) != RC_OK) {
                cr_assert_eq(e.sys_errno, EMFILE, "%s", e.text);
                failed++;
                continue;
            }
            for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
                const char *path = want[i][0];
                cr_assert_str_eq(state(&f, path), want[i][1], "%s, open %d", path, fail_at);
                cr_assert_eq(lane_counts(&f, path).files, i >= 2, "%s, open %d", path, fail_at);
            }
            cr_assert_str_eq(state(&f, "doubted"), loses ? "" : "accepted");
            ledger_close(f.l);
        }
        cr_assert_gt(failed, 0);
        f.ops.open = fsio_system.ops->open;
        fix_open(&f);
        fix_free(&f);
    }
}

/* ---- a segment that will never be readable again ---- */

static int no_first(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    (void)ctx;
    return strcmp(path, "0000000000000001.seg") == 0
               ? -EIO
               : fsio_system.ops->open(NULL, dirfd, path, flags, mode);
}

static size_t count_lines(FILE *log, const char *with)
{
    char line[4096];
    size_t n = 0;
    rewind(log);
    while (fgets(line, sizeof line, log))
        n += strstr(line, with) != NULL;
    return n;
}

Test(ledger_open, a_segment_that_cannot_be_opened_any_more_stops_nothing)
{
    struct fix f;
    enum rc done = RC_IO;
    uint32_t segment;
    int64_t newest_ns;
    small_segments(&f);
    fill(&f);
    accept(&f, "later", "sent", 5);
    flush(&f);
    struct ledger_file *file =
        ledger_take_from(f.l, queue_lane(ledger_queue(f.l), "sent", 4), false);
    ledger_deliver(f.l, file, receipt(), NULL, NULL);
    flush(&f);
    restart(&f);
    read_fillers(&f);
    FILE *log = tmpfile();
    cr_assert_not_null(log);
    log_setup(fileno(log), LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    f.ops.open = no_first;
    file = ledger_take_delivered(f.l);
    cr_assert(file && strcmp(file->path, "later") == 0, "it is not behind the other for ever");
    ledger_retire(f.l, file, 0);
    const struct identity id = id_of(9);
    ledger_accept(f.l, "held", 4, &id, "audit", told, &done);
    flush(&f);
    cr_assert_eq(done, RC_OK, "that somebody may have had its path keeps nobody away");
    file = ledger_take_from(f.l, queue_lane(ledger_queue(f.l), "audit", 5), false);
    cr_assert(file && strcmp(file->path, "held") == 0);
    f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    for (int i = 0; journal_oldest(ledger_journal(f.l), &segment, &newest_ns) == RC_OK; i++) {
        if (segment > 1)
            break;
        cr_assert_lt(i, 100, "it is kept");
        ledger_compact(f.l, f.now);
        flush(&f);
    }
    cr_assert_eq(count_lines(log, "segment_unreadable"), 1);
    fix_quiet();
    (void)fclose(log);
    fix_free(&f);
}

Test(ledger_open, what_waits_in_a_segment_that_cannot_be_opened_goes_at_once_and_decisions_stay)
{
    enum { WAITING = 2000 };
    struct fix f;
    char path[32];
    size_t taken = 0;
    const struct err why = {.code = "by-hand", .text = "until it is known"};
    fix_new(&f);
    accept(&f, "held", "audit", 1);
    for (int i = 0; i < WAITING; i++) {
        (void)snprintf(path, sizeof path, "waits%d", i);
        accept(&f, path, "audit", 1);
    }
    accept(&f, "other", "other", 1);
    flush(&f);
    cr_assert_eq(ledger_hold_path(f.l, "held", 4, &why, NULL, NULL), RC_OK);
    flush(&f);
    restart(&f);
    accept(&f, "later", "audit", 2);
    flush(&f);
    restart(&f);
    FILE *log = tmpfile();
    cr_assert_not_null(log);
    log_setup(fileno(log), LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    const struct fsio_ops good = f.ops;
    f.ops.open = no_first;
    cr_assert(ledger_knows(f.l, "later", 5, NULL)); /* now another segment is the open one */
    struct ledger_file *file;
    do { /* the first of them are in memory, since the held one lies beside them */
        file = ledger_take_from(f.l, queue_lane(ledger_queue(f.l), "audit", 5), false);
        cr_assert_not_null(file);
    } while (++taken < WAITING && strcmp(file->path, "later") != 0);
    cr_assert_lt(taken, WAITING);
    cr_assert_eq(lane_counts(&f, "audit").files, taken);
    cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), 0);
    cr_assert_null(ledger_take_from(f.l, queue_lane(ledger_queue(f.l), "other", 5), false));
    cr_assert_eq(lane_counts(&f, "other").files, 0);
    cr_assert_eq(count_lines(log, "record_unreadable"), 1, "the index is looked through once");
    accept(&f, "other", "other", 3);
    flush(&f);
    file = ledger_take_from(f.l, queue_lane(ledger_queue(f.l), "other", 5), false);
    cr_assert(file && strcmp(file->path, "other") == 0, "it is taken on anew");
    f.ops = good;
    cr_assert_str_eq(state(&f, "held"), "held", "it may be that it can be read again");
    fix_quiet();
    (void)fclose(log);
    fix_free(&f);
}
