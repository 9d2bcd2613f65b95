/* Accepting, waiting, and timers. Timers are a list by deadline: a rule delays all its requests
 * alike, so a new one nearly always belongs at the end, where the search begins.
 */
#include "tests/fakes/devstore/server.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tests/fakes/devstore/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX      256
#define CONNECTIONS_MAX 8192

struct server {
    struct service *service;
    struct tls *tls;
    int listen_fd, stop_fd;
    unsigned n_workers, next_worker;
    struct worker *workers;
};

static int listen_on(const char *address, unsigned *port, struct err *e)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof addr;
    int fd, one = 1;

    if (inet_pton(AF_INET, address, &addr.sin_addr) != 1) {
        (void)err_set(e, RC_INVALID, "%s is no IPv4 address", address);
        return -1;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
        (void)err_sys(e, errno, "cannot listen on %s:%u", address, *port);
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    *port = ntohs(addr.sin_port);
    return fd;
}

static bool watch(int epoll_fd, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

struct server *server_new(struct service *service, int stop_fd, unsigned *port, struct err *e)
{
    const struct config *config = service->config;
    struct server *s = mem_alloc(sizeof *s);

    s->service = service;
    s->stop_fd = stop_fd;
    s->n_workers = config->threads;
    s->workers = mem_alloc(s->n_workers * sizeof *s->workers);
    for (unsigned i = 0; i < s->n_workers; i++) {
        s->workers[i].epoll_fd = -1;
        pthread_mutex_init(&s->workers[i].lock, NULL);
    }
    s->listen_fd = listen_on(config->address, port, e);
    if (s->listen_fd < 0)
        goto fail;
    if (config->tls_cert != NULL) {
        s->tls = tls_new(config->tls_cert, config->tls_key, e);
        if (s->tls == NULL)
            goto fail;
    }
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct worker *w = &s->workers[i];
        w->service = service;
        w->tls = s->tls;
        w->auth = auth_new(config);
        w->scratch = mem_alloc(WORKER_SCRATCH);
        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (w->epoll_fd < 0 || !watch(w->epoll_fd, stop_fd, &s->stop_fd) ||
            (i == 0 && !watch(w->epoll_fd, s->listen_fd, &s->listen_fd))) {
            (void)err_sys(e, errno, "cannot set up epoll");
            goto fail;
        }
    }
    return s;
fail:
    server_free(s);
    return NULL;
}

void server_free(struct server *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct worker *w = &s->workers[i];
        while (w->conns != NULL)
            conn_free(w->conns);
        auth_free(w->auth);
        free(w->scratch);
        if (w->epoll_fd >= 0)
            (void)close(w->epoll_fd);
        pthread_mutex_destroy(&w->lock);
    }
    tls_free(s->tls);
    if (s->listen_fd >= 0)
        (void)close(s->listen_fd);
    free(s->workers);
    free(s);
}

static void accept_all(struct server *s)
{
    int fd, one = 1;

    while ((fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct worker *w = &s->workers[s->next_worker++ % s->n_workers];
        struct conn *c;
        if (s->service->stats.connections_now >= CONNECTIONS_MAX) {
            (void)close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only slower without */
        c = conn_new(w, fd);
        /* From here on the connection is its thread's; nothing of it is touched any more. */
        if (c != NULL && !watch(w->epoll_fd, fd, c))
            conn_free(c);
    }
}

static int timeout_ms(const struct worker *w)
{
    int64_t left;

    if (w->timers_first == NULL)
        return -1;
    left = conn_deadline_ns(w->timers_first) - clock_mono_now_ns();
    return left <= 0 ? 0 : (int)(left / CLOCK_NS_PER_MS) + 1;
}

static void fire_timers(struct worker *w)
{
    int64_t now;

    if (w->timers_first == NULL)
        return;
    now = clock_mono_now_ns();
    while (w->timers_first != NULL && conn_deadline_ns(w->timers_first) <= now)
        conn_timer(w->timers_first);
}

static void run_worker(struct server *s, struct worker *w)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, timeout_ms(w));
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &s->stop_fd)
                return;
            if (what == &s->listen_fd)
                accept_all(s);
            else
                conn_event(what, events[i].events);
        }
        fire_timers(w);
    }
}

struct start {
    struct server *server;
    struct worker *worker;
};

static void *worker_main(void *arg)
{
    struct start *start = arg;

    run_worker(start->server, start->worker);
    free(start);
    return NULL;
}

void server_run(struct server *s)
{
    for (unsigned i = 1; i < s->n_workers; i++) {
        struct start *start = mem_alloc(sizeof *start);
        *start = (struct start){.server = s, .worker = &s->workers[i]};
        BUG_ON(pthread_create(&s->workers[i].thread, NULL, worker_main, start) != 0);
    }
    run_worker(s, &s->workers[0]);
    for (unsigned i = 1; i < s->n_workers; i++)
        BUG_ON(pthread_join(s->workers[i].thread, NULL) != 0);
}
