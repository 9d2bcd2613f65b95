/* The requests as they go out: method, URL, each header, and a signature over all of it. */
#include "uploader/request.h"

#include "base/hex.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define NOW   INT64_C(1369353600) /* 2013-05-24T00:00:00Z */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct endpoint endpoint_of(const char *region)
{
    struct endpoint_cfg cfg = {.bucket = "examplebucket", .region = region};
    struct endpoint ep;
    cr_assert_eq(endpoint_resolve(&cfg, &ep, NULL), RC_OK);
    return ep;
}

static struct credentials *keys(const char *token)
{
    return credentials_new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                           token, INT64_MAX);
}

static void build(struct request *r, const struct request_context *ctx,
                  const struct request_spec *spec, int64_t now)
{
    struct err e = {0};
    cr_assert_eq(request_build(r, ctx, spec, now, &e), RC_OK, "%s", e.text);
}

static const char *find_header(const struct request *r, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < r->n_headers; i++)
        if (strncmp(r->headers[i], name, len) == 0 && strncmp(r->headers[i] + len, ": ", 2) == 0)
            return r->headers[i] + len + 2;
    return NULL;
}

static void expect_header(const struct request *r, const char *name, const char *value)
{
    const char *got = find_header(r, name);
    if (value)
        cr_expect(got && strcmp(got, value) == 0, "%s is %s, not %s", name, got ? got : "absent",
                  value);
    else
        cr_expect_not(got, "%s is %s, but should not be there", name, got);
}

/* Sign once more what the finished request says, by the public stages. */
static void expect_signed(const struct request *r, const struct request_context *ctx)
{
    struct sigv4_header headers[REQUEST_HEADERS_MAX];
    char names[REQUEST_HEADERS_MAX][40], path[4096];
    size_t n = 0;
    for (size_t i = 0; i < r->n_headers; i++) {
        size_t len = strcspn(r->headers[i], ":");
        if (strncmp(r->headers[i], "authorization:", 14) == 0 ||
            strncmp(r->headers[i], "user-agent:", 11) == 0)
            continue;
        cr_assert_lt(len, sizeof names[0]);
        memcpy(names[n], r->headers[i], len);
        names[n][len] = '\0';
        headers[n] = (struct sigv4_header){names[n], r->headers[i] + len + 2};
        n++;
    }
    size_t origin = strlen(ctx->endpoint->origin);
    cr_assert_eq(strncmp(r->url, ctx->endpoint->origin, origin), 0);
    (void)snprintf(path, sizeof path, "%s", r->url + origin);
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    struct sigv4_request again = {r->method, path, query ? query : "",
                                  headers,   n,    find_header(r, "x-amz-content-sha256")};
    struct sigv4_scope scope = {.region = ctx->endpoint->region,
                                .service = "s3",
                                .access_key_id = credentials_access_key_id(ctx->credentials)};
    memcpy(scope.amz_date, find_header(r, "x-amz-date"), sizeof scope.amz_date);
    struct sigv4_key key;
    struct buf want;
    buf_init(&want, 4096);
    sigv4_key_derive(&key, credentials_secret_access_key(ctx->credentials), scope.amz_date,
                     scope.region, scope.service);
    sigv4_authorization(&want, &again, &scope, &key);
    expect_header(r, "authorization", want.data);
    buf_fini(&want);
}

static const uint8_t sample_sha[SHA256_SIZE] = {1, 2, 3}, sample_md5[MD5_SIZE] = {4, 5, 6};
static const struct {
    struct request_spec spec;
    const char *name, *method, *target;
    const char *length, *type, *acl, *condition, *checksum, *md5;
} operations[] = {
    {{.op = REQUEST_PUT_OBJECT, .content_length = 17, .sha256 = sample_sha, .md5 = sample_md5},
     "PutObject",
     "PUT",
     "/a/b%20c",
     "17",
     "application/x-ndjson",
     "bucket-owner-full-control",
     "*",
     "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
     "BAUGAAAAAAAAAAAAAAAAAA=="},
    {{.op = REQUEST_PUT_OBJECT, .sha256 = sample_sha, .overwrite = true},
     "PutObject",
     "PUT",
     "/a/b%20c",
     "0",
     "application/x-ndjson",
     "bucket-owner-full-control",
     NULL,
     "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
     NULL},
    {{.op = REQUEST_CREATE_MULTIPART},
     "CreateMultipartUpload",
     "POST",
     "/a/b%20c?uploads",
     "0",
     "application/x-ndjson",
     "bucket-owner-full-control",
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_UPLOAD_PART,
      .upload_id = "x+/&=",
      .part_number = 10000,
      .content_length = UINT64_C(5368709120),
      .sha256 = sample_sha},
     "UploadPart",
     "PUT",
     "/a/b%20c?partNumber=10000&uploadId=x%2B%2F%26%3D",
     "5368709120",
     NULL,
     NULL,
     NULL,
     "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
     NULL},
    {{.op = REQUEST_COMPLETE_MULTIPART,
      .upload_id = "id",
      .content_length = 99,
      .sha256 = sample_sha},
     "CompleteMultipartUpload",
     "POST",
     "/a/b%20c?uploadId=id",
     "99",
     "application/xml",
     NULL,
     "*",
     NULL,
     NULL},
    {{.op = REQUEST_ABORT_MULTIPART, .upload_id = "id"},
     "AbortMultipartUpload",
     "DELETE",
     "/a/b%20c?uploadId=id",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_HEAD_OBJECT},
     "HeadObject",
     "HEAD",
     "/a/b%20c",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_GET_OBJECT},
     "GetObject",
     "GET",
     "/a/b%20c",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_GET_OBJECT_ACL},
     "GetObjectAcl",
     "GET",
     "/a/b%20c?acl",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_GET_BUCKET_LOCATION},
     "GetBucketLocation",
     "GET",
     "/?location",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_LIST_MULTIPARTS, .list_prefix = "p/q"},
     "ListMultipartUploads",
     "GET",
     "/?prefix=p%2Fq&uploads",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {{.op = REQUEST_LIST_MULTIPARTS},
     "ListMultipartUploads",
     "GET",
     "/?uploads",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
};

Test(request, each_operation_has_the_method_the_url_and_the_headers_that_s3_asks_for)
{
    struct endpoint ep = endpoint_of("us-east-1");
    struct credentials *c = keys(NULL);
    struct request_context ctx = {.endpoint = &ep,
                                  .credentials = c,
                                  .user_agent = "spoolgate/1",
                                  .acl = "bucket-owner-full-control",
                                  .checksum_sha256 = true,
                                  .content_md5 = true,
                                  .if_none_match = true};
    struct request r;
    request_init(&r);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        struct request_spec spec = operations[i].spec;
        spec.key = "a/b c";
        spec.key_len = 5;
        build(&r, &ctx, &spec, NOW);
        cr_expect_str_eq(request_op_name(spec.op), operations[i].name);
        cr_expect_str_eq(r.method, operations[i].method);
        cr_expect_str_eq(r.url + strlen(ep.origin), operations[i].target);
        expect_header(&r, "host", "examplebucket.s3.us-east-1.amazonaws.com");
        expect_header(&r, "user-agent", "spoolgate/1");
        expect_header(&r, "x-amz-date", "20130524T000000Z");
        expect_header(&r, "x-amz-content-sha256",
                      spec.sha256
                          ? "0102030000000000000000000000000000000000000000000000000000000000"
                          : EMPTY);
        expect_header(&r, "content-length", operations[i].length);
        expect_header(&r, "content-type", operations[i].type);
        expect_header(&r, "content-md5", operations[i].md5);
        expect_header(&r, "x-amz-acl", operations[i].acl);
        expect_header(&r, "if-none-match", operations[i].condition);
        expect_header(&r, "x-amz-checksum-sha256", operations[i].checksum);
        expect_header(&r, "x-amz-checksum-algorithm",
                      spec.op == REQUEST_CREATE_MULTIPART ? "SHA256" : NULL);
        expect_header(&r, "x-amz-checksum-mode",
                      spec.op == REQUEST_HEAD_OBJECT || spec.op == REQUEST_GET_OBJECT ? "ENABLED"
                                                                                      : NULL);
        expect_header(&r, "x-amz-security-token", NULL);
        expect_header(&r, "expect", NULL);
        expect_header(&r, "transfer-encoding", NULL);
        expect_signed(&r, &ctx);
    }
    request_fini(&r);
    credentials_free(c);
}

Test(request, what_is_switched_off_is_left_out)
{
    static const uint8_t sha[SHA256_SIZE], md5[MD5_SIZE];
    struct endpoint ep = endpoint_of("us-east-1");
    struct credentials *c = keys("TOKEN");
    struct request_context ctx = {.endpoint = &ep, .credentials = c, .content_type = "text/plain"};
    struct request_spec spec = {
        .op = REQUEST_PUT_OBJECT, .key = "k", .key_len = 1, .sha256 = sha, .md5 = md5};
    static const char *const absent[] = {"x-amz-acl", "x-amz-checksum-sha256", "content-md5",
                                         "if-none-match", "user-agent"};
    struct request r;
    request_init(&r);
    build(&r, &ctx, &spec, NOW);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        expect_header(&r, absent[i], NULL);
    expect_header(&r, "content-type", "text/plain");
    expect_header(&r, "x-amz-security-token", "TOKEN");
    expect_signed(&r, &ctx);
    spec.op = REQUEST_CREATE_MULTIPART;
    build(&r, &ctx, &spec, NOW);
    expect_header(&r, "x-amz-checksum-algorithm", NULL);
    expect_header(&r, "x-amz-acl", NULL);
    request_fini(&r);
    credentials_free(c);
}

/* The kept key must go when the day, the region or the secret does. */
Test(request, the_signing_key_is_never_one_too_old)
{
    struct endpoint here = endpoint_of("us-east-1"), there = endpoint_of("eu-west-1");
    struct credentials *c = keys(NULL);
    struct credentials *rotated =
        credentials_new(credentials_access_key_id(c), "anothersecret", NULL, INT64_MAX);
    struct request_spec spec = {.op = REQUEST_PUT_OBJECT, .key = "k", .key_len = 1};
    struct request r;
    request_init(&r);
    const struct {
        struct request_context ctx;
        int64_t now;
    } steps[] = {
        {{.endpoint = &here, .credentials = c}, NOW},
        {{.endpoint = &here, .credentials = c}, NOW + 86399},
        {{.endpoint = &here, .credentials = c}, NOW + 86400},
        {{.endpoint = &there, .credentials = c}, NOW + 86400},
        {{.endpoint = &there, .credentials = rotated}, NOW + 86400},
        {{.endpoint = &here, .credentials = c}, NOW},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        build(&r, &steps[i].ctx, &spec, steps[i].now);
        expect_signed(&r, &steps[i].ctx);
    }
    request_fini(&r);
    credentials_free(c);
    credentials_free(rotated);
}

Test(request, once_warm_the_memory_stays_where_it_is)
{
    static const uint8_t sha[SHA256_SIZE];
    struct endpoint ep = endpoint_of("us-east-1");
    struct credentials *c = keys("TOKEN");
    struct request_context ctx = {.endpoint = &ep,
                                  .credentials = c,
                                  .acl = "private",
                                  .checksum_sha256 = true,
                                  .if_none_match = true};
    struct request_spec spec = {.op = REQUEST_PUT_OBJECT, .sha256 = sha};
    struct request r;
    request_init(&r);
    const char *before[4] = {0};
    for (int i = 0; i < 1000; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "Panoptica/audit/2026-11-23/prod/event-%d.json", i % 7);
        spec.key = key;
        spec.key_len = strlen(key);
        build(&r, &ctx, &spec, NOW + i);
        const char *now[4] = {r.arena_.data, r.canonical_.data, r.signed_names_.data,
                              r.to_sign_.data};
        if (i > 0)
            cr_assert_eq(memcmp(before, now, sizeof now), 0);
        memcpy(before, now, sizeof now);
    }
    request_fini(&r);
    credentials_free(c);
}

Test(request, what_is_too_long_or_would_break_a_header_is_refused)
{
    static char long_key[9000], long_token[17000], huge[140000];
    memset(long_key, ' ', sizeof long_key - 1);
    memset(long_token, 'a', sizeof long_token - 1);
    memset(huge, 'a', sizeof huge - 1);
    struct endpoint ep = endpoint_of("us-east-1");
    struct credentials *c = keys(NULL), *big = keys(long_token);
    const struct {
        struct request_context ctx;
        struct request_spec spec;
        enum rc rc;
    } cases[] = {
        {{.credentials = c}, {.key = long_key, .key_len = 8999}, RC_LIMIT},
        {{.credentials = big}, {.key = "k", .key_len = 1}, RC_LIMIT},
        {{.credentials = c}, {.key = huge, .key_len = sizeof huge - 1}, RC_LIMIT},
        {{.credentials = c, .content_type = huge}, {.key = "k", .key_len = 1}, RC_LIMIT},
        {{.credentials = c, .acl = "private\r\nx-amz-grant-read: x"},
         {.key = "k", .key_len = 1},
         RC_INVALID},
        {{.credentials = c, .content_type = "a\nb"}, {.key = "k", .key_len = 1}, RC_INVALID},
        {{.credentials = c, .user_agent = "a\x7f"}, {.key = "k", .key_len = 1}, RC_INVALID},
        {{.credentials = c}, {.key = "k\r\n", .key_len = 3}, RC_OK}, /* escaped: %0D%0A */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request r;
        struct err e = {0};
        struct request_context ctx = cases[i].ctx;
        ctx.endpoint = &ep;
        request_init(&r);
        cr_expect_eq(request_build(&r, &ctx, &cases[i].spec, NOW, &e), cases[i].rc, "%zu: %s", i,
                     e.text);
        request_fini(&r);
    }
    credentials_free(c);
    credentials_free(big);
}

Test(request, the_body_of_complete_lists_the_parts)
{
    struct request_part parts[2] = {{.number = 1, .etag = "\"a<&>\"", .sha256 = {1, 2, 3}},
                                    {.number = 10000, .etag = "b"}};
    struct buf b;
    buf_init(&b, 4096);
    request_complete_body(&b, parts, 2, false);
    cr_expect_str_eq(
        b.data,
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Part><PartNumber>1</PartNumber><ETag>&quot;a&lt;&amp;&gt;&quot;</ETag></Part>"
        "<Part><PartNumber>10000</PartNumber><ETag>b</ETag></Part></CompleteMultipartUpload>");
    buf_reset(&b);
    request_complete_body(&b, parts, 1, true);
    cr_expect_str_eq(b.data,
                     "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                     "<Part><PartNumber>1</PartNumber><ETag>&quot;a&lt;&amp;&gt;&quot;</ETag>"
                     "<ChecksumSHA256>AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</ChecksumSHA256>"
                     "</Part></CompleteMultipartUpload>");
    buf_fini(&b);
}
