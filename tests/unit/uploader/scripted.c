#include "tests/unit/uploader/scripted.h"

#include "base/mem.h"
#include "base/rc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256

struct connection {
    struct scripted *server;
    int fd;
    unsigned number;
    pthread_t thread;
    char *in;
    size_t have;
};

struct scripted {
    scripted_handler *handle;
    void *arg;
    int fd;
    char origin[64];
    pthread_t thread;
    atomic_uint requests;
    pthread_mutex_t lock; /* over the list */
    bool stopping;
    struct connection connections[CONNECTIONS_MAX];
    unsigned n;
};

#define IN_MAX (32u << 10)

const char *scripted_header(const struct scripted_request *rq, const char *name, char out[1024])
{
    char want[128];
    const char *at, *end;

    out[0] = '\0';
    snprintf(want, sizeof(want), "\r\n%s:", name);
    at = strcasestr(rq->head, want);
    if (at == NULL)
        return out;
    at += strlen(want);
    at += strspn(at, " ");
    end = strstr(at, "\r\n");
    snprintf(out, 1024, "%.*s", (int)(end - at), at);
    return out;
}

/* false: the other side is gone. */
static bool send_all(int fd, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool fill(struct connection *c)
{
    ssize_t got = recv(c->fd, c->in + c->have, IN_MAX - 1 - c->have, 0);

    if (got <= 0)
        return false;
    c->have += (size_t)got;
    c->in[c->have] = '\0';
    return true;
}

static bool read_head(struct connection *c, struct scripted_request *rq)
{
    char *end, *line_end, text[1024];
    size_t used;

    c->in[c->have] = '\0';
    while ((end = strstr(c->in, "\r\n\r\n")) == NULL) {
        if (c->have >= IN_MAX - 1 || !fill(c))
            return false;
    }
    end[2] = '\0';
    line_end = strstr(c->in, "\r\n");
    if (sscanf(c->in, "%7s %4095s", rq->method, rq->target) != 2)
        return false;
    snprintf(rq->head, sizeof(rq->head), "%.16000s", line_end);
    used = (size_t)(end + 4 - c->in);
    memmove(c->in, c->in + used, c->have - used);
    c->have -= used;
    rq->body_len = strtoul(scripted_header(rq, "content-length", text), NULL, 10);
    return true;
}

static bool read_body(struct connection *c, struct scripted_request *rq)
{
    size_t have = c->have < rq->body_len ? c->have : rq->body_len;

    rq->body = malloc(rq->body_len + 1);
    memcpy(rq->body, c->in, have);
    memmove(c->in, c->in + have, c->have - have);
    c->have -= have;
    while (have < rq->body_len) {
        ssize_t got = recv(c->fd, rq->body + have, rq->body_len - have, 0);

        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    rq->body[rq->body_len] = '\0';
    return true;
}

static void reset(int fd)
{
    struct linger l = {.l_onoff = 1};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* false: the connection is to be closed. */
static bool answer(struct connection *c, const struct scripted_request *rq,
                   const struct scripted_reply *rp)
{
    char head[4096];
    bool bodyless = strcmp(rq->method, "HEAD") == 0;
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s%s\r\n",
                     rp->status ? rp->status : 200, rp->body_len,
                     rp->early ? "Connection: close\r\n" : "", rp->headers);
    size_t head_len = (size_t)n, body_len = bodyless || rp->body == NULL ? 0 : rp->body_len;
    size_t limit = rp->cut_after > 0 ? (size_t)rp->cut_after : SIZE_MAX, sent = 0;

    if (rp->delay_ms > 0)
        usleep(rp->delay_ms * 1000);
    if (rp->silent) {
        char left;

        while (recv(c->fd, &left, 1, 0) > 0)
            ;
        return false;
    }
    if (rp->reset) {
        reset(c->fd);
        return false;
    }
    if (rp->raw != NULL) {
        send_all(c->fd, rp->raw, strlen(rp->raw));
        return false;
    }
    if (rp->whole != NULL)
        *rp->whole = head_len + body_len;
    if (rp->cut_resets && head_len + body_len > limit)
        reset(c->fd); /* closing will be one */
    if (!send_all(c->fd, head, head_len < limit ? head_len : limit))
        return false;
    if (head_len >= limit)
        return false;
    limit -= head_len;
    while (sent < body_len && sent < limit) {
        size_t piece = rp->trickle_ms > 0 ? body_len / 8 + 1 : body_len;

        if (piece > body_len - sent)
            piece = body_len - sent;
        if (piece > limit - sent)
            piece = limit - sent;
        if (rp->trickle_ms > 0)
            usleep(rp->trickle_ms * 1000);
        if (!send_all(c->fd, (const char *)rp->body + sent, piece))
            return false;
        sent += piece;
    }
    return sent == body_len && !rp->early;
}

static bool serve_one(struct connection *c)
{
    struct scripted *s = c->server;
    struct scripted_request *rq = mem_alloc(sizeof(*rq));
    struct scripted_reply early = {0}, rp = {0};
    bool go_on = false;

    rq->connection = c->number;
    if (!read_head(c, rq))
        goto out;
    rq->n = atomic_fetch_add(&s->requests, 1) + 1;
    s->handle(s->arg, rq, &early);
    if (early.early || early.reset) {
        go_on = answer(c, rq, &early);
        goto out;
    }
    if (early.free_body)
        free((void *)(uintptr_t)early.body);
    early.free_body = false;
    if (!read_body(c, rq))
        goto out;
    s->handle(s->arg, rq, &rp);
    go_on = answer(c, rq, &rp);
out:
    if (early.free_body)
        free((void *)(uintptr_t)early.body);
    if (rp.free_body)
        free((void *)(uintptr_t)rp.body);
    free(rq->body);
    free(rq);
    return go_on;
}

static void *serve(void *arg)
{
    struct connection *c = arg;

    c->in = mem_alloc(IN_MAX);
    while (serve_one(c))
        ;
    free(c->in);
    pthread_mutex_lock(&c->server->lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&c->server->lock);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct scripted *s = arg;
    const int on = 1;
    int fd;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct connection *c;

        /* Head and body go by themselves. A unix socket does not know this, and needs it not. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        pthread_mutex_lock(&s->lock);
        BUG_ON(s->n == CONNECTIONS_MAX);
        c = &s->connections[s->n];
        *c = (struct connection){.server = s, .fd = fd, .number = s->n};
        BUG_ON(pthread_create(&c->thread, NULL, serve, c) != 0);
        s->n++;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static struct scripted *start(struct scripted *s, scripted_handler *handle, void *arg)
{
    s->handle = handle;
    s->arg = arg;
    pthread_mutex_init(&s->lock, NULL);
    BUG_ON(listen(s->fd, 128) != 0);
    BUG_ON(pthread_create(&s->thread, NULL, accept_all, s) != 0);
    return s;
}

struct scripted *scripted_new(scripted_handler *handle, void *arg)
{
    struct scripted *s = mem_alloc(sizeof(*s));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BUG_ON(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) != 0);
    BUG_ON(getsockname(s->fd, (struct sockaddr *)&a, &len) != 0);
    snprintf(s->origin, sizeof(s->origin), "http://127.0.0.1:%u", ntohs(a.sin_port));
    return start(s, handle, arg);
}

struct scripted *scripted_new_unix(scripted_handler *handle, void *arg, const char *path)
{
    struct scripted *s = mem_alloc(sizeof(*s));
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    BUG_ON(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) != 0);
    snprintf(s->origin, sizeof(s->origin), "http://localhost");
    return start(s, handle, arg);
}

void scripted_free(struct scripted *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++) {
        if (s->connections[i].fd >= 0)
            shutdown(s->connections[i].fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->n; i++)
        pthread_join(s->connections[i].thread, NULL);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *scripted_origin(const struct scripted *s)
{
    return s->origin;
}
