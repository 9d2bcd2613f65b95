/* Keys of the role that is attached to an EC2 instance: the metadata service, version 2 only (a
 * token first, by PUT). Where there is none it must not take long to find out: every machine that
 * is not on EC2 comes by here.
 * Source: "Use IMDSv2", Amazon EC2 User Guide. */
#include "uploader/credentials_int.h"

#include "base/secret.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_MS = 1000, TOTAL_MS = 2000, TOKEN_MAX = 1024, ROLE_MAX = 128 };
#define ROLES "/latest/meta-data/iam/security-credentials/"

struct service {
    struct credentials_source *source;
    char origin[256];
    char token_line[TOKEN_MAX + 64];
};

static enum rc find(struct service *m, struct err *e)
{
    const char *url = credentials_env(m->source, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = credentials_env(m->source, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    const char *disabled = credentials_env(m->source, "AWS_EC2_METADATA_DISABLED");
    if (disabled && strcasecmp(disabled, "true") == 0)
        return err_set(e, RC_ABSENT, "AWS_EC2_METADATA_DISABLED is set");
    if (!url)
        url = mode && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]"
                                                    : "http://169.254.169.254";
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    if (n >= sizeof m->origin ||
        (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
        strpbrk(url, " \t\r\n@?#"))
        return err_set(
            e, RC_INVALID,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL such as http://169.254.169.254");
    (void)snprintf(m->origin, sizeof m->origin, "%.*s", (int)n, url);
    return RC_OK;
}

static enum rc ask(struct service *m, const char *method, const char *path,
                   struct credentials_reply *reply)
{
    char url[1024];
    bool put = strcmp(method, "PUT") == 0;
    const char *headers[1] = {put ? "x-aws-ec2-metadata-token-ttl-seconds: 300" : m->token_line};
    struct credentials_question q = {.method = method,
                                     .url = url,
                                     .headers = headers,
                                     .n_headers = 1,
                                     .no_proxy = true,
                                     .connect_ms = CONNECT_MS,
                                     .total_ms = TOTAL_MS};
    (void)snprintf(url, sizeof url, "%s%s", m->origin, path);
    return credentials_ask(m->source, &q, reply);
}

/* One line of visible characters at the beginning of the body. */
static bool first_line(struct credentials_text *t, size_t max)
{
    size_t n = strcspn(t->data, "\r\n");
    t->data[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (t->data[i] <= ' ' || t->data[i] > '~')
            return false;
    return n > 0 && n <= max;
}

static enum rc take_token(struct service *m, struct err *e)
{
    struct credentials_reply reply;
    enum rc rc = ask(m, "PUT", "/latest/api/token", &reply);
    if (rc == RC_NET && (reply.failure == HTTP_NO_ANSWER || reply.failure == HTTP_STALLED))
        rc = err_set(e, RC_ABSENT,
                     "%s took the request for a token and does not answer: in a container on EC2, "
                     "raise the instance's HttpPutResponseHopLimit to 2",
                     m->origin);
    else if (rc == RC_NET)
        rc = err_set(e, RC_ABSENT, "no EC2 metadata service at %s", m->origin);
    else if (rc != RC_OK)
        err_set(e, rc, "the EC2 metadata service at %s: %s", m->origin,
                rc == RC_INVALID ? "the answer is too long" : reply.text);
    else if (reply.status == 403)
        rc = err_set(e, RC_ABSENT,
                     "the EC2 metadata service is turned off for this instance (HttpEndpoint)");
    else if (reply.status >= 500 || reply.status == 429)
        rc = err_set(e, RC_NET,
                     "the EC2 metadata service answers with HTTP status %d; it is asked again",
                     reply.status);
    else if (reply.status != 200 || !first_line(&reply.body, TOKEN_MAX))
        rc = err_set(e, RC_ABSENT, "%s gives no IMDSv2 token (HTTP status %d)", m->origin,
                     reply.status);
    else
        (void)snprintf(m->token_line, sizeof m->token_line, "x-aws-ec2-metadata-token: %s",
                       reply.body.data);
    credentials_reply_fini(&reply);
    return rc;
}

/* RC_OK: 200. */
static enum rc get(struct service *m, const char *path, struct credentials_reply *reply,
                   struct err *e)
{
    enum rc rc = ask(m, "GET", path, reply);
    if (rc != RC_OK)
        return err_set(e, rc, "the EC2 metadata service at %s does not answer: %s", m->origin,
                       rc == RC_INVALID ? "the answer is too long" : reply->text);
    if (reply->status == 200)
        return RC_OK;
    if (reply->status == 404)
        return err_set(e, RC_ABSENT,
                       "no role is attached to this EC2 instance; attach an instance profile");
    return err_set(e, reply->status >= 500 || reply->status == 429 ? RC_NET : RC_DENIED,
                   "the EC2 metadata service answers with HTTP status %d; it is asked again",
                   reply->status);
}

static enum rc instance_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    struct service m = {.source = s};
    struct credentials_reply role = {0}, keys = {0};
    char path[sizeof ROLES + ROLE_MAX], where[ROLE_MAX + 64];
    enum rc rc = find(&m, e);
    if (rc == RC_OK)
        rc = take_token(&m, e);
    if (rc == RC_OK)
        rc = get(&m, ROLES, &role, e);
    if (rc == RC_OK && !first_line(&role.body, ROLE_MAX))
        rc = err_set(e, RC_INVALID, "the EC2 metadata service names no role");
    if (rc != RC_OK)
        goto out;
    (void)snprintf(path, sizeof path, ROLES "%s", role.body.data);
    (void)snprintf(where, sizeof where, "role %s of the EC2 instance", role.body.data);
    rc = get(&m, path, &keys, e);
    if (rc == RC_OK)
        rc = credentials_from_json(&keys.body, CREDENTIALS_OF_METADATA, where, -keys.ahead_s, out,
                                   e);
out:
    secret_wipe(m.token_line, sizeof m.token_line);
    credentials_reply_fini(&role);
    credentials_reply_fini(&keys);
    return rc;
}

const struct credentials_source_ops credentials_instance_ops = {
    .name = "instance",
    .remedy = "run on an EC2 instance with an instance profile",
    .get = instance_get,
};
