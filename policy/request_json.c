/* Requests and answers as JSON. What is not understood is refused: a context that was misread would
 * make an answer that looks sure. */
#include "policy/request_json.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Strings of a list into values. */
static bool take_list(const json_t *list, const char **values)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        values[i] = json_string_value(json_array_get(list, i));
        if (!values[i])
            return false;
    }
    return json_is_array(list);
}

static bool take_key(const json_t *v, struct context_key *k, const char **values)
{
    const json_t *one_of = json_object_get(v, "one_of");
    k->values = values;
    if (json_is_null(v)) {
        k->kind = CONTEXT_ABSENT;
        return true;
    }
    if (json_is_string(v)) {
        k->kind = CONTEXT_ONE;
        k->n = 1;
        values[0] = json_string_value(v);
        return true;
    }
    k->kind = one_of ? CONTEXT_ONE_OF : CONTEXT_LIST;
    k->n = json_array_size(one_of ? one_of : v);
    return take_list(one_of ? one_of : v, values) && (!one_of || json_object_size(v) == 1);
}

static size_t count_values(const json_t *context)
{
    const char *name;
    json_t *v;
    size_t n = 0;
    json_object_foreach((json_t *)context, name, v)
    {
        const json_t *one_of = json_object_get(v, "one_of");
        n += 1 + json_array_size(one_of ? one_of : v);
    }
    return n;
}

static enum rc take_context(const json_t *v, struct request_json *out, struct err *e)
{
    const char *name;
    char shown[128];
    json_t *value;
    size_t n = 0, used = 0;
    if (!v)
        return RC_OK;
    if (!json_is_object(v))
        return err_set(e, RC_INVALID, "the request's \"context\" must be an object");
    out->keys_ = mem_alloc((json_object_size(v) + 1) * sizeof *out->keys_);
    out->values_ = mem_alloc((count_values(v) + 1) * sizeof *out->values_);
    json_object_foreach((json_t *)v, name, value)
    {
        struct context_key *k = &out->keys_[n++];
        k->name = name;
        if (!take_key(value, k, out->values_ + used))
            return err_set(e, RC_INVALID,
                           "the request's context key \"%s\" must be a string, a list of strings, "
                           "null, or {\"one_of\": [string, …]}",
                           context_show(shown, sizeof shown, name));
        used += k->n;
    }
    out->request.context.keys = out->keys_;
    out->request.context.n = n;
    return RC_OK;
}

enum rc request_json_read(const json_t *v, struct request_json *out, struct err *e)
{
    static const char *const members[] = {"principal", "session",  "canonical_user", "action",
                                          "resource",  "complete", "context"};
    const char *name;
    char shown[128];
    json_t *value;
    struct evaluate_request *r = &out->request;
    *out = (struct request_json){0};
    if (!json_is_object(v))
        return err_set(e, RC_INVALID, "a request is a JSON object");
    json_object_foreach((json_t *)v, name, value)
    {
        size_t i = 0;
        while (i < 7 && strcmp(name, members[i]) != 0)
            i++;
        if (i == 7)
            return err_set(e, RC_INVALID, "the request has a member \"%s\", which is not known",
                           context_show(shown, sizeof shown, name));
        if (i < 5 && !json_is_string(value) && !(i == 0 && json_is_null(value)))
            return err_set(e, RC_INVALID, "the request's \"%s\" must be a string", name);
    }
    r->principal = json_string_value(json_object_get(v, "principal"));
    r->session = json_string_value(json_object_get(v, "session"));
    r->canonical = json_string_value(json_object_get(v, "canonical_user"));
    r->action = json_string_value(json_object_get(v, "action"));
    r->resource = json_string_value(json_object_get(v, "resource"));
    if (!r->action || !r->resource)
        return err_set(e, RC_INVALID, "a request needs an \"action\" and a \"resource\"");
    r->context.complete = json_is_true(json_object_get(v, "complete"));
    return take_context(json_object_get(v, "context"), out, e);
}

void request_json_fini(struct request_json *r)
{
    free(r->keys_);
    free(r->values_);
    *r = (struct request_json){0};
}

json_t *request_json_answer(const struct statements *policy, const struct evaluate_result *r)
{
    const char *sid = r->statement >= 0 ? policy->at[r->statement].sid : NULL;
    json_t *statement = r->statement >= 0 ? json_integer(r->statement + 1) : json_null();
    json_t *v = json_pack("{s:s, s:o, s:s?, s:s?, s:s?, s:s}", "decision",
                          evaluate_decision_name(r->decision), "statement", statement, "sid", sid,
                          "missing", evaluate_part_name(r->missing), "unknown",
                          r->key[0] ? r->key : NULL, "reason", r->reason);
    BUG_ON(!v);
    return v;
}
