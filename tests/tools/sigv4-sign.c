/* Signs what it is told to, for tests/e2e/sigv4_botocore.py to compare with another signer.
 *
 * Reads JSON objects, one a line: method, key (raw text), query (pairs of raw texts), headers
 * (pairs), payload_hash, amz_date, region, service, access_key_id, secret_access_key. Writes one a
 * line: path, canonical_request, string_to_sign, authorization. Exits with 100 on what it cannot
 * read. */
#include "base/json.h"
#include "uploader/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 };

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (!text) {
        (void)fprintf(stderr, "sigv4-sign: no text \"%s\" in the line\n", name);
        exit(100);
    }
    return text;
}

static void encode_pair(struct buf *out, json_t *pair)
{
    json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);
    sigv4_uri_encode(out, json_string_value(name), json_string_length(name), 0);
    if (json_is_string(value)) {
        buf_addc(out, '=');
        sigv4_uri_encode(out, json_string_value(value), json_string_length(value), 0);
    }
}

static size_t read_headers(json_t *list, struct sigv4_header headers[SIGV4_HEADERS_MAX])
{
    size_t n = json_array_size(list);
    if (n > SIGV4_HEADERS_MAX)
        exit(100);
    for (size_t i = 0; i < n; i++) {
        json_t *pair = json_array_get(list, i);
        headers[i].name = json_string_value(json_array_get(pair, 0));
        headers[i].value = json_string_value(json_array_get(pair, 1));
        if (!headers[i].name || !headers[i].value)
            exit(100);
    }
    return n;
}

static void answer(const struct sigv4_request *r, json_t *in)
{
    struct sigv4_scope scope = {
        .region = text_of(in, "region"),
        .service = text_of(in, "service"),
        .access_key_id = text_of(in, "access_key_id"),
    };
    (void)snprintf(scope.amz_date, sizeof scope.amz_date, "%s", text_of(in, "amz_date"));
    struct sigv4_key key;
    struct buf canonical, names, to_sign, authorization, line;
    buf_init(&canonical, TEXT_MAX);
    buf_init(&names, TEXT_MAX);
    buf_init(&to_sign, TEXT_MAX);
    buf_init(&authorization, TEXT_MAX);
    buf_init(&line, 4 * TEXT_MAX);
    sigv4_key_derive(&key, text_of(in, "secret_access_key"), scope.amz_date, scope.region,
                     scope.service);
    sigv4_canonical_request(&canonical, &names, r);
    sigv4_string_to_sign(&to_sign, &scope, canonical.data, canonical.len);
    sigv4_authorization(&authorization, r, &scope, &key);
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:s}", "path", r->path, "canonical_request", canonical.data,
                  "string_to_sign", to_sign.data, "authorization", authorization.data);
    if (!out || canonical.overflow || authorization.overflow)
        exit(100);
    json_write(&line, out);
    (void)puts(line.data); /* a reader that went away shows as a missing answer there */
    json_decref(out);
    buf_fini(&canonical);
    buf_fini(&names);
    buf_fini(&to_sign);
    buf_fini(&authorization);
    buf_fini(&line);
}

static void sign_line(const char *line, size_t n)
{
    struct err e = {0};
    json_t *in = json_parse(line, n, &e);
    if (!in) {
        (void)fprintf(stderr, "sigv4-sign: %s\n", e.text);
        exit(100);
    }
    struct buf path, query;
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    json_t *key = json_object_get(in, "key"), *pairs = json_object_get(in, "query");
    buf_init(&path, TEXT_MAX);
    buf_init(&query, TEXT_MAX);
    buf_addc(&path, '/');
    if (json_string_length(key) > 0)
        sigv4_uri_encode(&path, json_string_value(key), json_string_length(key), 1);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        if (i > 0)
            buf_addc(&query, '&');
        encode_pair(&query, json_array_get(pairs, i));
    }
    struct sigv4_request r = {
        .method = text_of(in, "method"),
        .path = path.data,
        .query = query.data,
        .headers = headers,
        .n_headers = read_headers(json_object_get(in, "headers"), headers),
        .payload_hash = text_of(in, "payload_hash"),
    };
    answer(&r, in);
    buf_fini(&path);
    buf_fini(&query);
    json_decref(in);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0)
        sign_line(line, (size_t)n);
    free(line);
    return ferror(stdin) || fflush(stdout) != 0 ? 111 : 0;
}
