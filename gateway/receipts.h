/* Receipts, a page at a time and the newest first, from the journal's files: for the control API.
 * Reads only; blocks: for the pool.
 */
#ifndef GATEWAY_RECEIPTS_H
#define GATEWAY_RECEIPTS_H

#include "base/fsio.h"
#include "base/json.h"
#include "spool/record.h"

#include <stdbool.h>
#include <stdint.h>

#define RECEIPTS_LIMIT_MAX 1000

/* A DELIVERED record as `spoolgate receipts` prints it. */
json_t *receipts_to_json(const char *bucket, const struct record *r);
/* A time of RFC 3339, a date (its beginning, UTC), or how long before now_ns, as 2h. */
bool receipts_parse_time(const char *text, int64_t now_ns, int64_t *ns);

struct receipts_query {
    const char *match;          /* a path, a pattern for fnmatch, a part of the path; NULL: all */
    int64_t since_ns, until_ns; /* delivered not before, not after; INT64_MIN, INT64_MAX: always */
    size_t limit;               /* 1..RECEIPTS_LIMIT_MAX */
    record_place before;        /* the cursor: only those that lie before it; 0: from the newest */
    uint64_t budget_ms;         /* after so long no further segment is begun */
};
struct receipts_page {
    void (*each)(void *arg, const struct record *r); /* the newest first */
    void *arg;
    record_place next; /* out: the cursor of the next page; 0: this was the last */
    bool damaged;      /* out: a part of what was looked at cannot be read */
};
/* A page may be short and not the last: what is looked at is bounded, too. */
enum rc receipts_read(const struct fsio *fs, int journal_fd, const struct receipts_query *q,
                      struct receipts_page *page, struct err *e) MUST_CHECK;

#endif
