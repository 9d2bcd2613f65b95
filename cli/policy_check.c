/* policy check and policy explain: what a document says of our requests.
 */
#include "cli/policy.h"

#include "base/clock.h"
#include "policy/document.h"
#include "policy/explain.h"
#include "policy/request_json.h"
#include "spool/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAYOUT_DEFAULT "Panoptica/{event_type}/{date}/{account}/{file}"

/* A key as the layout makes them. */
static void typical_key(const struct policy_options *o, struct buf *out)
{
    const char *template = o->config ? o->config->layout : LAYOUT_DEFAULT;
    char date[CLOCK_DATE_SIZE];
    struct layout *layout = NULL;
    struct buf path;
    struct err e = {0};
    buf_reset(out);
    clock_date(date, clock_wall_now_ns() / CLOCK_NS_PER_S);
    if (o->key) {
        buf_adds(out, o->key);
    } else if (layout_new(template, o->config ? o->config->prefix : "", &layout, &e) == RC_OK) {
        buf_init(&path, LAYOUT_KEY_MAX);
        layout_path(layout, "findings", date, o->config ? o->config->account_name : "account",
                    "events.ndjson", &path);
        layout_key(layout, path.data, path.len, out);
        buf_fini(&path);
        layout_free(layout);
    }
}

enum rc policy_question(const struct policy_options *o, size_t role, struct arn_principal *who,
                        struct buf *key, struct ours_cfg *out, struct err *e)
{
    const struct config *c = o->config;
    struct arn_bucket bucket;
    const char *acl = c ? c->bucket.acl : "bucket-owner-full-control";
    enum rc rc = arn_parse_bucket(o->bucket_arn, &bucket, e);
    if (rc == RC_OK)
        rc = arn_parse_principal(o->roles[role], bucket.partition, who, e);
    if (rc != RC_OK)
        return rc;
    if (o->acl)
        acl = strcmp(o->acl, "none") == 0 ? NULL : o->acl;
    typical_key(o, key);
    *out = (struct ours_cfg){
        .principal = who->arn,
        .session = o->session,
        .bucket_arn = o->bucket_arn,
        .key = key->data,
        .owner = o->owner,
        .region = c ? c->bucket.region : NULL,
        .acl = acl,
        .encryption = o->encryption,
        .kms_key = o->kms_key,
        .storage_class = o->storage_class,
        .tags = o->tags,
        .n_tags = o->n_tags,
        .if_none_match = c ? c->if_none_match : true,
        .plain_http = c && c->bucket.endpoint && strncmp(c->bucket.endpoint, "http:", 5) == 0,
        .now_s = clock_wall_now_ns() / CLOCK_NS_PER_S,
        .known = o->known,
        .n_known = o->n_known,
    };
    return RC_OK;
}

static enum cli_status read_policy(const struct policy_options *o, struct statements *policy)
{
    char *text = NULL;
    size_t n = 0;
    struct err e = {0};
    enum cli_status status = policy_read(o->document, &text, &n);
    if (status != CLI_YES)
        return status;
    enum rc rc = statements_parse(text, n, policy, &e);
    free(text);
    return rc == RC_OK ? CLI_YES : cli_fail(cli_status_of(rc), "%s: %s", o->document, e.text);
}

/* ---- one request as JSON ---- */

static enum cli_status check_one(const struct policy_options *o, const struct statements *policy)
{
    struct request_json r = {0};
    struct evaluate_result result;
    struct err e = {0};
    char *text = NULL;
    size_t n = 0;
    enum cli_status status = policy_read(o->request, &text, &n);
    if (status != CLI_YES)
        return status;
    json_t *v = json_parse(text, n, &e);
    enum rc rc = v ? request_json_read(v, &r, &e) : RC_INVALID;
    if (rc != RC_OK) {
        status = cli_fail(CLI_USAGE, "%s: %s", o->request, e.text);
    } else {
        evaluate(policy, &r.request, &result);
        json_t *answer = request_json_answer(policy, &result);
        if (o->common.json)
            cli_print_json(answer);
        else
            printf("%s: %s\n", evaluate_decision_name(result.decision), result.reason);
        json_decref(answer);
        status = result.decision == EVALUATE_ALLOWED ? CLI_YES : CLI_NO;
    }
    request_json_fini(&r);
    json_decref(v);
    free(text);
    return status;
}

/* ---- all of ours ---- */

static json_t *report_json(const struct statements *policy, const struct ours_cfg *cfg,
                           const struct ours_report *report)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < report->n; i++) {
        const struct ours_row *row = &report->rows[i];
        json_t *answer = request_json_answer(policy, &row->result);
        json_t *v = json_pack("{s:s, s:s, s:b, s:s}", "request", row->request, "action",
                              row->action, "required", (int)row->required, "without", row->without);
        BUG_ON(!v || json_object_update(v, answer) != 0 || json_array_append_new(rows, v) != 0);
        json_decref(answer);
    }
    json_t *key = json_text(cfg->key, strlen(cfg->key));
    json_t *v = json_pack("{s:s, s:s, s:o, s:b, s:o}", "principal", cfg->principal, "bucket",
                          cfg->bucket_arn, "key", key, "passes", (int)(report->passes == TRI_YES),
                          "requests", rows);
    BUG_ON(!v);
    return v;
}

static void print_report(const struct ours_cfg *cfg, const struct ours_report *report)
{
    static const char *const words[] = {[EVALUATE_ALLOWED] = "allowed",
                                        [EVALUATE_DENIED] = "DENIED",
                                        [EVALUATE_NOT_ALLOWED] = "missing",
                                        [EVALUATE_UNKNOWN] = "unknown"};
    static const char *const verdicts[] = {
        [TRI_NO] = "Files cannot be delivered.",
        [TRI_MAYBE] = "It cannot be told whether files can be delivered.",
        [TRI_YES] =
            "Files can be delivered, as far as this policy goes (others are not looked at)."};
    char key[512];
    bool hinted = false;
    printf("%s on %s/%s\n", cfg->principal, cfg->bucket_arn,
           context_show(key, sizeof key, cfg->key));
    for (size_t i = 0; i < report->n; i++) {
        const struct ours_row *row = &report->rows[i];
        printf("  %-8s %-8s %-28s %-30s %s\n", words[row->result.decision],
               row->required ? "required" : "optional", row->request, row->action,
               row->result.reason);
        if (row->result.decision != EVALUATE_ALLOWED)
            printf("  %-17s without it %s\n", "", row->without);
    }
    for (size_t i = 0; !hinted && i < report->n; i++) {
        hinted = strncmp(report->rows[i].result.key, "key ", 4) == 0;
        if (hinted)
            puts("What a request has of a key can be said: --with KEY=VALUE, or --without KEY.");
    }
    printf("%s\n", verdicts[report->passes]);
}

static enum cli_status check_roles(struct policy_options *o, const struct statements *policy,
                                   bool explain)
{
    enum cli_status status = CLI_YES;
    json_t *all = json_array();
    struct buf key, text;
    bool passes = true;
    buf_init(&key, 4096);
    for (size_t i = 0; i < o->n_roles && (status == CLI_YES || status == CLI_NO); i++) {
        struct ours_cfg cfg;
        struct ours_report report;
        struct arn_principal who;
        struct err e = {0};
        enum rc rc = policy_question(o, i, &who, &key, &cfg, &e);
        if (rc != RC_OK) {
            status = cli_fail_err(rc, &e);
            break;
        }
        ours_check(policy, &cfg, &report);
        passes = passes && report.passes == TRI_YES;
        BUG_ON(json_array_append_new(all, report_json(policy, &cfg, &report)) != 0);
        if (explain && !o->common.json) {
            buf_init(&text, 1 << 18);
            explain_report(&report, who.arn, &text);
            fputs(text.data, stdout);
            buf_fini(&text);
        } else if (!o->common.json) {
            print_report(&cfg, &report);
        }
    }
    if (o->common.json && !explain && status == CLI_YES) {
        json_t *v = json_pack("{s:b, s:O}", "passes", (int)passes, "roles", all);
        cli_print_json(v);
        json_decref(v);
    }
    json_decref(all);
    buf_fini(&key);
    return status != CLI_YES ? status : passes || explain ? CLI_YES : CLI_NO;
}

enum cli_status policy_check(struct policy_options *o)
{
    struct statements policy = {0};
    enum cli_status status = o->request ? CLI_YES : policy_subject(o, true);
    if (status == CLI_YES)
        status = read_policy(o, &policy);
    if (status == CLI_YES)
        status = o->request ? check_one(o, &policy) : check_roles(o, &policy, false);
    statements_fini(&policy);
    return status;
}

/* ---- explain ---- */

static void print_sentences(const struct policy_options *o, const struct statements *policy)
{
    json_t *all = json_array();
    for (size_t i = 0; i < policy->n; i++) {
        struct buf text;
        buf_init(&text, 1 << 18);
        explain_statement(policy, i, &text);
        if (!o->common.json)
            fputs(text.data, stdout);
        BUG_ON(json_array_append_new(all, json_text(text.data, strcspn(text.data, "\n"))) != 0);
        buf_fini(&text);
    }
    if (o->common.json) {
        json_t *v = json_pack("{s:O}", "statements", all);
        cli_print_json(v);
        json_decref(v);
    }
    json_decref(all);
}

enum cli_status policy_explain(struct policy_options *o)
{
    struct statements policy = {0};
    bool about_us = o->n_roles > 0 || o->account || o->common.config_path ||
                    access(config_choose_path(NULL), F_OK) == 0;
    enum cli_status status = about_us ? policy_subject(o, false) : CLI_YES;
    if (status == CLI_YES)
        status = read_policy(o, &policy);
    if (status == CLI_YES)
        print_sentences(o, &policy);
    if (status == CLI_YES && o->n_roles > 0)
        status = check_roles(o, &policy, true);
    statements_fini(&policy);
    return status;
}
