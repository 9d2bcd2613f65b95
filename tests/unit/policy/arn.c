/* ARNs: what is taken, and that what is not taken says why. */
#include "policy/arn.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(arn, a_bucket_is_taken_apart)
{
    static const struct {
        const char *arn, *partition, *name;
    } cases[] = {
        {"arn:aws:s3:::customer-siem", "aws", "customer-siem"},
        {"arn:aws-us-gov:s3:::a.b", "aws-us-gov", "a.b"},
        {"arn:aws-cn:s3:::123", "aws-cn", "123"},
        {"arn:aws:s3:::abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0", "aws",
         "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"},
        {"arn:aws:s3:::accesspoint-logs", "aws", "accesspoint-logs"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arn_bucket out;
        struct err e = {0};
        cr_expect_eq(arn_parse_bucket(cases[i].arn, &out, &e), RC_OK, "%s: %s", cases[i].arn,
                     e.text);
        cr_expect_str_eq(out.partition, cases[i].partition);
        cr_expect_str_eq(out.name, cases[i].name);
    }
}

Test(arn, what_is_no_bucket_is_refused_with_the_part_that_is_wrong)
{
    static const struct {
        const char *arn, *said;
    } cases[] = {
        {"", "expected an S3 bucket ARN such as \"arn:aws:s3:::my-bucket\", found \"\""},
        {"my-bucket",
         "expected an S3 bucket ARN such as \"arn:aws:s3:::my-bucket\", found \"my-bucket\""},
        {"s3://my-bucket", "found \"s3://my-bucket\""},
        {"ARN:aws:s3:::my-bucket", "such as"},
        {"arn:aws:s3::my-bucket", "such as"},
        {"arn:AWS:s3:::my-bucket", "found \"AWS\""},
        {"arn::s3:::my-bucket", "the partition"},
        {"arn:aws:iam::111122223333:role/x", "of another service"},
        {"arn:aws:s3express:us-east-1:111122223333:bucket/x--use1-az4--x-s3", "another service"},
        {"arn:aws:s3:eu-central-1:111122223333:accesspoint/siem", "access point"},
        {"arn:aws:s3:eu-central-1::my-bucket", "neither region nor account"},
        {"arn:aws:s3::111122223333:my-bucket", "neither region nor account"},
        {"arn:aws:s3:::my-bucket/*", "the bucket's is \"arn:aws:s3:::my-bucket\""},
        {"arn:aws:s3:::my-bucket/", "names objects"},
        {"arn:aws:s3:::", "3 to 63"},
        {"arn:aws:s3:::ab", "3 to 63"},
        {"arn:aws:s3:::abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01",
         "3 to 63"},
        {"arn:aws:s3:::My-Bucket", "lower-case"},
        {"arn:aws:s3:::my_bucket", "lower-case"},
        {"arn:aws:s3:::my-bucket:x", "lower-case"},
        {"arn:aws:s3:::*", "3 to 63"},
        {"arn:aws:s3:::my-*", "lower-case"},
        {"arn:aws:s3:::-bucket", "begin and end"},
        {"arn:aws:s3:::bucket.", "begin and end"},
        {"arn:aws:s3:::my..bucket", "two dots"},
        {"arn:aws:s3:::192.168.5.4", "IP address"},
        {"arn:aws:s3:::xn--bucket", "reserved"},
        {"arn:aws:s3:::sthree-bucket", "reserved"},
        {"arn:aws:s3:::bucket--use1-az4--x-s3", "reserved"},
        {"arn:aws:s3:::bucket-s3alias", "reserved"},
        {"arn:aws:s3:::a\nb\x1b", "a\\nb\\x1b"},
        {"\xff\xfe", "\\xff\\xfe"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arn_bucket out;
        struct err e = {0};
        cr_expect_eq(arn_parse_bucket(cases[i].arn, &out, &e), RC_INVALID, "%s", cases[i].arn);
        cr_expect(strstr(e.text, cases[i].said), "%s", e.text);
        cr_expect_eq(arn_parse_bucket(cases[i].arn, &out, NULL), RC_INVALID);
    }
}

Test(arn, a_bucket_name_may_hold_four_numbers_and_more)
{
    static const struct {
        const char *name;
        bool right;
    } cases[] = {
        {"1.2.3", true},   {"1.2.3.4", false},      {"1.2.3.4.5", true},
        {"1.2.3.a", true}, {"a-b", true},           {"a.-b", true},
        {"x-s3", true},    {"bucket--x-s3", false}, {"bücket", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        cr_expect_eq(arn_check_bucket_name(cases[i].name, &e) == RC_OK, cases[i].right, "%s: %s",
                     cases[i].name, e.text);
    }
}

Test(arn, a_role_is_taken_apart)
{
    static const struct {
        const char *arn, *partition, *account, *name;
    } cases[] = {
        {"arn:aws:iam::111122223333:role/panoptica-customer", "aws", "111122223333",
         "panoptica-customer"},
        {"arn:aws-cn:iam::000000000000:role/team/sub/a+=,.@_-Z", "aws-cn", "000000000000",
         "team/sub/a+=,.@_-Z"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arn_role out;
        struct err e = {0};
        cr_expect_eq(arn_parse_role(cases[i].arn, &out, &e), RC_OK, "%s: %s", cases[i].arn, e.text);
        cr_expect_str_eq(out.partition, cases[i].partition);
        cr_expect_str_eq(out.account, cases[i].account);
        cr_expect_str_eq(out.name, cases[i].name);
    }
}

Test(arn, what_is_no_role_is_refused_with_the_part_that_is_wrong)
{
    static const struct {
        const char *arn, *said;
    } cases[] = {
        {"panoptica-customer", "found \"panoptica-customer\""},
        {"arn:aws:s3:::my-bucket", "\"iam\""},
        {"arn:aws:iam:us-east-1:111122223333:role/x", "no regions"},
        {"arn:aws:iam::11112222333:role/x", "12 digits"},
        {"arn:aws:iam::1111222233334:role/x", "12 digits"},
        {"arn:aws:iam::11112222333a:role/x", "12 digits"},
        {"arn:aws:iam::111122223333:user/x", "no role"},
        {"arn:aws:iam::111122223333:root", "no role"},
        {"arn:aws:sts::111122223333:assumed-role/x/session", "session"},
        {"arn:aws:iam::111122223333:role/", "1 to 64"},
        {"arn:aws:iam::111122223333:role//x", "1 to 64"},
        {"arn:aws:iam::111122223333:role/a//x", "1 to 64"},
        {"arn:aws:iam::111122223333:role/x/", "1 to 64"},
        {"arn:aws:iam::111122223333:role/*", "1 to 64"},
        {"arn:aws:iam::111122223333:role/a b", "1 to 64"},
        {"arn:aws:iam::111122223333:role/a b/c", "1 to 64"},
        {"arn:aws:iam::111122223333:role/caf\xc3\xa9/c", "1 to 64"},
        {"arn:aws:iam::111122223333:role/"
         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789012",
         "1 to 64"},
        {"arn:mars:iam::111122223333:role/x", "found \"mars\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arn_role out;
        struct err e = {0};
        cr_expect_eq(arn_parse_role(cases[i].arn, &out, &e), RC_INVALID, "%s", cases[i].arn);
        cr_expect(strstr(e.text, cases[i].said), "%s", e.text);
    }
}

Test(arn, a_role_and_its_path_have_512_bytes_at_most)
{
    char arn[700];
    struct arn_role out;
    struct err e = {0};
    for (int path = 509; path <= 511; path++) {
        (void)snprintf(arn, sizeof arn, "arn:aws:iam::111122223333:role/%0*d/x", path, 0);
        cr_expect_eq(arn_parse_role(arn, &out, &e), path <= 510 ? RC_OK : RC_INVALID, "%d", path);
    }
}

Test(arn, roles_users_and_accounts_are_principals)
{
    static const struct {
        const char *text, *arn;
        enum arn_kind kind;
    } cases[] = {
        {"arn:aws:iam::111122223333:role/team/x", "arn:aws:iam::111122223333:role/team/x",
         ARN_ROLE},
        {"arn:aws:iam::111122223333:user/anna", "arn:aws:iam::111122223333:user/anna", ARN_USER},
        {"arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root", ARN_ACCOUNT},
        {"111122223333", "arn:aws-cn:iam::111122223333:root", ARN_ACCOUNT},
    };
    static const char *const wrong[] = {"11112222333",
                                        "1111222233334",
                                        "arn:aws:iam::111122223333:group/x",
                                        "arn:aws:iam::111122223333:root/x",
                                        "arn:aws:iam::111122223333:user/",
                                        "arn:aws:sts::111122223333:assumed-role/x/y",
                                        "*"};
    struct arn_principal p;
    struct err e = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_expect_eq(arn_parse_principal(cases[i].text, "aws-cn", &p, &e), RC_OK, "%s", e.text);
        cr_expect_str_eq(p.arn, cases[i].arn);
        cr_expect_eq(p.kind, cases[i].kind);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        cr_expect_eq(arn_parse_principal(wrong[i], "aws", &p, &e), RC_INVALID, "%s", wrong[i]);
}
