/* Inside the ledger; for its own files and their tests.
 *
 * The scheme that keeps memory and journal the same:
 *
 * 1. A file is its `first` (the place of its ACCEPTED record); the index holds its latest durable
 *    record. Every further record carries `first` and, as `prev`, exactly the place that the index
 *    held when it was written: replay moves the entry (hash, prev) to the new place, without
 * reading.
 * 2. So records of one path must not overtake each other. Each verb is an `op`; ops of one path
 * hash stand in line at its `motion` and are begun one at a time: `begin` looks at the state and
 * fills first and prev, the record is appended, `end` changes the memory if it became durable (P3).
 * The next op of the line is begun before the caller of this one is told, so whatever the caller
 * then asks for stands behind it.
 * 3. An ACCEPTED that replaces an entry (accepted anew, or carried over by ledger_compact) names it
 *    in `first` and `prev`; else both are 0. One record thus ends the old entry and begins the new.
 * 4. A queued file's place in its lane is the one in the index. An op on a queued file drops it
 * from the lane when it begins (nobody may take it meanwhile) and restores it if it fails.
 * 5. Replay is tolerant. A record whose prev is not in the index (a segment was lost between) goes
 * to `doubts` and is settled when the journal can be read: by `first`, or for ACCEPTED by the path.
 *    A record whose first lies before the oldest segment is about a file that ended long ago. After
 *    a loss every entry is read once: the records of a damaged segment were told before it was set
 *    aside.
 *
 * States in the index: QUEUED; TAKEN (in the window, or delivered and not retired); HELD; KEPT;
 * FORGOTTEN. A restart makes TAKEN files QUEUED again unless they were delivered.
 */
#ifndef SPOOL_LEDGER_INT_H
#define SPOOL_LEDGER_INT_H

#include "spool/index.h"
#include "spool/ledger.h"
#include "spool/places.h"

struct op;
struct op_type {
    /* RC_OK: r is ready to be appended. Else the op has failed, end is told. May be NULL. */
    enum rc (*begin)(struct op *op, struct record *r);
    void (*end)(struct op *op, enum rc rc, record_place at);
    bool silent; /* nothing is written: begin, then end with RC_OK */
};

/* An entry of the index with what its records say. */
struct entry {
    uint64_t hash;
    record_place at, first;
    enum index_state state;
    unsigned lane;
    uint64_t bytes;
    int64_t accepted_ns;
};

struct op {
    struct op *next;
    const struct op_type *type;
    struct ledger *l;
    struct motion *m;
    struct taken *file; /* of the verbs on a taken file */
    bool had;           /* entry: what the path had when the op began */
    struct entry entry;
    unsigned lane; /* the new entry's */
    uint64_t bytes;
    uint8_t flags;
    struct record *waiting; /* while it stands in line: its record */
    ledger_done *done;
    void *arg;
};

/* A path that is taken or has ops. Two paths with the same 64-bit hash share one: they only wait
 * for each other. */
struct motion {
    struct motion *next;
    uint64_t hash;
    struct taken *file; /* not NULL: taken */
    struct op *running;
    struct op *head, *tail;
};

struct taken {
    struct ledger_file pub; /* first: a ledger_file is its taken */
    struct motion *m;
    struct taken *prev, *next; /* the window, in the order of taking */
    uint64_t number;
    bool gone;          /* the caller has given it up; it lives until its last op ended */
    enum queue_end end; /* of its lane, where it was taken from */
    char *event_type;
};

struct lane_state {
    uint64_t files, bytes;
    /* The oldest that is known of those that are queued; good while its entry is QUEUED here. */
    struct {
        uint64_t hash;
        record_place at;
        int64_t accepted_ns;
        bool looked; /* the fronts were looked at, too */
    } oldest;
};

struct segment {
    uint32_t number;
    uint32_t live;        /* entries whose first lies in it */
    struct deque *strays; /* latest places of such entries in other segments; some out of date */
};

struct replay;

struct ledger {
    struct ledger_cfg cfg;
    struct journal *journal;
    struct index *index;
    struct queue *queue;
    struct queue *held;       /* one lane: the held files in order of age */
    struct places *delivered; /* after a restart: delivered, not retired, not yet handed out */
    struct places *lost;      /* in a lane still, though their entries went: lose_queued */
    struct lane_state *lanes;
    unsigned n_lanes;
    struct segment *segments; /* by number */
    size_t n_segments;
    struct motion **motions; /* buckets */
    size_t n_motions, motion_buckets;
    struct taken *window, *window_last;
    uint64_t taken_number;
    size_t ops;
    bool closing;
    struct replay *replay; /* during ledger_open */
    struct {               /* ledger_compact: what is left to carry over of the oldest segment */
        uint32_t segment;
        record_place *places; /* ascending; taken from the end */
        size_t n, outstanding;
        bool failed; /* since the last call: nothing can be written now */
    } carry;
};

#define PLACE_SEGMENT(at) ((uint32_t)((at) >> RECORD_OFFSET_BITS))

/* ledger.c */
int64_t ledger_now_ns(const struct ledger *l);
struct record_text ledger_text(const char *s, size_t max); /* cut at max, between characters */
void ledger_copy_text(char *to, size_t size, struct record_text t);
/* The ACCEPTED record of the file whose latest is at; *first: its place. r's texts point into buf.
 */
enum rc ledger_read_first(struct ledger *l, record_place at, char *buf, struct record *r,
                          record_place *first, struct err *e) MUST_CHECK;
int64_t ledger_accepted_ns(const struct record *accepted);
/* Of a read: the record is not there any more, or damaged. Else it may be read another time. */
static inline bool ledger_is_gone(enum rc rc)
{
    return rc == RC_ABSENT || rc == RC_CORRUPT;
}
/* The entry of this path. RC_ABSENT: none. Others: not to be told now. */
enum rc ledger_entry(struct ledger *l, const struct record_text *path, uint64_t hash,
                     struct entry *out) MUST_CHECK;
uint64_t ledger_hash(const struct ledger *l, const char *path, size_t n);
void ledger_lane_enter(struct ledger *l, unsigned lane, uint64_t bytes);
void ledger_lane_leave(struct ledger *l, unsigned lane, uint64_t bytes);
/* This one has come into its lane otherwise than as the newest: it may be older than the front. */
void ledger_lane_older(struct ledger *l, unsigned lane, uint64_t hash, record_place at,
                       int64_t accepted_ns);
/* Whether `oldest` of the lane is queued still. */
bool ledger_lane_has_oldest(const struct ledger *l, unsigned lane);
/* Begin an op on a queued, held, kept or forgotten file, end one that failed, end its old state. */
void ledger_withdraw(struct ledger *l, const struct entry *e);
void ledger_restore(struct ledger *l, const struct entry *e);
void ledger_leave(struct ledger *l, const struct entry *e);

/* ledger_take.c */
void ledger_taken_free(struct ledger *l, struct taken *t);
/* Into its lane, to the end that it was taken from, and free t. */
void ledger_queue_again(struct ledger *l, struct taken *t);
/* The record at this place cannot be read: the entry goes, the next scan finds the file. Not for an
 * entry in motion. */
void ledger_lose(struct ledger *l, record_place at, enum rc rc);

/* ledger_motion.c */
struct motion *ledger_motion(struct ledger *l, uint64_t hash); /* NULL: none */
struct motion *ledger_motion_make(struct ledger *l, uint64_t hash);
void ledger_motion_settle(struct ledger *l, struct motion *m);  /* free it if nothing needs it */
bool ledger_in_motion(const struct ledger *l, record_place at); /* by place; looks at all */
struct op *ledger_op_new(struct ledger *l, const struct op_type *type, ledger_done *done,
                         void *arg);
/* r is copied if the op must wait; NULL for silent ones. The op frees itself. */
void ledger_op_submit(struct op *op, uint64_t hash, const struct record *r);
void ledger_op_append_alone(struct op *op, const struct record *r); /* of no path: not in line */

/* ledger_replay.c */
void ledger_replay_begin(struct ledger *l);
enum rc ledger_replay_record(void *ledger, record_place at, const struct record *r);
/* What had to wait until the journal can be read. lost: some of what was replayed may be gone. Not
 * RC_OK: a record cannot be read now, and what it says of whom is not known. */
enum rc ledger_replay_settle(struct ledger *l, bool lost, struct err *e) MUST_CHECK;
void ledger_replay_end(struct ledger *l);

/* ledger_compact.c: live entries by segment of their first */
void ledger_segment_enter(struct ledger *l, record_place first);
void ledger_segment_leave(struct ledger *l, record_place first);
/* The entry rests at a place that may be in another segment than its first. */
void ledger_segment_stray(struct ledger *l, record_place first, record_place at);
void ledger_segments_clear(struct ledger *l);
size_t ledger_segments_memory(const struct ledger *l);

#endif
