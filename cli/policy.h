/* What the parts of `spoolgate policy` share. */
#ifndef CLI_POLICY_H
#define CLI_POLICY_H

#include "cli/cli.h"
#include "policy/arn.h"
#include "policy/ours.h"

enum { POLICY_ROLES_MAX = 32, POLICY_KNOWN_MAX = 32 };

struct policy_options {
    struct cli_common common;
    const char *verb;     /* "generate", … */
    const char *document; /* FILE or "-"; NULL: generate */
    const char *account, *bucket_arn, *output, *request;
    const char *roles[POLICY_ROLES_MAX], *put_roles[POLICY_ROLES_MAX];
    size_t n_roles, n_put_roles;
    const char *tags[OURS_TAGS_MAX];
    size_t n_tags;
    const char *key, *session, *acl, *encryption, *kms_key, *storage_class;
    bool copy, force, minimal, only_ours;
    /* --with and --without; names_ is the text before "=", values_ that behind. */
    struct context_key known[POLICY_KNOWN_MAX];
    const char *values_[POLICY_KNOWN_MAX];
    char names_[POLICY_KNOWN_MAX][128];
    size_t n_known;
    struct config *config;                /* NULL: none was wanted */
    const char *role_, *session_, *owner; /* the configuration's */
    char *tags_[OURS_TAGS_MAX];
};

/* Of whom and which bucket it is about: what the options do not say, the configuration does.
 * Without a role that is an error only if it is needed; what is wrong is told. */
enum cli_status policy_subject(struct policy_options *o, bool needs_role);
/* What the uploads of this configuration need. *prefix is what all keys begin with. */
struct document_needs;
void policy_needs(const struct policy_options *o, struct buf *prefix, struct document_needs *out);

/* What is asked for the role-th of them. *out points into o, *who and *key. */
enum rc policy_question(const struct policy_options *o, size_t role, struct arn_principal *who,
                        struct buf *key, struct ours_cfg *out, struct err *e) MUST_CHECK;

/* A document from a file or "-". */
enum cli_status policy_read(const char *path, char **text, size_t *n);
/* To FILE, standard output, the clipboard, as the options have it. */
enum cli_status policy_write(const struct policy_options *o, const char *text, size_t n);
/* On stderr: where it is to be pasted. */
void policy_tell_where(const char *bucket_arn);

enum cli_status policy_generate(struct policy_options *o);
enum cli_status policy_merge(struct policy_options *o);
enum cli_status policy_check(struct policy_options *o);
enum cli_status policy_explain(struct policy_options *o);

#endif
