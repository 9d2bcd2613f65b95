/* The queue: smooth weighted round robin over lanes (as in nginx: every turn each ready lane gains
 * its weight, the richest is served and pays what all gained together), so that turns of a heavy
 * lane are spread out rather than in a row.
 *
 * Lanes that are empty or paused gain nothing: they neither save up nor owe when they come back.
 * The turn costs a look at every lane; there are as many as there are event types, a dozen or so.
 */
#include "spool/queue.h"

#include "base/mem.h"
#include "spool/places.h"

#include <stdlib.h>
#include <string.h>

#define LANES_MAX    4096
#define PRIORITY_MAX 100
#define NEWEST_EVERY 4
#define DROPPED_MIN  4096

struct lane {
    char *name;
    struct deque *files[QUEUE_PARTS];
    char *paused; /* why, or NULL */
    int64_t credit;
    unsigned weight;
    unsigned turns;
};

struct queue {
    unsigned (*priority)(void *arg, const char *event_type);
    void *arg;
    struct lane *lanes;
    unsigned n_lanes;
    unsigned last_asked; /* lane of the last queue_lane: files of one type come in rows */
    size_t total;        /* in all deques, dropped ones included */
    struct places *dropped;
};

struct queue *queue_new(unsigned (*priority)(void *arg, const char *event_type), void *arg)
{
    struct queue *q = mem_alloc(sizeof(*q));

    q->priority = priority;
    q->arg = arg;
    q->dropped = places_new();
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    for (unsigned i = 0; i < q->n_lanes; i++) {
        for (int part = 0; part < QUEUE_PARTS; part++)
            deque_free(q->lanes[i].files[part]);
        free(q->lanes[i].name);
        free(q->lanes[i].paused);
    }
    places_free(q->dropped);
    free(q->lanes);
    free(q);
}

static bool lane_is(const struct lane *l, const char *event_type, size_t n)
{
    return strlen(l->name) == n && memcmp(l->name, event_type, n) == 0;
}

static void weigh(const struct queue *q, struct lane *l)
{
    unsigned priority = q->priority ? q->priority(q->arg, l->name) : 0;

    l->weight = 1 + (priority < PRIORITY_MAX ? priority : PRIORITY_MAX);
}

void queue_reweigh(struct queue *q)
{
    for (unsigned i = 0; i < q->n_lanes; i++)
        weigh(q, &q->lanes[i]);
}

unsigned queue_lane(struct queue *q, const char *event_type, size_t n)
{
    n = strnlen(event_type, n);
    if (q->n_lanes && lane_is(&q->lanes[q->last_asked], event_type, n))
        return q->last_asked;
    for (unsigned i = 0; i < q->n_lanes; i++)
        if (lane_is(&q->lanes[i], event_type, n))
            return q->last_asked = i;
    if (q->n_lanes == LANES_MAX)
        return LANES_MAX - 1;
    if (q->n_lanes == LANES_MAX - 1) {
        event_type = QUEUE_OTHERS;
        n = sizeof QUEUE_OTHERS - 1;
    }

    q->lanes = mem_resize(q->lanes, q->n_lanes + 1, sizeof(*q->lanes));
    struct lane *l = &q->lanes[q->n_lanes];
    *l = (struct lane){.name = mem_strndup(event_type, n)};
    for (int part = 0; part < QUEUE_PARTS; part++)
        l->files[part] = deque_new();
    weigh(q, l);
    return q->last_asked = q->n_lanes++;
}

unsigned queue_lanes(const struct queue *q)
{
    return q->n_lanes;
}

static struct lane *lane_of(const struct queue *q, unsigned lane)
{
    BUG_ON(lane >= q->n_lanes);
    return &q->lanes[lane];
}

const char *queue_lane_name(const struct queue *q, unsigned lane)
{
    return lane_of(q, lane)->name;
}

void queue_push(struct queue *q, unsigned lane, record_place at)
{
    deque_push_back(lane_of(q, lane)->files[QUEUE_IN_TURN], at);
    q->total++;
}

void queue_push_again(struct queue *q, unsigned lane, record_place at)
{
    deque_push_front(lane_of(q, lane)->files[QUEUE_IN_TURN], at);
    q->total++;
}

void queue_push_early(struct queue *q, unsigned lane, record_place at)
{
    deque_push_back(lane_of(q, lane)->files[QUEUE_EARLY], at);
    q->total++;
}

void queue_put_back(struct queue *q, unsigned lane, record_place at, enum queue_end end)
{
    if (end == QUEUE_NEWEST) {
        queue_push(q, lane, at);
    } else if (end == QUEUE_OLDEST) {
        queue_push_again(q, lane, at);
    } else {
        deque_push_front(lane_of(q, lane)->files[QUEUE_EARLY], at);
        q->total++;
    }
}

static size_t lane_count(const struct lane *l)
{
    return deque_count(l->files[QUEUE_EARLY]) + deque_count(l->files[QUEUE_IN_TURN]);
}

static bool is_wanted(void *arg, record_place at)
{
    const struct queue *q = arg;

    return !places_has(q->dropped, at);
}

static void sweep(struct queue *q)
{
    q->total = 0;
    for (unsigned i = 0; i < q->n_lanes; i++) {
        for (int part = 0; part < QUEUE_PARTS; part++)
            deque_filter(q->lanes[i].files[part], is_wanted, q);
        q->total += lane_count(&q->lanes[i]);
    }
    places_clear(q->dropped);
}

void queue_drop(struct queue *q, record_place at)
{
    size_t n = places_count(q->dropped);

    places_add(q->dropped, at);
    if (n > DROPPED_MIN && n > q->total / 8)
        sweep(q);
}

bool queue_is_dropped(const struct queue *q, record_place at)
{
    return places_has(q->dropped, at);
}

void queue_restore(struct queue *q, unsigned lane, record_place at)
{
    if (!places_remove(q->dropped, at))
        queue_put_back(q, lane, at, QUEUE_FIRST_EARLY);
}

bool queue_front(struct queue *q, unsigned lane, enum queue_part part, record_place *at)
{
    struct deque *files = lane_of(q, lane)->files[part];

    while (deque_front(files, at)) {
        if (!places_remove(q->dropped, *at))
            return true;
        BUG_ON(!deque_pop_front(files, at));
        q->total--;
    }
    return false;
}

void queue_pause(struct queue *q, unsigned lane, const char *why)
{
    struct lane *l = lane_of(q, lane);
    char *copy = why ? mem_strdup(why) : NULL;

    free(l->paused);
    l->paused = copy;
}

const char *queue_paused(const struct queue *q, unsigned lane)
{
    return lane_of(q, lane)->paused;
}

static bool end_take(struct queue *q, struct lane *l, enum queue_end end, record_place *at)
{
    struct deque *files = l->files[end == QUEUE_FIRST_EARLY ? QUEUE_EARLY : QUEUE_IN_TURN];

    while (end == QUEUE_NEWEST ? deque_pop_back(files, at) : deque_pop_front(files, at)) {
        q->total--;
        if (!places_remove(q->dropped, *at))
            return true;
    }
    return false;
}

/* newest: if there is one; those that are early have no newest that is in a hurry. */
static bool lane_take(struct queue *q, struct lane *l, bool newest, record_place *at,
                      enum queue_end *end)
{
    return (newest && end_take(q, l, *end = QUEUE_NEWEST, at)) ||
           end_take(q, l, *end = QUEUE_FIRST_EARLY, at) || end_take(q, l, *end = QUEUE_OLDEST, at);
}

static struct lane *next_lane(struct queue *q)
{
    struct lane *best = NULL;
    int64_t gained = 0;

    for (unsigned i = 0; i < q->n_lanes; i++) {
        struct lane *l = &q->lanes[i];
        if (l->paused || !lane_count(l)) {
            l->credit = 0;
            continue;
        }
        l->credit += l->weight;
        gained += l->weight;
        if (!best || l->credit > best->credit)
            best = l;
    }
    if (best)
        best->credit -= gained;
    return best;
}

bool queue_take(struct queue *q, unsigned *lane, record_place *at, enum queue_end *end)
{
    struct lane *l;

    /* Again if nothing but dropped places lay in it: then it is empty now. */
    while ((l = next_lane(q)) != NULL) {
        bool newest = ++l->turns % NEWEST_EVERY == 0;
        if (lane_take(q, l, newest, at, end)) {
            *lane = (unsigned)(l - q->lanes);
            return true;
        }
    }
    return false;
}

bool queue_take_from(struct queue *q, unsigned lane, bool newest, record_place *at,
                     enum queue_end *end)
{
    return lane_take(q, lane_of(q, lane), newest, at, end);
}

size_t queue_count(const struct queue *q, unsigned lane)
{
    return lane_count(lane_of(q, lane));
}

size_t queue_total(const struct queue *q)
{
    size_t dropped = places_count(q->dropped);

    return q->total > dropped ? q->total - dropped : 0;
}

const struct deque *queue_deque(const struct queue *q, unsigned lane, enum queue_part part)
{
    BUG_ON(part >= QUEUE_PARTS);
    return lane_of(q, lane)->files[part];
}

size_t queue_memory(const struct queue *q)
{
    size_t bytes = sizeof(*q) + q->n_lanes * sizeof(*q->lanes) + places_memory(q->dropped);

    for (unsigned i = 0; i < q->n_lanes; i++)
        for (int part = 0; part < QUEUE_PARTS; part++)
            bytes += deque_memory(q->lanes[i].files[part]);
    return bytes;
}
