/* The S3 requests that we make, as text and signed. One per object, thousands a second: everything
 * goes into buffers that the struct request keeps, and the signing key is derived once a day.
 *
 * While a request is built a header is an offset, since the arena may still move; pointers are made
 * when it is whole. What ends up in a header has been looked at for control characters, so that no
 * value can begin a header of its own. */
#include "uploader/request.h"

#include "base/clock.h"
#include "base/hex.h"

#include <string.h>

enum { LINE_MAX_BYTES = 16 * 1024, ARENA_MAX_BYTES = 128 * 1024 };

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* What an operation is, as bits of what stands in its request. */
enum {
    OBJECT_TYPE = 1 << 0,    /* makes an object: its Content-Type and ACL */
    XML_TYPE = 1 << 1,       /* its body is XML */
    SENDS_LENGTH = 1 << 2,   /* Content-Length */
    SENDS_CHECKSUM = 1 << 3, /* the body is the object's bytes */
    CONDITIONAL = 1 << 4,    /* If-None-Match */
    ASKS_CHECKSUM = 1 << 5,
    HAS_KEY = 1 << 6,
    HAS_UPLOAD = 1 << 7,
    FREE_OF_CHARGE = 1 << 8, /* nobody is asked who pays */
    OF_SERVICE = 1 << 9,     /* of no bucket: no owner is expected */
};
struct operation {
    const char *name, *method;
    unsigned bits;
    const char *subresource; /* of the query, NULL: none */
};
static const struct operation operations[REQUEST_OP_COUNT_] = {
    [REQUEST_PUT_OBJECT] = {"PutObject", "PUT",
                            HAS_KEY | OBJECT_TYPE | SENDS_LENGTH | SENDS_CHECKSUM | CONDITIONAL,
                            NULL},
    [REQUEST_CREATE_MULTIPART] = {"CreateMultipartUpload", "POST",
                                  HAS_KEY | OBJECT_TYPE | SENDS_LENGTH, "uploads"},
    [REQUEST_UPLOAD_PART] = {"UploadPart", "PUT",
                             HAS_KEY | HAS_UPLOAD | SENDS_LENGTH | SENDS_CHECKSUM, NULL},
    [REQUEST_COMPLETE_MULTIPART] = {"CompleteMultipartUpload", "POST",
                                    HAS_KEY | HAS_UPLOAD | XML_TYPE | SENDS_LENGTH | CONDITIONAL,
                                    NULL},
    [REQUEST_ABORT_MULTIPART] = {"AbortMultipartUpload", "DELETE", HAS_KEY | HAS_UPLOAD, NULL},
    [REQUEST_HEAD_OBJECT] = {"HeadObject", "HEAD", HAS_KEY | ASKS_CHECKSUM, NULL},
    [REQUEST_GET_OBJECT] = {"GetObject", "GET", HAS_KEY | ASKS_CHECKSUM, NULL},
    [REQUEST_GET_OBJECT_ACL] = {"GetObjectAcl", "GET", HAS_KEY, "acl"},
    [REQUEST_GET_BUCKET_LOCATION] = {"GetBucketLocation", "GET", FREE_OF_CHARGE, "location"},
    [REQUEST_LIST_MULTIPARTS] = {"ListMultipartUploads", "GET", 0, "uploads"},
    [REQUEST_LIST_BUCKETS] = {"ListBuckets", "GET", FREE_OF_CHARGE | OF_SERVICE, NULL},
};

const char *request_op_name(enum request_op op)
{
    BUG_ON((unsigned)op >= REQUEST_OP_COUNT_);
    return operations[op].name;
}

void request_init(struct request *r)
{
    *r = (struct request){0};
    buf_init(&r->arena_, ARENA_MAX_BYTES);
    buf_init(&r->canonical_, ARENA_MAX_BYTES);
    buf_init(&r->signed_names_, ARENA_MAX_BYTES);
    buf_init(&r->to_sign_, ARENA_MAX_BYTES);
}

void request_fini(struct request *r)
{
    /* KNOWN: the session token also stays behind where the arena grew out of, and libcurl has its
     * own copy: headers are ordinary memory. */
    if (r->arena_.cap > 0)
        secret_wipe(r->arena_.data, r->arena_.cap);
    if (r->canonical_.cap > 0)
        secret_wipe(r->canonical_.data, r->canonical_.cap);
    buf_fini(&r->arena_);
    buf_fini(&r->canonical_);
    buf_fini(&r->signed_names_);
    buf_fini(&r->to_sign_);
    secret_wipe(&r->key_, sizeof r->key_);
}

/* A request on its way into the arena. */
struct builder {
    struct request *r;
    const char *names[REQUEST_HEADERS_MAX];
    size_t lines[REQUEST_HEADERS_MAX]; /* offsets of "name: value" */
    size_t n, n_signed;
    size_t url, origin_len, path, query;
    bool control; /* a value has a control character */
};

static void header(struct builder *b, const char *name, const char *value)
{
    struct buf *arena = &b->r->arena_;
    BUG_ON(b->n == REQUEST_HEADERS_MAX);
    for (const char *c = value; *c; c++)
        b->control |= (unsigned char)*c < ' ' || *c == 0x7f;
    b->names[b->n] = name;
    b->lines[b->n++] = arena->len;
    buf_adds(arena, name);
    buf_adds(arena, ": ");
    buf_add(arena, value, strlen(value) + 1); /* with its NUL: text stands behind text */
}

static char *decimal(char out[24], uint64_t v)
{
    char *p = out + 23;
    *p = '\0';
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return p;
}

static void add_query(struct buf *out, const struct operation *op, const struct request_spec *spec)
{
    char number[24];
    if (spec->op == REQUEST_UPLOAD_PART) {
        buf_adds(out, "partNumber=");
        buf_adds(out, decimal(number, spec->part_number));
        buf_addc(out, '&');
    }
    if (spec->op == REQUEST_LIST_MULTIPARTS && spec->list_prefix && spec->list_prefix[0]) {
        buf_adds(out, "prefix=");
        sigv4_uri_encode(out, spec->list_prefix, strlen(spec->list_prefix), 0);
        buf_addc(out, '&');
    }
    if (op->bits & HAS_UPLOAD) {
        buf_adds(out, "uploadId=");
        sigv4_uri_encode(out, spec->upload_id, strlen(spec->upload_id), 0);
    }
    if (op->subresource)
        buf_adds(out, op->subresource);
}

/* The URL, and path and query once more by themselves for the signature. */
static void add_url(struct builder *b, const struct endpoint *ep, const struct operation *op,
                    const struct request_spec *spec)
{
    struct buf *arena = &b->r->arena_;
    b->path = arena->len;
    endpoint_path(ep, spec->key, op->bits & HAS_KEY ? spec->key_len : 0, arena);
    size_t path_len = arena->len - b->path;
    buf_add(arena, "", 1);
    b->query = arena->len;
    add_query(arena, op, spec);
    size_t query_len = arena->len - b->query;
    buf_add(arena, "", 1);
    b->url = arena->len;
    buf_adds(arena, ep->origin);
    b->origin_len = arena->len - b->url;
    if (arena->overflow)
        return;
    /* The arena may move while it grows, so these are read from a place that does not. */
    struct buf *copy = &b->r->canonical_;
    buf_reset(copy);
    buf_add(copy, arena->data + b->path, path_len);
    if (query_len > 0) {
        buf_addc(copy, '?');
        buf_add(copy, arena->data + b->query, query_len);
    }
    buf_add(arena, copy->data, copy->len + 1);
}

/* What makes an object, how it is kept: the last ones in the order of the names. */
static void add_object_options(struct builder *b, const struct options *o)
{
    if (o->encryption) {
        header(b, "x-amz-server-side-encryption", o->encryption);
        if (o->kms_key_id)
            header(b, "x-amz-server-side-encryption-aws-kms-key-id", o->kms_key_id);
        if (o->bucket_key)
            header(b, "x-amz-server-side-encryption-bucket-key-enabled", "true");
        if (o->encryption_context)
            header(b, "x-amz-server-side-encryption-context", o->encryption_context);
    }
    if (o->storage_class)
        header(b, "x-amz-storage-class", o->storage_class);
    if (o->tagging)
        header(b, "x-amz-tagging", o->tagging);
}

/* What is signed, in the order of the names, which spares the signer the sorting. */
static void add_headers(struct builder *b, const struct request_context *ctx,
                        const struct operation *op, const struct request_spec *spec,
                        const char *payload_hash, const char *amz_date)
{
    static const struct options none;
    const struct options *o = ctx->options ? ctx->options : &none;
    char text[BASE64_SIZE(SHA256_SIZE)], number[24];
    if (op->bits & SENDS_LENGTH)
        header(b, "content-length", decimal(number, spec->content_length));
    if (ctx->content_md5 && spec->md5 && op->bits & SENDS_LENGTH) {
        base64_encode(text, spec->md5, MD5_SIZE);
        header(b, "content-md5", text);
    }
    if (op->bits & OBJECT_TYPE)
        header(b, "content-type", ctx->content_type ? ctx->content_type : "application/x-ndjson");
    else if (op->bits & XML_TYPE)
        header(b, "content-type", "application/xml");
    header(b, "host", ctx->endpoint->host);
    if (op->bits & CONDITIONAL && ctx->if_none_match && !spec->overwrite)
        header(b, "if-none-match", "*");
    if (op->bits & OBJECT_TYPE && ctx->acl)
        header(b, "x-amz-acl", ctx->acl);
    /* A multipart upload must be begun with the algorithm of the checksums that its parts bring. */
    if (spec->op == REQUEST_CREATE_MULTIPART && ctx->checksum_sha256)
        header(b, "x-amz-checksum-algorithm", "SHA256");
    if (op->bits & ASKS_CHECKSUM)
        header(b, "x-amz-checksum-mode", "ENABLED");
    if (op->bits & SENDS_CHECKSUM && ctx->checksum_sha256 && spec->sha256) {
        base64_encode(text, spec->sha256, SHA256_SIZE);
        header(b, "x-amz-checksum-sha256", text);
    }
    header(b, "x-amz-content-sha256", payload_hash);
    header(b, "x-amz-date", amz_date);
    if (o->expected_owner && !(op->bits & OF_SERVICE))
        header(b, "x-amz-expected-bucket-owner", o->expected_owner);
    if (o->requester_pays && !(op->bits & FREE_OF_CHARGE))
        header(b, "x-amz-request-payer", "requester");
    const char *token = credentials_session_token(ctx->credentials);
    if (token)
        header(b, "x-amz-security-token", token);
    if (op->bits & OBJECT_TYPE)
        add_object_options(b, o);
    b->n_signed = b->n;
}

static const struct sigv4_key *signing_key(struct request *r, const struct sigv4_scope *scope,
                                           const struct credentials *c)
{
    if (memcmp(r->key_date_, scope->amz_date, 8) != 0 ||
        strcmp(r->key_region_, scope->region) != 0 || r->key_serial_ != credentials_serial(c)) {
        sigv4_key_derive(&r->key_, credentials_secret_access_key(c), scope->amz_date, scope->region,
                         scope->service);
        memcpy(r->key_date_, scope->amz_date, 8);
        memcpy(r->key_region_, scope->region, strlen(scope->region) + 1);
        r->key_serial_ = credentials_serial(c);
    }
    return &r->key_;
}

/* The Authorization header, as the last line. */
static void sign(struct builder *b, const struct request_context *ctx, const struct operation *op,
                 const char *payload_hash, const char *amz_date)
{
    struct request *r = b->r;
    struct sigv4_header headers[REQUEST_HEADERS_MAX];
    for (size_t i = 0; i < b->n_signed; i++)
        headers[i] = (struct sigv4_header){b->names[i],
                                           r->arena_.data + b->lines[i] + strlen(b->names[i]) + 2};
    struct sigv4_request canonical = {
        .method = op->method,
        .path = r->arena_.data + b->path,
        .query = r->arena_.data + b->query,
        .headers = headers,
        .n_headers = b->n_signed,
        .payload_hash = payload_hash,
    };
    struct sigv4_scope scope = {
        .region = ctx->endpoint->region,
        .service = "s3",
        .access_key_id = credentials_access_key_id(ctx->credentials),
    };
    memcpy(scope.amz_date, amz_date, sizeof scope.amz_date);
    buf_reset(&r->canonical_);
    buf_reset(&r->signed_names_);
    buf_reset(&r->to_sign_);
    char signature[2 * SHA256_SIZE + 1];
    sigv4_canonical_request(&r->canonical_, &r->signed_names_, &canonical);
    sigv4_string_to_sign(&r->to_sign_, &scope, r->canonical_.data, r->canonical_.len);
    sigv4_signature(signature, signing_key(r, &scope, ctx->credentials), r->to_sign_.data,
                    r->to_sign_.len);
    BUG_ON(b->n == REQUEST_HEADERS_MAX);
    b->names[b->n] = "authorization";
    b->lines[b->n++] = r->arena_.len;
    buf_adds(&r->arena_, "authorization: ");
    sigv4_credential(&r->arena_, &scope, r->signed_names_.data, signature);
    buf_add(&r->arena_, "", 1);
}

/* Make the offsets pointers, now that the arena stays where it is. */
static enum rc finish(struct builder *b, struct err *e)
{
    struct request *r = b->r;
    if (r->arena_.overflow || r->canonical_.overflow)
        return err_set(e, RC_LIMIT, "the request is over %d KiB", ARENA_MAX_BYTES / 1024);
    if (b->control)
        return err_set(e, RC_INVALID,
                       "a header of the request would have a control character in it; look at the "
                       "acl, the content type, the options of bucket and the keys");
    r->url = r->arena_.data + b->url;
    r->origin_len = b->origin_len;
    if (strlen(r->url) > LINE_MAX_BYTES)
        return err_set(e, RC_LIMIT, "the request's URL is over %d KiB", LINE_MAX_BYTES / 1024);
    for (size_t i = 0; i < b->n; i++) {
        r->headers[i] = r->arena_.data + b->lines[i];
        if (strlen(r->headers[i]) > LINE_MAX_BYTES)
            return err_set(e, RC_LIMIT, "the request's header %s is over %d KiB", b->names[i],
                           LINE_MAX_BYTES / 1024);
    }
    r->n_headers = b->n;
    return RC_OK;
}

enum rc request_build(struct request *r, const struct request_context *ctx,
                      const struct request_spec *spec, int64_t now_unix_s, struct err *e)
{
    BUG_ON((unsigned)spec->op >= REQUEST_OP_COUNT_);
    const struct operation *op = &operations[spec->op];
    BUG_ON(op->bits & HAS_UPLOAD && !spec->upload_id);
    BUG_ON(spec->op == REQUEST_UPLOAD_PART && (spec->part_number < 1 || spec->part_number > 10000));
    struct builder b = {.r = r};
    char payload_hash[2 * SHA256_SIZE + 1] = EMPTY_SHA256, amz_date[CLOCK_AMZ_SIZE];
    if (spec->sha256)
        hex_encode(payload_hash, spec->sha256, SHA256_SIZE);
    clock_amz(amz_date, now_unix_s);
    buf_reset(&r->arena_);
    r->n_headers = 0;
    r->method = op->method;
    add_url(&b, ctx->endpoint, op, spec);
    add_headers(&b, ctx, op, spec, payload_hash, amz_date);
    if (ctx->user_agent)
        header(&b, "user-agent", ctx->user_agent);
    if (!r->arena_.overflow)
        sign(&b, ctx, op, payload_hash, amz_date);
    return finish(&b, e);
}

static void add_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        switch (*s) {
        case '&':
            buf_adds(out, "&amp;");
            break;
        case '<':
            buf_adds(out, "&lt;");
            break;
        case '>':
            buf_adds(out, "&gt;");
            break;
        case '"':
            buf_adds(out, "&quot;");
            break;
        default:
            buf_addc(out, *s);
        }
    }
}

void request_complete_body(struct buf *out, const struct request_part *parts, size_t n,
                           bool with_checksums)
{
    char text[BASE64_SIZE(SHA256_SIZE)], number[24];
    buf_adds(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, "<Part><PartNumber>");
        buf_adds(out, decimal(number, parts[i].number));
        buf_adds(out, "</PartNumber><ETag>");
        add_escaped(out, parts[i].etag);
        buf_adds(out, "</ETag>");
        if (with_checksums) {
            base64_encode(text, parts[i].sha256, SHA256_SIZE);
            buf_adds(out, "<ChecksumSHA256>");
            buf_adds(out, text);
            buf_adds(out, "</ChecksumSHA256>");
        }
        buf_adds(out, "</Part>");
    }
    buf_adds(out, "</CompleteMultipartUpload>");
}
