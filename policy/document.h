/* The bucket access policy that we ask the bucket's owner to paste. Pure. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include "base/buf.h"

struct document_cfg {
    const char *bucket_arn;
    const char *const *role_arns; /* Principal of StmtID; at least one */
    size_t n_role_arns;
    const char *const *put_role_arns; /* Principal of Stmt1; NULL: the same */
    size_t n_put_role_arns;
};
/* Append the two-statement document, members in the fixed order, indented by four spaces, one
 * member a line, with a final newline. RC_INVALID: an ARN is wrong, the partitions differ;
 * RC_LIMIT: over 20 KiB (S3's limit for a bucket policy). */
enum rc document_generate(const struct document_cfg *cfg, struct buf *out,
                          struct err *e) MUST_CHECK;

#endif
