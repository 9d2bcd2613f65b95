/* What the ledger tells: pages, histories, counts. Changes nothing (but that a lane's dropped front
 * is taken off, and a number read from the journal is remembered).
 */
#include "spool/ledger_int.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURSOR_SIZE 64
#define PAGE        64
#define LOOK_AT     64

/* ---- cursors ---- */

/* Three numbers in hexadecimal. They come back from strangers: whatever they are, a page is a page.
 */
struct cursor {
    uint64_t lane; /* counts the parts of each */
    uint64_t number, at;
};

static bool cursor_read(const char text[CURSOR_SIZE], struct cursor *c)
{
    uint64_t *const to[] = {&c->lane, &c->number, &c->at};
    const char *p = text;

    *c = (struct cursor){0};
    if (!memchr(text, '\0', CURSOR_SIZE) || !*text)
        return false;
    for (size_t i = 0; i < 3; i++) {
        char *end;
        *to[i] = strtoull(p, &end, 16);
        if (end == p || *end != (i < 2 ? '.' : '\0'))
            return false;
        p = end + 1;
    }
    return true;
}

static void cursor_write(char text[CURSOR_SIZE], const struct cursor *c)
{
    (void)snprintf(text, CURSOR_SIZE, "%" PRIx64 ".%" PRIx64 ".%" PRIx64, c->lane, c->number,
                   c->at);
}

/* ---- rows ---- */

static bool row_read(struct ledger *l, enum ledger_state state, record_place at,
                     struct ledger_row *row)
{
    char buf[RECORD_MAX];
    record_place first;
    struct record r;

    *row = (struct ledger_row){.state = state};
    if (state == LEDGER_HELD || state == LEDGER_FORGOTTEN) {
        if (journal_read(l->journal, at, buf, &r, NULL) != RC_OK)
            return false;
        ledger_copy_text(row->code, sizeof(row->code), r.code);
        ledger_copy_text(row->text, sizeof(row->text), r.text);
    }
    if (ledger_read_first(l, at, buf, &r, &first, NULL) != RC_OK)
        return false;
    ledger_copy_text(row->path, sizeof(row->path), r.path);
    row->dev = r.id.dev;
    row->size = r.id.size;
    row->accepted_ns = ledger_accepted_ns(&r);
    return true;
}

/* ---- lanes ---- */

struct lane_page {
    struct ledger *l;
    struct queue *queue;
    enum ledger_state state;
    struct cursor c; /* number: of the element that comes next, at: of the one visited last */
    struct ledger_row *rows;
    size_t got, n;
    bool more;
    bool exact; /* the place of the cursor was found */
};

static bool page_visit(void *arg, record_place at)
{
    struct lane_page *p = arg;

    if (p->got == p->n) {
        p->more = true;
        return false;
    }
    p->c.number++;
    p->c.at = at;
    if (!queue_is_dropped(p->queue, at) && row_read(p->l, p->state, at, &p->rows[p->got]))
        p->got++;
    return true;
}

static bool look_visit(void *arg, record_place at)
{
    struct lane_page *p = arg;

    p->c.number++;
    p->exact = at == p->c.at;
    return !p->exact;
}

static bool only_visit(void *arg, record_place at)
{
    (void)look_visit(arg, at);
    return false;
}

/* Numbers hold while files come and go at the ends. After a sweep they do not: then the file that
 * was visited last tells where to go on. If that has left, too, it begins at the front again: the
 * places of a lane are in no order that would tell more, and shown twice is better than missed. */
static void lane_resume(struct lane_page *p, const struct deque *d)
{
    uint64_t front = deque_front_number(d);

    p->exact = false;
    p->c.number--;
    deque_each_from(d, p->c.number, only_visit, p);
    if (p->exact)
        return;
    p->c.number = front;
    deque_each(d, look_visit, p);
    if (!p->exact)
        p->c.number = front;
}

static void page_lanes(struct lane_page *p, bool resume)
{
    uint64_t n = (uint64_t)queue_lanes(p->queue) * QUEUE_PARTS;

    for (; p->c.lane < n && !p->more; p->c.lane++) {
        const struct deque *d = queue_deque(p->queue, (unsigned)(p->c.lane / QUEUE_PARTS),
                                            (enum queue_part)(p->c.lane % QUEUE_PARTS));
        if (resume && p->c.at)
            lane_resume(p, d);
        else
            p->c.number = deque_front_number(d);
        resume = false;
        deque_each_from(d, p->c.number, page_visit, p);
        if (p->more)
            return;
        p->c.at = 0;
    }
}

/* ---- the window, and what is kept or forgotten ---- */

static void page_window(struct lane_page *p)
{
    for (struct taken *t = p->l->window; t; t = t->next) {
        if (t->number <= p->c.number || t->pub.state != p->state)
            continue;
        if (p->got == p->n) {
            p->more = true;
            return;
        }
        struct ledger_row *row = &p->rows[p->got++];
        *row = (struct ledger_row){
            .state = p->state,
            .dev = t->pub.id.dev,
            .size = t->pub.id.size,
            .accepted_ns = t->pub.accepted_ns,
        };
        ledger_copy_text(row->path, sizeof(row->path), ledger_text(t->pub.path, RECORD_PATH_MAX));
        ledger_copy_text(row->code, sizeof(row->code), ledger_text(t->pub.why.code, 63));
        ledger_copy_text(row->text, sizeof(row->text), ledger_text(t->pub.why.text, 255));
        p->c.number = t->number;
    }
}

static void page_index(struct lane_page *p, enum index_state wanted)
{
    enum index_state states[PAGE];
    record_place places[PAGE];
    size_t n = 1;

    while (p->got < p->n && n > 0) {
        size_t want = p->n - p->got < PAGE ? p->n - p->got : PAGE;
        n = index_page(p->l->index, &p->c.number, places, states, want);
        for (size_t i = 0; i < n; i++)
            if (states[i] == wanted && row_read(p->l, p->state, places[i], &p->rows[p->got]))
                p->got++;
    }
    p->more = n > 0;
}

size_t ledger_page(struct ledger *l, enum ledger_state state, char cursor[64],
                   struct ledger_row *rows, size_t n)
{
    struct lane_page p = {.l = l, .state = state, .rows = rows, .n = n};
    bool resume = cursor_read(cursor, &p.c);

    cursor[0] = '\0';
    if (n == 0)
        return 0;
    switch (state) {
    case LEDGER_ACCEPTED:
        p.queue = l->queue;
        page_lanes(&p, resume);
        break;
    case LEDGER_HELD:
        p.queue = l->held;
        page_lanes(&p, resume);
        break;
    case LEDGER_SENDING:
    case LEDGER_DEFERRED:
        page_window(&p);
        break;
    case LEDGER_DELIVERED:
        page_index(&p, INDEX_KEPT);
        break;
    case LEDGER_FORGOTTEN:
        page_index(&p, INDEX_FORGOTTEN);
        break;
    case LEDGER_STATE_COUNT_:
        BUG_ON(true);
    }
    if (p.more)
        cursor_write(cursor, &p.c);
    return p.got;
}

size_t ledger_history(struct ledger *l, record_place last, struct ledger_history *rows, size_t n)
{
    char buf[RECORD_MAX];
    size_t got = 0;
    struct record r;

    /* Each step leads to an older place, so it ends whatever the records say. */
    for (record_place at = last; at && got < n; at = r.prev < at ? r.prev : 0) {
        if (journal_read(l->journal, at, buf, &r, NULL) != RC_OK)
            break;
        struct ledger_history *row = &rows[got++];
        *row = (struct ledger_history){
            .type = r.type,
            .at_ns = r.at_ns,
            .http_status = r.http_status,
            .flags = r.flags,
            .answer_class = r.answer_class,
            .attempts = r.attempts,
        };
        ledger_copy_text(row->code, sizeof(row->code), r.code);
        ledger_copy_text(row->text, sizeof(row->text), r.text);
    }
    return got;
}

size_t ledger_sending(const struct ledger *l, const struct ledger_file **out, size_t n)
{
    size_t got = 0;
    for (const struct taken *t = l->window; t; t = t->next) {
        size_t at = got;
        if (t->pub.state != LEDGER_SENDING || n == 0)
            continue;
        while (at > 0 && out[at - 1]->id.size < t->pub.id.size)
            at--;
        if (at == n)
            continue;
        got += got < n;
        memmove(&out[at + 1], &out[at], (got - 1 - at) * sizeof(*out));
        out[at] = &t->pub;
    }
    return got;
}

/* ---- counts ---- */

struct look {
    struct ledger *l;
    unsigned lane, left;
};

static bool look_for_older(void *arg, record_place at)
{
    struct look *look = arg;
    struct ledger *l = look->l;
    char buf[RECORD_MAX];
    enum index_state s;
    record_place first;
    struct record r;

    if (queue_is_dropped(l->queue, at))
        return true;
    if (ledger_read_first(l, at, buf, &r, &first, NULL) == RC_OK &&
        index_get(l->index, r.hash, at, &s) && s == INDEX_QUEUED)
        ledger_lane_older(l, look->lane, r.hash, at, ledger_accepted_ns(&r));
    return --look->left > 0;
}

/* Each part of a lane is in order of age but for what was put back or released by name in another
 * order, so when the oldest has left the next one is among those at the fronts.
 * KNOWN: of more than LOOK_AT files that were released one by one, and not in order of age, it may
 * be further behind; then a younger one counts as the oldest until its turn comes. */
static int64_t oldest_queued(struct ledger *l, unsigned lane)
{
    struct lane_state *s = &l->lanes[lane];
    record_place at;

    if (!ledger_lane_has_oldest(l, lane) || !s->oldest.looked) {
        for (enum queue_part part = 0; part < QUEUE_PARTS; part++) {
            struct look look = {.l = l, .lane = lane, .left = LOOK_AT};
            if (queue_front(l->queue, lane, part, &at)) /* so the dropped ones there are off */
                deque_each(queue_deque(l->queue, lane, part), look_for_older, &look);
        }
        s->oldest.looked = true;
    }
    return ledger_lane_has_oldest(l, lane) ? s->oldest.accepted_ns : INT64_MAX;
}

void ledger_lane_counts(struct ledger *l, unsigned lane, struct ledger_lane_counts *out)
{
    *out = (struct ledger_lane_counts){.oldest_ns = INT64_MAX};
    if (lane >= l->n_lanes)
        return;
    out->files = l->lanes[lane].files;
    out->bytes = l->lanes[lane].bytes;
    out->oldest_ns = oldest_queued(l, lane);
    for (const struct taken *t = l->window; t; t = t->next)
        if (t->pub.lane == lane && !t->pub.delivered && t->pub.accepted_ns < out->oldest_ns)
            out->oldest_ns = t->pub.accepted_ns;
}

uint64_t ledger_count(const struct ledger *l, enum ledger_state state)
{
    uint64_t in_window[LEDGER_STATE_COUNT_] = {0};

    for (const struct taken *t = l->window; t; t = t->next)
        in_window[t->pub.state]++;
    switch (state) {
    case LEDGER_ACCEPTED:
        return index_count(l->index, INDEX_QUEUED);
    case LEDGER_HELD:
        return index_count(l->index, INDEX_HELD);
    case LEDGER_FORGOTTEN:
        return index_count(l->index, INDEX_FORGOTTEN);
    case LEDGER_DELIVERED: /* those that a restart left, too */
        return index_count(l->index, INDEX_KEPT) + index_count(l->index, INDEX_TAKEN) -
               in_window[LEDGER_SENDING] - in_window[LEDGER_DEFERRED];
    default:
        return in_window[state];
    }
}

size_t ledger_memory(const struct ledger *l)
{
    size_t bytes = sizeof(*l) + index_memory(l->index) + queue_memory(l->queue) +
                   queue_memory(l->held) + places_memory(l->delivered) + places_memory(l->lost) +
                   l->n_lanes * sizeof(*l->lanes) + ledger_segments_memory(l) +
                   l->motion_buckets * sizeof(struct motion *) +
                   l->n_motions * sizeof(struct motion) + l->ops * sizeof(struct op);

    for (const struct taken *t = l->window; t; t = t->next)
        bytes += sizeof(*t) + t->pub.path_len + t->pub.n_parts * sizeof(struct ledger_part);
    return bytes;
}
