#include "tests/unit/uploader/scripted.h"
#include "uploader/http_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* One call and what came of it. */
struct shot {
    struct http_call call;
    struct http_answer answer;
    char *body;
    unsigned done;
    char url[256];
    char sunk[64];
    size_t sunk_len;
};

static void shot_done(void *arg, const struct http_answer *a)
{
    struct shot *s = arg;

    s->answer = *a;
    free(s->body);
    s->body = mem_strndup(a->body, a->body_len);
    s->done++;
}

static void shoot(struct shot *s, struct http_client *c, const struct scripted *server,
                  const char *method, const char *path)
{
    snprintf(s->url, sizeof(s->url), "%s%s", scripted_origin(server), path);
    s->call.method = method;
    s->call.url = s->url;
    s->call.done = shot_done;
    s->call.arg = s;
    http_start(c, &s->call);
}

static void await(struct loop *l, const struct shot *s)
{
    while (s->done == 0)
        loop_step(l, true);
}

static struct http_client *client(struct loop *l, const struct http_cfg *more)
{
    struct http_cfg cfg = more ? *more : (struct http_cfg){0};
    struct err e;

    cr_assert_eq(http_global_init(&e), RC_OK);
    cfg.no_proxy = true;
    if (cfg.connections == 0)
        cfg.connections = 4;
    return http_client_new(l, &cfg);
}

static int file_of(const char *data, size_t n)
{
    char path[] = "/tmp/http-XXXXXX";
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    unlink(path);
    cr_assert_eq(write(fd, data, n), (ssize_t)n);
    return fd;
}

/* Keeps the last request. */
struct seen {
    pthread_mutex_t lock;
    struct scripted_request rq;
    struct scripted_reply reply;
    const char *only; /* the target that is answered; NULL: any */
    bool early;
    unsigned n, connections;
};

static void see(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    struct seen *s = arg;

    pthread_mutex_lock(&s->lock);
    if (s->early || rq->body != NULL)
        *rp = s->reply;
    rp->early = s->early;
    rp->silent |= s->only != NULL && strcmp(rq->target, s->only) != 0;
    if (rq->body != NULL) {
        s->n++;
        if (rq->connection + 1 > s->connections)
            s->connections = rq->connection + 1;
        free(s->rq.body);
        s->rq = *rq;
        s->rq.body = malloc(rq->body_len + 1);
        memcpy(s->rq.body, rq->body, rq->body_len + 1);
    }
    pthread_mutex_unlock(&s->lock);
}

static unsigned count_lines(const char *head)
{
    unsigned n = 0;

    for (const char *p = head + 2; (p = strstr(p, "\r\n")) != NULL; p += 2)
        n++;
    return n;
}

Test(http, a_body_arrives_whole_with_its_length_and_with_our_headers_only)
{
    static const size_t sizes[] = {0, 1, 4096, 65536, 65537, 1500000, 3000000};
    static const char *const methods[] = {"PUT", "POST"};
    static const char *const headers[] = {"host: example", "x-amz-date: now"};
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, NULL);
    char *data = malloc(3000001);
    int fd;

    for (size_t i = 0; i < 3000001; i++)
        data[i] = (char)(i * 7 + i / 251);
    fd = file_of(data, 3000001);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes) * 4; i++) {
        bool from_file = i & 1;
        size_t n = sizes[i / 4];
        struct shot s = {.call.headers = headers, .call.n_headers = 2, .call.body = {.size = n}};
        char text[1024], want[24];

        if (from_file)
            s.call.body = (struct http_body){.fd = fd, .offset = 1, .size = n};
        else
            s.call.body.data = data;
        shoot(&s, c, server, methods[i / 2 % 2], "/a/../b?x=1");
        await(l, &s);
        cr_assert_eq(s.answer.rc, RC_OK, "row %zu: %s", i, s.answer.text);
        cr_expect_eq(s.answer.status, 200);
        cr_expect(s.answer.request_sent);
        cr_expect_eq(seen.rq.body_len, n, "row %zu", i);
        cr_expect(memcmp(seen.rq.body, data + (from_file ? 1 : 0), n) == 0, "row %zu", i);
        cr_expect_str_eq(seen.rq.method, methods[i / 2 % 2]);
        cr_expect_str_eq(seen.rq.target, "/a/../b?x=1");
        snprintf(want, sizeof(want), "%zu", n);
        cr_expect_str_eq(scripted_header(&seen.rq, "content-length", text), want);
        cr_expect_str_eq(scripted_header(&seen.rq, "host", text), "example");
        cr_expect_eq(count_lines(seen.rq.head), 3, "row %zu: %s", i, seen.rq.head);
        free(s.body);
    }
    cr_expect_eq(seen.connections, 1);
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
    free(data);
    close(fd);
}

Test(http, methods_may_follow_one_another_on_one_handle)
{
    static const struct {
        const char *method;
        size_t body;
        const char *length; /* as sent */
    } rows[] = {
        {"PUT", 5, "5"},  {"HEAD", 0, ""}, {"GET", 0, ""},  {"PUT", 0, "0"},   {"DELETE", 0, ""},
        {"POST", 3, "3"}, {"GET", 0, ""},  {"HEAD", 0, ""}, {"DELETE", 0, ""}, {"PUT", 7, "7"},
    };
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .reply = {.body = "0123456789", .body_len = 10}};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, &(struct http_cfg){.connections = 1});
    char text[1024];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct shot s = {.call.body = {.data = "abcdefgh", .size = rows[i].body}};

        shoot(&s, c, server, rows[i].method, "/");
        await(l, &s);
        cr_expect_eq(s.answer.rc, RC_OK, "row %zu: %s", i, s.answer.text);
        cr_expect_str_eq(seen.rq.method, rows[i].method, "row %zu", i);
        cr_expect_str_eq(scripted_header(&seen.rq, "content-length", text), rows[i].length,
                         "row %zu: %s", i, text);
        cr_expect_eq(s.answer.content_length, 10, "row %zu", i);
        cr_expect_str_eq(s.body, strcmp(rows[i].method, "HEAD") == 0 ? "" : "0123456789");
        free(s.body);
    }
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
}

Test(http, connections_are_kept_and_never_more_than_allowed)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, &(struct http_cfg){.connections = 3});
    struct shot shots[60] = {0};
    struct http_stats st;

    for (int i = 0; i < 60; i++) {
        shots[i].call.body = (struct http_body){.data = "x", .size = 1};
        shoot(&shots[i], c, server, "PUT", "/");
    }
    for (int i = 0; i < 60; i++) {
        await(l, &shots[i]);
        cr_expect_eq(shots[i].answer.rc, RC_OK);
        cr_expect_eq(shots[i].done, 1);
        free(shots[i].body);
    }
    http_client_stats(c, &st);
    cr_expect_eq(st.calls, 60);
    cr_expect_leq(st.connections, 3);
    cr_expect_leq(seen.connections, 3);
    cr_expect_gt(st.bytes_sent, 60);
    cr_expect_gt(st.bytes_received, 60);
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
}

#define FLOOD 3000000

/* A head, and then the same for 3 MB. */
static const char *flood(char text[FLOOD + 1], const char *head, const char *line)
{
    size_t n = strlen(head), line_n = strlen(line);
    char *at = text + n;

    memcpy(text, head, n + 1);
    for (; at + line_n <= text + FLOOD; at += line_n)
        memcpy(at, line, line_n + 1);
    return text;
}

Test(http, an_answer_that_is_not_whole_is_none)
{
    static char lines[FLOOD + 1], interim[FLOOD + 1];
    const struct {
        const char *name;
        struct scripted_reply reply;
        size_t answer_max;
        enum rc rc;
    } rows[] = {
        {"reset", {.reset = true}, 0, RC_NET},
        {"cut in the body", {.body = "0123456789", .body_len = 10, .cut_after = 50}, 0, RC_NET},
        {"cut in the header", {.cut_after = 30}, 0, RC_NET},
        {"nothing", {.raw = ""}, 0, RC_NET},
        {"garbage", {.raw = "What do you want?\r\n\r\n"}, 0, RC_NET},
        {"only a 100", {.raw = "HTTP/1.1 100 Continue\r\n\r\n"}, 0, RC_NET},
        {"no end of the header", {.raw = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"}, 0, RC_NET},
        {"too long", {.body = "0123456789", .body_len = 10}, 9, RC_LIMIT},
        {"a header without end",
         {.raw = flood(lines, "HTTP/1.1 200 OK\r\n", "x-a: b\r\n")},
         0,
         RC_LIMIT},
        {"a 100 after the other",
         {.raw = flood(interim, "", "HTTP/1.1 100 Continue\r\n\r\n")},
         0,
         RC_LIMIT},
        {"just fits", {.body = "0123456789", .body_len = 10}, 10, RC_OK},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .reply = rows[i].reply};
        struct scripted *server = scripted_new(see, &seen);
        struct loop *l = loop_new();
        struct http_client *c = client(l, NULL);
        struct shot s = {.call.body = {.data = "x", .size = 1},
                         .call.answer_max = rows[i].answer_max};

        shoot(&s, c, server, "PUT", "/");
        await(l, &s);
        cr_expect_eq(s.answer.rc, rows[i].rc, "%s: %s", rows[i].name, s.answer.text);
        cr_expect(rows[i].rc == RC_OK || s.answer.text[0] != '\0', "%s", rows[i].name);
        free(s.body);
        http_client_free(c);
        loop_free(l);
        scripted_free(server);
        free(seen.rq.body);
    }
}

Test(http, an_answer_before_the_whole_body_was_sent_is_the_answer)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .early = true,
                        .reply = {.status = 403, .body = "<Error/>", .body_len = 8}};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, NULL);
    char *data = mem_alloc(20u << 20);
    int fd = file_of(data, 20u << 20);

    for (int from_file = 0; from_file < 2; from_file++) {
        struct shot s = {.call.body = {.data = data, .size = 20u << 20}};

        if (from_file)
            s.call.body = (struct http_body){.fd = fd, .size = 20u << 20};
        shoot(&s, c, server, "PUT", "/");
        await(l, &s);
        /* A reset may overtake the answer; then it is a network error, but never a success. */
        if (s.answer.rc == RC_OK) {
            cr_expect_eq(s.answer.status, 403);
            cr_expect_str_eq(s.body, "<Error/>");
        } else {
            cr_expect_eq(s.answer.rc, RC_NET);
        }
        cr_expect(!s.answer.request_sent);
        free(s.body);
    }
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    close(fd);
    free(data);
}

/* The third request finds its kept connection reset, after the body was read. */
static void reset_third(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    see(arg, rq, rp);
    rp->reset = rq->body != NULL && rq->n == 3;
}

Test(http, a_request_on_a_dead_kept_connection_is_sent_again_from_its_first_byte)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct scripted *server = scripted_new(reset_third, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, &(struct http_cfg){.connections = 1, .stall_ms = 2000});
    char *data = mem_alloc(500000);
    int fd;

    for (size_t i = 0; i < 500000; i++)
        data[i] = (char)(i * 13 + i / 255);
    fd = file_of(data, 500000);
    for (int i = 0; i < 3; i++) {
        struct shot s = {.call.body = {.fd = fd, .size = 500000}};

        if (i == 0)
            s.call.body.data = data;
        shoot(&s, c, server, "PUT", "/");
        await(l, &s);
        cr_expect_eq(s.answer.rc, RC_OK, "%d: %s", i, s.answer.text);
        cr_expect_eq(seen.rq.body_len, 500000);
        cr_expect(memcmp(seen.rq.body, data, 500000) == 0);
        free(s.body);
    }
    cr_expect_eq(seen.n, 4);
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
    free(data);
    close(fd);
}

Test(http, waiting_has_limits_but_a_slow_answer_that_moves_has_none)
{
    static char big[8000];
    static const struct {
        const char *name;
        struct scripted_reply reply;
        uint64_t first_ms, stall_ms;
        enum rc rc;
    } rows[] = {
        {"no first byte", {.delay_ms = 1500}, 200, 5000, RC_NET},
        {"late first byte", {.delay_ms = 300}, 5000, 100, RC_OK},
        {"stalls", {.body = big, .body_len = sizeof(big), .trickle_ms = 1500}, 5000, 200, RC_NET},
        {"slow", {.body = big, .body_len = sizeof(big), .trickle_ms = 250}, 1500, 1500, RC_OK},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .reply = rows[i].reply};
        struct scripted *server = scripted_new(see, &seen);
        struct loop *l = loop_new();
        struct http_client *c = client(
            l, &(struct http_cfg){.first_byte_ms = rows[i].first_ms, .stall_ms = rows[i].stall_ms});
        struct shot s = {0};

        shoot(&s, c, server, "GET", "/");
        await(l, &s);
        cr_expect_eq(s.answer.rc, rows[i].rc, "%s: %s", rows[i].name, s.answer.text);
        free(s.body);
        http_client_free(c);
        loop_free(l);
        scripted_free(server);
        free(seen.rq.body);
    }
}

Test(http, a_file_shorter_than_said_or_unreadable_is_an_error_of_ours)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, NULL);
    int fds[2] = {file_of("short", 5), open("/tmp", O_RDONLY | O_DIRECTORY)};

    for (int i = 0; i < 2; i++) {
        struct shot s = {.call.body = {.fd = fds[i], .size = 10}};

        shoot(&s, c, server, "PUT", "/");
        await(l, &s);
        cr_expect_eq(s.answer.rc, RC_IO, "%d: %s", i, s.answer.text);
        free(s.body);
        close(fds[i]);
    }
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
}

Test(http, cancelled_calls_are_told_once_whether_they_run_or_wait)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .only = "/1"};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, &(struct http_cfg){.connections = 1});
    struct shot s[4] = {0};

    for (int i = 0; i < 4; i++)
        shoot(&s[i], c, server, "GET", i == 1 ? "/1" : "/");
    for (int i = 0; i < 20; i++)
        loop_step(l, false);
    http_cancel(c, &s[0].call); /* runs */
    cr_expect_eq(s[0].answer.rc, RC_CANCELLED);
    http_cancel(c, &s[2].call); /* waits, between others */
    cr_expect_eq(s[2].answer.rc, RC_CANCELLED);
    await(l, &s[1]);
    cr_expect_eq(s[1].answer.rc, RC_OK, "%s", s[1].answer.text);
    loop_step(l, false);
    http_client_free(c);
    cr_expect_eq(s[3].answer.rc, RC_CANCELLED);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(s[i].done, 1, "call %d", i);
        free(s[i].body);
    }
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
}

static enum rc sink(void *arg, const char *data, size_t n)
{
    struct shot *s = arg;

    if (s->sunk_len + n > sizeof(s->sunk))
        return RC_CHANGED;
    memcpy(s->sunk + s->sunk_len, data, n);
    s->sunk_len += n;
    return RC_OK;
}

Test(http, a_sink_gets_what_is_good_and_may_say_enough)
{
    static char big[500];
    static const struct {
        struct scripted_reply reply;
        enum rc rc;
        const char *body;
        size_t sunk;
    } rows[] = {
        {{.body = "0123", .body_len = 4}, RC_OK, "", 4},
        {{.status = 404, .body = "0123", .body_len = 4}, RC_OK, "0123", 0},
        {{.body = big, .body_len = sizeof(big)}, RC_CHANGED, "", 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .reply = rows[i].reply};
        struct scripted *server = scripted_new(see, &seen);
        struct loop *l = loop_new();
        struct http_client *c = client(l, NULL);
        struct shot s = {.call.sink = sink};

        shoot(&s, c, server, "GET", "/");
        await(l, &s);
        cr_expect_eq(s.answer.rc, rows[i].rc, "row %zu", i);
        cr_expect_str_eq(s.body, rows[i].body);
        cr_expect_eq(s.sunk_len, rows[i].sunk);
        free(s.body);
        http_client_free(c);
        loop_free(l);
        scripted_free(server);
        free(seen.rq.body);
    }
}

Test(http, the_bandwidth_limit_holds_over_many_small_bodies_and_within_a_large_one)
{
    static char data[400000];
    static const size_t sizes[] = {4000, 400000};
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct scripted *server = scripted_new(see, &seen);
    struct loop *l = loop_new();
    struct http_client *c = client(l, &(struct http_cfg){.bytes_per_second = 800000});

    for (size_t row = 0; row < 2; row++) {
        size_t n = sizeof(data) / sizes[row];
        struct shot *s = mem_alloc(n * sizeof(*s));
        int64_t began = clock_mono_now_ns(), took;

        for (size_t i = 0; i < n; i++) {
            s[i].call.body = (struct http_body){.data = data, .size = sizes[row]};
            shoot(&s[i], c, server, "PUT", "/");
        }
        for (size_t i = 0; i < n; i++) {
            await(l, &s[i]);
            cr_expect_eq(s[i].answer.rc, RC_OK);
            free(s[i].body);
        }
        took = (clock_mono_now_ns() - began) / CLOCK_NS_PER_MS;
        cr_expect_geq(took, 300, "row %zu: %lld ms", row, (long long)took);
        cr_expect_lt(took, 10000, "row %zu: %lld ms", row, (long long)took);
        free(s);
    }
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
}

Test(http, bandwidth_that_a_failed_call_did_not_use_is_the_next_ones)
{
    static char data[8000000]; /* ten seconds of it */
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct scripted *gone = scripted_new(see, &seen), *server;
    struct loop *l = loop_new();
    struct http_client *c = client(l, &(struct http_cfg){.bytes_per_second = 800000});
    struct shot failed = {.call.body = {.data = data, .size = sizeof(data)}};
    struct shot next = {.call.body = {.data = data, .size = 1}};
    int64_t began = clock_mono_now_ns(), took;

    shoot(&failed, c, gone, "PUT", "/");
    server = scripted_new(see, &seen); /* before the other's port is free */
    scripted_free(gone);
    shoot(&next, c, server, "PUT", "/");
    await(l, &failed);
    cr_expect_eq(failed.answer.rc, RC_NET);
    await(l, &next);
    cr_expect_eq(next.answer.rc, RC_OK);
    took = (clock_mono_now_ns() - began) / CLOCK_NS_PER_MS;
    cr_expect_lt(took, 8000, "%lld ms", (long long)took);
    free(failed.body);
    free(next.body);
    http_client_free(c);
    loop_free(l);
    scripted_free(server);
    free(seen.rq.body);
}

Test(http, one_call_by_itself_over_tcp_or_a_unix_socket_or_to_nobody)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .reply = {.body = "hi", .body_len = 2}};
    char path[] = "/tmp/http-once-XXXXXX", name[64], gone[64], *body = NULL;
    struct scripted *server = scripted_new(see, &seen), *local;
    struct http_cfg cfg = {.no_proxy = true};
    struct http_call call = {.method = "GET", .url = scripted_origin(server)};
    struct http_answer a;
    struct err e;

    cr_assert_eq(http_global_init(&e), RC_OK);
    cr_assert(mkdtemp(path) != NULL);
    cr_expect_eq(http_once(&cfg, &call, &a, &body), RC_OK, "%s", a.text);
    cr_expect_str_eq(body, "hi");
    free(body);
    snprintf(gone, sizeof(gone), "%s", scripted_origin(server));
    call.url = gone;
    scripted_free(server);
    cr_expect_eq(http_once(&cfg, &call, &a, NULL), RC_NET);
    cr_expect_neq(a.text[0], '\0');
    cr_expect(!a.request_sent);
    call.url = "ftp://127.0.0.1/";
    cr_expect_eq(http_once(&cfg, &call, &a, NULL), RC_NET);
    snprintf(name, sizeof(name), "%s/s", path);
    local = scripted_new_unix(see, &seen, name);
    call.url = "http://localhost/";
    call.unix_socket = name;
    cr_expect_eq(http_once(&cfg, &call, &a, &body), RC_OK, "%s", a.text);
    cr_expect_str_eq(body, "hi");
    free(body);
    scripted_free(local);
    unlink(name);
    rmdir(path);
    free(seen.rq.body);
    http_global_fini();
}
