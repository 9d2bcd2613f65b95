/* From the bucket's answer to a durable receipt: see pipeline_int.h.
 *
 * A file is retired only after its receipt is durable (P1). While the journal takes none, what the
 * receipt says is kept here and tried again, and nothing new is sent: so they are no more than were
 * in flight when it began, and nothing is sent twice. A stop gives them up: then they are sent
 * again and found to be there (P5).
 */
#include "gateway/pipeline_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL_AGAIN_MS 2000

/* A receipt that is being made durable, or waits to be. */
struct delivery {
    struct delivery *next; /* of those that wait */
    struct pipeline *p;
    struct ledger_file *file;
    struct ledger_receipt receipt;
    char *key, *etag, *version_id, *request_id; /* the receipt's */
    struct open_file *open;                     /* NULL: not any more */
    int64_t read_wall_ns;
    bool renamed, again;
    uint64_t bytes;
};

static void delivery_free(struct delivery *d)
{
    open_file_free(d->open);
    free(d->key);
    free(d->etag);
    free(d->version_id);
    free(d->request_id);
    free(d);
}

static void count(struct pipeline *p, const struct delivery *d)
{
    const struct ledger_file *f = d->file;
    uint64_t us =
        (uint64_t)(f->delivered_ns > f->accepted_ns ? f->delivered_ns - f->accepted_ns : 0) / 1000;
    p->counts.delivered_files++;
    p->counts.delivered_bytes += d->bytes;
    p->counts.verified += d->receipt.verified;
    p->counts.conflicts += d->renamed;
    p->counts.last_delivered_ns = f->delivered_ns;
    if (us > p->counts.slowest_us)
        p->counts.slowest_us = us;
    metrics_delivered(&p->metrics, &(struct metrics_delivery){.type = p->lanes[f->lane].type,
                                                              .bytes = d->bytes,
                                                              .closed_ns = f->id.ctime_ns,
                                                              .accepted_ns = f->accepted_ns,
                                                              .delivered_ns = f->delivered_ns});
    p->lanes[f->lane].delivered_files++;
    p->lanes[f->lane].delivered_bytes += d->bytes;
}

static void wait_for_journal(struct pipeline *p, struct delivery *d)
{
    struct ledger_file *f = d->file;
    open_file_free(d->open); /* who knows for how long */
    d->open = NULL;
    f->state = LEDGER_DEFERRED;
    f->why = (struct err){.code = "receipt"};
    (void)err_set(&f->why, RC_FULL,
                  "it is in the bucket; its receipt waits until the journal can be written");
    d->next = p->unrecorded;
    p->unrecorded = d;
    p->n_unrecorded++;
}

void delivery_journal_failed(struct pipeline *p)
{
    p->journal_failed_ms = loop_now_ms(p->cfg.loop);
    p->journal_again_ms = p->journal_failed_ms + JOURNAL_AGAIN_MS;
}

static void delivered(void *arg, enum rc rc)
{
    struct delivery *d = arg;
    struct pipeline *p = d->p;
    struct ledger_file *f = d->file;
    p->n_delivering--;
    p->n_unrecorded -= d->again;
    if (rc != RC_OK)
        delivery_journal_failed(p);
    if (rc != RC_OK && !p->stopping) {
        wait_for_journal(p, d);
    } else {
        if (rc == RC_OK) {
            count(p, d);
            dispatch_taken(f)->read_wall_ns = d->read_wall_ns;
            retirement_start(p, f, d->open);
            d->open = NULL;
        } else {
            dispatch_put_back(p, f);
        }
        delivery_free(d);
    }
    dispatch_want(p);
    dispatch_check_drained(p);
}

static void submit(struct delivery *d)
{
    d->p->n_delivering++;
    ledger_deliver(d->p->ledger, d->file, &d->receipt, delivered, d);
}

void delivery_start(struct pipeline *p, struct ledger_file *f, const struct transfer_outcome *o)
{
    struct delivery *d = mem_alloc(sizeof *d);
    *d = (struct delivery){
        .p = p,
        .file = f,
        .key = mem_strdup(o->key),
        .etag = mem_strdup(o->etag),
        .version_id = mem_strdup(o->version_id),
        .request_id = mem_strdup(o->request_id),
        .open = open_file_share(o->file),
        .read_wall_ns = o->read_wall_ns,
        .bytes = o->bytes,
    };
    d->receipt = (struct ledger_receipt){
        .key = d->key,
        .etag = d->etag,
        .version_id = d->version_id,
        .request_id = d->request_id,
        .verified = o->result == TRANSFER_VERIFIED,
        .delivered_ns = o->done_wall_ns,
    };
    memcpy(d->receipt.sha256, o->sha256, SHA256_SIZE);
    size_t key_len = strlen(o->key);
    d->renamed = key_len < f->path_len || strcmp(o->key + key_len - f->path_len, f->path) != 0;
    if (d->renamed)
        log_warning("kept_both", F_STR("path", f->path), F_STR("key", o->key),
                    F_STR("why", "the key held other bytes already"));
    submit(d);
}

void delivery_again(struct pipeline *p)
{
    struct delivery *d = p->unrecorded;
    p->unrecorded = NULL;
    while (d) {
        struct delivery *next = d->next;
        d->again = true; /* it stays one of n_unrecorded until it is told */
        submit(d);
        d = next;
    }
}
