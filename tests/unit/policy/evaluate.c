/* The evaluator, by tables: what AWS documents of statements, principals, patterns and conditions,
 * and that what is not known is told as such. */
#include "policy/evaluate.h"

#include "policy/request_json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define A        "111122223333"
#define ROLE     "arn:aws:iam::" A ":role/team/siem"
#define USER     "arn:aws:iam::" A ":user/anna"

/* One statement in short: Effect and the members that a case is about; the others match. */
static void ask(const char *statements, const char *request, struct evaluate_result *out)
{
    struct buf document;
    struct statements policy;
    struct request_json r;
    struct err e = {0};
    buf_init(&document, 65536);
    buf_addf(&document, "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements);
    cr_assert_eq(statements_parse(document.data, document.len, &policy, &e), RC_OK, "%s: %s",
                 document.data, e.text);
    json_t *v = json_parse(request, strlen(request), &e);
    cr_assert_not_null(v, "%s: %s", request, e.text);
    cr_assert_eq(request_json_read(v, &r, &e), RC_OK, "%s", e.text);
    evaluate(&policy, &r.request, out);
    request_json_fini(&r);
    statements_fini(&policy);
    json_decref(v);
    buf_fini(&document);
}

#define PUT_BY(principal)                                                                          \
    "{\"principal\":\"" principal "\",\"action\":\"s3:PutObject\",\"resource\":"                   \
    "\"arn:aws:s3:::b/k/x\"}"

static enum evaluate_decision of_word(char c)
{
    return c == 'y'   ? EVALUATE_ALLOWED
           : c == 'n' ? EVALUATE_NOT_ALLOWED
           : c == 'd' ? EVALUATE_DENIED
                      : EVALUATE_UNKNOWN;
}

/* A table of members of one statement that is otherwise for everybody and everything. */
struct member_case {
    const char *member;
    char allow; /* as an Allow: y, n or ? */
};

static void expect_members(const struct member_case *cases, size_t n, const char *before,
                           const char *behind, const char *request)
{
    for (size_t i = 0; i < n; i++) {
        char text[4096];
        struct evaluate_result r;
        (void)snprintf(text, sizeof text, "{\"Effect\":\"Allow\",%s%s%s}", before, cases[i].member,
                       behind);
        ask(text, request, &r);
        cr_expect_eq(r.decision, of_word(cases[i].allow), "%s: %s, %s", cases[i].member,
                     evaluate_decision_name(r.decision), r.reason);
        /* The same as a Deny beside an Allow of everything. */
        (void)snprintf(text, sizeof text,
                       "{\"Effect\":\"Deny\",%s%s%s},{\"Effect\":\"Allow\",\"Principal\":\"*\","
                       "\"Action\":\"*\",\"Resource\":\"*\"}",
                       before, cases[i].member, behind);
        ask(text, request, &r);
        char denied = cases[i].allow == 'y' ? 'd' : cases[i].allow == 'n' ? 'y' : '?';
        cr_expect_eq(r.decision, of_word(denied), "Deny %s: %s, %s", cases[i].member,
                     evaluate_decision_name(r.decision), r.reason);
    }
}

#define AT_ALL        "", ",\"Action\":\"s3:*\",\"Resource\":\"*\""
#define AWS(list)     "\"Principal\":{\"AWS\":" list "}"
#define NOT_AWS(list) "\"NotPrincipal\":{\"AWS\":" list "}"
#define SESSION       "arn:aws:sts::" A ":assumed-role/siem/s1"

Test(evaluate, a_role_is_named_by_itself_its_account_its_session_or_everybody)
{
    static const struct member_case cases[] = {
        {"\"Principal\":\"*\"", 'y'},
        {AWS("\"*\""), 'y'},
        {AWS("\"" ROLE "\""), 'y'},
        {AWS("[\"" USER "\",\"" ROLE "\"]"), 'y'},
        {AWS("\"" A "\""), 'y'},
        {AWS("\"arn:aws:iam::" A ":root\""), 'y'},
        {AWS("\"444455556666\""), 'n'},
        {AWS("\"arn:aws:iam::444455556666:root\""), 'n'},
        {AWS("\"" USER "\""), 'n'},
        {AWS("\"arn:aws:iam::" A ":role/siem\""), 'n'},
        {AWS("\"arn:aws:iam::" A ":role/team/Siem\""), 'n'},
        {AWS("\"arn:aws:iam::444455556666:role/team/siem\""), 'n'},
        {AWS("\"" SESSION "\""), 'y'},
        {AWS("\"arn:aws:sts::" A ":assumed-role/siem/s2\""), 'n'},
        {AWS("\"arn:aws:sts::" A ":assumed-role/other/s1\""), 'n'},
        {AWS("\"arn:aws:sts::444455556666:assumed-role/siem/s1\""), 'n'},
        {AWS("\"AROAEXAMPLEID\""), 'n'},
        {AWS("\"what is this\""), '?'},
        {"\"Principal\":{\"Service\":\"cloudtrail.amazonaws.com\"}", 'n'},
        {"\"Principal\":{\"Federated\":\"cognito-identity.amazonaws.com\"}", 'n'},
        {"\"Principal\":{\"CanonicalUser\":\"79a59df900b9\"}", '?'},
        {"\"Principal\":{\"Service\":\"x.amazonaws.com\",\"AWS\":\"" A "\"}", 'y'},
        {NOT_AWS("\"444455556666\""), 'y'},
        {NOT_AWS("\"" USER "\""), 'y'},
        {NOT_AWS("\"*\""), 'n'},
        {NOT_AWS("[\"" ROLE "\",\"" A "\",\"" SESSION "\"]"), 'n'},
        {NOT_AWS("[\"" ROLE "\",\"" A "\"]"), '?'},
        {NOT_AWS("\"" ROLE "\""), '?'},
        {NOT_AWS("\"" A "\""), '?'},
    };
    expect_members(cases, COUNT(cases), AT_ALL,
                   "{\"principal\":\"" ROLE "\",\"session\":\"s1\",\"action\":\"s3:PutObject\","
                   "\"resource\":\"arn:aws:s3:::b/k\"}");
}

Test(evaluate, a_session_that_is_not_known_is_told)
{
    static const struct member_case cases[] = {
        {AWS("\"" SESSION "\""), '?'},
        {AWS("\"arn:aws:sts::" A ":assumed-role/other/s1\""), 'n'},
        {AWS("[\"" SESSION "\",\"" ROLE "\"]"), 'y'},
    };
    struct evaluate_result r;
    expect_members(cases, COUNT(cases), AT_ALL, PUT_BY(ROLE));
    ask("{\"Effect\":\"Allow\"," AWS("\"" SESSION "\"") ",\"Action\":\"*\",\"Resource\":\"*\"}",
        PUT_BY(ROLE), &r);
    cr_expect_str_eq(r.key, "name of the session of role siem");
}

Test(evaluate, users_accounts_and_nobody)
{
    static const struct member_case user[] = {
        {AWS("\"" USER "\""), 'y'},
        {AWS("\"" A "\""), 'y'},
        {AWS("\"" ROLE "\""), 'n'},
        {AWS("\"arn:aws:sts::" A ":assumed-role/anna/x\""), 'n'},
        {NOT_AWS("[\"" USER "\",\"" A "\"]"), 'n'},
        {NOT_AWS("\"" USER "\""), '?'},
    };
    static const struct member_case account[] = {
        {AWS("\"" A "\""), 'y'},
        {AWS("\"arn:aws:iam::" A ":root\""), 'y'},
        {AWS("\"" USER "\""), 'n'},
        {NOT_AWS("\"" A "\""), 'n'},
    };
    static const struct member_case nobody[] = {
        {"\"Principal\":\"*\"", 'y'},
        {AWS("\"*\""), 'y'},
        {AWS("\"" A "\""), 'n'},
        {"\"Principal\":{\"CanonicalUser\":\"79a5\"}", 'n'},
    };
    static const struct member_case canonical[] = {
        {"\"Principal\":{\"CanonicalUser\":\"79a5\"}", 'y'},
        {"\"Principal\":{\"CanonicalUser\":\"79a6\"}", 'n'},
    };
    expect_members(user, COUNT(user), AT_ALL, PUT_BY(USER));
    expect_members(account, COUNT(account), AT_ALL, PUT_BY("arn:aws:iam::" A ":root"));
    expect_members(
        nobody, COUNT(nobody), AT_ALL,
        "{\"principal\":null,\"action\":\"s3:PutObject\",\"resource\":\"arn:aws:s3:::b\"}");
    expect_members(canonical, COUNT(canonical), AT_ALL,
                   "{\"principal\":\"" USER "\",\"canonical_user\":\"79a5\",\"action\":"
                   "\"s3:PutObject\",\"resource\":\"arn:aws:s3:::b\"}");
}

Test(evaluate, actions_know_no_case_and_two_wildcards)
{
    static const struct member_case cases[] = {
        {"\"Action\":\"s3:PutObject\"", 'y'},
        {"\"Action\":\"S3:putobject\"", 'y'},
        {"\"Action\":\"s3:PutObjectAcl\"", 'n'},
        {"\"Action\":\"s3:Put\"", 'n'},
        {"\"Action\":\"s3:Put*\"", 'y'},
        {"\"Action\":\"s3:*Object\"", 'y'},
        {"\"Action\":\"s3:*Object*\"", 'y'},
        {"\"Action\":\"s3:P?tO*t\"", 'y'},
        {"\"Action\":\"s3:PutObject?\"", 'n'},
        {"\"Action\":\"*\"", 'y'},
        {"\"Action\":\"sqs:*\"", 'n'},
        {"\"Action\":[\"s3:GetObject\",\"s3:PutObject\"]", 'y'},
        {"\"Action\":[\"s3:GetObject\"]", 'n'},
        {"\"NotAction\":\"s3:GetObject\"", 'y'},
        {"\"NotAction\":[\"s3:GetObject\",\"s3:Put*\"]", 'n'},
    };
    expect_members(cases, COUNT(cases), "\"Principal\":\"*\",", ",\"Resource\":\"*\"",
                   PUT_BY(ROLE));
}

#define R(s) "\"Resource\":\"" s "\""

Test(evaluate, resources_know_case_wildcards_and_variables)
{
    static const struct member_case cases[] = {
        {R("arn:aws:s3:::b/k/x"), 'y'},
        {R("arn:aws:s3:::b/*"), 'y'},
        {R("arn:aws:s3:::b*"), 'y'},
        {R("arn:aws:s3:::b"), 'n'},
        {R("arn:aws:s3:::b/"), 'n'},
        {R("arn:aws:s3:::B/*"), 'n'},
        {R("arn:aws:s3:::b/K/*"), 'n'},
        {R("arn:aws:s3:::b/?/x"), 'y'},
        {R("arn:aws:s3:::b/?"
           "?/x"),
         'n'},
        {R("arn:aws:s3:::*/x"), 'y'},
        {R("arn:aws:s3:::*"), 'y'},
        {R("arn:*:s3:::b/*"), 'y'},
        {R("arn:aws-cn:s3:::b/*"), 'n'},
        {R("arn:aws:s3:*:*:b/*"), 'y'},
        {R("arn:aws:s3:us-*::b/*"), 'n'},
        {R("*"), 'y'},
        {R("arn:aws:*"), '?'},
        {R("b/k/x"), 'n'},
        {"\"Resource\":[\"arn:aws:s3:::c\",\"arn:aws:s3:::b/k/*\"]", 'y'},
        {"\"NotResource\":\"arn:aws:s3:::b/k/*\"", 'n'},
        {"\"NotResource\":\"arn:aws:s3:::b/q/*\"", 'y'},
        {R("arn:aws:s3:::b/${aws:username}/x"), 'y'},
        {R("arn:aws:s3:::b/${AWS:UserName}/*"), 'y'},
        {R("arn:aws:s3:::b/${aws:Referer, 'k'}/x"), 'y'},
        {R("arn:aws:s3:::b/${aws:Referer,'q'}/x"), 'n'},
        {R("arn:aws:s3:::b/${aws:Referer}/x"), '?'},
        {R("arn:aws:s3:::b/${aws:userid}/x"), '?'},
        {R("arn:aws:s3:::b/${broken"), 'n'},
        {R("arn:aws:s3:::b/${*}/x"), 'n'},
        {R("arn:aws:s3:::b/${?}/x"), 'n'},
        {R("arn:aws:s3:::b/${,}/x"), '?'},
        {"\"Resource\":[\"arn:aws:s3:::b/${aws:userid}/x\",\"arn:aws:s3:::b/*\"]", 'y'},
    };
    expect_members(cases, COUNT(cases), "\"Principal\":\"*\",\"Action\":\"*\",", "",
                   "{\"principal\":\"" ROLE "\",\"action\":\"s3:PutObject\",\"resource\":"
                   "\"arn:aws:s3:::b/k/x\",\"context\":{\"aws:username\":\"k\",\"aws:Referer\":"
                   "null}}");
}

Test(evaluate, letters_of_a_variable_and_of_an_escape_are_no_wildcards)
{
    static const struct member_case cases[] = {
        {R("arn:aws:s3:::b/${aws:username}"), 'n'}, /* its value is "*" */
        {R("arn:aws:s3:::b/caf?"), 'y'},            /* one character, two bytes */
        {R("arn:aws:s3:::b/caf??"), 'n'},
        {R("arn:aws:s3:::b/${$}{*"), 'n'},
    };
    expect_members(cases, COUNT(cases), "\"Principal\":\"*\",\"Action\":\"*\",", "",
                   "{\"principal\":\"" ROLE "\",\"action\":\"s3:PutObject\",\"resource\":"
                   "\"arn:aws:s3:::b/caf\xc3\xa9\",\"context\":{\"aws:username\":\"*\"}}");
}

Test(evaluate, in_the_old_version_a_variable_is_text)
{
    static const char text[] = "{\"Version\":\"2008-10-17\",\"Statement\":{\"Effect\":\"Allow\","
                               "\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":"
                               "\"arn:aws:s3:::b/${aws:username}\"}}";
    struct statements policy;
    struct evaluate_result r;
    struct evaluate_request request = {
        .principal = USER, .action = "s3:GetObject", .resource = "arn:aws:s3:::b/${aws:username}"};
    struct err e = {0};
    cr_assert_eq(statements_parse(text, strlen(text), &policy, &e), RC_OK, "%s", e.text);
    evaluate(&policy, &request, &r);
    cr_expect_eq(r.decision, EVALUATE_ALLOWED, "%s", r.reason);
    request.resource = "arn:aws:s3:::b/anna";
    evaluate(&policy, &request, &r);
    cr_expect_eq(r.decision, EVALUATE_NOT_ALLOWED, "%s", r.reason);
    statements_fini(&policy);
}

/* ---- the decision ---- */

#define ALLOW(sid, action)                                                                         \
    "{\"Sid\":\"" sid "\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ROLE                     \
    "\"},\"Action\":\"" action "\",\"Resource\":\"arn:aws:s3:::b/*\"}"
#define DENY(sid, condition)                                                                       \
    "{\"Sid\":\"" sid "\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\","            \
    "\"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{" condition "}}"

Test(evaluate, a_deny_wins_wherever_it_stands_and_a_maybe_counts_only_where_it_matters)
{
    static const struct {
        const char *statements;
        char decision;
        int statement;
        enum evaluate_part missing;
        const char *said;
    } cases[] = {
        {"", 'n', -1, EVALUATE_STATEMENT, "no statement allows s3:PutObject on"},
        {ALLOW("One", "s3:PutObject"), 'y', 0, EVALUATE_NOTHING, "statement 1 (Sid One) allows it"},
        {ALLOW("One", "s3:PutObject") "," DENY("No", "\"Bool\":{\"aws:SecureTransport\":\"true\"}"),
         'd', 1, EVALUATE_NOTHING, "statement 2 (Sid No) denies it"},
        {DENY("No", "\"Bool\":{\"aws:SecureTransport\":\"true\"}"), 'd', 0, EVALUATE_NOTHING,
         "denies"},
        {DENY("No", "\"Bool\":{\"aws:SecureTransport\":\"false\"}") "," ALLOW("One", "*"), 'y', 1,
         EVALUATE_NOTHING, "allows"},
        {DENY("Vpc", "\"StringNotEquals\":{\"aws:SourceVpce\":\"vpce-1\"}") "," ALLOW("One", "*"),
         '?', 0, EVALUATE_NOTHING,
         "cannot tell whether statement 1 (Sid Vpc) denies it: key aws:SourceVpce"},
        {DENY("Vpc", "\"StringNotEquals\":{\"aws:SourceVpce\":\"vpce-1\"}"), 'n', -1,
         EVALUATE_STATEMENT, "no statement"}, /* refused either way */
        {DENY("Vpc", "\"StringNotEquals\":{\"aws:SourceVpce\":\"vpce-1\"}") "," ALLOW(
             "One", "*") "," DENY("No", "\"Bool\":{\"aws:SecureTransport\":\"true\"}"),
         'd', 2, EVALUATE_NOTHING, "statement 3"},
        {ALLOW("One", "s3:GetObject"), 'n', 0, EVALUATE_ACTION,
         "statement 1 (Sid One) allows other actions: its Action lacks s3:PutObject"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct evaluate_result r;
        ask(cases[i].statements,
            "{\"principal\":\"" ROLE "\",\"action\":\"s3:PutObject\",\"resource\":"
            "\"arn:aws:s3:::b/k\",\"context\":{\"aws:SecureTransport\":\"true\"}}",
            &r);
        cr_expect_eq(r.decision, of_word(cases[i].decision), "%zu: %s", i, r.reason);
        cr_expect_eq(r.statement, cases[i].statement, "%zu: %d", i, r.statement);
        cr_expect_eq(r.missing, cases[i].missing, "%zu: %d", i, r.missing);
        cr_expect(strstr(r.reason, cases[i].said), "%zu: %s", i, r.reason);
    }
}

Test(evaluate, what_is_missing_is_the_one_thing_that_the_nearest_statement_lacks)
{
    static const struct {
        const char *statements;
        enum evaluate_part missing;
        int statement;
        const char *said;
    } cases[] = {
        {"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" USER "\"},\"Action\":\"s3:*\","
         "\"Resource\":\"*\"}",
         EVALUATE_PRINCIPAL, 0, "its Principal lacks " ROLE},
        {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":"
         "\"arn:aws:s3:::b\"}",
         EVALUATE_RESOURCE, 0, "its Resource lacks arn:aws:s3:::b/k"},
        {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"*\","
         "\"Condition\":{\"StringEquals\":{\"s3:x-amz-acl\":\"private\"}}}",
         EVALUATE_CONDITION, 0, "a condition that fails: StringEquals s3:x-amz-acl"},
        /* Two things lacking, then one. */
        {"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" USER "\"},\"Action\":\"s3:Get*\","
         "\"Resource\":\"*\"}," ALLOW("B", "s3:Get*"),
         EVALUATE_ACTION, 1, "statement 2 (Sid B)"},
        {"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" USER "\"},\"Action\":\"s3:Get*\","
         "\"Resource\":\"*\"}",
         EVALUATE_STATEMENT, -1, "no statement allows"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct evaluate_result r;
        ask(cases[i].statements,
            "{\"principal\":\"" ROLE "\",\"action\":\"s3:PutObject\",\"resource\":"
            "\"arn:aws:s3:::b/k\",\"context\":{\"s3:x-amz-acl\":null}}",
            &r);
        cr_expect_eq(r.decision, EVALUATE_NOT_ALLOWED, "%zu: %s", i, r.reason);
        cr_expect_eq(r.missing, cases[i].missing, "%zu: %s", i, r.reason);
        cr_expect_eq(r.statement, cases[i].statement, "%zu", i);
        cr_expect(strstr(r.reason, cases[i].said), "%zu: %s", i, r.reason);
    }
}

Test(evaluate, what_may_be_shown_is_safe)
{
    struct evaluate_result r;
    ask("{\"Sid\":\"\\u001b[2J\\n\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\","
        "\"Resource\":\"*\"}",
        PUT_BY(ROLE), &r);
    cr_expect_str_eq(r.reason, "statement 1 (Sid \\x1b[2J\\n) denies it");
}
