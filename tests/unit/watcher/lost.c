/* What events did not tell, since they were lost or there were none: rescans find it. */
#include "tests/unit/watcher/rig.h"

#include "watcher/watcher_int.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

Test(lost, after_an_overflow_everything_is_found, .timeout = 60)
{
    enum { N = 9000 }; /* three events each, of a queue of 16384 */
    struct rig r;
    char name[64];
    struct watcher_stats st;
    rig_init(&r);
    r.known_after = false;
    r.cfg.settle_ms = 200;
    rig_mkdirs(&r, "old");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    uint64_t queue = inotify_limit("max_queued_events");
    if (queue > N * 2) {
        fprintf(stderr, "skipped: the queue is longer here\n");
        return;
    }
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, "old/%d", i);
        rig_write(&r, name, "{}\n");
    }
    rig_mkdirs(&r, "new/deep"); /* lost */
    rig_write(&r, "new/deep/f", "{}\n");
    cr_assert_eq(unlinkat(r.root_fd, "old/0", 0), 0);
    cr_assert(rig_told(&r, "new/deep/f"));
    cr_assert(rig_scanned(&r));
    rig_turn(&r, 500);
    watcher_stats(r.w, &st);
    cr_assert_eq(st.overflows, 1);
    cr_assert_geq(st.rescans, 1);
    cr_assert_eq(st.drift, 0);
    cr_assert_eq(st.settling, 0);
    cr_assert_not_null(strstr(r.trouble, "overflow: "));
    bool told[N] = {0};
    for (size_t i = 0; i < r.told_n; i++) {
        if (strncmp(r.told[i]->path, "old/", 4) == 0)
            told[strtoul(r.told[i]->path + 4, NULL, 10)] = true;
    }
    for (int i = 1; i < N; i++)
        cr_assert(told[i], "old/%d", i);
    rig_arrive(&r, "new/deep/live");
    cr_assert(rig_told(&r, "new/deep/live"));
    rig_fini(&r);
}

/* As if the kernel had lost it; "" is the root. */
static void lose_watch(struct rig *r, const char *name)
{
    struct tree_node *root = r->w->tree.root;
    struct tree_node *node = *name ? tree_child(&r->w->tree, root, name, strlen(name)) : root;
    cr_assert_not_null(node);
    inotify_unwatch(r->w->inotify, node->wd);
    tree_set_wd(&r->w->tree, node, -1);
}

Test(lost, a_rescan_finds_what_events_had_missed_counts_it_and_watches_again)
{
    struct rig r;
    struct watcher_stats st;
    rig_init(&r);
    r.known_after = true;
    r.cfg.settle_ms = 50;
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    lose_watch(&r, "d");
    rig_arrive(&r, "d/missed");
    rig_age(&r, "d/missed", 60);
    rig_arrive(&r, "d/young");
    rig_turn(&r, 2100); /* ctime cannot be set back */
    rig_arrive(&r, "d/younger");
    cr_assert_eq(r.told_n, 0);
    watcher_rescan(r.w);
    rig_arrive(&r, "told"); /* its event is under way */
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.rescans, 1);
    cr_assert_eq(rig_count(&r, "d/missed"), 1);
    cr_assert_eq(rig_last(&r, "d/missed")->source, WATCHER_RESCAN);
    cr_assert_eq(rig_count(&r, "d/younger"), 1);
    cr_assert_eq(st.drift, 2, "missed and young, not younger: %d", (int)st.drift);
    rig_arrive(&r, "d/live");
    cr_assert(rig_told(&r, "d/live"));
    watcher_rescan(r.w);
    watcher_rescan(r.w);
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.rescans, 2, "two at a time are one");
    cr_assert_eq(st.drift, 2);
    rig_fini(&r);
}

static bool rescanned_twice(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    (void)arg;
    watcher_stats(r->w, &st);
    return st.rescans >= 2;
}

Test(lost, the_slow_rescan_comes_by_itself)
{
    struct rig r;
    struct watcher_stats st;
    rig_init(&r);
    r.cfg.rescan_ms = 100;
    r.known_after = true;
    rig_mkdirs(&r, "d/e/f");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    lose_watch(&r, "d");
    rig_mkdirs(&r, "d/new");
    rig_arrive(&r, "d/new/file");
    cr_assert(rig_told(&r, "d/new/file"));
    cr_assert(rig_until(&r, rescanned_twice, NULL, RIG_PATIENCE_MS));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.watches, st.directories);
    rig_fini(&r);
}

static bool is_part_of_the_rescan(struct rig *r, const void *path)
{
    const struct tree_node *node = tree_dir_of(&r->w->tree, path, strlen(path));
    return node && (node->flags & TREE_RESCAN);
}

Test(lost, what_moved_in_and_is_being_taken_on_when_a_rescan_comes_is_no_drift)
{
    enum { N = 20 };
    struct rig r;
    struct watcher_stats st;
    char name[32];
    rig_init(&r);
    r.cfg.settle_ms = 50;
    r.cfg.window = 1;
    r.hold = r.known_after = true;
    rig_mkdirs(&r, ".outside/t");
    rig_mkdirs(&r, "in");
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, ".outside/t/%d", i);
        rig_write(&r, name, "{}\n");
        rig_age(&r, name, 60);
    }
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    rig_turn(&r, 2100); /* ctime cannot be set back */
    rig_rename(&r, ".outside/t", "in/t");
    cr_assert(rig_more(&r, 0)); /* and no more, with this window */
    watcher_rescan(r.w);
    cr_assert(rig_until(&r, is_part_of_the_rescan, "in/t/f", RIG_PATIENCE_MS));
    for (size_t i = 0; i < N; i++) {
        cr_assert(rig_more(&r, i));
        rig_answer(&r, r.told[i]->path, WATCHER_DONE, 0);
    }
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.rescans, 1);
    cr_assert_eq(st.drift, 0);
    cr_assert_eq(r.told_n, N);
    rig_fini(&r);
}

static bool all_watched(const struct rig *r)
{
    struct watcher_stats st;
    watcher_stats(r->w, &st);
    return st.watches == st.directories;
}

Test(lost, two_that_changed_names_are_both_found_and_watched_by_one_rescan)
{
    static const char *const names[] = {"b/of-a", "a/of-b", "a/sub/deep"};
    static const char *const later[] = {"a/later", "b/later", "a/sub/later"};
    struct rig r;
    rig_init(&r);
    r.known_after = true;
    rig_mkdirs(&r, "a");
    rig_mkdirs(&r, "b/sub");
    rig_write(&r, "a/of-a", "{}\n");
    rig_write(&r, "b/of-b", "{}\n");
    rig_write(&r, "b/sub/deep", "{}\n");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    lose_watch(&r, "");
    if (renameat2(r.root_fd, "a", r.root_fd, "b", RENAME_EXCHANGE) != 0) {
        cr_assert(errno == EINVAL || errno == ENOSYS);
        fprintf(stderr, "skipped: this file system cannot exchange names\n");
        rig_fini(&r);
        return;
    }
    watcher_rescan(r.w);
    for (size_t i = 0; i < 3; i++)
        cr_assert(rig_told(&r, names[i]), "%s", names[i]);
    cr_assert(rig_scanned(&r));
    cr_assert(all_watched(&r));
    for (size_t i = 0; i < 3; i++) {
        rig_arrive(&r, later[i]);
        cr_assert(rig_told(&r, later[i]), "%s", later[i]);
    }
    rig_fini(&r);
}

Test(lost, one_that_took_the_name_of_one_that_moved_on_is_found_and_watched_by_one_rescan)
{
    enum { N = 8 }; /* whichever of the two names a file system lists first */
    struct rig r;
    char name[32], moved[32];
    rig_init(&r);
    r.known_after = true;
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, "current%d", i);
        rig_mkdirs(&r, name);
        (void)snprintf(name, sizeof name, "current%d/old", i);
        rig_write(&r, name, "{}\n");
    }
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    lose_watch(&r, "");
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, "current%d", i);
        (void)snprintf(moved, sizeof moved, "batch-%d", i);
        rig_rename(&r, name, moved);
        rig_mkdirs(&r, name);
        (void)snprintf(name, sizeof name, "current%d/new", i);
        rig_write(&r, name, "{}\n");
    }
    watcher_rescan(r.w);
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof name, "current%d/new", i);
        cr_assert(rig_told(&r, name), "%s", name);
        (void)snprintf(name, sizeof name, "batch-%d/old", i);
        cr_assert(rig_told(&r, name), "%s", name);
    }
    cr_assert(rig_scanned(&r));
    cr_assert(all_watched(&r));
    rig_fini(&r);
}

Test(lost, of_a_directory_that_is_mounted_twice_each_rescan_finds_the_files_of_both)
{
    enum { ROUNDS = 3 };
    struct rig r;
    char at[128], of[128], name[32];
    rig_init(&r);
    r.known_after = true;
    rig_mkdirs(&r, "here/sub");
    rig_mkdirs(&r, "there");
    (void)snprintf(of, sizeof of, "%s/here", r.root);
    (void)snprintf(at, sizeof at, "%s/there", r.root);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(of, at, NULL, MS_BIND, NULL) != 0) {
        fprintf(stderr, "skipped: nothing can be mounted here\n");
        return;
    }
    (void)close(r.root_fd); /* from before: it leads to where nothing is mounted */
    r.root_fd = r.cfg.root_fd = open(r.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(name, sizeof name, "here/sub/%d", i);
        rig_arrive(&r, name);
        rig_turn(&r, 20);
        watcher_rescan(r.w);
        cr_assert(rig_told(&r, name), "%s", name);
        (void)snprintf(name, sizeof name, "there/sub/%d", i);
        cr_assert(rig_told(&r, name), "%s", name);
        cr_assert(rig_scanned(&r));
    }
    cr_assert_eq(umount2(at, MNT_DETACH), 0);
    rig_fini(&r);
}
