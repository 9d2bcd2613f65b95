/* Merging as an edit of their text: the document is understood with jansson, and changed with a
 * scanner that only finds where values begin and end. It walks text that jansson has accepted. */
#include "policy/merge.h"

#include "base/mem.h"
#include "policy/arn.h"
#include "policy/context.h"
#include "policy/document.h"
#include "policy/statements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where things are ---- */

struct span {
    size_t at, end;
};

static size_t skip_blank(const char *s, size_t at)
{
    return at + strspn(s + at, " \t\r\n");
}

static size_t skip_string(const char *s, size_t at)
{
    for (at++; s[at] && s[at] != '"'; at++)
        at += s[at] == '\\' && s[at + 1];
    return at + (s[at] == '"');
}

static struct span value_at(const char *s, size_t at)
{
    struct span v = {at, at};
    size_t depth = 0;
    do {
        char c = s[v.end];
        if (c == '"') {
            v.end = skip_string(s, v.end);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        else if (depth == 0) {
            v.end += strcspn(s + v.end, ",]} \t\r\n");
            continue;
        }
        v.end += c != '\0';
    } while (depth > 0 && s[v.end]);
    return v;
}

/* The next value after `at` within a list or an object, past a comma. */
static size_t next_item(const char *s, size_t at)
{
    at = skip_blank(s, at);
    return skip_blank(s, at + (s[at] == ','));
}

/* The value of the i-th member of the object that begins at `at`. */
static struct span member_at(const char *s, size_t at, size_t i)
{
    for (at = skip_blank(s, at + 1);; i--) {
        at = skip_blank(s, skip_string(s, at));
        struct span v = value_at(s, skip_blank(s, at + (s[at] == ':')));
        if (i == 0)
            return v;
        at = next_item(s, v.end);
    }
}

struct places {
    struct span list; /* the value of "Statement" */
    bool is_list;
    struct span *items;
    size_t n;
};

static void find_places(const char *s, const struct statements *p, struct places *out)
{
    const char *name;
    json_t *value;
    size_t i = 0;
    json_object_foreach(p->root, name, value)
    {
        if (strcmp(name, "Statement") == 0)
            break;
        i++;
    }
    out->list = member_at(s, skip_blank(s, 0), i);
    out->is_list = s[out->list.at] == '[';
    out->n = p->n;
    out->items = mem_alloc((p->n + 1) * sizeof *out->items);
    if (!out->is_list) {
        out->items[0] = out->list;
        return;
    }
    size_t at = skip_blank(s, out->list.at + 1);
    for (i = 0; i < p->n; i++) {
        out->items[i] = value_at(s, at);
        at = next_item(s, out->items[i].end);
    }
}

/* ---- what means the same ---- */

typedef bool same_text(const char *a, const char *b); /* a function, as qsort wants one */

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* An account is its 12 digits or its root. */
static bool same_principal(const char *a, const char *b)
{
    struct arn_principal p, q;
    if (strcmp(a, b) == 0)
        return true;
    return arn_parse_principal(a, "aws", &p, NULL) == RC_OK &&
           arn_parse_principal(b, p.partition, &q, NULL) == RC_OK && strcmp(p.arn, q.arn) == 0;
}

static bool has_text(const json_t *list, const char *text, same_text *equal)
{
    for (size_t i = 0; i < statements_count(list); i++) {
        if (equal(statements_text(list, i), text))
            return true;
    }
    return false;
}

static bool is_subset(const json_t *less, const json_t *more, same_text *equal)
{
    for (size_t i = 0; i < statements_count(less); i++) {
        if (!has_text(more, statements_text(less, i), equal))
            return false;
    }
    return true;
}

static bool same_set(const json_t *a, const json_t *b, same_text *equal)
{
    return is_subset(a, b, equal) && is_subset(b, a, equal);
}

/* Ours have one operator with one key at most. */
static bool same_condition(const json_t *theirs, const json_t *ours)
{
    const char *operator_name, *key;
    json_t *keys, *values;
    if (!theirs || !ours)
        return json_object_size(theirs) == json_object_size(ours);
    if (json_object_size(theirs) != json_object_size(ours))
        return false;
    json_object_foreach((json_t *)ours, operator_name, keys)
    {
        const json_t *their_keys = json_object_get(theirs, operator_name);
        if (json_object_size(their_keys) != json_object_size(keys))
            return false;
        json_object_foreach(keys, key, values)
        {
            const char *name;
            json_t *others;
            bool found = false;
            json_object_foreach((json_t *)their_keys, name, others)
            {
                found = found || (context_same_name(name, key) && json_is_string(values) &&
                                  same_set(others, values, same));
            }
            if (!found)
                return false;
        }
    }
    return true;
}

static const json_t *aws_of(const struct statement *s)
{
    return json_object_get(s->principal, "AWS");
}

static bool is_plain_allow(const struct statement *s)
{
    return s->allow && !s->not_principal && !s->not_action && !s->not_resource &&
           json_object_size(s->principal) == 1 && aws_of(s);
}

/* Theirs grants just what ours does, to at least those of ours. */
static bool grants(const struct statement *theirs, const struct statement *ours, bool only_ours)
{
    return is_plain_allow(theirs) && same_set(theirs->action, ours->action, context_same_name) &&
           same_set(theirs->resource, ours->resource, same) &&
           same_condition(theirs->condition, ours->condition) &&
           is_subset(aws_of(ours), aws_of(theirs), same_principal) &&
           (!only_ours || is_subset(aws_of(theirs), aws_of(ours), same_principal));
}

/* Does `sid` stand for a statement of ours, under its own Sid or the one for when that is taken? */
static bool sid_of(const char *sid, const char *ours)
{
    size_t n = strlen(ours);
    return sid && strncmp(sid, ours, n) == 0 &&
           (sid[n] == '\0' || strncmp(sid + n, "Spoolgate", strlen("Spoolgate")) == 0);
}

/* Their statement was written by us, maybe for other roles or with other needs: there is nothing in
 * it that we never write. */
static bool is_earlier(const struct statement *theirs, const struct statement *ours,
                       const char *bucket_arn)
{
    static const char *const known[] = {"s3:AbortMultipartUpload",
                                        "s3:GetBucketLocation",
                                        "s3:GetObject",
                                        "s3:ListBucket",
                                        "s3:PutObject",
                                        "s3:PutObjectAcl",
                                        "s3:ListBucketMultipartUploads",
                                        "s3:PutObjectTagging"};
    size_t n = strlen(bucket_arn);
    if (!sid_of(theirs->sid, ours->sid) || !is_plain_allow(theirs) ||
        has_text(aws_of(theirs), "*", same) || !theirs->condition != !ours->condition)
        return false;
    if (ours->condition && (!same_condition(theirs->condition, ours->condition) ||
                            !same_set(theirs->action, ours->action, context_same_name)))
        return false;
    for (size_t i = 0; i < statements_count(theirs->action); i++) {
        size_t j = 0;
        while (j < 8 && !context_same_name(statements_text(theirs->action, i), known[j]))
            j++;
        if (j == 8)
            return false;
    }
    for (size_t i = 0; i < statements_count(theirs->resource); i++) {
        const char *r = statements_text(theirs->resource, i);
        if (strncmp(r, bucket_arn, n) != 0 || (r[n] != '\0' && r[n] != '/'))
            return false;
    }
    return true;
}

/* ---- the edit ---- */

struct edit {
    const char *text;
    const struct statements *theirs;
    struct places places;
    char *pieces[MERGE_STATEMENTS_MAX]; /* the new text of ours; NULL: kept */
};

static const char *statement_bucket(const struct statement *s, char *out, size_t size)
{
    const char *r = statements_text(s->resource, 0);
    (void)snprintf(out, size, "%.*s", (int)strcspn(r, "/"), r);
    return out;
}

static bool sid_taken(const struct edit *x, const char *sid)
{
    for (size_t i = 0; i < x->theirs->n; i++) {
        if (x->theirs->at[i].sid && strcmp(x->theirs->at[i].sid, sid) == 0)
            return true;
    }
    return false;
}

/* What a statement before the k-th has replaced is not replaced again. */
static bool used(const struct merge_result *r, size_t k, size_t at)
{
    for (size_t i = 0; i < k; i++) {
        if (r->of[i].did != MERGE_ADDED && r->of[i].at == at)
            return true;
    }
    return false;
}

/* It names others too, and does not do for them just what ours does: to replace it would take from
 * them what they may do, or allow them what nobody gave them. */
static bool serves_others(const struct statement *theirs, const struct statement *ours)
{
    return !is_subset(aws_of(theirs), aws_of(ours), same_principal) &&
           !(same_set(theirs->action, ours->action, context_same_name) &&
             same_set(theirs->resource, ours->resource, same));
}

static void decide(const struct edit *x, const struct statement *ours, bool only_ours, size_t k,
                   struct merge_result *r)
{
    char bucket[128];
    const struct statement *at = x->theirs->at;
    (void)statement_bucket(ours, bucket, sizeof bucket);
    for (size_t i = 0; i < x->theirs->n; i++) {
        if (!used(r, k, i) && grants(&at[i], ours, only_ours)) {
            r->of[k].did = MERGE_KEPT;
            r->of[k].at = i;
            (void)context_show(r->of[k].sid, sizeof r->of[k].sid, at[i].sid ? at[i].sid : "");
            return;
        }
    }
    for (size_t i = 0; i < x->theirs->n; i++) {
        if (!used(r, k, i) && is_earlier(&at[i], ours, bucket) &&
            (only_ours || !serves_others(&at[i], ours))) {
            r->of[k].did = MERGE_REPLACED;
            r->of[k].at = i;
            (void)context_show(r->of[k].sid, sizeof r->of[k].sid, at[i].sid);
            r->of[k].others =
                !only_ours && !is_subset(aws_of(&at[i]), aws_of(ours), same_principal);
            return;
        }
    }
    r->of[k].did = MERGE_ADDED;
    (void)snprintf(r->of[k].sid, sizeof r->of[k].sid, "%s", ours->sid);
    for (int number = 1; sid_taken(x, r->of[k].sid); number++) {
        if (number == 1)
            (void)snprintf(r->of[k].sid, sizeof r->of[k].sid, "%sSpoolgate", ours->sid);
        else
            (void)snprintf(r->of[k].sid, sizeof r->of[k].sid, "%sSpoolgate%d", ours->sid, number);
    }
}

/* Before their first statement on its line stand blanks only: how far it is indented, else -1. */
static int indent_of(const struct edit *x)
{
    size_t first = x->places.items[0].at, at = first;
    if (x->places.n == 0 || !x->places.is_list)
        return -1;
    while (at > 0 && x->text[at - 1] == ' ')
        at--;
    return at > 0 && x->text[at - 1] == '\n' ? (int)(first - at) : -1;
}

static int write_to(const char *data, size_t n, void *arg)
{
    buf_add(arg, data, n);
    return 0;
}

/* Our statement as text, as far indented as theirs are; on one line if theirs are not. */
static char *piece(const json_t *statement, int indent)
{
    struct buf flat, out;
    buf_init(&flat, DOCUMENT_MAX * 2);
    buf_init(&out, DOCUMENT_MAX * 4);
    BUG_ON(json_dump_callback(statement, write_to, &flat,
                              indent < 0 ? JSON_COMPACT : JSON_INDENT(4)) != 0);
    for (const char *s = flat.data; *s; s++) {
        buf_addc(&out, *s);
        for (int i = 0; *s == '\n' && i < indent; i++)
            buf_addc(&out, ' ');
    }
    buf_fini(&flat);
    char *text = buf_take(&out);
    buf_fini(&out);
    return text;
}

static char *make_piece(const struct edit *x, const json_t *ours, const struct merge_result *r,
                        size_t k)
{
    json_t *s = json_deep_copy(ours);
    BUG_ON(!s);
    if (r->of[k].did == MERGE_ADDED) {
        BUG_ON(json_object_set_new(s, "Sid", json_string(r->of[k].sid)) != 0);
    } else {
        const struct statement *was = &x->theirs->at[r->of[k].at];
        json_t *list = json_array();
        const json_t *mine = json_object_get(json_object_get(s, "Principal"), "AWS");
        for (size_t i = 0; r->of[k].others && i < statements_count(aws_of(was)); i++)
            BUG_ON(json_array_append_new(list, json_string(statements_text(aws_of(was), i))) != 0);
        for (size_t i = 0; i < statements_count(mine); i++) {
            const char *text = statements_text(mine, i);
            if (json_array_size(list) == 0 || !has_text(list, text, same_principal))
                BUG_ON(json_array_append_new(list, json_string(text)) != 0);
        }
        BUG_ON(json_object_set_new(json_object_get(s, "Principal"), "AWS", list) != 0);
        BUG_ON(json_object_set_new(s, "Sid", json_string(was->sid)) != 0);
    }
    char *text = piece(s, indent_of(x));
    json_decref(s);
    return text;
}

static void write_added(const struct edit *x, const struct merge_result *r, struct buf *out)
{
    int indent = indent_of(x);
    bool first = x->places.n == 0;
    for (size_t k = 0; k < r->n; k++) {
        if (r->of[k].did != MERGE_ADDED)
            continue;
        if (!first)
            buf_addc(out, ',');
        if (indent >= 0)
            buf_addf(out, "\n%*s", indent, "");
        buf_adds(out, x->pieces[k]);
        first = false;
    }
}

static void write_all(const struct edit *x, const struct merge_result *r, struct buf *out)
{
    const struct places *p = &x->places;
    bool adds = false;
    size_t at = 0;
    for (size_t k = 0; k < r->n; k++)
        adds = adds || r->of[k].did == MERGE_ADDED;
    for (size_t i = 0; i < p->n; i++) {
        buf_add(out, x->text + at, p->items[i].at - at);
        at = p->items[i].at;
        if (!p->is_list && adds)
            buf_addc(out, '[');
        for (size_t k = 0; k < r->n; k++) {
            if (r->of[k].did == MERGE_REPLACED && r->of[k].at == i) {
                buf_adds(out, x->pieces[k]);
                at = p->items[i].end;
            }
        }
        buf_add(out, x->text + at, p->items[i].end - at);
        at = p->items[i].end;
    }
    if (p->n == 0) { /* an empty list */
        buf_add(out, x->text, p->list.at + 1);
        at = p->list.at + 1;
    }
    write_added(x, r, out);
    if (!p->is_list && adds)
        buf_addc(out, ']');
    buf_adds(out, x->text + at);
}

/* Where variables mean nothing, a text that has one means another thing than in our Version. */
static enum rc check_version(const struct statements *theirs, const char *text, const char *ours,
                             struct err *e)
{
    if (theirs->variables || (!strstr(text, "${") && !strstr(ours, "${")))
        return RC_OK;
    return err_set(e, RC_INVALID,
                   "the policy is of Version 2008-10-17 (or names none), where ${…} stands for "
                   "itself: have its owner change the Version to \"2012-10-17\" first");
}

enum rc merge_policy(const char *text, size_t n, const char *ours_text, bool only_ours,
                     struct buf *out, struct merge_result *result, struct err *e)
{
    struct statements theirs, ours = {0};
    struct edit x = {.theirs = &theirs};
    char *copy = mem_strndup(text, n);
    struct buf merged;
    size_t next;
    buf_init(&merged, DOCUMENT_MAX);
    *result = (struct merge_result){0};
    enum rc rc = statements_parse(text, n, &theirs, e);
    if (rc == RC_OK)
        rc = statements_parse(ours_text, strlen(ours_text), &ours, e);
    if (rc == RC_OK)
        rc = check_version(&theirs, copy, ours_text, e);
    if (rc != RC_OK)
        goto out;
    BUG_ON(ours.n > MERGE_STATEMENTS_MAX);
    x.text = copy;
    find_places(copy, &theirs, &x.places);
    next = theirs.n;
    result->n = ours.n;
    for (size_t k = 0; k < ours.n; k++) {
        const json_t *whole = json_array_get(json_object_get(ours.root, "Statement"), k);
        decide(&x, &ours.at[k], only_ours, k, result);
        if (result->of[k].did == MERGE_ADDED)
            result->of[k].at = next++;
        if (result->of[k].did != MERGE_KEPT)
            x.pieces[k] = make_piece(&x, whole, result, k);
    }
    write_all(&x, result, &merged);
    if (merged.overflow)
        rc = err_set(e, RC_LIMIT,
                     "with our statements the policy would be over 20 KiB, S3's limit: have its "
                     "owner join or remove statements");
    else
        buf_add(out, merged.data, merged.len);
out:
    for (size_t k = 0; k < MERGE_STATEMENTS_MAX; k++)
        free(x.pieces[k]);
    free(x.places.items);
    free(copy);
    buf_fini(&merged);
    statements_fini(&theirs);
    statements_fini(&ours);
    return rc;
}
