/* The objects of the bucket: an index in memory, their bytes as files (or nowhere, when counting).
 *
 * Thread-safe. A put is visible when store_commit returns, whole or not at all; a killed process
 * leaves no half object. (Power cuts are not its subject: nothing is synced.)
 */
#ifndef DEVSTORE_STORE_H
#define DEVSTORE_STORE_H

#include "base/buf.h"
#include "base/checksum.h"
#include "tests/fakes/devstore/config.h"
#include "tests/fakes/devstore/stats.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_KEY_MAX  1024
#define STORE_ACL_MAX  32
#define STORE_META_MAX 4096
#define STORE_TMP_MAX  64

/* What is known of one object. */
struct object {
    uint64_t size;
    int64_t modified_ns, first_ns;
    uint64_t version;
    uint8_t sha256[SHA256_SIZE]; /* of the bytes, if has_sha256 */
    uint8_t etag[MD5_SIZE];
    uint8_t checksum[SHA256_SIZE]; /* what x-amz-checksum-sha256 answers, if has_checksum */
    uint16_t parts;                /* 0: one PutObject */
    bool has_sha256;               /* not for multipart uploads: parts come in any order */
    bool has_checksum;
    char acl[STORE_ACL_MAX];
};

#define OBJECT_ETAG_SIZE     48
#define OBJECT_CHECKSUM_SIZE 56
void object_etag(char out[OBJECT_ETAG_SIZE], const struct object *o);         /* quoted */
void object_checksum(char out[OBJECT_CHECKSUM_SIZE], const struct object *o); /* base64[-N] */

struct store;
/* dir is made if absent; its index is read; leftovers of a killed process are removed. */
struct store *store_open(const struct config *config, struct stats *stats, struct err *e);
void store_close(struct store *s);
/* Forget and remove everything. */
enum rc store_reset(struct store *s, struct err *e) MUST_CHECK;

/* A new temporary file below the store: its descriptor or -errno, its name in name. */
int store_tmp_open(struct store *s, char name[STORE_TMP_MAX]);
void store_tmp_remove(struct store *s, const char *name);
/* An existing temporary file, for reading; or -errno. */
int store_tmp_reopen(struct store *s, const char *name);

/* Make key this object. tmp: the file with its bytes, which becomes the object's (NULL when
 * counting). meta: header lines to give back. o->first_ns, modified_ns and version are filled here.
 * RC_EXISTS if only_new and there is such a key. After an error tmp is still the caller's. */
enum rc store_commit(struct store *s, const char *key, size_t key_len, struct object *o,
                     const char *meta, const char *tmp, bool only_new, struct err *e) MUST_CHECK;
/* False: there is no such key. meta (NULL allowed) gets its header lines. */
bool store_find(struct store *s, const char *key, size_t key_len, struct object *o,
                struct buf *meta);
/* The same with the object's bytes, for reading: a descriptor that is the caller's, or -errno:
 * -ENOENT: no such key; -ENODATA: counting, the rest is filled. */
int store_read(struct store *s, const char *key, size_t key_len, struct object *o,
               struct buf *meta);

/* Keys with this prefix in byte order, from the first one after `after` (NULL: all), until visit
 * says false. visit may not call the store. */
void store_list(struct store *s, const char *prefix, const char *after,
                bool (*visit)(void *arg, const char *key, size_t key_len, const struct object *o),
                void *arg);
/* SHA-256 of every object that has none yet is computed now, where there are bytes. */
void store_hash_missing(struct store *s);

#endif
