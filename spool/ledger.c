/* The ledger: opening, finding, accepting. The scheme is in ledger_int.h.
 *
 * Invariant: what the index, the lanes and the counters say is what a restart would rebuild from
 * the durable records, except that taken files are queued again.
 */
#include "spool/ledger.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spool/ledger_int.h"

#include <stdlib.h>
#include <string.h>

const char *ledger_state_name(enum ledger_state s)
{
    static const char *const names[LEDGER_STATE_COUNT_] = {
        [LEDGER_ACCEPTED] = "accepted",   [LEDGER_SENDING] = "sending",
        [LEDGER_DEFERRED] = "deferred",   [LEDGER_HELD] = "held",
        [LEDGER_DELIVERED] = "delivered", [LEDGER_FORGOTTEN] = "forgotten",
    };

    BUG_ON((unsigned)s >= LEDGER_STATE_COUNT_);
    return names[s];
}

/* ---- open and close ---- */

static void free_all(struct ledger *l)
{
    for (struct taken *t = l->window, *next; t; t = next) {
        next = t->next;
        ledger_taken_free(l, t);
    }
    BUG_ON(l->n_motions); /* the files were all that could need them */
    free(l->motions);
    free(l->carry.places);
    free(l->lanes);
    ledger_segments_clear(l);
    places_free(l->delivered);
    places_free(l->lost);
    queue_free(l->held);
    queue_free(l->queue);
    index_free(l->index);
    free(l);
}

static void reading(void *arg, size_t nth, size_t of)
{
    const struct ledger_cfg *cfg = &((struct ledger *)arg)->cfg;

    if (cfg->reading)
        cfg->reading(cfg->reading_arg, nth, of);
}

enum rc ledger_open(const struct ledger_cfg *cfg, bool *lost, struct ledger **out, struct err *e)
{
    struct ledger *l = mem_alloc(sizeof(*l));
    struct journal_reader reader = {.record = ledger_replay_record, .segment = reading, .arg = l};

    l->cfg = *cfg;
    l->index = index_new();
    l->queue = queue_new(cfg->priority, cfg->priority_arg);
    l->held = queue_new(NULL, NULL);
    (void)queue_lane(l->held, "", 0); /* its only lane, number 0 */
    l->delivered = places_new();
    l->lost = places_new();
    ledger_replay_begin(l);
    *lost = false;
    enum rc rc = journal_open(&cfg->journal, &reader, lost, &l->journal, e);
    if (rc == RC_OK)
        rc = ledger_replay_settle(l, *lost, e);
    ledger_replay_end(l);
    if (rc != RC_OK) {
        journal_close(l->journal);
        free_all(l);
        return rc;
    }
    *out = l;
    return RC_OK;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    l->closing =
        true; /* ops that stand in line end at once, those appended are told by the journal */
    journal_close(l->journal);
    BUG_ON(l->ops);
    free_all(l);
}

struct queue *ledger_queue(struct ledger *l)
{
    return l->queue;
}

struct journal *ledger_journal(struct ledger *l)
{
    return l->journal;
}

/* ---- small things that all verbs need ---- */

int64_t ledger_now_ns(const struct ledger *l)
{
    const struct journal_cfg *cfg = &l->cfg.journal;

    return cfg->wall_ns ? cfg->wall_ns(cfg->wall_arg) : clock_wall_now_ns();
}

struct record_text ledger_text(const char *s, size_t max)
{
    size_t n = s ? strnlen(s, max + 1) : 0;

    if (n > max)
        for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
            n--;
    return (struct record_text){.p = s, .n = (uint16_t)n};
}

void ledger_copy_text(char *to, size_t size, struct record_text t)
{
    size_t n = t.n < size ? t.n : size - 1;

    if (n)
        memcpy(to, t.p, n);
    to[n] = '\0';
}

uint64_t ledger_hash(const struct ledger *l, const char *path, size_t n)
{
    return keyed_hash(journal_hash_key(l->journal), path, n);
}

int64_t ledger_accepted_ns(const struct record *accepted)
{
    return accepted->accepted_ns ? accepted->accepted_ns : accepted->at_ns;
}

enum rc ledger_read_first(struct ledger *l, record_place at, char *buf, struct record *r,
                          record_place *first, struct err *e)
{
    enum rc rc = journal_read(l->journal, at, buf, r, e);

    *first = at;
    if (rc != RC_OK || r->type == RECORD_ACCEPTED)
        return rc;
    uint64_t hash = r->hash;
    *first = r->first;
    if (r->first == 0 || r->first >= at || (r->first & 7))
        return RC_CORRUPT;
    rc = journal_read(l->journal, *first, buf, r, e);
    if (rc == RC_OK && (r->type != RECORD_ACCEPTED || r->hash != hash))
        rc = RC_CORRUPT;
    return rc;
}

enum rc ledger_entry(struct ledger *l, const struct record_text *path, uint64_t hash,
                     struct entry *out)
{
    char buf[RECORD_MAX];
    uint64_t cursor = 0;
    struct record r;

    /* A candidate whose records are gone is nobody's: then the path is accepted anew. One whose
     * records only cannot be read now may be this path's: then nothing can be said. */
    out->hash = hash;
    while (index_find(l->index, hash, &cursor, &out->at, &out->state)) {
        enum rc rc = ledger_read_first(l, out->at, buf, &r, &out->first, NULL);
        if (rc != RC_OK && !ledger_is_gone(rc))
            return rc;
        if (rc != RC_OK || r.hash != hash || r.path.n != path->n ||
            memcmp(r.path.p, path->p, path->n) != 0)
            continue;
        out->lane = queue_lane(l->queue, r.event_type.p, r.event_type.n);
        out->bytes = r.id.size;
        out->accepted_ns = ledger_accepted_ns(&r);
        return RC_OK;
    }
    return RC_ABSENT;
}

static struct lane_state *lane_state(struct ledger *l, unsigned lane)
{
    if (lane >= l->n_lanes) {
        l->lanes = mem_resize(l->lanes, lane + 1, sizeof(*l->lanes));
        memset(&l->lanes[l->n_lanes], 0, (lane + 1 - l->n_lanes) * sizeof(*l->lanes));
        l->n_lanes = lane + 1;
    }
    return &l->lanes[lane];
}

void ledger_lane_enter(struct ledger *l, unsigned lane, uint64_t bytes)
{
    struct lane_state *s = lane_state(l, lane);

    s->files++;
    s->bytes += bytes;
}

/* Never below 0: after a loss of records the counters may not know what leaves. */
void ledger_lane_leave(struct ledger *l, unsigned lane, uint64_t bytes)
{
    struct lane_state *s = lane_state(l, lane);

    s->files -= s->files > 0;
    s->bytes -= s->bytes < bytes || s->files == 0 ? s->bytes : bytes;
}

bool ledger_lane_has_oldest(const struct ledger *l, unsigned lane)
{
    const struct lane_state *s = &l->lanes[lane];
    enum index_state state;

    return s->oldest.at && index_get(l->index, s->oldest.hash, s->oldest.at, &state) &&
           state == INDEX_QUEUED;
}

void ledger_lane_older(struct ledger *l, unsigned lane, uint64_t hash, record_place at,
                       int64_t accepted_ns)
{
    struct lane_state *s = lane_state(l, lane);
    bool has = ledger_lane_has_oldest(l, lane);

    if (has && s->oldest.accepted_ns <= accepted_ns)
        return;
    s->oldest.looked = has && s->oldest.looked;
    s->oldest.hash = hash;
    s->oldest.at = at;
    s->oldest.accepted_ns = accepted_ns;
}

void ledger_withdraw(struct ledger *l, const struct entry *e)
{
    if (e->state == INDEX_QUEUED)
        queue_drop(l->queue, e->at);
    else if (e->state == INDEX_TAKEN)
        (void)places_remove(l->delivered, e->at);
}

void ledger_restore(struct ledger *l, const struct entry *e)
{
    if (e->state == INDEX_QUEUED) {
        queue_restore(l->queue, e->lane, e->at);
        ledger_lane_older(l, e->lane, e->hash, e->at, e->accepted_ns);
    } else if (e->state == INDEX_TAKEN) {
        places_add(l->delivered, e->at);
    }
}

void ledger_leave(struct ledger *l, const struct entry *e)
{
    if (e->state == INDEX_QUEUED)
        ledger_lane_leave(l, e->lane, e->bytes);
    else if (e->state == INDEX_HELD)
        queue_drop(l->held, e->at);
    ledger_segment_leave(l, e->first);
}

/* ---- finding ---- */

static bool is_of(const struct taken *t, const char *path, size_t n)
{
    return t && t->pub.path_len == n && memcmp(t->pub.path, path, n) == 0;
}

static void view_taken(const struct taken *t, struct ledger_view *out)
{
    *out = (struct ledger_view){
        .state = t->pub.state,
        .first = t->pub.first,
        .last = t->pub.last,
        .id = t->pub.id,
        .accepted_ns = t->pub.accepted_ns,
        .file = t->gone ? NULL : (struct ledger_file *)&t->pub,
        .moving = t->gone,
    };
    ledger_copy_text(out->event_type, sizeof(out->event_type),
                     ledger_text(t->event_type, LEDGER_EVENT_TYPE_MAX));
}

static enum ledger_state state_of(enum index_state s)
{
    switch (s) {
    case INDEX_QUEUED:
        return LEDGER_ACCEPTED;
    case INDEX_HELD:
        return LEDGER_HELD;
    case INDEX_FORGOTTEN:
        return LEDGER_FORGOTTEN;
    case INDEX_TAKEN: /* not in the window: waits in ledger_take_delivered */
    case INDEX_KEPT:
        break;
    }
    return LEDGER_DELIVERED;
}

enum rc ledger_find(struct ledger *l, const char *path, size_t n, struct ledger_view *out)
{
    uint64_t hash = ledger_hash(l, path, n);
    struct motion *m = ledger_motion(l, hash);
    struct record_text p = {.p = path, .n = (uint16_t)n};
    char buf[RECORD_MAX];
    struct entry entry;
    struct record r;

    if (n > RECORD_PATH_MAX)
        return RC_ABSENT;
    if (m && is_of(m->file, path, n)) {
        view_taken(m->file, out);
        return RC_OK;
    }
    enum rc rc = ledger_entry(l, &p, hash, &entry);
    if (rc != RC_OK)
        return rc;
    rc = journal_read(l->journal, entry.first, buf, &r, NULL);
    if (rc != RC_OK)
        return ledger_is_gone(rc) ? RC_ABSENT : rc;
    *out = (struct ledger_view){
        .state = state_of(entry.state),
        .first = entry.first,
        .last = entry.at,
        .id = r.id,
        .accepted_ns = entry.accepted_ns,
        .kept = entry.state == INDEX_KEPT,
        .to_retire = entry.state == INDEX_TAKEN,
        .moving = m != NULL,
    };
    ledger_copy_text(out->event_type, sizeof(out->event_type), r.event_type);
    if ((entry.state == INDEX_HELD || entry.state == INDEX_FORGOTTEN) &&
        journal_read(l->journal, entry.at, buf, &r, NULL) == RC_OK) {
        ledger_copy_text(out->code, sizeof(out->code), r.code);
        ledger_copy_text(out->text, sizeof(out->text), r.text);
    }
    return RC_OK;
}

bool ledger_knows(struct ledger *l, const char *path, size_t n, const struct identity *id)
{
    struct ledger_view view;

    return ledger_find(l, path, n, &view) == RC_OK && (!id || identity_equal(id, &view.id));
}

/* ---- accepting ---- */

static enum rc accept_begin(struct op *op, struct record *r)
{
    struct ledger *l = op->l;

    r->at_ns = ledger_now_ns(l);
    op->lane = queue_lane(l->queue, r->event_type.p, r->event_type.n);
    op->bytes = r->id.size;
    enum rc rc = ledger_entry(l, &r->path, r->hash, &op->entry);
    if (rc != RC_OK && rc != RC_ABSENT)
        return rc; /* it may be in our care, and would be so twice */
    op->had = rc == RC_OK;
    if (op->had) {
        BUG_ON(is_of(op->m->file, r->path.p, r->path.n));
        r->first = op->entry.first;
        r->prev = op->entry.at;
        ledger_withdraw(l, &op->entry);
    }
    return RC_OK;
}

static void accept_end(struct op *op, enum rc rc, record_place at)
{
    struct ledger *l = op->l;

    if (rc != RC_OK) {
        if (op->had)
            ledger_restore(l, &op->entry);
        return;
    }
    if (op->had) {
        ledger_leave(l, &op->entry);
        BUG_ON(!index_move(l->index, op->m->hash, op->entry.at, at, INDEX_QUEUED));
    } else {
        index_add(l->index, op->m->hash, at, INDEX_QUEUED);
    }
    ledger_segment_enter(l, at);
    ledger_lane_enter(l, op->lane, op->bytes);
    queue_push(l->queue, op->lane, at);
}

void ledger_accept(struct ledger *l, const char *path, size_t n, const struct identity *id,
                   const char *event_type, ledger_done *done, void *arg)
{
    static const struct op_type type = {.begin = accept_begin, .end = accept_end};
    uint64_t hash = ledger_hash(l, path, n);
    struct motion *m = ledger_motion(l, hash);

    BUG_ON(n == 0 || n > RECORD_PATH_MAX);
    BUG_ON(m && is_of(m->file, path, n) && !m->file->gone);
    struct record r = {
        .type = RECORD_ACCEPTED,
        .hash = hash,
        .id = *id,
        .path = {.p = path, .n = (uint16_t)n},
        .event_type = ledger_text(event_type, LEDGER_EVENT_TYPE_MAX),
    };
    ledger_op_submit(ledger_op_new(l, &type, done, arg), hash, &r);
}
