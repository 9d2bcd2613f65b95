/* The verbs on taken files and on paths: each one record, and what it changes once it is durable.
 *
 * Invariant (P3): a verb that fails leaves the file as it was. Two exceptions, where the world has
 * moved on already: a taken file that cannot be held or forgotten goes back into its lane, and a
 * retired one is gone from memory although its RETIRED is lost (after a restart it is retired again
 * and found done).
 */
#include "spool/ledger_int.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CODE_MAX 63
#define TEXT_MAX 255

static struct taken *taken_of(struct ledger_file *f)
{
    struct taken *t = (struct taken *)f;

    BUG_ON(t->gone);
    return t;
}

static struct op *file_op(struct ledger *l, struct taken *t, const struct op_type *type,
                          ledger_done *done, void *arg)
{
    struct op *op = ledger_op_new(l, type, done, arg);

    op->file = t;
    return op;
}

static enum rc file_begin(struct op *op, struct record *r)
{
    const struct ledger_file *f = &op->file->pub;

    r->hash = f->hash;
    r->first = f->first;
    r->prev = f->last;
    if (r->at_ns == 0)
        r->at_ns = ledger_now_ns(op->l);
    return RC_OK;
}

/* The file's latest record is at `at` now. */
static void file_moved(struct op *op, record_place at, enum index_state s)
{
    struct ledger_file *f = &op->file->pub;

    BUG_ON(!index_move(op->l->index, f->hash, f->last, at, s));
    f->last = at;
}

static void file_ended(struct op *op)
{
    struct taken *t = op->file;

    BUG_ON(!index_remove(op->l->index, t->pub.hash, t->pub.last));
    ledger_segment_leave(op->l, t->pub.first);
    ledger_taken_free(op->l, t);
}

static struct record why_record(enum record_type type, const char *code, const char *text)
{
    return (struct record){
        .type = type, .code = ledger_text(code, CODE_MAX), .text = ledger_text(text, TEXT_MAX)};
}

/* ---- what happens while it is sent ---- */

static void note_end(struct op *op, enum rc rc, record_place at)
{
    if (rc == RC_OK)
        file_moved(op, at, INDEX_TAKEN);
}

static const struct op_type note_type = {.begin = file_begin, .end = note_end};

static void note_and_tell(struct ledger *l, struct ledger_file *f, const struct record *r,
                          ledger_done *done, void *arg)
{
    ledger_op_submit(file_op(l, taken_of(f), &note_type, done, arg), f->hash, r);
}

static void note(struct ledger *l, struct ledger_file *f, const struct record *r)
{
    note_and_tell(l, f, r, NULL, NULL);
}

void ledger_attempt(struct ledger *l, struct ledger_file *f, int answer_class,
                    const struct err *why)
{
    f->why = *why;
    if (answer_class == f->last_class)
        return;
    f->last_class = answer_class;
    struct record r = why_record(RECORD_ATTEMPT, why->code, why->text);
    r.attempts = f->attempts;
    r.answer_class = (uint8_t)answer_class;
    r.http_status = (uint16_t)why->http_status;
    note(l, f, &r);
}

static void forget_parts(struct ledger_file *f)
{
    free(f->parts);
    free(f->upload_id);
    f->parts = NULL;
    f->n_parts = 0;
    f->part_bytes = 0;
    memset(f->upload_terms, 0, SHA256_SIZE);
    f->upload_id = NULL;
}

void ledger_upload_created(struct ledger *l, struct ledger_file *f, const char *upload_id,
                           uint64_t part_bytes, const uint8_t terms[SHA256_SIZE])
{
    struct record_text id = ledger_text(upload_id, LEDGER_UPLOAD_ID_MAX);
    struct record r = {.type = RECORD_PART, .upload_id = id, .part_bytes = part_bytes};

    forget_parts(f);
    f->upload_id = mem_strndup(id.p, id.n);
    f->part_bytes = part_bytes;
    memcpy(f->upload_terms, terms, SHA256_SIZE);
    memcpy(r.sha256, terms, SHA256_SIZE);
    note(l, f, &r);
}

void ledger_upload_forgotten(struct ledger *l, struct ledger_file *f)
{
    struct record r = {.type = RECORD_PART};

    if (!f->upload_id)
        return;
    forget_parts(f);
    note(l, f, &r); /* number 0 without an upload: a restart does not take it up again */
}

void ledger_part_stored(struct ledger *l, struct ledger_file *f, const struct ledger_part *part,
                        ledger_done *done, void *arg)
{
    struct record r = {
        .type = RECORD_PART,
        .part_number = part->number,
        .etag = ledger_text(part->etag, sizeof(part->etag) - 1),
        .upload_id = ledger_text(f->upload_id, LEDGER_UPLOAD_ID_MAX),
    };
    size_t i = 0;

    memcpy(r.sha256, part->sha256, SHA256_SIZE);
    while (i < f->n_parts && f->parts[i].number != part->number)
        i++;
    if (i == f->n_parts) {
        if ((i & (i - 1)) == 0)
            f->parts = mem_resize(f->parts, i ? i * 2 : 1, sizeof(*f->parts));
        f->n_parts++;
    }
    f->parts[i] = *part;
    note_and_tell(l, f, &r, done, arg);
}

/* ---- its ends ---- */

static void deliver_end(struct op *op, enum rc rc, record_place at)
{
    struct ledger_file *f = &op->file->pub;

    if (rc != RC_OK)
        return;
    file_moved(op, at, INDEX_TAKEN);
    f->delivered = true;
    f->state = LEDGER_DELIVERED;
    ledger_lane_leave(op->l, f->lane, f->id.size);
}

void ledger_deliver(struct ledger *l, struct ledger_file *f, const struct ledger_receipt *receipt,
                    ledger_done *done, void *arg)
{
    static const struct op_type type = {.begin = file_begin, .end = deliver_end};
    struct taken *t = taken_of(f);
    struct record r = {
        .type = RECORD_DELIVERED,
        .flags = receipt->verified ? RECORD_VERIFIED : 0,
        .at_ns = receipt->delivered_ns,
        .id = f->id,
        .path = {.p = f->path, .n = (uint16_t)f->path_len},
        .event_type = ledger_text(t->event_type, LEDGER_EVENT_TYPE_MAX),
        .key = ledger_text(receipt->key, 2 * RECORD_PATH_MAX),
        .etag = ledger_text(receipt->etag, 255),
        .version_id = ledger_text(receipt->version_id, 1024),
        .request_id = ledger_text(receipt->request_id, 255),
        .accepted_ns = f->accepted_ns,
        .first_try_ns = f->first_try_ns,
        .attempts = f->attempts,
    };

    BUG_ON(f->delivered);
    memcpy(r.sha256, receipt->sha256, SHA256_SIZE);
    memcpy(f->sha256, receipt->sha256, SHA256_SIZE);
    f->delivered_ns = receipt->delivered_ns;
    ledger_op_submit(file_op(l, t, &type, done, arg), f->hash, &r);
}

static void retire_end(struct op *op, enum rc rc, record_place at)
{
    struct taken *t = op->file;

    if (!(op->flags & RECORD_KEPT)) {
        file_ended(op);
        return;
    }
    file_moved(op, rc == RC_OK ? at : t->pub.last, INDEX_KEPT);
    ledger_segment_stray(op->l, t->pub.first, t->pub.last);
    ledger_taken_free(op->l, t);
}

void ledger_retire(struct ledger *l, struct ledger_file *f, uint8_t flags)
{
    static const struct op_type type = {.begin = file_begin, .end = retire_end};
    struct taken *t = taken_of(f);
    struct record r = {.type = RECORD_RETIRED, .flags = flags};
    struct op *op = file_op(l, t, &type, NULL, NULL);

    BUG_ON(!f->delivered);
    t->gone = true;
    op->flags = flags;
    ledger_op_submit(op, f->hash, &r);
}

static void hold_end(struct op *op, enum rc rc, record_place at)
{
    struct taken *t = op->file;
    struct ledger *l = op->l;

    if (rc != RC_OK) {
        ledger_queue_again(l, t);
        return;
    }
    file_moved(op, at, INDEX_HELD);
    queue_push(l->held, 0, at);
    ledger_lane_leave(l, t->pub.lane, t->pub.id.size);
    ledger_segment_stray(l, t->pub.first, at);
    ledger_taken_free(l, t);
}

void ledger_hold(struct ledger *l, struct ledger_file *f, const char *code, const char *text,
                 ledger_done *done, void *arg)
{
    static const struct op_type type = {.begin = file_begin, .end = hold_end};
    struct taken *t = taken_of(f);
    struct record r = why_record(RECORD_HELD, code, text);

    BUG_ON(f->delivered);
    t->gone = true;
    ledger_op_submit(file_op(l, t, &type, done, arg), f->hash, &r);
}

static void forget_end(struct op *op, enum rc rc, record_place at)
{
    struct ledger_file *f = &op->file->pub;

    (void)at; /* nothing points at the last record of a file that is not ours any more */
    if (rc != RC_OK && !f->delivered) {
        ledger_queue_again(op->l, op->file);
        return;
    }
    if (!f->delivered)
        ledger_lane_leave(op->l, f->lane, f->id.size);
    file_ended(op);
}

void ledger_forget(struct ledger *l, struct ledger_file *f, const char *code, const char *text,
                   ledger_done *done, void *arg)
{
    static const struct op_type type = {.begin = file_begin, .end = forget_end};
    struct taken *t = taken_of(f);
    struct record r = why_record(RECORD_FORGOTTEN, code, text);

    t->gone = true;
    ledger_op_submit(file_op(l, t, &type, done, arg), f->hash, &r);
}

static void put_back_end(struct op *op, enum rc rc, record_place at)
{
    (void)rc; /* nothing was written, nothing can fail */
    (void)at;
    op->file->pub.state = LEDGER_ACCEPTED;
    ledger_queue_again(op->l, op->file);
}

void ledger_put_back(struct ledger *l, struct ledger_file *f)
{
    static const struct op_type type = {.end = put_back_end, .silent = true};
    struct taken *t = taken_of(f);

    BUG_ON(f->delivered);
    t->gone = true;
    ledger_op_submit(file_op(l, t, &type, NULL, NULL), f->hash, NULL);
}

/* ---- on a path that is not taken ---- */

static enum rc path_begin(struct op *op, struct record *r)
{
    r->hash = op->m->hash;
    r->first = op->entry.first;
    r->prev = op->entry.at;
    r->at_ns = ledger_now_ns(op->l);
    ledger_withdraw(op->l, &op->entry);
    return RC_OK;
}

static void path_hold_end(struct op *op, enum rc rc, record_place at)
{
    const struct entry *e = &op->entry;
    struct ledger *l = op->l;

    if (rc != RC_OK) {
        ledger_restore(l, e);
        return;
    }
    BUG_ON(!index_move(l->index, op->m->hash, e->at, at, INDEX_HELD));
    ledger_lane_leave(l, e->lane, e->bytes);
    queue_push(l->held, 0, at);
    ledger_segment_stray(l, e->first, at);
}

static void path_release_end(struct op *op, enum rc rc, record_place at)
{
    const struct entry *e = &op->entry;
    struct ledger *l = op->l;

    if (rc != RC_OK)
        return;
    BUG_ON(!index_move(l->index, op->m->hash, e->at, at, INDEX_QUEUED));
    if (e->state == INDEX_HELD)
        queue_drop(l->held, e->at);
    ledger_lane_enter(l, e->lane, e->bytes);
    queue_push_early(l->queue, e->lane, at);
    ledger_lane_older(l, e->lane, e->hash, at, e->accepted_ns);
    ledger_segment_stray(l, e->first, at);
}

static void path_forget_end(struct op *op, enum rc rc, record_place at)
{
    const struct entry *e = &op->entry;
    struct ledger *l = op->l;

    if (rc != RC_OK) {
        ledger_restore(l, e);
        return;
    }
    BUG_ON(!index_move(l->index, op->m->hash, e->at, at, INDEX_FORGOTTEN));
    if (e->state == INDEX_QUEUED)
        ledger_lane_leave(l, e->lane, e->bytes);
    else
        queue_drop(l->held, e->at);
    ledger_segment_stray(l, e->first, at);
}

/* What a verb makes of each state of the index; RC_OK: a record. */
struct path_verb {
    struct op_type type;
    enum rc of[INDEX_FORGOTTEN + 1];
};

struct told {
    ledger_done *done;
    void *arg;
};

static enum rc path_act(struct ledger *l, const struct path_verb *verb, const char *path, size_t n,
                        const struct record *r, struct told told)
{
    struct record_text p = {.p = path, .n = (uint16_t)n};
    uint64_t hash = ledger_hash(l, path, n);
    struct entry e;

    if (n > RECORD_PATH_MAX)
        return RC_ABSENT;
    if (ledger_motion(l, hash))
        return RC_AGAIN;
    enum rc rc = ledger_entry(l, &p, hash, &e);
    if (rc == RC_OK)
        rc = verb->of[e.state];
    if (rc != RC_OK)
        return rc;
    struct op *op = ledger_op_new(l, &verb->type, told.done, told.arg);
    op->entry = e;
    ledger_op_submit(op, hash, r);
    return RC_OK;
}

enum rc ledger_hold_path(struct ledger *l, const char *path, size_t n, const struct err *why,
                         ledger_done *done, void *arg)
{
    static const struct path_verb verb = {
        .type = {.begin = path_begin, .end = path_hold_end},
        .of = {[INDEX_TAKEN] = RC_AGAIN,
               [INDEX_HELD] = RC_EXISTS,
               [INDEX_KEPT] = RC_ABSENT,
               [INDEX_FORGOTTEN] = RC_ABSENT},
    };
    struct record r = why_record(RECORD_HELD, why->code, why->text);

    return path_act(l, &verb, path, n, &r, (struct told){done, arg});
}

enum rc ledger_release_path(struct ledger *l, const char *path, size_t n, ledger_done *done,
                            void *arg)
{
    static const struct path_verb verb = {
        .type = {.begin = path_begin, .end = path_release_end},
        .of = {[INDEX_QUEUED] = RC_EXISTS, [INDEX_TAKEN] = RC_AGAIN, [INDEX_KEPT] = RC_ABSENT},
    };
    struct record r = {.type = RECORD_RELEASED};

    return path_act(l, &verb, path, n, &r, (struct told){done, arg});
}

enum rc ledger_forget_path(struct ledger *l, const char *path, size_t n, const struct err *why,
                           ledger_done *done, void *arg)
{
    static const struct path_verb verb = {
        .type = {.begin = path_begin, .end = path_forget_end},
        .of = {[INDEX_TAKEN] = RC_AGAIN, [INDEX_KEPT] = RC_ABSENT, [INDEX_FORGOTTEN] = RC_EXISTS},
    };
    struct record r = why_record(RECORD_FORGOTTEN, why->code, why->text);

    r.flags = RECORD_KEPT;
    return path_act(l, &verb, path, n, &r, (struct told){done, arg});
}

/* ---- rejecting ---- */

static void reject_end(struct op *op, enum rc rc, record_place at)
{
    (void)op; /* it is in nobody's care: the record is all */
    (void)rc;
    (void)at;
}

void ledger_reject(struct ledger *l, const char *path, size_t n, const struct identity *id,
                   const char *code, const char *text, ledger_done *done, void *arg)
{
    static const struct op_type type = {.end = reject_end};
    struct record r = why_record(RECORD_REJECTED, code, text);

    BUG_ON(n == 0 || n > RECORD_PATH_MAX);
    r.hash = ledger_hash(l, path, n);
    r.at_ns = ledger_now_ns(l);
    r.path = (struct record_text){.p = path, .n = (uint16_t)n};
    r.id = *id;
    ledger_op_append_alone(ledger_op_new(l, &type, done, arg), &r);
}
