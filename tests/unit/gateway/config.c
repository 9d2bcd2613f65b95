/* The configuration: what is right is read as meant, what is wrong is told line by line. */
#include "gateway/config.h"

#include "base/mem.h"
#include "gateway/config_int.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VECTORS  TEST_SOURCE_DIR "/vectors/config"
#define EXAMPLE  TEST_SOURCE_DIR "/../examples/spoolgate.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    char *text = mem_alloc(65536);
    *n = fread(text, 1, 65535, f);
    cr_assert_eq(fclose(f), 0);
    return text;
}

static struct config *load(const char *path)
{
    struct config *c = NULL;
    struct config_faults faults = {0};
    enum rc rc = config_load(path, &c, &faults);
    cr_assert_eq(rc, RC_OK, "%s: %s", path, faults.n ? faults.lines[0] : "no line");
    cr_assert_eq(faults.n, 0);
    config_faults_fini(&faults);
    return c;
}

/* The minimal configuration with more keys, and more in its bucket; NULL and what was said when it
 * is wrong. */
static struct config *minimal_and(const char *in_bucket, const char *keys, struct buf *said)
{
    struct config *c = NULL;
    struct config_faults faults = {0};
    struct buf text;
    buf_init(&text, 65536);
    buf_addf(&text,
             "{\"spool\": \"/spool\", \"state\": \"/state\", \"account_name\": \"a\", \"bucket\": "
             "{\"arn\": \"arn:aws:s3:::siem\", \"region\": \"eu-central-1\"%s%s}%s%s}",
             *in_bucket ? ", " : "", in_bucket, *keys ? ", " : "", keys);
    enum rc rc = config_parse(text.data, text.len, "-", &c, &faults);
    cr_assert_eq(rc == RC_OK, faults.n == 0, "%s", keys);
    cr_assert_eq(rc == RC_OK, c != NULL, "%s", keys);
    for (size_t i = 0; said && i < faults.n; i++)
        buf_addf(said, "%s\n", faults.lines[i]);
    config_faults_fini(&faults);
    buf_fini(&text);
    return c;
}

static struct config *minimal_with(const char *keys, struct buf *said)
{
    return minimal_and("", keys, said);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_pairs(const struct config_pairs *a, const struct config_pairs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = same_text(a->items[i].name, b->items[i].name) &&
               same_text(a->items[i].value, b->items[i].value);
    return same;
}

static bool same_value(const struct config_key *k, void *a, void *b)
{
    switch (k->kind) {
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_WORD:
    case CONFIG_KIND_PATH:
        return same_text(*(char **)config_at(k, a), *(char **)config_at(k, b));
    case CONFIG_KIND_CHOICE:
    case CONFIG_KIND_COUNT:
        return *(unsigned *)config_at(k, a) == *(unsigned *)config_at(k, b);
    case CONFIG_KIND_BOOL:
        return *(bool *)config_at(k, a) == *(bool *)config_at(k, b);
    case CONFIG_KIND_PAIRS:
        return same_pairs(config_at(k, a), config_at(k, b));
    case CONFIG_KIND_DAYS:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_DURATION:
        return *(uint64_t *)config_at(k, a) == *(uint64_t *)config_at(k, b);
    default:
        return true;
    }
}

static void assert_same(struct config *a, struct config *b)
{
    for (size_t i = 0; i < config_table.n; i++)
        cr_expect(same_value(&config_table.keys[i], a, b), "%s", config_table.keys[i].name);
    cr_expect(same_text(a->bucket.name, b->bucket.name));
    cr_expect(same_text(a->bucket.partition, b->bucket.partition));
    cr_assert_eq(a->n_ignore, b->n_ignore);
    for (size_t i = 0; i < a->n_ignore; i++)
        cr_expect_str_eq(a->ignore[i], b->ignore[i]);
    cr_assert_eq(a->send.n_types, b->send.n_types);
    for (size_t i = 0; i < a->send.n_types; i++) {
        cr_expect_str_eq(a->send.types[i].name, b->send.types[i].name);
        for (size_t k = 0; k < config_type_table.n; k++)
            cr_expect(same_value(&config_type_table.keys[k], &a->send.types[i], &b->send.types[i]));
    }
}

Test(config, every_fault_of_a_wrong_file_is_told_in_its_line)
{
    unsigned count = 0;
    DIR *dir = opendir(VECTORS);
    cr_assert_not_null(dir);
    for (struct dirent *d; (d = readdir(dir));) {
        char path[4096];
        size_t n, length = strlen(d->d_name);
        if (strncmp(d->d_name, "wrong-", 6) != 0 || length < 5 ||
            strcmp(d->d_name + length - 5, ".json") != 0)
            continue;
        count++;
        (void)snprintf(path, sizeof path, VECTORS "/%.*s.expected", (int)length - 5, d->d_name);
        char *expected = slurp(path, &n);
        struct config *c = NULL;
        struct config_faults faults = {0};
        (void)snprintf(path, sizeof path, VECTORS "/%s", d->d_name);
        cr_expect_eq(config_load(path, &c, &faults), RC_INVALID, "%s", d->d_name);
        cr_expect_null(c);
        struct buf said;
        buf_init(&said, 65536);
        for (size_t i = 0; i < faults.n; i++)
            buf_addf(&said, "%s\n", faults.lines[i]);
        cr_expect_str_eq(said.data, expected, "%s: said\n%sexpected\n%s", d->d_name, said.data,
                         expected);
        buf_fini(&said);
        config_faults_fini(&faults);
        free(expected);
    }
    (void)closedir(dir);
    cr_assert_geq(count, 24);
}

Test(config, the_least_file_has_every_default)
{
    struct config *c = load(VECTORS "/minimal.json");
    cr_expect_str_eq(c->path, VECTORS "/minimal.json");
    cr_expect_str_eq(c->spool, "/var/spool/spoolgate");
    cr_expect_str_eq(c->state, "/var/lib/spoolgate");
    cr_expect_str_eq(c->account_name, "prod");
    cr_expect_str_eq(c->bucket.arn, "arn:aws:s3:::customer-siem");
    cr_expect_str_eq(c->bucket.name, "customer-siem");
    cr_expect_str_eq(c->bucket.partition, "aws");
    cr_expect_str_eq(c->bucket.region, "eu-central-1");
    cr_expect_null(c->bucket.endpoint);
    cr_expect_str_eq(c->bucket.acl, "bucket-owner-full-control");
    cr_expect_null(c->bucket.ca_file);
    cr_expect_not(c->bucket.path_style || c->bucket.dual_stack || c->bucket.fips);
    cr_expect_not(c->bucket.allow_http || c->bucket.requester_pays);
    cr_expect(!c->bucket.encryption.algorithm && !c->bucket.encryption.kms_key_id);
    cr_expect(!c->bucket.encryption.bucket_key_enabled && !c->bucket.encryption.context_text);
    cr_expect(!c->bucket.storage_class && !c->bucket.tagging && !c->bucket.expected_owner);
    cr_expect_str_eq(c->credentials.source, "chain");
    cr_expect(!c->credentials.profile && !c->credentials.file);
    cr_expect_str_eq(c->prefix, "");
    cr_expect_str_eq(c->layout, "Panoptica/{event_type}/{date}/{account}/{file}");
    cr_expect(c->send.raw && c->send.processed);
    cr_expect_eq(c->send.unnamed, CONFIG_PROCESSED);
    cr_expect_eq(c->send.n_types, 0);
    cr_expect_eq(c->content, CONFIG_NDJSON);
    cr_expect_eq(c->after_delivery.action, CONFIG_DELETE);
    cr_expect_eq(c->after_delivery.keep_ms, UINT64_C(30) * 86400 * 1000);
    cr_expect_eq(c->after_delivery.max_bytes, 0);
    cr_expect_eq(c->conflict, CONFIG_KEEP_BOTH);
    cr_assert_eq(c->n_ignore, 3);
    cr_expect_str_eq(c->ignore[0], "*.tmp");
    cr_expect_str_eq(c->ignore[1], "*.part");
    cr_expect_str_eq(c->ignore[2], "*.swp");
    cr_expect_eq(c->settle_ms, 1000);
    cr_expect_eq(c->rescan_ms, 300000);
    cr_expect_eq(c->uploads, 32);
    cr_expect_eq(c->threads, 0);
    cr_expect_str_eq(c->control, "/run/spoolgate/control.sock");
    cr_expect(!c->metrics.listen && !c->metrics.allow_remote);
    cr_expect_eq(c->sandbox, CONFIG_SANDBOX_AUTO);
    cr_expect_eq(c->receipts_keep_ms, UINT64_C(30) * 86400 * 1000);
    cr_expect_eq(c->multipart.threshold, UINT64_C(64) << 20);
    cr_expect_eq(c->multipart.part_size, 0);
    cr_expect_eq(c->multipart.parallel, 4);
    cr_expect_eq(c->timeouts.connect_ms, 10000);
    cr_expect_eq(c->timeouts.first_byte_ms, 60000);
    cr_expect_eq(c->timeouts.stall_ms, 60000);
    cr_expect(c->checksum_sha256 && !c->content_md5 && c->if_none_match);
    cr_expect_eq(c->bandwidth, 0);
    cr_expect_eq(c->limits.file_max, UINT64_C(5) << 40);
    cr_expect_eq(c->limits.quota, 0);
    cr_expect_eq(c->limits.free_percent, 5);
    cr_expect_eq(c->limits.free_inodes_percent, 5);
    cr_expect_eq(c->log.level, LOG_LEVEL_INFO);
    cr_expect_eq(c->log.format, LOG_FORMAT_TEXT);
    config_free(c);
}

Test(config, a_full_file_is_read_as_it_says)
{
    struct config *c = load(VECTORS "/full.json");
    cr_expect_str_eq(c->account_name, "Ünïted-1");
    cr_expect_str_eq(c->bucket.name, "full.bucket-1");
    cr_expect_str_eq(c->bucket.partition, "aws-us-gov");
    cr_expect_str_eq(c->bucket.region, "here");
    cr_expect_str_eq(c->bucket.endpoint, "http://store.example:9000/s3");
    cr_expect_null(c->bucket.acl);
    cr_expect_str_eq(c->bucket.ca_file, "/etc/ssl/own.pem");
    cr_expect(c->bucket.path_style && c->bucket.allow_http);
    cr_expect_str_eq(c->bucket.encryption.algorithm, "aws:kms:dsse");
    cr_expect_str_eq(c->bucket.encryption.kms_key_id,
                     "arn:aws:kms:eu-central-1:111122223333:key/k");
    cr_expect(c->bucket.encryption.bucket_key_enabled && c->bucket.requester_pays);
    cr_expect_str_eq(c->bucket.encryption.context_text, "eyJhcHBsaWNhdGlvbiI6InNpZW0ifQ==");
    cr_expect_str_eq(c->bucket.storage_class, "COLD_1");
    cr_expect_str_eq(c->bucket.tagging, "team=siem%20%40%20more&empty=");
    cr_expect_str_eq(c->bucket.expected_owner, "444455556666");
    cr_expect_str_eq(c->credentials.source, "file");
    cr_expect_str_eq(c->credentials.profile, "prod");
    cr_expect_str_eq(c->credentials.file, "/etc/spoolgate/credentials");
    cr_assert_eq(c->credentials.n_roles, 2);
    cr_expect_str_eq(c->credentials.roles[0].external_id, "x-1");
    cr_expect_str_eq(c->credentials.roles[0].session_name, "spoolgate@prod");
    cr_expect_str_eq(c->credentials.roles[0].endpoint, "https://sts.example:9000");
    cr_expect_eq(c->credentials.roles[0].duration_ms, 3600000);
    cr_expect_str_eq(c->credentials.roles[1].arn, "arn:aws:iam::444455556666:role/second");
    cr_expect_str_eq(c->credentials.roles[1].session_name, "spoolgate");
    cr_expect_null(c->credentials.roles[1].external_id);
    cr_expect_eq(c->credentials.roles[1].duration_ms, 0);
    cr_expect_str_eq(c->prefix, "some/where/");
    cr_expect_str_eq(c->layout, "in/{account}/{event_type}/{date}/{file}");
    cr_expect(!c->send.raw && c->send.processed);
    cr_expect_eq(c->send.unnamed, CONFIG_RAW);
    cr_assert_eq(c->send.n_types, 2);
    cr_expect_str_eq(c->send.types[1].name, "attack paths");
    cr_expect_eq(c->send.types[1].class, CONFIG_PROCESSED);
    cr_expect_eq(c->send.types[1].priority, 100);
    cr_expect_eq(c->send.types[1].content, CONFIG_NDJSON);
    cr_expect_eq(c->content, CONFIG_ANY);
    cr_expect_eq(c->after_delivery.action, CONFIG_ARCHIVE);
    cr_expect_eq(c->after_delivery.keep_ms, 0);
    cr_expect_eq(c->after_delivery.max_bytes, UINT64_C(10) << 30);
    cr_expect_eq(c->conflict, CONFIG_OVERWRITE);
    cr_assert_eq(c->n_ignore, 2);
    cr_expect_str_eq(c->ignore[1], "[!a]*");
    cr_expect_eq(c->settle_ms, 250);
    cr_expect_eq(c->rescan_ms, 90000);
    cr_expect_eq(c->uploads, 1024);
    cr_expect_eq(c->threads, 16);
    cr_expect_str_eq(c->control, "/srv/run/control.sock");
    cr_expect_str_eq(c->metrics.listen, "[2001:db8::1]:9469");
    cr_expect(c->metrics.allow_remote);
    cr_expect_eq(c->sandbox, CONFIG_SANDBOX_REQUIRE);
    cr_expect_eq(c->receipts_keep_ms, UINT64_C(400) * 86400 * 1000);
    cr_expect_eq(c->multipart.threshold, UINT64_C(5) << 20);
    cr_expect_eq(c->multipart.part_size, UINT64_C(8) << 20);
    cr_expect_eq(c->multipart.parallel, 16);
    cr_expect_eq(c->timeouts.connect_ms, 2000);
    cr_expect_eq(c->timeouts.first_byte_ms, 3000);
    cr_expect_eq(c->timeouts.stall_ms, 3600000);
    cr_expect(!c->checksum_sha256 && c->content_md5 && !c->if_none_match);
    cr_expect_eq(c->bandwidth, UINT64_C(10) << 20);
    cr_expect_eq(c->limits.file_max, 1000);
    cr_expect_eq(c->limits.quota, UINT64_C(2) << 40);
    cr_expect_eq(c->limits.free_percent, 0);
    cr_expect_eq(c->limits.free_inodes_percent, 50);
    cr_expect_eq(c->log.level, LOG_LEVEL_DEBUG);
    cr_expect_eq(c->log.format, LOG_FORMAT_JSON);
    config_free(c);
}

Test(config, what_is_written_is_read_back_as_the_same)
{
    static const char *const files[] = {VECTORS "/minimal.json", VECTORS "/full.json", EXAMPLE};
    for (size_t i = 0; i < COUNT(files); i++) {
        struct config *first = load(files[i]), *second = NULL;
        struct config_faults faults = {0};
        struct buf text;
        buf_init(&text, 65536);
        json_t *written = config_to_json(first);
        json_write_pretty(&text, written);
        cr_assert_eq(config_parse(text.data, text.len, "-", &second, &faults), RC_OK, "%s: %s",
                     files[i], faults.n ? faults.lines[0] : "");
        assert_same(first, second);
        json_decref(written);
        buf_fini(&text);
        config_free(first);
        config_free(second);
    }
}

/* In all of these every key is named, in the form in which it is written. */
Test(config, a_file_that_names_every_key_is_what_is_written)
{
    static const char *const files[] = {VECTORS "/full.json", EXAMPLE};
    for (size_t i = 0; i < COUNT(files); i++) {
        size_t n;
        struct err e = {0};
        char *text = slurp(files[i], &n);
        json_t *read = json_parse(text, n, &e);
        cr_assert_not_null(read, "%s: %s", files[i], e.text);
        struct config *c = load(files[i]);
        json_t *written = config_to_json(c);
        cr_expect(json_equal(read, written), "%s", files[i]);
        config_free(c);
        json_decref(written);
        json_decref(read);
        free(text);
    }
}

Test(config, zero_null_and_none_say_that_there_is_none)
{
    struct config *c = minimal_with("\"threads\": null, \"bandwidth\": \"0\", \"settle\": \"0\", "
                                    "\"send\": {\"types\": {}}, \"ignore\": []",
                                    NULL);
    cr_assert_not_null(c);
    cr_expect_eq(c->threads, 0);
    cr_expect_eq(c->bandwidth, 0);
    cr_expect_eq(c->settle_ms, 0);
    cr_expect_eq(c->n_ignore, 0);
    config_free(c);
    static const char text[] = "{\"spool\": \"//a//b/\", \"state\": \"/a/bc\", "
                               "\"account_name\": \"a\", \"bucket\": {\"arn\": "
                               "\"arn:aws:s3:::siem\", \"region\": \"eu-west-1\", "
                               "\"acl\": \"none\"}}";
    struct config_faults faults = {0};
    cr_assert_eq(config_parse(text, sizeof text - 1, "-", &c, &faults), RC_OK);
    cr_expect_null(c->bucket.acl);
    cr_expect_str_eq(c->spool, "/a/b"); /* and /a/bc is not inside it */
    config_free(c);
}

Test(config, limits_hold_at_both_ends)
{
    static const struct {
        const char *keys;
        bool right;
    } cases[] = {
        {"\"settle\": \"3600s\"", true},
        {"\"settle\": \"3601s\"", false},
        {"\"rescan\": \"10s\"", true},
        {"\"rescan\": \"9999ms\"", false},
        {"\"uploads\": 1", true},
        {"\"uploads\": 1024", true},
        {"\"uploads\": 1025", false},
        {"\"uploads\": -1", false},
        {"\"uploads\": 4294967297", false},
        {"\"uploads\": 32.0", false},
        {"\"threads\": 1", true},
        {"\"threads\": 0", false},
        {"\"threads\": 17", false},
        {"\"receipts\": {\"keep_days\": 3650}", true},
        {"\"receipts\": {\"keep_days\": 3651}", false},
        {"\"multipart\": {\"threshold\": \"5GiB\"}", true},
        {"\"multipart\": {\"threshold\": \"5368709121\"}", false},
        {"\"multipart\": {\"threshold\": \"0\"}", false},
        {"\"multipart\": {\"part_size\": \"5242879\"}", false},
        {"\"multipart\": {\"part_size\": \"5MiB\"}", true},
        {"\"limits\": {\"max_file_size\": \"0\"}", false},
        {"\"limits\": {\"min_free_percent\": 50}", true},
        {"\"after_delivery\": {\"action\": \"archive\", \"keep\": \"0\"}", true},
        {"\"after_delivery\": {\"action\": \"keep\", \"keep\": \"0\"}", false},
        {"\"layout\": \"any\"", true},
        {"\"layout\": \"\"", false},
        {"\"prefix\": \"\"", true},
        {"\"prefix\": \"a/../b/\"", false},
        {"\"control\": \"/\"", false},
        {"\"metrics\": {\"listen\": null}", true},
        {"\"metrics\": {\"listen\": \"127.0.0.1:9469\"}", true},
        {"\"metrics\": {\"listen\": \"localhost:1\"}", true},
        {"\"metrics\": {\"listen\": \"[::1]:65535\"}", true},
        {"\"metrics\": {\"listen\": \"127.0.0.1\"}", false},
        {"\"metrics\": {\"listen\": \"127.0.0.1:0\"}", false},
        {"\"metrics\": {\"listen\": \"127.0.0.1:65536\"}", false},
        {"\"metrics\": {\"listen\": \":9469\"}", false},
        {"\"metrics\": {\"listen\": \"::1:9469\"}", false},
        {"\"metrics\": {\"listen\": \"0.0.0.0:9469\"}", false},
        {"\"metrics\": {\"listen\": \"[::]:9469\"}", false},
        {"\"metrics\": {\"listen\": \"192.0.2.1:9469\"}", false},
        {"\"metrics\": {\"listen\": \"0.0.0.0:9469\", \"allow_remote\": true}", true},
        {"\"metrics\": {\"listen\": \"gateway.example:9469\", \"allow_remote\": true}", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *c = minimal_with(cases[i].keys, NULL);
        cr_expect_eq(c != NULL, cases[i].right, "%s", cases[i].keys);
        config_free(c);
    }
}

Test(config, options_of_requests_go_together_or_are_refused)
{
    static const struct {
        const char *in_bucket;
        bool right;
    } cases[] = {
        {"\"encryption\": {}", true},
        {"\"encryption\": {\"algorithm\": \"none\"}", true},
        {"\"encryption\": {\"algorithm\": \"none\", \"kms_key_id\": \"k\"}", false},
        {"\"encryption\": {\"algorithm\": \"aws:kms\", \"kms_key_id\": \"k\"}", true},
        {"\"storage_class\": \"DEEP_ARCHIVE\"", true},
        {"\"storage_class\": \"DEEP_ARCHIVE_2\"", false},
        {"\"storage_class\": \"COLD\", \"endpoint\": \"https://s.example\"", true},
        {"\"expected_owner\": \"111122223333\"", true},
        {"\"expected_owner\": \"1111222233334\"", false},
        {"\"expected_owner\": \"11112222333x\"", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *c = minimal_and(cases[i].in_bucket, "", NULL);
        cr_expect_eq(c != NULL, cases[i].right, "%s", cases[i].in_bucket);
        config_free(c);
    }
}

Test(config, a_slip_is_met_with_the_key_that_was_meant)
{
    static const struct {
        const char *key, *said;
    } cases[] = {
        {"setle", "$.setle: unknown key (did you mean \"settle\"?)\n"},
        {"accountname", "$.accountname: unknown key (did you mean \"account_name\"?)\n"},
        {"SETTLE", "$.SETTLE: unknown key (did you mean \"settle\"?)\n"},
        {"keep_days", "$.keep_days: unknown key (did you mean \"receipts.keep_days\"?)\n"},
        {"contents", "$.contents: unknown key (did you mean \"content\"?)\n"},
        {"aws_session_token", "$.aws_session_token: unknown key; no secrets belong in this file: "
                              "keys come from credentials.source\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char keys[128];
        struct buf said;
        buf_init(&said, 4096);
        (void)snprintf(keys, sizeof keys, "\"%s\": \"hush\"", cases[i].key);
        cr_expect_null(minimal_with(keys, &said));
        cr_expect_str_eq(said.data, cases[i].said);
        buf_fini(&said);
    }
}

Test(config, an_event_type_has_its_row_or_that_of_the_unnamed)
{
    struct config *c =
        minimal_with("\"send\": {\"raw\": false, \"types\": {\"audit\": {\"class\": \"raw\"}, "
                     "\"all\": {}, \"zip\": {\"content\": \"ndjson\", \"priority\": 7}}, "
                     "\"unnamed\": \"processed\"}, \"content\": \"any\"",
                     NULL);
    cr_assert_not_null(c);
    static const struct {
        const char *name;
        enum config_class class;
        unsigned priority;
        enum config_content content;
        bool selected;
    } cases[] = {
        {"audit", CONFIG_RAW, 0, CONFIG_ANY, false},
        {"all", CONFIG_PROCESSED, 0, CONFIG_ANY, true},
        {"zip", CONFIG_PROCESSED, 7, CONFIG_NDJSON, true},
        {"audi", CONFIG_PROCESSED, 0, CONFIG_ANY, true},
        {"auditor", CONFIG_PROCESSED, 0, CONFIG_ANY, true},
        {"", CONFIG_PROCESSED, 0, CONFIG_ANY, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = strlen(cases[i].name);
        const struct config_type *type = config_type(c, cases[i].name, n);
        cr_expect_eq(type->class, cases[i].class, "%s", cases[i].name);
        cr_expect_eq(type->priority, cases[i].priority, "%s", cases[i].name);
        cr_expect_eq(type->content, cases[i].content, "%s", cases[i].name);
        cr_expect_eq(config_selects(c, cases[i].name, n), cases[i].selected, "%s", cases[i].name);
    }
    /* The name need not end where its bytes do. */
    cr_expect_eq(config_type(c, "audit/2024", 5)->class, CONFIG_RAW);
    c->send.unnamed = CONFIG_RAW;
    c->content = CONFIG_NDJSON;
    cr_expect_eq(config_type(c, "x", 1)->class, CONFIG_RAW);
    cr_expect_eq(config_type(c, "x", 1)->content, CONFIG_NDJSON);
    cr_expect_not(config_selects(c, "x", 1));
    cr_expect_not(config_selects_all(c), "those without a row are not sent");
    c->send.unnamed = CONFIG_PROCESSED;
    cr_expect_not(config_selects_all(c), "audit is not sent");
    c->send.raw = true;
    cr_expect(config_selects_all(c));
    config_free(c);
}

Test(config, a_file_that_cannot_be_read_is_one_line_with_the_remedy)
{
    char dir[] = "/tmp/config-test-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chmod(dir, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/c.json", dir);
    struct config *c = NULL;
    struct config_faults faults = {0};
    cr_expect_eq(config_load(path, &c, &faults), RC_ABSENT);
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    cr_assert_eq(fclose(f), 0);
    cr_assert_eq(chmod(path, 0), 0);
    uid_t me = geteuid();
    if (me == 0)
        cr_assert_eq(seteuid(65534), 0);
    cr_expect_eq(config_load(path, &c, &faults), RC_DENIED);
    if (me == 0)
        cr_assert_eq(seteuid(0), 0);
    cr_expect_neq(config_load(dir, &c, &faults), RC_OK);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(truncate(path, 2 << 20), 0);
    cr_expect_eq(config_load(path, &c, &faults), RC_LIMIT);
    cr_expect_null(c);
    cr_assert_eq(faults.n, 4);
    cr_expect(strstr(faults.lines[0], "write one"));
    cr_expect(strstr(faults.lines[1], "may not read"));
    config_faults_fini(&faults);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(dir), 0);
}

/* Whatever the bytes: a configuration or faults, never both, never neither, and nothing leaks. */
Test(config, cut_and_damaged_files_end_in_faults)
{
    size_t n;
    char *text = slurp(VECTORS "/full.json", &n);
    for (size_t i = 0; i < 2 * n; i++) {
        struct config *c = NULL;
        struct config_faults faults = {0};
        char was = text[i % n];
        if (i >= n)
            text[i % n] = (char)(was ^ (1 << (i % 8)));
        enum rc rc = config_parse(text, i < n ? i : n, "-", &c, &faults);
        cr_assert_eq(rc == RC_OK, c != NULL);
        cr_assert_eq(rc == RC_OK, faults.n == 0);
        cr_assert(rc == RC_OK || rc == RC_INVALID);
        /* Only the last newline can go without loss. */
        cr_assert(i >= n - 1 || rc == RC_INVALID);
        text[i % n] = was;
        config_free(c);
        config_faults_fini(&faults);
    }
    free(text);
}

Test(config, the_table_is_in_order)
{
    for (size_t i = 0; i < config_table.n; i++) {
        const struct config_key *k = &config_table.keys[i];
        const char *dot = strrchr(k->name, '.');
        char parent[64] = "";
        if (dot)
            (void)snprintf(parent, sizeof parent, "%.*s", (int)(dot - k->name), k->name);
        cr_expect_eq(config_find(&config_table, parent, dot ? dot + 1 : k->name), k, "%s twice",
                     k->name);
        const struct config_key *object = NULL;
        for (size_t j = 0; dot && j < i; j++) {
            if (strcmp(config_table.keys[j].name, parent) == 0)
                object = &config_table.keys[j];
        }
        cr_expect(!dot || (object && object->kind == CONFIG_KIND_OBJECT), "%s", k->name);
    }
}

Test(config, the_option_goes_before_the_variable_before_the_packaged_path)
{
    cr_assert_eq(setenv(CONFIG_ENV, "/from/env", 1), 0);
    cr_expect_str_eq(config_choose_path("/from/option"), "/from/option");
    cr_expect_str_eq(config_choose_path(NULL), "/from/env");
    cr_assert_eq(setenv(CONFIG_ENV, "", 1), 0);
    cr_expect_str_eq(config_choose_path(NULL), CONFIG_PATH_DEFAULT);
    cr_assert_eq(unsetenv(CONFIG_ENV), 0);
    cr_expect_str_eq(config_choose_path(NULL), CONFIG_PATH_DEFAULT);
}
