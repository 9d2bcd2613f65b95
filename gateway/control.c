/* libmicrohttpd on our loop: its epoll descriptor is one of ours, its next time-out one of our
 * timers, so that handlers run on the loop's thread and nothing is shared. See control.h.
 */
#include "gateway/control.h"

#include "base/mem.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* One who keeps connections open and says nothing shuts the others out for this long at most. */
#define CONNECTIONS_MAX   200
#define CONNECTION_IDLE_S 10
#define ANSWER_MAX        (64 << 20)

struct control {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_poll *poll;
    struct loop_timer *timer;
    control_handler *handler;
    void *arg;
    struct exchange *suspended;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd;
};

const char *control_argument(const struct control_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->handle_, MHD_GET_ARGUMENT_KIND, name);
}

/* One request on its way. */
struct exchange {
    struct control *control;
    struct MHD_Connection *connection;
    struct buf body;
    struct control_answer answer;
    bool answered, suspended;
    struct control_pending *pending; /* not NULL: deferred */
    struct exchange *prev, *next;    /* of those that are suspended */
};
struct control_pending {
    struct exchange *exchange; /* NULL: nobody waits any more */
};

void control_answer_init(struct control_answer *a)
{
    *a = (struct control_answer){.status = 200, .content_type = "application/json"};
    buf_init(&a->body, ANSWER_MAX);
}

/* The body goes over to libmicrohttpd. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct control_answer *a)
{
    if (a->body.overflow)
        a->status = 500;
    size_t n = a->body.len;
    char *body = buf_take(&a->body);
    struct MHD_Response *response = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(body);
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(response, "Content-Type", a->content_type);
    if (ok == MHD_YES)
        ok = MHD_queue_response(connection, (unsigned)a->status, response);
    MHD_destroy_response(response);
    return ok;
}

static void suspend(struct exchange *x)
{
    struct control *c = x->control;
    MHD_suspend_connection(x->connection);
    x->suspended = true;
    x->next = c->suspended;
    if (x->next)
        x->next->prev = x;
    c->suspended = x;
}

static void resume(struct exchange *x)
{
    *(x->prev ? &x->prev->next : &x->control->suspended) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->suspended = false;
    MHD_resume_connection(x->connection);
    loop_timer_set(x->control->timer, 0);
}

struct control_pending *control_defer(const struct control_request *r)
{
    struct exchange *x = r->exchange_;
    BUG_ON(x->pending);
    x->pending = mem_alloc(sizeof *x->pending);
    x->pending->exchange = x;
    return x->pending;
}

void control_answer_late(struct control_pending *w, struct control_answer *a)
{
    struct exchange *x = w->exchange;
    free(w);
    if (!x) {
        buf_fini(&a->body);
        return;
    }
    x->answer = *a;
    x->answered = true;
    if (x->suspended)
        resume(x);
}

static enum MHD_Result answer_request(struct exchange *x, const char *method, const char *url)
{
    struct control *c = x->control;
    struct control_request r = {.method = method,
                                .path = url,
                                .body = x->body.data,
                                .body_len = x->body.len,
                                .handle_ = x->connection,
                                .exchange_ = x};
    struct control_answer a;
    control_answer_init(&a);
    if (x->body.overflow) {
        a.status = 413;
        a.content_type = "application/problem+json";
        buf_adds(&a.body, "{\"title\":\"the request is longer than 1 MiB\",\"status\":413}");
        return send_answer(x->connection, &a);
    }
    c->handler(c->arg, &r, &a);
    if (!x->pending)
        return send_answer(x->connection, &a);
    buf_fini(&a.body);
    if (x->answered)
        return send_answer(x->connection, &x->answer);
    suspend(x);
    return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **state)
{
    (void)version;
    struct exchange *x = *state;
    if (!x) {
        x = mem_alloc(sizeof *x);
        x->control = arg;
        x->connection = connection;
        buf_init(&x->body, CONTROL_BODY_MAX);
        *state = x;
        return MHD_YES;
    }
    if (*data_len > 0) {
        buf_add(&x->body, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    if (x->answered)
        return send_answer(connection, &x->answer);
    return answer_request(x, method, url);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)arg;
    (void)connection;
    (void)why;
    struct exchange *x = *state;
    if (!x)
        return;
    if (x->pending && !x->answered)
        x->pending->exchange = NULL;
    if (x->answered)
        buf_fini(&x->answer.body);
    buf_fini(&x->body);
    free(x);
    *state = NULL;
}

static void turn(struct control *c)
{
    MHD_UNSIGNED_LONG_LONG ms;
    (void)MHD_run(c->daemon); /* its failures are those of single connections */
    if (MHD_get_timeout(c->daemon, &ms) == MHD_YES)
        loop_timer_set(c->timer, ms);
    else
        loop_timer_clear(c->timer);
}

static void on_timer(void *arg)
{
    turn(arg);
}

static void on_events(void *arg, int events)
{
    (void)events;
    turn(arg);
}

/* A socket file on which nobody answers is what a crash left. */
static enum rc clear_stale(const struct sockaddr_un *address, struct err *e)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return errno == ENOENT ? RC_OK : err_sys(e, errno, "cannot look at %s", address->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, RC_EXISTS, "%s is there and is no socket: set `control` to another path",
                       address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    (void)close(fd); /* nothing was written */
    if (rc == 0)
        return err_set(
            e, RC_AGAIN,
            "another gateway answers on %s: stop it first, or set `control` to another path",
            address->sun_path);
    if (unlink(address->sun_path) != 0 && errno != ENOENT)
        return err_sys(e, errno, "cannot remove the stale socket %s", address->sun_path);
    return RC_OK;
}

static enum rc listen_on(struct control *c, const char *path, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(
            e, RC_LIMIT,
            "the control socket's path has more than %zu bytes: set `control` to a shorter one",
            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    enum rc rc = clear_stale(&address, e);
    if (rc != RC_OK)
        return rc;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    mode_t before = umask(0117); /* 0660 from the first moment on */
    int bound = bind(c->fd, (const struct sockaddr *)&address, sizeof address);
    int bind_errno = errno;
    umask(before);
    if (bound != 0)
        return err_sys(e, bind_errno,
                       "cannot make the control socket %s (does its directory exist, and may this "
                       "user write there?)",
                       path);
    memcpy(c->path, address.sun_path, sizeof c->path);
    if (listen(c->fd, 64) != 0)
        return err_sys(e, errno, "cannot listen on %s", path);
    return RC_OK;
}

enum rc control_new(struct loop *l, const char *socket_path, control_handler *handler, void *arg,
                    struct control **out, struct err *e)
{
    struct control *c = mem_alloc(sizeof *c);
    *c = (struct control){.loop = l, .handler = handler, .arg = arg, .fd = -1};
    enum rc rc = listen_on(c, socket_path, e);
    if (rc != RC_OK)
        goto out;
    c->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, c,
                         MHD_OPTION_LISTEN_SOCKET, c->fd, MHD_OPTION_CONNECTION_LIMIT,
                         CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_IDLE_S,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        c->daemon ? MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        rc = err_set(e, RC_IO, "libmicrohttpd does not start on %s", socket_path);
        goto out;
    }
    c->timer = loop_timer_new(l, on_timer, c);
    c->poll = loop_poll_new(l, info->epoll_fd, on_events, c);
    loop_poll_set(c->poll, LOOP_READ);
    *out = c;
    return RC_OK;
out:
    control_free(c);
    return rc;
}

/* libmicrohttpd cannot be stopped over a suspended connection. */
static void answer_all(struct control *c)
{
    while (c->suspended) {
        struct exchange *x = c->suspended;
        x->pending->exchange = NULL;
        control_answer_init(&x->answer);
        x->answer.status = 503;
        x->answer.content_type = "application/problem+json";
        buf_adds(&x->answer.body, "{\"title\":\"the gateway stops\",\"status\":503}");
        x->answered = true;
        resume(x);
    }
    if (c->daemon)
        (void)MHD_run(c->daemon); /* its failures are those of single connections */
}

void control_free(struct control *c)
{
    if (!c)
        return;
    answer_all(c);
    if (c->poll)
        loop_poll_free(c->poll);
    loop_timer_free(c->timer);
    if (c->daemon)
        MHD_stop_daemon(c->daemon); /* closes the socket too */
    else if (c->fd >= 0)
        (void)close(c->fd);
    if (c->path[0] != '\0')
        (void)unlink(c->path); /* a stale one is replaced at the next start */
    free(c);
}
