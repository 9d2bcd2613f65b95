/* PutObject, GetObject, HeadObject and GetObjectAcl. */
#include "tests/fakes/devstore/s3.h"

#include "tests/fakes/devstore/xmlout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNER_ID  "0b1ec7000000000000000000000000000000000000000000000000000000f00d"
#define WRITER_ID "a11ce0000000000000000000000000000000000000000000000000000000f00d"

bool s3_collect_meta(struct exchange *x, struct buf *meta)
{
    static const char *const kept[] = {"content-type",  "content-encoding",   "content-disposition",
                                       "cache-control", "content-language",   "expires",
                                       "x-amz-tagging", "x-amz-storage-class"};

    for (size_t i = 0; i < x->request.n_headers; i++) {
        const struct http_header *h = &x->request.headers[i];
        const char *value = h->value;
        bool keep = strncmp(h->name, "x-amz-meta-", 11) == 0 ||
                    strncmp(h->name, "x-amz-server-side-encryption", 28) == 0;
        for (size_t k = 0; k < sizeof kept / sizeof kept[0] && !keep; k++)
            keep = strcmp(h->name, kept[k]) == 0;
        if (strcmp(h->name, "content-encoding") == 0 && strncmp(value, "aws-chunked", 11) == 0) {
            value += 11;
            value += strspn(value, ", ");
            keep = *value != '\0';
        }
        if (keep)
            buf_addf(meta, "%s: %s\r\n", h->name, value);
    }
    if (meta->overflow)
        return failure_set(&x->failure, "RequestHeaderSectionTooLarge",
                           "The object's metadata is too large.");
    return true;
}

bool s3_commit(struct exchange *x, struct object *o, const char *meta, const char *tmp)
{
    bool only_new = http_header(&x->request, "if-none-match") != NULL;
    struct err e = {0};
    enum rc rc =
        store_commit(x->service->store, x->key.data, x->key.len, o, meta, tmp, only_new, &e);

    if (rc == RC_EXISTS)
        return failure_set(&x->failure, "PreconditionFailed",
                           "At least one of the pre-conditions you specified did not hold");
    if (rc != RC_OK)
        return failure_set(&x->failure, "InternalError", "%.300s", e.text);
    return true;
}

static void add_version(struct exchange *x, const struct object *o)
{
    if (x->service->config->versioning)
        buf_addf(&x->response.headers, "x-amz-version-id: %016llx\r\n",
                 (unsigned long long)o->version);
}

void s3_put_object(struct exchange *x)
{
    const char *acl = http_header(&x->request, "x-amz-acl");
    struct body *b = &x->body;
    struct object o = {.size = b->size, .has_sha256 = true};
    char etag[OBJECT_ETAG_SIZE], checksum[OBJECT_CHECKSUM_SIZE];
    struct buf meta;

    buf_init(&meta, STORE_META_MAX);
    memcpy(o.sha256, b->sha256, sizeof o.sha256);
    memcpy(o.checksum, b->sha256, sizeof o.checksum);
    memcpy(o.etag, b->md5_sum, sizeof o.etag);
    o.has_checksum = http_header(&x->request, "x-amz-checksum-sha256") != NULL;
    (void)snprintf(o.acl, sizeof o.acl, "%s", acl != NULL ? acl : "");
    if (!s3_collect_meta(x, &meta) || !s3_commit(x, &o, meta.data, b->tmp))
        goto out;
    body_tmp_taken(b);
    object_etag(etag, &o);
    x->response.status = 200;
    buf_addf(&x->response.headers, "ETag: %s\r\n", etag);
    if (o.has_checksum) {
        object_checksum(checksum, &o);
        buf_addf(&x->response.headers, "x-amz-checksum-sha256: %s\r\n", checksum);
    }
    add_version(x, &o);
out:
    buf_fini(&meta);
}

/* "bytes=a-b", "bytes=a-", "bytes=-n". False: InvalidRange. Anything else is no range, as in S3. */
static bool apply_range(struct exchange *x, const char *range, uint64_t size)
{
    struct http_response *r = &x->response;
    uint64_t first, last = size - 1;
    char *end;

    if (strncmp(range, "bytes=", 6) != 0 || strchr(range, ',') != NULL)
        return true;
    range += 6;
    if (*range == '-') {
        uint64_t n = strtoull(range + 1, &end, 10);
        if (*end != '\0' || end == range + 1)
            return true;
        first = n < size ? size - n : 0;
        if (n == 0)
            first = size;
    } else {
        first = strtoull(range, &end, 10);
        if (end == range || *end != '-')
            return true;
        if (end[1] != '\0') {
            uint64_t given = strtoull(end + 1, &end, 10);
            if (*end != '\0' || given < first)
                return true;
            last = given < last ? given : last;
        }
    }
    if (first >= size) {
        failure_set(&x->failure, "InvalidRange", "The requested range is not satisfiable");
        xmlout_number(&x->failure.detail, "ActualObjectSize", size);
        return false;
    }
    r->status = 206;
    r->offset = first;
    r->length = last - first + 1;
    buf_addf(&r->headers, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)first,
             (unsigned long long)last, (unsigned long long)size);
    return true;
}

static void add_object_headers(struct exchange *x, const struct object *o)
{
    const char *mode = http_header(&x->request, "x-amz-checksum-mode");
    char etag[OBJECT_ETAG_SIZE], checksum[OBJECT_CHECKSUM_SIZE], date[HTTP_DATE_SIZE];
    struct buf *headers = &x->response.headers;

    object_etag(etag, o);
    http_date(date, o->modified_ns);
    buf_addf(headers, "ETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n", etag, date);
    if (o->has_checksum && mode != NULL && strcmp(mode, "ENABLED") == 0) {
        object_checksum(checksum, o);
        buf_addf(headers, "x-amz-checksum-sha256: %s\r\nx-amz-checksum-type: %s\r\n", checksum,
                 o->parts > 0 ? "COMPOSITE" : "FULL_OBJECT");
    }
    add_version(x, o);
}

void s3_get_object(struct exchange *x)
{
    struct http_response *r = &x->response;
    const char *range = http_header(&x->request, "range");
    const char *none_match = http_header(&x->request, "if-none-match");
    char etag[OBJECT_ETAG_SIZE];
    struct object o;
    bool head = x->op == OP_HEAD_OBJECT;
    int fd = store_read(x->service->store, x->key.data, x->key.len, &o, &r->headers);

    if (fd == -ENOENT) {
        failure_set(&x->failure, "NoSuchKey", "The specified key does not exist.");
        xmlout_element_n(&x->failure.detail, "Key", x->key.data, x->key.len);
        return;
    }
    if (fd == -ENODATA && !head) {
        failure_set(&x->failure, "NotImplemented", "devstore --count keeps no bytes.");
        return;
    }
    if (fd < 0 && fd != -ENODATA) {
        failure_set(&x->failure, "InternalError", "the object's file: %s", strerror(-fd));
        return;
    }
    r->fd = fd >= 0 ? fd : -1;
    r->status = 200;
    r->length = o.size;
    r->head_only = head;
    object_etag(etag, &o);
    if (none_match != NULL && strcmp(none_match, etag) == 0) {
        failure_set(&x->failure, "NotModified", "Not Modified");
        return;
    }
    if (range != NULL && !apply_range(x, range, o.size))
        return;
    add_object_headers(x, &o);
}

static void add_grant(struct buf *out, const char *id, const char *name)
{
    buf_addf(out,
             "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
             "xsi:type=\"CanonicalUser\"><ID>%s</ID><DisplayName>%s</DisplayName></Grantee>"
             "<Permission>FULL_CONTROL</Permission></Grant>",
             id, name);
}

/* The bucket's owner owns every object here, as with "bucket owner preferred"; the writer is
 * another account, and the owner has a grant of its own only if the ACL gave it. */
void s3_get_object_acl(struct exchange *x)
{
    struct buf *out = &x->response.body;
    struct object o;

    if (!store_find(x->service->store, x->key.data, x->key.len, &o, NULL)) {
        failure_set(&x->failure, "NoSuchKey", "The specified key does not exist.");
        return;
    }
    x->response.status = 200;
    buf_adds(&x->response.headers, "Content-Type: application/xml\r\n");
    xmlout_begin(out);
    buf_adds(out, "<AccessControlPolicy xmlns=\"" XMLOUT_NAMESPACE "\"><Owner><ID>" OWNER_ID
                  "</ID><DisplayName>bucket-owner</DisplayName></Owner><AccessControlList>");
    if (strcmp(o.acl, "bucket-owner-full-control") == 0)
        add_grant(out, OWNER_ID, "bucket-owner");
    add_grant(out, WRITER_ID, "writer");
    buf_adds(out, "</AccessControlList></AccessControlPolicy>");
}
