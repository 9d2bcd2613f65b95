/* Replay: from the journal's records, oldest first, to the state that they left (ledger_int.h,
 * schemes 3 to 5).
 *
 * Nothing can be read from the journal while it is being opened, and most records do not say what
 * lane and size their file had. So what a record does not tell is written down in a few bytes and
 * settled at the end, in the order of the records. P4: whatever the records say, replay ends with a
 * usable ledger; what does not fit together is left out, and the next scan finds the file.
 *
 * KNOWN: settling reads two records for each file that waits behind an ATTEMPT, PART or RELEASED,
 * and holds 48 bytes for it meanwhile. A million files that were all released just before a restart
 * cost it some seconds and 48 MB.
 */
#include "spool/ledger_int.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct replay {
    uint32_t oldest;         /* segment of the first record; 0: none yet */
    struct places *unplaced; /* queued files whose latest record does not say the lane */
    struct deque *doubts;    /* records whose prev is not known */
    struct deque *owed;      /* firsts of files that left their lane, not yet counted */
    struct deque *refunds;   /* firsts of files that came back into it */
};

void ledger_replay_begin(struct ledger *l)
{
    struct replay *p = mem_alloc(sizeof(*p));

    p->unplaced = places_new();
    p->doubts = deque_new();
    p->owed = deque_new();
    p->refunds = deque_new();
    l->replay = p;
}

void ledger_replay_end(struct ledger *l)
{
    struct replay *p = l->replay;

    places_free(p->unplaced);
    deque_free(p->doubts);
    deque_free(p->owed);
    deque_free(p->refunds);
    free(p);
    l->replay = NULL;
}

/* The entry in this state no longer lies at this place. */
static void leave_place(struct ledger *l, enum index_state s, record_place at)
{
    if (s == INDEX_QUEUED && !places_remove(l->replay->unplaced, at))
        queue_drop(l->queue, at);
    else if (s == INDEX_HELD)
        queue_drop(l->held, at);
    else if (s == INDEX_TAKEN)
        (void)places_remove(l->delivered, at);
}

static void end_entry(struct ledger *l, enum index_state s, record_place at, record_place first)
{
    leave_place(l, s, at);
    if (s == INDEX_QUEUED)
        deque_push_back(l->replay->owed, first);
    ledger_segment_leave(l, first);
}

/* Is this place one that an earlier record of what was replayed could have? Numbers from disk. */
static bool is_replayed(const struct replay *p, record_place place, record_place at)
{
    return place < at && (place & 7) == 0 && PLACE_SEGMENT(place) >= p->oldest;
}

static void accepted(struct ledger *l, record_place at, const struct record *r)
{
    struct replay *p = l->replay;
    bool carried = r->accepted_ns != 0 && r->accepted_ns != r->at_ns;
    enum index_state old, s = r->flags & RECORD_CARRIED_HELD        ? INDEX_HELD
                              : r->flags & RECORD_CARRIED_FORGOTTEN ? INDEX_FORGOTTEN
                              : r->flags & RECORD_KEPT              ? INDEX_KEPT
                                                                    : INDEX_QUEUED;

    if (r->prev && is_replayed(p, r->first, at) && index_get(l->index, r->hash, r->prev, &old)) {
        end_entry(l, old, r->prev, r->first);
        BUG_ON(!index_move(l->index, r->hash, r->prev, at, s));
    } else {
        index_add(l->index, r->hash, at, s);
        if (r->prev && is_replayed(p, r->prev, at))
            deque_push_back(p->doubts, at);
    }
    ledger_segment_enter(l, at);
    /* Those carried over are written from the newest to the oldest: ledger_compact. */
    if (s == INDEX_QUEUED) {
        unsigned lane = queue_lane(l->queue, r->event_type.p, r->event_type.n);
        ledger_lane_enter(l, lane, r->id.size);
        (carried ? queue_push_again : queue_push)(l->queue, lane, at);
    } else if (s == INDEX_HELD) {
        queue_push_again(l->held, 0, at);
    }
}

/* What a record makes of an entry; false: its end. */
static bool state_after(const struct record *r, enum index_state *s)
{
    switch (r->type) {
    case RECORD_HELD:
        *s = INDEX_HELD;
        return true;
    case RECORD_RELEASED:
        *s = INDEX_QUEUED;
        return true;
    case RECORD_DELIVERED:
        *s = INDEX_TAKEN;
        return true;
    case RECORD_RETIRED:
        *s = INDEX_KEPT;
        return r->flags & RECORD_KEPT;
    case RECORD_FORGOTTEN:
        *s = INDEX_FORGOTTEN;
        return r->flags & RECORD_KEPT;
    default:
        return true; /* ATTEMPT, PART: as it was */
    }
}

static void move_entry(struct ledger *l, record_place at, const struct record *r, record_place from,
                       enum index_state old)
{
    struct replay *p = l->replay;
    enum index_state s = old;

    if (!state_after(r, &s)) {
        end_entry(l, old, from, r->first);
        BUG_ON(!index_remove(l->index, r->hash, from));
        return;
    }
    leave_place(l, old, from);
    if (old == INDEX_QUEUED && s != INDEX_QUEUED) {
        if (r->type == RECORD_DELIVERED)
            ledger_lane_leave(l, queue_lane(l->queue, r->event_type.p, r->event_type.n),
                              r->id.size);
        else
            deque_push_back(p->owed, r->first);
    }
    if (old != INDEX_QUEUED && s == INDEX_QUEUED)
        deque_push_back(p->refunds, r->first);
    BUG_ON(!index_move(l->index, r->hash, from, at, s));
    if (s == INDEX_QUEUED)
        places_add(p->unplaced, at);
    else if (s == INDEX_TAKEN)
        places_add(l->delivered, at);
    else
        ledger_segment_stray(l, r->first, at);
    if (s == INDEX_HELD)
        queue_push(l->held, 0, at);
}

enum rc ledger_replay_record(void *ledger, record_place at, const struct record *r)
{
    struct ledger *l = ledger;
    struct replay *p = l->replay;
    enum index_state old;

    if (p->oldest == 0)
        p->oldest = PLACE_SEGMENT(at);
    if (r->type == RECORD_ACCEPTED)
        accepted(l, at, r);
    else if (r->type == RECORD_REJECTED || !is_replayed(p, r->first, at))
        return RC_OK;
    else if (index_get(l->index, r->hash, r->prev, &old))
        move_entry(l, at, r, r->prev, old);
    else
        deque_push_back(p->doubts, at);
    return RC_OK;
}

/* ---- settling ---- */

/* What is gone is nobody's. What only cannot be read now (descriptors, memory) may be somebody's
 * who is held or forgotten, and would be sent: then the ledger is not opened, and the next start is
 * a moment away. */

/* Entries of the path of this ACCEPTED that are older than it were replaced by it, or by what
 * replaced it. */
static enum rc settle_accepted(struct ledger *l, record_place at, const struct record *r,
                               struct err *e)
{
    char buf[RECORD_MAX];
    uint64_t cursor = 0;
    record_place candidate, first;
    enum index_state s;
    struct record other;

    while (index_find(l->index, r->hash, &cursor, &candidate, &s)) {
        enum rc rc = ledger_read_first(l, candidate, buf, &other, &first, e);
        if (rc != RC_OK && !ledger_is_gone(rc))
            return rc;
        if (rc != RC_OK || first >= at || other.hash != r->hash || other.path.n != r->path.n ||
            memcmp(other.path.p, r->path.p, r->path.n) != 0)
            continue;
        end_entry(l, s, candidate, first);
        BUG_ON(!index_remove(l->index, r->hash, candidate));
        cursor = 0;
    }
    return RC_OK;
}

static enum rc settle_change(struct ledger *l, record_place at, const struct record *r,
                             struct err *e)
{
    char buf[RECORD_MAX];
    uint64_t cursor = 0;
    record_place candidate, first;
    enum index_state s;
    struct record other;

    while (index_find(l->index, r->hash, &cursor, &candidate, &s)) {
        if (candidate >= at)
            continue;
        enum rc rc = ledger_read_first(l, candidate, buf, &other, &first, e);
        if (rc != RC_OK && !ledger_is_gone(rc))
            return rc;
        if (rc == RC_OK && first == r->first && other.hash == r->hash) {
            move_entry(l, at, r, candidate, s);
            break;
        }
    }
    return RC_OK;
}

static enum rc settle_doubts(struct ledger *l, struct err *e)
{
    char buf[RECORD_MAX];
    record_place at;
    struct record r;

    while (deque_pop_front(l->replay->doubts, &at)) {
        enum rc rc = journal_read(l->journal, at, buf, &r, e);
        if (rc == RC_OK)
            rc = r.type == RECORD_ACCEPTED ? settle_accepted(l, at, &r, e)
                                           : settle_change(l, at, &r, e);
        if (rc != RC_OK && !ledger_is_gone(rc))
            return rc;
    }
    return RC_OK;
}

struct unplaced {
    record_place at, first;
    int64_t accepted_ns;
    unsigned lane;
};

static int by_place(const void *a, const void *b)
{
    const struct unplaced *x = a, *y = b;

    return (x->at > y->at) - (x->at < y->at);
}

/* Those that were carried over lie behind what is younger. */
static int oldest_first(const void *a, const void *b)
{
    const struct unplaced *x = a, *y = b;

    if (x->accepted_ns != y->accepted_ns)
        return x->accepted_ns < y->accepted_ns ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* They had their turn already or were released, so they go before what still waits; but some were
 * taken as the newest, and are not older than it. */
static enum rc settle_unplaced(struct ledger *l, struct err *e)
{
    struct places *set = l->replay->unplaced;
    size_t count = places_count(set), n = 0, kept = 0;
    char buf[RECORD_MAX];
    struct record r;

    if (count == 0)
        return RC_OK;
    struct unplaced *all = mem_alloc(count * sizeof(*all));
    while (places_pop(set, &all[n].at))
        if (++n == count)
            break;
    qsort(all, n, sizeof(*all), by_place); /* read in the order in which they lie */
    for (size_t i = 0; i < n; i++) {
        struct unplaced *u = &all[i];
        enum rc rc = ledger_read_first(l, u->at, buf, &r, &u->first, e);
        if (rc != RC_OK && !ledger_is_gone(rc)) {
            free(all);
            return rc;
        }
        if (rc != RC_OK) {
            ledger_lose(l, u->at, rc);
            continue;
        }
        u->accepted_ns = ledger_accepted_ns(&r);
        u->lane = queue_lane(l->queue, r.event_type.p, r.event_type.n);
        all[kept++] = *u;
    }
    qsort(all, kept, sizeof(*all), oldest_first);
    for (size_t i = 0; i < kept; i++) {
        queue_push_early(l->queue, all[i].lane, all[i].at);
        ledger_segment_stray(l, all[i].first, all[i].at);
    }
    free(all);
    return RC_OK;
}

static enum rc settle_counts(struct ledger *l, struct deque *firsts,
                             void (*count)(struct ledger *l, unsigned lane, uint64_t bytes),
                             struct err *e)
{
    char buf[RECORD_MAX];
    record_place first;
    struct record r;

    while (deque_pop_front(firsts, &first)) {
        enum rc rc = journal_read(l->journal, first, buf, &r, e);
        if (rc != RC_OK && !ledger_is_gone(rc))
            return rc;
        if (rc == RC_OK && r.type == RECORD_ACCEPTED)
            count(l, queue_lane(l->queue, r.event_type.p, r.event_type.n), r.id.size);
    }
    return RC_OK;
}

struct sifting {
    struct ledger *l;
    enum rc rc; /* the first failure that may pass: why in e */
    struct err *e;
};

/* Whether the entry's records are there; then it is counted anew. */
static bool keep_readable(void *arg, record_place at, enum index_state s)
{
    struct sifting *sifting = arg;
    struct ledger *l = sifting->l;
    char buf[RECORD_MAX];
    record_place first;
    struct record r;

    if (sifting->rc != RC_OK)
        return true;
    enum rc rc = ledger_read_first(l, at, buf, &r, &first, sifting->e);
    if (rc != RC_OK && !ledger_is_gone(rc)) {
        sifting->rc = rc;
        return true;
    }
    if (rc != RC_OK) {
        leave_place(l, s, at);
        return false;
    }
    ledger_segment_enter(l, first);
    if (s == INDEX_QUEUED)
        ledger_lane_enter(l, queue_lane(l->queue, r.event_type.p, r.event_type.n), r.id.size);
    else if (s != INDEX_TAKEN)
        ledger_segment_stray(l, first, at);
    return true;
}

static enum rc settle_loss(struct ledger *l, struct err *e)
{
    struct sifting sifting = {.l = l, .e = e};

    if (l->n_lanes)
        memset(l->lanes, 0, l->n_lanes * sizeof(*l->lanes));
    ledger_segments_clear(l);
    index_filter(l->index, keep_readable, &sifting);
    return sifting.rc;
}

enum rc ledger_replay_settle(struct ledger *l, bool lost, struct err *e)
{
    enum rc rc = settle_doubts(l, e);

    if (rc == RC_OK)
        rc = settle_counts(l, l->replay->refunds, ledger_lane_enter, e);
    if (rc == RC_OK)
        rc = settle_counts(l, l->replay->owed, ledger_lane_leave, e);
    if (rc == RC_OK && lost)
        rc = settle_loss(l, e);
    if (rc == RC_OK)
        rc = settle_unplaced(l, e);
    return rc;
}
