/* Receipts by reading all segments: see receipt.h. A gateway may append meanwhile; a torn last
 * record is one that is not durable yet.
 */
#include "cli/receipt.h"

#include "base/clock.h"
#include "base/hex.h"
#include "gateway/gateway.h"
#include "spool/journal.h"

#include <string.h>
#include <unistd.h>

struct search {
    const struct config *config;
    const char *path;
    size_t n;
    int64_t since_ns;
    json_t *found;
};

static json_t *text_of(struct record_text t)
{
    return t.n > 0 ? json_text(t.p, t.n) : json_null();
}

static json_t *time_of(int64_t ns)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, ns);
    return json_string(text);
}

static json_t *receipt_of(const struct search *s, const struct record *r)
{
    char sha[2 * SHA256_SIZE + 1];
    hex_encode(sha, r->sha256, SHA256_SIZE);
    json_t *o =
        json_pack("{s:o, s:o, s:s, s:I, s:s, s:o, s:o, s:o}", "path", text_of(r->path), "key",
                  text_of(r->key.n > 0 ? r->key : r->path), "bucket", s->config->bucket.name,
                  "size", (json_int_t)r->id.size, "sha256", sha, "etag", text_of(r->etag),
                  "version_id", text_of(r->version_id), "request_id", text_of(r->request_id));
    json_object_set_new(o, "attempts", json_integer(r->attempts));
    json_object_set_new(o, "verified", json_boolean(r->flags & RECORD_VERIFIED));
    json_object_set_new(o, "accepted_at", time_of(r->accepted_ns));
    json_object_set_new(o, "delivered_at", time_of(r->at_ns));
    json_object_set_new(o, "delivered_after_ms",
                        json_integer((r->at_ns - r->accepted_ns) / CLOCK_NS_PER_MS));
    return o;
}

static enum rc look(void *arg, record_place at, const struct record *r)
{
    struct search *s = arg;
    (void)at;
    if (r->type == RECORD_DELIVERED && r->at_ns >= s->since_ns && r->path.n == s->n &&
        memcmp(r->path.p, s->path, s->n) == 0) {
        json_decref(s->found);
        s->found = receipt_of(s, r);
    }
    return RC_OK;
}

enum rc receipt_find(const struct config *c, const char *path, int64_t since_ns, json_t **out,
                     struct err *e)
{
    int fd = -1;
    enum rc rc = gateway_open_journal(c, &fd, e);
    if (rc != RC_OK)
        return rc;
    struct search s = {.config = c, .path = path, .n = strlen(path), .since_ns = since_ns};
    struct journal_reader reader = {look, &s};
    struct journal_verify_cfg cfg = {.fs = &fsio_system, .dirfd = fd, .reader = &reader};
    rc = journal_verify(&cfg, e);
    (void)close(fd); /* only read from */
    /* Damage elsewhere does not unsay a receipt. */
    if (rc != RC_OK && rc != RC_CORRUPT) {
        json_decref(s.found);
        return rc;
    }
    if (!s.found)
        return err_set(e, RC_ABSENT, "the journal has no receipt of it");
    *out = s.found;
    return RC_OK;
}
