/* The verdict on a test message, for people and for machines: see verdict.h. */
#include "cli/verdict.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum cli_status verdict_status(const struct trial *t)
{
    if (t->stage == TRIAL_SENT)
        return t->arrived ? CLI_YES : CLI_NO;
    return cli_status_of(t->err.rc);
}

/* Hostile bytes of the store escaped. */
static void print_escaped(const char *before, const char *text, const char *after)
{
    struct buf b;
    buf_init(&b, 16384);
    utf8_escape(&b, text, strlen(text));
    printf("%s%s%s", before, b.data, after);
    buf_fini(&b);
}

static void print_proof(const struct trial *t)
{
    const struct transfer_outcome *o = &t->outcome;
    print_escaped("  keys       ", t->origin, "");
    printf(" (%s)\n", t->access_key_id);
    print_escaped("  stored     ETag ", o->etag, "");
    if (o->version_id[0])
        print_escaped(", version ", o->version_id, "");
    if (o->request_id[0])
        print_escaped(", request ", o->request_id, "");
    printf(", answered in %" PRIu64 " ms\n", o->answer_us / 1000);
    if (t->readback.rc == RC_OK)
        printf("  read back  %s\n", t->same_bytes ? "the same bytes" : "OTHER BYTES");
    else
        printf("  read back  not allowed (%d)\n", t->readback.status);
    if (t->acl.rc == RC_OK)
        printf("  grants     %s\n", t->acl.owner_full_control ? "the owner has FULL_CONTROL"
                                                              : "no FULL_CONTROL for the owner");
    else
        printf("  grants     not ours to see (%d)\n", t->acl.status);
}

enum cli_status verdict_tell(const struct config *c, const struct trial *t)
{
    struct cause causes[CAUSES_MAX];
    size_t n = cause_of(c, t, causes);
    if (!causes[0].ok) {
        const char *sep = causes[0].remedy[0] ? "; " : "";
        enum cli_status status = cli_fail(verdict_status(t), "%s%s%s%s",
                                          t->stage == TRIAL_SENT ? "the test failed: " : "",
                                          causes[0].what, sep, causes[0].remedy);
        if (causes[0].statement[0])
            print_escaped("The bucket's policy lacks a statement such as:\n", causes[0].statement,
                          "\n");
        return status;
    }
    print_escaped("", causes[0].what, "\n");
    print_proof(t);
    for (size_t i = 1; i < n; i++) {
        print_escaped("Note: ", causes[i].what, "");
        print_escaped("; ", causes[i].remedy, ".\n");
    }
    return CLI_YES;
}

static json_t *text(const char *s)
{
    return json_text(s, strlen(s));
}

static json_t *question(const struct question_answer *a)
{
    if (!a->asked)
        return json_null();
    return json_pack("{s:b, s:i, s:o}", "allowed", a->rc == RC_OK || a->rc == RC_ABSENT, "status",
                     a->status, "code", text(a->code));
}

static json_t *remark(const struct cause *cause)
{
    return json_pack("{s:s, s:o, s:o}", "cause", cause->id, "what", text(cause->what), "remedy",
                     text(cause->remedy));
}

json_t *verdict_json(const struct config *c, const struct trial *t)
{
    const struct transfer_outcome *o = &t->outcome;
    struct cause causes[CAUSES_MAX];
    size_t n = cause_of(c, t, causes);
    json_t *v = remark(&causes[0]), *remarks = json_array();
    for (size_t i = 1; i < n; i++)
        json_array_append_new(remarks, remark(&causes[i]));
    json_t *more = json_pack(
        "{s:b, s:s, s:s, s:s, s:o, s:i, s:o, s:o, s:o, s:o, s:I, s:o, s:s, s:I}", "arrived",
        t->arrived, "bucket", c->bucket.name, "endpoint", t->endpoint, "region", t->region, "key",
        text(t->arrived ? o->key : t->key), "http_status", o->err.http_status, "code",
        text(o->err.code), "message", text(o->message), "etag", text(o->etag), "request_id",
        text(o->request_id), "answer_ms", (json_int_t)(o->answer_us / 1000), "credentials_origin",
        text(t->origin), "access_key_id", t->access_key_id, "clock_offset_s",
        (json_int_t)t->clock_offset_s);
    json_object_update(v, more);
    json_decref(more);
    if (causes[0].statement[0])
        json_object_set_new(v, "statement", json_loads(causes[0].statement, 0, NULL));
    json_object_set_new(v, "remarks", remarks);
    json_object_set_new(v, "read_back", question(&t->readback));
    if (t->readback.rc == RC_OK && t->readback.asked)
        json_object_set_new(v, "same_bytes", json_boolean(t->same_bytes));
    json_object_set_new(v, "grants", question(&t->acl));
    if (t->acl.rc == RC_OK && t->acl.asked)
        json_object_set_new(v, "owner_full_control", json_boolean(t->acl.owner_full_control));
    return v;
}
