/* The bucket access policy, as customers already know it: its members, their order and its
 * indentation are an interface. */
#include "policy/document.h"

#include "base/json.h"
#include "policy/arn.h"

#include <string.h>

struct roles {
    const char *const *arns;
    size_t n;
};

static enum rc check_roles(struct roles roles, const char *partition, struct err *e)
{
    struct arn_principal p;
    if (roles.n == 0)
        return err_set(e, RC_INVALID, "a policy needs at least one role to allow");
    for (size_t i = 0; i < roles.n; i++) {
        enum rc rc = arn_parse_principal(roles.arns[i], partition, &p, e);
        if (rc != RC_OK)
            return rc;
        if (strcmp(p.partition, partition) != 0)
            return err_set(e, RC_INVALID,
                           "the bucket is in the partition \"%s\", \"%.200s\" in \"%s\": no policy "
                           "reaches from one to another",
                           partition, p.arn, p.partition);
    }
    return RC_OK;
}

static void put(json_t *object, const char *name, json_t *value)
{
    BUG_ON(!value || json_object_set_new(object, name, value) != 0);
}

static void append(json_t *array, json_t *value)
{
    BUG_ON(!value || json_array_append_new(array, value) != 0);
}

static json_t *list(const char *const *items, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        append(array, json_string(items[i]));
    return array;
}

/* Those of a principal that check_roles has passed. */
static json_t *principals(struct roles roles, const char *partition)
{
    json_t *array = json_array();
    for (size_t i = 0; i < roles.n; i++) {
        struct arn_principal p;
        BUG_ON(arn_parse_principal(roles.arns[i], partition, &p, NULL) != RC_OK);
        append(array, json_string(p.arn));
    }
    return array;
}

/* What every statement begins with. */
static json_t *statement(const char *sid, struct roles roles, const char *partition)
{
    json_t *s = json_object(), *principal = json_object();
    put(principal, "AWS", principals(roles, partition));
    put(s, "Sid", json_string(sid));
    put(s, "Effect", json_string("Allow"));
    put(s, "Principal", principal);
    return s;
}

static json_t *access_statement(const char *bucket_arn, json_t *s)
{
    static const char *const actions[] = {
        "s3:AbortMultipartUpload",       "s3:GetBucketLocation", "s3:GetObject",    "s3:ListBucket",
        "s3:ListBucketMultipartUploads", "s3:PutObject",         "s3:PutObjectAcl",
    };
    json_t *resources = json_array();
    append(resources, json_string(bucket_arn));
    append(resources, json_sprintf("%s/*", bucket_arn));
    put(s, "Action", list(actions, sizeof actions / sizeof actions[0]));
    put(s, "Resource", resources);
    return s;
}

static json_t *put_statement(const char *bucket_arn, json_t *s)
{
    json_t *condition = json_object(), *equals = json_object();
    put(equals, "s3:x-amz-acl", json_string("bucket-owner-full-control"));
    put(condition, "StringEquals", equals);
    put(s, "Action", json_string("s3:PutObject"));
    put(s, "Resource", json_sprintf("%s/*", bucket_arn));
    put(s, "Condition", condition);
    return s;
}

/* Objects that begin with the prefix. No condition on the ACL: the parts of a multipart upload are
 * put with the same action, and have none. */
static json_t *objects_statement(const char *bucket_arn, const struct document_needs *needs,
                                 json_t *s)
{
    json_t *actions = json_array();
    struct buf resource;
    append(actions, json_string("s3:AbortMultipartUpload"));
    append(actions, json_string("s3:GetObject"));
    append(actions, json_string("s3:PutObject"));
    if (needs->acl)
        append(actions, json_string("s3:PutObjectAcl"));
    if (needs->tags)
        append(actions, json_string("s3:PutObjectTagging"));
    buf_init(&resource, 8192);
    buf_addf(&resource, "%s/", bucket_arn);
    for (const char *c = needs->prefix; *c; c++) { /* IAM User Guide, "Policy variables" */
        if (*c == '*' || *c == '?' || *c == '$')
            buf_addf(&resource, "${%c}", *c);
        else
            buf_addc(&resource, *c);
    }
    buf_addc(&resource, '*');
    put(s, "Action", actions);
    put(s, "Resource", json_text(resource.data, resource.len));
    buf_fini(&resource);
    return s;
}

/* Without ListBucket S3 answers 403 for an object that is not there, which tells nothing. */
static json_t *bucket_statement(const char *bucket_arn, json_t *s)
{
    put(s, "Action", json_string("s3:ListBucket"));
    put(s, "Resource", json_string(bucket_arn));
    return s;
}

static int write_to(const char *data, size_t n, void *arg)
{
    buf_add(arg, data, n);
    return 0;
}

enum rc document_generate(const struct document_cfg *cfg, struct buf *out, struct err *e)
{
    struct roles all = {cfg->role_arns, cfg->n_role_arns};
    struct roles putters = {cfg->put_role_arns, cfg->n_put_role_arns};
    struct arn_bucket bucket;
    BUG_ON(cfg->needs && cfg->put_role_arns);
    if (!putters.arns)
        putters = all;
    enum rc rc = arn_parse_bucket(cfg->bucket_arn, &bucket, e);
    if (rc == RC_OK)
        rc = check_roles(all, bucket.partition, e);
    if (rc == RC_OK)
        rc = check_roles(putters, bucket.partition, e);
    if (rc != RC_OK)
        return rc;
    json_t *document = json_object(), *statements = json_array();
    if (cfg->needs) {
        append(statements, objects_statement(cfg->bucket_arn, cfg->needs,
                                             statement("SpoolgateObjects", all, bucket.partition)));
        append(statements, bucket_statement(cfg->bucket_arn,
                                            statement("SpoolgateBucket", all, bucket.partition)));
    } else {
        append(statements,
               access_statement(cfg->bucket_arn, statement("StmtID", all, bucket.partition)));
        append(statements,
               put_statement(cfg->bucket_arn, statement("Stmt1", putters, bucket.partition)));
    }
    put(document, "Version", json_string("2012-10-17"));
    put(document, "Id", json_string("PolicyID"));
    put(document, "Statement", statements);
    struct buf text;
    buf_init(&text, DOCUMENT_MAX);
    BUG_ON(json_dump_callback(document, write_to, &text, JSON_INDENT(4)) != 0);
    buf_addc(&text, '\n');
    if (text.overflow)
        rc = err_set(e, RC_LIMIT, "the policy would be over 20 KiB, S3's limit: name fewer roles");
    else
        buf_add(out, text.data, text.len);
    if (out->overflow)
        rc = err_set(e, RC_LIMIT, "the policy does not fit into %zu bytes", out->max);
    buf_fini(&text);
    json_decref(document);
    return rc;
}

enum rc document_console(const char *bucket_arn, struct buf *out, struct err *e)
{
    static const struct {
        const char *partition, *host;
    } consoles[] = {{"aws", "console.aws.amazon.com"},
                    {"aws-us-gov", "console.amazonaws-us-gov.com"},
                    {"aws-cn", "console.amazonaws.cn"}};
    struct arn_bucket bucket;
    enum rc rc = arn_parse_bucket(bucket_arn, &bucket, e);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < sizeof consoles / sizeof consoles[0]; i++) {
        if (strcmp(bucket.partition, consoles[i].partition) == 0) {
            buf_addf(out, "https://%s/s3/buckets/%s?tab=permissions", consoles[i].host,
                     bucket.name);
            return RC_OK;
        }
    }
    return err_set(e, RC_ABSENT, "no console is known of the partition \"%s\"", bucket.partition);
}
