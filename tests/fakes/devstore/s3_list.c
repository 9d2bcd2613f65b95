/* Listing objects (both versions of the operation), and what is asked of the bucket. */
#include "tests/fakes/devstore/s3.h"

#include "base/hex.h"
#include "base/mem.h"
#include "tests/fakes/devstore/xmlout.h"
#include "uploader/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX (4 * STORE_KEY_MAX)

struct listing {
    struct buf *contents, *prefixes; /* what goes out: <Contents> and <CommonPrefixes> */
    struct buf last;                 /* the last key or common prefix listed */
    size_t prefix_len;
    const char *delimiter;
    uint64_t left;
    uint64_t listed;
    bool more, url;
};

static void add_name(struct buf *out, const char *name, const char *text, size_t n, bool url)
{
    buf_addf(out, "<%s>", name);
    if (url)
        sigv4_uri_encode(out, text, n, 1);
    else
        xmlout_text(out, text, n);
    buf_addf(out, "</%s>", name);
}

static bool list_object(void *arg, const char *key, size_t key_len, const struct object *o)
{
    struct listing *l = arg;
    const char *cut = l->delimiter[0] != '\0' ? strstr(key + l->prefix_len, l->delimiter) : NULL;
    size_t n = cut != NULL ? (size_t)(cut - key) + strlen(l->delimiter) : key_len;
    char etag[OBJECT_ETAG_SIZE];

    /* Under the common prefix that was listed last, here or on the page before. */
    if (cut != NULL && l->last.len == n && memcmp(l->last.data, key, n) == 0)
        return true;
    l->more = l->left == 0;
    if (l->more)
        return false;
    l->left--;
    l->listed++;
    buf_reset(&l->last);
    buf_add(&l->last, key, n);
    if (cut != NULL) {
        buf_adds(l->prefixes, "<CommonPrefixes>");
        add_name(l->prefixes, "Prefix", key, n, l->url);
        buf_adds(l->prefixes, "</CommonPrefixes>");
        return true;
    }
    object_etag(etag, o);
    buf_adds(l->contents, "<Contents>");
    add_name(l->contents, "Key", key, key_len, l->url);
    xmlout_time(l->contents, "LastModified", o->modified_ns);
    xmlout_element(l->contents, "ETag", etag);
    if (o->has_checksum)
        xmlout_element(l->contents, "ChecksumAlgorithm", "SHA256");
    xmlout_number(l->contents, "Size", o->size);
    xmlout_element(l->contents, "StorageClass", "STANDARD");
    buf_adds(l->contents, "</Contents>");
    return true;
}

/* A continuation token is the last name listed, in hexadecimal. */
static bool read_token(struct exchange *x, struct buf *after)
{
    char raw[STORE_KEY_MAX + 64];

    buf_reset(&x->scratch);
    if (!http_query(&x->request, "continuation-token", &x->scratch))
        return true;
    if (x->scratch.len % 2 != 0 || x->scratch.len / 2 > sizeof raw ||
        hex_decode(raw, x->scratch.len / 2, x->scratch.data, x->scratch.len) != RC_OK)
        return failure_set(&x->failure, "InvalidArgument",
                           "The continuation token provided is incorrect");
    buf_reset(after);
    buf_add(after, raw, x->scratch.len / 2);
    return true;
}

static void add_token(struct buf *out, const struct buf *last)
{
    char *hex = mem_alloc(2 * last->len + 1);

    hex_encode(hex, last->data, last->len);
    xmlout_element(out, "NextContinuationToken", hex);
    free(hex);
}

static void write_listing(struct exchange *x, const struct listing *l, bool v2, uint64_t max,
                          const char *prefix)
{
    struct buf *out = &x->response.body;

    x->response.status = 200;
    buf_adds(&x->response.headers, "Content-Type: application/xml\r\n");
    xmlout_begin(out);
    buf_adds(out, "<ListBucketResult xmlns=\"" XMLOUT_NAMESPACE "\">");
    xmlout_element(out, "Name", x->bucket.data);
    add_name(out, "Prefix", prefix, strlen(prefix), l->url);
    if (l->delimiter[0] != '\0')
        add_name(out, "Delimiter", l->delimiter, strlen(l->delimiter), l->url);
    xmlout_number(out, "MaxKeys", max);
    if (l->url)
        xmlout_element(out, "EncodingType", "url");
    if (v2)
        xmlout_number(out, "KeyCount", l->listed);
    xmlout_element(out, "IsTruncated", l->more ? "true" : "false");
    if (l->more && v2)
        add_token(out, &l->last);
    else if (l->more)
        add_name(out, "NextMarker", l->last.data, l->last.len, l->url);
    buf_add(out, l->contents->data, l->contents->len);
    buf_add(out, l->prefixes->data, l->prefixes->len);
    buf_adds(out, "</ListBucketResult>");
}

void s3_list_objects(struct exchange *x)
{
    struct buf prefix, delimiter, after, contents, prefixes;
    struct listing l = {.contents = &contents, .prefixes = &prefixes};
    uint64_t max = 1000, version = 1;
    bool v2;

    buf_init(&prefix, TOKEN_MAX);
    buf_init(&delimiter, TOKEN_MAX);
    buf_init(&after, TOKEN_MAX);
    buf_init(&contents, (size_t)64 << 20);
    buf_init(&prefixes, (size_t)64 << 20);
    buf_init(&l.last, TOKEN_MAX);
    (void)http_query(&x->request, "prefix", &prefix);
    (void)http_query(&x->request, "delimiter", &delimiter);
    if (!s3_query_number(x, "max-keys", 1000, &max) ||
        !s3_query_number(x, "list-type", 9, &version))
        goto out;
    v2 = version == 2;
    (void)http_query(&x->request, v2 ? "start-after" : "marker", &after);
    if (v2 && !read_token(x, &after))
        goto out;
    buf_reset(&x->scratch);
    l.url = http_query(&x->request, "encoding-type", &x->scratch) &&
            strcmp(x->scratch.data, "url") == 0;
    l.delimiter = delimiter.data;
    l.prefix_len = prefix.len;
    l.left = max;
    buf_add(&l.last, after.data, after.len);
    if (max > 0)
        store_list(x->service->store, prefix.data, after.len > 0 ? after.data : NULL, list_object,
                   &l);
    write_listing(x, &l, v2, max, prefix.data);
out:
    buf_fini(&prefix);
    buf_fini(&delimiter);
    buf_fini(&after);
    buf_fini(&contents);
    buf_fini(&prefixes);
    buf_fini(&l.last);
}

void s3_list_buckets(struct exchange *x)
{
    struct buf *out = &x->response.body;

    x->response.status = 200;
    buf_adds(&x->response.headers, "Content-Type: application/xml\r\n");
    xmlout_begin(out);
    buf_adds(out, "<ListAllMyBucketsResult xmlns=\"" XMLOUT_NAMESPACE
                  "\"><Owner><ID>devstore</ID></Owner><Buckets><Bucket>");
    xmlout_element(out, "Name", x->service->config->bucket);
    xmlout_time(out, "CreationDate", 0);
    buf_adds(out, "</Bucket></Buckets></ListAllMyBucketsResult>");
}

/* GetBucketLocation, HeadBucket, and the questions to which the answer is "nothing set". */
void s3_bucket_other(struct exchange *x)
{
    const char *region = x->service->config->region;
    struct buf *out = &x->response.body;

    x->response.status = 200;
    buf_addf(&x->response.headers, "x-amz-bucket-region: %s\r\n", region);
    if (x->op == OP_HEAD_BUCKET) {
        x->response.head_only = true;
        return;
    }
    if (http_query(&x->request, "object-lock", NULL)) {
        failure_set(&x->failure, "ObjectLockConfigurationNotFoundError",
                    "Object Lock configuration does not exist for this bucket");
        return;
    }
    if (http_query(&x->request, "policy", NULL)) {
        failure_set(&x->failure, "NoSuchBucketPolicy", "The bucket policy does not exist");
        return;
    }
    buf_adds(&x->response.headers, "Content-Type: application/xml\r\n");
    xmlout_begin(out);
    if (x->op == OP_GET_BUCKET_LOCATION) /* us-east-1 is told as an empty element */
        buf_addf(out, "<LocationConstraint xmlns=\"" XMLOUT_NAMESPACE "\">%s</LocationConstraint>",
                 strcmp(region, "us-east-1") == 0 ? "" : region);
    else
        buf_addf(out,
                 "<VersioningConfiguration xmlns=\"" XMLOUT_NAMESPACE
                 "\">%s</VersioningConfiguration>",
                 x->service->config->versioning ? "<Status>Enabled</Status>" : "");
}
