/* The rig: see rig.h. */
#include "tests/unit/watcher/rig.h"

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

/* The last time that this path was told; *count: how often. */
static struct told *find(const struct rig *r, const char *path, size_t *count)
{
    uint32_t hash = hash_bytes(&r->by_path, path, strlen(path));
    struct told *last = NULL;
    size_t n = 0;
    for (struct hash_link *l = hash_first(&r->by_path, hash); l; l = l->next) {
        struct told *t = HASH_OWNER(l, struct told, by_path);
        if (strcmp(t->path, path) != 0)
            continue;
        n++;
        if (!last || t->at > last->at)
            last = t;
    }
    if (count)
        *count = n;
    return last;
}

size_t rig_count(const struct rig *r, const char *path)
{
    size_t n;
    (void)find(r, path, &n);
    return n;
}

const struct told *rig_last(const struct rig *r, const char *path)
{
    return find(r, path, NULL);
}

static bool known(void *arg, const char *path, size_t n)
{
    struct rig *r = arg;
    cr_assert_eq(strlen(path), n);
    const struct told *last = rig_last(r, path);
    return r->known_after && last && last->answered;
}

void rig_answer(struct rig *r, const char *path, enum watcher_verdict v, uint64_t wait_ms)
{
    struct told *last = find(r, path, NULL);
    cr_assert(last && !last->answered, "%s is not out", path);
    last->answered = true;
    r->outstanding--;
    watcher_answer(r->w, path, strlen(path), v, wait_ms);
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
    struct told *now = mem_alloc(sizeof *now);
    *now =
        (struct told){.at = r->told_n, .path = mem_strdup(path), .trust = trust, .source = source};
    hash_add(&r->by_path, &now->by_path, hash_bytes(&r->by_path, path, n));
    r->told[r->told_n++] = now;
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
    hash_init(&r->by_path);
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
    for (size_t i = 0; i < r->told_n; i++) {
        free(r->told[i]->path);
        free(r->told[i]);
    }
    free(r->told);
    hash_fini(&r->by_path);
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

static bool was_told(struct rig *r, const void *path)
{
    return rig_count(r, path) > 0;
}

bool rig_told(struct rig *r, const char *path)
{
    return rig_until(r, was_told, path, RIG_PATIENCE_MS);
}

static bool more_told(struct rig *r, const void *n)
{
    return r->told_n > *(const size_t *)n;
}

bool rig_more(struct rig *r, size_t n)
{
    return rig_until(r, more_told, &n, RIG_PATIENCE_MS);
}

bool rig_counted(struct rig *r, const char *path, size_t n)
{
    while (rig_count(r, path) < n) {
        if (!rig_more(r, r->told_n))
            return false;
    }
    return rig_count(r, path) == n;
}

static bool was_said(struct rig *r, const void *text)
{
    return strstr(r->trouble, text) != NULL;
}

bool rig_troubled(struct rig *r, const char *text)
{
    return rig_until(r, was_said, text, RIG_PATIENCE_MS);
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
    return rig_until(r, at_rest, NULL, RIG_PATIENCE_MS);
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
