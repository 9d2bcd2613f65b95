/* The bucket policy, to the byte, and when there is none. */
#include "policy/document.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define POLICY_MAX ((size_t)20 * 1024)
#define ROLE       "arn:aws:iam::111122223333:role/panoptica-customer"

static const char *const one[] = {ROLE};

static void expect_file(const char *name, const struct document_cfg *cfg)
{
    static char golden[POLICY_MAX + 1];
    char path[4096];
    (void)snprintf(path, sizeof path, TEST_SOURCE_DIR "/vectors/policy/%s", name);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    golden[fread(golden, 1, POLICY_MAX, f)] = '\0';
    cr_assert_eq(fclose(f), 0);
    struct buf out;
    struct err e = {0};
    buf_init(&out, POLICY_MAX);
    cr_expect_eq(document_generate(cfg, &out, &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(out.data, golden);
    buf_fini(&out);
}

Test(document, one_role_in_both_statements_to_the_byte)
{
    expect_file("one-role.json", &(struct document_cfg){.bucket_arn = "arn:aws:s3:::customer-siem",
                                                        .role_arns = one,
                                                        .n_role_arns = 1});
}

Test(document, several_roles_and_another_one_that_puts_to_the_byte)
{
    static const char *const all[] = {"arn:aws-us-gov:iam::111122223333:role/team/a=b@c",
                                      "arn:aws-us-gov:iam::444455556666:role/second"};
    static const char *const put[] = {"arn:aws-us-gov:iam::111122223333:role/putter"};
    expect_file("several-roles.json",
                &(struct document_cfg){.bucket_arn = "arn:aws-us-gov:s3:::a.dotted-name",
                                       .role_arns = all,
                                       .n_role_arns = 2,
                                       .put_role_arns = put,
                                       .n_put_role_arns = 1});
}

Test(document, users_and_accounts_may_write_too)
{
    static const char *const all[] = {"111122223333", "arn:aws-cn:iam::444455556666:user/team/anna",
                                      "arn:aws-cn:iam::444455556666:root"};
    struct document_cfg cfg = {"arn:aws-cn:s3:::customer-siem", all, 3, NULL, 0, NULL};
    struct buf out;
    struct err e = {0};
    buf_init(&out, POLICY_MAX);
    cr_assert_eq(document_generate(&cfg, &out, &e), RC_OK, "%s", e.text);
    cr_expect(strstr(out.data,
                     "                    \"arn:aws-cn:iam::111122223333:root\",\n"
                     "                    \"arn:aws-cn:iam::444455556666:user/team/anna\","
                     "\n                    \"arn:aws-cn:iam::444455556666:root\"\n"),
              "%s", out.data);
    buf_fini(&out);
}

Test(document, only_what_a_configuration_needs_to_the_byte)
{
    struct document_needs needs = {.acl = true, .prefix = "siem*/Panoptica/"};
    expect_file("minimal.json", &(struct document_cfg){.bucket_arn = "arn:aws:s3:::customer-siem",
                                                       .role_arns = one,
                                                       .n_role_arns = 1,
                                                       .needs = &needs});
    needs = (struct document_needs){.tags = true, .prefix = ""};
    expect_file("minimal-tags.json",
                &(struct document_cfg){.bucket_arn = "arn:aws:s3:::customer-siem",
                                       .role_arns = one,
                                       .n_role_arns = 1,
                                       .needs = &needs});
}

Test(document, every_partition_has_its_console)
{
    static const struct {
        const char *bucket, *url;
    } cases[] = {
        {"arn:aws:s3:::b-1", "https://console.aws.amazon.com/s3/buckets/b-1?tab=permissions"},
        {"arn:aws-us-gov:s3:::b-1",
         "https://console.amazonaws-us-gov.com/s3/buckets/b-1?tab=permissions"},
        {"arn:aws-cn:s3:::b-1", "https://console.amazonaws.cn/s3/buckets/b-1?tab=permissions"},
    };
    struct buf out;
    struct err e = {0};
    buf_init(&out, 256);
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_reset(&out);
        cr_expect_eq(document_console(cases[i].bucket, &out, &e), RC_OK, "%s", e.text);
        cr_expect_str_eq(out.data, cases[i].url);
    }
    cr_expect_eq(document_console("arn:aws-iso:s3:::b-1", &out, &e), RC_ABSENT);
    cr_expect_eq(document_console("b-1", &out, &e), RC_INVALID);
    buf_fini(&out);
}

Test(document, what_stands_in_the_buffer_stays)
{
    struct document_cfg cfg = {"arn:aws:s3:::customer-siem", one, 1, NULL, 0, NULL};
    struct buf out;
    struct err e = {0};
    buf_init(&out, 2 * POLICY_MAX);
    buf_adds(&out, "before ");
    cr_assert_eq(document_generate(&cfg, &out, &e), RC_OK, "%s", e.text);
    cr_expect_eq(strncmp(out.data, "before {\n    \"Version\"", 22), 0, "%s", out.data);
    cr_expect_str_eq(out.data + out.len - 3, "\n}\n");
    buf_fini(&out);
}

Test(document, wrong_names_make_no_policy)
{
    static const char *const gov[] = {"arn:aws-us-gov:iam::111122223333:role/x"};
    static const char *const user[] = {ROLE, "arn:aws:iam::111122223333:group/x"};
    static const struct {
        struct document_cfg cfg;
        const char *said;
    } cases[] = {
        {{"my-bucket", one, 1, NULL, 0, NULL}, "bucket ARN"},
        {{"arn:aws:s3:::my-bucket", one, 0, NULL, 0, NULL}, "at least one role"},
        {{"arn:aws:s3:::my-bucket", one, 1, one, 0, NULL}, "at least one role"},
        {{"arn:aws:s3:::my-bucket", user, 2, NULL, 0, NULL}, "no role"},
        {{"arn:aws:s3:::my-bucket", one, 1, user, 2, NULL}, "no role"},
        {{"arn:aws:s3:::my-bucket", gov, 1, NULL, 0, NULL}, "partition"},
        {{"arn:aws:s3:::my-bucket", one, 1, gov, 1, NULL}, "partition"},
        {{"arn:aws-cn:s3:::my-bucket", one, 1, NULL, 0, NULL}, "partition"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        struct err e = {0};
        buf_init(&out, POLICY_MAX);
        cr_expect_eq(document_generate(&cases[i].cfg, &out, &e), RC_INVALID);
        cr_expect(strstr(e.text, cases[i].said), "%s", e.text);
        cr_expect_eq(out.len, 0);
        buf_fini(&out);
    }
}

Test(document, a_policy_over_what_s3_takes_is_refused)
{
    enum { MANY = 400 };
    static const char *roles[MANY];
    for (size_t i = 0; i < MANY; i++)
        roles[i] = ROLE;
    struct document_cfg cfg = {"arn:aws:s3:::my-bucket", roles, MANY, one, 1, NULL};
    struct buf out;
    struct err e = {0};
    buf_init(&out, 4 * POLICY_MAX);
    size_t fits = 0;
    for (size_t n = 1; n <= MANY; n++) {
        cfg.n_role_arns = n;
        buf_reset(&out);
        enum rc rc = document_generate(&cfg, &out, &e);
        cr_assert(rc == RC_OK || rc == RC_LIMIT);
        cr_assert_eq(rc == RC_OK, out.len > 0);
        cr_assert_leq(out.len, POLICY_MAX);
        if (rc == RC_OK)
            fits = n;
    }
    cr_expect(fits > 100 && fits < MANY, "%zu", fits);
    cr_expect(strstr(e.text, "20 KiB"));
    buf_fini(&out);
}
