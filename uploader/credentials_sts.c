/* STS: keys of a role, for keys of another (AssumeRole, signed) or for a token that an identity
 * provider has written into a file (AssumeRoleWithWebIdentity, not signed). The API is that of AWS;
 * MinIO and Ceph speak it, too. A refusal is told with what to look at. */
#include "uploader/credentials_int.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/utf8.h"
#include "uploader/endpoint.h"
#include "uploader/sigv4.h"
#include "uploader/xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORM_MAX = 96 * 1024, TOKEN_MAX = 20000, CONNECT_MS = 5000, TOTAL_MS = 15000 };
#define SERVICE "sts"

struct place {
    char url[640], host[280], path[256], region[64];
    const char *ca_file;
};

/* ---- where ---- */

void credentials_sts_url(char *out, size_t size, const char *region, bool fips)
{
    /* GovCloud's only endpoints of STS are the FIPS ones, under the plain name: AWS General
     * Reference, "AWS Security Token Service endpoints and quotas". */
    const char *mark = fips && strncmp(region, "us-gov-", strlen("us-gov-")) != 0 ? "-fips" : "";

    (void)snprintf(out, size, "https://sts%s.%.60s.%s", mark, region,
                   endpoint_partition_of(region)->suffix);
}

static enum rc find(const struct credentials_source *s, const struct credentials_role *role,
                    struct place *out, struct err *e)
{
    const char *region = credentials_env(s, "AWS_REGION");
    const char *url = role->endpoint ? role->endpoint : credentials_env(s, "AWS_ENDPOINT_URL_STS");
    char own[160];
    struct endpoint ep;
    struct err detail = {0};
    if (!region)
        region = credentials_env(s, "AWS_DEFAULT_REGION");
    if (!region)
        region = s->region ? s->region : "us-east-1";
    *out = (struct place){.ca_file = url ? s->ca_file : NULL};
    if (!url) {
        credentials_sts_url(own, sizeof own, region, s->fips);
        url = own;
    }
    /* The rules for the bucket's endpoint are those of this one; the bucket's name is taken off. */
    struct endpoint_cfg cfg = {.bucket = SERVICE,
                               .region = region,
                               .url = url,
                               .allow_http = s->allow_http,
                               .path_style = true};
    if (endpoint_resolve(&cfg, &ep, &detail) != RC_OK)
        return err_set(e, RC_INVALID, "the endpoint of STS: %s", detail.text);
    (void)snprintf(out->path, sizeof out->path, "%.*s/",
                   (int)(strlen(ep.base) - strlen("/" SERVICE)), ep.base);
    (void)snprintf(out->url, sizeof out->url, "%s%s", ep.origin, out->path);
    text_copy(out->host, sizeof out->host, ep.host);
    text_copy(out->region, sizeof out->region, region);
    return RC_OK;
}

/* ---- what ---- */

static void field(struct buf *form, const char *name, const char *value, size_t n)
{
    buf_addf(form, "%s%s=", form->len ? "&" : "", name);
    sigv4_uri_encode(form, value, n, 0);
}

static void fields(struct buf *form, const char *action, const struct credentials_role *role)
{
    const char *session = role->session_name ? role->session_name : "spoolgate";
    char seconds[24];
    field(form, "Action", action, strlen(action));
    field(form, "Version", "2011-06-15", 10);
    if (role->arn)
        field(form, "RoleArn", role->arn, strlen(role->arn));
    field(form, "RoleSessionName", session, strlen(session));
    if (role->external_id)
        field(form, "ExternalId", role->external_id, strlen(role->external_id));
    if (role->duration_ms > 0) {
        (void)snprintf(seconds, sizeof seconds, "%" PRIu64, role->duration_ms / 1000);
        field(form, "DurationSeconds", seconds, strlen(seconds));
    }
}

/* ---- what is said of a refusal ---- */

static const struct {
    const char *code, *remedy;
    enum rc rc;
} refusals[] = {
    {"AccessDenied",
     "its trust policy has to name whose keys these are, their own policy has to allow "
     "sts:AssumeRole, and external_id has to be what the trust policy asks for; a role that does "
     "not exist is refused like this, too",
     RC_DENIED},
    {"NoSuchEntity", "there is no such role; check its ARN", RC_DENIED},
    {"InvalidClientTokenId", "STS does not know the keys that ask; check them, or their account",
     RC_DENIED},
    {"InvalidAccessKeyId", "STS does not know the keys that ask; check them, or their account",
     RC_DENIED},
    {"SignatureDoesNotMatch",
     "the secret access key is another than that of the access key id, or the clock is wrong",
     RC_DENIED},
    {"ExpiredTokenException",
     "the token has expired; whoever writes the file has to renew it, and this machine's clock has "
     "to be right",
     RC_DENIED},
    {"ExpiredToken", "the keys or the token have expired; whoever hands them out has to renew them",
     RC_DENIED},
    {"InvalidIdentityToken",
     "the token is not one of an identity provider that STS trusts; check the provider's "
     "registration and the token's audience",
     RC_DENIED},
    {"IDPCommunicationError", "STS cannot reach the identity provider; it is tried again", RC_NET},
    {"IDPRejectedClaim", "the identity provider has refused the token; have it renewed", RC_DENIED},
    {"RegionDisabledException",
     "STS is turned off in this region; have it activated, or set AWS_REGION to another",
     RC_DENIED},
    {"ValidationError",
     "check arn, external_id, session_name, and duration (15min to what the role allows, at most "
     "1h for a role assumed by a role)",
     RC_DENIED},
    {"InvalidParameterValue",
     "STS refuses a value of the request; check arn, session_name and duration; MinIO says so of "
     "an access key, a secret or a token that it does not take, too (expired, unknown)",
     RC_DENIED},
    {"MissingParameter", "STS misses a value in the request; check arn and session_name",
     RC_DENIED},
    {"MalformedPolicyDocument", "the policy of the role is broken; have its owner look at it",
     RC_DENIED},
    {"InvalidClientGrantsToken",
     "the token is not one of an identity provider that the store trusts; check the token and the "
     "store's OpenID settings",
     RC_DENIED},
    {"InsecureConnection", "STS wants TLS; write https:// in its endpoint", RC_DENIED},
    {"STSNotInitialized", "the store is still starting; it is tried again", RC_NET},
    {"STSIAMNotInitialized", "the store is still starting; it is tried again", RC_NET},
    {"UpstreamError", "STS cannot reach the identity provider; it is tried again", RC_NET},
    {"InternalError", "STS has trouble of its own; it is tried again", RC_NET},
    {"RequestExpired", "this machine's clock is wrong; set it", RC_DENIED},
    {"RequestTimeTooSkewed", "this machine's clock is wrong; set it", RC_DENIED},
    {"Throttling", "it is tried again", RC_NET},
};

static enum rc refused(const struct credentials_reply *r, const char *what, struct err *e)
{
    struct xml_answer a;
    struct buf said;
    size_t i = 0, n = sizeof refusals / sizeof refusals[0];
    bool is_xml = xml_parse(r->body.data, r->body.len, &a, NULL) == RC_OK && a.code[0];
    buf_init(&said, 1024);
    if (is_xml)
        utf8_escape(&said, a.message, strnlen(a.message, 160));
    while (is_xml && i < n && strcmp(a.code, refusals[i].code) != 0)
        i++;
    enum rc rc = is_xml && i < n ? refusals[i].rc : r->status >= 500 ? RC_NET : RC_DENIED;
    if (!is_xml)
        err_set(e, rc, "%s: STS answers with HTTP status %d and no reason; check its endpoint",
                what, r->status);
    else if (i < n)
        err_set(e, rc, "%s (%s): %s", what, a.code, refusals[i].remedy);
    else
        err_set(e, rc, "%s: STS says %.60s: %s", what, a.code, said.data);
    if (e && is_xml)
        text_copy(e->code, sizeof e->code, a.code);
    if (e)
        e->http_status = r->status;
    buf_fini(&said);
    return rc;
}

static enum rc unreachable(const struct place *p, const struct credentials_reply *r, enum rc rc,
                           struct err *e)
{
    if (rc == RC_CANCELLED)
        return err_set(e, rc, "stopped by us");
    if (rc == RC_INVALID)
        return err_set(e, rc, "the answer of STS at %s is too long", p->url);
    bool ours = r->failure == HTTP_CERTIFICATE_UNKNOWN;
    err_set(e, rc, "STS at %s cannot be asked (%s): %s; %s", p->url, http_failure_code(r->failure),
            r->text,
            !ours        ? "check the endpoint, firewall, proxy and certificates"
            : p->ca_file ? "\"bucket.ca_file\" has to have the CA of STS, too"
                         : "have its CA installed in the system; \"bucket.ca_file\" holds for "
                           "endpoints that are named");
    if (e)
        text_copy(e->code, sizeof e->code, http_failure_code(r->failure));
    return rc;
}

/* ---- asking ---- */

/* The lines to send; auth and token are wiped by the caller. */
static void sign(const struct place *p, struct credentials *keys, const struct buf *form,
                 int64_t now_s, struct buf *auth, struct buf *token, char date[32])
{
    uint8_t digest[SHA256_SIZE];
    char hash[2 * SHA256_SIZE + 1];
    struct sigv4_key key;
    struct sigv4_scope scope = {
        .region = p->region, .service = SERVICE, .access_key_id = credentials_access_key_id(keys)};
    clock_amz(scope.amz_date, now_s);
    (void)snprintf(date, 32, "x-amz-date: %s", scope.amz_date);
    struct sigv4_header headers[4] = {
        {"content-type", "application/x-www-form-urlencoded"},
        {"host", p->host},
        {"x-amz-date", scope.amz_date},
        {"x-amz-security-token", credentials_session_token(keys)},
    };
    sha256(form->data, form->len, digest);
    hex_encode(hash, digest, sizeof digest);
    struct sigv4_request r = {.method = "POST",
                              .path = p->path,
                              .query = "",
                              .headers = headers,
                              .n_headers = credentials_are_temporary(keys) ? 4 : 3,
                              .payload_hash = hash};
    sigv4_key_derive(&key, credentials_secret_access_key(keys), scope.amz_date, p->region, SERVICE);
    buf_reset(auth);
    buf_adds(auth, "authorization: ");
    sigv4_authorization(auth, &r, &scope, &key);
    secret_wipe(&key, sizeof key);
    buf_reset(token);
    if (credentials_are_temporary(keys))
        buf_addf(token, "x-amz-security-token: %s", credentials_session_token(keys));
}

static void buf_wipe(struct buf *b)
{
    if (b->cap > 0)
        secret_wipe(b->data, b->cap);
    buf_fini(b);
}

static enum rc send_form(struct credentials_source *s, const struct place *p,
                         struct credentials *keys, const struct buf *form, int64_t ahead_s,
                         struct credentials_reply *reply)
{
    struct buf auth, token;
    char date[32], host[300];
    const char *headers[5] = {"content-type: application/x-www-form-urlencoded", host, date};
    size_t n = 2;
    buf_init(&auth, 2048);
    buf_init(&token, CREDENTIALS_TOKEN_MAX + 64);
    (void)snprintf(host, sizeof host, "host: %s", p->host);
    if (keys) {
        sign(p, keys, form, clock_wall_now_ns() / CLOCK_NS_PER_S + ahead_s, &auth, &token, date);
        n = 3;
        headers[n++] = auth.data;
        if (token.len > 0)
            headers[n++] = token.data;
    }
    struct credentials_question q = {.method = "POST",
                                     .url = p->url,
                                     .headers = headers,
                                     .n_headers = n,
                                     .body = form->data,
                                     .body_len = form->len,
                                     .ca_file = p->ca_file,
                                     .connect_ms = CONNECT_MS,
                                     .total_ms = TOTAL_MS};
    enum rc rc = credentials_ask(s, &q, reply);
    buf_wipe(&auth);
    buf_wipe(&token);
    return rc;
}

static enum rc ask(struct credentials_source *s, const struct credentials_role *role,
                   struct credentials *keys, const struct buf *form, struct credentials **out,
                   struct err *e)
{
    struct place p;
    struct credentials_reply reply = {0};
    char what[512], where[768];
    (void)snprintf(what, sizeof what, "the role %.200s cannot be assumed with the %s", role->arn,
                   keys ? "keys of " : "token");
    if (keys) {
        size_t n = strlen(what);
        text_copy(what + n, sizeof what - n < 130 ? sizeof what - n : 130,
                  credentials_origin(keys));
    }
    (void)snprintf(where, sizeof where, "role %.200s by %.512s", role->arn,
                   keys ? credentials_origin(keys) : "web identity");
    enum rc rc = find(s, role, &p, e);
    if (rc != RC_OK)
        return rc;
    rc = send_form(s, &p, keys, form, 0, &reply);
    if (rc == RC_OK && keys && reply.status / 100 == 4 && reply.ahead_s != 0) {
        /* Refused, and the clocks differ: once more in the time of STS. */
        int64_t ahead_s = reply.ahead_s;
        credentials_reply_fini(&reply);
        rc = send_form(s, &p, keys, form, ahead_s, &reply);
    }
    if (rc != RC_OK)
        rc = unreachable(&p, &reply, rc, e);
    else if (reply.status != 200)
        rc = refused(&reply, what, e);
    else
        rc = credentials_from_xml(&reply.body, where, -reply.ahead_s, out, e);
    credentials_reply_fini(&reply);
    return rc;
}

enum rc credentials_assume(struct credentials_source *s, const struct credentials_role *role,
                           struct credentials *base, struct credentials **out, struct err *e)
{
    struct buf form;
    buf_init(&form, FORM_MAX);
    fields(&form, "AssumeRole", role);
    enum rc rc = ask(s, role, base, &form, out, e);
    buf_fini(&form); /* no secret in it */
    return rc;
}

enum rc credentials_assume_by_token(struct credentials_source *s,
                                    const struct credentials_role *role, const char *token_file,
                                    struct credentials **out, struct err *e)
{
    struct credentials_text token;
    struct buf form;
    struct err detail = {0};
    buf_init(&form, FORM_MAX);
    enum rc rc = credentials_read(s, token_file, TOKEN_MAX, &token, &detail);
    if (rc == RC_ABSENT)
        rc = err_set(e, RC_DENIED,
                     "there is no web identity token %s; check the variable "
                     "AWS_WEB_IDENTITY_TOKEN_FILE or the profile, and the volume",
                     token_file);
    else if (rc != RC_OK && e)
        *e = detail;
    if (rc != RC_OK)
        goto out;
    while (token.len > 0 && strchr(" \t\r\n", token.data[token.len - 1]))
        token.len--;
    /* Room for all of it first, so that growing leaves no copy of the token behind. */
    buf_addf(&form, "%*s", FORM_MAX, "");
    buf_reset(&form);
    fields(&form, "AssumeRoleWithWebIdentity", role);
    field(&form, "WebIdentityToken", token.data, token.len);
    rc = ask(s, role, NULL, &form, out, e);
out:
    credentials_text_fini(&token);
    buf_wipe(&form);
    return rc;
}

/* ---- the source "web-identity" ---- */

static enum rc web_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    const char *file = credentials_env(s, "AWS_WEB_IDENTITY_TOKEN_FILE");
    struct credentials_role role = {.arn = credentials_env(s, "AWS_ROLE_ARN"),
                                    .session_name = credentials_env(s, "AWS_ROLE_SESSION_NAME")};
    if (!file)
        return err_set(
            e, RC_ABSENT, "%s",
            strcmp(s->ops->name, "chain") == 0 ? "" : "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    if (!role.arn)
        return err_set(e, RC_INVALID,
                       "the environment has AWS_WEB_IDENTITY_TOKEN_FILE but not AWS_ROLE_ARN; set "
                       "both of them or none");
    return credentials_assume_by_token(s, &role, file, out, e);
}

const struct credentials_source_ops credentials_web_ops = {
    .name = "web-identity",
    .remedy = "set AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or annotate the pod's service "
              "account",
    .get = web_get,
};
