/* A policy in plain sentences. Pure. */
#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include "policy/ours.h"

/* Append one paragraph, "1 (Sid StmtID). Allows the role x of account 1111… …", with a newline.
 * Safe to show. */
void explain_statement(const struct statements *policy, size_t i, struct buf *out);
/* Append what the rows mean for whom they were asked, one sentence a line. */
void explain_report(const struct ours_report *report, const char *principal, struct buf *out);

#endif
