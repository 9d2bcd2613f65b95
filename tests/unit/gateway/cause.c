/* The words of stores to causes. What comes from the network is hostile: also that. */
#include "gateway/cause.h"

#include <criterion/criterion.h>
#include <string.h>

#define US  "User: arn:aws:sts::111122223333:assumed-role/customer-role/session "
#define PUT "is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::b/k\" because "

static struct config config_of(const char *acl)
{
    static char name[] = "customer-siem", arn[] = "arn:aws:s3:::customer-siem", region[] = "eu-1";
    struct config c = {0};
    c.bucket.name = name;
    c.bucket.arn = arn;
    c.bucket.region = region;
    c.bucket.acl = (char *)(uintptr_t)acl;
    return c;
}

static struct trial refused(int status, const char *code, const char *message)
{
    struct trial t = {.stage = TRIAL_SENT, .region = "eu-1"};
    t.outcome.result = TRANSFER_ANSWERED;
    t.outcome.remedy = "";
    t.outcome.err.http_status = status;
    snprintf(t.outcome.err.code, sizeof t.outcome.err.code, "%s", code);
    snprintf(t.outcome.message, sizeof t.outcome.message, "%s", message);
    return t;
}

Test(cause, the_words_of_a_refusal_name_the_policy_that_refuses)
{
    static const struct {
        const char *message, *id;
    } rows[] = {
        {US PUT "no resource-based policy allows the s3:PutObject action", "policy-missing"},
        {US PUT "no identity-based policy allows the s3:PutObject action", "identity-policy"},
        {US PUT "with an explicit deny in a resource-based policy", "explicit-deny"},
        {US PUT "with an explicit deny in a service control policy", "explicit-deny-organization"},
        {US PUT "no service control policy allows the s3:PutObject action", "organization-policy"},
        {US PUT "with an explicit deny in a permissions boundary", "permissions-boundary"},
        {US PUT "with an explicit deny in a session policy", "session-policy"},
        {US PUT "with an explicit deny in a sessions policy", "session-policy"},
        {"kms:GenerateDataKey", "kms-not-allowed"},
        {US
         "is not authorized to perform: kms:GenerateDataKey on resource: \"arn:aws:kms:x\" because "
         "no resource-based policy allows the kms:GenerateDataKey action",
         "kms-not-allowed"},
        /* Names may be such words: it is the action that tells. */
        {"User: arn:aws:sts::111122223333:assumed-role/KMS-writer/s " PUT
         "no identity-based policy allows the s3:PutObject action",
         "identity-policy"},
        {US "is not authorized to perform: s3:PutObject on resource: "
            "\"arn:aws:s3:::b/prod-KMS/kms:k\" "
            "with an explicit deny in a resource-based policy",
         "explicit-deny"},
        {"Access Denied", "policy-missing"},
        {"", "policy-missing"},
    };
    struct config c = config_of("bucket-owner-full-control");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trial t = refused(403, "AccessDenied", rows[i].message);
        struct cause out[CAUSES_MAX];
        t.location.rc = t.object.rc = t.uploads.rc = RC_DENIED;
        cr_expect_eq(cause_of(&c, &t, out), 1);
        cr_expect_str_eq(out[0].id, rows[i].id, "%s: %s", rows[i].message, out[0].id);
        cr_expect(!out[0].ok);
        cr_expect_gt(strlen(out[0].remedy), 20);
    }
}

Test(cause, the_missing_statement_names_the_role_that_the_store_calls_us)
{
    static const struct {
        const char *message, *role;
    } rows[] = {
        {US PUT "no resource-based policy allows it",
         "\"arn:aws:iam::111122223333:role/customer-role\""},
        {"User: arn:aws:iam::111122223333:user/writer " PUT "no resource-based policy allows it",
         "\"arn:aws:iam::111122223333:user/writer\""},
        {"no resource-based policy allows it", "\"<the ARN of the role that we use>\""},
        /* Nothing that a store says gets out of its string. */
        {"User: arn:aws:sts::1:assumed-role/\"}],\"x\":[{\" no resource-based policy allows it",
         "\\\"}],\\\"x\\\":[{\\\""},
        {"User: arn: :assumed-role/ no resource-based policy allows it", "arn:"},
        /* A name that was cut is none. */
        {"User: arn:aws:iam::111122223333:user/a/long/pa\xe2\x80\xa6 \" because no resource-based "
         "policy allows it",
         "\"<the ARN of the role that we use>\""},
    };
    struct config c = config_of("bucket-owner-full-control");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trial t = refused(403, "AccessDenied", rows[i].message);
        struct cause out[CAUSES_MAX];
        struct err e;
        (void)cause_of(&c, &t, out);
        cr_expect(strstr(out[0].statement, rows[i].role), "%s", out[0].statement);
        json_t *v = json_parse(out[0].statement, strlen(out[0].statement), &e);
        cr_expect(json_is_object(v), "%s", out[0].statement);
        cr_expect_eq(json_object_size(v), 5);
        json_decref(v);
    }
}

/* An assumed role is called by its name alone: arn:aws:iam::1:role/team/writer and …:role/writer
 * are the same there, and not in a policy. */
Test(cause, a_role_known_by_its_session_may_have_a_path)
{
    static char arn[] = "arn:aws:iam::111122223333:role/team/customer-role";
    struct credentials_role role = {.arn = arn};
    struct config c = config_of("bucket-owner-full-control");
    struct trial t =
        refused(403, "AccessDenied", US PUT "no resource-based policy allows the action");
    struct cause out[CAUSES_MAX];
    (void)cause_of(&c, &t, out);
    cr_expect(strstr(out[0].remedy, "path, if it has one"), "%s", out[0].remedy);
    cr_expect(strstr(out[0].remedy, "policy merge"), "%s", out[0].remedy);
    c.credentials.roles = &role;
    c.credentials.n_roles = 1;
    (void)cause_of(&c, &t, out);
    cr_expect(!strstr(out[0].remedy, "path"), "%s", out[0].remedy);
    cr_expect(strstr(out[0].statement, arn), "%s", out[0].statement);
}

Test(cause, what_else_is_allowed_tells_which_part_of_the_policy_is_missing)
{
    struct config with = config_of("bucket-owner-full-control"), without = config_of(NULL);
    static const struct {
        bool acl;
        enum rc location, object;
        const char *id;
    } rows[] = {
        {true, RC_DENIED, RC_DENIED, "policy-missing"},
        {true, RC_OK, RC_DENIED, "object-resource-missing"},
        {true, RC_OK, RC_ABSENT, "put-missing"},
        {true, RC_DENIED, RC_ABSENT, "put-missing"},
        {false, RC_OK, RC_ABSENT, "acl-missing"},
        {false, RC_DENIED, RC_DENIED, "policy-missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trial t = refused(403, "AccessDenied", "Access Denied");
        struct cause out[CAUSES_MAX];
        t.location.rc = t.uploads.rc = rows[i].location;
        t.object.rc = rows[i].object;
        (void)cause_of(rows[i].acl ? &with : &without, &t, out);
        cr_expect_str_eq(out[0].id, rows[i].id);
    }
}

Test(cause, what_arrived_may_have_remarks)
{
    struct config c = config_of("bucket-owner-full-control");
    struct trial t = {.stage = TRIAL_SENT, .arrived = true, .region = "eu-1"};
    struct cause out[CAUSES_MAX];
    cr_expect_eq(cause_of(&c, &t, out), 1);
    cr_expect(out[0].ok);
    snprintf(t.region, sizeof t.region, "us-2");
    t.clock_offset_s = -1200;
    t.readback.asked = t.acl.asked = true; /* with other bytes and without the grant */
    cr_assert_eq(cause_of(&c, &t, out), 5);
    static const char *const ids[] = {"arrived", "wrong-region", "clock", "read-back-differs",
                                      "owner-without-full-control"};
    for (size_t i = 0; i < 5; i++) {
        cr_expect_str_eq(out[i].id, ids[i]);
        cr_expect(out[i].ok);
    }
    /* A token of the environment has an end that nobody knows, and no successor. */
    t = (struct trial){.stage = TRIAL_SENT, .arrived = true, .temporary = true, .region = "eu-1"};
    snprintf(t.origin, sizeof t.origin, "environment");
    cr_assert_eq(cause_of(&c, &t, out), 2);
    cr_expect_str_eq(out[1].id, "keys-expire");
}
