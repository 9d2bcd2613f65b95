/* Slow is not stalled: what is taken for movement where curl's counters stand. */
#include "uploader/http_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A peer that takes little at a time. */
static int listen_with_little_room(struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), room = 64 << 10;
    socklen_t n = sizeof *at;

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)at, n), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)at, &n), 0);
    return fd;
}

static struct tcp_info info_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    return info;
}

/* Read until more is acknowledged than was. */
static void take_some(int peer, int sender)
{
    static char bytes[16 << 10];
    uint64_t before = info_of(sender).tcpi_bytes_acked;

    while (info_of(sender).tcpi_bytes_acked == before) {
        cr_assert(recv(peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0 || errno == EAGAIN);
        usleep(1000);
    }
}

static void take_all(int peer, int sender)
{
    static char bytes[256 << 10];

    while (info_of(sender).tcpi_unacked > 0 || info_of(sender).tcpi_notsent_bytes > 0) {
        cr_assert(recv(peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0 || errno == EAGAIN);
        usleep(1000);
    }
}

Test(http_progress, what_the_kernel_still_sends_is_movement_and_no_waiting_for_an_answer)
{
    static char bytes[4 << 20];
    struct http_cfg cfg = {.first_byte_ms = 1000, .stall_ms = 2000};
    struct sockaddr_in at;
    int listener = listen_with_little_room(&at), peer;
    struct http_counters n = {.connected = true};
    struct http_progress p;
    uint64_t now = 5;

    n.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(n.fd, (struct sockaddr *)&at, sizeof at), 0);
    while ((peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        cr_assert_eq(errno, EAGAIN);
    ssize_t sent = send(n.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    cr_assert_gt(sent, 0);
    n.up = n.body_size = (uint64_t)sent; /* so far as curl knows, all is sent */
    http_progress_begin(&p, now);
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now), HTTP_NO_FAILURE, "counters moved");
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now), HTTP_NO_FAILURE, "stands since now");
    for (int i = 0; i < 5; i++) {
        take_some(peer, n.fd);
        now += 1999;
        cr_expect_eq(http_progress_look(&p, &n, &cfg, now), HTTP_NO_FAILURE, "%d: it flows", i);
    }
    /* What it still owes may arrive late; the peer's kernel takes no more than its room. */
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now + 1999), HTTP_NO_FAILURE);
    while (http_progress_look(&p, &n, &cfg, now += 2000) == HTTP_NO_FAILURE)
        usleep(1000);
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now), HTTP_STALLED);
    take_all(peer, n.fd);
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now), HTTP_NO_FAILURE, "it went on");
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now + 999), HTTP_NO_FAILURE);
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now + 1000), HTTP_NO_ANSWER);
    n.down = 1;
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now + 5000), HTTP_NO_FAILURE, "it came");
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now + 6999), HTTP_NO_FAILURE);
    cr_expect_eq(http_progress_look(&p, &n, &cfg, now + 7000), HTTP_STALLED);
    close(peer);
    close(n.fd);
    close(listener);
}

Test(http_progress, without_a_socket_that_tells_the_counters_decide)
{
    struct http_cfg cfg = {.first_byte_ms = 1000, .stall_ms = 2000};
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 2; i++) {
        struct http_counters n = {.body_size = 10, .fd = i == 0 ? -1 : pair[0]};
        struct http_progress p;

        http_progress_begin(&p, 0);
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 9000), HTTP_NO_FAILURE, "connecting");
        n.connected = true;
        n.up = 5;
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 10000), HTTP_NO_FAILURE);
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 11999), HTTP_NO_FAILURE);
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 12000), HTTP_STALLED);
        n.up = 10;
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 13000), HTTP_NO_FAILURE);
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 13999), HTTP_NO_FAILURE);
        cr_expect_eq(http_progress_look(&p, &n, &cfg, 14000), HTTP_NO_ANSWER);
    }
    close(pair[0]);
    close(pair[1]);
}

struct told {
    struct http_answer answer;
    bool done;
};

static void done(void *arg, const struct http_answer *a)
{
    struct told *t = arg;

    t->answer = *a;
    t->done = true;
}

/* The header and `size` bytes: slowly for some time, and then what is left. In the thread of the
 * loop, so that a machine that is slow is so for both sides. */
static void take_body(int peer, size_t size, struct loop *l, const struct told *t)
{
    int64_t slow_until = clock_mono_now_ns() + 2 * CLOCK_NS_PER_S;
    static char bytes[64 << 10]; /* all that the peer has room for: the next may come at once */
    char head[4096] = "", *end = NULL;
    size_t have = 0, want = SIZE_MAX;

    while (have < want && !t->done) {
        ssize_t got = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT);

        cr_assert(got > 0 || (got < 0 && errno == EAGAIN));
        got = got > 0 ? got : 0;
        for (ssize_t i = 0; i < got && have + (size_t)i < sizeof head - 1; i++)
            head[have + (size_t)i] = bytes[i];
        have += (size_t)got;
        if (end == NULL && (end = strstr(head, "\r\n\r\n")) != NULL)
            want = size + (size_t)(end + 4 - head);
        loop_step(l, false);
        if (clock_mono_now_ns() < slow_until)
            usleep(120 * 1000);
    }
}

Test(http_progress, a_slow_line_is_not_an_error)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    static const size_t sizes[] = {1 << 20, 8 << 20}; /* the kernel takes the first one whole */
    struct http_cfg cfg = {
        .no_proxy = true, .connections = 1, .first_byte_ms = 600, .stall_ms = 600};
    struct err e;

    cr_assert_eq(http_global_init(&e), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_in at;
        int listener = listen_with_little_room(&at), peer;
        char *body = mem_alloc(sizes[i]), url[64];
        struct told told = {.done = false};
        struct http_call call = {.method = "PUT",
                                 .url = url,
                                 .body = {.data = body, .size = sizes[i]},
                                 .done = done,
                                 .arg = &told};
        struct loop *l = loop_new();
        struct http_client *c = http_client_new(l, &cfg);

        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
        http_start(c, &call);
        while ((peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
            loop_step(l, false);
        take_body(peer, sizes[i], l, &told);
        cr_expect_not(told.done, "%zu: %s", sizes[i], told.answer.text);
        if (!told.done)
            cr_assert_eq(send(peer, ok, sizeof ok - 1, MSG_NOSIGNAL), sizeof ok - 1);
        while (!told.done)
            loop_step(l, true);
        cr_expect_eq(told.answer.rc, RC_OK, "%zu: %s", sizes[i], told.answer.text);
        http_client_free(c);
        loop_free(l);
        free(body);
        close(peer);
        close(listener);
    }
    http_global_fini();
}
