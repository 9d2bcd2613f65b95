/* What a source of credentials reaches for, found out beforehand: for a process that confines
 * itself. Reads the AWS tools' files as they are now; a profile changed later may need more. */
#include "uploader/credentials_int.h"

#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void need_file(const struct credentials_needs *n, const char *path)
{
    if (path)
        n->file(n->arg, path);
}

static void need_of_systemd(struct credentials_source *s, const struct credentials_needs *n)
{
    char path[PATH_MAX];
    const char *dir = credentials_env(s, "CREDENTIALS_DIRECTORY");
    int len = dir ? snprintf(path, sizeof path, "%s/aws_credentials", dir) : 0;
    if (len <= 0 || len >= (int)sizeof path)
        return;
    need_file(n, path); /* the others are beside it */
    credentials_file_needs(s, path, NULL, n);
}

static void need_of_web(struct credentials_source *s, const struct credentials_needs *n)
{
    need_file(n, credentials_env(s, "AWS_WEB_IDENTITY_TOKEN_FILE"));
}

static void need_of_container(struct credentials_source *s, const struct credentials_needs *n)
{
    struct buf url;
    need_file(n, credentials_env(s, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
    buf_init(&url, 2048);
    if (credentials_container_url(s, &url, NULL) == RC_OK)
        n->url(n->arg, url.data);
    buf_fini(&url);
}

static void need_of_instance(struct credentials_source *s, const struct credentials_needs *n)
{
    const char *url = credentials_env(s, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    n->url(n->arg, url ? url : "http://169.254.169.254");
}

void credentials_source_needs(const struct credentials_cfg *cfg, const struct credentials_needs *n)
{
    static const struct {
        const char *name;
        void (*need)(struct credentials_source *s, const struct credentials_needs *n);
    } rows[] = {
        {"systemd", need_of_systemd},
        {"web-identity", need_of_web},
        {"file", credentials_shared_files_needs},
        {"container", need_of_container},
        {"instance", need_of_instance},
    };
    struct credentials_source *s;
    if (credentials_source_new(cfg, &s, NULL) != RC_OK)
        return;
    bool all = strcmp(cfg->source, "chain") == 0;
    /* A profile may name any of the others as where its keys come from. */
    bool more = all || strcmp(cfg->source, "file") == 0 || strcmp(cfg->source, "systemd") == 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool by_profile =
            more && (rows[i].need == need_of_container || rows[i].need == need_of_instance);
        if (all || by_profile || strcmp(cfg->source, rows[i].name) == 0)
            rows[i].need(s, n);
    }
    const char *sts = credentials_env(s, "AWS_ENDPOINT_URL_STS");
    if (sts)
        n->url(n->arg, sts);
    for (size_t i = 0; i < cfg->n_roles; i++)
        if (cfg->roles[i].endpoint)
            n->url(n->arg, cfg->roles[i].endpoint);
    credentials_source_free(s);
}
