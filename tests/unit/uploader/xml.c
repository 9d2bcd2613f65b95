/* S3's answers, and what only looks like them. */
#include "uploader/xml.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static void parse(const char *text, struct xml_answer *a)
{
    struct err e = {0};
    cr_assert_eq(xml_parse(text, strlen(text), a, &e), RC_OK, "%s: %s", e.text, text);
}

Test(xml, an_error_is_read_with_what_it_names)
{
    struct xml_answer a;
    parse("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<Error><Code>AuthorizationHeaderMalformed</Code>"
          "<Message>The region 'us-east-1' is wrong; expecting 'eu-west-1' &amp; so on</Message>"
          "<Region>\n eu-west-1 </Region><RequestId>4442587FB7D0A2F9</RequestId>"
          "<Resource>/bucket/key</Resource><HostId>x</HostId></Error>",
          &a);
    cr_expect_str_eq(a.root, "Error");
    cr_expect_str_eq(a.code, "AuthorizationHeaderMalformed");
    cr_expect_str_eq(a.message, "The region 'us-east-1' is wrong; expecting 'eu-west-1' & so on");
    cr_expect_str_eq(a.region, "eu-west-1");
    cr_expect_str_eq(a.request_id, "4442587FB7D0A2F9");
    cr_expect_str_eq(a.resource, "/bucket/key");
    cr_expect_str_eq(a.upload_id, "");
}

Test(xml, each_operation_s_answer_gives_its_fields)
{
    struct xml_answer a;
    parse("<InitiateMultipartUploadResult" NS "><Bucket>b</Bucket><Key>k</Key>"
          "<UploadId>VXBsb2Fk/+==</UploadId></InitiateMultipartUploadResult>",
          &a);
    cr_expect_str_eq(a.root, "InitiateMultipartUploadResult");
    cr_expect_str_eq(a.upload_id, "VXBsb2Fk/+==");
    parse(
        "<s3:CompleteMultipartUploadResult xmlns:s3=\"urn:x\"><s3:ETag>&quot;abc-3&quot;</s3:ETag>"
        "<s3:ChecksumSHA256>c2hh-3</s3:ChecksumSHA256></s3:CompleteMultipartUploadResult>",
        &a);
    cr_expect_str_eq(a.root, "CompleteMultipartUploadResult");
    cr_expect_str_eq(a.etag, "\"abc-3\"");
    cr_expect_str_eq(a.checksum_sha256, "c2hh-3");
    parse("<LocationConstraint" NS ">eu-central-1</LocationConstraint>", &a);
    cr_expect_str_eq(a.location_constraint, "eu-central-1");
    parse("<LocationConstraint" NS "/>", &a);
    cr_expect_str_eq(a.root, "LocationConstraint");
    cr_expect_str_eq(a.location_constraint, "");
    parse("<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2026-11-23T01:02:03Z</ServerTime></"
          "Error>",
          &a);
    cr_expect_str_eq(a.server_time, "2026-11-23T01:02:03Z");
    parse("<ErrorResponse><Error><Code>Throttling</Code></Error><RequestId>r</RequestId></"
          "ErrorResponse>",
          &a);
    cr_expect_str_eq(a.code, "Throttling");
    cr_expect_str_eq(a.request_id, "r");
}

Test(xml, entries_of_a_list_are_no_fields_of_the_answer)
{
    struct xml_answer a;
    parse("<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId></Upload>"
          "<x><Error2><Code>no</Code></Error2></x></ListMultipartUploadsResult>",
          &a);
    cr_expect_str_eq(a.upload_id, "");
    cr_expect_str_eq(a.code, "");
}

#define ACL(grants)                                                                                \
    "<AccessControlPolicy" NS "><Owner><ID>owner</ID><DisplayName>d</DisplayName></Owner>"         \
    "<AccessControlList>" grants "</AccessControlList></AccessControlPolicy>"
#define GRANT(id, permission)                                                                      \
    "<Grant><Grantee xmlns:xsi=\"i\" xsi:type=\"CanonicalUser\"><ID>" id                           \
    "</ID></Grantee><Permission>" permission "</Permission></Grant>"

Test(xml, full_control_counts_only_for_the_owner)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        {ACL(GRANT("owner", "FULL_CONTROL")), true},
        {ACL(GRANT("other", "FULL_CONTROL") GRANT("owner", " FULL_CONTROL ")), true},
        {ACL(GRANT("owner", "READ")), false},
        {ACL(GRANT("other", "FULL_CONTROL")), false},
        {ACL(GRANT("other", "FULL_CONTROL") GRANT("owner", "READ")), false},
        {ACL(GRANT("", "FULL_CONTROL")), false},
        {ACL("<Grant><Permission>FULL_CONTROL</Permission></Grant>"), false},
        {ACL(""), false},
        {"<Other>" GRANT("", "FULL_CONTROL") "</Other>", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xml_answer a;
        parse(cases[i].text, &a);
        cr_expect_eq(a.owner_full_control, cases[i].expected, "%zu", i);
    }
}

Test(xml, a_text_is_cut_at_its_field_and_between_characters)
{
    struct xml_answer a;
    struct buf b;
    buf_init(&b, 4096);
    buf_adds(&b, "<Error><Code>");
    for (int i = 0; i < 100; i++)
        buf_adds(&b, "\xe6\x97\xa5"); /* three bytes each; 63 fit, that is 21 of them */
    buf_adds(&b, "</Code><Region>");
    for (int i = 0; i < 500; i++)
        buf_adds(&b, "ab");
    buf_adds(&b, "</Region></Error>");
    parse(b.data, &a);
    cr_expect_eq(strlen(a.code), 63);
    cr_expect_eq(strlen(a.region), sizeof a.region - 1);
    buf_cut(&b, 0);
    buf_adds(&b, "<Error><Code>x");
    for (int i = 0; i < 100; i++)
        buf_adds(&b, "\xe6\x97\xa5");
    buf_adds(&b, "</Code></Error>");
    parse(b.data, &a);
    cr_expect_eq(strlen(a.code), 61);
    buf_fini(&b);
}

Test(xml, a_message_that_is_too_long_loses_its_middle)
{
    static const char head[] = "User: arn:aws:sts::111122223333:assumed-role/panoptica-customer/s "
                               "is not authorized to perform: s3:PutObject on resource: ";
    static const char tail[] = "\" because no resource-based policy allows the s3:PutObject action";
    /* What stands between, as often as that; the last ones also of more bytes than are gathered. */
    static const struct {
        const char *piece;
        size_t times;
        bool whole, end;
    } cases[] = {
        {"k", 500, true, true},
        {"k", 640, false, true},
        {"\xe6\x97\xa5", 340, false, true},
        {"\xe6\x97\xa5", 341, false, true},
        {"k\xe6\x97\xa5", 500, false, true},
        {"\xc3\xa9", 800, false, true},
        {"\xe6\x97\xa5", 2000, false, false},
        {"a\xe6\x97\xa5", 2000, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xml_answer a;
        struct buf b, said;
        buf_init(&b, 16384);
        buf_init(&said, 16384);
        buf_adds(&said, head);
        for (size_t n = 0; n < cases[i].times; n++)
            buf_adds(&said, cases[i].piece);
        buf_adds(&said, tail);
        buf_addf(&b, "<Error><Message>\n%s </Message></Error>", said.data);
        parse(b.data, &a);
        size_t n = strlen(a.message);
        cr_expect_eq(strcmp(a.message, said.data) == 0, cases[i].whole, "%zu", i);
        cr_expect_eq(strncmp(a.message, head, sizeof head - 1), 0, "%zu: %s", i, a.message);
        cr_assert_geq(n, sizeof tail - 1);
        cr_expect_eq(strcmp(a.message + n - (sizeof tail - 1), tail) == 0, cases[i].end, "%zu: %s",
                     i, a.message);
        cr_expect_eq(strstr(a.message, " \xe2\x80\xa6 ") != NULL, !cases[i].whole, "%zu", i);
        cr_expect_eq(utf8_span(a.message, n), n, "%zu: %s", i, a.message);
        if (!cases[i].whole)
            cr_expect_geq(n, sizeof a.message - 8, "%zu: %zu", i, n);
        buf_fini(&said);
        buf_fini(&b);
    }
}

Test(xml, an_upload_id_is_whole_or_not_there)
{
    static const size_t sizes[] = {344, 1022, 1023, 1024, 1025, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct xml_answer a;
        struct buf b;
        buf_init(&b, 8192);
        buf_adds(&b, "<InitiateMultipartUploadResult><UploadId>");
        for (size_t n = 0; n < sizes[i]; n++)
            buf_addc(&b, 'i');
        buf_adds(&b, "</UploadId></InitiateMultipartUploadResult>");
        parse(b.data, &a);
        cr_expect_eq(strlen(a.upload_id), sizes[i] < 1024 ? sizes[i] : 0, "%zu", sizes[i]);
        buf_fini(&b);
    }
}

Test(xml, what_is_not_a_plain_answer_is_refused_and_gives_nothing)
{
    static const char *const cases[] = {
        "",
        "   ",
        "<html><body><p>502</body></html>",
        "<Error><Code>A</Code>",
        "<Error><Code>A</Code></Error><Error/>",
        "{\"code\": 1}",
        "<!DOCTYPE Error [<!ENTITY a \"aaaa\">]><Error><Code>&a;</Code></Error>",
        "<!DOCTYPE Error SYSTEM \"http://evil.example/x.dtd\"><Error><Code>A</Code></Error>",
        "<Error><Code>&a;</Code></Error>",
        "<Error><Code>A</Code><a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a></Error>",
        "<Error><Code>\xff</Code></Error>",
        "<Error><Code>\x01</Code></Error>",
        "<Error a=\"1\" a=\"2\"/>",
    };
    static const struct xml_answer nothing;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xml_answer a;
        struct err e = {0};
        cr_expect_eq(xml_parse(cases[i], strlen(cases[i]), &a, &e), RC_INVALID, "%zu", i);
        cr_expect_eq(memcmp(&a, &nothing, sizeof a), 0, "%zu", i);
        cr_expect_neq(e.text[0], '\0');
    }
}

Test(xml, size_and_depth_are_bounded_just_where_they_are_said_to_be)
{
    struct xml_answer a;
    struct buf b;
    parse("<a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a>", &a);
    buf_init(&b, 70000);
    buf_adds(&b, "<Error>");
    while (b.len < 65536 - strlen("</Error>"))
        buf_addc(&b, ' ');
    buf_adds(&b, "</Error>");
    parse(b.data, &a);
    buf_addc(&b, '\n');
    cr_expect_eq(xml_parse(b.data, b.len, &a, NULL), RC_INVALID);
    buf_fini(&b);
}
