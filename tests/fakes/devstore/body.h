/* A request's body on its way in: hashed, kept in a temporary file or dropped, never in memory.
 * Bodies that are documents (CompleteMultipartUpload) are collected instead.
 */
#ifndef DEVSTORE_BODY_H
#define DEVSTORE_BODY_H

#include "tests/fakes/devstore/auth.h"
#include "tests/fakes/devstore/chunked.h"
#include "tests/fakes/devstore/store.h"

enum body_mode {
    BODY_DROP,    /* read and forget */
    BODY_COLLECT, /* into text; its digest is checked too */
    BODY_OBJECT,  /* hash, and keep unless the store only counts */
};

struct body {
    struct store *store;
    bool counting, no_md5;
    struct digest *sha, *md5; /* kept from one request to the next */
    enum body_mode mode;
    bool with_md5;
    bool chunked; /* aws-chunked: decode */
    struct chunked chunks;
    int error; /* errno of the temporary file */
    int fd;
    char tmp[STORE_TMP_MAX]; /* "" if there is no file */
    struct buf text;
    uint64_t size; /* decoded */
    uint8_t sha256[SHA256_SIZE], md5_sum[MD5_SIZE];
};

void body_init(struct body *b, struct store *store, const struct config *config);
void body_fini(struct body *b);
/* payload says whether it is aws-chunked; r whether an MD5 must be made for Content-MD5. */
void body_begin(struct body *b, enum body_mode mode, enum payload payload,
                const struct http_request *r);
void body_feed(struct body *b, const char *data, size_t n);
/* All has come: compute the digests and compare with the headers. */
bool body_end(struct body *b, enum payload payload, const struct http_request *r,
              struct failure *f);
/* The temporary file has become something else's. */
void body_tmp_taken(struct body *b);
/* Forget the body, remove its temporary file. Does nothing the second time. */
void body_drop(struct body *b);

#endif
