/* Credentials from the files that the AWS tools share: first ~/.aws/credentials, then
 * ~/.aws/config. */
#include "base/mem.h"
#include "base/utf8.h"
#include "uploader/credentials_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* Keys, or why there are none, from a profile that was found. */
static enum rc make(const struct credentials_profile *p, const char *path, const char *shown,
                    struct credentials **out, struct err *e)
{
    struct buf where;
    enum rc rc;
    buf_init(&where, 1024);
    buf_addf(&where, "profile %s in %s", shown, path);
    if (!p->access_key_id && !p->secret_access_key)
        rc = p->other ? err_set(e, RC_ABSENT, "%s has no keys of its own, it uses %s", where.data,
                                p->other)
                      : err_set(e, RC_ABSENT, "%s has no aws_access_key_id", where.data);
    else if (!p->access_key_id || !p->secret_access_key)
        rc = err_set(e, RC_INVALID, "%s has %s but no %s; a profile needs both", where.data,
                     p->access_key_id ? "aws_access_key_id" : "aws_secret_access_key",
                     p->access_key_id ? "aws_secret_access_key" : "aws_access_key_id");
    else
        rc = credentials_check(p->access_key_id, p->secret_access_key, p->session_token, where.data,
                               e);
    if (!rc)
        *out = credentials_new_from(where.data, p->access_key_id, p->secret_access_key,
                                    p->session_token, INT64_MAX);
    buf_fini(&where);
    return rc;
}

enum rc credentials_file_get(struct credentials_source *s, const char *path, bool is_config,
                             struct credentials **out, struct err *e)
{
    struct credentials_text text;
    struct credentials_profile found;
    struct buf shown;
    const char *profile = credentials_profile(s);
    buf_init(&shown, 256);
    utf8_escape(&shown, profile, strlen(profile));
    enum rc rc = credentials_read(s, path, FILE_MAX_BYTES, &text, e);
    if (rc == RC_ABSENT)
        rc = err_set(e, rc, "there is no %s", path);
    if (rc)
        goto out;
    rc = credentials_ini_parse(text.data, path, profile, is_config, &found, e);
    if (rc)
        goto out;
    if (found.found)
        rc = make(&found, path, shown.data, out, e);
    else
        rc = err_set(e, RC_ABSENT, "%s has no profile %s", path, shown.data);
out:
    credentials_text_fini(&text);
    buf_fini(&shown);
    return rc;
}

/* The path by configuration, variable or custom, "~/" expanded; NULL if that needs a HOME and there
 * is none. The caller frees. */
static char *path_of(const struct credentials_source *s, const char *configured,
                     const char *variable, const char *usual)
{
    const char *path = configured ? configured : credentials_env(s, variable);
    const char *home = credentials_env(s, "HOME");
    if (!path)
        path = usual;
    if (strncmp(path, "~/", 2) != 0)
        return mem_strdup(path);
    if (!home)
        return NULL;
    size_t size = strlen(home) + strlen(path);
    char *full = mem_alloc(size);
    (void)snprintf(full, size, "%s%s", home, path + 1);
    return full;
}

static enum rc file_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    struct err first = {0}, second = {0};
    char *path = path_of(s, s->file, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    char *config = path_of(s, s->config_file, "AWS_CONFIG_FILE", "~/.aws/config");
    enum rc rc = path ? credentials_file_get(s, path, false, out, &first)
                      : err_set(&first, RC_ABSENT, "HOME is not set");
    if (rc != RC_ABSENT) {
        if (rc && e)
            *e = first;
        goto out;
    }
    rc = config ? credentials_file_get(s, config, true, out, &second)
                : err_set(&second, RC_ABSENT, "HOME is not set");
    if (rc == RC_ABSENT)
        err_set(e, rc, "%s; %s", first.text, second.text);
    else if (rc && e)
        *e = second;
out:
    free(path);
    free(config);
    return rc;
}

const struct credentials_source_ops credentials_file_ops = {
    .name = "file",
    .remedy = "run \"aws configure\" as the user of the gateway, or name the file and the profile "
              "in the configuration",
    .get = file_get,
};
