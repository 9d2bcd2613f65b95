/* spool/ledger: giving up old segments, losing some, and the power failing at any moment. */
#include "tests/torture/faultfs.h"
#include "tests/unit/spool/ledger_fix.h"

enum { FILES = 600 };

static void path_of(char out[32], int i)
{
    (void)snprintf(out, 32, "dir/file%04d", i);
}

static void small_segments(struct fix *f)
{
    fix_new(f);
    ledger_close(f->l);
    f->segment_bytes = 16384;
    fix_open(f);
}

/* Files 0, 4, 8… stay queued, 1, 5… are held, 2, 6… kept, 3, 7… are delivered and gone. */
static void fill(struct fix *f)
{
    struct ledger_file *file;
    char path[32];
    for (int i = 0; i < FILES; i++) {
        path_of(path, i);
        accept(f, path, i % 4 >= 2 ? "sent" : "waits", (uint64_t)i + 1);
    }
    flush(f);
    for (int i = 1; i < FILES; i += 4) {
        path_of(path, i);
        cr_assert_eq(ledger_hold_path(f->l, path, strlen(path),
                                      &(struct err){.code = "by-hand", .text = "until it is known"},
                                      NULL, NULL),
                     RC_OK);
    }
    flush(f);
    while ((file = ledger_take_from(f->l, queue_lane(ledger_queue(f->l), "sent", 4), false)) !=
           NULL) {
        bool keep = file->id.size % 4 == 3;
        ledger_deliver(f->l, file, receipt(), NULL, NULL);
        flush(f);
        ledger_retire(f->l, file, keep ? RECORD_KEPT : 0);
    }
    flush(f);
}

static void check(struct fix *f)
{
    static const char *const want[] = {"accepted", "held", "delivered", ""};
    struct ledger_view v;
    char path[32];
    for (int i = 0; i < FILES; i++) {
        path_of(path, i);
        cr_assert_str_eq(state(f, path), want[i % 4], "%s", path);
        if (i % 4 == 1) {
            cr_assert_eq(ledger_find(f->l, path, strlen(path), &v), RC_OK);
            cr_assert_str_eq(v.code, "by-hand");
            cr_assert_str_eq(v.text, "until it is known");
        }
    }
    cr_assert_eq(ledger_count(f->l, LEDGER_ACCEPTED), FILES / 4);
    cr_assert_eq(ledger_count(f->l, LEDGER_HELD), FILES / 4);
    cr_assert_eq(ledger_count(f->l, LEDGER_DELIVERED), FILES / 4);
    cr_assert_eq(lane_counts(f, "waits").files, FILES / 4);
    cr_assert_eq(lane_counts(f, "sent").files, 0);
}

static uint32_t oldest(struct fix *f)
{
    uint32_t segment = 0;
    int64_t newest_ns;
    return journal_oldest(ledger_journal(f->l), &segment, &newest_ns) == RC_OK ? segment : 0;
}

/* In order of age within each segment that was carried over. */
static void check_order(struct fix *f, enum ledger_state s, uint32_t segments)
{
    static struct ledger_row rows[FILES];
    char cursor[64] = "";
    size_t n = ledger_page(f->l, s, cursor, rows, FILES), steps_back = 0;
    cr_assert_eq(n, FILES / 4);
    for (size_t i = 1; i < n; i++)
        steps_back += rows[i - 1].accepted_ns > rows[i].accepted_ns;
    cr_assert_leq(steps_back, segments);
}

Test(ledger_compact, old_segments_go_and_what_lives_is_carried_over_as_it_is)
{
    struct fix f;
    struct ledger_view before, after;
    small_segments(&f);
    fill(&f);
    cr_assert_eq(ledger_find(f.l, "dir/file0000", 12, &before), RC_OK);
    uint32_t last = 0, first = oldest(&f);
    struct journal_stats stats;
    journal_stats(ledger_journal(f.l), &stats);
    last = stats.newest_segment;
    cr_assert_gt(last, first + 5);

    ledger_compact(f.l, f.now);
    flush(&f);
    cr_assert_eq(oldest(&f), first, "its receipts are not old enough");
    f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    for (int i = 0; oldest(&f) < last; i++) {
        cr_assert_lt(i, 300);
        uint32_t was = oldest(&f);
        ledger_compact(f.l, f.now);
        if (i % 4 == 3)
            restart(&f); /* before the carried-over files are durable */
        flush(&f);
        if (oldest(&f) != was)
            check(&f);
        if (i % 5 == 4)
            restart(&f);
        if (oldest(&f) == 0)
            break;
    }
    for (int i = 0; i < 2; i++) {
        check(&f);
        check_order(&f, LEDGER_ACCEPTED, last - first + 1);
        check_order(&f, LEDGER_HELD, last - first + 1);
        cr_assert_eq(ledger_find(f.l, "dir/file0000", 12, &after), RC_OK);
        cr_assert(after.accepted_ns == before.accepted_ns && after.first > before.first);
        cr_assert(identity_equal(&after.id, &before.id));
        restart(&f);
    }
    fix_free(&f);
}

Test(ledger_compact, a_taken_file_postpones_its_segment_and_a_failing_disk_too)
{
    struct fix f;
    small_segments(&f);
    fill(&f);
    struct ledger_file *file = ledger_take(f.l);
    uint32_t first = oldest(&f);
    cr_assert_eq(file->first >> RECORD_OFFSET_BITS, first);
    f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    f.broken = true;
    for (int i = 0; i < 3; i++) {
        ledger_compact(f.l, f.now);
        flush(&f);
    }
    mend(&f);
    for (int i = 0; i < 5; i++) {
        ledger_compact(f.l, f.now);
        flush(&f);
        cr_assert_eq(oldest(&f), first);
    }
    ledger_put_back(f.l, file);
    check(&f);
    for (int i = 0; i < 3; i++) {
        ledger_compact(f.l, f.now);
        flush(&f);
    }
    cr_assert_gt(oldest(&f), first);
    check(&f);
    fix_free(&f);
}

static void compact_often(struct fix *f)
{
    for (int i = 0; i < 8; i++) {
        ledger_compact(f->l, f->now);
        flush(f);
    }
}

/* Its segment goes, and all before it; it stays as it is. */
static void give_up_segment_of(struct fix *f, const struct ledger_file *file)
{
    const uint32_t began = (uint32_t)(file->first >> RECORD_OFFSET_BITS);
    struct ledger_view v;
    f->now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    for (int i = 0; oldest(f) <= began; i++) {
        cr_assert_lt(i, 100);
        compact_often(f);
    }
    cr_assert_gt(file->first >> RECORD_OFFSET_BITS, began);
    cr_assert_eq(ledger_find(f->l, file->path, file->path_len, &v), RC_OK);
    cr_assert(v.file == file && v.state == LEDGER_DEFERRED);
}

Test(ledger_compact, a_file_that_waits_for_its_next_try_for_ever_keeps_no_segment)
{
    struct fix f;
    const struct err why = {.text = "it cannot be read"};
    small_segments(&f);
    fill(&f);
    struct ledger_file *file = ledger_take(f.l);
    const int64_t accepted_ns = file->accepted_ns;
    ledger_attempt(f.l, file, 1, &why);
    flush(&f);
    file->state = LEDGER_DEFERRED;
    const record_place first = file->first;
    cr_assert_eq(first >> RECORD_OFFSET_BITS, oldest(&f));
    f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    f.broken = true;
    compact_often(&f);
    cr_assert_eq(file->first, first, "nothing can be written");
    mend(&f);
    give_up_segment_of(&f, file);
    for (int i = 0; i < 400; i++) /* some segments of them */
        ledger_attempt(f.l, file, i % 2, &why);
    flush(&f);
    give_up_segment_of(&f, file);
    file->attempts = 7;
    ledger_attempt(f.l, file, 1, &why);
    flush(&f);
    restart(&f);
    check(&f);
    file = ledger_take(f.l);
    cr_assert_str_eq(file->path, "dir/file0000");
    cr_assert_eq(file->accepted_ns, accepted_ns);
    cr_assert_eq(file->attempts, 7, "what went with the segments is told anew");
    ledger_deliver(f.l, file, receipt(), NULL, NULL);
    flush(&f);
    ledger_retire(f.l, file, 0);
    flush(&f);
    restart(&f);
    cr_assert_str_eq(state(&f, "dir/file0000"), "");
    cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), FILES / 4 - 1);
    fix_free(&f);
}

/* From the disk, unnoticed by a ledger that runs and has not read it yet. */
static void damage(struct fix *f, record_place at)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%016u.seg", (unsigned)(at >> RECORD_OFFSET_BITS));
    int fd = openat(f->dir.fd, name, O_WRONLY | O_CLOEXEC);
    off_t offset = (off_t)(at & ((1u << RECORD_OFFSET_BITS) - 1)) + 40;
    cr_assert(fd >= 0 && pwrite(fd, "damage", 6, offset) == 6 && close(fd) == 0);
}

static struct ledger_file *take(struct fix *f, const char *type)
{
    return ledger_take_from(f->l, queue_lane(ledger_queue(f->l), type, strlen(type)), false);
}

Test(ledger_compact, it_says_whether_to_call_it_again_soon)
{
    struct fix f;
    struct journal_stats stats;
    small_segments(&f);
    fill(&f);
    journal_stats(ledger_journal(f.l), &stats);
    uint32_t last = stats.newest_segment;
    cr_assert_not(ledger_compact(f.l, f.now), "nothing is old enough");
    f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    f.broken = true;
    cr_assert(ledger_compact(f.l, f.now));
    flush(&f);
    cr_assert_not(ledger_compact(f.l, f.now), "the disk fails: not at once again");
    mend(&f);
    for (int i = 0; ledger_compact(f.l, f.now); i++) {
        cr_assert_lt(i, 300);
        flush(&f);
    }
    cr_assert_gt(oldest(&f), last, "all that was old went in one go");
    check(&f);
    fix_free(&f);
}

Test(ledger_compact, a_record_lost_at_work_keeps_no_segment_however_busy_it_is)
{
    struct fix f;
    struct ledger_view v;
    struct ledger_file *file;
    small_segments(&f);
    accept(&f, "comes back", "back", 1);
    accept(&f, "is tried", "tried", 1);
    accept(&f, "stays delivered", "stays", 1);
    fill(&f);
    for (int i = 1; i < 3; i++) { /* its first place in another segment is then out of date */
        file = take(&f, "back");
        ledger_attempt(f.l, file, i, &(struct err){.text = "no answer"});
        flush(&f);
        ledger_put_back(f.l, file);
    }
    restart(&f); /* nothing is in memory of what was read */
    uint32_t first = oldest(&f);
    cr_assert_eq(ledger_find(f.l, "dir/file0002", 12, &v), RC_OK);
    cr_assert_eq(v.first >> RECORD_OFFSET_BITS, first);
    restart(&f);
    damage(&f, v.last);
    struct ledger_file *tried = take(&f, "tried"), *later = take(&f, "stays");
    ledger_attempt(f.l, tried, 1, &(struct err){.text = "no answer"});
    ledger_deliver(f.l, later, receipt(), NULL, NULL);
    accept(&f, "new", "busy", 1);
    flush(&f);
    cr_assert_not_null(take(&f, "busy"));
    ledger_retire_later(f.l, later);
    f.now += (int64_t)KEEP_MS * CLOCK_NS_PER_MS;
    compact_often(&f);
    cr_assert_eq(oldest(&f), first, "files that began in it are taken and delivered");
    ledger_put_back(f.l, tried);
    compact_often(&f);
    cr_assert_eq(oldest(&f), first, "one is delivered");
    later = ledger_take_delivered(f.l);
    cr_assert_str_eq(later->path, "stays delivered");
    compact_often(&f);
    cr_assert_eq(oldest(&f), first, "and not retired");
    ledger_retire(f.l, later, 0);
    flush(&f);
    compact_often(&f);
    cr_assert_gt(oldest(&f), first);
    cr_assert_str_eq(state(&f, "is tried"), "accepted");
    cr_assert_str_eq(state(&f, "comes back"), "accepted");
    cr_assert_str_eq(state(&f, "dir/file0002"), "", "the next scan finds it");
    fix_free(&f);
}

/* What a scan of the spool would do after a loss. */
static void accept_missing(struct fix *f, int *missing)
{
    char path[32];
    *missing = 0;
    for (int i = 0; i < FILES; i++) {
        path_of(path, i);
        if (i % 4 == 3 || state(f, path)[0])
            continue;
        ++*missing;
        accept(f, path, "waits", (uint64_t)i + 1);
    }
    flush(f);
}

Test(ledger_compact, losing_any_segment_costs_some_entries_and_nothing_else)
{
    struct journal_stats stats;
    struct fix f;
    char name[32], path[32];
    small_segments(&f);
    fill(&f);
    journal_stats(ledger_journal(f.l), &stats);
    uint32_t last = stats.newest_segment, any = 0;
    for (uint32_t segment = oldest(&f); segment < last; segment += 3) {
        int missing, files = 0;
        ledger_close(f.l);
        (void)snprintf(name, sizeof name, "%016u.seg", segment);
        int fd = openat(f.dir.fd, name, O_WRONLY | O_CLOEXEC);
        cr_assert(fd >= 0 && pwrite(fd, "damage", 6, 9000) == 6 && close(fd) == 0);
        fix_open(&f);
        cr_assert(f.lost);
        accept_missing(&f, &missing);
        any += (uint32_t)missing;
        cr_assert_lt(missing, FILES / 2);
        uint64_t all = 0;
        for (int s = 0; s < LEDGER_STATE_COUNT_; s++)
            all += ledger_count(f.l, (enum ledger_state)s);
        for (int i = 0; i < FILES; i++) {
            path_of(path, i);
            files += state(&f, path)[0] != '\0';
        }
        cr_assert_eq(all, (uint64_t)files, "no path has two entries, none is unreadable: %lu, %d",
                     all, files);
        cr_assert_eq(lane_counts(&f, "waits").files + lane_counts(&f, "sent").files,
                     ledger_count(f.l, LEDGER_ACCEPTED));
    }
    cr_assert_gt(any, 50);
    size_t waiting = ledger_count(f.l, LEDGER_ACCEPTED);
    while (ledger_take(f.l))
        waiting--;
    cr_assert_eq(waiting, 0);
    fix_free(&f);
}

/* ---- the power fails ---- */

struct torn {
    struct fix f;
    struct faultfs *disk;
    int acknowledged[20]; /* 1: told RC_OK */
};

static void torn_open(struct torn *t)
{
    struct ledger_cfg cfg = {
        .journal = {.fs = faultfs_fsio(t->disk),
                    .dirfd = faultfs_root(t->disk),
                    .segment_bytes = 1,
                    .wall_ns = fix_wall_ns,
                    .wall_arg = &t->f},
        .receipts_keep_ms = 1,
    };
    struct err e = {0};
    enum rc rc = ledger_open(&cfg, &t->f.lost, &t->f.l, &e);
    cr_assert_eq(rc, RC_OK, "%s", e.text);
}

static void flush_some(struct torn *t)
{
    for (int i = 0; i < 3 && !journal_is_idle(ledger_journal(t->f.l)); i++)
        journal_flush(ledger_journal(t->f.l));
}

/* Twenty files of 600-byte paths: several segments; held, delivered, compacted. */
static void torn_life(struct torn *t)
{
    struct ledger *l = t->f.l;
    struct ledger_file *file;
    char path[600];
    for (int i = 0; i < 20; i++) {
        struct identity id = id_of((uint64_t)i);
        memset(path, 'a' + i, sizeof path);
        ledger_accept(l, path, sizeof path, &id, "audit", count_ok, &t->acknowledged[i]);
        flush_some(t);
    }
    memset(path, 'a' + 19, sizeof path);
    (void)!ledger_hold_path(l, path, sizeof path, &(struct err){.code = "by-hand", .text = "x"},
                            NULL, NULL);
    flush_some(t);
    for (int i = 0; i < 6 && (file = ledger_take(l)) != NULL; i++) {
        ledger_deliver(l, file, receipt(), NULL, NULL);
        flush_some(t);
        if (file->delivered)
            ledger_retire(l, file, RECORD_KEPT);
        else
            ledger_put_back(l, file);
        flush_some(t);
    }
    for (int i = 0; i < 6; i++) {
        t->f.now += CLOCK_NS_PER_S;
        ledger_compact(l, t->f.now);
        flush_some(t);
    }
}

static void torn_check(struct torn *t, uint64_t nth)
{
    char path[600];
    uint64_t all = 0, found = 0;
    torn_open(t);
    cr_assert_not(t->f.lost, "call %lu", nth);
    for (int s = 0; s < LEDGER_STATE_COUNT_; s++)
        all += ledger_count(t->f.l, (enum ledger_state)s);
    for (int i = 0; i < 20; i++) {
        memset(path, 'a' + i, sizeof path);
        bool known = ledger_knows(t->f.l, path, sizeof path, NULL);
        found += known;
        cr_assert(known || t->acknowledged[i] != 1, "call %lu: file %d was promised", nth, i);
    }
    cr_assert_eq(found, all, "call %lu: each entry once", nth);
    ledger_close(t->f.l);
}

Test(ledger_compact, whichever_call_the_power_fails_at_what_was_promised_is_there)
{
    fix_quiet();
    for (uint64_t nth = 1, fired = 1; fired; nth++) {
        struct torn t = {.f.now = CLOCK_NS_PER_S};
        const struct faultfs_plan plan = {.nth = nth, .fault = FAULTFS_POWER};
        t.disk = faultfs_new();
        torn_open(&t);
        faultfs_arm(t.disk, &plan);
        torn_life(&t);
        fired = faultfs_fired(t.disk);
        ledger_close(t.f.l);
        faultfs_restart(t.disk, nth % 3);
        torn_check(&t, nth);
        faultfs_restart(t.disk, 0);
        torn_check(&t, nth);
        faultfs_free(t.disk);
        cr_assert(nth > 100 || fired);
    }
}
