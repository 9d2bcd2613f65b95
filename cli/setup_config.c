/* From answers to a configuration file: see setup.h. What is there already stays, in its order, but
 * for the answers.
 */
#include "cli/setup.h"

#include <string.h>

#define SPOOL_DEFAULT   "/var/spool/spoolgate"
#define STATE_DEFAULT   "/var/lib/spoolgate"
#define CONTROL_DEFAULT "/run/spoolgate/control.sock"

const char *setup_existing(const struct setup *s, const char *path)
{
    const json_t *at = s->existing;
    char name[64];
    for (const char *p = path; at && *p;) {
        size_t n = strcspn(p, ".");
        BUG_ON(n >= sizeof name);
        memcpy(name, p, n);
        name[n] = '\0';
        at = json_object_get(at, name);
        p += n + (p[n] == '.');
    }
    return json_string_value(at);
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
    json_t *role = object_of(object_of(document, "credentials"), "assume_role");
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

struct config *setup_config(const struct setup *s, const char *bucket_arn, const char *region,
                            bool tell)
{
    struct config *c = NULL;
    struct config_faults faults = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    write_document(s, bucket_arn, region, &text);
    enum rc rc = config_parse(text.data, text.len, s->path, &c, &faults);
    for (size_t i = 0; rc != RC_OK && tell && i < faults.n; i++)
        (void)cli_fail(CLI_USAGE, "%s", faults.lines[i]); /* the caller has the status */
    config_faults_fini(&faults);
    buf_fini(&text);
    return rc == RC_OK ? c : NULL;
}

enum rc setup_save(const struct setup *s, struct err *e)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    write_document(s, "", "", &text);
    enum rc rc = cli_write_file(s->path, text.data, text.len, true, e);
    buf_fini(&text);
    return rc;
}
