/* Directories that come and go, at any speed. */
#include "tests/unit/watcher/rig.h"

#include "watcher/watcher_int.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BURST = 3000 };

static void burst_name(char *out, size_t cap, int i)
{
    (void)snprintf(out, cap, "P/type%d/2026-01-%02d/acc%d/f%d", i % 7, i % 28 + 1, i, i);
}

static void *burst(void *arg)
{
    const struct rig *r = arg;
    for (int i = 0; i < BURST; i++) {
        char name[128];
        burst_name(name, sizeof name, i);
        char *slash = strrchr(name, '/');
        *slash = '\0';
        rig_mkdirs(r, name);
        *slash = '/';
        if (i % 2)
            rig_arrive(r, name);
        else
            rig_write(r, name, "{}\n");
    }
    return NULL;
}

static bool all_told(struct rig *r, const void *arg)
{
    (void)arg;
    return r->told_n >= BURST;
}

Test(directories, of_a_burst_of_new_directories_no_file_is_missed, .timeout = 60)
{
    struct rig r;
    pthread_t producer;
    char name[128];
    rig_init(&r);
    r.known_after = true;
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    cr_assert_eq(pthread_create(&producer, NULL, burst, &r), 0);
    (void)rig_until(&r, all_told, NULL, RIG_PATIENCE_MS);
    cr_assert_eq(pthread_join(producer, NULL), 0);
    cr_assert(rig_scanned(&r));
    for (int i = 0; i < BURST; i++) {
        burst_name(name, sizeof name, i);
        cr_assert(rig_told(&r, name), "%s was missed", name);
    }
    struct watcher_stats st;
    watcher_stats(r.w, &st);
    cr_assert_eq(st.directories, st.watches);
    cr_assert_eq(r.twice, 0);
    cr_assert_eq(st.overflows, 0);
    cr_assert_eq(st.drift, 0);
    rig_fini(&r);
}

Test(directories, a_tree_that_is_moved_in_is_told_and_watched_and_one_moved_out_is_forgotten)
{
    struct rig r;
    struct watcher_stats before, st;
    rig_init(&r);
    rig_mkdirs(&r, ".outside/t/u");
    rig_write(&r, ".outside/t/one", "{}\n");
    rig_write(&r, ".outside/t/u/two", "{}\n");
    rig_mkdirs(&r, "in");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &before);
    rig_rename(&r, ".outside/t", "in/t");
    cr_assert(rig_told(&r, "in/t/one"));
    cr_assert(rig_told(&r, "in/t/u/two"));
    rig_arrive(&r, "in/t/u/three");
    cr_assert(rig_told(&r, "in/t/u/three"));

    rig_rename(&r, "in/t", "in/s"); /* and on, within */
    cr_assert(rig_told(&r, "in/s/u/three"));
    rig_arrive(&r, "in/s/u/four");
    cr_assert(rig_told(&r, "in/s/u/four"));

    rig_write(&r, "in/s/u/unfinished", "{}\n");
    loop_step(r.loop, true);
    rig_rename(&r, "in/s", ".outside/gone");
    rig_turn(&r, 30);
    rig_arrive(&r, ".outside/gone/u/five");
    rig_turn(&r, 300);
    cr_assert_eq(rig_count(&r, "in/s/u/five"), 0);
    cr_assert_eq(rig_count(&r, "in/s/u/unfinished"), 0);
    watcher_stats(r.w, &st);
    cr_assert_eq(st.directories, before.directories);
    cr_assert_eq(st.watches, before.watches);
    cr_assert_eq(st.settling, 0);
    rig_fini(&r);
}

Test(directories, two_that_change_names_are_found_and_watched_under_their_new_ones)
{
    static const char *const olds[] = {"a/of-a", "b/of-b", "b/sub/deep", "fa", "fb"};
    static const char *const names[] = {"b/of-a", "a/of-b", "a/sub/deep", "fb", "fa"};
    static const char *const later[] = {"a/later", "b/later", "a/sub/later"};
    struct watcher_stats before, st;
    struct rig r;
    rig_init(&r);
    r.known_after = true;
    rig_mkdirs(&r, "a");
    rig_mkdirs(&r, "b/sub");
    for (size_t i = 0; i < 5; i++)
        rig_write(&r, olds[i], "{}\n");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &before);
    size_t fa = rig_count(&r, "fa"), fb = rig_count(&r, "fb");
    if (renameat2(r.root_fd, "a", r.root_fd, "b", RENAME_EXCHANGE) != 0) {
        cr_assert(errno == EINVAL || errno == ENOSYS);
        fprintf(stderr, "skipped: this file system cannot exchange names\n");
        rig_fini(&r);
        return;
    }
    cr_assert_eq(renameat2(r.root_fd, "fa", r.root_fd, "fb", RENAME_EXCHANGE), 0);
    for (size_t i = 0; i < 3; i++)
        cr_assert(rig_told(&r, names[i]), "%s", names[i]);
    cr_assert(rig_counted(&r, "fa", fa + 1), "fa is another file by now");
    cr_assert(rig_counted(&r, "fb", fb + 1), "fb is another file by now");
    for (size_t i = 0; i < 3; i++) {
        rig_arrive(&r, later[i]);
        cr_assert(rig_told(&r, later[i]), "%s", later[i]);
    }
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.directories, before.directories);
    cr_assert_eq(st.watches, before.watches);
    cr_assert_eq(st.settling + st.outstanding, 0);
    cr_assert_eq(st.rescans, before.rescans, "none was needed");
    rig_fini(&r);
}

Test(directories, what_was_looked_at_while_its_directory_was_away_is_looked_at_again)
{
    static const enum watcher_verdict answers[] = {WATCHER_DONE, WATCHER_AGAIN};
    struct rig r;
    rig_init(&r);
    r.hold = true;
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    rig_arrive(&r, "d/f");
    cr_assert(rig_told(&r, "d/f"));
    for (size_t i = 0; i < 2; i++) {
        rig_rename(&r, "d", ".away");
        rig_turn(&r, 30);
        rig_rename(&r, ".away", "d");
        rig_turn(&r, 100);
        size_t n = rig_count(&r, "d/f");
        rig_answer(&r, "d/f", answers[i], 60000);
        cr_assert(rig_counted(&r, "d/f", n + 1), "answer %zu", i);
    }
    rig_answer(&r, "d/f", WATCHER_DONE, 0);
    rig_fini(&r);
}

static bool root_only(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    (void)arg;
    watcher_stats(r->w, &st);
    return st.directories == 1 && st.watches == 1;
}

Test(directories, removed_and_made_again_they_are_watched_again)
{
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    for (int i = 0; i < 300; i++) {
        rig_mkdirs(&r, "d/e");
        if (i % 3 == 0)
            loop_step(r.loop, false);
        cr_assert_eq(unlinkat(r.root_fd, "d/e", AT_REMOVEDIR), 0);
        if (i % 7 == 0)
            loop_step(r.loop, false);
        cr_assert_eq(unlinkat(r.root_fd, "d", AT_REMOVEDIR), 0);
    }
    cr_assert(rig_until(&r, root_only, NULL, RIG_PATIENCE_MS));
    rig_mkdirs(&r, "d/e");
    rig_turn(&r, 30);
    rig_mkdirs(&r, "x");
    rig_rename(&r, "x", "d/e"); /* over an empty one */
    rig_turn(&r, 30);
    rig_arrive(&r, "d/e/f");
    cr_assert(rig_told(&r, "d/e/f"));
    cr_assert_eq(rig_last(&r, "d/e/f")->trust, WATCHER_MOVED);
    rig_fini(&r);
}

Test(directories, a_link_put_in_the_place_of_a_directory_leads_nowhere)
{
    struct rig r;
    char outside[128];
    rig_init(&r);
    rig_mkdirs(&r, ".outside");
    rig_write(&r, ".outside/secret", "{}\n");
    (void)snprintf(outside, sizeof outside, "%s/.outside", r.root);
    rig_mkdirs(&r, "d");
    cr_assert_eq(symlinkat(outside, r.root_fd, "at-start"), 0);
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    for (int i = 0; i < 200; i++) {
        rig_mkdirs(&r, "swap");
        if (i % 2)
            loop_step(r.loop, false);
        cr_assert_eq(unlinkat(r.root_fd, "swap", AT_REMOVEDIR), 0);
        cr_assert_eq(symlinkat(outside, r.root_fd, "swap"), 0);
        loop_step(r.loop, false);
        cr_assert_eq(unlinkat(r.root_fd, "swap", 0), 0);
    }
    watcher_rescan(r.w);
    cr_assert(rig_scanned(&r));
    rig_write(&r, ".outside/later", "{}\n");
    rig_turn(&r, 200);
    for (size_t i = 0; i < r.told_n; i++)
        cr_assert(strcmp(r.told[i]->path, "at-start") == 0 || strcmp(r.told[i]->path, "swap") == 0,
                  "%s", r.told[i]->path);
    rig_fini(&r);
}

/* Limits of a user namespace are its own, so nobody else on this machine feels them. One can only
 * be entered by a process with one thread, which a Criterion test is not: so the program is run
 * again. */
#define LIMITED "SPOOLGATE_TEST_LIMITED"

static bool put(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    return fd >= 0 && close(fd) == 0 && done;
}

/* The exit status: 0, or that of the tests that failed, or 77 if there is no such namespace. */
static int run_limited(const char *filter, const char *watches)
{
    char map[32];
    int status;
    char tmp[PATH_MAX];
    const char *wanted = getenv("TMPDIR");
    (void)snprintf(tmp, sizeof tmp, "%s", wanted ? wanted : "/tmp");
    (void)snprintf(map, sizeof map, "0 %u 1", getuid());
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWUSER) != 0 || !put("/proc/self/setgroups", "deny") ||
            !put("/proc/self/uid_map", map) || !put("/proc/sys/user/max_inotify_watches", watches))
            _exit(77);
        (void)clearenv(); /* what Criterion's processes tell each other is not for this one */
        (void)setenv(LIMITED, "1", 1);
        (void)setenv("TMPDIR", tmp, 1);
        (void)execl("/proc/self/exe", "unit-watcher", "--filter", filter, (char *)NULL);
        _exit(77);
    }
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

Test(directories, without_watches_they_are_polled_and_that_is_said_with_the_remedy)
{
    struct rig r;
    struct watcher_stats st;
    if (!getenv(LIMITED)) {
        int status = run_limited("directories/without_watches_*", "5");
        if (status == 77) {
            fprintf(stderr, "skipped: no user namespaces here\n");
            return;
        }
        cr_assert_eq(status, 0, "the same test in a user namespace failed");
        return;
    }
    rig_init(&r);
    r.known_after = true;
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        rig_mkdirs(&r, name);
    }
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.watches, 5);
    cr_assert_eq(st.polled_directories, 6);
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d/f", i);
        rig_arrive(&r, name);
    }
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d/f", i);
        cr_assert(rig_told(&r, name), "%s", name);
    }
    cr_assert(rig_troubled(&r, "watches: "));
    const char *said = strstr(r.trouble, "watches: user.max_inotify_watches is 5, ");
    cr_assert_not_null(said, "%s", r.trouble);
    cr_assert_not_null(strstr(said, "12 are needed"), "%s", r.trouble);
    cr_assert_null(strstr(said + 1, "watches: user."), "said once: %s", r.trouble);
    watcher_stats(r.w, &st);
    cr_assert_eq(st.drift, 0);
    for (int i = 0; i < 10; i++) { /* room again */
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        if (i >= 4) {
            char file[16];
            (void)snprintf(file, sizeof file, "d%d/f", i);
            cr_assert_eq(unlinkat(r.root_fd, file, 0), 0);
            cr_assert_eq(unlinkat(r.root_fd, name, AT_REMOVEDIR), 0);
        }
    }
    cr_assert(rig_troubled(&r, "are watched again"));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.polled_directories, 0);
    rig_fini(&r);
}

Test(directories, one_that_cannot_be_read_is_said_once_and_found_when_it_can)
{
    struct rig r;
    struct watcher_stats st;
    rig_init(&r);
    rig_mkdirs(&r, "shut");
    rig_write(&r, "shut/f", "{}\n");
    cr_assert_eq(fchmod(r.root_fd, 0777), 0);
    cr_assert_eq(fchmodat(r.root_fd, "shut", 0700, 0), 0);
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    else
        cr_assert_eq(fchmodat(r.root_fd, "shut", 0, 0), 0);
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    watcher_rescan(r.w);
    cr_assert(rig_scanned(&r));
    cr_assert_eq(r.told_n, 0);
    const char *said = strstr(r.trouble, "denied: the directory shut (owner ");
    cr_assert_not_null(said, "%s", r.trouble);
    cr_assert_null(strstr(said + 1, "\ndenied: "), "%s", r.trouble);
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(fchmodat(r.root_fd, "shut", 0755, 0), 0);
    watcher_rescan(r.w);
    cr_assert(rig_scanned(&r));
    cr_assert_eq(rig_count(&r, "shut/f"), 1);
    watcher_stats(r.w, &st);
    cr_assert_eq(st.drift, 0);
    cr_assert_eq(st.watches, st.directories);
    rig_fini(&r);
}

Test(directories, a_root_that_goes_away_is_said)
{
    struct rig r;
    char away[80];
    rig_init(&r);
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    (void)snprintf(away, sizeof away, "%s-away", r.root);
    cr_assert_eq(rename(r.root, away), 0);
    cr_assert(rig_troubled(&r, "root: "));
    const char *said = strstr(r.trouble, "root: ");
    watcher_rescan(r.w);
    rig_turn(&r, 50);
    cr_assert_null(strstr(said + 1, "root: "), "once: %s", r.trouble);
    cr_assert_eq(rename(away, r.root), 0);
    watcher_rescan(r.w);
    cr_assert(rig_troubled(&r, "is back"));
    rig_arrive(&r, "f");
    cr_assert(rig_told(&r, "f"));
    rig_fini(&r);
}

Test(directories, a_root_that_is_not_there_or_cannot_be_read_is_an_error_with_its_name)
{
    struct rig r;
    struct err e;
    rig_init(&r);
    cr_assert_eq(fchmod(r.root_fd, 0), 0);
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    cr_assert_eq(watcher_new(&r.cfg, &r.w, &e), RC_DENIED);
    cr_assert_not_null(strstr(e.text, r.root), "%s", e.text);
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(fchmod(r.root_fd, 0700), 0);
    r.w = NULL;
    rig_fini(&r);
}

Test(directories, one_whose_name_is_too_long_for_us_is_told_and_left_out)
{
    /* File systems that allow such names are not at hand: the kernel's word is ours. */
    struct rig r;
    struct watcher_stats before, st;
    char name[301];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    rig_init(&r);
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    watcher_stats(r.w, &before);
    struct tree_node *d = tree_child(&r.w->tree, r.w->tree.root, "d", 1);
    for (int i = 0; i < 3; i++)
        walk_arrived(r.w, d, name, strlen(name), i == 1);
    cr_assert_str_eq(r.trouble, "denied: a directory in d is left out, since its name has 300 "
                                "bytes: give it one of 255 at most\n");
    walk_arrived(r.w, d, name, NAME_MAX, false);
    rig_arrive(&r, "d/f");
    cr_assert(rig_told(&r, "d/f"));
    watcher_rescan(r.w);
    cr_assert(rig_scanned(&r));
    walk_arrived(r.w, r.w->tree.root, name, strlen(name), true);
    cr_assert_not_null(strstr(r.trouble, r.root), "told again after a rescan");
    watcher_stats(r.w, &st);
    cr_assert_eq(st.directories, before.directories);
    rig_fini(&r);
}

/* Of a file in dir, from the kernel: there is an event of this kind. */
static void hear(struct rig *r, const struct tree_node *dir, uint32_t mask, const char *name)
{
    _Alignas(struct inotify_event) char raw[sizeof(struct inotify_event) + 512] = {0};
    struct inotify_event *ev = (void *)raw;
    int said[2], fd = inotify_fd(r->w->inotify);
    *ev = (struct inotify_event){.wd = dir->wd, .mask = mask, .len = 512};
    memcpy(raw + sizeof *ev, name, strlen(name));
    cr_assert_eq(pipe2(said, O_CLOEXEC | O_NONBLOCK), 0);
    cr_assert_eq(write(said[1], raw, sizeof raw), (ssize_t)sizeof raw);
    int real = dup(fd);
    cr_assert_eq(dup3(said[0], fd, O_CLOEXEC), fd);
    events_ready(r->w, LOOP_READ);
    cr_assert_eq(dup3(real, fd, O_CLOEXEC), fd);
    (void)close(real);
    (void)close(said[0]);
    (void)close(said[1]);
}

/* And it is all that a scan of the running rescan finds in dir. */
static void find(struct rig *r, struct tree_node *dir, const char *name)
{
    struct walk_reader *reader = &r->w->walk.readers[0];
    struct dirent64 *found = (void *)reader->scan.buffer;
    size_t n = offsetof(struct dirent64, d_name) + strlen(name) + 1;
    cr_assert_eq(reader->phase, WALK_IDLE);
    found->d_reclen = (unsigned short)n;
    found->d_type = DT_REG;
    memcpy(reader->scan.buffer + offsetof(struct dirent64, d_name), name, strlen(name) + 1);
    cr_assert(scan_add(&reader->scan, dir, -1));
    reader->scan.parts[0].end = n;
    reader->scan.parts[0].eof = true;
    tree_pin(dir);
    tree_set(&r->w->tree, dir, TREE_SCANNING | TREE_RESCAN);
    reader->phase = WALK_READ;
    reader->part = reader->at = 0;
    watcher_pump(r->w);
}

Test(directories, files_whose_names_are_too_long_for_us_are_told_and_left_out)
{
    struct rig r;
    struct watcher_stats st;
    char name[301];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    rig_init(&r);
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    struct tree_node *d = tree_child(&r.w->tree, r.w->tree.root, "d", 1);
    static const uint32_t masks[] = {IN_DELETE, IN_CREATE, IN_CLOSE_WRITE, IN_MOVED_TO};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        hear(&r, d, masks[i], name);
        cr_assert_eq(*r.trouble == '\0', i == 0, "one that goes is no trouble: %s", r.trouble);
    }
    cr_assert_str_eq(r.trouble, "denied: a file in d is left out, since its name has 300 bytes: "
                                "give it one of 255 at most\n");
    watcher_rescan(r.w);
    cr_assert(rig_scanned(&r));
    find(&r, d, name);
    cr_assert_not_null(strstr(r.trouble + 1, "denied: a file"), "told again after a rescan");
    rig_turn(&r, 200);
    watcher_stats(r.w, &st);
    cr_assert_eq(st.settling + st.outstanding, 0);
    cr_assert_eq(r.told_n, 0);
    rig_fini(&r);
}

Test(directories, one_that_is_too_deep_to_be_opened_is_told_and_the_root_is_not_blamed)
{
    enum { DEPTH = 18, LEN = 250 }; /* PATH_MAX is 4096 */
    struct rig r;
    struct watcher_stats st;
    int fds[DEPTH + 1];
    char name[LEN + 1];
    memset(name, 'n', LEN);
    name[LEN] = '\0';
    rig_init(&r);
    fds[0] = r.root_fd;
    for (int i = 0; i < DEPTH; i++) {
        cr_assert_eq(mkdirat(fds[i], name, 0755), 0);
        fds[i + 1] = openat(fds[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(fds[i + 1], 0);
    }
    rig_write(&r, "f", "{}\n");
    rig_start(&r);
    cr_assert(rig_troubled(&r, "a directory is left out, since its path has more than 4095 bytes"));
    cr_assert(rig_scanned(&r));
    cr_assert_not_null(strstr(r.trouble, "it is below nnn"), "%s", r.trouble);
    cr_assert_null(strstr(r.trouble, r.root), "%s", r.trouble);
    cr_assert_eq(strchr(r.trouble, '\n'), strrchr(r.trouble, '\n'), "one line: %s", r.trouble);
    cr_assert(rig_told(&r, "f"));
    watcher_stats(r.w, &st);
    cr_assert_eq(st.denied_directories, 1);
    for (int i = DEPTH; i-- > 0;) {
        (void)close(fds[i + 1]);
        cr_assert_eq(unlinkat(fds[i], name, AT_REMOVEDIR), 0);
    }
    rig_fini(&r);
}
