/* Credentials that systemd hands to the unit (LoadCredential=, LoadCredentialEncrypted=): one file
 * a value, or one file in the AWS tools' format. */
#include "uploader/credentials_int.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A path in the credentials directory; false if it is too long to be one. */
static bool path_of(char out[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX;
}

/* One value, without the space and line ends around it (editors add them). */
static enum rc read_value(struct credentials_source *s, const char *dir, const char *name,
                          struct credentials_text *t, char **value, struct err *e)
{
    char path[PATH_MAX];
    *t = (struct credentials_text){0};
    if (!path_of(path, dir, name))
        return err_set(e, RC_INVALID, "CREDENTIALS_DIRECTORY is too long");
    enum rc rc = credentials_read(s, path, CREDENTIALS_TOKEN_MAX + 64, t, e);
    if (rc)
        return rc;
    *value = t->data + strspn(t->data, " \t\r\n");
    size_t len = strlen(*value);
    while (len > 0 && strchr(" \t\r\n", (*value)[len - 1]))
        (*value)[--len] = '\0';
    return RC_OK;
}

static enum rc separate_files(struct credentials_source *s, const char *dir,
                              struct credentials **out, struct err *e)
{
    struct credentials_text id = {0}, secret = {0}, token = {0};
    char *id_text, *secret_text, *token_text = NULL;
    enum rc rc = read_value(s, dir, "aws_access_key_id", &id, &id_text, e);
    if (rc)
        goto out;
    rc = read_value(s, dir, "aws_secret_access_key", &secret, &secret_text, e);
    if (rc == RC_ABSENT)
        rc = err_set(e, RC_INVALID,
                     "%s has aws_access_key_id but no aws_secret_access_key; load both credentials",
                     dir);
    if (rc)
        goto out;
    rc = read_value(s, dir, "aws_session_token", &token, &token_text, e);
    if (rc && rc != RC_ABSENT)
        goto out;
    rc = credentials_check(id_text, secret_text, token_text, dir, e);
    if (!rc) {
        char origin[PATH_MAX + 32];
        (void)snprintf(origin, sizeof origin, "systemd credentials in %s", dir);
        *out = credentials_new_from(origin, id_text, secret_text, token_text, INT64_MAX);
    }
out:
    credentials_text_fini(&id);
    credentials_text_fini(&secret);
    credentials_text_fini(&token);
    return rc;
}

static enum rc systemd_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    const char *dir = credentials_env(s, "CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    if (!dir)
        return err_set(e, RC_ABSENT,
                       "systemd gave no credentials (CREDENTIALS_DIRECTORY is not set)");
    enum rc rc = separate_files(s, dir, out, e);
    if (rc != RC_ABSENT)
        return rc;
    if (!path_of(path, dir, "aws_credentials"))
        return err_set(e, RC_INVALID, "CREDENTIALS_DIRECTORY is too long");
    struct err detail = {0};
    rc = credentials_file_get(s, path, NULL, out, &detail);
    if (rc == RC_ABSENT)
        return err_set(e, rc, "%s has no aws_access_key_id (%s)", dir, detail.text);
    if (rc && e)
        *e = detail;
    return rc;
}

const struct credentials_source_ops credentials_systemd_ops = {
    .name = "systemd",
    .remedy = "give the unit LoadCredential=aws_access_key_id:… and "
              "LoadCredential=aws_secret_access_key:…",
    .get = systemd_get,
};
