/* The S3 requests that we make, built and signed: one function from a description to method, URL
 * and header lines. Pure: no I/O, time is an argument.
 *
 * Every x-amz-* header is signed. x-amz-acl stands on PutObject and CreateMultipartUpload only.
 * No aws-chunked, no trailers, no Expect.
 */
#ifndef UPLOADER_REQUEST_H
#define UPLOADER_REQUEST_H

#include "uploader/credentials.h"
#include "uploader/endpoint.h"
#include "uploader/options.h"
#include "uploader/sigv4.h"

#include <stdbool.h>

enum request_op {
    REQUEST_PUT_OBJECT,
    REQUEST_CREATE_MULTIPART,
    REQUEST_UPLOAD_PART,
    REQUEST_COMPLETE_MULTIPART,
    REQUEST_ABORT_MULTIPART,
    REQUEST_HEAD_OBJECT,
    REQUEST_GET_OBJECT,
    REQUEST_GET_OBJECT_ACL,
    REQUEST_GET_BUCKET_LOCATION,
    REQUEST_LIST_MULTIPARTS,
    REQUEST_LIST_BUCKETS, /* to the service: endpoint_service */
    REQUEST_OP_COUNT_
};
/* S3's name: "PutObject", … */
const char *request_op_name(enum request_op op);

/* What does not change from one request to the next. Borrowed. */
struct request_context {
    const struct endpoint *endpoint;
    const struct credentials *credentials;
    const char *acl;               /* "bucket-owner-full-control"; NULL: no x-amz-acl */
    bool checksum_sha256;          /* send x-amz-checksum-sha256 */
    bool content_md5;              /* send Content-MD5 when a spec has one */
    bool if_none_match;            /* If-None-Match: * on PutObject and CompleteMultipartUpload */
    const struct options *options; /* NULL: none */
    const char *content_type;      /* NULL: "application/x-ndjson" on objects */
    const char *user_agent;
};

struct request_spec {
    enum request_op op;
    const char *key; /* "" for bucket requests */
    size_t key_len;
    const char *upload_id; /* parts, complete, abort */
    unsigned part_number;  /* 1..10000 */
    uint64_t content_length;
    const uint8_t *sha256;   /* of the body; NULL: the empty body */
    const uint8_t *md5;      /* of the body; NULL: none */
    bool overwrite;          /* leave If-None-Match out of this one */
    const char *list_prefix; /* REQUEST_LIST_MULTIPARTS */
};

#define REQUEST_HEADERS_MAX 24
/* A built request. The memory is one arena that is used again by the next request_build: everything
 * here is valid until then or request_fini. */
struct request {
    const char *method;
    const char *url;
    size_t origin_len; /* of url: scheme, host and port; path and query follow */
    const char *headers[REQUEST_HEADERS_MAX]; /* "name: value" lines, Host and Authorization too */
    size_t n_headers;
    struct buf arena_; /* what is kept between builds: the texts of this request … */
    struct buf canonical_, signed_names_, to_sign_; /* … and the stages of its signature */
    struct sigv4_key key_; /* of this day, region and credentials: derived again when they change */
    char key_date_[9], key_region_[64];
    uint64_t key_serial_;
};
void request_init(struct request *r);
void request_fini(struct request *r);
/* now_unix_s: the wall clock corrected by the store's offset. RC_LIMIT: a header or the URL over
 * 16 KiB. RC_INVALID: a control character in a header. The session token is sent and signed as
 * x-amz-security-token. A request with a body or POST has its Content-Length, signed. All headers
 * but User-Agent and Authorization are signed. HEAD and GET of an object ask for its checksum.
 * Whoever sends must send the URL as it is: dot segments stay. */
enum rc request_build(struct request *r, const struct request_context *ctx,
                      const struct request_spec *spec, int64_t now_unix_s,
                      struct err *e) MUST_CHECK;

/* Append the body of CompleteMultipartUpload, parts in the order given (S3 wants it ascending). */
struct request_part {
    unsigned number;
    char etag[72];
    uint8_t sha256[SHA256_SIZE];
};
void request_complete_body(struct buf *out, const struct request_part *parts, size_t n,
                           bool with_checksums);

#endif
