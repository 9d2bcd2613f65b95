/* Credentials from the files that the AWS tools share: first ~/.aws/credentials, then
 * ~/.aws/config. A profile may have keys, name a program that prints some, or name a role and with
 * which keys it is assumed, those of another profile for instance. */
#include "base/mem.h"
#include "base/utf8.h"
#include "uploader/credentials_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1024 * 1024, PROFILES_MAX = 8 };

/* Keys that stand in a profile, or why there are none. */
static enum rc make(const struct credentials_profile *p, const char *where,
                    struct credentials **out, struct err *e)
{
    if (!p->access_key_id && !p->secret_access_key)
        return p->other
                   ? err_set(e, RC_ABSENT, "%s has no keys of its own, it uses %s", where, p->other)
                   : err_set(e, RC_ABSENT, "%s has no aws_access_key_id", where);
    if (!p->access_key_id || !p->secret_access_key)
        return err_set(e, RC_INVALID, "%s has %s but no %s; a profile needs both", where,
                       p->access_key_id ? "aws_access_key_id" : "aws_secret_access_key",
                       p->access_key_id ? "aws_secret_access_key" : "aws_access_key_id");
    enum rc rc =
        credentials_check(p->access_key_id, p->secret_access_key, p->session_token, where, e);
    if (rc == RC_OK)
        *out = credentials_new_from(where, p->access_key_id, p->secret_access_key, p->session_token,
                                    INT64_MAX);
    return rc;
}

/* A profile as it stands in the one or two files. */
struct sought {
    struct credentials_source *source;
    const char *paths[2]; /* NULL: there is no such file to look into */
    const char *profile;
    unsigned depth;      /* how many profiles led here */
    bool keys_only;      /* the profile is its own source_profile */
    bool may_do_without; /* the first file was named, the second is only where it usually is */
};
struct found {
    struct credentials_text texts[2];
    struct credentials_profile profiles[2];
    struct err why[2]; /* with RC_ABSENT: a clause */
    char *where[2];    /* "profile prod in /root/.aws/config" */
    char *shown;       /* its name, escaped */
};

static enum rc look_into(const struct sought *q, int i, struct found *f, struct err *e)
{
    const char *path = q->paths[i];
    struct err detail = {0};
    if (!path)
        return i == 0 ? err_set(&f->why[i], RC_ABSENT, "HOME is not set") : RC_ABSENT;
    size_t size = strlen(f->shown) + strlen(path) + 32;
    f->where[i] = mem_alloc(size);
    (void)snprintf(f->where[i], size, "profile %s in %s", f->shown, path);
    enum rc rc = credentials_read(q->source, path, FILE_MAX_BYTES, &f->texts[i], &detail);
    if (rc == RC_ABSENT)
        return err_set(&f->why[i], rc, "there is no %s", path);
    if (rc == RC_OK)
        rc = credentials_ini_parse(f->texts[i].data, path, q->profile, i == 1, &f->profiles[i],
                                   &detail);
    if (rc == RC_OK && !f->profiles[i].found)
        return err_set(&f->why[i], RC_ABSENT, "%s has no profile %s", path, f->shown);
    if (rc != RC_OK && e)
        *e = detail;
    return rc;
}

/* Of the first file that has it. */
static char *setting(const struct found *f, enum credentials_setting which)
{
    char *first = f->profiles[0].settings[which];
    return first ? first : f->profiles[1].settings[which];
}

static const char *where_of(const struct found *f, enum credentials_setting which)
{
    return f->where[f->profiles[0].settings[which] ? 0 : 1];
}

static void found_init(struct found *f, const char *profile)
{
    struct buf shown;
    *f = (struct found){0};
    buf_init(&shown, 256);
    utf8_escape(&shown, profile, strlen(profile));
    f->shown = buf_take(&shown);
    buf_fini(&shown);
}

static void found_fini(struct found *f)
{
    for (int i = 0; i < 2; i++) {
        credentials_text_fini(&f->texts[i]);
        free(f->where[i]);
    }
    free(f->shown);
}

static enum rc get_profile(const struct sought *q, struct credentials **out, struct err *e);

/* The keys with which a profile's role is assumed. */
static enum rc get_base(const struct sought *q, const struct found *f, struct credentials **out,
                        struct err *e)
{
    static const struct {
        const char *name;
        const struct credentials_source_ops *ops;
    } sources[] = {
        {"Environment", &credentials_env_ops},
        {"Ec2InstanceMetadata", &credentials_instance_ops},
        {"EcsContainer", &credentials_container_ops},
    };
    const char *other = setting(f, CREDENTIALS_SOURCE_PROFILE);
    const char *named = setting(f, CREDENTIALS_CREDENTIAL_SOURCE);
    const char *where = where_of(f, CREDENTIALS_ROLE_ARN);
    struct err detail = {0};
    enum rc rc;
    if (other && named)
        return err_set(e, RC_INVALID,
                       "%s has source_profile and credential_source; keep one of them", where);
    if (other) {
        struct sought next = *q;
        next.profile = other;
        next.depth++;
        next.keys_only = strcmp(other, q->profile) == 0;
        rc = next.depth > PROFILES_MAX
                 ? err_set(&detail, RC_INVALID, "the profiles name one another in a circle")
                 : get_profile(&next, out, &detail);
    } else {
        size_t i = 0, n = sizeof sources / sizeof sources[0];
        while (i < n && strcmp(named, sources[i].name) != 0)
            i++;
        if (i == n)
            return err_set(e, RC_INVALID,
                           "%s: credential_source has to be Environment, Ec2InstanceMetadata or "
                           "EcsContainer",
                           where);
        rc = sources[i].ops->get(q->source, out, &detail);
    }
    /* It was named, so that it is not there is a fault and no reason to look elsewhere. */
    if (rc == RC_ABSENT && detail.text[0] == '\0') /* silent, as in the chain */
        return err_set(e, RC_INVALID, "the keys for the role of %s: there are none in %s", where,
                       named);
    if (rc == RC_ABSENT)
        return err_set(e, RC_INVALID, "the keys for the role of %s: %s", where, detail.text);
    if (rc != RC_OK && e)
        *e = detail;
    return rc;
}

static enum rc get_role(const struct sought *q, const struct found *f, struct credentials **out,
                        struct err *e)
{
    const char *where = where_of(f, CREDENTIALS_ROLE_ARN);
    const char *token_file = setting(f, CREDENTIALS_WEB_TOKEN_FILE);
    const char *duration = setting(f, CREDENTIALS_DURATION);
    struct credentials_role role = {.arn = setting(f, CREDENTIALS_ROLE_ARN),
                                    .external_id = setting(f, CREDENTIALS_EXTERNAL_ID),
                                    .session_name = setting(f, CREDENTIALS_SESSION_NAME)};
    struct credentials *base = NULL;
    if (setting(f, CREDENTIALS_MFA_SERIAL))
        return err_set(e, RC_INVALID,
                       "%s has mfa_serial, and there is nobody here to type the code; use a role "
                       "without",
                       where);
    if (duration) {
        char *end;
        unsigned long long seconds = strtoull(duration, &end, 10);
        if (*end || end == duration || seconds < 900 || seconds > 43200)
            return err_set(e, RC_INVALID, "%s: duration_seconds has to be from 900 to 43200",
                           where);
        role.duration_ms = seconds * 1000;
    }
    bool has_base =
        setting(f, CREDENTIALS_SOURCE_PROFILE) || setting(f, CREDENTIALS_CREDENTIAL_SOURCE);
    if (!has_base && token_file)
        return credentials_assume_by_token(q->source, &role, token_file, out, e);
    if (!has_base)
        return err_set(e, RC_INVALID,
                       "%s has role_arn, but no source_profile, credential_source or "
                       "web_identity_token_file that says with which keys to assume it",
                       where);
    enum rc rc = get_base(q, f, &base, e);
    if (rc == RC_OK)
        rc = credentials_assume(q->source, &role, base, out, e);
    credentials_free(base);
    return rc;
}

/* By whatever way the profile names, in the order of the AWS tools: a role, keys in the first file,
 * a program, keys in the config file. */
static enum rc get_found(const struct sought *q, struct found *f, struct credentials **out,
                         struct err *e)
{
    const struct credentials_profile *p = f->profiles;
    char *command = setting(f, CREDENTIALS_PROCESS);
    if (setting(f, CREDENTIALS_ROLE_ARN) && !q->keys_only)
        return get_role(q, f, out, e);
    enum rc rc = p[0].found ? make(&p[0], f->where[0], out, &f->why[0]) : RC_ABSENT;
    if (rc == RC_ABSENT && command)
        return credentials_process_get(q->source, command, where_of(f, CREDENTIALS_PROCESS), out,
                                       e);
    int last = 0;
    if (rc == RC_ABSENT && p[1].found) {
        rc = make(&p[1], f->where[1], out, &f->why[1]);
        last = 1;
    }
    if (rc != RC_OK && rc != RC_ABSENT && e)
        *e = f->why[last];
    return rc;
}

/* The keys come from the first file alone; who looks where they are from is told so. */
static void tell_without(const struct sought *q, struct found *f)
{
    size_t size = strlen(f->where[0]) + strlen(q->paths[1]) + 40;
    char *where = mem_alloc(size);
    (void)snprintf(where, size, "%s, without %s (may not be read)", f->where[0], q->paths[1]);
    free(f->where[0]);
    f->where[0] = where;
}

static enum rc get_profile(const struct sought *q, struct credentials **out, struct err *e)
{
    struct found f;
    found_init(&f, q->profile);
    enum rc rc = look_into(q, 0, &f, e);
    if (rc != RC_OK && rc != RC_ABSENT)
        goto out;
    rc = look_into(q, 1, &f, e);
    /* What a second file says may be that the keys of the first are only those with which a role is
     * assumed, so one that is broken is not passed over: files would be sent as somebody else. But
     * the home of a service may be closed to it (HOME=/root), and that is no reason to refuse keys
     * from a file that was named. */
    if (rc == RC_DENIED && q->may_do_without && f.profiles[0].access_key_id)
        tell_without(q, &f);
    else if (rc != RC_OK && rc != RC_ABSENT)
        goto out;
    rc = get_found(q, &f, out, e);
    if (rc == RC_ABSENT)
        err_set(e, rc, "%s%s%s", f.why[0].text, f.why[1].text[0] ? "; " : "", f.why[1].text);
out:
    found_fini(&f);
    return rc;
}

enum rc credentials_file_get(struct credentials_source *s, const char *path, const char *config,
                             struct credentials **out, struct err *e)
{
    struct sought q = {.source = s, .paths = {path, config}, .profile = credentials_profile(s)};
    return get_profile(&q, out, e);
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

/* What get_profile would reach for, whether or not there are keys. */
static void profile_needs(const struct sought *q, const struct credentials_needs *n)
{
    struct found f;
    found_init(&f, q->profile);
    for (int i = 0; i < 2; i++) {
        if (look_into(q, i, &f, NULL) != RC_OK)
            f.profiles[i] = (struct credentials_profile){0};
    }
    const char *token = setting(&f, CREDENTIALS_WEB_TOKEN_FILE);
    const char *program = setting(&f, CREDENTIALS_PROCESS);
    const char *other = setting(&f, CREDENTIALS_SOURCE_PROFILE);
    if (token)
        n->file(n->arg, token);
    if (program)
        n->program(n->arg, program);
    if (other && q->depth < PROFILES_MAX && strcmp(other, q->profile) != 0) {
        struct sought next = *q;
        next.profile = other;
        next.depth++;
        profile_needs(&next, n);
    }
    found_fini(&f);
}

void credentials_file_needs(struct credentials_source *s, const char *path, const char *config,
                            const struct credentials_needs *n)
{
    struct sought q = {.source = s, .paths = {path, config}, .profile = credentials_profile(s)};
    profile_needs(&q, n);
}

void credentials_shared_files_needs(struct credentials_source *s, const struct credentials_needs *n)
{
    char *path = path_of(s, s->file, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    char *config = path_of(s, s->config_file, "AWS_CONFIG_FILE", "~/.aws/config");
    if (path)
        n->file(n->arg, path);
    if (config)
        n->file(n->arg, config);
    credentials_file_needs(s, path, config, n);
    free(path);
    free(config);
}

static enum rc file_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    char *path = path_of(s, s->file, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    char *config = path_of(s, s->config_file, "AWS_CONFIG_FILE", "~/.aws/config");
    bool named = s->file || credentials_env(s, "AWS_SHARED_CREDENTIALS_FILE");
    bool config_named = s->config_file || credentials_env(s, "AWS_CONFIG_FILE");
    struct sought q = {.source = s,
                       .paths = {path, config},
                       .profile = credentials_profile(s),
                       .may_do_without = named && !config_named};
    enum rc rc = get_profile(&q, out, e);
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
