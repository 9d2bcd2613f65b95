/* Entries whose file is not there any more, though nobody sends it and so would notice: kept, held
 * and forgotten ones. Without this they would stay in index and journal for ever.
 *
 * Invariant (P3): the entry goes when its FORGOTTEN is durable; until then all is as it was.
 */
#include "spool/ledger_int.h"

static enum rc gone_begin(struct op *op, struct record *r)
{
    r->hash = op->m->hash;
    r->first = op->entry.first;
    r->prev = op->entry.at;
    r->at_ns = ledger_now_ns(op->l);
    return RC_OK;
}

static void gone_end(struct op *op, enum rc rc, record_place at)
{
    const struct entry *e = &op->entry;

    (void)at; /* nothing points at the last record of a file that is not ours any more */
    if (rc != RC_OK)
        return;
    ledger_leave(op->l, e);
    BUG_ON(!index_remove(op->l->index, op->m->hash, e->at));
}

enum rc ledger_gone(struct ledger *l, const char *path, size_t n)
{
    static const struct op_type type = {.begin = gone_begin, .end = gone_end};
    struct record r = {.type = RECORD_FORGOTTEN, .code = ledger_text("gone", 4)};
    struct record_text p = {.p = path, .n = (uint16_t)n};
    struct entry e;

    if (n > RECORD_PATH_MAX)
        return RC_ABSENT;
    uint64_t hash = ledger_hash(l, path, n);
    if (ledger_motion(l, hash))
        return RC_AGAIN;
    enum rc rc = ledger_entry(l, &p, hash, &e);
    if (rc != RC_OK)
        return rc;
    if (e.state == INDEX_QUEUED || e.state == INDEX_TAKEN)
        return RC_ABSENT;
    struct op *op = ledger_op_new(l, &type, NULL, NULL);
    op->entry = e;
    ledger_op_submit(op, hash, &r);
    return RC_OK;
}
