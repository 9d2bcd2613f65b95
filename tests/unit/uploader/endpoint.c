/* Where buckets are reached, and what is refused as a place. */
#include "uploader/endpoint.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
    struct endpoint_cfg cfg;
    const char *origin, *host, *base;
} places[] = {
    {{.bucket = "customer-siem", .region = "eu-central-1"},
     "https://customer-siem.s3.eu-central-1.amazonaws.com",
     "customer-siem.s3.eu-central-1.amazonaws.com",
     ""},
    /* a dot in the name: the wildcard certificate would not match */
    {{.bucket = "a.b.c", .region = "us-east-1"},
     "https://s3.us-east-1.amazonaws.com",
     "s3.us-east-1.amazonaws.com",
     "/a.b.c"},
    {{.bucket = "bucket", .region = "cn-north-1"},
     "https://bucket.s3.cn-north-1.amazonaws.com.cn",
     "bucket.s3.cn-north-1.amazonaws.com.cn",
     ""},
    {{.bucket = "bucket", .region = "us-gov-west-1", .fips = true},
     "https://bucket.s3-fips.us-gov-west-1.amazonaws.com",
     "bucket.s3-fips.us-gov-west-1.amazonaws.com",
     ""},
    {{.bucket = "bucket", .region = "us-isob-east-1"},
     "https://bucket.s3.us-isob-east-1.sc2s.sgov.gov",
     "bucket.s3.us-isob-east-1.sc2s.sgov.gov",
     ""},
    {{.bucket = "bucket", .region = "us-west-2", .dual_stack = true},
     "https://bucket.s3.dualstack.us-west-2.amazonaws.com",
     "bucket.s3.dualstack.us-west-2.amazonaws.com",
     ""},
    {{.bucket = "bucket", .region = "us-west-2", .dual_stack = true, .fips = true},
     "https://bucket.s3-fips.dualstack.us-west-2.amazonaws.com",
     "bucket.s3-fips.dualstack.us-west-2.amazonaws.com",
     ""},
    {{.bucket = "bucket", .region = "r1", .url = "https://store.example:9000/"},
     "https://bucket.store.example:9000",
     "bucket.store.example:9000",
     ""},
    {{.bucket = "bucket", .region = "r1", .url = "HTTPS://Store.Example:443", .path_style = true},
     "https://store.example",
     "store.example",
     "/bucket"},
    {{.bucket = "bucket",
      .region = "r1",
      .url = "https://store.example/s3/v1//",
      .path_style = true},
     "https://store.example",
     "store.example",
     "/s3/v1/bucket"},
    {{.bucket = "bucket", .region = "r1", .url = "https://store.example/s3"},
     "https://bucket.store.example",
     "bucket.store.example",
     "/s3"},
    {{.bucket = "a.b", .region = "r1", .url = "https://store.example"},
     "https://store.example",
     "store.example",
     "/a.b"},
    /* an address has no subdomains */
    {{.bucket = "bucket", .url = "http://127.0.0.1:9000"},
     "http://127.0.0.1:9000",
     "127.0.0.1:9000",
     "/bucket"},
    {{.bucket = "bucket", .url = "http://[::1]:9000"},
     "http://[::1]:9000",
     "[::1]:9000",
     "/bucket"},
    {{.bucket = "bucket", .url = "http://localhost:80", .path_style = true},
     "http://localhost",
     "localhost",
     "/bucket"},
    {{.bucket = "bucket", .url = "http://store.lan", .allow_http = true},
     "http://bucket.store.lan",
     "bucket.store.lan",
     ""},
    {{.bucket = "bucket", .url = "https://127.0.0.1.example.com"},
     "https://bucket.127.0.0.1.example.com",
     "bucket.127.0.0.1.example.com",
     ""},
};

Test(endpoint, a_bucket_is_found_where_its_store_has_it)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct endpoint ep;
        struct err e = {0};
        cr_assert_eq(endpoint_resolve(&places[i].cfg, &ep, &e), RC_OK, "%zu: %s", i, e.text);
        cr_expect_str_eq(ep.origin, places[i].origin);
        cr_expect_str_eq(ep.host, places[i].host);
        cr_expect_str_eq(ep.base, places[i].base);
        cr_expect_str_eq(ep.bucket, places[i].cfg.bucket);
        cr_expect_str_eq(ep.region, places[i].cfg.region ? places[i].cfg.region : "us-east-1");
    }
}

Test(endpoint, what_is_no_place_for_a_bucket_is_refused_with_a_sentence)
{
    static const char long_name[] =
        "a123456789b123456789c123456789d123456789e123456789f123456789g123";
    static char long_url[400] = "https://";
    memset(long_url + 8, 'a', sizeof long_url - 9);
    const struct {
        struct endpoint_cfg cfg;
        const char *says;
    } cases[] = {
        {{.bucket = "ab", .region = "r1"}, "3 to 63"},
        {{.bucket = long_name, .region = "r1"}, "3 to 63"},
        {{.bucket = "Bucket", .region = "r1"}, "lower-case"},
        {{.bucket = "buck_et", .region = "r1"}, "lower-case"},
        {{.bucket = "b\r\nx", .region = "r1"}, "\"b\\x0d\\nx\""},
        {{.bucket = "-bucket", .region = "r1"}, "begin and end"},
        {{.bucket = "bucket.", .region = "r1"}, "begin and end"},
        {{.bucket = "buc..ket", .region = "r1"}, "two dots"},
        {{.bucket = "192.168.1.1", .region = "r1"}, "IP address"},
        {{.bucket = "bucket--use1-az4--x-s3", .region = "us-east-1"}, "directory bucket"},
        {{.bucket = "bucket"}, "region"},
        {{.bucket = "bucket", .region = ""}, "region"},
        {{.bucket = "bucket", .region = "eu/central"}, "region"},
        {{.bucket = "bucket", .region = "-eu"}, "region"},
        {{.bucket = "bucket", .region = "evil.example"}, "region"},
        {{.bucket = "bucket", .region = "cn-north-1", .fips = true}, "FIPS"},
        {{.bucket = "bucket", .url = "store.example"}, "https://"},
        {{.bucket = "bucket", .url = "ftp://store.example"}, "https://"},
        {{.bucket = "bucket", .url = "https://"}, "host"},
        {{.bucket = "bucket", .url = "https://-a.example"}, "host"},
        {{.bucket = "bucket", .url = "https://a b.example"}, "host"},
        {{.bucket = "bucket", .url = "https://[::1"}, "host"},
        {{.bucket = "bucket", .url = "https://[::g]"}, "host"},
        {{.bucket = "bucket", .url = "https://store:0"}, "port"},
        {{.bucket = "bucket", .url = "https://store:65536"}, "port"},
        {{.bucket = "bucket", .url = "https://store:"}, "port"},
        {{.bucket = "bucket", .url = "https://store:9x"}, "port"},
        {{.bucket = "bucket", .url = "https://store?x=1"}, "query"},
        {{.bucket = "bucket", .url = "https://store/%41"}, "escapes"},
        {{.bucket = "bucket", .url = "https://user:secret@store"}, "user name"},
        {{.bucket = "bucket", .url = "http://store.example"}, "clear text"},
        {{.bucket = "bucket", .url = "http://127.0.0.1.example.com"}, "clear text"},
        {{.bucket = "bucket", .url = "http://127.0.0.256"}, "clear text"},
        {{.bucket = "bucket", .url = "http://10.0.0.1"}, "clear text"},
        {{.bucket = "bucket", .url = "http://localhost.example"}, "clear text"},
        {{.bucket = "bucket", .url = long_url}, "too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct endpoint ep;
        struct err e = {0};
        cr_expect_eq(endpoint_resolve(&cases[i].cfg, &ep, &e), RC_INVALID, "%zu", i);
        cr_expect(strstr(e.text, cases[i].says), "%zu: %s", i, e.text);
        cr_expect_not(strstr(e.text, "secret"), "%zu: %s", i, e.text);
    }
}

Test(endpoint, a_key_goes_into_the_path_byte_for_byte)
{
    static const struct {
        const char *key;
        size_t n;
        const char *path;
    } cases[] = {
        {"", 0, "/p/bucket/"},
        {"a/b.json", 8, "/p/bucket/a/b.json"},
        {"/a//b/../c", 10, "/p/bucket//a//b/../c"},
        {"f\xc3\xbc\xc3\x9f e+%", 9, "/p/bucket/f%C3%BC%C3%9F%20e%2B%25"},
        {"a?b#c&d", 7, "/p/bucket/a%3Fb%23c%26d"},
    };
    struct endpoint_cfg cfg = {.bucket = "bucket", .url = "https://h/p", .path_style = true};
    struct endpoint ep;
    cr_assert_eq(endpoint_resolve(&cfg, &ep, NULL), RC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 200);
        endpoint_path(&ep, cases[i].key, cases[i].n, &b);
        cr_expect_str_eq(b.data, cases[i].path);
        buf_fini(&b);
    }
}

Test(endpoint, after_a_redirect_only_the_region_is_another)
{
    struct endpoint_cfg aws = {.bucket = "bucket", .region = "us-east-1"};
    struct endpoint_cfg own = {
        .bucket = "bucket", .region = "r1", .url = "https://s", .path_style = true};
    struct endpoint ep;
    struct err e = {0};
    cr_assert_eq(endpoint_reroute(&aws, "eu-west-3", &ep, &e), RC_OK);
    cr_expect_str_eq(ep.origin, "https://bucket.s3.eu-west-3.amazonaws.com");
    cr_expect_str_eq(ep.region, "eu-west-3");
    cr_assert_eq(endpoint_reroute(&own, "r2", &ep, &e), RC_OK);
    cr_expect_str_eq(ep.origin, "https://s");
    cr_expect_str_eq(ep.region, "r2");
    static const char *const bad[] = {"", "evil.example/", "a b", "eu-west-3\r\nx: y", "UPPER"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(endpoint_reroute(&own, bad[i], &ep, &e), RC_INVALID, "%zu", i);
}
