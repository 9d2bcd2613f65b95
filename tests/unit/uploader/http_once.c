/* One call by itself, with a limit and somebody who may wish it to stop. */
#include "tests/unit/uploader/scripted.h"
#include "uploader/http_int.h"

#include <criterion/criterion.h>
#include <stdlib.h>
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
