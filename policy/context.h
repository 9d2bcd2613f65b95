/* What is known of a request beside its action and resource: context keys and their values. Pure.
 *
 * Three-valued: what a request does not say of a key is not known, which is not the same as the key
 * being absent. Names of keys are compared without case (IAM User Guide, "Condition").
 */
#ifndef POLICY_CONTEXT_H
#define POLICY_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

enum tri { TRI_NO, TRI_MAYBE, TRI_YES };
static inline enum tri tri_not(enum tri t)
{
    return (enum tri)(TRI_YES - t);
}
static inline enum tri tri_and(enum tri a, enum tri b)
{
    return a < b ? a : b;
}
static inline enum tri tri_or(enum tri a, enum tri b)
{
    return a > b ? a : b;
}

enum context_kind {
    CONTEXT_ABSENT,  /* the request does not have the key */
    CONTEXT_ONE,     /* one value */
    CONTEXT_LIST,    /* a key with many values (aws:TagKeys): any number of them */
    CONTEXT_ONE_OF,  /* one of these, which one is not known */
    CONTEXT_UNKNOWN, /* whether it is there is not known either */
};
struct context_key {
    const char *name;
    enum context_kind kind;
    const char *const *values;
    size_t n;
};
struct context {
    const struct context_key *keys;
    size_t n;
    bool complete; /* keys that are not here are absent, not unknown */
};
/* Never NULL. The last of two with the same name counts. */
const struct context_key *context_find(const struct context *c, const char *name);

/* The first thing that was not known, "key aws:SourceVpce" or "operator X". */
struct context_unknown {
    char what[160];
};
void context_note(struct context_unknown *u, const char *kind, const char *name);

/* `s` so that it may be shown: escaped, and cut to fit, with "…" behind. Returns out. */
const char *context_show(char *out, size_t size, const char *s);

/* Text without case, ASCII letters only. */
bool context_same_name(const char *a, const char *b);

#endif
