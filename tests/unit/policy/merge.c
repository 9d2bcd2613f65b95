/* Our statements in somebody else's policy: what is theirs stays to the byte, and twice is as once.
 */
#include "policy/merge.h"

#include "policy/document.h"
#include "policy/statements.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROLE     "arn:aws:iam::111122223333:role/siem"
#define OTHER    "arn:aws:iam::111122223333:role/other"

static void ours_for(const char *role, struct buf *out)
{
    const char *const roles[] = {role};
    struct document_cfg cfg = {
        .bucket_arn = "arn:aws:s3:::b-1", .role_arns = roles, .n_role_arns = 1};
    struct err e = {0};
    buf_init(out, DOCUMENT_MAX);
    cr_assert_eq(document_generate(&cfg, out, &e), RC_OK, "%s", e.text);
}

static enum rc merge(const char *theirs, const char *role, bool only, struct buf *out,
                     struct merge_result *r, struct err *e)
{
    struct buf ours;
    ours_for(role, &ours);
    buf_init(out, 2 * DOCUMENT_MAX);
    enum rc rc = merge_policy(theirs, strlen(theirs), ours.data, only, out, r, e);
    buf_fini(&ours);
    return rc;
}

#define THEIRS_1                                                                                   \
    "{\"Sid\":\"Keep\\u0041\",\"Effect\" : \"Deny\",\"Principal\":\"*\",\"Action\":[\"s3:Put*\"]," \
    "\"Resource\":\"*\",\"Condition\":{\"NumericLessThan\":{\"s3:TlsVersion\":1.20}}}"
#define THEIRS_2                                                                                   \
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"444455556666\"},\"Action\":\"s3:GetObject\","  \
    "\"Resource\":\"arn:aws:s3:::b-1/[x],{y}\\\"\"}"

Test(merge, what_is_theirs_stays_to_the_byte_and_twice_is_as_once)
{
    static const struct {
        const char *before, *behind; /* around what is added */
    } cases[] = {
        {"{\"Version\":\"2012-10-17\",\"Statement\":[" THEIRS_1 "," THEIRS_2, "]}"},
        {"{\"Statement\":[" THEIRS_1 " ", "],\n \"Id\":\"x\", \"Version\":\"2012-10-17\"}\n"},
        {" {\"Version\":\"2012-10-17\",\n  \"Statement\" : [\n    " THEIRS_2 ",\n    " THEIRS_1,
         "\n  ]\n}\n"},
        {"{\"Id\":\"],[}\",\"Version\":\"2012-10-17\",\"\\u0053tatement\":[ " THEIRS_2, " ] } "},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[", "]}"},
        {"{\"Version\":\"2012-10-17\",\"Statement\":[ ", " ]}"},
        {"{\"Version\":\"2008-10-17\",\"Statement\":[" THEIRS_2, "]}"},
        {"{\"Statement\":[" THEIRS_2, "]}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[8192];
        struct buf once, twice;
        struct merge_result r;
        struct statements s;
        struct err e = {0};
        (void)snprintf(text, sizeof text, "%s%s", cases[i].before, cases[i].behind);
        cr_assert_eq(merge(text, ROLE, false, &once, &r, &e), RC_OK, "%zu: %s", i, e.text);
        cr_expect_eq(r.of[0].did, MERGE_ADDED);
        cr_expect_eq(r.of[1].did, MERGE_ADDED);
        size_t begin = 0, end = strlen(cases[i].behind);
        while (cases[i].before[begin] && cases[i].before[begin] == once.data[begin])
            begin++;
        /* A blank at a list's end may stand behind what is added. */
        cr_expect(strlen(cases[i].before) - begin <= 1, "%zu: %s", i, once.data);
        cr_expect_str_eq(once.data + once.len - end, cases[i].behind, "%zu: %s", i, once.data);
        cr_assert_eq(statements_parse(once.data, once.len, &s, &e), RC_OK, "%zu: %s in %s", i,
                     e.text, once.data);
        cr_expect_str_eq(s.at[r.of[0].at].sid, "StmtID");
        cr_expect_str_eq(s.at[r.of[1].at].sid, "Stmt1");
        cr_expect_eq(r.of[1].at, s.n - 1);
        statements_fini(&s);
        cr_assert_eq(merge(once.data, ROLE, false, &twice, &r, &e), RC_OK, "%s", e.text);
        cr_expect_str_eq(twice.data, once.data);
        cr_expect_eq(r.of[0].did, MERGE_KEPT);
        cr_expect_eq(r.of[1].did, MERGE_KEPT);
        buf_fini(&once);
        buf_fini(&twice);
    }
}

Test(merge, a_list_with_a_statement_a_line_stays_one)
{
    struct buf ours, out;
    struct merge_result r;
    struct err e = {0};
    ours_for(OTHER, &ours);
    static const char theirs[] = "{\n    \"Version\": \"2012-10-17\",\n    \"Id\": \"PolicyID\",\n"
                                 "    \"Statement\": [\n        " THEIRS_2 "\n    ]\n}\n";
    cr_assert_eq(merge(theirs, OTHER, false, &out, &r, &e), RC_OK, "%s", e.text);
    /* Ours are indented as they are when generated. */
    const char *list = strstr(ours.data, "        {");
    cr_assert_not_null(list);
    cr_expect(strstr(out.data, list), "%s", out.data);
    buf_fini(&ours);
    buf_fini(&out);
}

Test(merge, a_single_statement_becomes_a_list)
{
    struct buf out, again;
    struct merge_result r;
    struct err e = {0};
    cr_assert_eq(merge("{\"Version\":\"2012-10-17\",\"Statement\": " THEIRS_1 " ,\"Id\":\"x\"}",
                       ROLE, false, &out, &r, &e),
                 RC_OK, "%s", e.text);
    cr_expect(strstr(out.data, "\"Statement\": [" THEIRS_1 ",{\"Sid\":\"StmtID\""), "%s", out.data);
    cr_expect(strstr(out.data, "}] ,\"Id\":\"x\"}"), "%s", out.data);
    cr_assert_eq(merge(out.data, ROLE, false, &again, &r, &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(again.data, out.data);
    buf_fini(&out);
    buf_fini(&again);
}

Test(merge, an_earlier_statement_of_ours_is_replaced_where_it_stands)
{
    struct buf first, out, text;
    struct merge_result r;
    struct statements s;
    struct err e = {0};
    buf_init(&text, 65536);
    ours_for(OTHER, &first);
    const char *end = strrchr(first.data, ']');
    buf_addf(&text, "%.*s,%s%s", (int)(end - first.data), first.data, THEIRS_2, end);
    cr_assert_eq(merge(text.data, ROLE, false, &out, &r, &e), RC_OK, "%s", e.text);
    for (size_t k = 0; k < 2; k++) {
        cr_expect_eq(r.of[k].did, MERGE_REPLACED);
        cr_expect_eq(r.of[k].at, k);
        cr_expect(r.of[k].others);
    }
    cr_assert_eq(statements_parse(out.data, out.len, &s, &e), RC_OK, "%s", e.text);
    cr_expect_eq(s.n, 3);
    const json_t *aws = json_object_get(s.at[0].principal, "AWS");
    cr_expect_eq(statements_count(aws), 2);
    cr_expect_str_eq(statements_text(aws, 0), OTHER);
    cr_expect_str_eq(statements_text(aws, 1), ROLE);
    statements_fini(&s);
    buf_fini(&out);
    /* Only ours: the other role is gone. */
    cr_assert_eq(merge(text.data, ROLE, true, &out, &r, &e), RC_OK, "%s", e.text);
    cr_expect(!strstr(out.data, OTHER), "%s", out.data);
    cr_expect(strstr(out.data, THEIRS_2), "%s", out.data);
    cr_expect(!r.of[0].others);
    buf_fini(&out);
    buf_fini(&first);
    buf_fini(&text);
}

static void ours_below(const char *role, const char *prefix, struct buf *out)
{
    const char *const roles[] = {role};
    struct document_needs needs = {.prefix = prefix};
    struct document_cfg cfg = {
        .bucket_arn = "arn:aws:s3:::b-1", .role_arns = roles, .n_role_arns = 1, .needs = &needs};
    struct err e = {0};
    buf_init(out, DOCUMENT_MAX);
    cr_assert_eq(document_generate(&cfg, out, &e), RC_OK, "%s", e.text);
}

Test(merge, what_another_gateway_has_below_its_own_prefix_is_not_taken_away)
{
    struct buf theirs, ours, both, again, moved;
    struct merge_result r;
    struct err e = {0};
    ours_below(OTHER, "one/", &theirs);
    ours_below(ROLE, "two/", &ours);
    buf_init(&both, DOCUMENT_MAX);
    buf_init(&again, DOCUMENT_MAX);
    buf_init(&moved, DOCUMENT_MAX);
    cr_assert_eq(merge_policy(theirs.data, theirs.len, ours.data, false, &both, &r, &e), RC_OK,
                 "%s", e.text);
    cr_expect_eq(r.of[0].did, MERGE_ADDED);
    cr_expect_str_eq(r.of[0].sid, "SpoolgateObjectsSpoolgate");
    cr_expect_eq(r.of[1].did, MERGE_REPLACED, "the same of the bucket for both");
    cr_expect(strstr(both.data, "b-1/one/*"), "%s", both.data);
    cr_expect(strstr(both.data, "b-1/two/*"), "%s", both.data);
    cr_assert_eq(merge_policy(both.data, both.len, ours.data, false, &again, &r, &e), RC_OK, "%s",
                 e.text);
    cr_expect_str_eq(again.data, both.data);
    buf_fini(&ours);
    /* Ours under its other Sid moves with its prefix. */
    ours_below(ROLE, "three/", &ours);
    cr_assert_eq(merge_policy(both.data, both.len, ours.data, false, &moved, &r, &e), RC_OK, "%s",
                 e.text);
    cr_expect_eq(r.of[0].did, MERGE_REPLACED);
    cr_expect(strstr(moved.data, "b-1/one/*"), "%s", moved.data);
    cr_expect(!strstr(moved.data, "b-1/two/*"), "%s", moved.data);
    cr_expect(strstr(moved.data, "b-1/three/*"), "%s", moved.data);
    buf_fini(&moved);
    buf_fini(&again);
    buf_fini(&both);
    buf_fini(&ours);
    buf_fini(&theirs);
}

Test(merge, others_in_a_statement_with_our_sid_get_no_more_than_they_have)
{
    static const char *const theirs[] = {
        /* fewer actions; fewer objects; the same of somebody else beside the role itself */
        "\"Principal\":{\"AWS\":\"" OTHER "\"},\"Action\":\"s3:GetObject\","
        "\"Resource\":[\"arn:aws:s3:::b-1\",\"arn:aws:s3:::b-1/*\"]}",
        "\"Principal\":{\"AWS\":\"" OTHER "\"},\"Action\":[\"s3:AbortMultipartUpload\","
        "\"s3:GetBucketLocation\",\"s3:GetObject\",\"s3:ListBucket\",\"s3:PutObject\","
        "\"s3:PutObjectAcl\",\"s3:ListBucketMultipartUploads\"],"
        "\"Resource\":\"arn:aws:s3:::b-1\"}",
        "\"Principal\":{\"AWS\":[\"" ROLE "\",\"" OTHER "\"]},\"Action\":\"s3:GetObject\","
        "\"Resource\":[\"arn:aws:s3:::b-1\",\"arn:aws:s3:::b-1/*\"]}",
    };
    for (size_t i = 0; i < COUNT(theirs); i++) {
        char text[4096];
        struct buf out, again;
        struct merge_result r;
        struct err e = {0};
        (void)snprintf(text, sizeof text,
                       "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"StmtID\","
                       "\"Effect\":\"Allow\",%s]}",
                       theirs[i]);
        cr_assert_eq(merge(text, ROLE, false, &out, &r, &e), RC_OK, "%zu: %s", i, e.text);
        cr_expect_eq(r.of[0].did, MERGE_ADDED, "%zu", i);
        cr_expect_str_eq(r.of[0].sid, "StmtIDSpoolgate");
        cr_expect_eq(strncmp(out.data, text, strlen(text) - 2), 0, "%zu: %s", i, out.data);
        cr_expect(!strstr(out.data + strlen(text) - 2, OTHER), "%zu: %s", i, out.data);
        cr_assert_eq(merge(out.data, ROLE, false, &again, &r, &e), RC_OK, "%zu: %s", i, e.text);
        cr_expect_str_eq(again.data, out.data);
        buf_fini(&again);
        buf_fini(&out);
        /* Only ours: then nobody else is left in it. */
        cr_assert_eq(merge(text, ROLE, true, &out, &r, &e), RC_OK, "%zu: %s", i, e.text);
        cr_expect_eq(r.of[0].did, MERGE_REPLACED, "%zu", i);
        cr_expect(!strstr(out.data, OTHER), "%zu: %s", i, out.data);
        buf_fini(&out);
    }
}

Test(merge, a_statement_of_theirs_with_our_sid_stays_and_ours_gets_another)
{
    static const char theirs[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Stmt1\",\"Effect\":\"Allow\","
        "\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b-1/*\"},"
        "{\"Sid\":\"StmtID\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ROLE "\"},"
        "\"Action\":\"s3:DeleteObject\",\"Resource\":\"arn:aws:s3:::b-1/*\"}]}";
    struct buf out, again;
    struct merge_result r;
    struct err e = {0};
    cr_assert_eq(merge(theirs, ROLE, false, &out, &r, &e), RC_OK, "%s", e.text);
    cr_expect_eq(strncmp(out.data, theirs, strlen(theirs) - 2), 0, "%s", out.data);
    cr_expect_str_eq(r.of[0].sid, "StmtIDSpoolgate");
    cr_expect_str_eq(r.of[1].sid, "Stmt1Spoolgate");
    cr_assert_eq(merge(out.data, OTHER, false, &again, &r, &e), RC_OK, "%s", e.text);
    cr_expect_eq(r.of[0].did, MERGE_REPLACED);
    cr_expect_str_eq(r.of[0].sid, "StmtIDSpoolgate");
    buf_fini(&out);
    buf_fini(&again);
}

Test(merge, a_statement_that_grants_the_same_is_ours_under_any_name)
{
    static const char theirs[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Theirs\",\"Effect\":\"Allow\","
        "\"Principal\":{\"AWS\":[\"444455556666\",\"" ROLE "\"]},\"Action\":\"s3:putobject\","
        "\"Resource\":[\"arn:aws:s3:::b-1/*\"],\"Condition\":{\"StringEquals\":{\"S3:X-AMZ-ACL\":"
        "[\"bucket-owner-full-control\"]}}}]}";
    struct buf out;
    struct merge_result r;
    struct err e = {0};
    cr_assert_eq(merge(theirs, ROLE, false, &out, &r, &e), RC_OK, "%s", e.text);
    cr_expect_eq(r.of[0].did, MERGE_ADDED);
    cr_expect_eq(r.of[1].did, MERGE_KEPT);
    cr_expect_eq(r.of[1].at, 0);
    cr_expect_str_eq(r.of[1].sid, "Theirs");
    buf_fini(&out);
}

Test(merge, what_is_no_policy_or_too_large_is_refused)
{
    static const struct {
        const char *text;
        enum rc rc;
        const char *said;
    } cases[] = {
        {"", RC_INVALID, "no policy"},
        {"[]", RC_INVALID, "no policy: a policy is a JSON object"},
        {"{}", RC_INVALID, "Statement"},
        {"{\"Version\":\"2012-10-17\",\"Version\":\"2012-10-17\",\"Statement\":[]}", RC_INVALID,
         "duplicate"},
        {"{\"Version\":\"2012-10-18\",\"Statement\":[]}", RC_INVALID, "Version"},
        {"{\"Version\":\"2008-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\","
         "\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b-1/${aws:username}\"}]}",
         RC_INVALID, "2008-10-17"},
    };
    struct buf out;
    struct merge_result r;
    struct err e = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_expect_eq(merge(cases[i].text, ROLE, false, &out, &r, &e), cases[i].rc, "%zu", i);
        cr_expect(strstr(e.text, cases[i].said), "%zu: %s", i, e.text);
        cr_expect_eq(out.len, 0);
        buf_fini(&out);
    }
    static char large[DOCUMENT_MAX + 64];
    bool fitted = false, refused = false;
    for (int pad = (int)DOCUMENT_MAX - 2000; pad < (int)DOCUMENT_MAX + 20; pad += 100) {
        (void)snprintf(large, sizeof large, "{\"Version\":\"2012-10-17\",\"Statement\":[]%*s}",
                       pad - 41, "");
        enum rc rc = merge(large, ROLE, false, &out, &r, &e);
        cr_expect(rc == RC_OK ? out.len <= DOCUMENT_MAX : rc == RC_LIMIT, "%d", pad);
        cr_expect(rc == RC_OK || strstr(e.text, "20 KiB"), "%s", e.text);
        cr_expect(rc == RC_LIMIT || !refused);
        fitted = fitted || rc == RC_OK;
        refused = refused || rc == RC_LIMIT;
        buf_fini(&out);
    }
    cr_expect(fitted && refused);
}
