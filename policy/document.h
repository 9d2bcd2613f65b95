/* The bucket access policy that we ask the bucket's owner to paste. Pure. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include "base/buf.h"

#include <stdbool.h>

#define DOCUMENT_MAX ((size_t)20 * 1024) /* S3 User Guide, "Bucket policies": 20 KB */

/* What one configuration asks of the bucket: less than the usual document grants. */
struct document_needs {
    bool acl, tags;     /* uploads have an ACL, tags */
    const char *prefix; /* all keys begin so; "": they may be any */
};
struct document_cfg {
    const char *bucket_arn;
    /* Principal of StmtID; at least one: ARNs of roles or users, or accounts. */
    const char *const *role_arns;
    size_t n_role_arns;
    const char *const *put_role_arns; /* Principal of Stmt1; NULL: the same */
    size_t n_put_role_arns;
    /* NULL: the usual two statements. Else SpoolgateObjects and SpoolgateBucket, which grant these
     * needs and no more; put_role_arns must be NULL. */
    const struct document_needs *needs;
};
/* Append the two-statement document, members in the fixed order, indented by four spaces, one
 * member a line, with a final newline. RC_INVALID: an ARN is wrong, the partitions differ;
 * RC_LIMIT: over DOCUMENT_MAX. */
enum rc document_generate(const struct document_cfg *cfg, struct buf *out,
                          struct err *e) MUST_CHECK;

/* Where that is pasted: the bucket's Permissions page in the console of the partition, appended.
 * RC_ABSENT: of that partition no console is known. */
enum rc document_console(const char *bucket_arn, struct buf *out, struct err *e) MUST_CHECK;

#endif
