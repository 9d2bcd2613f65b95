/* What a store is asked, and what its answer is taken for. */
#include "uploader/question.h"

#include "tests/unit/uploader/scripted.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

struct words {
    int status;
    const char *text;
    size_t n;
};

static void say(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    const struct words *w = arg;
    (void)rq;
    rp->status = w->status;
    rp->body = w->text;
    rp->body_len = w->n;
}

/* A store that says it, asked where the bucket is. */
static void ask(const struct words *w, struct question_answer *a)
{
    struct scripted *server = scripted_new(say, (void *)(uintptr_t)w);
    struct endpoint_cfg ec = {
        .bucket = "bucket", .region = "r", .url = scripted_origin(server), .path_style = true};
    struct endpoint ep;
    struct err e = {0};
    struct http_cfg http = {.no_proxy = true};
    struct credentials *keys = credentials_new("AKIAEXAMPLE", "secret", NULL, INT64_MAX);
    struct request_context context = {.endpoint = &ep, .credentials = keys};
    struct question q = {.http = &http, .context = &context};
    cr_assert_eq(http_global_init(&e), RC_OK);
    cr_assert_eq(endpoint_resolve(&ec, &ep, &e), RC_OK, "%s", e.text);
    question_ask(&q, REQUEST_GET_BUCKET_LOCATION, "", a);
    credentials_free(keys);
    scripted_free(server);
    http_global_fini();
}

#define CONSTRAINT "LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

Test(question, where_a_bucket_is_is_a_region_whatever_s3_calls_it)
{
    static const char *const rows[][2] = {
        {"<" CONSTRAINT ">eu-central-1</LocationConstraint>", "eu-central-1"},
        {"<" CONSTRAINT "/>", "us-east-1"},
        {"<" CONSTRAINT ">EU</LocationConstraint>", "eu-west-1"},
        {"<" CONSTRAINT ">EUR</LocationConstraint>", "EUR"},
        {"<Other>EU</Other>", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct words w = {.text = rows[i][0], .n = strlen(rows[i][0])};
        struct question_answer a;
        ask(&w, &a);
        cr_expect_eq(a.rc, RC_OK, "%s: %s", rows[i][0], a.message);
        cr_expect_str_eq(a.location, rows[i][1], "%s", rows[i][0]);
        question_answer_fini(&a);
    }
}

Test(question, a_page_that_is_packed_is_read_to_its_end_and_says_nothing)
{
    static const char packed[64 << 10] =
        "\x1f\x8b\x08"; /* as a portal sends it, with zeros in it */
    struct words w = {.status = 403, .text = packed, .n = sizeof packed};
    struct question_answer a;
    ask(&w, &a);
    cr_expect_eq(a.rc, RC_DENIED, "%s", a.message);
    cr_expect_eq(a.body_len, sizeof packed);
    cr_expect_eq(memcmp(a.body, packed, sizeof packed), 0);
    cr_expect_str_eq(a.code, "");
    cr_expect_str_eq(a.location, "");
    question_answer_fini(&a);
}
