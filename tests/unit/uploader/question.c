/* What a store is asked, and what its answer is taken for. */
#include "uploader/question.h"

#include "tests/unit/uploader/scripted.h"

#include <criterion/criterion.h>
#include <string.h>

static void say(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    const char *body = *(const char **)arg;
    (void)rq;
    rp->body = body;
    rp->body_len = strlen(body);
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
    const char *body = "";
    struct scripted *server = scripted_new(say, &body);
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
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct question_answer a;
        body = rows[i][0];
        question_ask(&q, REQUEST_GET_BUCKET_LOCATION, "", &a);
        cr_expect_eq(a.rc, RC_OK, "%s: %s", rows[i][0], a.message);
        cr_expect_str_eq(a.location, rows[i][1], "%s", rows[i][0]);
        question_answer_fini(&a);
    }
    credentials_free(keys);
    scripted_free(server);
    http_global_fini();
}
