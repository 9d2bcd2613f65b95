/* Pages of receipts: see receipts.h. Records can only be read forward, so a segment (16 MiB at
 * most) is read once for the places of the last ones that match, and those alone are then read by
 * their place. A gateway appends and drops segments meanwhile.
 */
#include "gateway/receipts.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/units.h"
#include "spool/segment.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

json_t *receipts_to_json(const char *bucket, const struct record *r)
{
    char sha[2 * SHA256_SIZE + 1];
    hex_encode(sha, r->sha256, SHA256_SIZE);
    json_t *o =
        json_pack("{s:o, s:o, s:s, s:I, s:s, s:o, s:o, s:o}", "path", text_of(r->path), "key",
                  text_of(r->key.n > 0 ? r->key : r->path), "bucket", bucket, "size",
                  (json_int_t)r->id.size, "sha256", sha, "etag", text_of(r->etag), "version_id",
                  text_of(r->version_id), "request_id", text_of(r->request_id));
    json_object_set_new(o, "attempts", json_integer(r->attempts));
    json_object_set_new(o, "verified", json_boolean(r->flags & RECORD_VERIFIED));
    json_object_set_new(o, "accepted_at", time_of(r->accepted_ns));
    json_object_set_new(o, "delivered_at", time_of(r->at_ns));
    json_object_set_new(o, "delivered_after_ms",
                        json_integer((r->at_ns - r->accepted_ns) / CLOCK_NS_PER_MS));
    return o;
}

bool receipts_parse_time(const char *text, int64_t now_ns, int64_t *ns)
{
    char whole[64];
    uint64_t ms;
    if (clock_parse_rfc3339(text, ns) == RC_OK)
        return true;
    (void)snprintf(whole, sizeof whole, "%sT00:00:00Z", text);
    if (strlen(text) == strlen("2026-11-23") && clock_parse_rfc3339(whole, ns) == RC_OK)
        return true;
    if (units_parse_duration(text, &ms) != RC_OK || ms > (uint64_t)(INT64_MAX / CLOCK_NS_PER_MS))
        return false;
    *ns = now_ns - (int64_t)ms * CLOCK_NS_PER_MS;
    return true;
}

/* ---- the segments ---- */

struct reading {
    const struct fsio *fs;
    int dirfd;
    const struct receipts_query *q;
    struct receipts_page *page;
    struct segment_reader *reader;
    uint32_t *numbers; /* ascending */
    size_t n, cap;
    record_place *ring; /* of the segment being read: the last ones that match, `left` at most */
    uint64_t found;     /* in it */
    size_t left;        /* of the page */
};

static void list_entry(void *arg, const char *name, mode_t kind)
{
    struct reading *k = arg;
    uint32_t number;
    (void)kind;
    if (!segment_parse_name(name, &number))
        return;
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 64;
        k->numbers = mem_resize(k->numbers, k->cap, sizeof *k->numbers);
    }
    k->numbers[k->n++] = number;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static record_place place_of(uint32_t segment, uint64_t offset)
{
    return ((record_place)segment << RECORD_OFFSET_BITS) + offset;
}

static uint32_t segment_of(record_place at)
{
    return (uint32_t)(at >> RECORD_OFFSET_BITS);
}

static bool is_wanted(const struct receipts_query *q, const struct record *r)
{
    char path[RECORD_PATH_MAX + 1];
    if (r->type != RECORD_DELIVERED || r->at_ns < q->since_ns || r->at_ns > q->until_ns)
        return false;
    if (!q->match)
        return true;
    memcpy(path, r->path.p, r->path.n);
    path[r->path.n] = '\0';
    return strstr(path, q->match) || fnmatch(q->match, path, 0) == 0;
}

/* Where the wanted ones of an open segment lie, into the ring. limit_seq: from there on records are
 * void, since the next segment began with it. */
static void find(struct reading *k, uint32_t number, uint64_t limit_seq)
{
    uint64_t last_seq = 0;
    struct record r;
    struct err why;
    for (;;) {
        enum rc rc = segment_next(k->reader, &r, &why);
        if (rc == RC_CORRUPT) {
            k->page->damaged = true;
            rc = segment_resync(k->reader, last_seq, &r, &why);
        }
        /* The end; a torn tail is what is being written at this moment. */
        if (rc != RC_OK || r.seq >= limit_seq) {
            k->page->damaged = k->page->damaged || rc == RC_IO;
            return;
        }
        last_seq = r.seq;
        record_place at = place_of(number, segment_at(k->reader));
        if (k->q->before != 0 && at >= k->q->before)
            return;
        if (is_wanted(k->q, &r))
            k->ring[k->found++ % k->left] = at;
    }
}

/* One record by its place. */
static void tell(struct reading *k, int fd, record_place at, char *data)
{
    uint64_t offset = at & ((UINT64_C(1) << RECORD_OFFSET_BITS) - 1);
    struct record r;
    size_t got, len;
    enum rc rc = fsio_read_full(k->fs, fd, data, RECORD_MAX, offset, &got, NULL);
    if (rc == RC_OK)
        rc = record_decode(data, got, segment_of(at), &r, &len, NULL);
    if (rc == RC_OK)
        k->page->each(k->page->arg, &r);
    else
        k->page->damaged = true;
}

/* Those in the ring, the newest first. */
static void tell_found(struct reading *k, uint32_t number)
{
    char name[SEGMENT_NAME_SIZE];
    size_t n = k->found < k->left ? (size_t)k->found : k->left;
    if (n == 0)
        return;
    segment_name(name, number);
    int fd = k->fs->ops->open(k->fs->ctx, k->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return; /* dropped since: its time was over */
    char *data = mem_alloc(RECORD_MAX);
    for (size_t i = 0; i < n; i++)
        tell(k, fd, k->ring[(k->found - 1 - i) % k->left], data);
    /* More in this segment, or behind it. */
    k->page->next = k->ring[(k->found - n) % k->left];
    k->left -= n;
    free(data);
    (void)k->fs->ops->close(k->fs->ctx, fd); /* only read from */
}

static void close_segment(struct reading *k)
{
    if (segment_close(k->reader, NULL) != RC_OK)
        k->page->damaged = true;
}

/* All of it lies behind the cursor. */
static bool is_behind(const struct reading *k, uint32_t number)
{
    return k->q->before != 0 && place_of(number, 0) >= k->q->before;
}

/* newer: the header of the segment behind it, in place of it afterwards. false: nothing that is
 * older can be wanted. */
static bool read_segment(struct reading *k, uint32_t number, struct segment_header *newer)
{
    struct segment_header h = {0};
    struct err why;
    bool skip = is_behind(k, number);
    bool too_old = newer->number != 0 && newer->created_ns <= k->q->since_ns;
    if (too_old)
        return false;
    enum rc rc = segment_open(k->reader, number, false, &h, &why);
    if (rc != RC_OK) {
        k->page->damaged = k->page->damaged || (rc != RC_ABSENT && !skip);
        if (rc == RC_CORRUPT || rc == RC_LIMIT)
            close_segment(k);
        *newer = (struct segment_header){0};
        return true;
    }
    k->found = 0;
    /* However young it is: while the journal could not be written, receipts waited for it. */
    if (!skip)
        find(k, number, newer->number != 0 ? newer->first_seq : UINT64_MAX);
    close_segment(k);
    tell_found(k, number);
    if (!skip && k->left > 0)
        k->page->next = place_of(number, 0);
    *newer = h;
    return true;
}

/* The first segment behind the cursor's is only asked for its header. */
static size_t first_of(const struct reading *k)
{
    size_t i = k->n;
    while (i > 1 && is_behind(k, k->numbers[i - 2]))
        i--;
    return i;
}

enum rc receipts_read(const struct fsio *fs, int journal_fd, const struct receipts_query *q,
                      struct receipts_page *page, struct err *e)
{
    struct reading k = {.fs = fs, .dirfd = journal_fd, .q = q, .page = page, .left = q->limit};
    struct segment_header newer = {0};
    int64_t start_ns = clock_mono_now_ns();
    page->next = 0;
    int result = fs->ops->list(fs->ctx, journal_fd, list_entry, &k);
    if (result < 0) {
        free(k.numbers);
        return err_sys(e, result, "cannot list the journal's directory");
    }
    if (k.n > 0)
        qsort(k.numbers, k.n, sizeof *k.numbers, by_number);
    k.reader = segment_reader_new(fs, journal_fd);
    k.ring = mem_resize(NULL, q->limit, sizeof *k.ring);
    size_t i = first_of(&k);
    bool more = true;
    while (i > 0 && more && k.left > 0) {
        uint64_t took_ms = (uint64_t)(clock_mono_now_ns() - start_ns) / CLOCK_NS_PER_MS;
        if (page->next != 0 && took_ms >= q->budget_ms)
            break;
        more = read_segment(&k, k.numbers[--i], &newer);
    }
    /* All was looked at: nothing lies before the cursor. */
    if (k.left > 0 && (i == 0 || !more))
        page->next = 0;
    segment_reader_free(k.reader);
    free(k.ring);
    free(k.numbers);
    return RC_OK;
}
