/* Patterns of policies: * and ? over characters, with policy variables. Pure.
 *
 * IAM User Guide, "Resource" (wildcards), "Policy variables": ${*}, ${?} and ${$} are the
 * characters themselves, ${key} and ${key, 'default'} the value of a key; a value's own * and ? are
 * letters.
 */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "policy/context.h"

#include <stdbool.h>

/* A pattern with its variables filled in. */
struct pattern {
    unsigned short *at; /* bytes, or one of the two wildcards */
    size_t n;
};
enum pattern_kind {
    PATTERN_LITERAL = 0,        /* * and ? are letters */
    PATTERN_WILDCARDS = 1 << 0, /* * and ? match */
    PATTERN_VARIABLES = 1 << 1, /* ${…} is filled in */
};
/* TRI_YES: *out, to be freed with pattern_fini. TRI_MAYBE: a variable's value is not known, and
 * `unknown` says which. */
enum tri pattern_init(struct pattern *out, const char *text, unsigned kind,
                      const struct context *context, struct context_unknown *unknown);
void pattern_fini(struct pattern *p);

bool pattern_matches(const struct pattern *p, const char *text, size_t n);
/* As ARNs are compared: the six parts between colons each for itself; only the last may have
 * colons. "*" alone matches all. TRI_MAYBE: the pattern has fewer parts, and a wildcard. */
enum tri pattern_matches_arn(const struct pattern *p, const char *arn);
/* Action names: letters' case does not matter, no variables. */
bool pattern_action(const char *pattern, const char *action);

#endif
