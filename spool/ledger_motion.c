/* Motions: what happens to one path happens one record after the other (ledger_int.h, scheme 2).
 *
 * Invariant: at most one op of a motion is running; a motion exists as long as its file is taken or
 * it has ops. The journal tells of every record that was appended, so every op ends.
 */
#include "spool/ledger_int.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 256

static struct motion **bucket(const struct ledger *l, uint64_t hash)
{
    return &l->motions[hash & (l->motion_buckets - 1)];
}

struct motion *ledger_motion(struct ledger *l, uint64_t hash)
{
    struct motion *m = l->motion_buckets ? *bucket(l, hash) : NULL;

    while (m && m->hash != hash)
        m = m->next;
    return m;
}

static void rehash(struct ledger *l, size_t buckets)
{
    struct motion **old = l->motions;
    size_t n = l->motion_buckets;

    l->motions = mem_alloc(buckets * sizeof(struct motion *));
    l->motion_buckets = buckets;
    for (size_t i = 0; i < n; i++) {
        for (struct motion *m = old[i], *next; m; m = next) {
            next = m->next;
            m->next = *bucket(l, m->hash);
            *bucket(l, m->hash) = m;
        }
    }
    free(old);
}

struct motion *ledger_motion_make(struct ledger *l, uint64_t hash)
{
    struct motion *m = ledger_motion(l, hash);

    if (m)
        return m;
    if (l->n_motions >= l->motion_buckets)
        rehash(l, l->motion_buckets ? l->motion_buckets * 2 : BUCKETS_MIN);
    m = mem_alloc(sizeof(*m));
    m->hash = hash;
    m->next = *bucket(l, hash);
    *bucket(l, hash) = m;
    l->n_motions++;
    return m;
}

void ledger_motion_settle(struct ledger *l, struct motion *m)
{
    if (m->file || m->running || m->head)
        return;
    struct motion **p = bucket(l, m->hash);
    while (*p != m)
        p = &(*p)->next;
    *p = m->next;
    l->n_motions--;
    free(m);
    if (l->motion_buckets > BUCKETS_MIN && l->n_motions * 8 < l->motion_buckets)
        rehash(l, l->motion_buckets / 4 > BUCKETS_MIN ? l->motion_buckets / 4 : BUCKETS_MIN);
}

bool ledger_in_motion(const struct ledger *l, record_place at)
{
    for (size_t i = 0; i < l->motion_buckets; i++)
        for (const struct motion *m = l->motions[i]; m; m = m->next)
            if ((m->file && m->file->pub.last == at) || (m->running && m->running->entry.at == at))
                return true;
    return false;
}

static void text_copy(struct record_text *t, char **to)
{
    if (t->n) {
        memcpy(*to, t->p, t->n);
        t->p = *to;
        *to += t->n;
    }
}

/* One allocation: the struct and behind it its texts. */
static struct record *record_copy(const struct record *r)
{
    size_t n = (size_t)r->path.n + r->event_type.n + r->key.n + r->etag.n + r->version_id.n +
               r->request_id.n + r->upload_id.n + r->code.n + r->text.n;
    struct record *copy = mem_alloc(sizeof(*copy) + n);
    char *to = (char *)(copy + 1);

    *copy = *r;
    text_copy(&copy->path, &to);
    text_copy(&copy->event_type, &to);
    text_copy(&copy->key, &to);
    text_copy(&copy->etag, &to);
    text_copy(&copy->version_id, &to);
    text_copy(&copy->request_id, &to);
    text_copy(&copy->upload_id, &to);
    text_copy(&copy->code, &to);
    text_copy(&copy->text, &to);
    return copy;
}

static void begin(struct op *op, const struct record *r);

static void finish(struct op *op, enum rc rc, record_place at)
{
    struct ledger *l = op->l;
    struct motion *m = op->m;

    op->type->end(op, rc, at);
    l->ops--;
    if (m) {
        m->running = NULL;
        struct op *next = m->head;
        if (next) {
            m->head = next->next;
            if (!m->head)
                m->tail = NULL;
            begin(next, next->waiting); /* m may be gone after that */
        } else {
            ledger_motion_settle(l, m);
        }
    }
    if (op->done)
        op->done(op->arg, rc);
    free(op->waiting);
    free(op);
}

static void durable(void *arg, enum rc rc, record_place at)
{
    finish(arg, rc, at);
}

static void begin(struct op *op, const struct record *r)
{
    struct record to_write = {0};
    enum rc rc = RC_OK;

    if (r)
        to_write = *r;
    op->m->running = op;
    if (op->l->closing)
        rc = RC_CANCELLED;
    else if (op->type->begin)
        rc = op->type->begin(op, &to_write);
    if (rc != RC_OK || op->type->silent)
        finish(op, rc, 0);
    else
        journal_append(op->l->journal, &to_write, durable, op);
}

struct op *ledger_op_new(struct ledger *l, const struct op_type *type, ledger_done *done, void *arg)
{
    struct op *op = mem_alloc(sizeof(*op));

    op->type = type;
    op->l = l;
    op->done = done;
    op->arg = arg;
    l->ops++;
    return op;
}

void ledger_op_submit(struct op *op, uint64_t hash, const struct record *r)
{
    struct motion *m = ledger_motion_make(op->l, hash);

    op->m = m;
    if (!m->running && !m->head) {
        begin(op, r);
        return;
    }
    op->waiting = r ? record_copy(r) : NULL;
    *(m->tail ? &m->tail->next : &m->head) = op;
    m->tail = op;
}

void ledger_op_append_alone(struct op *op, const struct record *r)
{
    if (op->l->closing)
        finish(op, RC_CANCELLED, 0);
    else
        journal_append(op->l->journal, r, durable, op);
}
