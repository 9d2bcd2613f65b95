/* The grammar of a bucket policy. Every type is checked here, once; what S3 would refuse to store
 * is refused, so that nobody is told what a document means that cannot be one. */
#include "policy/statements.h"

#include "base/mem.h"
#include "policy/context.h"
#include "policy/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t statements_count(const json_t *one_or_list)
{
    return json_is_array(one_or_list) ? json_array_size(one_or_list) : 1;
}

const json_t *statements_value(const json_t *one_or_list, size_t i)
{
    return json_is_array(one_or_list) ? json_array_get(one_or_list, i) : one_or_list;
}

const char *statements_text(const json_t *one_or_list, size_t i)
{
    const char *s = json_string_value(statements_value(one_or_list, i));
    return s ? s : "";
}

struct shown {
    char text[80];
};

static const char *show(struct shown *out, const char *s)
{
    return context_show(out->text, sizeof out->text, s);
}

static const char *label(const char *sid, size_t i, struct statements_label *out)
{
    struct shown shown;
    if (sid && *sid)
        (void)snprintf(out->text, sizeof out->text, "statement %zu (Sid %s)", i + 1,
                       show(&shown, sid));
    else
        (void)snprintf(out->text, sizeof out->text, "statement %zu", i + 1);
    return out->text;
}

const char *statements_label(const struct statements *s, size_t i, struct statements_label *out)
{
    return label(s->at[i].sid, i, out);
}

static bool is_texts(const json_t *v)
{
    size_t n = statements_count(v);
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(statements_value(v, i)))
            return false;
    }
    return n > 0;
}

static bool is_principal(const json_t *v)
{
    static const char *const kinds[] = {"AWS", "CanonicalUser", "Service", "Federated"};
    const char *kind;
    json_t *who;
    if (json_is_string(v))
        return strcmp(json_string_value(v), "*") == 0;
    json_object_foreach((json_t *)v, kind, who)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            known = known || strcmp(kind, kinds[i]) == 0;
        if (!known || !is_texts(who))
            return false;
    }
    return json_is_object(v) && json_object_size(v) > 0;
}

static bool is_condition(const json_t *v)
{
    const char *name, *key;
    json_t *keys, *values;
    json_object_foreach((json_t *)v, name, keys)
    {
        if (!json_is_object(keys))
            return false;
        json_object_foreach(keys, key, values)
        {
            size_t n = statements_count(values);
            if (n == 0)
                return false;
            for (size_t i = 0; i < n; i++) {
                const json_t *one = statements_value(values, i);
                if (!json_is_string(one) && !json_is_number(one) && !json_is_boolean(one))
                    return false;
            }
        }
    }
    return json_is_object(v);
}

/* A principal is a whole ARN: S3 stores none with a wildcard within. */
static const char *wild_principal(const struct statement *s)
{
    const json_t *aws = json_object_get(s->principal, "AWS");
    for (size_t i = 0; aws && i < statements_count(aws); i++) {
        const char *text = statements_text(aws, i);
        if (strcmp(text, "*") != 0 && strpbrk(text, "*?"))
            return text;
    }
    return NULL;
}

/* One of NAME and NotNAME, and just one. */
static bool take_one_of(const json_t *s, const char *name, const char *not_name, const json_t **out,
                        bool *is_not)
{
    const json_t *plain = json_object_get(s, name), *negated = json_object_get(s, not_name);
    *out = plain ? plain : negated;
    *is_not = !plain;
    return (plain == NULL) != (negated == NULL);
}

static const char *unknown_member(const json_t *object, const char *const *known)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(name, known[i]) != 0)
            i++;
        if (!known[i])
            return name;
    }
    return NULL;
}

static const char *statement_fault(const json_t *v, struct statement *out)
{
    const json_t *sid = json_object_get(v, "Sid"), *effect = json_object_get(v, "Effect");
    if (sid && !json_is_string(sid))
        return "its Sid must be a string";
    out->sid = json_string_value(sid);
    if (!effect || !json_is_string(effect) ||
        (strcmp(json_string_value(effect), "Allow") != 0 &&
         strcmp(json_string_value(effect), "Deny") != 0))
        return "its Effect must be \"Allow\" or \"Deny\"";
    out->allow = strcmp(json_string_value(effect), "Allow") == 0;
    if (!take_one_of(v, "Principal", "NotPrincipal", &out->principal, &out->not_principal))
        return "a bucket policy's statement needs a Principal or a NotPrincipal, one of them";
    if (!is_principal(out->principal))
        return "its Principal must be \"*\" or an object of AWS, CanonicalUser, Service or "
               "Federated, each a string or a list of strings";
    if (!take_one_of(v, "Action", "NotAction", &out->action, &out->not_action))
        return "it needs an Action or a NotAction, one of them";
    if (!take_one_of(v, "Resource", "NotResource", &out->resource, &out->not_resource))
        return "it needs a Resource or a NotResource, one of them";
    if (!is_texts(out->action) || !is_texts(out->resource))
        return "its Action and its Resource must be strings or lists of strings";
    out->condition = json_object_get(v, "Condition");
    if (out->condition && !is_condition(out->condition))
        return "its Condition must be an object of operators, each an object of keys with values";
    return NULL;
}

static enum rc take_statement(const json_t *v, size_t i, struct statement *out, struct err *e)
{
    static const char *const members[] = {"Sid",       "Effect",    "Principal", "NotPrincipal",
                                          "Action",    "NotAction", "Resource",  "NotResource",
                                          "Condition", NULL};
    struct statements_label shown_label;
    struct shown shown;
    if (!json_is_object(v))
        return err_set(e, RC_INVALID, "no policy: statement %zu is no object", i + 1);
    const char *member = unknown_member(v, members);
    const char *why = statement_fault(v, out);
    (void)label(out->sid, i, &shown_label);
    if (member)
        return err_set(e, RC_INVALID, "%s has a member \"%s\", which no policy has",
                       shown_label.text, show(&shown, member));
    if (why)
        return err_set(e, RC_INVALID, "%s: %s", shown_label.text, why);
    const char *wild = wild_principal(out);
    if (wild)
        return err_set(e, RC_INVALID,
                       "%s: the principal \"%s\" has a wildcard within, which S3 does not take: "
                       "only \"*\" alone is one",
                       shown_label.text, show(&shown, wild));
    return RC_OK;
}

static enum rc take_head(struct statements *out, const json_t **statements, struct err *e)
{
    static const char *const members[] = {"Version", "Id", "Statement", NULL};
    struct shown shown;
    if (!json_is_object(out->root))
        return err_set(e, RC_INVALID, "no policy: a policy is a JSON object");
    const char *member = unknown_member(out->root, members);
    if (member)
        return err_set(e, RC_INVALID, "no policy: it has a member \"%s\", which no policy has",
                       show(&shown, member));
    const json_t *version = json_object_get(out->root, "Version");
    const char *text = json_string_value(version);
    if (version && (!text || (strcmp(text, "2012-10-17") != 0 && strcmp(text, "2008-10-17") != 0)))
        return err_set(e, RC_INVALID, "no policy: its Version must be \"2012-10-17\"");
    out->variables = text && strcmp(text, "2012-10-17") == 0;
    const json_t *id = json_object_get(out->root, "Id");
    if (id && !json_is_string(id))
        return err_set(e, RC_INVALID, "no policy: its Id must be a string");
    *statements = json_object_get(out->root, "Statement");
    if (!json_is_object(*statements) && !json_is_array(*statements))
        return err_set(e, RC_INVALID, "no policy: it has no Statement, or one that is no list");
    return RC_OK;
}

enum rc statements_parse(const char *text, size_t n, struct statements *out, struct err *e)
{
    const json_t *list = NULL;
    struct err parse = {0};
    struct shown shown;
    *out = (struct statements){0};
    if (n > DOCUMENT_MAX)
        return err_set(e, RC_LIMIT, "the policy has %zu bytes, S3 takes 20 KiB at most", n);
    out->root = json_parse(text, n, &parse);
    if (!out->root)
        return err_set(e, RC_INVALID, "no policy: %s", parse.text);
    enum rc rc = take_head(out, &list, e);
    if (rc != RC_OK)
        return rc;
    out->n = statements_count(list);
    out->at = mem_alloc(out->n * sizeof *out->at);
    for (size_t i = 0; rc == RC_OK && i < out->n; i++) {
        rc = take_statement(statements_value(list, i), i, &out->at[i], e);
        for (size_t j = 0; rc == RC_OK && j < i; j++) {
            if (out->at[i].sid && out->at[j].sid && *out->at[i].sid &&
                strcmp(out->at[i].sid, out->at[j].sid) == 0)
                rc = err_set(e, RC_INVALID, "two statements have the Sid \"%s\"",
                             show(&shown, out->at[i].sid));
        }
    }
    return rc;
}

void statements_fini(struct statements *s)
{
    free(s->at);
    json_decref(s->root);
    *s = (struct statements){0};
}
