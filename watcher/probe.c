/* Probes: see probe.h. What is at a name is learnt from an O_PATH descriptor first, which opens
 * nothing: a FIFO or a device is never opened here. */
#include "watcher/probe.h"

#include "base/fsio.h"
#include "base/lease.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static enum probe_answer ask_writer(int path_fd, const struct file_stat *st)
{
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", path_fd);
    const struct fsio *fs = &fsio_system;
    int fd = fs->ops->open(fs->ctx, AT_FDCWD, self, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return PROBE_UNKNOWN;
    enum lease_answer lease = lease_ask(fd);
    (void)fs->ops->close(fs->ctx, fd); /* only read from */
    if (lease == LEASE_WRITER)
        return PROBE_WRITER;
    if (lease == LEASE_UNKNOWN)
        return PROBE_UNKNOWN;
    return st->id.size > 0 ? PROBE_WHOLE : PROBE_EMPTY;
}

void probe_ask(int root_fd, struct probe *probe)
{
    const struct fsio *fs = &fsio_system;
    struct file_stat st;
    int fd = fs->ops->open_beneath(fs->ctx, root_fd, probe->path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0) {
        /* ELOOP: a link on the way there, so that there is no such file for us. */
        probe->answer =
            fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? PROBE_GONE : PROBE_UNKNOWN;
        return;
    }
    if (fs->ops->stat(fs->ctx, fd, "", &st) < 0) {
        probe->answer = PROBE_UNKNOWN;
    } else if (S_ISDIR(st.mode)) {
        probe->answer = PROBE_GONE;
    } else if (!S_ISREG(st.mode)) {
        probe->answer = PROBE_OTHER;
    } else {
        probe->ino = st.id.ino;
        probe->answer = ask_writer(fd, &st);
    }
    (void)fs->ops->close(fs->ctx, fd); /* O_PATH: there is nothing to lose */
}

void prober_init(struct prober *p)
{
    p->waiting = p->asked = NULL;
    p->waiting_n = p->waiting_cap = p->asked_n = 0;
    p->busy = false;
}

static void free_all(struct probe *probes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(probes[i].path);
    free(probes);
}

void prober_fini(struct prober *p)
{
    BUG_ON(p->busy);
    free_all(p->waiting, p->waiting_n);
    p->waiting = NULL;
    p->waiting_n = p->waiting_cap = 0;
}

void prober_add(struct prober *p, uint64_t number, const char *path, size_t path_len)
{
    if (p->waiting_n == p->waiting_cap) {
        p->waiting_cap = p->waiting_cap ? p->waiting_cap * 2 : 64;
        p->waiting = mem_resize(p->waiting, p->waiting_cap, sizeof *p->waiting);
    }
    p->waiting[p->waiting_n++] =
        (struct probe){.number = number, .path = mem_strndup(path, path_len), .path_len = path_len};
}

static void run(void *arg)
{
    struct prober *p = arg;
    for (size_t i = 0; i < p->asked_n; i++)
        probe_ask(p->root_fd, &p->asked[i]);
}

static void finish(void *arg)
{
    struct prober *p = arg;
    struct probe *asked = p->asked;
    size_t n = p->asked_n;
    p->busy = false;
    p->asked = NULL;
    p->asked_n = 0;
    p->done(p->arg, asked, n);
    free_all(asked, n);
}

void prober_go(struct prober *p, bool (*wanted)(void *arg, const struct probe *probe))
{
    if (p->busy || p->waiting_n == 0)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < p->waiting_n; i++) {
        if (wanted(p->arg, &p->waiting[i]))
            p->waiting[kept++] = p->waiting[i];
        else
            free(p->waiting[i].path);
    }
    p->waiting_n = kept;
    if (kept == 0)
        return;
    p->asked = p->waiting;
    p->asked_n = kept;
    p->waiting = NULL;
    p->waiting_n = p->waiting_cap = 0;
    p->busy = true;
    loop_work(p->loop, run, finish, p);
}
