/* From a head to an operation, and from an operation to an answer: addressing, authentication, the
 * bucket's policy, and the table of who does what.
 *
 * Invariant: nothing is stored for a request whose checks have not all passed, those of the body
 * included. What the whole head can decide is decided before the body is read.
 */
#include "tests/fakes/devstore/s3.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/utf8.h"
#include "tests/fakes/devstore/xmlout.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BODY_OBJECT_MAX   (INT64_C(5) * 1024 * 1024 * 1024)
#define BODY_DOCUMENT_MAX (4 * 1024 * 1024)
#define ADMIN_PATH        "/_devstore/"

static const struct {
    void (*finish)(struct exchange *x);
    enum body_mode body;
    bool needs_length;
} operations[OP_COUNT_] = {
    [OP_PUT_OBJECT] = {s3_put_object, BODY_OBJECT, true},
    [OP_GET_OBJECT] = {s3_get_object, BODY_COLLECT, false},
    [OP_HEAD_OBJECT] = {s3_get_object, BODY_COLLECT, false},
    [OP_GET_OBJECT_ACL] = {s3_get_object_acl, BODY_COLLECT, false},
    [OP_CREATE_MULTIPART] = {s3_create_multipart, BODY_COLLECT, false},
    [OP_UPLOAD_PART] = {s3_upload_part, BODY_OBJECT, true},
    [OP_COMPLETE_MULTIPART] = {s3_complete_multipart, BODY_COLLECT, true},
    [OP_ABORT_MULTIPART] = {s3_abort_multipart, BODY_COLLECT, false},
    [OP_LIST_MULTIPARTS] = {s3_list_multiparts, BODY_COLLECT, false},
    [OP_LIST_PARTS] = {s3_list_parts, BODY_COLLECT, false},
    [OP_LIST_OBJECTS] = {s3_list_objects, BODY_COLLECT, false},
    [OP_GET_BUCKET_LOCATION] = {s3_bucket_other, BODY_COLLECT, false},
    [OP_HEAD_BUCKET] = {s3_bucket_other, BODY_COLLECT, false},
    [OP_LIST_BUCKETS] = {s3_list_buckets, BODY_COLLECT, false},
    [OP_BUCKET_OTHER] = {s3_bucket_other, BODY_COLLECT, false},
    [OP_ADMIN] = {admin_request, BODY_COLLECT, false},
};

void exchange_init(struct exchange *x, struct service *service, struct auth *auth)
{
    memset(x, 0, sizeof *x);
    x->service = service;
    x->auth = auth;
    http_response_init(&x->response);
    failure_init(&x->failure);
    body_init(&x->body, service->store, service->config);
    buf_init(&x->bucket, 1024);
    buf_init(&x->key, HTTP_HEAD_MAX);
    buf_init(&x->scratch, HTTP_HEAD_MAX);
}

void exchange_fini(struct exchange *x)
{
    body_fini(&x->body);
    http_request_fini(&x->request);
    http_response_fini(&x->response);
    failure_fini(&x->failure);
    buf_fini(&x->bucket);
    buf_fini(&x->key);
    buf_fini(&x->scratch);
}

static void new_request_id(char id[17])
{
    static _Atomic uint64_t next;
    uint64_t n = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);

    if (n == 0) {
        random_bytes(&n, sizeof n);
        atomic_fetch_add(&next, n | 1);
    }
    (void)snprintf(id, 17, "%016llX", (unsigned long long)(n * UINT64_C(0x9e3779b97f4a7c15)));
}

/* "bucket.domain" or "bucket.domain:port": the length of the bucket's name, else 0. */
static size_t host_bucket(const char *host, const char *domain)
{
    size_t host_len = strcspn(host, ":"), domain_len = strlen(domain);

    if (host_len <= domain_len + 1 || host[host_len - domain_len - 1] != '.' ||
        strncasecmp(host + host_len - domain_len, domain, domain_len) != 0)
        return 0;
    return host_len - domain_len - 1;
}

/* Virtual-host style if the host says so, else path style. */
static bool split_path(struct exchange *x)
{
    const char *host = http_header(&x->request, "host");
    const char *domain = x->service->config->domain;
    const char *key = x->request.path + 1;
    size_t n = domain != NULL && host != NULL ? host_bucket(host, domain) : 0;

    buf_reset(&x->bucket);
    buf_reset(&x->key);
    if (n > 0) {
        buf_add(&x->bucket, host, n);
    } else {
        n = strcspn(key, "/");
        if (!http_decode(&x->bucket, key, n, false))
            return false;
        key += n;
        if (*key == '/')
            key++;
    }
    return http_decode(&x->key, key, strlen(key), false) && !x->bucket.overflow;
}

/* The length that is announced. A body in HTTP's chunks has another one, if it is aws-chunked too:
 * newer SDKs send that over TLS. */
static bool announced_length(const struct exchange *x, uint64_t *length)
{
    const struct http_request *r = &x->request;
    const char *hash = http_header(r, "x-amz-content-sha256");
    const char *decoded = http_header(r, "x-amz-decoded-content-length");

    *length = r->content_length;
    if (!r->chunked)
        return r->has_length || !operations[x->op].needs_length;
    if (!x->service->config->lenient || hash == NULL || strncmp(hash, "STREAMING-", 10) != 0 ||
        decoded == NULL)
        return false;
    *length = strtoull(decoded, NULL, 10);
    return true;
}

static bool check_length(struct exchange *x)
{
    uint64_t max = operations[x->op].body == BODY_OBJECT ? BODY_OBJECT_MAX : BODY_DOCUMENT_MAX;
    uint64_t length;

    if (!announced_length(x, &length))
        return failure_set(&x->failure, "MissingContentLength",
                           "You must provide the Content-Length HTTP header.");
    if (length > max)
        return failure_set(&x->failure, "EntityTooLarge",
                           "Your proposed upload exceeds the maximum allowed object size.");
    return true;
}

static bool check_names(struct exchange *x)
{
    if (x->op == OP_LIST_BUCKETS)
        return true;
    if (strcmp(x->bucket.data, x->service->config->bucket) != 0) {
        failure_set(&x->failure, "NoSuchBucket", "The specified bucket does not exist");
        xmlout_element(&x->failure.detail, "BucketName", x->bucket.data);
        return false;
    }
    if (x->key.len > STORE_KEY_MAX) {
        failure_set(&x->failure, "KeyTooLongError", "Your key is too long");
        xmlout_number(&x->failure.detail, "Size", x->key.len);
        xmlout_number(&x->failure.detail, "MaxSizeAllowed", STORE_KEY_MAX);
        return false;
    }
    if (utf8_span(x->key.data, x->key.len) != x->key.len)
        return failure_set(&x->failure, "InvalidURI", "Couldn't parse the specified URI.");
    return true;
}

static bool is_canned_acl(const char *acl)
{
    static const char *const canned[] = {
        "private",       "public-read",       "public-read-write",        "authenticated-read",
        "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"};

    for (size_t i = 0; i < sizeof canned / sizeof canned[0]; i++)
        if (strcmp(acl, canned[i]) == 0)
            return true;
    return false;
}

#define BUCKET_OWNER "444455556666"

/* What the bucket's policy would say. */
static bool check_policy(struct exchange *x)
{
    const struct config *c = x->service->config;
    const char *acl = http_header(&x->request, "x-amz-acl");
    bool writes = x->op == OP_PUT_OBJECT || x->op == OP_CREATE_MULTIPART;
    bool full_control = acl != NULL && strcmp(acl, "bucket-owner-full-control") == 0;

    const char *owner = http_header(&x->request, "x-amz-expected-bucket-owner");
    if (owner != NULL && strcmp(owner, BUCKET_OWNER) != 0)
        return failure_set(&x->failure, "AccessDenied",
                           "Access Denied: the bucket is another account's than expected");
    if (writes)
        stats_add(full_control ? &x->service->stats.puts_with_acl
                               : &x->service->stats.puts_without_acl,
                  1);
    for (size_t i = 0; i < c->n_deny_prefixes; i++)
        if (x->key.len > 0 &&
            strncmp(x->key.data, c->deny_prefixes[i], strlen(c->deny_prefixes[i])) == 0)
            return failure_set(&x->failure, "AccessDenied",
                               "Access Denied: keys under this prefix "
                               "are refused (--deny-prefix)");
    if (x->op == OP_DELETE_OBJECT)
        return failure_set(&x->failure, "AccessDenied",
                           "Access Denied: the bucket policy grants no s3:DeleteObject");
    if (x->op == OP_CREATE_MULTIPART && c->deny_multipart)
        return failure_set(&x->failure, "AccessDenied",
                           "Access Denied: multipart uploads are refused (--deny-multipart)");
    if (!writes)
        return true;
    if (c->require_acl && !full_control)
        return failure_set(&x->failure, "AccessDenied",
                           "Access Denied: the bucket policy demands x-amz-acl: "
                           "bucket-owner-full-control");
    if (acl != NULL && !is_canned_acl(acl))
        return failure_set(&x->failure, "InvalidArgument", "x-amz-acl is no canned ACL");
    return true;
}

static bool check_conditions(struct exchange *x)
{
    const char *none_match = http_header(&x->request, "if-none-match");
    struct object existing;

    if (x->op != OP_PUT_OBJECT && x->op != OP_COMPLETE_MULTIPART)
        return true;
    if (http_header(&x->request, "x-amz-copy-source") != NULL ||
        http_header(&x->request, "if-match") != NULL ||
        (none_match != NULL && strcmp(none_match, "*") != 0))
        return failure_set(&x->failure, "NotImplemented",
                           "A header you provided implies functionality that is not implemented.");
    if (none_match == NULL ||
        !store_find(x->service->store, x->key.data, x->key.len, &existing, NULL))
        return true;
    failure_set(&x->failure, "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold");
    xmlout_element(&x->failure.detail, "Condition", "If-None-Match");
    return false;
}

static bool check(struct exchange *x)
{
    bool unsigned_header;

    if (!check_length(x))
        return false;
    if (x->op == OP_ADMIN)
        return true;
    if (!auth_verify(x->auth, &x->request, x->now_ns / CLOCK_NS_PER_S, &x->payload,
                     &unsigned_header, &x->failure)) {
        if (unsigned_header)
            stats_add(&x->service->stats.refused_unsigned_headers, 1);
        return false;
    }
    if (!check_names(x) || !check_policy(x))
        return false;
    if (operations[x->op].finish == NULL)
        return failure_set(&x->failure,
                           strcmp(x->request.method, "PUT") == 0 ||
                                   strcmp(x->request.method, "GET") == 0
                               ? "NotImplemented"
                               : "MethodNotAllowed",
                           "devstore does not do this.");
    return check_conditions(x);
}

void s3_begin(struct exchange *x)
{
    bool path_ok, replaced;

    failure_reset(&x->failure);
    http_response_reset(&x->response);
    body_drop(&x->body);
    x->payload = PAYLOAD_UNSIGNED;
    new_request_id(x->request_id);
    path_ok = split_path(x);
    if (strncmp(x->request.path, ADMIN_PATH, strlen(ADMIN_PATH)) == 0) {
        x->op = OP_ADMIN;
        x->fault = (struct fault_effect){.reset_after = -1, .truncate = -1};
    } else {
        x->op = operation_of(&x->request, x->bucket.len > 0, x->key.len > 0);
        faults_match(x->service->faults, x->op, x->key.data, x->key.len, &x->fault);
        if (x->fault.any)
            stats_add(&x->service->stats.faults_fired, 1);
        stats_request_begins(&x->service->stats, x->op);
    }
    x->now_ns = clock_wall_now_ns() + x->fault.skew_s * CLOCK_NS_PER_S;
    replaced = x->fault.status != 0 || x->fault.code[0] != '\0' || x->fault.reset ||
               x->fault.blackhole || x->fault.error200 || x->fault.garbage || x->fault.endless;
    if (!replaced && !path_ok)
        failure_set(&x->failure, "InvalidURI", "Couldn't parse the specified URI.");
    else if (!replaced)
        (void)check(x);
    body_begin(&x->body, replaced || x->failure.status != 0 ? BODY_DROP : operations[x->op].body,
               x->payload, &x->request);
}

void s3_error_response(struct exchange *x)
{
    struct http_response *r = &x->response;

    http_response_reset(r);
    r->status = x->failure.status;
    r->head_only = strcmp(x->request.method, "HEAD") == 0;
    if (strcmp(x->failure.code, "NoSuchBucket") != 0)
        buf_addf(&r->headers, "x-amz-bucket-region: %s\r\n", x->service->config->region);
    if (r->status == 304)
        return;
    buf_adds(&r->headers, "Content-Type: application/xml\r\n");
    failure_write(&r->body, &x->failure, x->request.path, x->request_id);
}

/* True if the fault has made the answer. */
static bool answer_by_fault(struct exchange *x)
{
    const struct fault_effect *f = &x->fault;
    struct http_response *r = &x->response;
    const char *code = f->code;

    if (f->garbage || f->endless) {
        r->status = f->status != 0 ? f->status : 200;
        buf_adds(&r->headers, "Content-Type: application/xml\r\n");
        buf_adds(&r->body, "<?xml version=\"1.0\"?>\n<Err\xff\xfe<<not xml & never closed");
        return true;
    }
    if (f->error200) {
        failure_set(&x->failure, code[0] != '\0' ? code : "InternalError",
                    "We encountered an internal error. Please try again.");
        s3_error_response(x);
        r->status = 200;
        return true;
    }
    if (f->status == 0 && code[0] == '\0')
        return false;
    if (f->status >= 200 && f->status < 300 && code[0] == '\0') {
        r->status = f->status;
        return true;
    }
    if (code[0] == '\0')
        code = f->status == 503   ? "ServiceUnavailable"
               : f->status >= 500 ? "InternalError"
               : f->status == 403 ? "AccessDenied"
               : f->status == 429 ? "TooManyRequests"
                                  : "InvalidRequest";
    failure_set(&x->failure, code, "This failure was scripted.");
    if (f->status != 0)
        x->failure.status = f->status;
    s3_error_response(x);
    return true;
}

void s3_finish(struct exchange *x)
{
    bool made = answer_by_fault(x);

    if (!made && x->failure.status == 0 && body_end(&x->body, x->payload, &x->request, &x->failure))
        operations[x->op].finish(x);
    if (!made && x->failure.status != 0)
        s3_error_response(x);
    if (x->fault.retry_after_s > 0)
        buf_addf(&x->response.headers, "Retry-After: %u\r\n", x->fault.retry_after_s);
    body_drop(&x->body);
}

bool s3_query_number(struct exchange *x, const char *name, uint64_t max, uint64_t *value)
{
    char *end;

    buf_reset(&x->scratch);
    if (!http_query(&x->request, name, NULL))
        return true;
    if (!http_query(&x->request, name, &x->scratch) || x->scratch.len == 0 || x->scratch.len > 18 ||
        strspn(x->scratch.data, "0123456789") != x->scratch.len)
        return failure_set(&x->failure, "InvalidArgument", "%s is no number", name);
    *value = strtoull(x->scratch.data, &end, 10);
    if (*value > max)
        *value = max;
    return true;
}
