/* Giving up old segments: the oldest goes once its receipts are old enough and no live file began
 * in it. Files that did are carried over: accepted once more, in the newest segment, as they are.
 *
 * Invariant (crash-safe at each step): the new ACCEPTED names the record it replaces, so before the
 * drop replay finds both and ends the old one, and after it only the new one is left. A segment is
 * dropped only when its count of live files is 0, which a carried-over file leaves when durable.
 *
 * KNOWN: what is carried over goes to the front of its lane, segment by segment, so among files
 * that waited longer than receipts are kept those of the later segment are served first. A
 * carried-over file's multipart upload begins anew, at the next start if it was taken; its older
 * records are no longer shown by `why`.
 * A record of a time to come (the clock was wrong) keeps its segment and the newer ones until then.
 */
#include "spool/ledger_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CARRY_MAX  1000 /* files a call: some milliseconds, and a bounded burst for the journal */
#define STRAYS_MIN 1024
#define PAGE       512

/* ---- live files by segment ---- */

static struct segment *segment_find(struct ledger *l, uint32_t number, size_t *at)
{
    size_t low = 0, high = l->n_segments;

    if (high && l->segments[high - 1].number <= number) /* mostly the newest */
        low = high - (l->segments[high - 1].number == number);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->segments[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    *at = low;
    return low < l->n_segments && l->segments[low].number == number ? &l->segments[low] : NULL;
}

void ledger_segment_enter(struct ledger *l, record_place first)
{
    size_t at;
    struct segment *s = segment_find(l, PLACE_SEGMENT(first), &at);

    if (!s) {
        l->segments = mem_resize(l->segments, l->n_segments + 1, sizeof(*l->segments));
        s = &l->segments[at];
        memmove(s + 1, s, (l->n_segments++ - at) * sizeof(*s));
        *s = (struct segment){.number = PLACE_SEGMENT(first)};
    }
    s->live++;
}

void ledger_segment_leave(struct ledger *l, record_place first)
{
    size_t at;
    struct segment *s = segment_find(l, PLACE_SEGMENT(first), &at);

    if (!s)
        return;
    s->live -= s->live > 0;
    if (s->live == 0) {
        deque_free(s->strays);
        s->strays = NULL;
    }
}

/* One that cannot be read now may be. */
static bool is_current(void *arg, record_place at)
{
    struct ledger *l = arg;
    char buf[RECORD_MAX];
    enum index_state s;
    struct record r;

    enum rc rc = journal_read(l->journal, at, buf, &r, NULL);
    if (ledger_is_gone(rc) && !ledger_in_motion(l, at)) {
        ledger_lose(l, at, rc);
        return false;
    }
    return rc != RC_OK || index_get(l->index, r.hash, at, &s);
}

/* Out-of-date ones are not looked for but swept out when they may be the greater part; that takes
 * reading, so not while the journal is being opened. */
void ledger_segment_stray(struct ledger *l, record_place first, record_place at)
{
    size_t where;
    struct segment *s = segment_find(l, PLACE_SEGMENT(first), &where);

    if (!s || PLACE_SEGMENT(at) == s->number)
        return;
    if (!s->strays)
        s->strays = deque_new();
    deque_push_back(s->strays, at);
    if (!l->replay && deque_count(s->strays) > STRAYS_MIN + 2 * (size_t)s->live)
        deque_filter(s->strays, is_current, l);
}

void ledger_segments_clear(struct ledger *l)
{
    for (size_t i = 0; i < l->n_segments; i++)
        deque_free(l->segments[i].strays);
    free(l->segments);
    l->segments = NULL;
    l->n_segments = 0;
}

size_t ledger_segments_memory(const struct ledger *l)
{
    size_t bytes = l->n_segments * sizeof(*l->segments);

    for (size_t i = 0; i < l->n_segments; i++)
        if (l->segments[i].strays)
            bytes += deque_memory(l->segments[i].strays);
    return bytes;
}

/* ---- carrying over ---- */

static enum rc carry_begin(struct op *op, struct record *r)
{
    struct ledger *l = op->l;

    r->at_ns = ledger_now_ns(l);
    r->first = op->entry.first;
    r->prev = op->entry.at;
    r->accepted_ns = op->entry.accepted_ns;
    ledger_withdraw(l, &op->entry);
    return RC_OK;
}

static void carry_end(struct op *op, enum rc rc, record_place at)
{
    struct ledger *l = op->l;
    const struct entry *e = &op->entry;

    l->carry.outstanding--;
    if (rc != RC_OK) {
        l->carry.failed = true;
        ledger_restore(l, e);
        return;
    }
    BUG_ON(!index_move(l->index, op->m->hash, e->at, at, e->state));
    if (e->state == INDEX_QUEUED) {
        queue_push_again(l->queue, e->lane, at);
        ledger_lane_older(l, e->lane, e->hash, at, e->accepted_ns);
    } else if (e->state == INDEX_HELD) {
        queue_drop(l->held, e->at);
        queue_push_again(l->held, 0, at);
    }
    ledger_segment_leave(l, e->first);
    ledger_segment_enter(l, at);
}

/* The file whose latest record is at, if it is not in use. */
static void carry(struct ledger *l, record_place at)
{
    static const struct op_type type = {.begin = carry_begin, .end = carry_end};
    char buf[RECORD_MAX], latest_buf[RECORD_MAX];
    struct entry e = {.at = at};
    struct record r, latest;

    enum rc rc = journal_read(l->journal, at, latest_buf, &latest, NULL);
    if (rc == RC_OK)
        rc = ledger_read_first(l, at, buf, &r, &e.first, NULL);
    if (ledger_is_gone(rc) && !ledger_in_motion(l, at))
        ledger_lose(l, at, rc);
    if (rc != RC_OK || !index_get(l->index, r.hash, at, &e.state) || e.state == INDEX_TAKEN ||
        ledger_motion(l, r.hash) || PLACE_SEGMENT(e.first) != l->carry.segment)
        return;
    e.hash = r.hash;
    e.lane = queue_lane(l->queue, r.event_type.p, r.event_type.n);
    e.bytes = r.id.size;
    e.accepted_ns = ledger_accepted_ns(&r);
    r.flags = e.state == INDEX_HELD        ? RECORD_CARRIED_HELD
              : e.state == INDEX_FORGOTTEN ? RECORD_CARRIED_FORGOTTEN
              : e.state == INDEX_KEPT      ? RECORD_KEPT
                                           : 0;
    r.code = r.text = (struct record_text){0};
    if (e.state == INDEX_HELD || e.state == INDEX_FORGOTTEN) {
        r.code = latest.code;
        r.text = latest.text;
    }
    struct op *op = ledger_op_new(l, &type, NULL, NULL);
    op->entry = e;
    l->carry.outstanding++;
    ledger_op_submit(op, r.hash, &r);
}

static enum rc carry_deferred_begin(struct op *op, struct record *r)
{
    r->at_ns = ledger_now_ns(op->l);
    r->first = op->file->pub.first;
    r->prev = op->file->pub.last;
    return RC_OK;
}

static void carry_deferred_end(struct op *op, enum rc rc, record_place at)
{
    struct ledger_file *f = &op->file->pub;
    struct ledger *l = op->l;

    l->carry.outstanding--;
    if (rc != RC_OK) {
        l->carry.failed = true;
        return;
    }
    BUG_ON(!index_move(l->index, f->hash, f->last, at, INDEX_TAKEN));
    ledger_segment_leave(l, f->first);
    ledger_segment_enter(l, at);
    f->first = f->last = at;
    f->last_class = -1; /* its ATTEMPT goes with the segment: the next one writes another */
}

/* One that fails for ever waits for its next try as long, and must not keep the segments as long.
 * It stays taken: were it put back for this, it would be tried again at once. Those that are being
 * sent come to an end by themselves. */
static void carry_deferred(struct ledger *l, uint32_t segment)
{
    static const struct op_type type = {.begin = carry_deferred_begin, .end = carry_deferred_end};

    for (struct taken *t = l->window; t; t = t->next) {
        const struct ledger_file *f = &t->pub;
        if (f->state != LEDGER_DEFERRED || t->gone || t->m->running ||
            PLACE_SEGMENT(f->first) != segment)
            continue;
        const struct record r = {
            .type = RECORD_ACCEPTED,
            .hash = f->hash,
            .id = f->id,
            .accepted_ns = f->accepted_ns,
            .path = {.p = f->path, .n = (uint16_t)f->path_len},
            .event_type = ledger_text(t->event_type, LEDGER_EVENT_TYPE_MAX),
        };
        struct op *op = ledger_op_new(l, &type, NULL, NULL);
        op->file = t;
        l->carry.outstanding++;
        ledger_op_submit(op, f->hash, &r);
    }
}

static int ascending(const void *a, const void *b)
{
    const record_place *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool add_place(void *arg, record_place at)
{
    struct ledger *l = arg;

    if ((l->carry.n & (l->carry.n - 1)) == 0)
        l->carry.places =
            mem_resize(l->carry.places, l->carry.n ? l->carry.n * 2 : 1, sizeof(*l->carry.places));
    l->carry.places[l->carry.n++] = at;
    return true;
}

/* All that may have begun in the segment. What lies in it did: it is the oldest. */
static void collect(struct ledger *l, const struct segment *s)
{
    enum index_state states[PAGE];
    record_place places[PAGE];
    uint64_t cursor = 0;
    size_t n, kept = 0;

    while ((n = index_page(l->index, &cursor, places, states, PAGE)) > 0)
        for (size_t i = 0; i < n; i++)
            if (PLACE_SEGMENT(places[i]) == s->number)
                (void)add_place(l, places[i]);
    if (s->strays) {
        deque_filter(s->strays, is_current, l);
        deque_each(s->strays, add_place, l);
    }
    if (l->carry.n)
        qsort(l->carry.places, l->carry.n, sizeof(*l->carry.places), ascending);
    for (size_t i = 0; i < l->carry.n; i++)
        if (i == 0 || l->carry.places[i] != l->carry.places[i - 1])
            l->carry.places[kept++] = l->carry.places[i];
    l->carry.n = kept;
}

struct look {
    struct ledger *l;
    uint32_t segment;
};

static bool began_elsewhere(void *arg, record_place at)
{
    const struct look *look = arg;
    char buf[RECORD_MAX];
    struct record r;

    enum rc rc = journal_read(look->l->journal, at, buf, &r, NULL);
    return ledger_is_gone(rc) || (rc == RC_OK && PLACE_SEGMENT(r.first) != look->segment);
}

/* Did a file begin in the segment that collect may not meet: taken, about to change, delivered? */
static bool is_used(struct ledger *l, uint32_t segment)
{
    enum { READ_MAX = 1000 }; /* of more delivered ones some are taken for such */
    struct look look = {l, segment};

    for (const struct taken *t = l->window; t; t = t->next)
        if (PLACE_SEGMENT(t->pub.first) == segment)
            return true;
    for (size_t i = 0; i < l->motion_buckets; i++)
        for (const struct motion *m = l->motions[i]; m; m = m->next)
            if (m->running && PLACE_SEGMENT(m->running->entry.first) == segment)
                return true;
    return places_count(l->delivered) > READ_MAX ||
           !places_each(l->delivered, began_elsewhere, &look);
}

static void carry_reset(struct ledger *l, uint32_t segment)
{
    free(l->carry.places);
    l->carry.places = NULL;
    l->carry.n = 0;
    l->carry.segment = segment;
}

static bool drop(struct ledger *l, uint32_t number)
{
    struct err e = {0};
    size_t at;

    carry_reset(l, 0);
    if (journal_drop_oldest(l->journal, &e) != RC_OK) {
        log_warning("segment_not_removed", F_U64("segment", number), F_STR("why", e.text));
        return false;
    }
    struct segment *s = segment_find(l, number, &at);
    if (s) {
        deque_free(s->strays);
        memmove(s, s + 1, (--l->n_segments - at) * sizeof(*s));
    }
    log_info("segment_removed", F_U64("segment", number));
    return true;
}

bool ledger_compact(struct ledger *l, int64_t now_ns)
{
    uint32_t number;
    int64_t newest_ns;
    size_t at;

    if (l->carry.outstanding)
        return true;
    bool failed = l->carry.failed;
    l->carry.failed = false;
    if (l->closing || failed || journal_oldest(l->journal, &number, &newest_ns) != RC_OK ||
        newest_ns > now_ns ||
        (uint64_t)(now_ns - newest_ns) / CLOCK_NS_PER_MS < l->cfg.receipts_keep_ms)
        return false;
    struct segment *s = segment_find(l, number, &at);
    if (!s || s->live == 0)
        return drop(l, number);
    if (l->carry.segment != number)
        carry_reset(l, number);
    if (l->carry.n == 0) {
        collect(l, s);
        /* A count above what is there (records were lost) would keep the segment for ever. */
        if (l->carry.n == 0 && !is_used(l, number)) {
            log_warning("segment_count_mended", F_U64("segment", number), F_U64("live", s->live));
            s->live = 0;
            return true;
        }
    }
    /* From the newest to the oldest, each put before the others of its lane: their order stays. */
    for (size_t i = 0; i < CARRY_MAX && l->carry.n; i++)
        carry(l, l->carry.places[--l->carry.n]);
    if (l->carry.n == 0)
        carry_deferred(l, number);
    return l->carry.n > 0 || l->carry.outstanding > 0;
}
