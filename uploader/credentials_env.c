/* Credentials from the three environment variables that every AWS tool knows. Half a pair is an
 * error, not an absence: somebody meant these keys. */
#include "uploader/credentials_int.h"

static enum rc env_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    const char *id = credentials_env(s, "AWS_ACCESS_KEY_ID");
    const char *secret = credentials_env(s, "AWS_SECRET_ACCESS_KEY");
    const char *token = credentials_env(s, "AWS_SESSION_TOKEN");
    if (!id && !secret)
        return err_set(e, RC_ABSENT, "AWS_ACCESS_KEY_ID is not set");
    if (!id || !secret)
        return err_set(e, RC_INVALID, "the environment has %s but not %s; set both of them or none",
                       id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    enum rc rc = credentials_check(id, secret, token, "environment", e);
    if (!rc)
        *out = credentials_new_from("environment", id, secret, token, INT64_MAX);
    return rc;
}

const struct credentials_source_ops credentials_env_ops = {
    .name = "environment",
    .remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    .get = env_get,
};
