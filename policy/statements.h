/* A policy document, taken apart and held against the grammar: whoever has a struct statements need
 * not look at types again. Pure. (IAM User Guide, "Grammar of the IAM JSON policy language".) */
#ifndef POLICY_STATEMENTS_H
#define POLICY_STATEMENTS_H

#include "base/json.h"

struct statement {
    const char *sid; /* NULL: none */
    bool allow;
    const json_t
        *principal; /* "*", or an object of kinds: AWS, CanonicalUser, Service, Federated */
    const json_t *action, *resource; /* a string or a list of strings */
    bool not_principal, not_action, not_resource;
    const json_t *condition; /* NULL, or an object of operators, of keys, of values */
};
struct statements {
    json_t *root;
    bool variables; /* Version 2012-10-17: ${…} means something */
    struct statement *at;
    size_t n;
};
/* RC_OK: *out, to be freed with statements_fini. RC_LIMIT: over 20 KiB. RC_INVALID: no policy for a
 * bucket; e says what is wrong with which statement. *out may be given to statements_fini always.
 */
enum rc statements_parse(const char *text, size_t n, struct statements *out,
                         struct err *e) MUST_CHECK;
void statements_fini(struct statements *s);

/* Of what is one value or a list of values. */
size_t statements_count(const json_t *one_or_list);
const json_t *statements_value(const json_t *one_or_list, size_t i);
/* The i-th string: "" if it is none. */
const char *statements_text(const json_t *one_or_list, size_t i);

/* "statement 2 (Sid DenyPlain)", hostile bytes escaped, cut. */
struct statements_label {
    char text[128];
};
const char *statements_label(const struct statements *s, size_t i, struct statements_label *out);

#endif
