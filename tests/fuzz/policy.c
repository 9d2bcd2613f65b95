/* A policy document from any text: refused with a sentence, or taken apart, evaluated, explained
 * and merged without a claim that does not hold. The input is a document, a NUL, and the name of a
 * key with its value, "aws:SourceVpce=vpce-1". */
#include "policy/document.h"
#include "policy/explain.h"
#include "policy/merge.h"

#include "tests/fuzz/fuzz.h"

#define ROLE   "arn:aws:iam::111122223333:role/siem"
#define BUCKET "arn:aws:s3:::b-1"

static void check_rows(const struct statements *policy, const struct ours_cfg *cfg)
{
    struct ours_report report;
    ours_check(policy, cfg, &report);
    for (size_t i = 0; i < report.n; i++) {
        const struct evaluate_result *r = &report.rows[i].result;
        fuzz_is_safe(r->reason);
        fuzz_is_safe(r->key);
        BUG_ON(r->reason[0] == '\0' || r->statement >= (int)policy->n);
        BUG_ON((r->decision == EVALUATE_UNKNOWN) != (r->key[0] != '\0'));
        BUG_ON((r->decision == EVALUATE_NOT_ALLOWED) != (r->missing != EVALUATE_NOTHING));
        if (r->decision == EVALUATE_ALLOWED || r->decision == EVALUATE_DENIED)
            BUG_ON(policy->at[r->statement].allow != (r->decision == EVALUATE_ALLOWED));
    }
}

static void check_sentences(const struct statements *policy)
{
    for (size_t i = 0; i < policy->n; i++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        explain_statement(policy, i, &text);
        BUG_ON(text.overflow || text.data[text.len - 1] != '\n');
        text.data[text.len - 1] = '\0';
        fuzz_is_safe(text.data);
        buf_fini(&text);
    }
}

/* Merged, it is a policy with all of theirs before, and merging once more changes nothing. */
static void check_merge(const char *text, size_t n, const struct statements *policy)
{
    static const char *const roles[] = {ROLE};
    struct document_cfg cfg = {.bucket_arn = BUCKET, .role_arns = roles, .n_role_arns = 1};
    struct buf ours, once, twice;
    struct merge_result r;
    struct statements after;
    struct err e = {0};
    buf_init(&ours, DOCUMENT_MAX);
    buf_init(&once, 2 * DOCUMENT_MAX);
    buf_init(&twice, 2 * DOCUMENT_MAX);
    BUG_ON(document_generate(&cfg, &ours, &e) != RC_OK);
    enum rc rc = merge_policy(text, n, ours.data, false, &once, &r, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
    } else {
        BUG_ON(statements_parse(once.data, once.len, &after, &e) != RC_OK);
        BUG_ON(after.n < policy->n || after.variables != policy->variables);
        const json_t *list = json_object_get(policy->root, "Statement");
        const json_t *merged = json_object_get(after.root, "Statement");
        for (size_t i = 0; i < policy->n; i++) {
            bool replaced = false;
            for (size_t k = 0; k < r.n; k++)
                replaced = replaced || (r.of[k].did == MERGE_REPLACED && r.of[k].at == i);
            BUG_ON(!replaced &&
                   !json_equal(statements_value(list, i), statements_value(merged, i)));
        }
        statements_fini(&after);
        BUG_ON(merge_policy(once.data, once.len, ours.data, false, &twice, &r, &e) != RC_OK);
        BUG_ON(once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0);
    }
    buf_fini(&ours);
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    const char *nul = n ? memchr(data, 0, n) : NULL;
    size_t len;
    char *text = fuzz_take(&in, nul ? (size_t)(nul - (const char *)data) : n, &len);
    (void)fuzz_byte(&in);
    char *name = fuzz_text(&in, '='), *value = fuzz_text(&in, '\0');
    const char *values[] = {value};
    struct context_key key = {name, CONTEXT_ONE, values, 1};
    struct ours_cfg cfg = {.principal = ROLE,
                           .bucket_arn = BUCKET,
                           .key = "Panoptica/findings/2026-03-01/prod/x.ndjson",
                           .acl = "bucket-owner-full-control",
                           .if_none_match = true,
                           .now_s = 1772366400,
                           .known = &key,
                           .n_known = name[0] ? 1 : 0};
    struct statements policy;
    struct err e = {0};
    enum rc rc = statements_parse(text, len, &policy, &e);
    if (rc == RC_OK) {
        check_rows(&policy, &cfg);
        check_sentences(&policy);
        check_merge(text, len, &policy);
    } else {
        fuzz_is_told(rc, &e);
    }
    statements_fini(&policy);
    free(text);
    free(name);
    free(value);
    return 0;
}
