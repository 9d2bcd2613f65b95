/* Amazon Resource Names of buckets and of those who write to them. Pure. */
#ifndef POLICY_ARN_H
#define POLICY_ARN_H

#include "base/rc.h"

struct arn_bucket {
    char partition[16]; /* "aws", "aws-us-gov", "aws-cn" */
    char name[64];
};
/* "arn:PARTITION:s3:::NAME". RC_INVALID: e says which part is wrong and what was expected (an
 * access point, an object's ARN, a bare name, a name against S3's rules). */
enum rc arn_parse_bucket(const char *s, struct arn_bucket *out, struct err *e) MUST_CHECK;

struct arn_role {
    char partition[16];
    char account[13]; /* 12 digits */
    char name[513];   /* path and name: "panoptica-customer", "team/x" */
};
/* "arn:PARTITION:iam::ACCOUNT:role/NAME". */
enum rc arn_parse_role(const char *s, struct arn_role *out, struct err *e) MUST_CHECK;

/* Whom a policy's Principal names: a role, a user, or a whole account. */
enum arn_kind { ARN_ROLE, ARN_USER, ARN_ACCOUNT };
struct arn_principal {
    enum arn_kind kind;
    char partition[16];
    char account[13];
    char name[513]; /* path and name; "" of an account */
    char arn[600];  /* the whole, as policies want it */
};
/* The ARN of a role, of an IAM user ("…:user/NAME") or of an account ("…:root"); or an account's 12
 * digits alone, which are taken as its ARN in `partition`. RC_INVALID: e says which part is
 * wrong. */
enum rc arn_parse_principal(const char *s, const char *partition, struct arn_principal *out,
                            struct err *e) MUST_CHECK;

/* A bucket's name by S3's rules ("Bucket naming rules", S3 User Guide). */
enum rc arn_check_bucket_name(const char *name, struct err *e) MUST_CHECK;

#endif
