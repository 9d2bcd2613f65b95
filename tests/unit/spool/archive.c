#include "spool/archive.h"

#include "base/clock.h"
#include "spool/dirpage.h"

#include "tests/torture/faultfs.h"
#include "tests/unit/spool/disk.h"
#include "tests/unit/spool/failing.h"
#include "tests/unit/spool/scratch.h"

#include <errno.h>

#define A ARCHIVE_DIR "/"
#define NOW                                                                                        \
    (INT64_C(20780) * 86400 * CLOCK_NS_PER_S + 3600 * CLOCK_NS_PER_S) /* 2026-11-23, 01:00 */

static const struct archive_limits no_limits;

static void sweep(const struct scratch *s, struct archive_limits limits,
                  struct archive_usage *usage)
{
    struct err e = {0};
    cr_assert_eq(archive_sweep(&fsio_system, s->fd, &limits, NOW, usage, &e), RC_OK, "%s", e.text);
}

static struct scratch set_up(void)
{
    struct scratch s = scratch_new();
    scratch_write(&s, A "2026-11-20/a/b/1", "12345");
    (void)usleep(20000); /* so that the clock of the times has moved on */
    scratch_write(&s, A "2026-11-20/a/2", "1234567890");
    scratch_write(&s, A "2026-11-21/a/3", "12345");
    scratch_write(&s, A "2026-11-21/b", "12345");
    (void)usleep(20000);
    scratch_write(&s, A "2026-11-21/a/0", "12345");
    scratch_write(&s, A "2026-11-23/a", "12345");
    scratch_write(&s, A "README", "not ours");
    return s;
}

Test(archive, without_limits_it_is_only_measured)
{
    struct scratch s = scratch_new();
    struct archive_usage u;
    sweep(&s, no_limits, &u);
    cr_expect_eq(u.files, 0);
    scratch_free(&s);
    s = set_up();
    sweep(&s, no_limits, &u);
    cr_expect_eq(u.files, 6);
    cr_expect_eq(u.bytes, 35);
    cr_expect_eq(u.removed_files, 0);
    cr_expect(scratch_has(&s, A "2026-11-20/a/b/1"));
    scratch_free(&s);
}

Test(archive, dates_that_are_wholly_too_old_go_with_their_directories)
{
    const uint64_t day_ms = UINT64_C(86400000);
    /* At 01:00 on the 23rd the 20th has been over for 49 hours, the 21st for 25. */
    static const struct {
        uint64_t hours;
        unsigned dates;
    } cases[] = {{1, 1}, {24, 1}, {25, 1}, {26, 2}, {49, 2}, {50, 3}, {5000, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scratch s = set_up();
        struct archive_usage u;
        sweep(&s, (struct archive_limits){.keep_ms = cases[i].hours * day_ms / 24}, &u);
        cr_expect_eq(scratch_count(&s, ARCHIVE_DIR), cases[i].dates + 1, "%zu", i);
        cr_expect_eq(u.files + u.removed_files, 6);
        cr_expect_eq(u.bytes + u.removed_bytes, 35);
        cr_expect(scratch_has(&s, A "2026-11-23/a"));
        cr_expect(scratch_has(&s, A "README"));
        scratch_free(&s);
    }
    struct scratch s = set_up();
    struct archive_usage u;
    sweep(&s, (struct archive_limits){.keep_ms = UINT64_MAX, .bytes = UINT64_MAX}, &u);
    cr_expect_eq(u.files, 6);
    scratch_free(&s);
}

Test(archive, over_its_bytes_the_oldest_dates_go_and_then_the_oldest_files)
{
    static const struct {
        uint64_t bytes, left, files;
    } cases[] = {{35, 35, 6}, {34, 30, 5}, {30, 30, 5}, {20, 20, 4}, {19, 15, 3},
                 {10, 10, 2}, {9, 5, 1},   {5, 5, 1},   {1, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scratch s = set_up();
        struct archive_usage u;
        sweep(&s, (struct archive_limits){.bytes = cases[i].bytes}, &u);
        cr_expect_leq(u.bytes, cases[i].bytes);
        cr_expect_eq(u.bytes, cases[i].left, "%zu: %llu", i, (unsigned long long)u.bytes);
        cr_expect_eq(u.files, cases[i].files, "%zu: %llu", i, (unsigned long long)u.files);
        cr_expect_eq(u.files + u.removed_files, 6);
        cr_expect_eq(u.bytes + u.removed_bytes, 35);
        if (cases[i].bytes == 10)
            cr_expect(scratch_has(&s, A "2026-11-21/a/0"), "the newest of its date stays");
        scratch_free(&s);
    }
}

Test(archive, more_files_than_are_looked_at_at_once_are_thinned_too)
{
    struct scratch s = scratch_new();
    struct archive_usage u;
    char path[64];
    scratch_mkdirs(&s, A "2026-11-20/d");
    for (int i = 0; i < 9000; i++) {
        (void)snprintf(path, sizeof path, A "2026-11-20/d/%d", i);
        scratch_write(&s, path, "x");
    }
    sweep(&s, (struct archive_limits){.bytes = 700}, &u);
    cr_expect_eq(u.files, 700);
    cr_expect_eq(u.removed_files, 8300);
    cr_expect_eq(scratch_count(&s, A "2026-11-20/d"), 700);
    scratch_free(&s);
}

/* How often a directory is read, and after how many calls a stop comes. */
struct watched {
    int lists, calls, stop_at;
    atomic_bool stop;
};

static bool watch(void *arg, const char *call)
{
    struct watched *w = arg;
    w->lists += strcmp(call, "list") == 0;
    if (++w->calls == w->stop_at)
        atomic_store(&w->stop, true);
    return false;
}

Test(archive, a_directory_of_many_files_is_read_once_to_count_it_and_once_to_remove_it)
{
    struct scratch s = scratch_new();
    struct watched w = {0};
    struct failing failing = {.before = watch, .arg = &w};
    const struct fsio fs = {&failing_ops, &failing};
    struct archive_usage u;
    char path[64];
    scratch_mkdirs(&s, A "2026-11-20/d");
    for (int i = 0; i < DIRPAGE_MAX + 1; i++) {
        (void)snprintf(path, sizeof path, A "2026-11-20/d/%d", i);
        scratch_write(&s, path, "x");
    }
    cr_assert_eq(archive_sweep(&fs, s.fd, &no_limits, NOW, &u, NULL), RC_OK);
    cr_expect_eq(u.files, DIRPAGE_MAX + 1);
    cr_expect_eq(w.lists, 4, "the archive twice, the date and what is in it: %d", w.lists);
    const struct archive_limits old = {.keep_ms = 1};
    w.lists = 0;
    cr_assert_eq(archive_sweep(&fs, s.fd, &old, NOW, &u, NULL), RC_OK);
    cr_expect_eq(u.removed_files, DIRPAGE_MAX + 1);
    cr_expect_eq(w.lists, 4, "%d", w.lists);
    cr_expect(!scratch_has(&s, A "2026-11-20"));
    scratch_free(&s);
}

Test(archive, a_stop_ends_the_sweep_where_it_is)
{
    static const uint64_t bytes[] = {0, 1, 12}; /* by age, whole dates, single files */
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        int after = 0;
        for (int at = 1;; at++) {
            struct scratch s = scratch_new();
            struct watched w = {.stop_at = at};
            struct failing failing = {.before = watch, .arg = &w};
            const struct fsio fs = {&failing_ops, &failing};
            const struct archive_limits limits = {
                .keep_ms = i == 0, .bytes = bytes[i], .stop = &w.stop};
            struct archive_usage u;
            scratch_write(&s, A "2026-11-20/a/b/1", "12345");
            scratch_write(&s, A "2026-11-20/a/2", "1234567890");
            scratch_write(&s, A "2026-11-21/3", "12345");
            cr_assert_eq(archive_sweep(&fs, s.fd, &limits, NOW, &u, NULL), RC_OK);
            scratch_free(&s);
            if (w.calls < at)
                break;
            after = w.calls - at > after ? w.calls - at : after;
        }
        cr_expect_leq(after, 3, "calls after the stop: %d", after);
    }
}

Test(archive, a_link_in_it_leads_nowhere)
{
    struct scratch s = set_up();
    struct archive_usage u;
    scratch_write(&s, "outside/f", "12345");
    cr_assert_eq(symlinkat("../../outside", s.fd, A "2026-11-19"), 0);
    cr_assert_eq(symlinkat("../../../outside", s.fd, A "2026-11-20/link"), 0);
    sweep(&s, (struct archive_limits){.keep_ms = 1}, &u);
    cr_expect(scratch_has(&s, "outside/f"));
    cr_expect(!scratch_has(&s, A "2026-11-20"), "a link is removed as such");
    scratch_free(&s);
}

Test(archive, what_cannot_be_removed_is_told_and_the_rest_goes)
{
    struct scratch s = set_up();
    struct failing failing = {.result = -EIO};
    const struct fsio fs = {&failing_ops, &failing};
    struct archive_usage u;
    struct err e = {0};
    const struct archive_limits limits = {.keep_ms = 1};
    for (int at = 1;; at++) {
        failing.at = at;
        failing.calls = 0;
        enum rc rc = archive_sweep(&fs, s.fd, &limits, NOW, &u, &e);
        if (failing.calls < at)
            break;
        (void)rc; /* a stat that fails only leaves its file uncounted */
    }
    cr_expect(!scratch_has(&s, A "2026-11-20"));
    cr_expect(!scratch_has(&s, A "2026-11-21"));
    scratch_free(&s);
}

Test(archive, a_directory_that_was_swept_away_is_made_again)
{
    struct scratch s = scratch_new();
    struct archive_place place = {.dirfd = -1};
    struct err e = {0};
    scratch_write(&s, "one", "1");
    scratch_write(&s, "two", "2");
    struct archive_source source = {
        .dirfd = s.fd, .name = "one", .path = "a/one", .day_s = NOW / CLOCK_NS_PER_S};
    cr_assert_eq(archive_take(&fsio_system, s.fd, &place, &source, &e), RC_OK, "%s", e.text);
    cr_assert_eq(unlinkat(s.fd, A "2026-11-23/a/one", 0), 0);
    cr_assert_eq(unlinkat(s.fd, A "2026-11-23/a", AT_REMOVEDIR), 0);
    source.name = "two";
    source.path = "a/two";
    cr_assert_eq(archive_take(&fsio_system, s.fd, &place, &source, &e), RC_OK, "%s", e.text);
    cr_assert_eq(archive_sync(&fsio_system, &place, &e), RC_OK);
    cr_expect_str_eq(scratch_text(&s, A "2026-11-23/a/two"), "2");
    scratch_free(&s);
}

static bool first_sync(void *arg, const char *call)
{
    return strcmp(call, "sync") == 0 && (*(int *)arg)++ == 0;
}

Test(archive, a_directory_that_cannot_be_synced_is_told_at_the_end_and_costs_no_other_file)
{
    struct scratch s = scratch_new();
    int syncs = 1; /* none fails */
    struct failing failing = {.result = -EIO, .before = first_sync, .arg = &syncs};
    const struct fsio fs = {&failing_ops, &failing};
    struct archive_place place = {.dirfd = -1};
    struct err e = {0};
    static const char *const paths[] = {"a/1", "b/2", "c/3"};
    for (size_t i = 0; i < 3; i++)
        scratch_write(&s, paths[i], "x");
    scratch_mkdirs(&s, A "2026-11-23/a"); /* which syncs the one above it, when it is made */
    scratch_mkdirs(&s, A "2026-11-23/b");
    scratch_mkdirs(&s, A "2026-11-23/c");
    for (size_t i = 0; i < 3; i++) {
        const struct archive_source source = {
            .dirfd = s.fd, .name = paths[i], .path = paths[i], .day_s = NOW / CLOCK_NS_PER_S};
        cr_expect_eq(archive_take(&fs, s.fd, &place, &source, &e), RC_OK, "%s", e.text);
        syncs = i == 0 ? 0 : syncs; /* that of a/, when b/ is entered */
    }
    cr_expect_eq(syncs, 2);
    cr_expect_eq(archive_sync(&fs, &place, &e), RC_IO);
    cr_expect_eq(syncs, 3);
    cr_expect(strstr(e.text, "fsync"), "%s", e.text);
    cr_expect_eq(archive_sync(&fs, &place, &e), RC_OK, "it is told once");
    for (size_t i = 0; i < 3; i++)
        cr_expect(!scratch_has(&s, paths[i]));
    scratch_free(&s);
}

Test(archive, what_was_taken_in_is_there_after_a_power_cut)
{
    struct faultfs *disk = faultfs_new();
    const struct fsio *fs = faultfs_fsio(disk);
    int root = spool_on_disk(disk);
    struct archive_place place = {.dirfd = -1};
    const struct archive_source source = {
        .dirfd = root, .name = "f", .path = "a/f", .day_s = NOW / CLOCK_NS_PER_S};
    struct err e = {0};
    struct file_stat st;
    cr_assert_eq(archive_take(fs, root, &place, &source, &e), RC_OK, "%s", e.text);
    cr_assert_eq(archive_sync(fs, &place, &e), RC_OK, "%s", e.text);
    faultfs_restart(disk, 0);
    root = faultfs_root(disk);
    cr_expect_eq(fs->ops->stat(fs->ctx, root, A "2026-11-23/a/f", &st), 0);
    cr_expect_eq(fs->ops->stat(fs->ctx, root, "f", &st), -ENOENT);
    faultfs_free(disk);
}
