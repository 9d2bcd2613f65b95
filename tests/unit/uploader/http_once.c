/* One call by itself, with a limit and somebody who may wish it to stop. */
#include "tests/unit/uploader/scripted.h"
#include "uploader/http_int.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say_hi(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)arg;
    (void)rq;
    rp->body = "hi";
    rp->body_len = 2;
}

struct told {
    atomic_bool stop;
    unsigned done;
};

static void dawdle(void *arg, const struct http_answer *a)
{
    struct told *seen = arg;

    (void)a;
    seen->done++;
    atomic_store(&seen->stop, true);
    usleep(120 * 1000); /* past the next look at the wish to stop */
}

Test(http, an_answer_that_comes_just_before_the_wish_to_stop_is_told_once)
{
    struct told told = {0};
    struct scripted *server = scripted_new(say_hi, NULL);
    struct http_cfg cfg = {.no_proxy = true};
    struct http_call call = {
        .method = "GET", .url = scripted_origin(server), .done = dawdle, .arg = &told};
    struct http_bounds bounds = {.total_ms = 10000, .stop = &told.stop};
    struct http_answer a;
    char *body = NULL;
    struct err e;

    cr_assert_eq(http_global_init(&e), RC_OK);
    cr_expect_eq(http_once_within(&cfg, &call, &bounds, &a, &body), RC_OK, "%s", a.text);
    cr_expect_eq(told.done, 1);
    cr_expect_str_eq(body, "hi");
    free(body);
    scripted_free(server);
    http_global_fini();
}

static void say_bytes(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)rq;
    rp->body = arg;
    rp->body_len = 1024;
}

Test(http, an_answer_that_is_no_text_is_handed_over_whole)
{
    static char bytes[1024] = "\x1f\x8b\x08"; /* zeros but for both ends */
    struct scripted *server = scripted_new(say_bytes, bytes);
    struct http_cfg cfg = {.no_proxy = true};
    struct http_call call = {.method = "GET", .url = scripted_origin(server)};
    struct http_answer a;
    char *body = NULL;
    struct err e;

    bytes[1023] = 'z';
    cr_assert_eq(http_global_init(&e), RC_OK);
    cr_expect_eq(http_once(&cfg, &call, &a, &body), RC_OK, "%s", a.text);
    cr_assert_eq(a.body_len, sizeof bytes);
    cr_expect_eq(memcmp(body, bytes, sizeof bytes), 0);
    cr_expect_eq(body[sizeof bytes], '\0');
    free(body);
    scripted_free(server);
    http_global_fini();
}

Test(http, a_wish_to_stop_ends_a_call_that_has_no_limit_of_time)
{
    atomic_bool stop = true;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    char url[64];
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct http_cfg cfg = {.no_proxy = true, .first_byte_ms = 5000};
    struct http_call call = {.method = "GET", .url = url};
    struct http_bounds bounds = {.stop = &stop};
    struct http_answer a;
    struct err e;

    cr_assert_eq(bind(silent, (struct sockaddr *)&at, n), 0);
    cr_assert_eq(listen(silent, 1), 0);
    cr_assert_eq(getsockname(silent, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    cr_assert_eq(http_global_init(&e), RC_OK);
    cr_expect_eq(http_once_within(&cfg, &call, &bounds, &a, NULL), RC_CANCELLED, "%s", a.text);
    cr_assert_eq(close(silent), 0);
    http_global_fini();
}
