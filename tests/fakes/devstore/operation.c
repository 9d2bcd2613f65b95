/* Method and query to operation. A subresource that is not known is OP_UNKNOWN, never the plain
 * operation: "PUT /key?tagging" must not store an object.
 */
#include "tests/fakes/devstore/operation.h"

#include <string.h>

static const char *const names[OP_COUNT_] = {
    [OP_PUT_OBJECT] = "PutObject",
    [OP_GET_OBJECT] = "GetObject",
    [OP_HEAD_OBJECT] = "HeadObject",
    [OP_GET_OBJECT_ACL] = "GetObjectAcl",
    [OP_DELETE_OBJECT] = "DeleteObject",
    [OP_CREATE_MULTIPART] = "CreateMultipartUpload",
    [OP_UPLOAD_PART] = "UploadPart",
    [OP_COMPLETE_MULTIPART] = "CompleteMultipartUpload",
    [OP_ABORT_MULTIPART] = "AbortMultipartUpload",
    [OP_LIST_MULTIPARTS] = "ListMultipartUploads",
    [OP_LIST_PARTS] = "ListParts",
    [OP_LIST_OBJECTS] = "ListObjectsV2",
    [OP_GET_BUCKET_LOCATION] = "GetBucketLocation",
    [OP_HEAD_BUCKET] = "HeadBucket",
    [OP_LIST_BUCKETS] = "ListBuckets",
    [OP_BUCKET_OTHER] = "BucketOther",
    [OP_ADMIN] = "Admin",
    [OP_UNKNOWN] = "Unknown",
};

const char *operation_name(enum operation op)
{
    return names[op];
}

static bool asks(const struct http_request *r, const char *name)
{
    return http_query(r, name, NULL);
}

static enum operation bucket_operation(const struct http_request *r)
{
    if (strcmp(r->method, "HEAD") == 0)
        return OP_HEAD_BUCKET;
    if (strcmp(r->method, "GET") != 0)
        return OP_UNKNOWN;
    if (asks(r, "location"))
        return OP_GET_BUCKET_LOCATION;
    if (asks(r, "uploads"))
        return OP_LIST_MULTIPARTS;
    if (asks(r, "versioning") || asks(r, "object-lock") || asks(r, "policy"))
        return OP_BUCKET_OTHER;
    if (asks(r, "acl") || asks(r, "tagging") || asks(r, "versions") || asks(r, "lifecycle") ||
        asks(r, "encryption") || asks(r, "notification") || asks(r, "cors"))
        return OP_UNKNOWN;
    return OP_LIST_OBJECTS;
}

enum operation operation_of(const struct http_request *r, bool has_bucket, bool has_key)
{
    const char *m = r->method;

    if (!has_bucket)
        return strcmp(m, "GET") == 0 ? OP_LIST_BUCKETS : OP_UNKNOWN;
    if (!has_key)
        return bucket_operation(r);
    if (asks(r, "tagging") || asks(r, "retention") || asks(r, "legal-hold") || asks(r, "torrent") ||
        asks(r, "attributes") || asks(r, "restore") || asks(r, "select"))
        return OP_UNKNOWN;
    if (asks(r, "acl"))
        return strcmp(m, "GET") == 0 ? OP_GET_OBJECT_ACL : OP_UNKNOWN;
    if (strcmp(m, "POST") == 0 && asks(r, "uploads"))
        return OP_CREATE_MULTIPART;
    if (asks(r, "uploadId")) {
        if (strcmp(m, "PUT") == 0)
            return OP_UPLOAD_PART;
        if (strcmp(m, "POST") == 0)
            return OP_COMPLETE_MULTIPART;
        if (strcmp(m, "DELETE") == 0)
            return OP_ABORT_MULTIPART;
        return strcmp(m, "GET") == 0 ? OP_LIST_PARTS : OP_UNKNOWN;
    }
    if (strcmp(m, "PUT") == 0)
        return OP_PUT_OBJECT;
    if (strcmp(m, "GET") == 0)
        return OP_GET_OBJECT;
    if (strcmp(m, "HEAD") == 0)
        return OP_HEAD_OBJECT;
    return strcmp(m, "DELETE") == 0 ? OP_DELETE_OBJECT : OP_UNKNOWN;
}
