/* The descriptors that an HTTP client watches; see http_int.h for why interest shrinks late.
 *
 * Invariant: a descriptor that the loop watches is open, since libuv aborts at any other. A
 * connected one opened here leaves the table in http_sockets_close; any other one as soon as its
 * owner wants no event: curl closes those that never connected, and those of its own, behind our
 * back.
 */
#include "uploader/http_int.h"

#include "base/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct watched {
    struct http_sockets *all;
    int fd;
    struct loop_poll *poll;
    int wanted, armed;
    bool ours, connected;
};

struct http_sockets {
    struct loop *loop;
    void (*ready)(void *arg, int fd, int events);
    void *arg;
    struct watched **by_fd;
    size_t n;
};

struct http_sockets *http_sockets_new(struct loop *l, void (*ready)(void *arg, int fd, int events),
                                      void *arg)
{
    struct http_sockets *s = mem_alloc(sizeof(*s));

    s->loop = l;
    s->ready = ready;
    s->arg = arg;
    return s;
}

static struct watched *make(struct http_sockets *s, int fd)
{
    size_t at = (size_t)fd, n = at + 16;

    if (at >= s->n) {
        s->by_fd = mem_resize(s->by_fd, n, sizeof(struct watched *));
        memset(s->by_fd + s->n, 0, (n - s->n) * sizeof(struct watched *));
        s->n = n;
    }
    if (s->by_fd[at] == NULL) {
        s->by_fd[at] = mem_alloc(sizeof(struct watched));
        s->by_fd[at]->all = s;
        s->by_fd[at]->fd = fd;
    }
    return s->by_fd[at];
}

static void forget(struct http_sockets *s, int fd)
{
    struct watched *w = (size_t)fd < s->n ? s->by_fd[fd] : NULL;

    if (w == NULL)
        return;
    if (w->poll != NULL)
        loop_poll_free(w->poll);
    s->by_fd[fd] = NULL;
    free(w);
}

void http_sockets_free(struct http_sockets *s)
{
    for (size_t fd = 0; fd < s->n; fd++)
        forget(s, (int)fd);
    free(s->by_fd);
    free(s);
}

int http_sockets_open(struct http_sockets *s, int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    if (fd < 0)
        return fd;
    /* An attempt to connect that failed may have had this number. Curl, for which nothing changed,
     * does not say again what it waits for. */
    int wanted = (size_t)fd < s->n && s->by_fd[fd] != NULL ? s->by_fd[fd]->wanted : 0;
    forget(s, fd);
    make(s, fd)->ours = true;
    if (wanted != 0)
        http_sockets_watch(s, fd, wanted);
    return fd;
}

int http_sockets_close(struct http_sockets *s, int fd)
{
    forget(s, fd);
    return close(fd);
}

static void fired(void *arg, int events)
{
    struct watched *w = arg;
    int useful = events & w->wanted;

    if (useful != events) {
        w->armed = w->wanted;
        loop_poll_set(w->poll, w->armed);
    }
    if (useful != 0)
        w->all->ready(w->all->arg, w->fd, useful); /* may close it: w is gone then */
}

void http_sockets_watch(struct http_sockets *s, int fd, int events)
{
    struct watched *w;

    if (events == 0) {
        w = (size_t)fd < s->n ? s->by_fd[fd] : NULL;
        if (w != NULL && w->ours && w->connected)
            w->wanted = 0;
        else
            forget(s, fd);
        return;
    }
    w = make(s, fd);
    w->wanted = events;
    w->connected |= (events & LOOP_READ) != 0; /* until then curl waits for writing only */
    if ((events & ~w->armed) == 0)
        return;
    if (w->poll == NULL)
        w->poll = loop_poll_new(s->loop, fd, fired, w);
    w->armed = events;
    loop_poll_set(w->poll, events);
}

void http_sockets_outlive_their_peers(void)
{
    struct sigaction sa;

    if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for a known signal */
}
