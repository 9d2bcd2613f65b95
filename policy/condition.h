/* The Condition of a statement against what is known of a request. Pure.
 *
 * IAM User Guide, "Condition operators", "Set operators": operators and keys are and-ed, a key's
 * values or-ed (nor-ed under a negated operator). A key that is absent fails an operator, passes a
 * negated one and one that ends in IfExists. */
#ifndef POLICY_CONDITION_H
#define POLICY_CONDITION_H

#include "base/json.h"
#include "policy/context.h"

struct condition_why {
    struct context_unknown unknown; /* TRI_MAYBE: the first thing that is not known */
    char failed[256];               /* TRI_NO: the first that fails, "StringEquals s3:x-amz-acl" */
};
/* condition: as struct statement has it, NULL is TRI_YES. variables: ${…} is filled in. */
enum tri condition_holds(const json_t *condition, bool variables, const struct context *context,
                         struct condition_why *why);

/* Seconds since 1970 of "2026-01-01T00:00:00Z" (with a fraction, or an offset), of a date, or of a
 * number of seconds. False: it is none of them. */
bool condition_date(const char *text, double *out);

/* Is the address in the range "203.0.113.0/24"? TRI_MAYBE: one of them is not understood. */
enum tri condition_address(const char *range, const char *address);

#endif
