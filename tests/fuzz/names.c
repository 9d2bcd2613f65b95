/* ARNs, bucket names, endpoints, keys and policies, from a line each: bucket ARN, role ARN,
 * endpoint, region, key. */
#include "base/json.h"
#include "policy/arn.h"
#include "policy/document.h"
#include "tests/fuzz/fuzz.h"
#include "uploader/endpoint.h"

#include <stdio.h>

static bool is_bucket(const char *arn)
{
    struct arn_bucket b;
    struct err e = {0};
    char again[256];
    enum rc rc = arn_parse_bucket(arn, &b, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
        return false;
    }
    (void)snprintf(again, sizeof again, "arn:%s:s3:::%s", b.partition, b.name);
    BUG_ON(strcmp(again, arn) != 0 || arn_check_bucket_name(b.name, &e) != RC_OK);
    return true;
}

static bool is_principal(const char *arn)
{
    struct arn_principal p, again;
    struct err e = {0};
    enum rc rc = arn_parse_principal(arn, "aws", &p, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
        return false;
    }
    BUG_ON(arn_parse_principal(p.arn, "aws", &again, &e) != RC_OK);
    BUG_ON(strcmp(again.arn, p.arn) != 0 || again.kind != p.kind);
    BUG_ON(p.kind != ARN_ACCOUNT && strcmp(p.arn, arn) != 0);
    return true;
}

static void check_document(const char *bucket, const char *role)
{
    const char *const roles[] = {role};
    struct document_cfg cfg = {.bucket_arn = bucket, .role_arns = roles, .n_role_arns = 1};
    struct buf out;
    struct err e = {0};
    bool sound = is_bucket(bucket);
    sound = is_principal(role) && sound;
    buf_init(&out, 1 << 20);
    enum rc rc = document_generate(&cfg, &out, &e);
    BUG_ON(rc == RC_OK && !sound);
    if (rc == RC_OK) {
        json_t *v = json_parse(out.data, out.len, &e);
        BUG_ON(!json_is_object(v));
        json_decref(v);
    } else {
        fuzz_is_told(rc, &e);
    }
    buf_fini(&out);
}

static void check_path(const struct endpoint *ep, const char *key)
{
    struct buf path;
    buf_init(&path, 1 << 20);
    endpoint_path(ep, key, strlen(key), &path);
    BUG_ON(path.overflow || path.data[0] != '/');
    for (const char *p = path.data; *p; p++)
        BUG_ON(*p <= ' ' || *p > '~' || *p == '?' || *p == '#' || *p == '\\');
    buf_fini(&path);
}

static void check_endpoint(const char *url, const char *region, const char *key)
{
    struct endpoint_cfg cfg = {
        .bucket = "my.bucket", .url = url[0] ? url : NULL, .allow_http = true};
    struct endpoint ep;
    struct err e = {0};
    for (int i = 0; i < 2; i++) {
        cfg.path_style = i != 0;
        cfg.region = region;
        enum rc rc = endpoint_resolve(&cfg, &ep, &e);
        if (rc != RC_OK) {
            fuzz_is_told(rc, &e);
            cfg.region = "eu-central-1";
            rc = endpoint_resolve(&cfg, &ep, &e);
        }
        if (rc != RC_OK)
            continue;
        fuzz_is_safe(ep.origin);
        fuzz_is_safe(ep.host);
        check_path(&ep, key);
        rc = endpoint_reroute(&cfg, region, &ep, &e);
        if (rc != RC_OK)
            fuzz_is_told(rc, &e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    char *lines[5];
    struct err e = {0};
    for (int i = 0; i < 5; i++)
        lines[i] = fuzz_text(&in, '\n');
    if (arn_check_bucket_name(lines[0], &e) != RC_OK)
        fuzz_is_told(e.rc, &e);
    check_document(lines[0], lines[1]);
    check_endpoint(lines[2], lines[3], lines[4]);
    for (int i = 0; i < 5; i++)
        free(lines[i]);
    return 0;
}
