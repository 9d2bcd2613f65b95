/* Receipts, read from the journal's files: works with and without a running gateway. */
#ifndef CLI_RECEIPT_H
#define CLI_RECEIPT_H

#include "gateway/config.h"

/* The newest DELIVERED record of this path (below the root) that is not older than since_ns, as
 * JSON (path, key, bucket, size, sha256, etag, version_id, request_id, attempts, verified,
 * accepted_at, delivered_at). RC_ABSENT: there is none. RC_DENIED, RC_IO: the journal cannot be
 * read. Caller json_decrefs. */
enum rc receipt_find(const struct config *c, const char *path, int64_t since_ns, json_t **out,
                     struct err *e) MUST_CHECK;

#endif
