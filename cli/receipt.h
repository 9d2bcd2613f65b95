/* Receipts, read from the journal's files: works with and without a running gateway. */
#ifndef CLI_RECEIPT_H
#define CLI_RECEIPT_H

#include "gateway/config.h"

/* The newest DELIVERED record of this path (below the root) that is not older than since_ns, of a
 * file that was not written before written_ns (INT64_MIN: whenever), as JSON (path, key, bucket,
 * size, sha256, etag, version_id, request_id, attempts, verified, accepted_at, delivered_at).
 * RC_ABSENT: there is none. RC_DENIED, RC_IO: the journal cannot be read. Caller json_decrefs. */
enum rc receipt_find(const struct config *c, const char *path, int64_t since_ns, int64_t written_ns,
                     json_t **out, struct err *e) MUST_CHECK;

struct receipt_query {
    const char *const *matches; /* paths or patterns for fnmatch over the whole path */
    size_t n_matches;           /* 0: all */
    int64_t since_ns,
        until_ns; /* delivered not before and not after; INT64_MIN, INT64_MAX: always */
};
/* Every receipt, in the order in which they were recorded; damage: a sentence for each place that
 * cannot be read. Bounded memory; a gateway may run. RC_CORRUPT: there was damage; others as above.
 */
enum rc receipt_each(const struct config *c, const struct receipt_query *q,
                     void (*each)(void *arg, const json_t *receipt),
                     void (*damage)(void *arg, const char *text), void *arg,
                     struct err *e) MUST_CHECK;

#endif
