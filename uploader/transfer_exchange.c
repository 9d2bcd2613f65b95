/* One request of a transfer: built from what the thread has then, signed, sent, its answer classed.
 *
 * A request is built and signed when it leaves the line of those that wait for a connection: on a
 * slow one a part waits there for longer than the 15 minutes for which S3 takes a signature. So the
 * clock offset, the credentials and the endpoint are those of that moment.
 */
#include "uploader/transfer_int.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct request_spec exchange_spec(const struct transfer *t, enum request_op op)
{
    return (struct request_spec){
        .op = op,
        .key = t->out.key,
        .key_len = strlen(t->out.key),
        .overwrite = t->overwrite,
    };
}

static size_t space_before(const struct http_answer *a)
{
    return strspn(a->body, " \t\r\n");
}

/* A 200 does not mean success where S3 begins its answer before it knows (CompleteMultipartUpload
 * in the S3 API Reference), an upload without an id is none, and a page with no ETag, or with one
 * and a text, is from somebody who stands between us and the store. */
static bool body_is_wrong(enum request_op op, const struct http_answer *a,
                          const struct xml_answer *xml)
{
    switch (op) {
    case REQUEST_CREATE_MULTIPART:
        return xml == NULL || strcmp(xml->root, "InitiateMultipartUploadResult") != 0 ||
               xml->upload_id[0] == '\0';
    case REQUEST_COMPLETE_MULTIPART:
        return xml == NULL || strcmp(xml->root, "CompleteMultipartUploadResult") != 0;
    case REQUEST_PUT_OBJECT:
    case REQUEST_UPLOAD_PART:
        return a->etag[0] == '\0' || a->body_len > space_before(a);
    default:
        return false;
    }
}

/* S3 sends spaces ahead of the XML while it is still at work. */
static bool parse_body(const struct http_answer *a, struct xml_answer *xml)
{
    size_t skip = space_before(a);
    struct err e;

    return a->body_len > skip && xml_parse(a->body + skip, a->body_len - skip, xml, &e) == RC_OK;
}

static struct answer_facts facts_of(const struct exchange *x, const struct http_answer *a,
                                    const struct xml_answer *xml)
{
    bool ok = a->rc == RC_OK && a->status / 100 == 2;

    return (struct answer_facts){
        .op = x->spec.op,
        .transport = a->rc,
        .failure = a->failure,
        .status = a->rc == RC_OK ? a->status : 0,
        .code = xml != NULL ? xml->code : "",
        .body_is_error = ok && body_is_wrong(x->spec.op, a, xml),
        .temporary_credentials = x->transfer->env->credentials != NULL &&
                                 credentials_are_temporary(x->transfer->env->credentials),
        .has_region = a->region[0] != '\0' || (xml != NULL && xml->region[0] != '\0'),
        .no_acl = x->transfer->env->cfg->acl == NULL,
    };
}

static void on_answer(void *arg, const struct http_answer *a)
{
    struct exchange *x = arg;
    struct transfer *t = x->transfer;
    struct xml_answer xml;
    struct verdict v = {0};
    struct answer_facts f;

    x->flying = false;
    if (t->stopping)
        return;
    t->out.requests++;
    if (a->rc == RC_OK && a->body_len > 0 && parse_body(a, &xml))
        v.xml = &xml;
    f = facts_of(x, a, v.xml);
    v.class = answer_classify(&f);
    v.wait_ms = answer_wait_ms(f.code, a->retry_after_ms);
    tally_add(&t->env->tally, x->spec.op, tally_code(&f, v.class), a->total_us);
    x->answered(x, a, &v);
}

void exchange_no_credentials(struct transfer *t)
{
    t->out.class = ANSWER_REFRESH;
    err_set(&t->out.err, RC_ABSENT, "There are no credentials to sign the request with.");
    transfer_end_soon(t, TRANSFER_ANSWERED);
}

/* An abort from which no request can be made changes nothing else. */
static void unbuilt(struct exchange *x, const struct err *why)
{
    struct transfer *t = x->transfer;

    if (x->spec.op == REQUEST_ABORT_MULTIPART) {
        transfer_later(t, multipart_abort_over, 0);
        return;
    }
    t->out.op = x->spec.op;
    if (t->env->credentials == NULL) {
        exchange_no_credentials(t);
        return;
    }
    t->out.class = ANSWER_HOLD;
    t->out.err = *why;
    transfer_end_soon(t, TRANSFER_ANSWERED);
}

static enum rc build(struct exchange *x, struct err *e)
{
    const struct transfer_env *env = x->transfer->env;
    struct request_context ctx = {
        .endpoint = env->endpoint,
        .credentials = env->credentials,
        .acl = env->cfg->acl,
        .options = &env->cfg->options,
        .checksum_sha256 = env->cfg->checksum_sha256,
        .content_md5 = env->cfg->content_md5,
        .if_none_match = env->cfg->if_none_match,
        .user_agent = env->cfg->user_agent,
    };
    int64_t now_s = clock_wall_now_ns() / CLOCK_NS_PER_S + *env->clock_offset_s;

    text_copy(x->region, sizeof(x->region), env->endpoint->region);
    return env->credentials == NULL ? RC_ABSENT
                                    : request_build(&x->request, &ctx, &x->spec, now_s, e);
}

static bool on_leaving(void *arg)
{
    struct exchange *x = arg;
    struct err e;

    x->flying = false;
    if (x->transfer->stopping)
        return false; /* it would be cancelled next */
    if (build(x, &e) != RC_OK) {
        unbuilt(x, &e);
        return false;
    }
    x->flying = true;
    x->call.method = x->request.method;
    x->call.url = x->request.url;
    x->call.origin_len = x->request.origin_len;
    x->call.headers = x->request.headers;
    x->call.n_headers = x->request.n_headers;
    return true;
}

void exchange_send(struct exchange *x, const struct request_spec *spec,
                   const struct http_body *body,
                   enum rc (*sink)(void *arg, const char *data, size_t n))
{
    struct transfer *t = x->transfer;

    BUG_ON(x->flying);
    if (t->ending)
        return;
    x->spec = *spec;
    x->call = (struct http_call){.leaves = on_leaving, .sink = sink, .done = on_answer, .arg = x};
    if (body != NULL)
        x->call.body = *body;
    x->flying = true;
    http_start(t->env->http, &x->call);
}

void exchange_cancel(struct exchange *x)
{
    bool was = x->transfer->stopping;

    if (!x->flying)
        return;
    x->transfer->stopping = true;
    http_cancel(x->transfer->env->http, &x->call);
    x->transfer->stopping = was;
}

/* A machine's word only: letters, digits and a few marks; anything else is not a code of S3's. */
static void take_code(char *out, size_t size, const char *code)
{
    size_t n = 0;

    while (n + 1 < size &&
           ((code[n] >= 'a' && code[n] <= 'z') || (code[n] >= 'A' && code[n] <= 'Z') ||
            (code[n] >= '0' && code[n] <= '9') || code[n] == '.' || code[n] == '_'))
        n++;
    memcpy(out, code, n);
    out[n] = '\0';
}

static enum rc rc_of(enum answer_class c)
{
    switch (c) {
    case ANSWER_OK:
        return RC_OK;
    case ANSWER_EXISTS:
        return RC_EXISTS;
    case ANSWER_HOLD:
    case ANSWER_REFRESH:
        return RC_DENIED;
    case ANSWER_CONDEMN:
        return RC_LIMIT;
    default:
        return RC_AGAIN;
    }
}

/* Its end must not be cut once more. */
static_assert(TRANSFER_MESSAGE_SIZE >= XML_MESSAGE_SIZE, "");

void exchange_decides(struct exchange *x, const struct http_answer *a, const struct verdict *v)
{
    struct transfer_outcome *o = &x->transfer->out;
    struct answer_facts f = facts_of(x, a, v->xml);
    const char *region = a->region[0] || v->xml == NULL ? a->region : v->xml->region;
    const char *id = a->request_id[0] || v->xml == NULL ? a->request_id : v->xml->request_id;
    struct buf text;

    o->op = x->spec.op;
    o->class = v->class;
    o->answer_us = a->total_us;
    o->retry_after_ms = v->wait_ms;
    o->region[0] = '\0';
    if (v->class == ANSWER_REROUTE)
        memcpy(o->asked_region, x->region, sizeof(o->asked_region));
    if (v->class == ANSWER_REROUTE)
        text_copy(o->region, sizeof(o->region), region);
    text_copy(o->request_id, sizeof(o->request_id), id);
    memset(&o->err, 0, sizeof(o->err));
    o->remedy = NULL;
    text_copy(o->message, sizeof(o->message), v->xml != NULL ? v->xml->message : "");
    text_mask_controls(o->message);
    if (v->class == ANSWER_OK)
        return;
    o->remedy = answer_remedy(&f);
    o->err.rc = a->rc != RC_OK ? a->rc : rc_of(v->class);
    o->err.http_status = a->rc == RC_OK ? a->status : 0;
    if (a->rc != RC_OK)
        snprintf(o->err.code, sizeof(o->err.code), "%s", http_failure_code(a->failure));
    else if (v->xml != NULL)
        take_code(o->err.code, sizeof(o->err.code), v->xml->code);
    buf_init(&text, sizeof(o->err.text) - 1);
    if (a->rc != RC_OK)
        buf_addf(&text, "%s: %s: %s", request_op_name(x->spec.op), a->text, o->remedy);
    else
        buf_addf(&text, "%s (%d%s%s): %s", request_op_name(x->spec.op), a->status,
                 o->err.code[0] != '\0' ? " " : "", o->err.code, o->remedy);
    snprintf(o->err.text, sizeof(o->err.text), "%s", text.data);
    buf_fini(&text);
}

bool exchange_correct_clock(struct exchange *x, const struct http_answer *a,
                            const struct verdict *v)
{
    struct transfer *t = x->transfer;
    int64_t theirs = a->date_unix_s, ns;

    if (t->skew_corrected)
        return false;
    if (v->xml != NULL && v->xml->server_time[0] != '\0' &&
        clock_parse_rfc3339(v->xml->server_time, &ns) == RC_OK)
        theirs = ns / CLOCK_NS_PER_S;
    if (theirs == 0)
        return false;
    t->skew_corrected = true;
    *t->env->clock_offset_s = theirs - clock_wall_now_ns() / CLOCK_NS_PER_S;
    return true;
}
