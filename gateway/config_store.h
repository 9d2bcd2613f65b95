/* The configuration's file, read and replaced: durably, with its mode and owner, and only where
 * this user may write it. Blocks: for the pool. An ACL on the file itself is not kept.
 */
#ifndef GATEWAY_CONFIG_STORE_H
#define GATEWAY_CONFIG_STORE_H

#include "base/fsio.h"
#include "base/rc.h"

#include <stddef.h>

#define CONFIG_STORE_ETAG_SIZE 35

struct config_store {
    char *path; /* where links lead */
    char *text; /* NUL-terminated */
    size_t n;
    struct file_stat st;
    char etag[CONFIG_STORE_ETAG_SIZE]; /* of the bytes, in quotes (RFC 9110 8.8.3) */
};
/* RC_ABSENT, RC_DENIED, RC_LIMIT, RC_IO; config_store_fini in any case. */
enum rc config_store_read(const char *path, struct config_store *out, struct err *e) MUST_CHECK;
void config_store_fini(struct config_store *s);
/* RC_DENIED: a sentence that says why not and what to do. */
enum rc config_store_may_write(const struct config_store *s, struct err *e) MUST_CHECK;
/* Write beside it, fsync, rename, fsync the directory. RC_CHANGED: somebody else has changed it
 * since it was read; RC_DENIED, RC_FULL, RC_IO: it is as it was. */
enum rc config_store_write(const struct config_store *s, const char *text, size_t n,
                           struct err *e) MUST_CHECK;

#endif
