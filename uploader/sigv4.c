/* AWS Signature Version 4 as S3 wants it: the path is taken as it goes over the wire, encoded once
 * and never normalised, and every header given is signed.
 *
 * The stages append to buffers of the caller and allocate nothing of their own, since a request a
 * file goes through here. A buffer that overflowed gives a signature that the store refuses, never
 * one for another request. */
#include "uploader/sigv4.h"

#include "base/hex.h"
#include "base/secret.h"

#include <string.h>

#define ALGORITHM  "AWS4-HMAC-SHA256"
#define TERMINATOR "aws4_request"

enum { DATE_LEN = 8, SECRET_MAX = 512 };

void sigv4_uri_encode(struct buf *out, const char *s, size_t n, int keep_slash)
{
    static const char digits[] = "0123456789ABCDEF"; /* S3 asks for upper case */
    size_t plain = 0; /* start of the run that needs no encoding, added in one go */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash))
            continue;
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        buf_add(out, s + plain, i - plain);
        buf_add(out, escape, sizeof escape);
        plain = i + 1;
    }
    buf_add(out, s + plain, n - plain);
}

void sigv4_key_derive(struct sigv4_key *out, const char *secret_access_key, const char *amz_date,
                      const char *region, const char *service)
{
    char seed[4 + SECRET_MAX];
    size_t len = strlen(secret_access_key);
    BUG_ON(len > SECRET_MAX); /* the sources of credentials refuse longer ones */
    memcpy(seed, "AWS4", 4);
    memcpy(seed + 4, secret_access_key, len);
    uint8_t a[SHA256_SIZE], b[SHA256_SIZE];
    hmac_sha256(seed, 4 + len, amz_date, DATE_LEN, a);
    hmac_sha256(a, sizeof a, region, strlen(region), b);
    hmac_sha256(b, sizeof b, service, strlen(service), a);
    hmac_sha256(a, sizeof a, TERMINATOR, strlen(TERMINATOR), out->bytes);
    secret_wipe(seed, sizeof seed);
    secret_wipe(a, sizeof a);
    secret_wipe(b, sizeof b);
}

struct parameter {
    const char *name, *value;
    size_t name_len, value_len;
};

static int bytes_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* By name, then by value. Not by the whole text: '=' sorts after '-' and would put "a-b=1" before
 * "a=1". */
static int parameter_compare(const struct parameter *a, const struct parameter *b)
{
    int order = bytes_compare(a->name, a->name_len, b->name, b->name_len);
    return order ? order : bytes_compare(a->value, a->value_len, b->value, b->value_len);
}

static void canonical_query(struct buf *out, const char *query)
{
    struct parameter list[SIGV4_QUERY_MAX];
    size_t n = 0;
    while (*query) {
        BUG_ON(n == SIGV4_QUERY_MAX);
        size_t len = strcspn(query, "&");
        const char *equals = memchr(query, '=', len);
        struct parameter p = {.name = query, .name_len = len, .value = ""};
        if (equals) {
            p.name_len = (size_t)(equals - query);
            p.value = equals + 1;
            p.value_len = len - p.name_len - 1;
        }
        /* Insertion: a query of ours has two parameters, mostly in order. */
        size_t at = n++;
        for (; at > 0 && parameter_compare(&list[at - 1], &p) > 0; at--)
            list[at] = list[at - 1];
        list[at] = p;
        query += len;
        query += *query == '&';
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, '&');
        buf_add(out, list[i].name, list[i].name_len);
        buf_addc(out, '=');
        buf_add(out, list[i].value, list[i].value_len);
    }
}

static const char spaces[] = " \t\r\n\v\f";

/* Without space at either end, and each run of it inside as one blank. */
static void folded_value(struct buf *out, const char *value)
{
    value += strspn(value, spaces);
    while (*value) {
        size_t word = strcspn(value, spaces);
        buf_add(out, value, word);
        value += word;
        value += strspn(value, spaces);
        if (*value)
            buf_addc(out, ' ');
    }
}

static void canonical_headers(struct buf *out, struct buf *signed_headers,
                              const struct sigv4_request *r)
{
    const struct sigv4_header *sorted[SIGV4_HEADERS_MAX];
    BUG_ON(r->n_headers > SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < r->n_headers; i++) {
        size_t at = i;
        /* Stable: of the same name, the order in which they are sent is part of what is signed. */
        for (; at > 0 && strcmp(sorted[at - 1]->name, r->headers[i].name) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &r->headers[i];
    }
    for (size_t i = 0; i < r->n_headers; i++) {
        const char *name = sorted[i]->name;
        if (i > 0 && strcmp(sorted[i - 1]->name, name) == 0) {
            buf_addc(out, ',');
        } else {
            if (i > 0) {
                buf_addc(out, '\n');
                buf_addc(signed_headers, ';');
            }
            buf_adds(signed_headers, name);
            buf_adds(out, name);
            buf_addc(out, ':');
        }
        folded_value(out, sorted[i]->value);
    }
    if (r->n_headers > 0)
        buf_addc(out, '\n');
}

void sigv4_canonical_request(struct buf *out, struct buf *signed_headers,
                             const struct sigv4_request *r)
{
    size_t names_at = signed_headers->len;
    buf_adds(out, r->method);
    buf_addc(out, '\n');
    buf_adds(out, r->path);
    buf_addc(out, '\n');
    canonical_query(out, r->query);
    buf_addc(out, '\n');
    canonical_headers(out, signed_headers, r);
    buf_addc(out, '\n');
    buf_add(out, signed_headers->data + names_at, signed_headers->len - names_at);
    buf_addc(out, '\n');
    buf_adds(out, r->payload_hash);
}

static void add_scope(struct buf *out, const struct sigv4_scope *s)
{
    buf_add(out, s->amz_date, DATE_LEN);
    buf_addc(out, '/');
    buf_adds(out, s->region);
    buf_addc(out, '/');
    buf_adds(out, s->service);
    buf_adds(out, "/" TERMINATOR);
}

void sigv4_string_to_sign(struct buf *out, const struct sigv4_scope *s, const char *canonical,
                          size_t canonical_len)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256(canonical, canonical_len, digest);
    hex_encode(hex, digest, sizeof digest);
    buf_adds(out, ALGORITHM "\n");
    buf_adds(out, s->amz_date);
    buf_addc(out, '\n');
    add_scope(out, s);
    buf_addc(out, '\n');
    buf_adds(out, hex);
}

void sigv4_signature(char hex[2 * SHA256_SIZE + 1], const struct sigv4_key *key,
                     const char *string_to_sign, size_t n)
{
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(key->bytes, sizeof key->bytes, string_to_sign, n, mac);
    hex_encode(hex, mac, sizeof mac);
}

void sigv4_credential(struct buf *out, const struct sigv4_scope *s, const char *signed_headers,
                      const char *signature)
{
    buf_adds(out, ALGORITHM " Credential=");
    buf_adds(out, s->access_key_id);
    buf_addc(out, '/');
    add_scope(out, s);
    buf_adds(out, ", SignedHeaders=");
    buf_adds(out, signed_headers);
    buf_adds(out, ", Signature=");
    buf_adds(out, signature);
}

void sigv4_authorization(struct buf *out, const struct sigv4_request *r,
                         const struct sigv4_scope *s, const struct sigv4_key *key)
{
    struct buf canonical, names, to_sign;
    char signature[2 * SHA256_SIZE + 1];
    buf_init(&canonical, out->max);
    buf_init(&names, out->max);
    buf_init(&to_sign, out->max);
    sigv4_canonical_request(&canonical, &names, r);
    sigv4_string_to_sign(&to_sign, s, canonical.data, canonical.len);
    sigv4_signature(signature, key, to_sign.data, to_sign.len);
    sigv4_credential(out, s, names.data, signature);
    out->overflow |= canonical.overflow || names.overflow || to_sign.overflow;
    buf_fini(&canonical);
    buf_fini(&names);
    buf_fini(&to_sign);
}
