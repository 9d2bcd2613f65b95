/* The signer against AWS's published vectors and S3's worked examples, stage by stage. */
#include "uploader/sigv4.h"

#include "base/fsio.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS TEST_SOURCE_DIR "/vectors/aws-sigv4"

static char *slurp(const char *dir, const char *name)
{
    char path[512], *data;
    size_t n;
    struct err e = {0};
    (void)snprintf(path, sizeof path, VECTORS "/%s/%s", dir, name);
    cr_assert_eq(fsio_read_file(&fsio_system, AT_FDCWD, path, 65536, &data, &n, &e), RC_OK, "%s",
                 e.text);
    return data;
}

/* One vector, read into memory. */
struct vector {
    const char *name;
    json_t *context;
    char *request, *body;
    char *method, *path, *query; /* parts of the request, cut in place */
    struct sigv4_header headers[16];
    size_t n_headers;
    char payload_hash[65];
    char wire_path[1024], wire_query[4096];
};

static const char *context_text(const struct vector *v, const char *object, const char *name)
{
    json_t *from = object ? json_object_get(v->context, object) : v->context;
    return json_string_value(json_object_get(from, name));
}

static bool context_flag(const struct vector *v, const char *name)
{
    return json_is_true(json_object_get(v->context, name));
}

static void add_header(struct vector *v, const char *name, const char *value)
{
    cr_assert_lt(v->n_headers, 16);
    v->headers[v->n_headers++] = (struct sigv4_header){name, value};
}

static void read_headers(struct vector *v, char *line)
{
    while (*line && *line != '\n') {
        char *end = strchr(line, '\n');
        while (end && (end[1] == ' ' || end[1] == '\t')) /* the value goes on in the next line */
            end = strchr(end + 1, '\n');
        char *next = end ? end + 1 : line + strlen(line);
        if (end)
            *end = '\0';
        char *colon = strchr(line, ':');
        cr_assert(colon);
        *colon = '\0';
        for (char *c = line; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c + 32);
        add_header(v, line, colon + 1);
        line = next;
    }
    v->body = *line ? line + 1 : line;
}

/* As the vectors are written, a path or query may have raw bytes; on the wire they are escaped. */
static void to_wire(char *out, size_t size, const char *s)
{
    struct buf b;
    buf_init(&b, size - 1);
    for (; *s; s++) {
        if (*s == ' ' || (unsigned char)*s >= 0x80)
            buf_addf(&b, "%%%02X", (unsigned)(unsigned char)*s);
        else
            buf_addc(&b, *s);
    }
    cr_assert(!b.overflow);
    memcpy(out, b.data, b.len + 1);
    buf_fini(&b);
}

static void vector_read(struct vector *v, const char *name)
{
    struct err e = {0};
    uint8_t digest[SHA256_SIZE];
    *v = (struct vector){.name = name};
    char *context = slurp(name, "context.json");
    v->context = json_parse(context, strlen(context), &e);
    cr_assert(v->context, "%s: %s", name, e.text);
    free(context);
    v->request = slurp(name, "request.txt");
    char *line_end = strstr(v->request, " HTTP/1.1\n");
    cr_assert(line_end);
    *line_end = '\0';
    v->method = v->request;
    v->path = strchr(v->request, ' ');
    *v->path++ = '\0';
    v->query = strchr(v->path, '?');
    if (v->query)
        *v->query++ = '\0';
    read_headers(v, line_end + strlen(" HTTP/1.1\n"));
    sha256(v->body, strlen(v->body), digest);
    hex_encode(v->payload_hash, digest, sizeof digest);
    to_wire(v->wire_path, sizeof v->wire_path, v->path);
    to_wire(v->wire_query, sizeof v->wire_query, v->query ? v->query : "");
}

static void vector_free(struct vector *v)
{
    json_decref(v->context);
    free(v->request);
}

static void scope_of(const struct vector *v, struct sigv4_scope *s)
{
    int y, mo, d, h, mi, sec;
    cr_assert_eq(sscanf(context_text(v, NULL, "timestamp"), "%4d-%2d-%2dT%2d:%2d:%2dZ", &y, &mo, &d,
                        &h, &mi, &sec),
                 6);
    char text[80];
    (void)snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02dZ", y, mo, d, h, mi, sec);
    memcpy(s->amz_date, text, sizeof s->amz_date);
    s->region = context_text(v, NULL, "region");
    s->service = context_text(v, NULL, "service");
    s->access_key_id = context_text(v, "credentials", "access_key_id");
}

static void expect_file(const struct vector *v, const char *mode, const char *stage,
                        const char *got)
{
    char file[64];
    (void)snprintf(file, sizeof file, "%s-%s.txt", mode, stage);
    char *want = slurp(v->name, file);
    cr_expect_str_eq(got, want, "%s %s", v->name, file);
    free(want);
}

static void check_stages(const struct vector *v, const struct sigv4_scope *scope, const char *mode)
{
    struct buf canonical, names, to_sign;
    struct sigv4_key key;
    char signature[65];
    struct sigv4_request r = {v->method,  v->wire_path, v->wire_query,
                              v->headers, v->n_headers, v->payload_hash};
    buf_init(&canonical, 65536);
    buf_init(&names, 4096);
    buf_init(&to_sign, 4096);
    sigv4_canonical_request(&canonical, &names, &r);
    expect_file(v, mode, "canonical-request", canonical.data);
    sigv4_string_to_sign(&to_sign, scope, canonical.data, canonical.len);
    expect_file(v, mode, "string-to-sign", to_sign.data);
    sigv4_key_derive(&key, context_text(v, "credentials", "secret_access_key"), scope->amz_date,
                     scope->region, scope->service);
    sigv4_signature(signature, &key, to_sign.data, to_sign.len);
    expect_file(v, mode, "signature", signature);
    buf_fini(&canonical);
    buf_fini(&names);
    buf_fini(&to_sign);
}

static void check_by_header(const char *name)
{
    struct vector v;
    struct sigv4_scope scope;
    vector_read(&v, name);
    scope_of(&v, &scope);
    const char *token = context_text(&v, "credentials", "token");
    add_header(&v, "x-amz-date", scope.amz_date);
    if (token && !context_flag(&v, "omit_session_token"))
        add_header(&v, "x-amz-security-token", token);
    if (context_flag(&v, "sign_body"))
        add_header(&v, "x-amz-content-sha256", v.payload_hash);
    check_stages(&v, &scope, "header");
    vector_free(&v);
}

static void check_by_query(const char *name)
{
    struct vector v;
    struct sigv4_scope scope;
    struct buf q, names, ignored;
    vector_read(&v, name);
    scope_of(&v, &scope);
    struct sigv4_request r = {v.method,  v.wire_path, v.wire_query,
                              v.headers, v.n_headers, v.payload_hash};
    buf_init(&q, sizeof v.wire_query - 1);
    buf_init(&names, 4096);
    buf_init(&ignored, 65536);
    sigv4_canonical_request(&ignored, &names, &r);
    buf_addf(&q, "X-Amz-SignedHeaders=");
    sigv4_uri_encode(&q, names.data, names.len, 0);
    buf_addf(&q, "&X-Amz-Credential=%s%%2F%.8s%%2F%s%%2F%s%%2Faws4_request", scope.access_key_id,
             scope.amz_date, scope.region, scope.service);
    buf_addf(&q, "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-Date=%s",
             scope.amz_date);
    const char *token = context_text(&v, "credentials", "token");
    if (token && !context_flag(&v, "omit_session_token")) {
        buf_adds(&q, "&X-Amz-Security-Token=");
        sigv4_uri_encode(&q, token, strlen(token), 0);
    }
    if (v.wire_query[0])
        buf_addf(&q, "&%s", v.wire_query);
    cr_assert(!q.overflow);
    memcpy(v.wire_query, q.data, q.len + 1);
    check_stages(&v, &scope, "query");
    buf_fini(&q);
    buf_fini(&names);
    buf_fini(&ignored);
    vector_free(&v);
}

Test(sigv4, every_published_vector_gives_its_three_stages)
{
    DIR *d = opendir(VECTORS);
    unsigned count = 0;
    cr_assert(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "LICENSE") == 0 ||
            strcmp(entry->d_name, "README.md") == 0)
            continue;
        check_by_header(entry->d_name);
        check_by_query(entry->d_name);
        count++;
    }
    (void)closedir(d); /* read only */
    cr_assert_eq(count, 31, "%u vectors", count);
}

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DATE  "20130524T000000Z"

/* "Signature Calculations for the Authorization Header", Amazon S3 API Reference. */
Test(sigv4, the_worked_examples_of_the_s3_reference_come_out_as_printed)
{
    static const struct {
        struct sigv4_header headers[6];
        size_t n;
        const char *method, *path, *query, *hash, *names, *signature;
    } cases[] = {
        {{{"host", "examplebucket.s3.amazonaws.com"},
          {"range", "bytes=0-9"},
          {"x-amz-content-sha256", EMPTY},
          {"x-amz-date", DATE}},
         4,
         "GET",
         "/test.txt",
         "",
         EMPTY,
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {{{"date", "Fri, 24 May 2013 00:00:00 GMT"},
          {"host", "examplebucket.s3.amazonaws.com"},
          {"x-amz-content-sha256",
           "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
          {"x-amz-date", DATE},
          {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
         5,
         "PUT",
         "/test%24file.text",
         "",
         "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {{{"x-amz-date", DATE},
          {"host", "examplebucket.s3.amazonaws.com"},
          {"x-amz-content-sha256", EMPTY}},
         3,
         "GET",
         "/",
         "lifecycle",
         EMPTY,
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {{{"x-amz-date", DATE},
          {"host", "examplebucket.s3.amazonaws.com"},
          {"x-amz-content-sha256", EMPTY}},
         3,
         "GET",
         "/",
         "prefix=J&max-keys=2",
         EMPTY,
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    struct sigv4_scope scope = {.amz_date = DATE,
                                .region = "us-east-1",
                                .service = "s3",
                                .access_key_id = "AKIAIOSFODNN7EXAMPLE"};
    struct sigv4_key key;
    sigv4_key_derive(&key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope.amz_date, scope.region,
                     scope.service);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigv4_request r = {cases[i].method,  cases[i].path, cases[i].query,
                                  cases[i].headers, cases[i].n,    cases[i].hash};
        struct buf got;
        char want[512];
        (void)snprintf(want, sizeof want,
                       "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                       "aws4_request, SignedHeaders=%s, Signature=%s",
                       cases[i].names, cases[i].signature);
        buf_init(&got, 1024);
        sigv4_authorization(&got, &r, &scope, &key);
        cr_expect_str_eq(got.data, want);
        buf_fini(&got);
    }
}

Test(sigv4, only_unreserved_bytes_stay_as_they_are)
{
    static const struct {
        const char *in;
        size_t n;
        int keep_slash;
        const char *out;
    } cases[] = {
        {"AZaz09-._~", 10, 0, "AZaz09-._~"},
        {"a/b c", 5, 1, "a/b%20c"},
        {"a/b c", 5, 0, "a%2Fb%20c"},
        {"+&=?#%", 6, 1, "%2B%26%3D%3F%23%25"},
        {"\xc3\xbc\xff", 3, 1, "%C3%BC%FF"},
        {"\0\x7f", 2, 1, "%00%7F"},
        {"", 0, 1, ""},
        {"!*'()", 5, 1, "%21%2A%27%28%29"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 100);
        sigv4_uri_encode(&b, cases[i].in, cases[i].n, cases[i].keep_slash);
        cr_expect_str_eq(b.data, cases[i].out);
        buf_fini(&b);
    }
}

Test(sigv4, a_query_is_sorted_by_name_and_then_by_value)
{
    static const struct {
        const char *query, *canonical;
    } cases[] = {
        {"", ""},
        {"acl", "acl="},
        {"b=2&a=1", "a=1&b=2"},
        {"a-b=1&a=2", "a=2&a-b=1"}, /* '-' sorts before '=' */
        {"a=2&a=1&a", "a=&a=1&a=2"},
        {"uploads&prefix=x%2Fy", "prefix=x%2Fy&uploads="},
        {"a=b=c", "a=b=c"},
        {"B=1&a=1", "B=1&a=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigv4_header host = {"host", "h"};
        struct sigv4_request r = {"GET", "/", cases[i].query, &host, 1, EMPTY};
        struct buf canonical, names;
        char want[256];
        (void)snprintf(want, sizeof want, "GET\n/\n%s\nhost:h\n\nhost\n" EMPTY, cases[i].canonical);
        buf_init(&canonical, 1024);
        buf_init(&names, 100);
        sigv4_canonical_request(&canonical, &names, &r);
        cr_expect_str_eq(canonical.data, want);
        buf_fini(&canonical);
        buf_fini(&names);
    }
}

Test(sigv4, what_does_not_fit_is_told_as_overflow)
{
    struct sigv4_header host = {"host", "h"};
    struct sigv4_request r = {"GET", "/", "", &host, 1, EMPTY};
    struct sigv4_scope scope = {
        .amz_date = DATE, .region = "us-east-1", .service = "s3", .access_key_id = "ID"};
    struct sigv4_key key = {{0}};
    struct buf out;
    buf_init(&out, 100);
    sigv4_authorization(&out, &r, &scope, &key);
    cr_assert(out.overflow);
    buf_fini(&out);
}
