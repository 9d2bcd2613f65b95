/* Keys, and the sources that yield them: what all sources share, and the chain that asks one after
 * the other. A source that is there but broken ends the chain: going on to the next would send with
 * keys that nobody meant.
 *
 * Secrets are kept in guarded memory only; buffers through which they passed are wiped. */
#include "uploader/credentials.h"

#include "base/mem.h"
#include "uploader/credentials_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct credentials {
    atomic_uint owners;
    uint64_t serial;
    char *access_key_id, *origin;
    struct secret *secret_access_key, *session_token;
    int64_t expires_unix_s;
};

static enum rc check_one(const char *value, size_t max, const char *name, const char *where,
                         struct err *e)
{
    size_t len = strlen(value);
    if (len == 0 || len > max)
        return err_set(e, RC_INVALID, "%s: the %s has %zu characters, it must have 1 to %zu", where,
                       name, len, max);
    for (size_t i = 0; i < len; i++)
        if (value[i] <= ' ' || value[i] > '~')
            return err_set(e, RC_INVALID,
                           "%s: the %s has a space or another character that no key has at "
                           "position %zu; copy it again",
                           where, name, i + 1);
    return RC_OK;
}

enum rc credentials_check(const char *access_key_id, const char *secret_access_key,
                          const char *session_token, const char *where, struct err *e)
{
    enum rc rc = check_one(access_key_id, CREDENTIALS_ID_MAX, "access key id", where, e);
    if (!rc)
        rc = check_one(secret_access_key, CREDENTIALS_SECRET_MAX, "secret access key", where, e);
    if (!rc && session_token)
        rc = check_one(session_token, CREDENTIALS_TOKEN_MAX, "session token", where, e);
    return rc;
}

struct credentials *credentials_new_from(const char *origin, const char *access_key_id,
                                         const char *secret_access_key, const char *session_token,
                                         int64_t expires_unix_s)
{
    static atomic_uint_fast64_t serials;
    struct credentials *c = mem_alloc(sizeof *c);
    atomic_init(&c->owners, 1);
    c->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    c->access_key_id = mem_strdup(access_key_id);
    c->origin = mem_strdup(origin);
    c->secret_access_key = secret_new(secret_access_key, strlen(secret_access_key));
    if (session_token)
        c->session_token = secret_new(session_token, strlen(session_token));
    c->expires_unix_s = expires_unix_s;
    return c;
}

struct credentials *credentials_new(const char *access_key_id, const char *secret_access_key,
                                    const char *session_token, int64_t expires_unix_s)
{
    return credentials_new_from("the program", access_key_id, secret_access_key, session_token,
                                expires_unix_s);
}

struct credentials *credentials_share(struct credentials *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->owners, 1, memory_order_relaxed);
    return c;
}

void credentials_free(struct credentials *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->owners, 1, memory_order_acq_rel) != 1)
        return;
    secret_free(c->secret_access_key);
    secret_free(c->session_token);
    free(c->access_key_id);
    free(c->origin);
    free(c);
}

const char *credentials_access_key_id(const struct credentials *c)
{
    return c->access_key_id;
}

const char *credentials_secret_access_key(const struct credentials *c)
{
    return secret_text(c->secret_access_key);
}

const char *credentials_session_token(const struct credentials *c)
{
    return c->session_token ? secret_text(c->session_token) : NULL;
}

int64_t credentials_expires(const struct credentials *c)
{
    return c->expires_unix_s;
}

bool credentials_are_temporary(const struct credentials *c)
{
    return c->session_token != NULL;
}

uint64_t credentials_serial(const struct credentials *c)
{
    return c->serial;
}

const char *credentials_origin(const struct credentials *c)
{
    return c->origin;
}

uint64_t credentials_refresh_in_ms(const struct credentials *c, int64_t now_unix_s)
{
    enum { EARLY_S = 600, CENTURY_S = 36525 * 864 };
    if (c->expires_unix_s == INT64_MAX)
        return UINT64_MAX;
    if (c->expires_unix_s <= now_unix_s)
        return 1000;
    uint64_t left = (uint64_t)c->expires_unix_s - (uint64_t)now_unix_s;
    if (left > CENTURY_S)
        left = CENTURY_S; /* so that the product fits */
    uint64_t early = left / 3 < EARLY_S ? left / 3 : EARLY_S;
    return left - early ? (left - early) * 1000 : 1000;
}

/* Sources */

static const char *from_getenv(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

const char *credentials_env(const struct credentials_source *s, const char *name)
{
    const char *value = s->env(s->env_arg, name);
    return value && value[0] ? value : NULL;
}

const char *credentials_profile(const struct credentials_source *s)
{
    const char *profile = s->profile ? s->profile : credentials_env(s, "AWS_PROFILE");
    return profile ? profile : "default";
}

static void stamp(struct credentials_source *s, const char *path, const struct stat *st)
{
    size_t i = 0;
    while (i < s->n_stamps && strcmp(s->stamps[i].path, path) != 0)
        i++;
    if (i == CREDENTIALS_STAMPS_MAX)
        return; /* KNOWN: more files than any profile needs; the others are read before expiry */
    struct credentials_stamp *slot = &s->stamps[i];
    if (i < s->n_stamps)
        free(slot->path);
    else
        s->n_stamps++;
    *slot = (struct credentials_stamp){.path = mem_strdup(path), .there = st != NULL};
    if (st)
        slot->st = *st;
}

static void forget_stamps(struct credentials_source *s)
{
    while (s->n_stamps > 0)
        free(s->stamps[--s->n_stamps].path);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* ctime too: a chmod may be what makes the file readable. */
static bool stamp_is_stale(const struct credentials_stamp *p)
{
    struct stat now;
    if (stat(p->path, &now) != 0)
        return p->there;
    return !p->there || now.st_dev != p->st.st_dev || now.st_ino != p->st.st_ino ||
           now.st_size != p->st.st_size || !same_time(&now.st_mtim, &p->st.st_mtim) ||
           !same_time(&now.st_ctim, &p->st.st_ctim);
}

bool credentials_source_changed(struct credentials_source *s)
{
    for (size_t i = 0; i < s->n_stamps; i++)
        if (stamp_is_stale(&s->stamps[i]))
            return true;
    return false;
}

void credentials_text_fini(struct credentials_text *t)
{
    if (t->data)
        secret_wipe(t->data, t->size);
    free(t->data);
    *t = (struct credentials_text){0};
}

/* At most size - 1 bytes, so that there is room for the NUL. */
static enum rc read_all(int fd, const char *path, struct credentials_text *out, struct err *e)
{
    while (out->len < out->size) {
        ssize_t got = read(fd, out->data + out->len, out->size - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, errno, "cannot read %s", path);
        if (got == 0)
            break;
        out->len += (size_t)got;
    }
    /* A size that fstat did not announce: it is being written, or is no plain file. */
    if (out->len == out->size)
        return err_set(e, RC_INVALID, "%s grew while it was read", path);
    out->data[out->len] = '\0';
    if (memchr(out->data, '\0', out->len))
        return err_set(e, RC_INVALID, "%s has a zero byte in it, so it is no text file", path);
    return RC_OK;
}

enum rc credentials_read(struct credentials_source *s, const char *path, size_t max,
                         struct credentials_text *out, struct err *e)
{
    struct stat st;
    enum rc rc = RC_OK;
    *out = (struct credentials_text){0};
    /* Links are followed: mounted secrets are links. Not blocking: it may be a FIFO. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int error = errno;
        stamp(s, path, stat(path, &st) == 0 ? &st : NULL);
        if (error == ENOTDIR)
            error = ENOENT; /* "no such file" is what it comes to */
        return err_sys(e, error, "cannot open %s", path);
    }
    if (fstat(fd, &st) != 0) {
        rc = err_sys(e, errno, "cannot stat %s", path);
        goto out;
    }
    stamp(s, path, &st);
    if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, RC_INVALID, "%s is not a regular file", path);
        goto out;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max) {
        rc = err_set(e, RC_INVALID, "%s is over %zu bytes", path, max);
        goto out;
    }
    out->size = (size_t)st.st_size + 1;
    out->data = mem_alloc(out->size);
    rc = read_all(fd, path, out, e);
out:
    (void)close(fd); /* read only: nothing that could be lost */
    return rc;
}

/* What each link of the chain says of itself is part of the sentence. */
static enum rc chain_get(struct credentials_source *s, struct credentials **out, struct err *e)
{
    static const struct credentials_source_ops *const links[] = {
        &credentials_env_ops,  &credentials_systemd_ops,   &credentials_web_ops,
        &credentials_file_ops, &credentials_container_ops, &credentials_instance_ops};
    struct buf where;
    enum rc rc = RC_ABSENT;
    buf_init(&where, sizeof((struct err *)0)->text);
    for (size_t i = 0; i < sizeof links / sizeof links[0] && rc == RC_ABSENT; i++) {
        struct err detail = {0};
        rc = links[i]->get(s, out, &detail);
        if (rc == RC_ABSENT && detail.text[0]) {
            buf_adds(&where, i > 0 ? "; " : "");
            buf_adds(&where, detail.text);
        } else if (rc && rc != RC_ABSENT && e) {
            *e = detail;
        }
    }
    if (rc == RC_ABSENT)
        err_set(e, rc, "%s", where.data);
    buf_fini(&where);
    return rc;
}

static const struct credentials_source_ops chain_ops = {
    .name = "chain",
    .remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run \"aws configure\" as the "
              "user of the gateway",
    .get = chain_get,
};

static char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static void copy_roles(struct credentials_source *s, const struct credentials_cfg *cfg)
{
    s->roles = mem_alloc(cfg->n_roles * sizeof *s->roles);
    s->n_roles = cfg->n_roles;
    for (size_t i = 0; i < cfg->n_roles; i++)
        s->roles[i] = (struct credentials_role){
            .arn = mem_strdup(cfg->roles[i].arn),
            .external_id = copy(cfg->roles[i].external_id),
            .session_name = copy(cfg->roles[i].session_name),
            .duration_ms = cfg->roles[i].duration_ms,
            .endpoint = copy(cfg->roles[i].endpoint),
        };
}

static const struct credentials_source_ops *const kinds[] = {&chain_ops,
                                                             &credentials_env_ops,
                                                             &credentials_systemd_ops,
                                                             &credentials_web_ops,
                                                             &credentials_file_ops,
                                                             &credentials_container_ops,
                                                             &credentials_instance_ops};

enum rc credentials_source_new(const struct credentials_cfg *cfg, struct credentials_source **out,
                               struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(cfg->source, kinds[i]->name) != 0)
            continue;
        struct credentials_source *s = mem_alloc(sizeof *s);
        s->ops = kinds[i];
        s->profile = copy(cfg->profile);
        s->file = copy(cfg->file);
        s->config_file = copy(cfg->config_file);
        s->region = copy(cfg->region);
        s->ca_file = copy(cfg->ca_file);
        s->allow_http = cfg->allow_http;
        s->fips = cfg->fips;
        s->env = cfg->env ? cfg->env : from_getenv;
        s->env_arg = cfg->env_arg;
        atomic_init(&s->stopped, false);
        s->stop = cfg->stop ? cfg->stop : &s->stopped;
        copy_roles(s, cfg);
        *out = s;
        return RC_OK;
    }
    return err_set(e, RC_INVALID,
                   "there is no such source of credentials; it is one of \"chain\", "
                   "\"environment\", \"systemd\", \"web-identity\", \"file\", \"container\", "
                   "\"instance\"");
}

void credentials_source_free(struct credentials_source *s)
{
    if (!s)
        return;
    forget_stamps(s);
    for (size_t i = 0; i < s->n_roles; i++) {
        free((char *)(uintptr_t)s->roles[i].arn); /* ours: copy_roles */
        free((char *)(uintptr_t)s->roles[i].external_id);
        free((char *)(uintptr_t)s->roles[i].session_name);
        free((char *)(uintptr_t)s->roles[i].endpoint);
    }
    free(s->roles);
    free(s->profile);
    free(s->file);
    free(s->config_file);
    free(s->region);
    free(s->ca_file);
    free(s);
}

void credentials_source_stop(struct credentials_source *s)
{
    atomic_store(&s->stopped, true);
}

enum rc credentials_source_get(struct credentials_source *s, struct credentials **out,
                               struct err *e)
{
    struct err detail = {0};
    *out = NULL;
    forget_stamps(s);
    enum rc rc = s->ops->get(s, out, &detail);
    if (rc == RC_ABSENT)
        return err_set(e, rc, "no credentials were found: %s; %s", detail.text, s->ops->remedy);
    for (size_t i = 0; i < s->n_roles && rc == RC_OK; i++) {
        struct credentials *base = *out;
        *out = NULL;
        rc = credentials_assume(s, &s->roles[i], base, out, &detail);
        credentials_free(base);
    }
    if (rc && e)
        *e = detail;
    return rc;
}
