/* From answers to a configuration file: see setup.h. What is there already stays, in its order, but
 * for the answers.
 */
#include "gateway/setup.h"

#include "base/fsio.h"
#include "base/mem.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX      (1 << 20)

#define SPOOL_DEFAULT   "/var/spool/spoolgate"
#define STATE_DEFAULT   "/var/lib/spoolgate"
#define CONTROL_DEFAULT "/run/spoolgate/control.sock"

const char *const setup_steps[SETUP_STEPS] = {
    "Open the bucket's Permissions tab.",
    "In the section Bucket policy choose Edit.",
    "Paste it. If a policy stands there already, paste what \"spoolgate policy merge\" makes of it "
    "instead.",
    "Choose Save changes.",
};

enum rc setup_read(struct setup *s, struct err *e)
{
    struct config_store store;
    struct err why = {0};
    json_t *v = NULL;
    enum rc rc = config_store_read(s->path, &store, e);
    s->etag[0] = '\0';
    if (rc == RC_ABSENT) {
        v = json_object();
        rc = RC_OK;
    } else if (rc == RC_OK) {
        memcpy(s->etag, store.etag, sizeof s->etag);
        v = json_parse(store.text, store.n, &why);
        if (!json_is_object(v))
            rc = err_set(e, RC_INVALID,
                         "%s is no configuration%s%s: correct it, or name another file with -c",
                         s->path, why.text[0] ? ": " : "", why.text);
    }
    config_store_fini(&store);
    if (rc == RC_OK)
        s->existing = v;
    else
        json_decref(v);
    return rc;
}

const char *setup_existing(const struct setup *s, const char *path)
{
    return json_string_value(json_at(s->existing, path));
}

static json_t *last_role(const json_t *document)
{
    json_t *role = json_object_get(json_object_get(document, "credentials"), "assume_role");
    return json_is_array(role) && json_array_size(role) > 0
               ? json_array_get(role, json_array_size(role) - 1)
               : role;
}

json_t *setup_last_role(const struct setup *s)
{
    return last_role(s->existing);
}

/* The object below, made if it is not there. */
static json_t *object_of(json_t *parent, const char *name)
{
    json_t *o = json_object_get(parent, name);
    if (json_is_object(o))
        return o;
    o = json_object();
    json_object_set_new(parent, name, o);
    return o;
}

static void set(json_t *o, const char *name, const char *value)
{
    if (value)
        json_object_set_new(o, name, json_text(value, strlen(value)));
}

static void set_if_absent(json_t *o, const char *name, const char *value)
{
    if (!json_object_get(o, name))
        set(o, name, value);
}

static void set_role(const struct setup *s, json_t *document)
{
    if (s->keys_as_they_are && json_object_get(document, "credentials"))
        json_object_del(object_of(document, "credentials"), "assume_role");
    if (s->keys_as_they_are || !s->role)
        return;
    json_t *role = last_role(document);
    if (!json_is_object(role))
        role = object_of(object_of(document, "credentials"), "assume_role");
    const char *before = json_string_value(json_object_get(role, "arn"));
    if (before && strcmp(before, s->role) != 0)
        json_object_del(role, "external_id"); /* it was the other one's */
    set(role, "arn", s->role);
    set(role, "external_id", s->external_id);
}

json_t *setup_document(const struct setup *s, const char *bucket_arn, const char *region)
{
    json_t *document = json_deep_copy(s->existing);
    set(document, "spool", s->spool);
    set_if_absent(document, "spool", SPOOL_DEFAULT);
    set(document, "state", s->state);
    set_if_absent(document, "state", STATE_DEFAULT);
    set(document, "account_name", s->account);
    json_t *bucket = object_of(document, "bucket");
    set(bucket, "arn", s->bucket_arn ? s->bucket_arn : bucket_arn);
    set(bucket, "region", s->region ? s->region : region);
    set(bucket, "endpoint", s->endpoint);
    set(bucket, "ca_file", s->ca_file);
    if (s->path_style)
        json_object_set_new(bucket, "path_style", json_true());
    if (s->allow_http)
        json_object_set_new(bucket, "allow_http", json_true());
    if (s->profile)
        set(object_of(document, "credentials"), "profile", s->profile);
    set_role(s, document);
    set(document, "control", s->control);
    set_if_absent(document, "control", CONTROL_DEFAULT);
    return document;
}

static void write_document(const struct setup *s, const char *bucket_arn, const char *region,
                           struct buf *out)
{
    json_t *document = setup_document(s, bucket_arn, region);
    json_write_pretty(out, document);
    buf_addc(out, '\n');
    json_decref(document);
}

enum rc setup_config(const struct setup *s, const char *bucket_arn, const char *region,
                     struct config **out, struct config_faults *faults)
{
    struct buf text;
    buf_init(&text, 2 * CONFIG_MAX);
    write_document(s, bucket_arn, region, &text);
    enum rc rc = config_parse(text.data, text.len, s->path, out, faults);
    buf_fini(&text);
    return rc;
}

enum rc setup_same_bucket(const struct setup *s, struct err *e)
{
    const char *now = setup_existing(s, "bucket.arn");
    if (!now || !s->bucket_arn || strcmp(now, s->bucket_arn) == 0)
        return RC_OK;
    return err_set(
        e, RC_EXISTS,
        "this installation serves %s, and one installation serves one bucket: for %s run "
        "a second instance with a configuration of its own (spoolgate setup -c "
        "/etc/spoolgate/NAME.json --spool DIR --state DIR --control PATH), or change "
        "bucket.arn in %s if the bucket has moved",
        now, s->bucket_arn, s->path);
}

/* ---- the file ---- */

/* "/etc/x" is in "/etc/", "x" in "./". */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup("./");
}

static enum rc may_make(const char *path, struct err *e)
{
    char *dir = directory_of(path);
    enum rc rc = RC_OK;
    if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0)
        rc = err_sys(e, errno, "cannot write in %s (make it, or run this as one who may)", dir);
    else if (sandbox_locks(dir))
        rc = err_set(e, RC_DENIED, "the sandbox does not let the gateway write in %s", dir);
    free(dir);
    return rc;
}

static enum rc make(const char *path, const struct buf *text, struct err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *dir = directory_of(path);
    enum rc rc;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        rc = err_sys(e, errno, "cannot open the directory %s (make it, or name another file)", dir);
    else if (*name == '\0')
        rc = err_set(e, RC_INVALID, "%s is no name for a file", path);
    else
        rc = fsio_replace(&fsio_system, fd, name, text->data, text->len, 0644, e);
    if (fd >= 0)
        (void)close(fd); /* only a starting point */
    free(dir);
    return rc;
}

enum rc setup_may_save(const struct setup *s, struct err *e)
{
    struct config_store store;
    enum rc rc = config_store_read(s->path, &store, e);
    if (rc == RC_OK)
        rc = config_store_may_write(&store, e);
    else if (rc == RC_ABSENT)
        rc = may_make(s->path, e);
    config_store_fini(&store);
    return rc;
}

/* KNOWN: a file that somebody else makes between this look and the rename is replaced. */
static enum rc save(const struct setup *s, const struct buf *text, struct err *e)
{
    struct config_store store;
    enum rc rc = config_store_read(s->path, &store, e);
    if (rc == RC_OK || rc == RC_ABSENT) {
        if (strcmp(store.etag, s->etag) != 0)
            rc = err_set(e, RC_CHANGED,
                         "%s was changed since the set-up read it, and nothing was saved: start "
                         "the set-up again, which lays the answers over what stands there now",
                         s->path);
        else if (rc == RC_ABSENT)
            rc = make(s->path, text, e);
        else
            rc = config_store_write(&store, text->data, text->len, e);
    }
    config_store_fini(&store);
    return rc;
}

enum rc setup_save(const struct setup *s, struct err *e)
{
    struct buf text;
    buf_init(&text, 2 * CONFIG_MAX);
    write_document(s, "", "", &text);
    enum rc rc = save(s, &text, e);
    buf_fini(&text);
    return rc;
}

void setup_prefix(const struct config *c, struct buf *out)
{
    size_t n = strcspn(c->layout, "{"); /* what the layout puts before the first field */
    buf_adds(out, c->prefix);
    if (strcmp(c->layout, "any") == 0)
        return;
    while (n > 0 && c->layout[n - 1] != '/')
        n--;
    buf_add(out, c->layout, n);
}
