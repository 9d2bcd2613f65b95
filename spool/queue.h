/* What goes next: a lane for each event type, each a deque, served by smooth weighted round robin.
 *
 * Fair: a lane with a backlog of a million does not starve another. Within a lane one of four turns
 * takes the newest file, so that what happens now need not wait behind a backlog; the other three
 * take the oldest, or first those that are early: let go out of their turn, in the order in which
 * they were.
 */
#ifndef SPOOL_QUEUE_H
#define SPOOL_QUEUE_H

#include "spool/deque.h"

enum queue_part { QUEUE_EARLY, QUEUE_IN_TURN, QUEUE_PARTS };      /* of a lane, in serving order */
enum queue_end { QUEUE_FIRST_EARLY, QUEUE_OLDEST, QUEUE_NEWEST }; /* where files are taken from */

struct queue;
/* priority of a lane by its event type's name: weight = 1 + priority (0..100). */
struct queue *queue_new(unsigned (*priority)(void *arg, const char *event_type), void *arg);
void queue_free(struct queue *q);
/* Ask for the priorities anew: they have changed. */
void queue_reweigh(struct queue *q);
/* Lane numbers are small and stable while the queue lives. At most 4096; the event types beyond
 * 4095 share the last lane, whose name is that of no event type. */
#define QUEUE_OTHERS "/others"
unsigned queue_lane(struct queue *q, const char *event_type, size_t n);
unsigned queue_lanes(const struct queue *q);
const char *queue_lane_name(const struct queue *q, unsigned lane);
void queue_push(struct queue *q, unsigned lane, record_place at);       /* as the newest */
void queue_push_again(struct queue *q, unsigned lane, record_place at); /* as the oldest */
void queue_push_early(struct queue *q, unsigned lane, record_place at); /* as the last early one */
/* To the end that it was taken from. */
void queue_put_back(struct queue *q, unsigned lane, record_place at, enum queue_end end);
/* This place, which lies in some lane, is not to be served any more. Costs nothing now: it is
 * passed over when its turn comes, and all dropped ones are swept out when they are many. A place
 * that was dropped must not be pushed again before it has been swept (places are never used twice).
 */
void queue_drop(struct queue *q, record_place at);
bool queue_is_dropped(const struct queue *q, record_place at);
/* Take a queue_drop back: where it lies, or as the first early one if it was swept meanwhile. */
void queue_restore(struct queue *q, unsigned lane, record_place at);
/* The front of a part of a lane; false: none. */
bool queue_front(struct queue *q, unsigned lane, enum queue_part part, record_place *at);
/* A paused lane keeps its files and is not taken from. why: shown to people; NULL: not paused. */
void queue_pause(struct queue *q, unsigned lane, const char *why);
const char *queue_paused(const struct queue *q, unsigned lane);
/* The next file of any lane that is not paused; false: none. *end: where it comes from, and goes
 * back to if it has to (queue_put_back), so that the oldest stays the oldest. */
bool queue_take(struct queue *q, unsigned *lane, record_place *at, enum queue_end *end);
/* Of this lane whether paused or not (a probe). */
bool queue_take_from(struct queue *q, unsigned lane, bool newest, record_place *at,
                     enum queue_end *end);
size_t queue_count(const struct queue *q, unsigned lane); /* dropped ones not yet swept included */
size_t queue_total(const struct queue *q);                /* exact */
/* To list it; pass over what queue_is_dropped. */
const struct deque *queue_deque(const struct queue *q, unsigned lane, enum queue_part part);
size_t queue_memory(const struct queue *q);

#endif
