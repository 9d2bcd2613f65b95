/* Keys from the endpoint of a container: ECS tasks (a relative URI), EKS pod identity and others (a
 * full URI). Plain HTTP only to the addresses that AWS names for it and to loopback, so that a
 * variable cannot send the authorization token around the world.
 * Source: "Container credential provider", AWS SDKs and Tools Reference Guide. */
#include "uploader/credentials_int.h"

#include "base/secret.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URL_MAX = 2048, TOKEN_MAX = 16384, CONNECT_MS = 2000, TOTAL_MS = 5000 };

/* Without its port, from "http://HOST…". */
static bool may_be_plain(const char *url)
{
    static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
                                        "localhost", "[::1]"};
    const char *host = url + strlen("http://");
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    unsigned a, b, c;
    int end = 0;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (strlen(hosts[i]) == n && strncmp(host, hosts[i], n) == 0)
            return true;
    return sscanf(host, "127.%3u.%3u.%3u%n", &a, &b, &c, &end) == 3 && (size_t)end == n;
}

enum rc credentials_container_url(const struct credentials_source *s, struct buf *url,
                                  struct err *e)
{
    const char *relative = credentials_env(s, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = credentials_env(s, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *given = relative ? relative : full;
    if (!given)
        return err_set(e, RC_ABSENT, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
    for (const char *p = given; *p; p++)
        if (*p <= ' ' || *p > '~')
            return err_set(e, RC_INVALID,
                           "the container's variable AWS_CONTAINER_CREDENTIALS_%s_URI has a "
                           "character that no URI has",
                           relative ? "RELATIVE" : "FULL");
    if (relative && relative[0] != '/')
        return err_set(e, RC_INVALID,
                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI has to begin with a slash");
    buf_addf(url, "%s%s", relative ? "http://169.254.170.2" : "", given);
    if (url->overflow)
        return err_set(e, RC_INVALID, "the URI of the container's endpoint is too long");
    if (strchr(url->data + strcspn(url->data, ":") + 1, '@') != NULL)
        return err_set(e, RC_INVALID, "AWS_CONTAINER_CREDENTIALS_FULL_URI has a '@' in it");
    if (strncmp(url->data, "https://", 8) == 0 ||
        (strncmp(url->data, "http://", 7) == 0 && may_be_plain(url->data)))
        return RC_OK;
    return err_set(e, RC_INVALID,
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI may be https://, or http:// to loopback, "
                   "169.254.170.2, 169.254.170.23 or [fd00:ec2::23] only");
}

/* "authorization: …" into line, or nothing. */
static enum rc authorize(struct credentials_source *s, struct buf *line, struct err *e)
{
    const char *file = credentials_env(s, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = credentials_env(s, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct credentials_text text = {0};
    struct err detail = {0};
    enum rc rc = RC_OK;
    if (file) {
        rc = credentials_read(s, file, TOKEN_MAX, &text, &detail);
        if (rc != RC_OK) {
            err_set(e, rc == RC_ABSENT ? RC_DENIED : rc,
                    "the container's authorization token: %s; check the volume of "
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                    detail.text);
            rc = rc == RC_ABSENT ? RC_DENIED : rc;
            goto out;
        }
        text.data[strcspn(text.data, "\r\n")] = '\0';
        token = text.data;
    }
    if (!token)
        goto out;
    for (const char *p = token; *p; p++)
        if (*p < ' ' || *p > '~') {
            rc = err_set(e, RC_INVALID,
                         "the container's authorization token has a control character in it");
            goto out;
        }
    buf_addf(line, "%*s", (int)line->max, ""); /* room first: growing would leave copies */
    buf_reset(line);
    buf_adds(line, "authorization: ");
    buf_adds(line, token);
    if (line->overflow)
        rc = err_set(e, RC_INVALID, "the container's authorization token is too long");
out:
    credentials_text_fini(&text);
    return rc;
}

static enum rc container_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    struct buf url, line;
    struct credentials_reply reply = {0};
    char where[320];
    buf_init(&url, URL_MAX);
    buf_init(&line, TOKEN_MAX + 32);
    enum rc rc = credentials_container_url(s, &url, e);
    if (rc == RC_ABSENT && e && strcmp(s->ops->name, "chain") == 0)
        e->text[0] = '\0';
    if (rc == RC_OK)
        rc = authorize(s, &line, e);
    if (rc != RC_OK)
        goto out;
    const char *headers[2] = {line.data};
    struct credentials_question q = {.method = "GET",
                                     .url = url.data,
                                     .headers = headers,
                                     .n_headers = line.len > 0 ? 1 : 0,
                                     .no_proxy = true,
                                     .connect_ms = CONNECT_MS,
                                     .total_ms = TOTAL_MS};
    (void)snprintf(where, sizeof where, "the container's endpoint %.200s", url.data);
    rc = credentials_ask(s, &q, &reply);
    if (rc == RC_NET)
        err_set(e, rc, "%s does not answer: %s; check that the agent of the container runs", where,
                reply.text);
    else if (rc != RC_OK)
        err_set(e, rc, "%s: %s", where, rc == RC_INVALID ? "the answer is too long" : reply.text);
    else if (reply.status == 200)
        rc = credentials_from_json(&reply.body, CREDENTIALS_OF_METADATA, where, -reply.ahead_s, out,
                                   e);
    else
        rc = err_set(e, reply.status >= 500 || reply.status == 429 ? RC_NET : RC_DENIED,
                     "%s answers with HTTP status %d; %s", where, reply.status,
                     reply.status == 401 || reply.status == 403
                         ? "check the authorization token and that the task or pod has a role"
                         : "check that the task or pod has a role");
out:
    if (line.cap > 0)
        secret_wipe(line.data, line.cap);
    buf_fini(&line);
    buf_fini(&url);
    credentials_reply_fini(&reply);
    return rc;
}

const struct credentials_source_ops credentials_container_ops = {
    .name = "container",
    .remedy = "run as an ECS task with a task role, or as a pod with EKS pod identity",
    .get = container_get,
};
