/* One request and its answer, in two steps: s3_begin when the head has come, s3_finish when the
 * body has. Whoever carries bytes (conn.c) calls them and body_feed in between.
 */
#ifndef DEVSTORE_S3_H
#define DEVSTORE_S3_H

#include "tests/fakes/devstore/auth.h"
#include "tests/fakes/devstore/body.h"
#include "tests/fakes/devstore/config.h"
#include "tests/fakes/devstore/fault.h"
#include "tests/fakes/devstore/http.h"
#include "tests/fakes/devstore/multipart.h"
#include "tests/fakes/devstore/operation.h"
#include "tests/fakes/devstore/stats.h"
#include "tests/fakes/devstore/store.h"

/* What all requests share. */
struct service {
    const struct config *config;
    struct store *store;
    struct multiparts *multiparts;
    struct faults *faults;
    struct stats stats;
};

/* A request under way; the memory is used again for the connection's next one. */
struct exchange {
    struct service *service;
    struct auth *auth; /* of the thread */
    struct http_request request;
    struct http_response response;
    struct failure failure;
    struct fault_effect fault;
    struct body body;
    enum operation op;
    enum payload payload;
    int64_t now_ns; /* the server's clock for this request */
    char request_id[17];
    struct buf bucket, key; /* decoded */
    struct buf scratch;
};

void exchange_init(struct exchange *x, struct service *service, struct auth *auth);
void exchange_fini(struct exchange *x);
/* x->request was parsed: find out what it wants and whether it may; x->body is ready to be fed
 * (with as much as is to be dropped, if the request is refused). */
void s3_begin(struct exchange *x);
/* The body has been fed: do it, and fill x->response. */
void s3_finish(struct exchange *x);

/* For the files of the operations. Each fills x->response or x->failure. */
void s3_error_response(struct exchange *x);
bool s3_query_number(struct exchange *x, const char *name, uint64_t max, uint64_t *value);
/* Header lines that an object gives back: its type, x-amz-meta-*, and how it is to be encrypted,
 * classed and tagged. False: too long. */
bool s3_collect_meta(struct exchange *x, struct buf *meta);
bool s3_commit(struct exchange *x, struct object *o, const char *meta, const char *tmp);
void s3_put_object(struct exchange *x);
void s3_get_object(struct exchange *x);
void s3_get_object_acl(struct exchange *x);
void s3_create_multipart(struct exchange *x);
void s3_upload_part(struct exchange *x);
void s3_complete_multipart(struct exchange *x);
void s3_abort_multipart(struct exchange *x);
void s3_list_parts(struct exchange *x);
void s3_list_multiparts(struct exchange *x);
void s3_list_objects(struct exchange *x);
void s3_list_buckets(struct exchange *x);
void s3_bucket_other(struct exchange *x);
void admin_request(struct exchange *x);

#endif
