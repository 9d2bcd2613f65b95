/* A question to the store and what its answer says: see question.h. */
#include "uploader/question.h"

#include "base/clock.h"
#include "base/text.h"
#include "uploader/xml.h"

#include <stdlib.h>
#include <string.h>

/* GetBucketLocation's two words that are no region (S3 API, LocationConstraint): nothing is the
 * first region, and "EU" is Ireland, of buckets that were made when Europe had no other. */
static const char *region_of(const char *constraint)
{
    if (constraint[0] == '\0')
        return "us-east-1";
    return strcmp(constraint, "EU") == 0 ? "eu-west-1" : constraint;
}

static void read_xml(struct question_answer *out)
{
    struct xml_answer xml;
    struct err e;
    if (xml_parse(out->body, out->body_len, &xml, &e) != RC_OK)
        return;
    text_copy(out->code, sizeof out->code, xml.code);
    text_mask_controls(out->code);
    text_copy(out->message, sizeof out->message, xml.message);
    text_mask_controls(out->message);
    if (out->region[0] == '\0')
        text_copy(out->region, sizeof out->region, xml.region);
    if (strcmp(xml.root, "LocationConstraint") == 0)
        text_copy(out->location, sizeof out->location, region_of(xml.location_constraint));
    out->owner_full_control = xml.owner_full_control;
}

static enum rc rc_of(int status)
{
    if (status == 200)
        return RC_OK;
    if (status == 404)
        return RC_ABSENT;
    return status >= 500 ? RC_AGAIN : RC_DENIED;
}

static const char *remedy_of(const struct question *q, enum request_op op,
                             const struct http_answer *a, const char *code)
{
    struct answer_facts f = {
        .op = op,
        .transport = a->rc,
        .failure = a->failure,
        .status = a->rc == RC_OK ? a->status : 0,
        .code = code,
        .temporary_credentials = credentials_are_temporary(q->context->credentials),
        .has_region = a->region[0] != '\0',
    };
    return answer_remedy(&f);
}

void question_ask(const struct question *q, enum request_op op, const char *key,
                  struct question_answer *out)
{
    struct request r;
    struct request_spec spec = {.op = op, .key = key, .key_len = strlen(key)};
    struct http_answer a = {.body = ""};
    struct err e = {0};
    int64_t now_s = clock_wall_now_ns() / CLOCK_NS_PER_S + q->clock_offset_s;
    *out = (struct question_answer){.asked = true};
    request_init(&r);
    if (request_build(&r, q->context, &spec, now_s, &e) != RC_OK) {
        out->rc = e.rc;
        text_copy(out->message, sizeof out->message, e.text);
        out->remedy = "";
        goto out;
    }
    struct http_call call = {
        .method = r.method, .url = r.url, .headers = r.headers, .n_headers = r.n_headers};
    struct http_bounds bounds = {.stop = q->stop};
    out->rc = http_once_within(q->http, &call, &bounds, &a, &out->body);
    if (out->rc != RC_OK) {
        text_copy(out->code, sizeof out->code, http_failure_code(a.failure));
        text_copy(out->message, sizeof out->message, a.text);
        out->remedy = remedy_of(q, op, &a, "");
        goto out;
    }
    out->body_len = a.body_len;
    out->status = a.status;
    out->date_unix_s = a.date_unix_s;
    out->rc = rc_of(a.status);
    memcpy(out->etag, a.etag, sizeof out->etag);
    memcpy(out->region, a.region, sizeof out->region);
    /* An object's own bytes are no answer to read. */
    if (out->body_len > 0 && (op != REQUEST_GET_OBJECT || out->rc != RC_OK))
        read_xml(out);
    out->remedy = remedy_of(q, op, &a, out->code);
out:
    request_fini(&r);
}

void question_answer_fini(struct question_answer *a)
{
    free(a->body);
    *a = (struct question_answer){0};
}
