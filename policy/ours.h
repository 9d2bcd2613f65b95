/* The requests that we make of a bucket, each with what is known of it, held against a policy.
 * Pure.
 *
 * Which permission a request wants: S3 User Guide, "Required permissions for Amazon S3 API
 * operations"; which keys it has: Service Authorization Reference, "Actions, resources, and
 * condition keys for Amazon S3". */
#ifndef POLICY_OURS_H
#define POLICY_OURS_H

#include "policy/evaluate.h"

#include <stdint.h>

struct ours_cfg {
    const char *principal;  /* ARN of the role or user; an account's is asked as its root */
    const char *session;    /* NULL: not known */
    const char *bucket_arn; /* checked */
    const char *key;        /* of a typical object */
    const char *owner;      /* the bucket's account; NULL: not known */
    const char *region;     /* NULL: not known */
    const char *acl;        /* NULL: none is sent */
    const char *encryption; /* "AES256", "aws:kms", …; NULL: none is sent */
    const char *kms_key;    /* its ARN; NULL */
    const char *storage_class;
    const char *const *tags; /* "key=value" */
    size_t n_tags;
    bool if_none_match;
    bool plain_http;
    int64_t now_s;
    /* What somebody knows better; counts before what we know. */
    const struct context_key *known;
    size_t n_known;
};

struct ours_row {
    const char *request, *action; /* "UploadPart", "s3:PutObject" */
    bool required;
    const char *without; /* what does not work if it is not allowed, a clause */
    struct evaluate_result result;
};
enum { OURS_ROWS_MAX = 16, OURS_TAGS_MAX = 10 };
struct ours_report {
    struct ours_row rows[OURS_ROWS_MAX];
    size_t n;
    enum tri passes; /* is all that is required allowed? */
};
/* At most OURS_TAGS_MAX tags and 32 known keys are taken (S3 takes ten tags). */
void ours_check(const struct statements *policy, const struct ours_cfg *cfg,
                struct ours_report *out);

#endif
