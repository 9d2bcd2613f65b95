/* The ledger: every file in our care and its state, kept true to the journal.
 *
 * It joins journal, index and queue. Each verb appends a record and changes the memory only when
 * the record is durable; after a crash ledger_open rebuilds the same state from the journal. P6: a
 * path has at most one live entry; accepting a path again replaces the earlier entry.
 */
#ifndef SPOOL_LEDGER_H
#define SPOOL_LEDGER_H

#include "spool/journal.h"
#include "spool/queue.h"

enum ledger_state {
    LEDGER_ACCEPTED,  /* waits in the queue */
    LEDGER_SENDING,   /* taken */
    LEDGER_DEFERRED,  /* taken, waits for its next try */
    LEDGER_HELD,      /* a decision is wanted; not sent until released */
    LEDGER_DELIVERED, /* durable receipt; being retired, or kept */
    LEDGER_FORGOTTEN, /* given up by hand; the file stays, and is not taken up as it is */
    LEDGER_STATE_COUNT_
};
const char *ledger_state_name(enum ledger_state s);

#define LEDGER_EVENT_TYPE_MAX 255
#define LEDGER_BY_HAND        "by-hand" /* the code of what people decided, not a condition */

struct ledger_part {
    uint32_t number;
    char etag[72];
    uint8_t sha256[SHA256_SIZE];
};

#define LEDGER_UPLOAD_ID_MAX 1023 /* bytes; what is longer is cut */

/* A file that was taken: one of the bounded window. Owned by the ledger; the caller may read all
 * and write what is marked. */
struct ledger_file {
    uint64_t hash;
    record_place first, last;
    char *path;
    size_t path_len;
    struct identity id;
    unsigned lane;
    enum ledger_state state; /* caller: SENDING <-> DEFERRED */
    int64_t accepted_ns;
    int64_t first_try_ns; /* caller */
    uint32_t attempts;    /* caller */
    int last_class;       /* -1: none; of the last ATTEMPT record */
    struct err why;       /* of the last ATTEMPT: status, code, sentence */
    bool changed;         /* caller: the watcher saw it again while it was taken */
    /* NULL: none. With part_bytes 0: of a file that this one replaced, only to be aborted. */
    char *upload_id;
    uint64_t part_bytes;
    uint8_t upload_terms[SHA256_SIZE]; /* zeros: not known */
    struct ledger_part *parts;
    size_t n_parts;
    bool delivered;              /* DELIVERED is durable: retire it (also after a restart) */
    uint8_t sha256[SHA256_SIZE]; /* once delivered */
    int64_t delivered_ns;
    void *user; /* caller */
};

struct ledger_cfg {
    struct journal_cfg journal; /* poisoned/arg are used by the ledger's owner as given */
    unsigned (*priority)(void *arg, const char *event_type); /* NULL: all 0 */
    void *priority_arg;
    /* NULL, or: a taken file is in its lane again. Where it stood behind a record this comes later
     * than the call that put it back. It must not call the ledger. */
    void (*queued_again)(void *arg);
    void *queued_again_arg;
    /* NULL, or: ledger_open, which may take minutes, is about to read the nth of so many parts. */
    void (*reading)(void *arg, size_t nth, size_t of);
    void *reading_arg;
    uint64_t receipts_keep_ms;
};

struct ledger;
/* Replay. Results and *lost as journal_open; RC_IO too if a record cannot be read now (descriptors,
 * memory): who is held or forgotten must not be sent for that. Files that were delivered but not
 * retired wait in ledger_take_delivered. */
enum rc ledger_open(const struct ledger_cfg *cfg, bool *lost, struct ledger **out,
                    struct err *e) MUST_CHECK;
void ledger_close(struct ledger *l);
struct queue *ledger_queue(struct ledger *l);
struct journal *ledger_journal(struct ledger *l);

/* What is known of a path. file is set while it is taken and its taker has not given it up.
 * RC_ABSENT: not in our care. Others: the journal cannot be read now (descriptors, memory). */
struct ledger_view {
    enum ledger_state state;
    record_place first, last;
    struct identity id;
    int64_t accepted_ns;
    char event_type[LEDGER_EVENT_TYPE_MAX + 1];
    struct ledger_file *file;
    bool kept;      /* delivered, and stays where it is; else it is still to be retired */
    bool to_retire; /* it waits for ledger_take_delivered */
    bool moving;    /* not taken, or given up by its taker, and a record about it is on its way */
    char code[64];  /* held, forgotten: why */
    char text[256];
};
enum rc ledger_find(struct ledger *l, const char *path, size_t n,
                    struct ledger_view *out) MUST_CHECK;
/* Is the path in our care with exactly this identity? The quick form for the watcher's question;
 * id NULL: with any identity. */
bool ledger_knows(struct ledger *l, const char *path, size_t n, const struct identity *id);

typedef void ledger_done(void *arg, enum rc rc);
/* ACCEPTED. When durable the file is in its lane's queue. If the path is in our care already:
 * queued, held, kept or forgotten: the new entry replaces it; taken: the caller must not (BUG): it
 * sets `changed` and accepts after the taken one ended. */
void ledger_accept(struct ledger *l, const char *path, size_t n, const struct identity *id,
                   const char *event_type, ledger_done *done, void *arg);
/* What ledger_deliver writes into the receipt. */
struct ledger_receipt {
    const char *key, *etag, *version_id, *request_id;
    uint8_t sha256[SHA256_SIZE];
    bool verified;
    int64_t delivered_ns;
};

/* The next file of the queue, taken (SENDING); NULL: none that may go. Records that cannot be read
 * any more are skipped: the next scan finds the file. */
struct ledger_file *ledger_take(struct ledger *l);
/* Paused or not: a probe. */
struct ledger_file *ledger_take_from(struct ledger *l, unsigned lane, bool newest);
/* The next one that was delivered and is not retired: before a restart, or ledger_retire_later.
 * They come in turn, so that those that fail again and again do not hide the others. */
struct ledger_file *ledger_take_delivered(struct ledger *l);
/* Back into its lane, to the end that it was taken from, when the records about it that are on
 * their way have ended: queued_again tells when. Frees f. Nothing is written. */
void ledger_put_back(struct ledger *l, struct ledger_file *f);
/* An attempt ended without delivery (the caller has counted it in f->attempts). ATTEMPT is written
 * when its class is another than the last one's. Nobody waits for it. */
void ledger_attempt(struct ledger *l, struct ledger_file *f, int answer_class,
                    const struct err *why);
/* PART, number 0 for the created upload. Nobody waits for it; done says that a part's is durable,
 * or will never be. terms: the caller's digest of the settings that the upload was begun with. */
void ledger_upload_created(struct ledger *l, struct ledger_file *f, const char *upload_id,
                           uint64_t part_bytes, const uint8_t terms[SHA256_SIZE]);
void ledger_part_stored(struct ledger *l, struct ledger_file *f, const struct ledger_part *part,
                        ledger_done *done, void *arg);
void ledger_upload_forgotten(struct ledger *l, struct ledger_file *f); /* begin anew */
/* DELIVERED. RC_OK: durable, f->delivered is true: retire it now. Else f is as before. */
void ledger_deliver(struct ledger *l, struct ledger_file *f, const struct ledger_receipt *r,
                    ledger_done *done, void *arg);
/* RETIRED, with RECORD_KEPT, RECORD_ARCHIVED, RECORD_GONE or 0 (deleted). Frees f. Not waited for:
 * should it be lost, retiring again finds nothing to do. */
void ledger_retire(struct ledger *l, struct ledger_file *f, uint8_t flags);
/* It cannot be retired now. Frees f: it is as a restart would leave it, and ledger_take_delivered
 * hands it out again when its turn comes. Nothing is written. */
void ledger_retire_later(struct ledger *l, struct ledger_file *f);
/* HELD: f is freed when durable; RC not OK: f is put back into the queue. code: one word for
 * machines ("shrunk", "conflict", "by-hand"); text: the sentence. */
void ledger_hold(struct ledger *l, struct ledger_file *f, const char *code, const char *text,
                 ledger_done *done, void *arg);
/* FORGOTTEN: it is not in our care any more (vanished, changed and to be accepted anew, rejected).
 * Frees f. Should the record fail, the file is put back into the queue, and then done is told. */
void ledger_forget(struct ledger *l, struct ledger_file *f, const char *code, const char *text,
                   ledger_done *done, void *arg);
/* What people decide about a path that is not taken. RC_OK: on its way; done (NULL allowed) is told
 * RC_OK when it is durable, otherwise all is as it was. Any other result: done is not told.
 * RC_EXISTS: it is so already. RC_ABSENT: not in our care, or delivered. RC_AGAIN: it is taken, or
 * a record about it is on its way. hold: a queued file is HELD with why's code and text. A
 * forgotten one is RC_ABSENT. forget: a queued or held one is FORGOTTEN: it stays where it is, and
 * its entry too, so that no scan takes it up until it is another. release: a held or forgotten one
 * is queued again; a queued one is so already. */
enum rc ledger_hold_path(struct ledger *l, const char *path, size_t n, const struct err *why,
                         ledger_done *done, void *arg) MUST_CHECK;
enum rc ledger_forget_path(struct ledger *l, const char *path, size_t n, const struct err *why,
                           ledger_done *done, void *arg) MUST_CHECK;
enum rc ledger_release_path(struct ledger *l, const char *path, size_t n, ledger_done *done,
                            void *arg) MUST_CHECK;
/* The file of a kept, held or forgotten path is not there any more: FORGOTTEN, and its entry goes.
 * RC_OK: on its way, and nobody waits for it; RC_ABSENT: there is no such entry; RC_AGAIN: a record
 * about the path is on its way; others as ledger_find. */
enum rc ledger_gone(struct ledger *l, const char *path, size_t n) MUST_CHECK;
/* REJECTED: recorded before the file is moved away. Only a record: an entry of the path stays. */
void ledger_reject(struct ledger *l, const char *path, size_t n, const struct identity *id,
                   const char *code, const char *text, ledger_done *done, void *arg);

/* A page of files in a state, n at most. cursor "" at first and then what came back; ends with "".
 * A cursor stays good while files come and go: no file that is there all the time is missed, though
 * one may be seen twice, where so many went meanwhile that its place is not found again.
 * ACCEPTED: lane by lane, what was released and then in order of age; HELD: in order of age;
 * SENDING and DEFERRED: the window; DELIVERED: kept ones, FORGOTTEN: in no order. A file about
 * which a record is on its way may be missing. */
struct ledger_row {
    enum ledger_state state;
    char path[RECORD_PATH_MAX + 1];
    uint64_t dev, size; /* of its identity */
    int64_t accepted_ns;
    char code[64], text[256];
};
size_t ledger_page(struct ledger *l, enum ledger_state state, char cursor[64],
                   struct ledger_row *rows, size_t n);
/* The largest of the files that are being sent, largest first, n at most; of the same size the ones
 * taken first. Valid until the loop turns. */
size_t ledger_sending(const struct ledger *l, const struct ledger_file **out, size_t n);
/* The records about a path in our care, newest first (at most n), back into those of the files that
 * this one replaced: for `why`. The texts are copied into the rows' own memory. */
struct ledger_history {
    enum record_type type;
    int64_t at_ns;
    uint16_t http_status;
    uint8_t flags, answer_class;
    uint32_t attempts;
    char code[64], text[256];
};
size_t ledger_history(struct ledger *l, record_place last, struct ledger_history *rows, size_t n);

struct ledger_lane_counts {
    uint64_t files, bytes; /* accepted, sending, deferred (not held, not delivered) */
    int64_t oldest_ns;     /* accepted at; INT64_MAX: none */
};
void ledger_lane_counts(struct ledger *l, unsigned lane, struct ledger_lane_counts *out);
uint64_t ledger_count(const struct ledger *l, enum ledger_state s);
size_t ledger_memory(const struct ledger *l);

/* Drop what is finished and older than receipts_keep; carry over what is not finished, DEFERRED
 * ones too, which stay taken: their first and last are others then. Call it now and then (each
 * minute): at most one segment a call. true: it got on, call it again soon. */
bool ledger_compact(struct ledger *l, int64_t now_ns);

#endif
