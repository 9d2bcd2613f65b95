/* Our requests against whole policies as owners have them. */
#include "policy/ours.h"

#include "policy/document.h"
#include "policy/explain.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROLE     "arn:aws:iam::111122223333:role/siem"
#define BUCKET   "arn:aws:s3:::b-1"

static struct ours_cfg usual(void)
{
    return (struct ours_cfg){.principal = ROLE,
                             .bucket_arn = BUCKET,
                             .key = "Panoptica/findings/2026-03-01/prod/x.ndjson",
                             .region = "eu-central-1",
                             .acl = "bucket-owner-full-control",
                             .if_none_match = true,
                             .now_s = 1772366400};
}

/* Of every row one letter: y allowed, d denied, n not allowed, ? unknown. */
static bool check(const char *text, const struct ours_cfg *cfg, char letters[OURS_ROWS_MAX + 1],
                  struct ours_report *report)
{
    struct statements policy;
    struct err e = {0};
    cr_assert_eq(statements_parse(text, strlen(text), &policy, &e), RC_OK, "%s: %s", text, e.text);
    ours_check(&policy, cfg, report);
    for (size_t i = 0; i < report->n; i++)
        letters[i] = "ydn?"[report->rows[i].result.decision];
    letters[report->n] = '\0';
    statements_fini(&policy);
    return report->passes == TRI_YES;
}

static void generated(bool minimal, const struct ours_cfg *cfg, struct buf *out)
{
    const char *const roles[] = {ROLE};
    struct document_needs needs = {
        .acl = cfg->acl, .tags = cfg->n_tags > 0, .prefix = "Panoptica/"};
    struct document_cfg d = {.bucket_arn = BUCKET,
                             .role_arns = roles,
                             .n_role_arns = 1,
                             .needs = minimal ? &needs : NULL};
    struct err e = {0};
    buf_init(out, DOCUMENT_MAX);
    cr_assert_eq(document_generate(&d, out, &e), RC_OK, "%s", e.text);
}

Test(ours, what_we_generate_lets_us_do_all_and_the_minimum_all_that_counts)
{
    static const char *const tags[] = {"team=siem", "empty="};
    struct ours_cfg cfg = usual();
    struct ours_report report;
    struct buf text;
    char letters[OURS_ROWS_MAX + 1];
    generated(false, &cfg, &text);
    cr_expect(check(text.data, &cfg, letters, &report));
    cr_expect_str_eq(letters, "yyyyyyyyyy");
    buf_fini(&text);
    generated(true, &cfg, &text);
    cr_expect(check(text.data, &cfg, letters, &report));
    cr_expect_str_eq(letters, "yyyyyyyynn");
    buf_fini(&text);
    cfg.acl = NULL;
    cfg.tags = tags;
    cfg.n_tags = 2;
    generated(true, &cfg, &text);
    cr_expect(check(text.data, &cfg, letters, &report));
    cr_expect_str_eq(letters, "yyyyyyyynn");
    buf_fini(&text);
    generated(false, &cfg, &text); /* which does not grant tags */
    cr_expect(!check(text.data, &cfg, letters, &report));
    cr_expect_str_eq(letters, "ynyyyyyyyy");
    buf_fini(&text);
}

#define ALL                                                                                        \
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ROLE "\"},\"Action\":\"s3:*\",\"Resource\":" \
    "[\"" BUCKET "\",\"" BUCKET "/*\"]}"
#define DOC(more) "{\"Version\":\"2012-10-17\",\"Statement\":[" ALL "," more "]}"
#define DENY(action, condition)                                                                    \
    "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":" action ",\"Resource\":[\"" BUCKET       \
    "\",\"" BUCKET "/*\"],\"Condition\":{" condition "}}"
#define PUT_IF(condition) DENY("\"s3:PutObject\"", condition)

Test(ours, what_owners_deny)
{
    static const struct {
        const char *policy, *letters;
        bool passes;
    } cases[] = {
        /* No plain http; old TLS; another ACL; unencrypted: rows PutObject, its ACL, Create, part,
         * Complete, Abort, Head, List, uploads, location. */
        {DOC(DENY("\"s3:*\"", "\"Bool\":{\"aws:SecureTransport\":\"false\"}")), "yyyyyyyyyy", true},
        {DOC(DENY("\"s3:*\"", "\"NumericLessThan\":{\"s3:TlsVersion\":1.2}")), "yyyyyyyyyy", true},
        {DOC(DENY("\"s3:*\"", "\"NumericLessThan\":{\"s3:TlsVersion\":\"1.3\"}")), "??????????",
         false},
        {DOC(PUT_IF("\"StringNotEquals\":{\"s3:x-amz-acl\":\"bucket-owner-full-control\"}")),
         "yyy??yyyyy", true},
        {DOC(PUT_IF("\"StringNotEquals\":{\"s3:x-amz-acl\":\"private\"}")), "dyd??yyyyy", false},
        {DOC(PUT_IF("\"StringNotEquals\":{\"s3:x-amz-server-side-encryption\":\"aws:kms\"}")),
         "dyd??yyyyy", false},
        {DOC(PUT_IF("\"Null\":{\"s3:x-amz-server-side-encryption\":\"true\"}")), "dyd??yyyyy",
         false},
        {DOC(DENY("\"s3:*\"", "\"StringNotEquals\":{\"aws:SourceVpce\":\"vpce-1\"}")), "??????????",
         false},
        {DOC(DENY("\"s3:*\"", "\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}")), "??????????",
         false},
        {DOC(DENY("\"s3:*\"", "\"StringNotEquals\":{\"aws:PrincipalOrgID\":\"o-1\"}")),
         "??????????", false},
        {DOC(DENY("\"s3:*\"", "\"ArnNotEquals\":{\"aws:PrincipalArn\":\"" ROLE "\"}")),
         "yyyyyyyyyy", true},
        {DOC(DENY("\"s3:*\"", "\"StringNotEquals\":{\"aws:PrincipalAccount\":\"444455556666\"}")),
         "dddddddddd", false},
        {DOC(DENY("\"s3:*\"",
                  "\"DateGreaterThan\":{\"aws:CurrentTime\":\"2026-01-01T00:00:00Z\"}")),
         "dddddddddd", false},
        {DOC(DENY("\"s3:*\"",
                  "\"DateGreaterThan\":{\"aws:CurrentTime\":\"2027-01-01T00:00:00Z\"}")),
         "yyyyyyyyyy", true},
        {DOC(DENY("\"s3:*\"",
                  "\"StringNotEquals\":{\"s3:signatureversion\":\"AWS4-HMAC-SHA256\"}")),
         "yyyyyyyyyy", true},
        {DOC(DENY("\"s3:*\"", "\"StringNotEquals\":{\"aws:RequestedRegion\":\"eu-central-1\"}")),
         "yyyyyyyyyy", true},
        {DOC(DENY("\"s3:*\"",
                  "\"StringEquals\":{\"s3:x-amz-content-sha256\":\"UNSIGNED-PAYLOAD\"}")),
         "yyyyyyyyyy", true},
        /* Only conditional writes, as AWS documents it. */
        {DOC(PUT_IF("\"Null\":{\"s3:if-none-match\":\"true\"},\"Bool\":"
                    "{\"s3:ObjectCreationOperation\":\"true\"}")),
         "yyyyyyyyyy", true},
        {DOC(PUT_IF("\"Bool\":{\"s3:ObjectCreationOperation\":\"false\"},\"Null\":"
                    "{\"s3:x-amz-website-redirect-location\":\"false\"}")),
         "yyy?yyyyyy", true},
        {DOC(DENY("\"s3:AbortMultipartUpload\"", "")), "yyyyydyyyy", true},
        {DOC(DENY("[\"s3:GetObject\",\"s3:List*\",\"s3:GetBucketLocation\"]", "")), "yyyyyydddd",
         true},
        {DOC(DENY("\"s3:PutObjectAcl\"", "")), "ydyyyyyyyy", false},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[]}", "nnnnnnnnnn", false},
    };
    struct ours_cfg cfg = usual();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ours_report report;
        char letters[OURS_ROWS_MAX + 1];
        cr_expect_eq(check(cases[i].policy, &cfg, letters, &report), cases[i].passes, "%zu", i);
        cr_expect_str_eq(letters, cases[i].letters, "%zu: %s", i, letters);
    }
}

Test(ours, what_is_sent_or_known_better_counts)
{
    static const char *const vpce[] = {"vpce-1"}, *const bad[] = {"vpce-2"};
    static const char *const tags[] = {"team=siem"};
    const struct context_key right = {"aws:SourceVpce", CONTEXT_ONE, vpce, 1};
    const struct context_key wrong = {"AWS:sourcevpce", CONTEXT_ONE, bad, 1};
    static const char by_vpce[] =
        DOC(DENY("\"s3:*\"", "\"StringNotEquals\":{\"aws:SourceVpce\":\"vpce-1\"}"));
    static const char by_tag[] =
        DOC(PUT_IF("\"StringNotEquals\":{\"s3:RequestObjectTag/team\":\"siem\"}"));
    static const char by_key[] = DOC(PUT_IF(
        "\"StringNotEquals\":{\"s3:x-amz-server-side-encryption-aws-kms-key-id\":\"arn:k\"}"));
    struct ours_report report;
    char letters[OURS_ROWS_MAX + 1];
    struct ours_cfg cfg = usual();
    cfg.known = &right;
    cfg.n_known = 1;
    cr_expect(check(by_vpce, &cfg, letters, &report), "%s", letters);
    cfg.known = &wrong;
    cr_expect(!check(by_vpce, &cfg, letters, &report));
    cr_expect_str_eq(letters, "dddddddddd");
    cfg = usual();
    cr_expect(!check(by_tag, &cfg, letters, &report));
    cfg.tags = tags;
    cfg.n_tags = 1;
    cr_expect(check(by_tag, &cfg, letters, &report), "%s", letters);
    cr_expect(!check(by_key, &cfg, letters, &report));
    cfg.kms_key = "arn:k";
    cr_expect(check(by_key, &cfg, letters, &report), "%s", letters);
}

Test(ours, the_longest_tag_is_held_against_the_policy_whole)
{
    char name[4 * 128 + 1] = "", tag[sizeof name + 16], policy[4096];
    const char *const tags[] = {tag};
    struct ours_report report;
    char letters[OURS_ROWS_MAX + 1];
    struct ours_cfg cfg = usual();
    for (int i = 0; i < 128; i++)
        memcpy(name + 4 * i, "\xf0\x9f\x9a\x80", 4);
    snprintf(tag, sizeof tag, "%s=yes", name);
    snprintf(policy, sizeof policy,
             DOC(PUT_IF("\"StringNotEquals\":{\"s3:RequestObjectTag/%s\":\"yes\"}")), name);
    cfg.tags = tags;
    cfg.n_tags = 1;
    cr_expect(check(policy, &cfg, letters, &report), "%s", letters);
}

Test(ours, sentences)
{
    static const char text[] = DOC(
        "{\"Sid\":\"Vpc\\u001b\",\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":[\"444455556666\","
        "\"arn:aws:iam::111122223333:user/anna\"]},\"NotAction\":[\"s3:GetObject\"],\"Resource\":"
        "\"" BUCKET "/logs/*\",\"Condition\":{\"StringNotEquals\":{\"aws:SourceVpce\":[\"vpce-1\","
        "\"vpce-2\"]},\"Null\":{\"aws:Referer\":\"true\"}}}");
    struct statements policy;
    struct err e = {0};
    struct buf out;
    buf_init(&out, 65536);
    cr_assert_eq(statements_parse(text, strlen(text), &policy, &e), RC_OK, "%s", e.text);
    explain_statement(&policy, 0, &out);
    explain_statement(&policy, 1, &out);
    cr_expect_str_eq(
        out.data,
        "1. Allows the role siem of account 111122223333 to do everything in S3 (s3:*), on the "
        "bucket "
        "b-1 and all objects of the bucket b-1.\n"
        "2 (Sid Vpc\\x1b). Forbids everybody but the account 444455556666 and the user anna of "
        "account 111122223333 everything but to read objects (s3:GetObject), on the objects "
        "\"logs/*\" of the bucket b-1, if aws:SourceVpce is not \"vpce-1\" or \"vpce-2\", and if "
        "aws:Referer is absent.\n");
    buf_reset(&out);
    struct ours_cfg cfg = usual();
    struct ours_report report;
    ours_check(&policy, &cfg, &report);
    explain_report(&report, ROLE, &out);
    cr_expect(strstr(out.data, ROLE ": "), "%s", out.data);
    statements_fini(&policy);
    buf_fini(&out);
}
