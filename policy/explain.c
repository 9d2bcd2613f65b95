/* Sentences about statements. Whatever is quoted is escaped and cut: a policy is somebody else's.
 */
#include "policy/explain.h"

#include <stdio.h>
#include <string.h>

enum { LISTED_MAX = 12 };

struct shown {
    char text[200];
};

static const char *show(struct shown *out, const char *s)
{
    return context_show(out->text, sizeof out->text, s);
}

/* "a, b and c"; what is one too many is counted. */
static void join(struct buf *out, const json_t *list, void (*say)(struct buf *, const char *),
                 const char *last)
{
    size_t n = statements_count(list), shown = n > LISTED_MAX ? LISTED_MAX : n;
    for (size_t i = 0; i < shown; i++) {
        if (i > 0)
            buf_adds(out, i + 1 == n ? last : ", ");
        say(out, statements_text(list, i));
    }
    if (shown < n)
        buf_addf(out, " and %zu more", n - shown);
}

static void say_plain(struct buf *out, const char *text)
{
    struct shown shown;
    buf_adds(out, show(&shown, text));
}

/* "the role x of account 111122223333" */
static void say_aws(struct buf *out, const char *text)
{
    struct shown whole, name;
    const char *account = text, *resource;
    static const struct {
        const char *begin, *word;
    } kinds[] = {{"role/", "the role"}, {"user/", "the user"}, {"assumed-role/", "the session"}};
    if (strcmp(text, "*") == 0) {
        buf_adds(out, "everybody");
        return;
    }
    if (strlen(text) == 12 && strspn(text, "0123456789") == 12) {
        buf_addf(out, "the account %s", text);
        return;
    }
    for (int colons = 0; *account && colons < 4; account++)
        colons += *account == ':';
    resource = account + strcspn(account, ":");
    (void)snprintf(whole.text, sizeof whole.text, "%.*s",
                   (int)(resource - account < 64 ? resource - account : 64), account);
    (void)show(&name, whole.text);
    if (*resource == ':' && strcmp(resource + 1, "root") == 0) {
        buf_addf(out, "the account %s", name.text);
        return;
    }
    for (size_t i = 0; *resource == ':' && i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = strlen(kinds[i].begin);
        if (strncmp(resource + 1, kinds[i].begin, n) == 0) {
            buf_addf(out, "%s %s of account %s", kinds[i].word, show(&whole, resource + 1 + n),
                     name.text);
            return;
        }
    }
    buf_adds(out, show(&whole, text));
}

static void say_who(struct buf *out, const struct statement *s)
{
    const char *kind;
    json_t *list;
    bool first = true;
    if (s->not_principal)
        buf_adds(out, "everybody but ");
    if (json_is_string(s->principal)) {
        buf_adds(out, s->not_principal ? "everybody" : "everybody, signed in or not,");
        return;
    }
    json_object_foreach((json_t *)s->principal, kind, list)
    {
        if (!first)
            buf_adds(out, ", ");
        first = false;
        if (strcmp(kind, "Service") == 0)
            buf_adds(out, "the AWS service ");
        else if (strcmp(kind, "CanonicalUser") == 0)
            buf_adds(out, "the account with the canonical id ");
        else if (strcmp(kind, "Federated") == 0)
            buf_adds(out, "who signs in by ");
        join(out, list, strcmp(kind, "AWS") == 0 ? say_aws : say_plain, " and ");
    }
}

/* "s3:PutObject" as what it does. */
static void say_action(struct buf *out, const char *text)
{
    static const struct {
        const char *action, *words;
    } known[] = {
        {"*", "do everything"},
        {"s3:*", "do everything in S3"},
        {"s3:PutObject", "store objects"},
        {"s3:PutObjectAcl", "set the ACL of objects"},
        {"s3:PutObjectTagging", "set the tags of objects"},
        {"s3:GetObject", "read objects"},
        {"s3:GetObjectAcl", "read the ACL of objects"},
        {"s3:DeleteObject", "delete objects"},
        {"s3:AbortMultipartUpload", "give up uploads in parts"},
        {"s3:ListBucket", "list the bucket"},
        {"s3:ListBucketMultipartUploads", "list uploads in parts"},
        {"s3:ListMultipartUploadParts", "list the parts of an upload"},
        {"s3:GetBucketLocation", "ask for the bucket's region"},
    };
    struct shown shown;
    (void)show(&shown, text);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (context_same_name(text, known[i].action)) {
            buf_addf(out, "%s (%s)", known[i].words, shown.text);
            return;
        }
    }
    buf_addf(out, "use %s", shown.text);
}

/* "the bucket b", "all objects of the bucket b" */
static void say_resource(struct buf *out, const char *text)
{
    struct shown shown;
    const char *name = text, *slash;
    int colons = 0;
    for (; *name && colons < 5; name++)
        colons += *name == ':';
    slash = strchr(name, '/');
    if (strcmp(text, "*") == 0) {
        buf_adds(out, "everything");
    } else if (colons < 5 || strncmp(text, "arn:", 4) != 0) {
        buf_adds(out, show(&shown, text));
    } else if (!slash) {
        buf_addf(out, "the bucket %s", show(&shown, name));
    } else {
        (void)snprintf(shown.text, sizeof shown.text, "%.*s",
                       (int)(slash - name < 63 ? slash - name : 63), name);
        struct shown bucket, key;
        (void)show(&bucket, shown.text);
        if (strcmp(slash, "/*") == 0)
            buf_addf(out, "all objects of the bucket %s", bucket.text);
        else
            buf_addf(out, "the objects \"%s\" of the bucket %s", show(&key, slash + 1),
                     bucket.text);
    }
}

/* "StringEquals" as a verb; NULL: the operator's own name will do. */
static const char *verb_of(const char *operator_name)
{
    static const struct {
        const char *name, *verb;
    } verbs[] = {
        {"StringEquals", "is"},
        {"StringEqualsIgnoreCase", "is (in any case of letters)"},
        {"StringEqualsIfExists", "is, if it is there,"},
        {"StringNotEquals", "is not"},
        {"StringNotEqualsIfExists", "is not"},
        {"StringLike", "is like"},
        {"StringNotLike", "is not like"},
        {"ArnEquals", "is"},
        {"ArnLike", "is like"},
        {"ArnNotEquals", "is not"},
        {"ArnNotLike", "is not like"},
        {"NumericEquals", "is"},
        {"NumericLessThan", "is less than"},
        {"NumericLessThanEquals", "is at most"},
        {"NumericGreaterThan", "is more than"},
        {"NumericGreaterThanEquals", "is at least"},
        {"DateLessThan", "is before"},
        {"DateGreaterThan", "is after"},
        {"Bool", "is"},
        {"IpAddress", "is within"},
        {"NotIpAddress", "is not within"},
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(operator_name, verbs[i].name) == 0)
            return verbs[i].verb;
    }
    return NULL;
}

static void say_values(struct buf *out, const json_t *values)
{
    size_t n = statements_count(values), most = n > LISTED_MAX ? LISTED_MAX : n;
    for (size_t i = 0; i < most; i++) {
        const json_t *v = statements_value(values, i);
        struct shown shown;
        if (i > 0)
            buf_adds(out, i + 1 == n ? " or " : ", ");
        if (json_is_string(v))
            buf_addf(out, "\"%s\"", show(&shown, json_string_value(v)));
        else
            json_write(out, v);
    }
    if (most < n)
        buf_addf(out, " or one of %zu more", n - most);
}

static void say_condition(struct buf *out, const json_t *condition)
{
    const char *name, *key;
    json_t *keys, *values;
    bool first = true;
    json_object_foreach((json_t *)condition, name, keys)
    {
        json_object_foreach(keys, key, values)
        {
            struct shown shown_key, shown_name;
            const char *verb = verb_of(name);
            buf_adds(out, first ? ", if " : ", and if ");
            first = false;
            buf_adds(out, show(&shown_key, key));
            if (strcmp(name, "Null") == 0 && json_is_string(values)) {
                buf_adds(out, context_same_name(json_string_value(values), "true") ? " is absent"
                                                                                   : " is there");
                continue;
            }
            buf_addf(out, " %s ", verb ? verb : show(&shown_name, name));
            say_values(out, values);
        }
    }
}

void explain_statement(const struct statements *policy, size_t i, struct buf *out)
{
    const struct statement *s = &policy->at[i];
    struct shown shown;
    buf_addf(out, "%zu", i + 1);
    if (s->sid && *s->sid)
        buf_addf(out, " (Sid %s)", show(&shown, s->sid));
    buf_adds(out, s->allow ? ". Allows " : ". Forbids ");
    say_who(out, s);
    buf_adds(out, s->not_action ? " everything but to " : " to ");
    join(out, s->action, say_action, " and ");
    buf_adds(out, s->not_resource ? ", on everything but " : ", on ");
    join(out, s->resource, say_resource, " and ");
    say_condition(out, s->condition);
    buf_adds(out, ".\n");
}

void explain_report(const struct ours_report *report, const char *principal, struct buf *out)
{
    struct shown who;
    static const char *const verdicts[] = {
        [TRI_NO] = "files cannot be delivered",
        [TRI_MAYBE] = "it cannot be told whether files can be delivered",
        [TRI_YES] = "files can be delivered, as far as this policy goes"};
    buf_addf(out, "%s: %s.\n", show(&who, principal), verdicts[report->passes]);
    for (size_t i = 0; i < report->n; i++) {
        const struct ours_row *row = &report->rows[i];
        if (row->result.decision == EVALUATE_ALLOWED)
            continue;
        buf_addf(out, "%s (%s): %s. Without it %s.\n", row->request, row->action,
                 row->result.reason, row->without);
    }
}
