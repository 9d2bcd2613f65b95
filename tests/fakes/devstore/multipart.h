/* Multipart uploads under way. In memory: after a restart every upload id is NoSuchUpload, which S3
 * may answer at any time as well. Thread-safe.
 */
#ifndef DEVSTORE_MULTIPART_H
#define DEVSTORE_MULTIPART_H

#include "tests/fakes/devstore/failure.h"
#include "tests/fakes/devstore/store.h"

#define MULTIPART_ID_SIZE  33
#define MULTIPART_PART_MAX 10000
#define MULTIPART_PART_MIN (5 * 1024 * 1024) /* bytes; the last part may be smaller */

struct part {
    unsigned number;
    bool has_checksum; /* the client sent x-amz-checksum-sha256 */
    uint64_t size;
    int64_t modified_ns;
    uint8_t md5[MD5_SIZE]; /* or the first half of the SHA-256, under --no-md5 */
    uint8_t sha256[SHA256_SIZE];
    char tmp[STORE_TMP_MAX]; /* "" when counting */
};
struct upload_info {
    char id[MULTIPART_ID_SIZE];
    const char *key;
    int64_t initiated_ns;
    bool sha256; /* x-amz-checksum-algorithm: SHA256 */
};

struct multiparts;
struct multiparts *multiparts_new(struct store *store, const struct config *config);
void multiparts_free(struct multiparts *m);
void multiparts_reset(struct multiparts *m);

bool multipart_create(struct multiparts *m, const char *key, const char *acl, const char *meta,
                      bool sha256, char id[MULTIPART_ID_SIZE], struct failure *f);
/* Takes part->tmp over; a part of the same number is replaced. False: the file stays the caller's.
 */
bool multipart_put_part(struct multiparts *m, const char *id, const char *key,
                        const struct part *part, struct failure *f);
bool multipart_abort(struct multiparts *m, const char *id, const char *key, struct failure *f);
/* Check the list of parts in xml and join them. o: size, etag, checksum, acl; tmp: the joined file,
 * the caller's now ("" when counting); meta as given at the beginning. The upload stays until
 * multipart_done, so that a failure leaves all as it was. */
bool multipart_join(struct multiparts *m, const char *id, const char *key, const struct buf *xml,
                    struct object *o, char tmp[STORE_TMP_MAX], struct buf *meta, struct failure *f);
void multipart_done(struct multiparts *m, const char *id);

/* Uploads in the order of key and id; parts by number, above `after`. visit may not call here. */
void multipart_list(struct multiparts *m, bool (*visit)(void *arg, const struct upload_info *u),
                    void *arg);
bool multipart_list_parts(struct multiparts *m, const char *id, const char *key, unsigned after,
                          bool (*visit)(void *arg, const struct part *p), void *arg,
                          struct failure *f);

#endif
