/* The watcher with the real inotify: what is told, when, with which trust, and that nothing is
 * missed. */
#include "tests/unit/watcher/rig.h"

#include "watcher/watcher_int.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Test(watcher, a_file_that_is_there_at_the_start_is_told_by_the_startup_scan)
{
    struct rig r;
    rig_init(&r);
    rig_mkdirs(&r, "a/b");
    rig_write(&r, "a/b/f", "{}\n");
    rig_write(&r, "top", "{}\n");
    rig_write(&r, "a/x.tmp", "{}\n");
    rig_mkdirs(&r, ".spoolgate/rejected");
    rig_write(&r, ".spoolgate/rejected/r", "{}\n");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    cr_assert_eq(r.told_n, 2);
    cr_assert_eq(rig_last(&r, "a/b/f")->trust, WATCHER_QUIET);
    cr_assert_eq(rig_last(&r, "a/b/f")->source, WATCHER_STARTUP_SCAN);
    cr_assert_eq(rig_count(&r, "top"), 1);
    rig_fini(&r);
}

Test(watcher, moved_in_is_ready_at_once_and_written_in_place_when_it_was_quiet)
{
    struct rig r;
    rig_init(&r);
    r.cfg.settle_ms = 1000;
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    rig_arrive(&r, "d/moved");
    rig_write(&r, "d/written", "{}\n");
    cr_assert(rig_told(&r, "d/moved"));
    cr_assert_eq(rig_last(&r, "d/moved")->trust, WATCHER_MOVED);
    cr_assert_eq(rig_count(&r, "d/written"), 0);
    cr_assert(rig_told(&r, "d/written"));
    cr_assert_eq(rig_last(&r, "d/written")->trust, WATCHER_QUIET);
    cr_assert_eq(rig_last(&r, "d/written")->source, WATCHER_EVENT);
    rig_turn(&r, 200);
    cr_assert_eq(r.told_n, 2);
    rig_fini(&r);
}

/* A file made without a name, as programs do that want it to appear whole. */
static int open_nameless(const struct rig *r, const char *dir)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", r->root, dir);
    int fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0, "O_TMPFILE in %s", path);
    cr_assert_eq(write(fd, "{}\n", 3), 3);
    return fd;
}

static void link_in(const struct rig *r, int fd, const char *to)
{
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    cr_assert_eq(linkat(AT_FDCWD, self, r->root_fd, to, AT_SYMLINK_FOLLOW), 0);
}

Test(watcher, a_linked_nameless_file_is_told_when_it_is_closed_and_not_before)
{
    struct rig r;
    rig_init(&r);
    r.cfg.settle_ms = 60000; /* nothing here waits for it */
    rig_mkdirs(&r, "d");
    rig_mkdirs(&r, "e");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    int fd = open_nameless(&r, "d");
    link_in(&r, fd, "d/at-once");
    cr_assert_eq(close(fd), 0);
    cr_assert(rig_told(&r, "d/at-once"));
    cr_assert_eq(rig_last(&r, "d/at-once")->trust, WATCHER_MOVED);

    static const char *const names[] = {"d/later", "e/elsewhere"};
    for (size_t i = 0; i < 2; i++) {
        fd = open_nameless(&r, "d");
        link_in(&r, fd, names[i]);
        rig_turn(&r, 60);
        cr_assert_eq(rig_count(&r, names[i]), 0, "%s has a writer", names[i]);
        struct watcher_row row;
        cr_assert(watcher_find(r.w, names[i], strlen(names[i]), &row));
        cr_assert_str_eq(row.why, "being written");
        cr_assert_eq(close(fd), 0);
        cr_assert(rig_told(&r, names[i]), "%s", names[i]);
        cr_assert_eq(rig_last(&r, names[i])->trust, WATCHER_MOVED);
    }
    fd = open_nameless(&r, "d"); /* and one that never gets a name */
    cr_assert_eq(close(fd), 0);
    rig_turn(&r, 60);
    cr_assert_eq(r.told_n, 3);
    struct watcher_stats st;
    watcher_stats(r.w, &st);
    cr_assert_eq(st.settling + st.outstanding, 0);
    rig_fini(&r);
}

Test(watcher, many_nameless_files_at_a_time_are_all_told_at_once)
{
    enum { N = 200 };
    struct rig r;
    char name[32];
    rig_init(&r);
    r.cfg.settle_ms = 60000;
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    for (int i = 0; i < N; i++) {
        int fd = open_nameless(&r, "d");
        (void)snprintf(name, sizeof name, "d/%d", i);
        link_in(&r, fd, name);
        if (i % 3 == 0)
            loop_step(r.loop, false); /* the probe meets the writer */
        cr_assert_eq(close(fd), 0);
        if (i % 5 == 0)
            loop_step(r.loop, false);
    }
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        cr_assert(rig_told(&r, name), "%s", name);
        cr_assert_eq(rig_last(&r, name)->trust, WATCHER_MOVED);
    }
    cr_assert_eq(r.told_n, N);
    rig_fini(&r);
}

Test(watcher, a_file_called_like_an_inode_is_a_file)
{
    struct rig r;
    rig_init(&r);
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    rig_write(&r, "d/#123", "{}\n");
    cr_assert(rig_told(&r, "d/#123"));
    rig_turn(&r, 20);
    rig_write(&r, "d/#123", "{}\n{}\n"); /* no CREATE this time */
    cr_assert(rig_counted(&r, "d/#123", 2));
    cr_assert_eq(rig_last(&r, "d/#123")->trust, WATCHER_QUIET);
    rig_fini(&r);
}

Test(watcher, what_is_no_regular_file_is_told_too_and_so_is_a_hard_link)
{
    struct rig r;
    rig_init(&r);
    rig_mkdirs(&r, "d");
    rig_write(&r, "d/old", "{}\n");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    cr_assert_eq(symlinkat("/etc/passwd", r.root_fd, "d/symlink"), 0);
    cr_assert_eq(mkfifoat(r.root_fd, "d/fifo", 0600), 0);
    cr_assert_eq(linkat(r.root_fd, "d/old", r.root_fd, "d/hard", 0), 0);
    cr_assert(rig_told(&r, "d/symlink"));
    cr_assert(rig_told(&r, "d/fifo"));
    cr_assert(rig_told(&r, "d/hard"));
    rig_fini(&r);
}

Test(watcher, a_file_is_looked_at_again_after_again_and_after_a_change_while_it_was_out)
{
    struct rig r;
    rig_init(&r);
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    r.again_first = 2;
    r.again_ms = 30;
    rig_arrive(&r, "d/busy");
    cr_assert(rig_counted(&r, "d/busy", 3));

    r.again_first = 0;
    r.hold = true;
    rig_arrive(&r, "d/twice");
    cr_assert(rig_told(&r, "d/twice"));
    rig_arrive(&r, "d/twice");
    rig_turn(&r, 100);
    cr_assert_eq(rig_count(&r, "d/twice"), 1, "it is out: not told again");
    rig_answer(&r, "d/twice", WATCHER_DONE, 0);
    cr_assert(rig_counted(&r, "d/twice", 2));
    rig_answer(&r, "d/twice", WATCHER_DONE, 0);
    rig_turn(&r, 200);
    cr_assert_eq(rig_count(&r, "d/twice"), 2);
    cr_assert_eq(r.twice, 0);

    watcher_look(r.w, "d/twice", 7, 10);
    cr_assert(rig_counted(&r, "d/twice", 3));
    cr_assert_eq(rig_last(&r, "d/twice")->trust, WATCHER_QUIET);
    rig_answer(&r, "d/twice", WATCHER_DONE, 0);
    rig_fini(&r);
}

Test(watcher, no_more_than_the_window_is_out_whether_found_by_scans_or_told_by_events)
{
    struct rig r;
    char name[32];
    rig_init(&r);
    r.cfg.window = 7;
    r.hold = true;
    r.known_after = true;
    rig_mkdirs(&r, "d");
    for (int i = 0; i < 3000; i++) { /* more than one turn of a reader */
        (void)snprintf(name, sizeof name, "d/scanned-%d", i);
        rig_write(&r, name, "{}\n");
    }
    rig_start(&r);
    rig_turn(&r, 60);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "d/moved-%d", i);
        rig_arrive(&r, name);
    }
    for (size_t i = 0; i < r.told_n || i < 3100; i++) {
        if (i >= r.told_n)
            cr_assert(rig_more(&r, i), "nothing comes after %zu", i);
        rig_answer(&r, r.told[i]->path, WATCHER_DONE, 0);
        if (i % 3 == 0)
            loop_step(r.loop, false);
    }
    cr_assert(rig_scanned(&r));
    cr_assert_eq(r.told_n, 3100);
    cr_assert_eq(r.most_outstanding, 7);
    cr_assert_eq(r.twice, 0);
    rig_fini(&r);
}

Test(watcher, a_full_table_leads_to_another_scan_of_the_directory)
{
    struct rig r;
    char name[32];
    rig_init(&r);
    r.cfg.table_max = 5;
    r.cfg.window = 3;
    r.known_after = true;
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        rig_write(&r, name, "{}\n");
    }
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        cr_assert(rig_told(&r, name), "%s", name);
    }
    struct watcher_stats st;
    watcher_stats(r.w, &st);
    cr_assert_eq(st.drift, 0);
    rig_fini(&r);
}

Test(watcher, what_found_no_room_in_the_table_is_no_drift)
{
    struct rig r;
    struct watcher_stats st;
    rig_init(&r);
    r.cfg.table_max = 2;
    r.hold = r.known_after = true;
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    rig_arrive(&r, "d/0");
    rig_arrive(&r, "d/1");
    cr_assert(rig_told(&r, "d/0"));
    cr_assert(rig_told(&r, "d/1"));
    rig_arrive(&r, "d/2");
    rig_age(&r, "d/2", 60);
    rig_turn(&r, 2200); /* ctime cannot be set back */
    watcher_rescan(r.w);
    rig_turn(&r, 50);
    rig_answer(&r, "d/0", WATCHER_DONE, 0);
    cr_assert(rig_told(&r, "d/2"));
    rig_answer(&r, "d/1", WATCHER_DONE, 0);
    rig_answer(&r, "d/2", WATCHER_DONE, 0);
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.rescans, 1);
    cr_assert_eq(st.drift, 0);
    rig_fini(&r);
}

Test(watcher, a_file_in_a_directory_made_a_moment_ago_is_as_its_neighbours_were)
{
    for (int whole = 0; whole <= 1; whole++) {
        struct rig r;
        char name[32];
        rig_init(&r);
        r.cfg.settle_ms = 1500;
        rig_mkdirs(&r, "a");
        rig_start(&r);
        cr_assert(rig_scanned(&r));
        for (int i = 0; i < 3 * whole; i++) {
            (void)snprintf(name, sizeof name, "a/%d", i);
            rig_arrive(&r, name);
            cr_assert(rig_told(&r, name));
        }
        rig_mkdirs(&r, "a/b");
        rig_arrive(&r, "a/b/moved");
        cr_assert(rig_told(&r, "a/b/moved"));
        cr_assert_eq(rig_last(&r, "a/b/moved")->trust, whole ? WATCHER_MOVED : WATCHER_QUIET);
        cr_assert_eq(rig_last(&r, "a/b/moved")->source, WATCHER_EVENT);
        if (whole) { /* one that is written in place breaks the habit */
            rig_write(&r, "a/b/written", "{}\n");
            rig_turn(&r, 10);
            rig_mkdirs(&r, "a/c");
            rig_write(&r, "a/c/appended", "{}\n");
            cr_assert(rig_told(&r, "a/c/appended"));
            cr_assert_eq(rig_last(&r, "a/c/appended")->trust, WATCHER_QUIET);
        }
        rig_fini(&r);
    }
}

/* Found too late to see it renamed, in a directory of its own below `parent`. */
static void lose_race(struct rig *r, const char *path)
{
    char dir[64];
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    rig_mkdirs(r, dir);
    rig_arrive(r, path);
    cr_assert(rig_told(r, path));
    cr_assert_eq(rig_last(r, path)->trust, WATCHER_QUIET, "%s", path);
}

Test(watcher, what_waits_in_a_new_directory_is_told_when_its_neighbours_are_seen_to_come_whole)
{
    struct rig r;
    rig_init(&r);
    r.cfg.settle_ms = 3600000;
    r.again_first = 1;
    r.again_ms = r.cfg.settle_ms;
    rig_mkdirs(&r, "a");
    rig_mkdirs(&r, "far/seen");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    lose_race(&r, "a/1/moved");
    lose_race(&r, "a/2/appended");
    lose_race(&r, "a/3/also");
    lose_race(&r, "far/1/moved");
    rig_mkdirs(&r, "a/seen");
    rig_turn(&r, 20);
    /* The second step: whatever is told of it now, it is not that it came whole. */
    rig_write(&r, "a/2/appended", "{}\n{}\n");
    rig_turn(&r, 20);
    for (int i = 0; i < 32; i++) {
        rig_arrive(&r, "a/seen/whole");
        rig_turn(&r, 2);
    }
    rig_turn(&r, 50);
    cr_assert_eq(rig_count(&r, "a/1/moved"), 1, "one in place outweighs so many");
    rig_arrive(&r, "a/seen/whole");
    cr_assert(rig_counted(&r, "a/1/moved", 2));
    cr_assert_eq(rig_last(&r, "a/1/moved")->trust, WATCHER_MOVED);
    cr_assert(rig_counted(&r, "a/3/also", 2));
    rig_turn(&r, 50);
    cr_assert_eq(rig_count(&r, "a/2/appended"), 1, "its own event told how it came");
    cr_assert_eq(rig_count(&r, "far/1/moved"), 1, "not beside them");
    rig_fini(&r);
}

Test(watcher, a_file_that_is_out_while_its_neighbours_come_whole_waits_no_longer_than_they)
{
    struct rig r;
    rig_init(&r);
    r.cfg.settle_ms = 3600000;
    r.hold = true;
    rig_mkdirs(&r, "a/seen");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    lose_race(&r, "a/1/moved");
    rig_arrive(&r, "a/seen/whole");
    cr_assert(rig_told(&r, "a/seen/whole"));
    rig_answer(&r, "a/1/moved", WATCHER_AGAIN, r.cfg.settle_ms);
    cr_assert(rig_counted(&r, "a/1/moved", 2));
    cr_assert_eq(rig_last(&r, "a/1/moved")->trust, WATCHER_MOVED);
    rig_answer(&r, "a/1/moved", WATCHER_AGAIN, r.cfg.settle_ms);
    rig_turn(&r, 50);
    cr_assert_eq(rig_count(&r, "a/1/moved"), 2, "once only");
    rig_fini(&r);
}

static void answer_stuck(struct rig *r)
{
    for (size_t i = 0; i < r->told_n; i++) {
        if (!r->told[i]->answered)
            rig_answer(r, r->told[i]->path, WATCHER_STUCK, 600000);
    }
}

/* The files from..to came so often, and all were answered. */
struct comings {
    int from, to;
    size_t times;
};

static bool all_came(struct rig *r, const void *arg)
{
    const struct comings *wanted = arg;
    char name[32];
    answer_stuck(r);
    for (int i = wanted->from; i < wanted->to; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        if (rig_count(r, name) < wanted->times)
            return false;
    }
    return true;
}

/* All find room while they are looked at: a table that is full is another matter. */
enum { STUCK_N = 50, STUCK_MAX = 80, STUCK_KEPT = STUCK_MAX / 4 };

/* d/0 to d/49, of which the first are kept. */
static void get_stuck(struct rig *r)
{
    struct watcher_stats st;
    char name[32];
    rig_init(r);
    r->cfg.table_max = STUCK_MAX;
    r->hold = true;
    rig_mkdirs(r, "d");
    rig_start(r);
    cr_assert(rig_scanned(r));
    for (int i = 0; i < STUCK_N; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        rig_arrive(r, name);
        cr_assert(rig_told(r, name), "%s was not told", name);
        answer_stuck(r);
    }
    watcher_stats(r->w, &st);
    cr_assert_eq(st.settling, STUCK_KEPT);
    cr_assert_eq(st.later_directories, 1);
}

Test(watcher, files_that_are_stuck_leave_room_for_others_and_come_again, .timeout = 60)
{
    struct comings others = {.from = STUCK_KEPT, .to = STUCK_N, .times = 1};
    struct rig r;
    struct watcher_stats st;
    get_stuck(&r);
    rig_turn(&r, 600);
    cr_assert_eq(r.told_n, STUCK_N, "not at once again");

    loop_timer_set(r.w->walk.later, 0); /* five minutes have gone */
    others.times = 2;
    cr_assert(rig_until(&r, all_came, &others, RIG_PATIENCE_MS));
    rig_turn(&r, 2200); /* old enough to be drift */
    watcher_rescan(r.w);
    others.times = 3;
    cr_assert(rig_until(&r, all_came, &others, RIG_PATIENCE_MS));
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.drift, 0, "they were known");
    cr_assert_eq(st.settling, STUCK_KEPT);
    cr_assert_eq(r.told_n, STUCK_N + 2 * (STUCK_N - STUCK_KEPT),
                 "the ones that were kept did not come again");
    rig_fini(&r);
}

static bool none_is_later(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    (void)arg;
    watcher_stats(r->w, &st);
    return st.later_directories == 0;
}

static void remove_files(const struct rig *r, int from, int to)
{
    char name[32];
    for (int i = from; i < to; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        cr_assert_eq(unlinkat(r->root_fd, name, 0), 0);
    }
}

Test(watcher, when_half_of_the_stuck_ones_have_ended_the_others_come_soon, .timeout = 60)
{
    struct comings others = {.from = STUCK_KEPT, .to = STUCK_N, .times = 1};
    struct rig r;
    get_stuck(&r);
    remove_files(&r, 0, STUCK_KEPT / 2);
    rig_turn(&r, 1500);
    cr_assert_eq(r.told_n, STUCK_N, "half is not enough");
    remove_files(&r, STUCK_KEPT / 2, STUCK_KEPT / 2 + 1);
    others.times = 2;
    cr_assert(rig_until(&r, all_came, &others, RIG_PATIENCE_MS));
    rig_turn(&r, 1500);
    cr_assert_eq(r.told_n, STUCK_N + STUCK_N - STUCK_KEPT, "once");
    cr_assert_not(none_is_later(&r, NULL), "some were dropped again");
    remove_files(&r, STUCK_KEPT / 2 + 1, STUCK_N);
    cr_assert(rig_until(&r, none_is_later, NULL, RIG_PATIENCE_MS));
    rig_fini(&r);
}

Test(watcher, a_polled_directory_with_too_many_stuck_ones_is_read_when_their_time_has_come)
{
    struct rig r;
    get_stuck(&r);
    struct tree_node *d = tree_child(&r.w->tree, r.w->tree.root, "d", 1);
    inotify_unwatch(r.w->inotify, d->wd); /* as if there had been none */
    tree_set_wd(&r.w->tree, d, -1);
    tree_set(&r.w->tree, d, TREE_POLLED);
    patrol_need_tick(r.w);
    rig_arrive(&r, "d/new");
    rig_turn(&r, 1500);
    cr_assert_eq(r.told_n, STUCK_N, "not at every tick");
    loop_timer_set(r.w->walk.later, 0);
    cr_assert(rig_told(&r, "d/new"));
    answer_stuck(&r);
    rig_fini(&r);
}
