/* Receipts by reading all segments: see receipt.h. A gateway may append meanwhile; a torn last
 * record is one that is not durable yet.
 */
#include "cli/receipt.h"

#include "gateway/gateway.h"
#include "gateway/receipts.h"
#include "spool/journal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct search {
    const struct config *config;
    const char *path;
    size_t n;
    int64_t since_ns, written_ns;
    json_t *found;
    record_place found_at;
};

static bool in_segment_of(record_place a, record_place b)
{
    return a >> RECORD_OFFSET_BITS == b >> RECORD_OFFSET_BITS;
}

/* The newest segment comes first, and in it the newest receipt last. */
static enum rc look(void *arg, record_place at, const struct record *r)
{
    struct search *s = arg;
    if (s->found && !in_segment_of(at, s->found_at))
        return RC_EXISTS;
    if (r->type == RECORD_DELIVERED && r->at_ns >= s->since_ns && r->id.mtime_ns >= s->written_ns &&
        r->path.n == s->n && memcmp(r->path.p, s->path, s->n) == 0) {
        json_decref(s->found);
        s->found = receipts_to_json(s->config->bucket.name, r);
        s->found_at = at;
    }
    return RC_OK;
}

enum rc receipt_find(const struct config *c, const char *path, int64_t since_ns, int64_t written_ns,
                     json_t **out, struct err *e)
{
    int fd = -1;
    enum rc rc = gateway_open_journal(c, &fd, e);
    if (rc != RC_OK)
        return rc;
    struct search s = {.config = c,
                       .path = path,
                       .n = strlen(path),
                       .since_ns = since_ns,
                       .written_ns = written_ns};
    struct journal_reader reader = {.record = look, .arg = &s};
    struct journal_verify_cfg cfg = {.fs = &fsio_system,
                                     .dirfd = fd,
                                     .reader = &reader,
                                     .newest_first = true,
                                     .since_ns = since_ns};
    rc = journal_verify(&cfg, e);
    (void)close(fd); /* only read from */
    /* Damage elsewhere does not unsay a receipt. */
    if (rc != RC_OK && rc != RC_CORRUPT && rc != RC_EXISTS) {
        json_decref(s.found);
        return rc;
    }
    if (!s.found)
        return err_set(e, RC_ABSENT, "the journal has no receipt of it");
    *out = s.found;
    return RC_OK;
}

/* ---- all of them ---- */

struct walk {
    const struct config *config;
    const struct receipt_query *q;
    void (*each)(void *arg, const json_t *receipt);
    void (*damage)(void *arg, const char *text);
    void *arg;
    bool damaged;
};

static bool is_wanted(const struct receipt_query *q, const struct record *r)
{
    char path[RECORD_PATH_MAX + 1];
    if (r->type != RECORD_DELIVERED || r->at_ns < q->since_ns || r->at_ns > q->until_ns)
        return false;
    if (q->n_matches == 0)
        return true;
    memcpy(path, r->path.p, r->path.n);
    path[r->path.n] = '\0';
    for (size_t i = 0; i < q->n_matches; i++) {
        if (strcmp(q->matches[i], path) == 0 || fnmatch(q->matches[i], path, 0) == 0)
            return true;
    }
    return false;
}

static enum rc walk_record(void *arg, record_place at, const struct record *r)
{
    struct walk *w = arg;
    (void)at;
    if (is_wanted(w->q, r)) {
        json_t *receipt = receipts_to_json(w->config->bucket.name, r);
        w->each(w->arg, receipt);
        json_decref(receipt);
    }
    return RC_OK;
}

/* A torn end is legal; what lies in quarantine is known to be missing, and missing all the same. */
static void walk_fault(void *arg, const struct journal_fault *f)
{
    struct walk *w = arg;
    char text[768];
    if (f->legal && f->offset > 0)
        return;
    w->damaged = true;
    (void)snprintf(text, sizeof text, "receipts may be missing: segment %u, offset %llu: %s",
                   f->segment, (unsigned long long)f->offset, f->why.text);
    w->damage(w->arg, text);
}

enum rc receipt_each(const struct config *c, const struct receipt_query *q,
                     void (*each)(void *arg, const json_t *receipt),
                     void (*damage)(void *arg, const char *text), void *arg, struct err *e)
{
    int fd = -1;
    enum rc rc = gateway_open_journal(c, &fd, e);
    if (rc != RC_OK)
        return rc;
    struct walk w = {.config = c, .q = q, .each = each, .damage = damage, .arg = arg};
    struct journal_reader reader = {.record = walk_record, .arg = &w};
    struct journal_verify_cfg cfg = {.fs = &fsio_system,
                                     .dirfd = fd,
                                     .reader = &reader,
                                     .fault = walk_fault,
                                     .arg = &w,
                                     .since_ns = q->since_ns > 0 ? q->since_ns : 0};
    rc = journal_verify(&cfg, e);
    (void)close(fd); /* only read from */
    if (rc == RC_OK && w.damaged)
        rc = err_set(e, RC_CORRUPT, "the journal is damaged");
    return rc == RC_CORRUPT && !w.damaged ? RC_OK : rc;
}
