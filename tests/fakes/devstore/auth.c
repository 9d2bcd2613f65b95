/* The verifier: parse the Authorization header, check scope, date, token and what is signed, then
 * sign the request anew and compare.
 *
 * It may not trust a header that SignedHeaders does not name, but Content-Length and the like,
 * which change nothing of what is stored.
 */
#include "tests/fakes/devstore/auth.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tests/fakes/devstore/xmlout.h"
#include "uploader/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKEW_MAX_S (15 * 60)

struct auth {
    const struct config *config;
    struct sigv4_key key;
    char key_date[9];
    char key_id[160]; /* whose key it is */
    struct buf credential, path, query, decoded;
    struct buf canonical, signed_headers, string_to_sign;
};

/* The Authorization header, cut up. */
struct claim {
    char *access_key, *date, *region, *service, *terminal;
    char *signed_headers, *signature;
};

struct auth *auth_new(const struct config *config)
{
    struct auth *a = mem_alloc(sizeof *a);
    size_t max = 4 * HTTP_HEAD_MAX;

    a->config = config;
    buf_init(&a->credential, HTTP_HEAD_MAX);
    buf_init(&a->path, max);
    buf_init(&a->query, max);
    buf_init(&a->decoded, HTTP_HEAD_MAX);
    buf_init(&a->canonical, 3 * max);
    buf_init(&a->signed_headers, HTTP_HEAD_MAX);
    buf_init(&a->string_to_sign, 4096);
    return a;
}

void auth_free(struct auth *a)
{
    if (a == NULL)
        return;
    buf_fini(&a->credential);
    buf_fini(&a->path);
    buf_fini(&a->query);
    buf_fini(&a->decoded);
    buf_fini(&a->canonical);
    buf_fini(&a->signed_headers);
    buf_fini(&a->string_to_sign);
    free(a);
}

static char *skip_blank(char *s)
{
    while (*s == ' ')
        s++;
    return s;
}

/* From the right: an access key id may hold slashes, the other four parts may not. */
static bool cut_credential(char *text, struct claim *c)
{
    char **parts[] = {&c->terminal, &c->service, &c->region, &c->date};

    for (size_t i = 0; i < 4; i++) {
        char *slash = strrchr(text, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
        *parts[i] = slash + 1;
    }
    c->access_key = text;
    return *text != '\0';
}

static bool cut_authorization(char *text, struct claim *c)
{
    static const char scheme[] = "AWS4-HMAC-SHA256";

    memset(c, 0, sizeof *c);
    if (strncmp(text, scheme, sizeof scheme - 1) != 0 || text[sizeof scheme - 1] != ' ')
        return false;
    for (char *part = text + sizeof scheme - 1, *next; part != NULL; part = next) {
        next = strchr(part, ',');
        if (next != NULL)
            *next++ = '\0';
        part = skip_blank(part);
        if (strncmp(part, "Credential=", 11) == 0) {
            if (c->access_key != NULL || !cut_credential(part + 11, c))
                return false;
        } else if (strncmp(part, "SignedHeaders=", 14) == 0) {
            c->signed_headers = part + 14;
        } else if (strncmp(part, "Signature=", 10) == 0) {
            c->signature = part + 10;
        } else {
            return false;
        }
    }
    return c->access_key != NULL && c->signed_headers != NULL && c->signature != NULL;
}

/* "20150830T123600Z" */
static bool parse_amz_date(const char *s, int64_t *unix_s)
{
    int n[6] = {0};
    static const unsigned char field[16] = {0, 0, 0, 0, 1, 1, 2, 2, 9, 3, 3, 4, 4, 5, 5, 9};

    if (strlen(s) != 16 || s[8] != 'T' || s[15] != 'Z')
        return false;
    for (size_t i = 0; i < 16; i++) {
        if (field[i] == 9)
            continue;
        if (s[i] < '0' || s[i] > '9')
            return false;
        n[field[i]] = n[field[i]] * 10 + (s[i] - '0');
    }
    if (!clock_is_date(n[0], n[1], n[2]) || n[3] > 23 || n[4] > 59 || n[5] > 60)
        return false;
    *unix_s = clock_unix(&(struct civil){n[0], n[1], n[2], n[3], n[4], n[5]});
    return true;
}

/* Temporary keys that nobody has to register: whoever knows our secret key can make them. Their
 * secret is "<secret key>/<id>", their token "token-<id>", and the id tells when they expire. */
static bool is_session_key(const struct config *config, const char *id)
{
    return config->session_keys && strncmp(id, "ASIA", 4) == 0 && strchr(id, '.') != NULL &&
           strlen(id) < sizeof((struct auth *)0)->key_id;
}

static bool check_session(const char *id, const char *token, int64_t now, struct failure *f)
{
    if (token == NULL)
        return failure_set(f, "InvalidAccessKeyId",
                           "The AWS Access Key Id you provided does not exist in our records.");
    if (strncmp(token, "token-", 6) != 0 || strcmp(token + 6, id) != 0)
        return failure_set(f, "InvalidToken",
                           "The provided token is malformed or otherwise invalid.");
    if (strtoll(strrchr(id, '.') + 1, NULL, 10) <= now)
        return failure_set(f, "ExpiredToken", "The provided token has expired.");
    return true;
}

static bool check_scope(const struct auth *a, const struct claim *c, const char *amz_date,
                        struct failure *f)
{
    const struct config *config = a->config;

    if (strcmp(c->terminal, "aws4_request") != 0 || strcmp(c->service, "s3") != 0)
        return failure_set(f, "AuthorizationHeaderMalformed",
                           "The authorization header is malformed; the scope must end in "
                           "\"s3/aws4_request\".");
    if (strcmp(c->region, config->region) != 0) {
        failure_set(f, "AuthorizationHeaderMalformed",
                    "The authorization header is malformed; the region '%.60s' is wrong; expecting "
                    "'%.60s'",
                    c->region, config->region);
        xmlout_element(&f->detail, "Region", config->region);
        return false;
    }
    if (strlen(c->date) != 8 || strncmp(c->date, amz_date, 8) != 0)
        return failure_set(f, "AuthorizationHeaderMalformed",
                           "The authorization header is malformed; Invalid credential date "
                           "\"%.20s\". It is not the day of x-amz-date.",
                           c->date);
    if (strcmp(c->access_key, config->access_key) != 0 && !is_session_key(config, c->access_key)) {
        failure_set(f, "InvalidAccessKeyId",
                    "The AWS Access Key Id you provided does not exist in our records.");
        xmlout_element(&f->detail, "AWSAccessKeyId", c->access_key);
        return false;
    }
    return true;
}

static bool check_time(const char *amz_date, int64_t now, struct failure *f)
{
    int64_t then;

    if (!parse_amz_date(amz_date, &then))
        return failure_set(f, "AccessDenied",
                           "AWS authentication requires a valid Date or x-amz-date header");
    if (then - now <= SKEW_MAX_S && now - then <= SKEW_MAX_S)
        return true;
    failure_set(f, "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.");
    xmlout_element(&f->detail, "RequestTime", amz_date);
    xmlout_time(&f->detail, "ServerTime", now * CLOCK_NS_PER_S);
    xmlout_number(&f->detail, "MaxAllowedSkewMilliseconds", SKEW_MAX_S * 1000);
    return false;
}

static bool check_token(const struct config *config, const struct http_request *r, const char *id,
                        int64_t now, struct failure *f)
{
    const char *token = http_header(r, "x-amz-security-token");

    if (strcmp(id, config->access_key) != 0)
        return check_session(id, token, now, f);
    if (config->token == NULL && token == NULL)
        return true;
    if (config->token != NULL &&
        token == NULL) /* as S3 says of a temporary key without its token */
        return failure_set(f, "InvalidAccessKeyId",
                           "The AWS Access Key Id you provided does not exist in our records.");
    if (config->token == NULL || strcmp(config->token, token) != 0)
        return failure_set(f, "InvalidToken",
                           "The provided token is malformed or otherwise invalid.");
    return true;
}

/* Is name one of "a;b;c"? */
static bool is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; *p != '\0';) {
        size_t len = strcspn(p, ";");
        if (len == n && memcmp(p, name, n) == 0)
            return true;
        p += len;
        if (*p == ';')
            p++;
    }
    return false;
}

static bool check_signed_headers(const struct http_request *r, const struct claim *c,
                                 bool *unsigned_header, struct failure *f)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        const char *name = r->headers[i].name;
        if (strcmp(name, "host") != 0 && strncmp(name, "x-amz-", 6) != 0)
            continue;
        if (is_listed(c->signed_headers, name))
            continue;
        *unsigned_header = true;
        failure_set(f, "AccessDenied",
                    "There were headers present in the request which were not signed: %.100s",
                    name);
        xmlout_element(&f->detail, "HeadersNotSigned", name);
        return false;
    }
    if (!is_listed(c->signed_headers, "host"))
        return failure_set(f, "AccessDenied", "The request has no signed Host header.");
    return true;
}

static bool is_sha256_hex(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static bool check_payload(const struct config *config, const char *hash, enum payload *payload,
                          struct failure *f)
{
    if (hash == NULL)
        return failure_set(f, "InvalidRequest",
                           "Missing required header for this request: x-amz-content-sha256");
    *payload = PAYLOAD_SIGNED;
    if (is_sha256_hex(hash))
        return true;
    *payload = PAYLOAD_UNSIGNED;
    if (strcmp(hash, "UNSIGNED-PAYLOAD") == 0) {
        if (config->unsigned_payload || config->lenient)
            return true;
        return failure_set(f, "AccessDenied",
                           "UNSIGNED-PAYLOAD is refused here; the body's SHA-256 must be signed "
                           "(devstore --allow-unsigned-payload accepts it).");
    }
    *payload = PAYLOAD_CHUNKED;
    if (strcmp(hash, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") == 0 ||
        strcmp(hash, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") == 0 ||
        strcmp(hash, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") == 0) {
        if (config->lenient)
            return true;
        return failure_set(
            f, "AccessDenied",
            "aws-chunked bodies are refused here (devstore --lenient accepts them).");
    }
    return failure_set(f, "InvalidArgument",
                       "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or a valid "
                       "sha256 value.");
}

/* The wire's encoding undone and done again as the rules say. */
static bool normalise(struct auth *a, const struct http_request *r)
{
    buf_reset(&a->decoded);
    buf_reset(&a->path);
    buf_reset(&a->query);
    if (!http_decode(&a->decoded, r->path, strlen(r->path), false))
        return false;
    sigv4_uri_encode(&a->path, a->decoded.data, a->decoded.len, 1);
    for (const char *p = r->query; *p != '\0';) {
        size_t n = strcspn(p, "&");
        const char *eq = memchr(p, '=', n);
        size_t name_len = eq != NULL ? (size_t)(eq - p) : n;
        if (a->query.len > 0)
            buf_addc(&a->query, '&');
        buf_reset(&a->decoded);
        if (!http_decode(&a->decoded, p, name_len, true))
            return false;
        sigv4_uri_encode(&a->query, a->decoded.data, a->decoded.len, 0);
        buf_addc(&a->query, '=');
        buf_reset(&a->decoded);
        if (eq != NULL && !http_decode(&a->decoded, eq + 1, n - name_len - 1, true))
            return false;
        sigv4_uri_encode(&a->query, a->decoded.data, a->decoded.len, 0);
        p += n;
        if (*p == '&')
            p++;
    }
    return true;
}

static bool refuse_signature(struct auth *a, const struct claim *c, struct failure *f)
{
    failure_set(f, "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.");
    xmlout_element(&f->detail, "AWSAccessKeyId", c->access_key);
    xmlout_element_n(&f->detail, "StringToSign", a->string_to_sign.data, a->string_to_sign.len);
    xmlout_element(&f->detail, "SignatureProvided", c->signature);
    xmlout_element_n(&f->detail, "CanonicalRequest", a->canonical.data, a->canonical.len);
    return false;
}

static void derive_key(struct auth *a, const struct sigv4_scope *scope)
{
    bool own = strcmp(scope->access_key_id, a->config->access_key) == 0;
    char secret[512];

    (void)snprintf(secret, sizeof secret, "%s%s%s", a->config->secret_key, own ? "" : "/",
                   own ? "" : scope->access_key_id);
    sigv4_key_derive(&a->key, secret, scope->amz_date, scope->region, scope->service);
    memcpy(a->key_date, scope->amz_date, 8);
    (void)snprintf(a->key_id, sizeof a->key_id, "%s", scope->access_key_id);
}

static bool check_signature(struct auth *a, const struct http_request *r, const struct claim *c,
                            const char *amz_date, struct failure *f)
{
    struct sigv4_header headers[HTTP_HEADERS_MAX];
    struct sigv4_request request = {.method = r->method, .headers = headers};
    struct sigv4_scope scope = {.service = "s3"};
    char signature[2 * SHA256_SIZE + 1];
    int differing = 0;

    for (size_t i = 0; i < r->n_headers; i++)
        if (is_listed(c->signed_headers, r->headers[i].name))
            headers[request.n_headers++] =
                (struct sigv4_header){r->headers[i].name, r->headers[i].value};
    if (!normalise(a, r))
        return failure_set(f, "InvalidURI", "Couldn't parse the specified URI.");
    request.path = a->path.data;
    request.query = a->query.data;
    request.payload_hash = http_header(r, "x-amz-content-sha256");
    memcpy(scope.amz_date, amz_date, sizeof scope.amz_date);
    scope.region = a->config->region;
    scope.access_key_id = c->access_key;

    buf_reset(&a->canonical);
    buf_reset(&a->signed_headers);
    buf_reset(&a->string_to_sign);
    sigv4_canonical_request(&a->canonical, &a->signed_headers, &request);
    sigv4_string_to_sign(&a->string_to_sign, &scope, a->canonical.data, a->canonical.len);
    if (a->canonical.overflow || a->signed_headers.overflow || a->string_to_sign.overflow)
        return failure_set(f, "RequestHeaderSectionTooLarge", "The request's head is too large.");
    if (strncmp(a->key_date, amz_date, 8) != 0 || strcmp(a->key_id, c->access_key) != 0)
        derive_key(a, &scope);
    sigv4_signature(signature, &a->key, a->string_to_sign.data, a->string_to_sign.len);
    if (strlen(c->signature) != 2 * SHA256_SIZE)
        return refuse_signature(a, c, f);
    for (size_t i = 0; i < 2 * SHA256_SIZE; i++)
        differing |= signature[i] ^ c->signature[i];
    /* Unsorted or repeated names in SignedHeaders, or a name without its header: not what was
     * signed here, whatever the signature. */
    if (differing != 0 || strcmp(a->signed_headers.data, c->signed_headers) != 0)
        return refuse_signature(a, c, f);
    return true;
}

bool auth_verify(struct auth *a, const struct http_request *r, int64_t now_unix_s,
                 enum payload *payload, bool *unsigned_header, struct failure *f)
{
    const char *authorization = http_header(r, "authorization");
    const char *amz_date = http_header(r, "x-amz-date");
    struct claim claim;

    *unsigned_header = false;
    *payload = PAYLOAD_SIGNED;
    if (authorization == NULL)
        return failure_set(f, "AccessDenied", "Access Denied: the request is not signed.");
    buf_reset(&a->credential);
    buf_adds(&a->credential, authorization);
    if (!cut_authorization(a->credential.data, &claim))
        return failure_set(f, "AuthorizationHeaderMalformed",
                           "The authorization header is malformed; it must have Credential, "
                           "SignedHeaders and Signature of AWS4-HMAC-SHA256.");
    if (amz_date == NULL)
        return failure_set(f, "AccessDenied",
                           "AWS authentication requires a valid Date or x-amz-date header");
    return check_time(amz_date, now_unix_s, f) && check_scope(a, &claim, amz_date, f) &&
           check_token(a->config, r, claim.access_key, now_unix_s, f) &&
           check_signed_headers(r, &claim, unsigned_header, f) &&
           check_payload(a->config, http_header(r, "x-amz-content-sha256"), payload, f) &&
           check_signature(a, r, &claim, amz_date, f);
}
