/* The rig: see rig.h. */
#include "rig.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool ignored(void *arg, const char *name)
{
    size_t n = strlen(name);
    (void)arg;
    return name[0] == '.' || (n > 4 && strcmp(name + n - 4, ".tmp") == 0);
}

static bool known(void *arg, const char *path, size_t n)
{
    struct rig *r = arg;
    cr_assert_eq(strlen(path), n);
    for (size_t i = 0; r->known_after && i < r->told_n; i++) {
        if (r->told[i].answered && strcmp(r->told[i].path, path) == 0)
            return true;
    }
    return false;
}

void rig_answer(struct rig *r, const char *path, enum watcher_verdict v, uint64_t wait_ms)
{
    for (size_t i = 0; i < r->told_n; i++) {
        if (!r->told[i].answered && strcmp(r->told[i].path, path) == 0) {
            r->told[i].answered = true;
            r->outstanding--;
            watcher_answer(r->w, path, strlen(path), v, wait_ms);
            return;
        }
    }
    cr_assert_fail("%s is not out", path);
}

static void candidate(void *arg, const char *path, size_t n, enum watcher_trust trust,
                      enum watcher_source source)
{
    struct rig *r = arg;
    size_t before = rig_count(r, path);
    cr_assert_eq(strlen(path), n);
    const struct told *last = rig_last(r, path);
    r->twice += last && !last->answered;
    if (r->told_n == r->told_cap) {
        r->told_cap = r->told_cap ? r->told_cap * 2 : 256;
        r->told = mem_resize(r->told, r->told_cap, sizeof *r->told);
    }
    r->told[r->told_n++] = (struct told){mem_strdup(path), trust, source, false};
    r->outstanding++;
    if (r->outstanding > r->most_outstanding)
        r->most_outstanding = r->outstanding;
    if (!r->hold) {
        bool again = before < r->again_first;
        rig_answer(r, path, again ? WATCHER_AGAIN : WATCHER_DONE, r->again_ms);
    }
}

static void trouble(void *arg, const char *code, const char *text)
{
    struct rig *r = arg;
    size_t n = strlen(r->trouble);
    (void)snprintf(r->trouble + n, sizeof r->trouble - n, "%s: %s\n", code, text);
}

void rig_init(struct rig *r)
{
    const char *tmp = getenv("TMPDIR");
    memset(r, 0, sizeof *r);
    (void)signal(SIGIO, SIG_IGN);
    (void)snprintf(r->root, sizeof r->root, "%.40s/watcher-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(r->root));
    r->root_fd = open(r->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(r->root_fd, 0);
    r->loop = loop_new();
    r->cfg = (struct watcher_cfg){
        .loop = r->loop,
        .root_fd = r->root_fd,
        .root = r->root,
        .settle_ms = 100,
        .window = 256,
        .table_max = 65536,
        .ignored = ignored,
        .known = known,
        .candidate = candidate,
        .trouble = trouble,
        .arg = r,
    };
}

void rig_start(struct rig *r)
{
    struct err e;
    cr_assert_eq(watcher_new(&r->cfg, &r->w, &e), RC_OK, "%s", e.text);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void rig_fini(struct rig *r)
{
    watcher_free(r->w);
    loop_free(r->loop);
    for (size_t i = 0; i < r->told_n; i++)
        free(r->told[i].path);
    free(r->told);
    (void)close(r->root_fd);
    (void)nftw(r->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void wake(void *arg)
{
    (void)arg;
}

bool rig_until(struct rig *r, bool (*cond)(struct rig *r, const void *arg), const void *arg,
               unsigned ms)
{
    int64_t end = now_ms() + ms;
    struct loop_timer *timer = loop_timer_new(r->loop, wake, NULL);
    bool met;
    while (!(met = cond(r, arg)) && now_ms() < end) {
        loop_timer_set(timer, 5);
        loop_step(r->loop, true);
    }
    loop_timer_free(timer);
    return met;
}

size_t rig_count(const struct rig *r, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < r->told_n; i++)
        n += strcmp(r->told[i].path, path) == 0;
    return n;
}

const struct told *rig_last(const struct rig *r, const char *path)
{
    for (size_t i = r->told_n; i-- > 0;) {
        if (strcmp(r->told[i].path, path) == 0)
            return &r->told[i];
    }
    return NULL;
}

static bool was_told(struct rig *r, const void *path)
{
    return rig_count(r, path) > 0;
}

bool rig_told(struct rig *r, const char *path, unsigned ms)
{
    return rig_until(r, was_told, path, ms);
}

static bool at_rest(struct rig *r, const void *arg)
{
    struct watcher_stats st;
    (void)arg;
    watcher_stats(r->w, &st);
    return !st.scanning_start && st.scans_running == 0 && st.outstanding == 0;
}

bool rig_scanned(struct rig *r)
{
    rig_turn(r, 20);
    return rig_until(r, at_rest, NULL, 20000);
}

static bool never(struct rig *r, const void *arg)
{
    (void)r;
    (void)arg;
    return false;
}

void rig_turn(struct rig *r, unsigned ms)
{
    (void)rig_until(r, never, NULL, ms);
}

void rig_mkdirs(const struct rig *r, const char *path)
{
    char part[1024];
    for (size_t n = 0; path[n];) {
        n += strcspn(path + n, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        (void)mkdirat(r->root_fd, part, 0755);
        n += path[n] == '/';
    }
}

void rig_write(const struct rig *r, const char *path, const char *text)
{
    int fd = openat(r->root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(close(fd), 0);
}

void rig_rename(const struct rig *r, const char *from, const char *to)
{
    cr_assert_eq(renameat(r->root_fd, from, r->root_fd, to), 0, "%s to %s", from, to);
}

void rig_arrive(const struct rig *r, const char *path)
{
    char tmp[1024];
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    rig_write(r, tmp, "{}\n");
    rig_rename(r, tmp, path);
}

void rig_age(const struct rig *r, const char *path, unsigned seconds)
{
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    cr_assert_eq(utimensat(r->root_fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}
