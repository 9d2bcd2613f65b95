/* What was asked and answered, counted. Relaxed atomics: any thread counts, anyone reads. */
#ifndef DEVSTORE_STATS_H
#define DEVSTORE_STATS_H

#include "base/buf.h"
#include "tests/fakes/devstore/operation.h"

#include <stdatomic.h>
#include <stdint.h>

#define STATS_STATUS_MAX 600

struct stats {
    _Atomic uint64_t by_operation[OP_COUNT_];
    _Atomic uint64_t by_status[STATS_STATUS_MAX];
    _Atomic uint64_t connections_total, connections_now;
    _Atomic uint64_t requests_now, requests_max;      /* between the end of a head and its answer */
    _Atomic uint64_t puts_with_acl, puts_without_acl; /* PutObject and CreateMultipartUpload */
    _Atomic uint64_t repeated_same, repeated_other;   /* an existing key stored again */
    _Atomic uint64_t objects_stored;
    _Atomic uint64_t bytes_in; /* bodies, as they came */
    _Atomic uint64_t refused_unsigned_headers;
    _Atomic uint64_t faults_fired;
    _Atomic uint64_t answers_lost; /* requests that got no whole answer by a fault's doing */
};

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
void stats_request_begins(struct stats *s, enum operation op);
void stats_request_ends(struct stats *s);
/* status 0: there was no answer. */
void stats_answered(struct stats *s, int status);
void stats_reset(struct stats *s); /* but for the connections and requests of now */
void stats_write_json(const struct stats *s, struct buf *out);

#endif
