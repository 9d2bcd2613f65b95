/* What a bucket policy says of a request. Pure: the document and the request are all there is.
 *
 * IAM User Guide, "Policy evaluation logic": a Deny that applies wins, then an Allow that applies,
 * else the request is not allowed. What cannot be told from what is known of the request is told as
 * such. Only this document is looked at: the policies of the role itself, of its organization and
 * of KMS keys may still refuse what it allows, and for a role of the bucket's own account they may
 * allow what it does not mention.
 */
#ifndef POLICY_EVALUATE_H
#define POLICY_EVALUATE_H

#include "policy/context.h"
#include "policy/statements.h"

struct evaluate_request {
    /* Who asks: the ARN of a role, a user or an account ("…:root"); NULL: nobody signed it. */
    const char *principal;
    const char *session;   /* name of the role's session; NULL: not known */
    const char *canonical; /* id of the account; NULL: not known */
    const char *action;    /* "s3:PutObject" */
    const char *resource;  /* ARN of the bucket or the object */
    struct context context;
};

enum evaluate_decision {
    EVALUATE_ALLOWED,
    EVALUATE_DENIED,      /* by the Deny that `statement` names */
    EVALUATE_NOT_ALLOWED, /* no Allow applies; `missing` says what the nearest one lacks */
    EVALUATE_UNKNOWN,     /* it depends on `key`, in `statement` */
    EVALUATE_COUNT_
};
/* "allowed", "denied", "not-allowed", "unknown" */
const char *evaluate_decision_name(enum evaluate_decision d);

enum evaluate_part {
    EVALUATE_NOTHING,   /* nothing is missing */
    EVALUATE_STATEMENT, /* no statement comes near */
    EVALUATE_PRINCIPAL,
    EVALUATE_ACTION,
    EVALUATE_RESOURCE,
    EVALUATE_CONDITION,
};
/* "statement", "principal", …; NULL of EVALUATE_NOTHING */
const char *evaluate_part_name(enum evaluate_part p);

struct evaluate_result {
    enum evaluate_decision decision;
    int statement; /* from 0; -1: none */
    enum evaluate_part missing;
    char key[160];    /* EVALUATE_UNKNOWN: "key aws:SourceVpce", "operator BinaryEquals" */
    char reason[512]; /* one sentence, may be shown */
};
void evaluate(const struct statements *policy, const struct evaluate_request *r,
              struct evaluate_result *out);

/* One statement's parts by themselves, for who explains. */
struct evaluate_parts {
    enum tri principal, action, resource, condition;
    struct context_unknown unknown;
    char failed[256]; /* the condition that fails */
};
void evaluate_statement(const struct statements *policy, size_t i, const struct evaluate_request *r,
                        struct evaluate_parts *out);

#endif
