/* The operations of multipart uploads, on top of multipart.h. */
#include "tests/fakes/devstore/s3.h"

#include "base/hex.h"
#include "tests/fakes/devstore/xmlout.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool upload_id(struct exchange *x, char id[MULTIPART_ID_SIZE])
{
    buf_reset(&x->scratch);
    (void)http_query(&x->request, "uploadId", &x->scratch);
    if (snprintf(id, MULTIPART_ID_SIZE, "%s", x->scratch.data) < MULTIPART_ID_SIZE)
        return true;
    return failure_set(&x->failure, "NoSuchUpload", "The specified upload does not exist.");
}

static void begin_xml(struct exchange *x, const char *root)
{
    x->response.status = 200;
    buf_adds(&x->response.headers, "Content-Type: application/xml\r\n");
    xmlout_begin(&x->response.body);
    buf_addf(&x->response.body, "<%s xmlns=\"" XMLOUT_NAMESPACE "\">", root);
}

void s3_create_multipart(struct exchange *x)
{
    const char *acl = http_header(&x->request, "x-amz-acl");
    const char *algorithm = http_header(&x->request, "x-amz-checksum-algorithm");
    bool sha256 = algorithm != NULL && strcasecmp(algorithm, "SHA256") == 0;
    char id[MULTIPART_ID_SIZE];
    struct buf *out = &x->response.body;
    struct buf meta;

    buf_init(&meta, STORE_META_MAX);
    if (!s3_collect_meta(x, &meta) ||
        !multipart_create(x->service->multiparts, x->key.data, acl != NULL ? acl : "", meta.data,
                          sha256, id, &x->failure))
        goto out;
    if (sha256)
        buf_adds(&x->response.headers, "x-amz-checksum-algorithm: SHA256\r\n");
    begin_xml(x, "InitiateMultipartUploadResult");
    xmlout_element(out, "Bucket", x->bucket.data);
    xmlout_element_n(out, "Key", x->key.data, x->key.len);
    xmlout_element(out, "UploadId", id);
    buf_adds(out, "</InitiateMultipartUploadResult>");
out:
    buf_fini(&meta);
}

void s3_upload_part(struct exchange *x)
{
    struct body *b = &x->body;
    struct part part = {.size = b->size};
    uint64_t number = 0;
    char id[MULTIPART_ID_SIZE], etag[2 * MD5_SIZE + 1];
    char checksum[BASE64_SIZE(SHA256_SIZE)];
    const char *trailer;

    if (!upload_id(x, id) || !s3_query_number(x, "partNumber", UINT32_MAX, &number))
        return;
    if (number < 1 || number > MULTIPART_PART_MAX) {
        failure_set(&x->failure, "InvalidArgument",
                    "Part number must be an integer between 1 and 10000, inclusive");
        return;
    }
    part.number = (unsigned)number;
    trailer = http_header(&x->request, "x-amz-trailer");
    part.has_checksum = http_header(&x->request, "x-amz-checksum-sha256") != NULL ||
                        (trailer != NULL && strcasecmp(trailer, "x-amz-checksum-sha256") == 0);
    memcpy(part.md5, b->md5_sum, sizeof part.md5);
    memcpy(part.sha256, b->sha256, sizeof part.sha256);
    memcpy(part.tmp, b->tmp, sizeof part.tmp);
    if (!multipart_put_part(x->service->multiparts, id, x->key.data, &part, &x->failure))
        return;
    body_tmp_taken(b);
    x->response.status = 200;
    hex_encode(etag, part.md5, MD5_SIZE);
    buf_addf(&x->response.headers, "ETag: \"%s\"\r\n", etag);
    if (part.has_checksum) {
        base64_encode(checksum, part.sha256, SHA256_SIZE);
        buf_addf(&x->response.headers, "x-amz-checksum-sha256: %s\r\n", checksum);
    }
}

void s3_complete_multipart(struct exchange *x)
{
    struct service *s = x->service;
    struct buf *out = &x->response.body;
    char id[MULTIPART_ID_SIZE], tmp[STORE_TMP_MAX];
    char etag[OBJECT_ETAG_SIZE], checksum[OBJECT_CHECKSUM_SIZE];
    struct object o;
    struct buf meta;

    buf_init(&meta, STORE_META_MAX);
    if (!upload_id(x, id) ||
        !multipart_join(s->multiparts, id, x->key.data, &x->body.text, &o, tmp, &meta, &x->failure))
        goto out;
    if (!s3_commit(x, &o, meta.data, tmp)) {
        if (tmp[0] != '\0')
            store_tmp_remove(s->store, tmp);
        goto out;
    }
    multipart_done(s->multiparts, id);
    object_etag(etag, &o);
    begin_xml(x, "CompleteMultipartUploadResult");
    if (s->config->versioning)
        buf_addf(&x->response.headers, "x-amz-version-id: %016llx\r\n",
                 (unsigned long long)o.version);
    buf_addf(out, "<Location>http://%s/%s/", s->config->region, s->config->bucket);
    xmlout_text(out, x->key.data, x->key.len);
    buf_adds(out, "</Location>");
    xmlout_element(out, "Bucket", x->bucket.data);
    xmlout_element_n(out, "Key", x->key.data, x->key.len);
    xmlout_element(out, "ETag", etag);
    if (o.has_checksum) {
        object_checksum(checksum, &o);
        xmlout_element(out, "ChecksumSHA256", checksum);
        xmlout_element(out, "ChecksumType", "COMPOSITE");
    }
    buf_adds(out, "</CompleteMultipartUploadResult>");
out:
    buf_fini(&meta);
}

void s3_abort_multipart(struct exchange *x)
{
    char id[MULTIPART_ID_SIZE];

    if (upload_id(x, id) && multipart_abort(x->service->multiparts, id, x->key.data, &x->failure))
        x->response.status = 204;
}

struct parts_listing {
    struct buf *out;
    uint64_t left;
    bool more, checksums;
    unsigned last;
};

static bool list_part(void *arg, const struct part *p)
{
    struct parts_listing *l = arg;
    char etag[2 * MD5_SIZE + 1], checksum[BASE64_SIZE(SHA256_SIZE)];

    l->more = l->left == 0;
    if (l->more)
        return false;
    l->left--;
    l->last = p->number;
    hex_encode(etag, p->md5, MD5_SIZE);
    buf_adds(l->out, "<Part>");
    xmlout_number(l->out, "PartNumber", p->number);
    xmlout_time(l->out, "LastModified", p->modified_ns);
    buf_addf(l->out, "<ETag>&quot;%s&quot;</ETag>", etag);
    xmlout_number(l->out, "Size", p->size);
    if (p->has_checksum) {
        base64_encode(checksum, p->sha256, SHA256_SIZE);
        xmlout_element(l->out, "ChecksumSHA256", checksum);
    }
    buf_adds(l->out, "</Part>");
    return true;
}

void s3_list_parts(struct exchange *x)
{
    struct buf *out = &x->response.body;
    struct parts_listing l = {.out = out, .left = 1000};
    uint64_t after = 0, max = 1000;
    char id[MULTIPART_ID_SIZE];

    if (!upload_id(x, id) ||
        !s3_query_number(x, "part-number-marker", MULTIPART_PART_MAX, &after) ||
        !s3_query_number(x, "max-parts", 1000, &max))
        return;
    l.left = max;
    begin_xml(x, "ListPartsResult");
    xmlout_element(out, "Bucket", x->bucket.data);
    xmlout_element_n(out, "Key", x->key.data, x->key.len);
    xmlout_element(out, "UploadId", id);
    xmlout_number(out, "PartNumberMarker", after);
    xmlout_number(out, "MaxParts", max);
    if (!multipart_list_parts(x->service->multiparts, id, x->key.data, (unsigned)after, list_part,
                              &l, &x->failure))
        return;
    if (l.more)
        xmlout_number(out, "NextPartNumberMarker", l.last);
    xmlout_element(out, "IsTruncated", l.more ? "true" : "false");
    buf_adds(out, "</ListPartsResult>");
}

struct uploads_listing {
    struct buf *out;
    const char *prefix, *key_marker, *id_marker;
    uint64_t left;
    bool more;
    struct buf last_key;
    char last_id[MULTIPART_ID_SIZE];
};

static bool list_upload(void *arg, const struct upload_info *u)
{
    struct uploads_listing *l = arg;
    int after = strcmp(u->key, l->key_marker);

    if (strncmp(u->key, l->prefix, strlen(l->prefix)) != 0)
        return true;
    if (l->key_marker[0] != '\0' &&
        (after < 0 ||
         (after == 0 && (l->id_marker[0] == '\0' || strcmp(u->id, l->id_marker) <= 0))))
        return true;
    l->more = l->left == 0;
    if (l->more)
        return false;
    l->left--;
    buf_reset(&l->last_key);
    buf_adds(&l->last_key, u->key);
    memcpy(l->last_id, u->id, sizeof l->last_id);
    buf_adds(l->out, "<Upload>");
    xmlout_element(l->out, "Key", u->key);
    xmlout_element(l->out, "UploadId", u->id);
    xmlout_element(l->out, "StorageClass", "STANDARD");
    xmlout_time(l->out, "Initiated", u->initiated_ns);
    if (u->sha256)
        xmlout_element(l->out, "ChecksumAlgorithm", "SHA256");
    buf_adds(l->out, "</Upload>");
    return true;
}

void s3_list_multiparts(struct exchange *x)
{
    struct buf *out = &x->response.body;
    struct buf prefix, key_marker, id_marker;
    struct uploads_listing l = {.out = out};
    uint64_t max = 1000;

    buf_init(&prefix, HTTP_HEAD_MAX);
    buf_init(&key_marker, HTTP_HEAD_MAX);
    buf_init(&id_marker, HTTP_HEAD_MAX);
    buf_init(&l.last_key, HTTP_HEAD_MAX);
    (void)http_query(&x->request, "prefix", &prefix);
    (void)http_query(&x->request, "key-marker", &key_marker);
    (void)http_query(&x->request, "upload-id-marker", &id_marker);
    if (!s3_query_number(x, "max-uploads", 1000, &max))
        goto out;
    l.prefix = prefix.data;
    l.key_marker = key_marker.data;
    l.id_marker = id_marker.data;
    l.left = max;
    begin_xml(x, "ListMultipartUploadsResult");
    xmlout_element(out, "Bucket", x->bucket.data);
    xmlout_element(out, "Prefix", prefix.data);
    xmlout_element(out, "KeyMarker", key_marker.data);
    xmlout_element(out, "UploadIdMarker", id_marker.data);
    xmlout_number(out, "MaxUploads", max);
    multipart_list(x->service->multiparts, list_upload, &l);
    if (l.more) {
        xmlout_element(out, "NextKeyMarker", l.last_key.data);
        xmlout_element(out, "NextUploadIdMarker", l.last_id);
    }
    xmlout_element(out, "IsTruncated", l.more ? "true" : "false");
    buf_adds(out, "</ListMultipartUploadsResult>");
out:
    buf_fini(&prefix);
    buf_fini(&key_marker);
    buf_fini(&id_marker);
    buf_fini(&l.last_key);
}
