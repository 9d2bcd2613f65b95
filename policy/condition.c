/* Conditions, three-valued. A value that is not understood, an operator that is not known, a key
 * that nobody told: the answer is "maybe", never a guess. */
#include "policy/condition.h"

#include "base/mem.h"
#include "policy/pattern.h"
#include "policy/statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum family { STRING, STRING_CASELESS, STRING_LIKE, ARN, NUMBER, DATE, BOOLEAN, ADDRESS };
enum relation { EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };
enum set { NO_SET, FOR_ALL, FOR_ANY };

static const struct comparison {
    const char *name;
    enum family family;
    enum relation relation;
    bool negated;
} comparisons[] = {
    {"StringEquals", STRING, EQUAL, false},
    {"StringNotEquals", STRING, EQUAL, true},
    {"StringEqualsIgnoreCase", STRING_CASELESS, EQUAL, false},
    {"StringNotEqualsIgnoreCase", STRING_CASELESS, EQUAL, true},
    {"StringLike", STRING_LIKE, EQUAL, false},
    {"StringNotLike", STRING_LIKE, EQUAL, true},
    {"ArnEquals", ARN, EQUAL, false},
    {"ArnLike", ARN, EQUAL, false},
    {"ArnNotEquals", ARN, EQUAL, true},
    {"ArnNotLike", ARN, EQUAL, true},
    {"NumericEquals", NUMBER, EQUAL, false},
    {"NumericNotEquals", NUMBER, EQUAL, true},
    {"NumericLessThan", NUMBER, LESS, false},
    {"NumericLessThanEquals", NUMBER, LESS_EQUAL, false},
    {"NumericGreaterThan", NUMBER, GREATER, false},
    {"NumericGreaterThanEquals", NUMBER, GREATER_EQUAL, false},
    {"DateEquals", DATE, EQUAL, false},
    {"DateNotEquals", DATE, EQUAL, true},
    {"DateLessThan", DATE, LESS, false},
    {"DateLessThanEquals", DATE, LESS_EQUAL, false},
    {"DateGreaterThan", DATE, GREATER, false},
    {"DateGreaterThanEquals", DATE, GREATER_EQUAL, false},
    {"Bool", BOOLEAN, EQUAL, false},
    {"IpAddress", ADDRESS, EQUAL, false},
    {"NotIpAddress", ADDRESS, EQUAL, true},
};

/* One line of a Condition: operator, key and the policy's values. */
struct test {
    const struct comparison *how;
    enum set set;
    bool if_exists;
    bool variables;
    const json_t *values;
    const struct context *context;
    struct context_unknown *unknown;
};

/* A policy's value as text: numbers and booleans are told as if they were quoted. */
struct value_text {
    char made[32];
};

static const char *text_of(const json_t *v, struct value_text *t)
{
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_boolean(v))
        return json_is_true(v) ? "true" : "false";
    if (json_is_integer(v))
        (void)snprintf(t->made, sizeof t->made, "%lld", (long long)json_integer_value(v));
    else
        (void)snprintf(t->made, sizeof t->made, "%.15g", json_real_value(v));
    return t->made;
}

static enum tri not_understood(const struct test *t, const char *text)
{
    context_note(t->unknown, "value", text);
    return TRI_MAYBE;
}

static bool relates(enum relation relation, double a, double b)
{
    switch (relation) {
    case EQUAL:
        return !(a < b) && !(a > b);
    case LESS:
        return a < b;
    case LESS_EQUAL:
        return a <= b;
    case GREATER:
        return a > b;
    default:
        return a >= b;
    }
}

static bool number(const char *text, double *out)
{
    char *end;
    if (text[strspn(text, "0123456789+-.eE")] != '\0')
        return false; /* strtod would take hexadecimal, nan and inf */
    *out = strtod(text, &end);
    return end != text && *end == '\0';
}

static enum tri compare_numbers(const struct test *t, const char *theirs, const char *ours)
{
    bool (*read)(const char *, double *) = t->how->family == DATE ? condition_date : number;
    double a, b;
    if (!read(theirs, &b))
        return not_understood(t, theirs);
    if (!read(ours, &a))
        return not_understood(t, ours);
    return relates(t->how->relation, a, b) ? TRI_YES : TRI_NO;
}

static bool is_ascii(const char *s)
{
    while (*s && (unsigned char)*s < 0x80)
        s++;
    return *s == '\0';
}

/* Text and ARNs: with variables, and wildcards where the operator has them. */
static enum tri compare_texts(const struct test *t, const char *theirs, const char *ours)
{
    enum family family = t->how->family;
    unsigned kind = t->variables ? PATTERN_VARIABLES : PATTERN_LITERAL;
    struct pattern p;
    enum tri result;
    if (family == STRING_LIKE || family == ARN)
        kind |= PATTERN_WILDCARDS;
    if (pattern_init(&p, theirs, kind, t->context, t->unknown) == TRI_MAYBE)
        return TRI_MAYBE;
    if (family == ARN) {
        result = pattern_matches_arn(&p, ours);
        if (result == TRI_MAYBE)
            context_note(t->unknown, "ARN", theirs);
    } else if (family == STRING_CASELESS) {
        char *text = mem_alloc(p.n + 1);
        for (size_t i = 0; i < p.n; i++)
            text[i] = (char)p.at[i];
        result = context_same_name(text, ours) ? TRI_YES : TRI_NO;
        if (result == TRI_NO && !is_ascii(text) && !is_ascii(ours))
            result = not_understood(t, theirs); /* the case of other letters */
        free(text);
    } else {
        result = pattern_matches(&p, ours, strlen(ours)) ? TRI_YES : TRI_NO;
    }
    pattern_fini(&p);
    return result;
}

/* One value of the policy against one of the request. */
static enum tri compare(const struct test *t, const char *theirs, const char *ours)
{
    enum tri result;
    switch (t->how->family) {
    case NUMBER:
    case DATE:
        return compare_numbers(t, theirs, ours);
    case BOOLEAN:
        if (!context_same_name(theirs, "true") && !context_same_name(theirs, "false"))
            return not_understood(t, theirs);
        return context_same_name(theirs, ours) ? TRI_YES : TRI_NO;
    case ADDRESS:
        result = condition_address(theirs, ours);
        if (result == TRI_MAYBE)
            context_note(t->unknown, "address", theirs);
        return result;
    default:
        return compare_texts(t, theirs, ours);
    }
}

/* One value of the request against all of the policy: any, or none if the operator is negated. */
static enum tri one_value(const struct test *t, const char *ours)
{
    enum tri any = TRI_NO;
    struct value_text text;
    for (size_t i = 0; i < statements_count(t->values) && any != TRI_YES; i++)
        any = tri_or(any, compare(t, text_of(statements_value(t->values, i), &text), ours));
    return t->how->negated ? tri_not(any) : any;
}

static enum tri absent(const struct test *t)
{
    if (t->set == FOR_ALL)
        return TRI_YES;
    if (t->set == FOR_ANY) {
        if (!t->if_exists)
            return TRI_NO;
        context_note(t->unknown, "operator", "ForAnyValue with IfExists of a key that is absent");
        return TRI_MAYBE; /* not documented */
    }
    return t->if_exists || t->how->negated ? TRI_YES : TRI_NO;
}

/* A key that is there, with all its values. */
static enum tri present(const struct test *t, const struct context_key *k)
{
    enum tri all = TRI_YES, any = TRI_NO;
    for (size_t i = 0; i < k->n; i++) {
        enum tri one = one_value(t, k->values[i]);
        all = tri_and(all, one);
        any = tri_or(any, one);
    }
    if (t->set == FOR_ALL)
        return all;
    if (t->set == FOR_ANY)
        return any;
    if (all == any || k->n == 0)
        return k->n == 0 ? absent(t) : all;
    context_note(t->unknown, "which of the values counts, of the key", k->name);
    return TRI_MAYBE;
}

/* Whatever value the key has, or none: is the answer the same? Only where it does not depend on it.
 */
static enum tri unknown_key(const struct test *t, const char *name)
{
    bool takes_all = t->how->family == STRING_LIKE && !t->how->negated && t->if_exists;
    for (size_t i = 0; takes_all && i < statements_count(t->values); i++) {
        if (strcmp(statements_text(t->values, i), "*") == 0 && t->set != FOR_ANY)
            return TRI_YES;
    }
    context_note(t->unknown, "key", name);
    return TRI_MAYBE;
}

static enum tri test_key(const struct test *t, const char *name)
{
    const struct context_key *k = context_find(t->context, name);
    enum tri all = TRI_YES, any = TRI_NO;
    switch (k->kind) {
    case CONTEXT_ABSENT:
        return absent(t);
    case CONTEXT_ONE:
    case CONTEXT_LIST:
        return present(t, k);
    case CONTEXT_ONE_OF:
        for (size_t i = 0; i < k->n; i++) {
            struct context_key one = {.name = name, .values = &k->values[i], .n = 1};
            enum tri result = present(t, &one);
            all = tri_and(all, result);
            any = tri_or(any, result);
        }
        if (k->n > 0 && all == any)
            return all;
        context_note(t->unknown, "key", name);
        return TRI_MAYBE;
    default:
        return unknown_key(t, name);
    }
}

/* Null: "true" wants the key to be absent, "false" to be there. */
static enum tri test_null(const struct test *t, const char *name)
{
    const struct context_key *k = context_find(t->context, name);
    enum tri any = TRI_NO;
    struct value_text text;
    for (size_t i = 0; i < statements_count(t->values); i++) {
        const char *want = text_of(statements_value(t->values, i), &text);
        bool wants_absent = context_same_name(want, "true");
        if (!wants_absent && !context_same_name(want, "false"))
            return not_understood(t, want);
        if (k->kind == CONTEXT_UNKNOWN) {
            context_note(t->unknown, "key", name);
            return TRI_MAYBE;
        }
        bool is_absent = k->kind == CONTEXT_ABSENT || (k->kind == CONTEXT_LIST && k->n == 0);
        any = tri_or(any, is_absent == wants_absent ? TRI_YES : TRI_NO);
    }
    return any;
}

/* "ForAllValues:StringLikeIfExists" taken apart. False: not known. */
static bool parse_operator(const char *text, struct test *t)
{
    static const char all[] = "ForAllValues:", any[] = "ForAnyValue:", exists[] = "IfExists";
    size_t n;
    t->set = NO_SET;
    if (strncmp(text, all, strlen(all)) == 0) {
        t->set = FOR_ALL;
        text += strlen(all);
    } else if (strncmp(text, any, strlen(any)) == 0) {
        t->set = FOR_ANY;
        text += strlen(any);
    }
    n = strlen(text);
    t->if_exists = n > strlen(exists) && strcmp(text + n - strlen(exists), exists) == 0;
    if (t->if_exists)
        n -= strlen(exists);
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
        if (strlen(comparisons[i].name) == n && memcmp(text, comparisons[i].name, n) == 0) {
            t->how = &comparisons[i];
            return true;
        }
    }
    return false;
}

static void say_failed(struct condition_why *why, const char *operator_name, const char *key)
{
    char name[64], shown[160];
    (void)snprintf(why->failed, sizeof why->failed, "%s %s",
                   context_show(name, sizeof name, operator_name),
                   context_show(shown, sizeof shown, key));
}

enum tri condition_holds(const json_t *condition, bool variables, const struct context *context,
                         struct condition_why *why)
{
    const char *name, *key;
    json_t *keys, *values;
    enum tri all = TRI_YES;
    *why = (struct condition_why){0};
    json_object_foreach((json_t *)condition, name, keys)
    {
        struct test t = {.variables = variables, .context = context, .unknown = &why->unknown};
        bool null = strcmp(name, "Null") == 0;
        bool known = null || parse_operator(name, &t);
        if (!known) {
            context_note(&why->unknown, "operator", name);
            all = tri_and(all, TRI_MAYBE);
            continue;
        }
        json_object_foreach(keys, key, values)
        {
            t.values = values;
            enum tri one = null ? test_null(&t, key) : test_key(&t, key);
            if (one == TRI_NO && all != TRI_NO)
                say_failed(why, name, key);
            all = tri_and(all, one);
        }
    }
    return all;
}
