/* Conditions, one table: what of them holds for what is known of a request. */
#include "policy/condition.h"

#include "policy/statements.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const one_a[] = {"a"}, *const star[] = {"a*b"}, *const tags[] = {"a", "b"},
                         *const number[] = {"5"}, *const address[] = {"203.0.113.7"},
                         *const six[] = {"2001:db8::7"}, *const day[] = {"2026-03-01T12:00:00Z"},
                         *const yes[] = {"true"}, *const tls[] = {"1.2", "1.3"},
                         *const arn[] = {"arn:aws:iam::111122223333:role/team/siem"},
                         *const umlaut[] = {"\xc3\xa4"};
static const struct context_key known[] = {
    {"t:one", CONTEXT_ONE, one_a, 1},     {"t:star", CONTEXT_ONE, star, 1},
    {"t:tags", CONTEXT_LIST, tags, 2},    {"t:empty", CONTEXT_LIST, tags, 0},
    {"t:number", CONTEXT_ONE, number, 1}, {"t:address", CONTEXT_ONE, address, 1},
    {"t:six", CONTEXT_ONE, six, 1},       {"t:day", CONTEXT_ONE, day, 1},
    {"t:yes", CONTEXT_ONE, yes, 1},       {"t:tls", CONTEXT_ONE_OF, tls, 2},
    {"t:arn", CONTEXT_ONE, arn, 1},       {"t:absent", CONTEXT_ABSENT, NULL, 0},
    {"t:umlaut", CONTEXT_ONE, umlaut, 1},
};

struct row {
    const char *condition;
    char holds; /* y, n or ? */
};

static void expect(const struct row *rows, size_t n)
{
    struct context context = {.keys = known, .n = COUNT(known)};
    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        struct condition_why why;
        json_t *v = json_parse(rows[i].condition, strlen(rows[i].condition), &e);
        cr_assert_not_null(v, "%s: %s", rows[i].condition, e.text);
        enum tri t = condition_holds(v, true, &context, &why);
        char got = t == TRI_YES ? 'y' : t == TRI_NO ? 'n' : '?';
        cr_expect_eq(got, rows[i].holds, "%s: %c, expected %c (%s, %s)", rows[i].condition, got,
                     rows[i].holds, why.failed, why.unknown.what);
        cr_expect_eq(t == TRI_NO, why.failed[0] != '\0', "%s", rows[i].condition);
        cr_expect(t != TRI_MAYBE || why.unknown.what[0] != '\0', "%s", rows[i].condition);
        json_decref(v);
    }
}

#define C(op, key, value) "{\"" op "\":{\"" key "\":" value "}}"

Test(condition, strings)
{
    static const struct row rows[] = {
        {"{}", 'y'},
        {C("StringEquals", "t:one", "\"a\""), 'y'},
        {C("StringEquals", "T:One", "\"a\""), 'y'},
        {C("StringEquals", "t:one", "\"A\""), 'n'},
        {C("StringEquals", "t:one", "[\"b\",\"a\"]"), 'y'},
        {C("StringEquals", "t:one", "\"*\""), 'n'},
        {C("StringEquals", "t:star", "\"a*b\""), 'y'},
        {C("StringNotEquals", "t:one", "\"b\""), 'y'},
        {C("StringNotEquals", "t:one", "[\"b\",\"a\"]"), 'n'},
        {C("StringEqualsIgnoreCase", "t:one", "\"A\""), 'y'},
        {C("StringEqualsIgnoreCase", "t:one", "\"B\""), 'n'},
        {C("StringNotEqualsIgnoreCase", "t:one", "\"A\""), 'n'},
        {C("StringEqualsIgnoreCase", "t:umlaut", "\"\xc3\xa4\""), 'y'},
        {C("StringEqualsIgnoreCase", "t:umlaut", "\"\xc3\x84\""), '?'},
        {C("StringLike", "t:one", "\"?\""), 'y'},
        {C("StringLike", "t:one", "\"*\""), 'y'},
        {C("StringLike", "t:one", "\"a?\""), 'n'},
        {C("StringLike", "t:star", "\"a${*}b\""), 'y'},
        {C("StringLike", "t:one", "\"a${*}\""), 'n'},
        {C("StringNotLike", "t:one", "\"a*\""), 'n'},
        {C("StringNotLike", "t:one", "\"b*\""), 'y'},
        {C("StringLike", "t:one", "\"${t:one}\""), 'y'},
        {C("StringEquals", "t:one", "\"${t:one}\""), 'y'},
        {C("StringEquals", "t:one", "\"${t:unheard}\""), '?'},
        {C("StringEquals", "t:one", "\"${t:tags}\""), '?'},
        {C("stringequals", "t:one", "\"a\""), '?'},
        {C("StringMatches", "t:one", "\"a\""), '?'},
        {"{\"StringMatches\":{}}", '?'},
        {C("BinaryEquals", "t:one", "\"YQ==\""), '?'},
        {C("StringEquals", "t:number", "5"), 'y'},
        {C("StringEquals", "t:yes", "true"), 'y'},
    };
    expect(rows, COUNT(rows));
}

Test(condition, keys_that_are_absent_or_not_known)
{
    static const struct row rows[] = {
        {C("StringEquals", "t:absent", "\"a\""), 'n'},
        {C("StringNotEquals", "t:absent", "\"a\""), 'y'},
        {C("StringEqualsIfExists", "t:absent", "\"a\""), 'y'},
        {C("StringNotEqualsIfExists", "t:absent", "\"a\""), 'y'},
        {C("StringEqualsIfExists", "t:one", "\"a\""), 'y'},
        {C("StringEqualsIfExists", "t:one", "\"b\""), 'n'},
        {C("NumericLessThanIfExists", "t:absent", "\"1\""), 'y'},
        {C("NumericLessThan", "t:absent", "\"1\""), 'n'},
        {C("Bool", "t:absent", "\"false\""), 'n'},
        {C("NotIpAddress", "t:absent", "\"10.0.0.0/8\""), 'y'},
        {C("ArnNotLike", "t:absent", "\"arn:aws:s3:::*\""), 'y'},
        {C("StringEquals", "t:unheard", "\"a\""), '?'},
        {C("StringNotEquals", "t:unheard", "\"a\""), '?'},
        {C("StringEqualsIfExists", "t:unheard", "\"a\""), '?'},
        {C("StringLikeIfExists", "t:unheard", "\"*\""), 'y'},
        {C("StringLike", "t:unheard", "\"*\""), '?'}, /* it may be absent */
        {C("Null", "t:absent", "\"true\""), 'y'},
        {C("Null", "t:absent", "true"), 'y'},
        {C("Null", "t:absent", "\"false\""), 'n'},
        {C("Null", "t:one", "\"true\""), 'n'},
        {C("Null", "t:one", "\"false\""), 'y'},
        {C("Null", "t:empty", "\"true\""), 'y'},
        {C("Null", "t:tls", "\"false\""), 'y'},
        {C("Null", "t:unheard", "\"true\""), '?'},
        {C("Null", "t:one", "\"perhaps\""), '?'},
    };
    expect(rows, COUNT(rows));
}

Test(condition, many_values)
{
    static const struct row rows[] = {
        {C("ForAllValues:StringEquals", "t:tags", "[\"a\",\"b\",\"c\"]"), 'y'},
        {C("ForAllValues:StringEquals", "t:tags", "[\"a\",\"c\"]"), 'n'},
        {C("ForAllValues:StringEquals", "t:absent", "\"a\""), 'y'},
        {C("ForAllValues:StringEquals", "t:empty", "\"a\""), 'y'},
        {C("ForAllValues:StringLike", "t:tags", "\"*\""), 'y'},
        {C("ForAllValues:StringNotEquals", "t:tags", "[\"c\"]"), 'y'},
        {C("ForAllValues:StringNotEquals", "t:tags", "[\"a\"]"), 'n'},
        {C("ForAnyValue:StringEquals", "t:tags", "[\"a\",\"c\"]"), 'y'},
        {C("ForAnyValue:StringEquals", "t:tags", "[\"c\"]"), 'n'},
        {C("ForAnyValue:StringEquals", "t:absent", "\"a\""), 'n'},
        {C("ForAnyValue:StringEquals", "t:empty", "\"a\""), 'n'},
        {C("ForAnyValue:StringNotEquals", "t:tags", "[\"a\"]"), 'y'},
        {C("ForAnyValue:StringNotEquals", "t:tags", "[\"a\",\"b\"]"), 'n'},
        {C("ForAnyValue:StringNotEquals", "t:absent", "\"a\""), 'n'},
        {C("ForAnyValue:StringEqualsIfExists", "t:absent", "\"a\""), '?'},
        {C("ForAllValues:StringEqualsIfExists", "t:absent", "\"a\""), 'y'},
        {C("ForAllValues:StringEquals", "t:unheard", "\"a\""), '?'},
        {C("ForSomeValues:StringEquals", "t:tags", "\"a\""), '?'},
        {C("StringEquals", "t:tags", "\"a\""), '?'}, /* which of the two? */
        {C("StringEquals", "t:tags", "\"c\""), 'n'},
        {C("StringEquals", "t:empty", "\"c\""), 'n'},
        {C("StringNotEquals", "t:empty", "\"c\""), 'y'},
    };
    expect(rows, COUNT(rows));
}

Test(condition, numbers_dates_booleans_addresses_and_arns)
{
    static const struct row rows[] = {
        {C("NumericEquals", "t:number", "\"5.0\""), 'y'},
        {C("NumericEquals", "t:number", "5"), 'y'},
        {C("NumericNotEquals", "t:number", "5"), 'n'},
        {C("NumericLessThan", "t:number", "5"), 'n'},
        {C("NumericLessThanEquals", "t:number", "5"), 'y'},
        {C("NumericGreaterThan", "t:number", "\"4\""), 'y'},
        {C("NumericGreaterThanEquals", "t:number", "[6,5]"), 'y'},
        {C("NumericEquals", "t:number", "\"five\""), '?'},
        {C("NumericEquals", "t:number", "\"0x5\""), '?'},
        {C("NumericEquals", "t:one", "5"), '?'},
        {C("NumericLessThan", "t:tls", "1.2"), 'n'}, /* 1.2 or 1.3 */
        {C("NumericLessThan", "t:tls", "\"1.3\""), '?'},
        {C("NumericGreaterThanEquals", "t:tls", "\"1.2\""), 'y'},
        {C("DateLessThan", "t:day", "\"2026-03-01T12:00:01Z\""), 'y'},
        {C("DateLessThan", "t:day", "\"2026-03-01T12:00:00Z\""), 'n'},
        {C("DateLessThanEquals", "t:day", "\"2026-03-01T12:00:00Z\""), 'y'},
        {C("DateGreaterThan", "t:day", "\"2026-03-01\""), 'y'},
        {C("DateGreaterThanEquals", "t:day", "\"2026-03-02\""), 'n'},
        {C("DateEquals", "t:day", "\"2026-03-01T13:00:00+01:00\""), 'y'},
        {C("DateEquals", "t:day", "\"1772366400\""), 'y'},
        {C("DateNotEquals", "t:day", "\"1772366400\""), 'n'},
        {C("DateLessThan", "t:day", "\"2026-02-30\""), '?'},
        {C("DateLessThan", "t:day", "\"tomorrow\""), '?'},
        {C("DateLessThan", "t:day", "\"2026\""), '?'},
        {C("Bool", "t:yes", "\"true\""), 'y'},
        {C("Bool", "t:yes", "true"), 'y'},
        {C("Bool", "t:yes", "\"True\""), 'y'},
        {C("Bool", "t:yes", "\"false\""), 'n'},
        {C("Bool", "t:yes", "[\"false\",\"true\"]"), 'y'},
        {C("Bool", "t:yes", "\"maybe\""), '?'},
        {C("IpAddress", "t:address", "\"203.0.113.0/24\""), 'y'},
        {C("IpAddress", "t:address", "\"203.0.113.7\""), 'y'},
        {C("IpAddress", "t:address", "\"203.0.113.0/29\""), 'y'},
        {C("IpAddress", "t:address", "\"203.0.113.8/29\""), 'n'},
        {C("IpAddress", "t:address", "\"0.0.0.0/0\""), 'y'},
        {C("IpAddress", "t:address", "\"2001:db8::/32\""), 'n'},
        {C("IpAddress", "t:address", "[\"10.0.0.0/8\",\"203.0.0.0/16\"]"), 'y'},
        {C("IpAddress", "t:address", "\"203.0.113.0/33\""), '?'},
        {C("IpAddress", "t:address", "\"203.0.113/24\""), '?'},
        {C("IpAddress", "t:address", "\"203.0.113.0/\""), '?'},
        {C("NotIpAddress", "t:address", "\"203.0.113.0/24\""), 'n'},
        {C("NotIpAddress", "t:address", "\"10.0.0.0/8\""), 'y'},
        {C("IpAddress", "t:six", "\"2001:db8::/32\""), 'y'},
        {C("IpAddress", "t:six", "\"2001:db8::8/125\""), 'n'},
        {C("IpAddress", "t:six", "\"2001:DB8:0::7\""), 'y'},
        {C("ArnEquals", "t:arn", "\"arn:aws:iam::111122223333:role/team/siem\""), 'y'},
        {C("ArnEquals", "t:arn", "\"arn:aws:iam::111122223333:role/*\""), 'y'},
        {C("ArnLike", "t:arn", "\"arn:aws:iam::*:role/team/*\""), 'y'},
        {C("ArnLike", "t:arn", "\"arn:aws:iam::11112222????:role/team/siem\""), 'y'},
        {C("ArnLike", "t:arn", "\"arn:aws:iam::4*:role/team/siem\""), 'n'},
        {C("ArnLike", "t:arn", "\"arn:aws:*\""), '?'},
        {C("ArnLike", "t:one", "\"arn:aws:iam::*:role/*\""), 'n'},
        {C("ArnNotLike", "t:arn", "\"arn:aws:iam::*:user/*\""), 'y'},
        {C("ArnNotEquals", "t:arn", "\"arn:aws:iam::111122223333:role/team/siem\""), 'n'},
    };
    expect(rows, COUNT(rows));
}

Test(condition, operators_and_keys_are_joined_by_and)
{
    static const struct row rows[] = {
        {"{\"StringEquals\":{\"t:one\":\"a\"},\"Bool\":{\"t:yes\":\"true\"}}", 'y'},
        {"{\"StringEquals\":{\"t:one\":\"a\"},\"Bool\":{\"t:yes\":\"false\"}}", 'n'},
        {"{\"StringEquals\":{\"t:one\":\"a\",\"t:star\":\"x\"}}", 'n'},
        {"{\"StringEquals\":{\"t:unheard\":\"a\"},\"Bool\":{\"t:yes\":\"false\"}}", 'n'},
        {"{\"StringEquals\":{\"t:unheard\":\"a\"},\"Bool\":{\"t:yes\":\"true\"}}", '?'},
    };
    expect(rows, COUNT(rows));
}

Test(condition, what_is_known_completely_has_no_unknown_keys)
{
    struct context context = {.keys = known, .n = COUNT(known), .complete = true};
    struct condition_why why;
    struct err e = {0};
    const char text[] = C("StringNotEquals", "t:unheard", "\"a\"");
    json_t *v = json_parse(text, strlen(text), &e);
    cr_expect_eq(condition_holds(v, true, &context, &why), TRI_YES);
    json_decref(v);
    cr_expect_eq(condition_holds(NULL, true, &context, &why), TRI_YES);
}
