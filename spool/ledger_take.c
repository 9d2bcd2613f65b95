/* Taking: from a place in the queue to a file that can be sent, read back from its records.
 *
 * Invariant: a taken file is in the window and in its hash's motion, and its entry is TAKEN. What
 * cannot be read leaves our care with a line in the log (P6: the next scan finds the file).
 */
#include "spool/ledger_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PART_NUMBER_MAX 10000 /* S3: parts are numbered 1 to 10 000 */
#define REPLACED_MAX    100   /* records about replaced files that are looked at */

static void taken_discard(struct taken *t)
{
    free(t->pub.path);
    free(t->pub.parts);
    free(t->pub.upload_id);
    free(t->event_type);
    free(t);
}

void ledger_taken_free(struct ledger *l, struct taken *t)
{
    *(t->prev ? &t->prev->next : &l->window) = t->next;
    *(t->next ? &t->next->prev : &l->window_last) = t->prev;
    t->m->file = NULL;
    ledger_motion_settle(l, t->m);
    taken_discard(t);
}

void ledger_queue_again(struct ledger *l, struct taken *t)
{
    record_place at = t->pub.last;

    BUG_ON(!index_move(l->index, t->pub.hash, at, at, INDEX_QUEUED));
    queue_put_back(l->queue, t->pub.lane, at, t->end);
    ledger_lane_older(l, t->pub.lane, t->pub.hash, at, t->pub.accepted_ns);
    ledger_segment_stray(l, t->pub.first, at);
    ledger_taken_free(l, t);
    if (l->cfg.queued_again)
        l->cfg.queued_again(l->cfg.queued_again_arg);
}

static void taken_enter(struct ledger *l, struct taken *t)
{
    struct motion *m = ledger_motion_make(l, t->pub.hash);

    m->file = t;
    t->m = m;
    t->number = ++l->taken_number;
    t->prev = l->window_last;
    *(t->prev ? &t->prev->next : &l->window) = t;
    l->window_last = t;
}

/* A part that was sent again: the later record counts, and is met first. `seen` is cleared for the
 * first part, since most files have none and it is larger than all else that is looked at here. */
static void take_part(struct ledger_file *f, const struct record *r, uint8_t *seen)
{
    if (f->n_parts == 0)
        memset(seen, 0, PART_NUMBER_MAX + 1);
    if (r->part_number > PART_NUMBER_MAX || seen[r->part_number])
        return;
    seen[r->part_number] = 1;
    if ((f->n_parts & (f->n_parts - 1)) == 0)
        f->parts = mem_resize(f->parts, f->n_parts ? f->n_parts * 2 : 1, sizeof(*f->parts));
    struct ledger_part *p = &f->parts[f->n_parts++];
    *p = (struct ledger_part){.number = r->part_number};
    ledger_copy_text(p->etag, sizeof(p->etag), r->etag);
    memcpy(p->sha256, r->sha256, SHA256_SIZE);
}

static void take_attempt(struct ledger_file *f, const struct record *r)
{
    f->last_class = r->answer_class;
    f->attempts = r->attempts;
    f->why.http_status = r->http_status;
    ledger_copy_text(f->why.code, sizeof(f->why.code), r->code);
    ledger_copy_text(f->why.text, sizeof(f->why.text), r->text);
}

static void take_accepted(struct taken *t, const struct record *r, record_place at)
{
    struct ledger_file *f = &t->pub;

    f->first = at;
    f->id = r->id;
    f->accepted_ns = ledger_accepted_ns(r);
    f->path = mem_strndup(r->path.p, r->path.n);
    f->path_len = r->path.n;
    t->event_type = mem_strndup(r->event_type.p, r->event_type.n);
}

static int part_order(const void *a, const void *b)
{
    const struct ledger_part *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* A file that was replaced while it waited may have left an upload, of which nobody else will know.
 * It is this file's to abort: of no part size, so that nobody takes it for one to go on with. at:
 * the last record about the replaced one. Its newest PART tells, since each names the upload.
 *
 * KNOWN: when the segment of that record is gone, or the file was replaced very often, it stays. */
static enum rc take_left_behind(struct ledger *l, struct ledger_file *f, record_place at)
{
    char buf[RECORD_MAX];
    struct record r;

    for (unsigned i = 0; at != 0 && i < REPLACED_MAX; i++) {
        enum rc rc = journal_read(l->journal, at, buf, &r, NULL);
        if (ledger_is_gone(rc) || (rc == RC_OK && r.hash != f->hash))
            return RC_OK;
        if (rc != RC_OK)
            return rc;
        if (r.type == RECORD_DELIVERED || r.type == RECORD_RETIRED)
            return RC_OK;
        if (r.type == RECORD_PART) {
            if (r.upload_id.n)
                f->upload_id = mem_strndup(r.upload_id.p, r.upload_id.n);
            return RC_OK;
        }
        at = r.prev < at ? r.prev : 0;
    }
    return RC_OK;
}

/* Follow the records from the newest to ACCEPTED. Where the chain is broken (a segment between was
 * lost) its first still tells all that must be known. */
static enum rc take_chain(struct ledger *l, struct taken *t)
{
    struct ledger_file *f = &t->pub;
    uint8_t seen[PART_NUMBER_MAX + 1]; /* with f->parts, or not looked at */
    char buf[RECORD_MAX];
    record_place at = f->last, first = 0;
    bool upload = false; /* its beginning was met: older parts are another upload's */
    struct record r;

    for (;;) {
        enum rc rc = journal_read(l->journal, at, buf, &r, NULL);
        if (rc == RC_OK && first && r.hash != f->hash)
            rc = RC_CORRUPT;
        if (ledger_is_gone(rc) && first && at != first) {
            at = first;
            continue;
        }
        if (rc != RC_OK)
            return rc;
        f->hash = r.hash;
        if (r.type == RECORD_ACCEPTED)
            break;
        first = r.first;
        if (r.type == RECORD_ATTEMPT && f->last_class < 0)
            take_attempt(f, &r);
        if (r.type == RECORD_PART && !upload) {
            if (r.part_number == 0) {
                upload = true;
                f->part_bytes = r.part_bytes;
                memcpy(f->upload_terms, r.sha256, SHA256_SIZE);
                if (r.upload_id.n)
                    f->upload_id = mem_strndup(r.upload_id.p, r.upload_id.n);
            } else {
                take_part(f, &r, seen);
            }
        }
        record_place next = r.prev >= r.first ? r.prev : r.first;
        if (next == 0 || next >= at)
            return RC_CORRUPT;
        at = next;
    }
    if (first && at != first)
        return RC_CORRUPT;
    take_accepted(t, &r, at);
    record_place replaced = r.prev < at ? r.prev : 0;
    if (!f->upload_id)
        f->n_parts = 0;
    if (f->n_parts)
        qsort(f->parts, f->n_parts, sizeof(*f->parts), part_order);
    return upload ? RC_OK : take_left_behind(l, f, replaced);
}

/* RC_OK: *out is taken, or NULL: the place is out of date. RC_AGAIN: not now. */
static enum rc take_at(struct ledger *l, unsigned lane, record_place at, struct ledger_file **out)
{
    struct taken *t = mem_alloc(sizeof(*t));
    enum index_state s;

    *out = NULL;
    t->pub.last = at;
    t->pub.lane = lane;
    t->pub.last_class = -1;
    t->pub.state = LEDGER_SENDING;
    enum rc rc = take_chain(l, t);
    if (rc == RC_OK && ledger_motion(l, t->pub.hash))
        rc = RC_AGAIN; /* another path with the same hash is in motion */
    if (rc == RC_OK && index_get(l->index, t->pub.hash, at, &s) && s == INDEX_QUEUED) {
        BUG_ON(!index_move(l->index, t->pub.hash, at, at, INDEX_TAKEN));
        taken_enter(l, t);
        *out = &t->pub;
    } else {
        taken_discard(t);
    }
    return rc;
}

struct loss {
    struct ledger *l;
    record_place at;
};

static bool is_other(void *arg, record_place at, enum index_state s)
{
    const struct loss *loss = arg;

    if (at == loss->at && s == INDEX_HELD)
        queue_drop(loss->l->held, at);
    return at != loss->at;
}

static bool is_gone_too(struct ledger *l, record_place at)
{
    char buf[RECORD_MAX];
    struct record r;

    return ledger_is_gone(journal_read(l->journal, at, buf, &r, NULL)) && !ledger_in_motion(l, at);
}

static bool is_other_or_there(void *arg, record_place at, enum index_state s)
{
    const struct loss *loss = arg;

    if (at == loss->at)
        return false;
    if (s != INDEX_QUEUED || PLACE_SEGMENT(at) != PLACE_SEGMENT(loss->at) ||
        !is_gone_too(loss->l, at))
        return true;
    places_add(loss->l->lost, at);
    return false;
}

static void lose(struct ledger *l, record_place at, enum rc rc,
                 bool (*keep)(void *arg, record_place at, enum index_state s))
{
    struct loss loss = {l, at};
    size_t before = places_count(l->lost);

    index_filter(l->index, keep, &loss);
    log_error("record_unreadable", F_U64("segment", PLACE_SEGMENT(at)),
              F_U64("offset", at & ((1u << RECORD_OFFSET_BITS) - 1)), F_STR("why", rc_name(rc)),
              F_U64("others", places_count(l->lost) - before));
}

void ledger_lose(struct ledger *l, record_place at, enum rc rc)
{
    if (!places_has(l->lost, at))
        lose(l, at, rc, is_other);
}

/* One of a lane, whose turn it was. To look through the index for it takes milliseconds, and of a
 * segment that cannot be opened any more a hundred thousand wait: they all go at once, and those
 * that are still in their lanes are remembered. */
static void lose_queued(struct ledger *l, unsigned lane, record_place at, enum rc rc)
{
    if (!places_remove(l->lost, at))
        lose(l, at, rc, is_other_or_there);
    ledger_lane_leave(l, lane, 0);
}

/* false: stop taking. */
static bool take_popped(struct ledger *l, unsigned lane, record_place at, enum queue_end end,
                        struct ledger_file **out)
{
    enum rc rc = take_at(l, lane, at, out);

    switch (rc) {
    case RC_OK:
        if (*out)
            ((struct taken *)*out)->end = end; /* a ledger_file is its taken */
        return !*out;
    case RC_ABSENT:
    case RC_CORRUPT:
        lose_queued(l, lane, at, rc);
        return true;
    default:
        queue_put_back(l->queue, lane, at, end);
        return false;
    }
}

struct ledger_file *ledger_take(struct ledger *l)
{
    struct ledger_file *f = NULL;
    record_place at;
    unsigned lane;
    enum queue_end end;

    while (queue_take(l->queue, &lane, &at, &end) && take_popped(l, lane, at, end, &f))
        ;
    return f;
}

struct ledger_file *ledger_take_from(struct ledger *l, unsigned lane, bool newest)
{
    struct ledger_file *f = NULL;
    enum queue_end end;
    record_place at;

    while (queue_take_from(l->queue, lane, newest, &at, &end) && take_popped(l, lane, at, end, &f))
        ;
    return f;
}

static void later_end(struct op *op, enum rc rc, record_place at)
{
    struct taken *t = op->file;

    (void)rc; /* nothing was written, nothing can fail */
    (void)at;
    places_add(op->l->delivered, t->pub.last);
    ledger_taken_free(op->l, t);
}

void ledger_retire_later(struct ledger *l, struct ledger_file *f)
{
    static const struct op_type type = {.end = later_end, .silent = true};
    struct taken *t = (struct taken *)f; /* a ledger_file is its taken */
    struct op *op = ledger_op_new(l, &type, NULL, NULL);

    BUG_ON(t->gone || !f->delivered);
    t->gone = true;
    op->file = t;
    ledger_op_submit(op, f->hash, NULL);
}

struct ledger_file *ledger_take_delivered(struct ledger *l)
{
    char buf[RECORD_MAX];
    enum index_state s;
    record_place at;
    struct record r;

    while (places_pop(l->delivered, &at)) {
        enum rc rc = journal_read(l->journal, at, buf, &r, NULL);
        if (rc == RC_OK && r.type != RECORD_DELIVERED)
            rc = RC_CORRUPT;
        if (ledger_is_gone(rc)) {
            ledger_lose(l, at, rc);
            continue;
        }
        if (rc != RC_OK) {
            places_add(l->delivered, at);
            return NULL;
        }
        if (!index_get(l->index, r.hash, at, &s))
            continue;
        if (ledger_motion(l, r.hash)) { /* another path with the same hash */
            places_add(l->delivered, at);
            return NULL;
        }
        struct taken *t = mem_alloc(sizeof(*t));
        take_accepted(t, &r, r.first);
        struct ledger_file *f = &t->pub;
        f->accepted_ns = r.accepted_ns;
        f->first_try_ns = r.first_try_ns;
        f->hash = r.hash;
        f->last = at;
        f->lane = queue_lane(l->queue, r.event_type.p, r.event_type.n);
        f->state = LEDGER_DELIVERED;
        f->attempts = r.attempts;
        f->last_class = -1;
        f->delivered = true;
        f->delivered_ns = r.at_ns;
        memcpy(f->sha256, r.sha256, SHA256_SIZE);
        taken_enter(l, t);
        return f;
    }
    return NULL;
}
