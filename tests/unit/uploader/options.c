/* Which request carries which of the options, and how tags and the context are written. */
#include "uploader/options.h"

#include "uploader/request.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OBJECTS  (1u << REQUEST_PUT_OBJECT | 1u << REQUEST_CREATE_MULTIPART)
#define BUCKETS  (((1u << REQUEST_OP_COUNT_) - 1) & ~(1u << REQUEST_LIST_BUCKETS))

static const struct options everything = {
    .encryption = "aws:kms",
    .kms_key_id = "arn:aws:kms:eu-central-1:111122223333:key/k",
    .encryption_context = "eyJhIjoiYiJ9",
    .bucket_key = true,
    .storage_class = "STANDARD_IA",
    .tagging = "team=siem",
    .expected_owner = "444455556666",
    .requester_pays = true,
};

static const struct {
    const char *header;
    unsigned on; /* bits of the operations that carry it */
} table[] = {
    {"x-amz-acl: bucket-owner-full-control", OBJECTS},
    {"x-amz-server-side-encryption: aws:kms", OBJECTS},
    {"x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:eu-central-1:111122223333:key/k",
     OBJECTS},
    {"x-amz-server-side-encryption-bucket-key-enabled: true", OBJECTS},
    {"x-amz-server-side-encryption-context: eyJhIjoiYiJ9", OBJECTS},
    {"x-amz-storage-class: STANDARD_IA", OBJECTS},
    {"x-amz-tagging: team=siem", OBJECTS},
    {"x-amz-expected-bucket-owner: 444455556666", BUCKETS},
    {"x-amz-request-payer: requester", BUCKETS & ~(1u << REQUEST_GET_BUCKET_LOCATION)},
};

/* The names of Authorization's SignedHeaders, or "". */
static const char *signed_names(const struct request *r)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        const char *names = strstr(r->headers[i], "SignedHeaders=");
        if (names && strncmp(r->headers[i], "authorization:", 14) == 0)
            return names;
    }
    return "";
}

static unsigned lines_of(const struct request *r, const char *line)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->n_headers; i++)
        n += strncmp(r->headers[i], line, strcspn(line, ":") + 1) == 0 &&
             strcmp(r->headers[i], line) == 0;
    return n;
}

static unsigned any_of(const struct request *r, const char *line)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->n_headers; i++)
        n += strncmp(r->headers[i], line, strcspn(line, ":") + 1) == 0;
    return n;
}

static void build(struct request *r, enum request_op op, const struct options *o)
{
    struct endpoint_cfg cfg = {.bucket = "examplebucket", .region = "eu-central-1"};
    struct endpoint ep;
    struct err e = {0};
    cr_assert_eq(endpoint_resolve(&cfg, &ep, &e), RC_OK);
    struct credentials *c = credentials_new("AKIDEXAMPLE", "secret", "token", INT64_MAX);
    struct request_context ctx = {.endpoint = &ep,
                                  .credentials = c,
                                  .acl = "bucket-owner-full-control",
                                  .checksum_sha256 = true,
                                  .content_md5 = true,
                                  .if_none_match = true,
                                  .options = o,
                                  .user_agent = "spoolgate"};
    static const uint8_t sha[SHA256_SIZE], md5[MD5_SIZE];
    struct request_spec spec = {.op = op,
                                .key = "a",
                                .key_len = 1,
                                .upload_id = "u",
                                .part_number = 1,
                                .sha256 = sha,
                                .md5 = md5};
    cr_assert_eq(request_build(r, &ctx, &spec, 1369353600, &e), RC_OK, "%s", e.text);
    credentials_free(c);
}

Test(options, each_header_is_on_the_requests_that_take_it_and_signed)
{
    struct request r;
    request_init(&r);
    for (unsigned op = 0; op < REQUEST_OP_COUNT_; op++) {
        build(&r, (enum request_op)op, &everything);
        for (size_t i = 0; i < COUNT(table); i++) {
            unsigned want = table[i].on >> op & 1;
            cr_expect_eq(lines_of(&r, table[i].header), want, "%s on %s", table[i].header,
                         request_op_name((enum request_op)op));
            cr_expect_eq(any_of(&r, table[i].header), want, "%s", table[i].header);
            char name[64] = ";";
            strncat(name, table[i].header, strcspn(table[i].header, ":"));
            cr_expect_eq(strstr(signed_names(&r), name) != NULL, want == 1, "%s signed on %s", name,
                         request_op_name((enum request_op)op));
        }
    }
    request_fini(&r);
}

/* The signer is not asked to sort, so they must be added in the order of their names. */
Test(options, the_signed_names_are_in_order)
{
    struct request r;
    request_init(&r);
    build(&r, REQUEST_PUT_OBJECT, &everything);
    for (size_t i = 1; i + 2 < r.n_headers; i++) { /* the last two are not signed */
        size_t n = strcspn(r.headers[i], ":"), before = strcspn(r.headers[i - 1], ":");
        int order = memcmp(r.headers[i - 1], r.headers[i], before < n ? before : n);
        cr_expect(order < 0 || (order == 0 && before < n), "%s before %s", r.headers[i - 1],
                  r.headers[i]);
    }
    request_fini(&r);
}

Test(options, without_encryption_nothing_of_it_is_said)
{
    static const struct options none = {.kms_key_id = "k", .bucket_key = true};
    struct request r;
    request_init(&r);
    const struct options *cases[] = {&none, NULL};
    for (size_t c = 0; c < COUNT(cases); c++) {
        build(&r, REQUEST_PUT_OBJECT, cases[c]);
        for (size_t i = 1; i < COUNT(table); i++)
            cr_expect_eq(any_of(&r, table[i].header), 0, "%s", table[i].header);
    }
    request_fini(&r);
}

Test(options, tags_and_context_are_encoded)
{
    static const struct options_pair pairs[] = {
        {"team", "siem & more"}, {"cost=centre", "a/b+c:d@e"}, {"größe", ""}};
    struct buf b;
    buf_init(&b, 4096);
    options_tagging(&b, pairs, COUNT(pairs));
    cr_expect_str_eq(b.data, "team=siem%20%26%20more&cost%3Dcentre=a%2Fb%2Bc%3Ad%40e&gr%C3%B6%C3%"
                             "9Fe=");
    buf_reset(&b);
    static const struct options_pair context[] = {{"app", "spool\"gate\""}};
    options_context(&b, context, 1);
    cr_expect_str_eq(b.data, "eyJhcHAiOiJzcG9vbFwiZ2F0ZVwiIn0="); /* {"app":"spool\"gate\""} */
    buf_fini(&b);
}

Test(options, tags_keep_to_the_rules_of_s3)
{
    char name[200], value[300], umlauts[257];
    memset(name, 'n', sizeof name);
    memset(value, 'v', sizeof value);
    name[128] = value[256] = '\0';
    for (size_t i = 0; i < 256; i += 2)
        memcpy(umlauts + i, "ä", 2);
    umlauts[256] = '\0';
    const struct {
        const char *name, *value;
        bool right;
    } cases[] = {
        {"team", "", true},     {"a b+-=._:/@9", "a b+-=._:/@9", true},
        {name, value, true},    {umlauts, "1", true}, /* 128 characters of two bytes each */
        {"", "v", false},       {"aws:team", "v", false},
        {"awsteam", "v", true}, {"a&b", "v", false},
        {"a", "v\n", false},    {"a", "{event_type}", false},
        {"a", "v;", false},
    };
    struct err e;
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(options_check_tag(cases[i].name, cases[i].value, &e) == RC_OK, cases[i].right,
                     "%s", cases[i].name);
    name[128] = value[256] = 'x';
    name[129] = value[257] = '\0';
    cr_expect_neq(options_check_tag(name, "v", &e), RC_OK);
    cr_expect_neq(options_check_tag("n", value, &e), RC_OK);
}

Test(options, a_copy_has_texts_of_its_own)
{
    struct options to, empty;
    char class[] = "GLACIER";
    options_copy(&to, &(struct options){.storage_class = class, .requester_pays = true});
    class[0] = 'X';
    cr_expect_str_eq(to.storage_class, "GLACIER");
    cr_expect(to.requester_pays && !to.tagging);
    options_fini(&to);
    options_copy(&empty, &(struct options){0});
    options_fini(&empty);
}
