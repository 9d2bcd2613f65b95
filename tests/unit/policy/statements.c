/* What is a bucket policy and what is none, with the reason. */
#include "policy/statements.h"

#include "policy/document.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define DOC(list) "{\"Version\":\"2012-10-17\",\"Statement\":" list "}"
#define REST      "\"Action\":\"s3:*\",\"Resource\":\"*\""

Test(statements, what_is_no_policy_says_why)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "no policy: line 1"},
        {"null", "no policy"},
        {"[]", "a policy is a JSON object"},
        {"{", "no policy: line 1"},
        {"{\"Statement\":[]} x", "no policy: line 1"},
        {"{\"a\":\"\\u0000\"}", "no policy: line 1"},
        {"{\"Statement\":[],\"Statement\":[]}", "duplicate"},
        {"{\"statement\":[]}", "a member \"statement\""},
        {"{\"Version\":2012,\"Statement\":[]}", "Version"},
        {"{\"Version\":\"2012-10-17\"}", "no Statement"},
        {DOC("\"x\""), "no list"},
        {DOC("[1]"), "statement 1 is no object"},
        {"{\"Id\":1,\"Statement\":[]}", "Id"},
        {DOC("{}"), "statement 1: its Effect"},
        {DOC("[{\"Effect\":\"allow\",\"Principal\":\"*\"," REST "}]"), "its Effect"},
        {DOC("[{\"Sid\":7,\"Effect\":\"Allow\",\"Principal\":\"*\"," REST "}]"), "its Sid"},
        {DOC("[{\"Effect\":\"Allow\"," REST "}]"), "needs a Principal"},
        {DOC("[{\"Sid\":\"S\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"NotPrincipal\":\"*\"," REST
             "}]"),
         "statement 1 (Sid S): a bucket policy's statement needs a Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"me\"," REST "}]"), "its Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":{}," REST "}]"), "its Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":[\"*\"]," REST "}]"), "its Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":{\"aws\":\"*\"}," REST "}]"), "its Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[]}," REST "}]"), "its Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[1]}," REST "}]"), "its Principal"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::1:role/*\"}," REST "}]"),
         "a wildcard within"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":\"*\"}]"), "an Action"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\"}]"), "a Resource"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"NotAction\":\"*\"," REST "}]"),
         "an Action"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[[]],\"Resource\":\"*\"}]"),
         "must be strings"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[],\"Resource\":\"*\"}]"),
         "must be strings"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Condition\":[]," REST "}]"),
         "its Condition"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Condition\":{\"Bool\":1}," REST "}]"),
         "its Condition"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Condition\":{\"Bool\":{\"k\":{}}}," REST
             "}]"),
         "its Condition"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Condition\":{\"Bool\":{\"k\":[null]}}"
             "," REST "}]"),
         "its Condition"},
        {DOC("[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Extra\\u001b\":1," REST "}]"),
         "a member \"Extra\\x1b\""},
        {DOC("[{\"Sid\":\"A\",\"Effect\":\"Allow\",\"Principal\":\"*\"," REST "},{\"Sid\":\"A\","
             "\"Effect\":\"Deny\",\"Principal\":\"*\"," REST "}]"),
         "two statements have the Sid \"A\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct statements s;
        struct err e = {0};
        cr_expect_eq(statements_parse(cases[i].text, strlen(cases[i].text), &s, &e), RC_INVALID,
                     "%s", cases[i].text);
        cr_expect(strstr(e.text, cases[i].said), "%s: %s", cases[i].text, e.text);
        statements_fini(&s);
    }
}

Test(statements, what_is_one_is_taken_apart)
{
    static const char text[] =
        DOC("[{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":[\"a\",\"b\"]},\"NotAction\":\"s3:*\","
            "\"NotResource\":[\"r\"],\"Condition\":{\"Bool\":{\"k\":[true,\"false\",1.5]}}},"
            "{\"Sid\":\"\",\"Effect\":\"Allow\",\"Principal\":\"*\"," REST "}]");
    struct statements s;
    struct statements_label label;
    struct err e = {0};
    cr_assert_eq(statements_parse(text, strlen(text), &s, &e), RC_OK, "%s", e.text);
    cr_expect_eq(s.n, 2);
    cr_expect(s.variables && !s.at[0].allow && s.at[0].not_principal && s.at[0].not_action &&
              s.at[0].not_resource && s.at[0].condition && !s.at[0].sid);
    cr_expect(s.at[1].allow && !s.at[1].not_principal && !s.at[1].condition);
    cr_expect_eq(statements_count(s.at[0].resource), 1);
    cr_expect_str_eq(statements_text(s.at[1].action, 0), "s3:*");
    cr_expect_str_eq(statements_label(&s, 1, &label), "statement 2");
    statements_fini(&s);
}

Test(statements, deep_and_large_documents_are_refused)
{
    static char text[2 * DOCUMENT_MAX];
    struct statements s;
    struct err e = {0};
    memset(text, '[', DOCUMENT_MAX);
    cr_expect_eq(statements_parse(text, DOCUMENT_MAX, &s, &e), RC_INVALID);
    cr_expect(strstr(e.text, "no policy"), "%s", e.text);
    statements_fini(&s);
    memset(text, ' ', sizeof text);
    memcpy(text, DOC("[]"), strlen(DOC("[]")));
    cr_expect_eq(statements_parse(text, DOCUMENT_MAX, &s, &e), RC_OK, "%s", e.text);
    statements_fini(&s);
    cr_expect_eq(statements_parse(text, DOCUMENT_MAX + 1, &s, &e), RC_LIMIT);
    cr_expect(strstr(e.text, "20 KiB"), "%s", e.text);
    statements_fini(&s);
}
