/* The bucket access policy, as customers already know it: its members, their order and its
 * indentation are an interface. */
#include "policy/document.h"

#include "base/json.h"
#include "policy/arn.h"

#include <string.h>

enum { POLICY_MAX = 20 * 1024 }; /* S3 User Guide, "Bucket policies for Amazon S3": 20 KB */

struct roles {
    const char *const *arns;
    size_t n;
};

static enum rc check_roles(struct roles roles, const char *partition, struct err *e)
{
    struct arn_role role;
    if (roles.n == 0)
        return err_set(e, RC_INVALID, "a policy needs at least one role to allow");
    for (size_t i = 0; i < roles.n; i++) {
        enum rc rc = arn_parse_role(roles.arns[i], &role, e);
        if (rc != RC_OK)
            return rc;
        if (strcmp(role.partition, partition) != 0)
            return err_set(e, RC_INVALID,
                           "the bucket is in the partition \"%s\", the role \"%s\" in \"%s\": no "
                           "policy reaches from one to another",
                           partition, role.name, role.partition);
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

/* What both statements begin with. */
static json_t *statement(const char *sid, struct roles roles)
{
    json_t *s = json_object(), *principal = json_object();
    put(principal, "AWS", list(roles.arns, roles.n));
    put(s, "Sid", json_string(sid));
    put(s, "Effect", json_string("Allow"));
    put(s, "Principal", principal);
    return s;
}

static json_t *access_statement(const char *bucket_arn, struct roles roles)
{
    static const char *const actions[] = {
        "s3:AbortMultipartUpload",       "s3:GetBucketLocation", "s3:GetObject",    "s3:ListBucket",
        "s3:ListBucketMultipartUploads", "s3:PutObject",         "s3:PutObjectAcl",
    };
    json_t *s = statement("StmtID", roles), *resources = json_array();
    append(resources, json_string(bucket_arn));
    append(resources, json_sprintf("%s/*", bucket_arn));
    put(s, "Action", list(actions, sizeof actions / sizeof actions[0]));
    put(s, "Resource", resources);
    return s;
}

static json_t *put_statement(const char *bucket_arn, struct roles roles)
{
    json_t *s = statement("Stmt1", roles), *condition = json_object(), *equals = json_object();
    put(equals, "s3:x-amz-acl", json_string("bucket-owner-full-control"));
    put(condition, "StringEquals", equals);
    put(s, "Action", json_string("s3:PutObject"));
    put(s, "Resource", json_sprintf("%s/*", bucket_arn));
    put(s, "Condition", condition);
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
    append(statements, access_statement(cfg->bucket_arn, all));
    append(statements, put_statement(cfg->bucket_arn, putters));
    put(document, "Version", json_string("2012-10-17"));
    put(document, "Id", json_string("PolicyID"));
    put(document, "Statement", statements);
    struct buf text;
    buf_init(&text, POLICY_MAX);
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
