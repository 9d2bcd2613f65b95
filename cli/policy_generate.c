/* policy generate and policy merge, and what all verbs of `spoolgate policy` read and write.
 */
#include "cli/policy.h"

#include "base/utf8.h"
#include "cli/clipboard.h"
#include "gateway/setup.h"
#include "policy/arn.h"
#include "policy/document.h"
#include "policy/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_MAX = 1 << 20 };

/* ---- of whom and which bucket ---- */

/* What the configuration says of uploads; options come before. */
static void take_settings(struct policy_options *o)
{
    const struct config *c = o->config;
    const struct config_pairs *tags = &c->bucket.tags;
    if (c->credentials.n_roles > 0) {
        /* Of roles that are assumed in turn it is the last one's keys that ask. */
        const struct credentials_role *last = &c->credentials.roles[c->credentials.n_roles - 1];
        o->role_ = last->arn;
        o->session_ = last->session_name ? last->session_name : "spoolgate";
    }
    if (!o->encryption && c->bucket.encryption.algorithm) {
        o->encryption = c->bucket.encryption.algorithm;
        o->kms_key = o->kms_key ? o->kms_key : c->bucket.encryption.kms_key_id;
    }
    if (!o->storage_class)
        o->storage_class = c->bucket.storage_class;
    o->owner = c->bucket.expected_owner;
    if (o->n_tags > 0)
        return;
    for (size_t i = 0; i < tags->n && o->n_tags < OURS_TAGS_MAX; i++, o->n_tags++) {
        struct buf tag;
        buf_init(&tag, 2048);
        buf_addf(&tag, "%s=%s", tags->items[i].name, tags->items[i].value);
        o->tags[o->n_tags] = o->tags_[o->n_tags] = buf_take(&tag);
        buf_fini(&tag);
    }
}

static enum cli_status take_account(struct policy_options *o)
{
    if (!o->account)
        return CLI_YES;
    if (strcmp(o->account, o->config->account_name) != 0)
        return cli_fail(CLI_USAGE,
                        "%s is the configuration of the account \"%s\", not of \"%s\": name the "
                        "file of that one with -c, or the role with --role",
                        o->config->path, o->config->account_name, o->account);
    if (!o->role_)
        return cli_fail(CLI_USAGE,
                        "no role is configured for the account \"%s\": set "
                        "credentials.assume_role.arn in %s, or name the role with --role",
                        o->account, o->config->path);
    return CLI_YES;
}

enum cli_status policy_subject(struct policy_options *o, bool needs_role)
{
    enum cli_status status;
    bool uses_config = !o->bucket_arn || o->account || o->common.config_path ||
                       (o->n_roles == 0 && access(config_choose_path(NULL), F_OK) == 0);
    if (uses_config) {
        if ((status = cli_load_config(&o->common, &o->config)) != CLI_YES)
            return status;
        take_settings(o);
        if ((status = take_account(o)) != CLI_YES)
            return status;
        if (!o->bucket_arn)
            o->bucket_arn = o->config->bucket.arn;
    }
    if ((o->n_roles == 0 || o->account) && o->role_ && o->n_roles < POLICY_ROLES_MAX)
        o->roles[o->n_roles++] = o->role_;
    if (!o->session && o->role_ && o->n_roles == 1 && strcmp(o->roles[0], o->role_) == 0)
        o->session = o->session_;
    if (o->n_roles == 0 && needs_role)
        return cli_fail(CLI_USAGE,
                        "no role is given or configured: name who writes with --role, such as "
                        "arn:aws:iam::111122223333:role/spoolgate, or set "
                        "credentials.assume_role.arn");
    return CLI_YES;
}

void policy_needs(const struct policy_options *o, struct buf *prefix, struct document_needs *out)
{
    const char *acl = o->config ? o->config->bucket.acl : "bucket-owner-full-control";
    if (o->acl)
        acl = strcmp(o->acl, "none") == 0 ? NULL : o->acl;
    if (o->config)
        setup_prefix(o->config, prefix);
    *out =
        (struct document_needs){.acl = acl != NULL, .tags = o->n_tags > 0, .prefix = prefix->data};
}

/* ---- in and out ---- */

enum cli_status policy_read(const char *path, char **text, size_t *n)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct buf all;
    char piece[16384];
    ssize_t got = -1;
    if (fd < 0)
        return cli_fail(CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    buf_init(&all, READ_MAX);
    while (!all.overflow &&
           ((got = read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR))) {
        if (got > 0)
            buf_add(&all, piece, (size_t)got);
    }
    int error = got < 0 ? errno : 0;
    if (!standard)
        (void)close(fd); /* only read */
    enum cli_status status = CLI_YES;
    if (error)
        status = cli_fail(CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(error));
    else if (all.overflow)
        status = cli_fail(CLI_USAGE, "%s has more than 1 MiB: that is no policy", path);
    *n = all.len;
    *text = status == CLI_YES ? buf_take(&all) : NULL;
    buf_fini(&all);
    return status;
}

enum cli_status policy_write(const struct policy_options *o, const char *text, size_t n)
{
    struct err e = {0};
    const char *how;
    enum rc rc = RC_OK;
    if (o->output) {
        rc = cli_write_file(o->output, text, n, o->force, &e);
    } else if (fwrite(text, 1, n, stdout) != n || fflush(stdout) != 0) {
        return cli_fail(CLI_ENVIRONMENT, "cannot write the policy: %s", strerror(errno));
    }
    if (rc == RC_OK && o->copy) {
        rc = clipboard_copy(text, n, &how, &e);
        if (rc == RC_OK)
            fprintf(stderr, "It is in the clipboard (%s).\n", how);
    }
    return rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
}

static void tell_where(const char *bucket_arn, const char *third_step)
{
    struct buf url;
    struct err e = {0};
    buf_init(&url, 256);
    bool known = document_console(bucket_arn, &url, &e) == RC_OK;
    fprintf(stderr, "\nPaste it in the AWS console%s%s\n  1. %s\n  2. %s\n  3. %s\n  4. %s\n",
            known ? ": " : ".", known ? url.data : "", setup_steps[0], setup_steps[1], third_step,
            setup_steps[3]);
    buf_fini(&url);
}

void policy_tell_where(const char *bucket_arn)
{
    tell_where(bucket_arn, setup_steps[2]);
}

/* ---- generate and merge ---- */

static enum cli_status document(struct policy_options *o, struct buf *out)
{
    struct buf prefix;
    struct document_needs needs;
    struct err e = {0};
    enum cli_status status = policy_subject(o, true);
    if (status != CLI_YES)
        return status;
    buf_init(&prefix, 4096);
    policy_needs(o, &prefix, &needs);
    struct document_cfg cfg = {
        .bucket_arn = o->bucket_arn,
        .role_arns = o->roles,
        .n_role_arns = o->n_roles,
        .put_role_arns = o->n_put_roles > 0 ? o->put_roles : NULL,
        .n_put_role_arns = o->n_put_roles,
        .needs = o->minimal ? &needs : NULL,
    };
    enum rc rc = document_generate(&cfg, out, &e);
    buf_fini(&prefix);
    return rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
}

enum cli_status policy_generate(struct policy_options *o)
{
    struct buf out;
    buf_init(&out, 2 * DOCUMENT_MAX);
    enum cli_status status = document(o, &out);
    if (status == CLI_YES)
        status = policy_write(o, out.data, out.len);
    if (status == CLI_YES)
        policy_tell_where(o->bucket_arn);
    buf_fini(&out);
    return status;
}

static void tell_what_was_done(const struct merge_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        static const char *const did[] = {[MERGE_KEPT] = "grants it already",
                                          [MERGE_REPLACED] = "is replaced",
                                          [MERGE_ADDED] = "is added"};
        fprintf(stderr, "spoolgate: statement %zu (Sid %s) %s%s\n", r->of[i].at + 1, r->of[i].sid,
                did[r->of[i].did],
                r->of[i].others ? "; it keeps the other principals that it named (--only: it does "
                                  "not)"
                                : "");
    }
}

/* What still blocks us, though our statements are there: their Deny, or tags that the usual ones do
 * not grant. */
static void tell_denials(struct policy_options *o, const char *text, size_t n)
{
    struct statements policy;
    struct err e = {0};
    if (statements_parse(text, n, &policy, &e) == RC_OK) {
        struct ours_cfg cfg;
        struct buf key;
        buf_init(&key, 4096);
        for (size_t i = 0; i < o->n_roles; i++) {
            struct arn_principal who;
            struct ours_report report;
            if (policy_question(o, i, &who, &key, &cfg, &e) != RC_OK)
                continue; /* document_generate has taken it: not reached */
            ours_check(&policy, &cfg, &report);
            for (size_t k = 0; k < report.n; k++) {
                const struct ours_row *row = &report.rows[k];
                bool told = row->result.decision == EVALUATE_DENIED ||
                            row->result.decision == EVALUATE_UNKNOWN ||
                            (row->required && row->result.decision != EVALUATE_ALLOWED);
                if (told)
                    fprintf(stderr, "spoolgate: warning: %s by %s: %s\n", row->request, who.arn,
                            row->result.reason);
            }
        }
        buf_fini(&key);
    }
    statements_fini(&policy);
}

enum cli_status policy_merge(struct policy_options *o)
{
    struct buf ours, merged;
    struct merge_result result;
    struct err e = {0};
    char *theirs = NULL;
    size_t n = 0;
    buf_init(&ours, 2 * DOCUMENT_MAX);
    buf_init(&merged, 2 * DOCUMENT_MAX);
    enum cli_status status = document(o, &ours);
    if (status == CLI_YES)
        status = policy_read(o->document, &theirs, &n);
    if (status == CLI_YES) {
        enum rc rc = merge_policy(theirs, n, ours.data, o->only_ours, &merged, &result, &e);
        status = rc == RC_OK ? CLI_YES : cli_fail(cli_status_of(rc), "%s: %s", o->document, e.text);
    }
    if (status == CLI_YES)
        status = policy_write(o, merged.data, merged.len);
    if (status == CLI_YES) {
        tell_what_was_done(&result);
        tell_denials(o, merged.data, merged.len);
        tell_where(o->bucket_arn, "Paste it in place of the policy that stands there.");
    }
    free(theirs);
    buf_fini(&ours);
    buf_fini(&merged);
    return status;
}
