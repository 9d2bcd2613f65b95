/* Which of S3's operations a request is, by its method and its query. */
#ifndef DEVSTORE_OPERATION_H
#define DEVSTORE_OPERATION_H

#include "tests/fakes/devstore/http.h"

#include <stdbool.h>

enum operation {
    OP_PUT_OBJECT,
    OP_GET_OBJECT,
    OP_HEAD_OBJECT,
    OP_GET_OBJECT_ACL,
    OP_DELETE_OBJECT, /* always refused: the policy grants no such thing */
    OP_CREATE_MULTIPART,
    OP_UPLOAD_PART,
    OP_COMPLETE_MULTIPART,
    OP_ABORT_MULTIPART,
    OP_LIST_MULTIPARTS,
    OP_LIST_PARTS,
    OP_LIST_OBJECTS, /* both versions */
    OP_GET_BUCKET_LOCATION,
    OP_HEAD_BUCKET,
    OP_LIST_BUCKETS,
    OP_BUCKET_OTHER, /* versioning, object-lock, policy: what other clients ask before they start */
    OP_ADMIN,
    OP_UNKNOWN,
    OP_COUNT_
};
/* S3's name: "PutObject", … */
const char *operation_name(enum operation op);
/* has_bucket, has_key: what the path names. OP_ADMIN is told by the path alone, elsewhere. */
enum operation operation_of(const struct http_request *r, bool has_bucket, bool has_key);

#endif
