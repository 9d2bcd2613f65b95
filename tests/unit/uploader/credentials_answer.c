/* Keys out of answers, commands cut into words, and where a container may be asked. */
#include "uploader/credentials_int.h"

#include <criterion/criterion.h>
#include <string.h>

enum kind { METADATA, PROCESS, STS };
#define TIME "\"Expiration\":\"2026-11-23T01:02:03Z\""
#define XML(inside)                                                                                \
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"   \
    "<Credentials>" inside "</Credentials></AssumeRoleResult></AssumeRoleResponse>"

Test(credentials_answer, keys_are_read_or_it_is_said_what_is_wrong_without_them)
{
    static const struct {
        enum kind kind;
        const char *text;
        enum rc rc;
        const char *says; /* of keys: the token */
    } cases[] = {
        {METADATA,
         "{\"Code\":\"Success\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\","
         "\"Token\":\"T\"," TIME "}",
         RC_OK, "T"},
        {METADATA,
         "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\",\"Token\":\"T\"," TIME "}", RC_OK,
         "T"},
        {METADATA, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", RC_INVALID, "no keys at this"},
        {METADATA, "{\"AccessKeyId\":\"A\",\"Token\":\"HUSHED\"}", RC_INVALID,
         "no SecretAccessKey"},
        {METADATA, "{\"SecretAccessKey\":\"HUSHED\"}", RC_INVALID, "no AccessKeyId"},
        {METADATA, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\",\"Expiration\":\"soon\"}",
         RC_INVALID, "Expiration is no time"},
        {METADATA, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":[\"HUSHED\"]}", RC_INVALID,
         "not a text"},
        {METADATA, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\\n\"}", RC_INVALID,
         "position 7"},
        {METADATA, "HUSHED", RC_INVALID, "not one JSON object"},
        {METADATA, "{\"a\": HUSHED}", RC_INVALID, "not one JSON object"},
        {METADATA, "[]", RC_INVALID, "not one JSON object"},
        {METADATA, "", RC_INVALID, "not one JSON object"},
        {PROCESS,
         "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\","
         "\"SessionToken\":\"T\"," TIME "}",
         RC_OK, "T"},
        {PROCESS, "{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\"," TIME "}",
         RC_OK, NULL},
        {PROCESS, "{\"Version\":2,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\"}",
         RC_INVALID, "Version"},
        {PROCESS, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSHED\"}", RC_INVALID, "Version"},
        {STS,
         XML("<AccessKeyId>A</AccessKeyId><SecretAccessKey> HUSHED\n</SecretAccessKey>"
             "<SessionToken>T</SessionToken><Expiration>2026-11-23T01:02:03Z</Expiration>"),
         RC_OK, "T"},
        {STS, XML("<AccessKeyId>A</AccessKeyId>"), RC_INVALID, "no SecretAccessKey"},
        {STS, "<Error><Code>HUSHED</Code></Error>", RC_INVALID, "no AccessKeyId"},
        {STS, "<a><SecretAccessKey>HUSHED</a>", RC_INVALID, "not the XML"},
        {STS, "<!DOCTYPE a [<!ENTITY x \"HUSHED\">]><a>&x;</a>", RC_INVALID, "not the XML"},
        {STS, "<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>", RC_INVALID,
         "nested too deeply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char copy[1024];
        struct credentials_text t = {.data = copy, .len = strlen(cases[i].text)};
        struct credentials *c = NULL;
        struct err e = {0};
        memcpy(copy, cases[i].text, t.len + 1);
        enum credentials_form form =
            cases[i].kind == PROCESS ? CREDENTIALS_OF_PROCESS : CREDENTIALS_OF_METADATA;
        enum rc rc = cases[i].kind == STS ? credentials_from_xml(&t, "here", 7, &c, &e)
                                          : credentials_from_json(&t, form, "here", 7, &c, &e);
        cr_assert_eq(rc, cases[i].rc, "%zu: %s", i, e.text);
        if (rc != RC_OK) {
            cr_expect(strstr(e.text, cases[i].says), "%zu: %s", i, e.text);
            cr_expect_not(strstr(e.text, "HUSHED"), "%zu: %s", i, e.text);
            continue;
        }
        cr_expect_str_eq(credentials_access_key_id(c), "A");
        cr_expect_str_eq(credentials_secret_access_key(c), "HUSHED");
        cr_expect_eq(credentials_are_temporary(c), cases[i].says != NULL);
        cr_expect_eq(credentials_expires(c), 1795395723 + 7);
        credentials_free(c);
    }
}

Test(credentials_answer, a_command_is_cut_as_the_aws_tools_cut_it)
{
    static const struct {
        const char *command;
        const char *words[4]; /* NULL at first: refused */
    } cases[] = {
        {"/bin/x", {"/bin/x"}},
        {"  a\t b  ", {"a", "b"}},
        {"\"/opt/my tools/x\" --for 'a b'", {"/opt/my tools/x", "--for", "a b"}},
        {"a\\ b c\\\"", {"a b", "c\""}},
        {"a \"q\\\"q\\\\ \\n\"", {"a", "q\"q\\ \\n"}},
        {"a 'no \\ escape'", {"a", "no \\ escape"}},
        {"a ''", {"a", ""}},
        {"a$HOME `x` *", {"a$HOME", "`x`", "*"}},
        {"x'y'z", {"xyz"}},
        {"a \"open", {NULL}},
        {"a 'open", {NULL}},
        {"a \\", {NULL}},
        {"", {NULL}},
        {"   ", {NULL}},
        {"''", {NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char copy[128], *words[CREDENTIALS_WORDS_MAX + 1];
        struct err e = {0};
        memcpy(copy, cases[i].command, strlen(cases[i].command) + 1);
        enum rc rc = credentials_split(copy, words, &e);
        cr_assert_eq(rc, cases[i].words[0] ? RC_OK : RC_INVALID, "%zu: %s", i, e.text);
        size_t k = 0;
        for (; rc == RC_OK && cases[i].words[k]; k++) {
            cr_assert_not_null(words[k], "%zu", i);
            cr_expect_str_eq(words[k], cases[i].words[k], "%zu", i);
        }
        if (rc == RC_OK)
            cr_expect_null(words[k], "%zu", i);
    }
    char many[2 * CREDENTIALS_WORDS_MAX + 3], *words[CREDENTIALS_WORDS_MAX + 1];
    memset(many, ' ', sizeof many);
    for (size_t i = 0; i + 1 < sizeof many; i += 2)
        many[i] = 'a';
    many[sizeof many - 1] = '\0';
    cr_expect_eq(credentials_split(many, words, NULL), RC_INVALID);
}

static const char *variables[2];
static const char *variable(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == 0)
        return variables[0];
    return strcmp(name, "AWS_CONTAINER_CREDENTIALS_FULL_URI") == 0 ? variables[1] : NULL;
}

Test(credentials_answer, a_container_is_asked_in_clear_text_at_known_addresses_only)
{
    static const struct {
        const char *relative, *full;
        enum rc rc;
        const char *url;
    } cases[] = {
        {"/v2/creds?id=1", NULL, RC_OK, "http://169.254.170.2/v2/creds?id=1"},
        {"/first", "https://second.example/", RC_OK, "http://169.254.170.2/first"},
        {"@evil.example/", NULL, RC_INVALID, ""},
        {NULL, "http://169.254.170.23/v1/credentials", RC_OK,
         "http://169.254.170.23/v1/credentials"},
        {NULL, "http://[fd00:ec2::23]/v1", RC_OK, "http://[fd00:ec2::23]/v1"},
        {NULL, "http://localhost:8080/x", RC_OK, "http://localhost:8080/x"},
        {NULL, "http://127.1.2.3:80/x", RC_OK, "http://127.1.2.3:80/x"},
        {NULL, "http://[::1]:80/x", RC_OK, "http://[::1]:80/x"},
        {NULL, "https://anywhere.example/x", RC_OK, "https://anywhere.example/x"},
        {NULL, "http://anywhere.example/x", RC_INVALID, ""},
        {NULL, "http://127.0.0.1.evil.example/x", RC_INVALID, ""},
        {NULL, "http://localhost.evil.example/x", RC_INVALID, ""},
        {NULL, "http://localhost:x@evil.example/", RC_INVALID, ""},
        {NULL, "http://169.254.170.20/x", RC_INVALID, ""},
        {NULL, "file:///etc/passwd", RC_INVALID, ""},
        {NULL, "https://a b/", RC_INVALID, ""},
        {NULL, NULL, RC_ABSENT, ""},
    };
    struct credentials_cfg cfg = {.source = "container", .env = variable};
    struct credentials_source *s;
    cr_assert_eq(credentials_source_new(&cfg, &s, NULL), RC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf url;
        buf_init(&url, 512);
        variables[0] = cases[i].relative;
        variables[1] = cases[i].full;
        cr_expect_eq(credentials_container_url(s, &url, NULL), cases[i].rc, "%zu", i);
        if (cases[i].rc == RC_OK)
            cr_expect_str_eq(url.data, cases[i].url, "%zu", i);
        buf_fini(&url);
    }
    credentials_source_free(s);
}
