/* From delivered to retired: see pipeline_int.h. Only a file whose receipt is durable comes here
 * (P1); one that cannot be retired now is tried again, in this life or the next.
 */
#include "gateway/pipeline_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define RETIREMENTS_A_BATCH 64
#define RETIRE_AGAIN_MS     5000
#define RETIRE_LOG_AGAIN_MS 60000

struct retirement {
    struct ledger_file *file;
    struct retire_file what;
    struct identity found; /* under its name */
    enum retire_result result;
    struct err err;
};

static enum retire_action action_of(const struct config *c)
{
    switch (c->after_delivery.action) {
    case CONFIG_ARCHIVE:
        return RETIRE_ARCHIVE;
    case CONFIG_KEEP:
        return RETIRE_KEEP;
    case CONFIG_DELETE:
        break;
    }
    return RETIRE_DELETE;
}

void retirement_start(struct pipeline *p, struct ledger_file *f, struct open_file *open)
{
    struct retirement *r = batch_add(p->retirements);
    r->file = f;
    r->found = (struct identity){0};
    r->what = (struct retire_file){
        .path = f->path,
        .id = f->id,
        /* After a restart it is not known when the bytes were read: then they are hashed again. */
        .racy = !f->user || identity_is_racy(&f->id, dispatch_taken(f)->read_wall_ns),
        .place = f->first,
        .delivered_ns = f->delivered_ns,
        .open = open,
    };
    memcpy(r->what.sha256, f->sha256, SHA256_SIZE);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct retirement *)a)->what.path,
                  ((const struct retirement *)b)->what.path);
}

/* In the order of their paths: a directory is opened once for all its files. The archive is durable
 * when retire_end says so; until then none of the batch is done. */
static void retirements_run(void *arg, void *items, size_t n)
{
    struct pipeline *p = arg;
    struct retirement *r = items;
    struct retire_batch *batch = NULL;
    qsort(r, n, sizeof *r, by_path);
    struct err e = {0};
    if (retire_begin(&fsio_system, p->cfg.root_fd, action_of(p->config), &batch, &e) == RC_OK) {
        for (size_t i = 0; i < n; i++) {
            r[i].what.found = &r[i].found;
            r[i].result = retire_next(batch, &r[i].what, &r[i].err);
        }
        if (retire_end(batch, &e) == RC_OK)
            return;
    } else {
        for (size_t i = 0; i < n; i++)
            open_file_free(r[i].what.open);
    }
    for (size_t i = 0; i < n; i++) {
        if (r[i].result == RETIRE_DONE) { /* which is 0: also those that were never begun */
            r[i].result = RETIRE_FAILED;
            r[i].err = e;
        }
    }
}

/* It leaves the window: however many cannot be retired, they cost a place each, and the next start
 * finds them just so. */
static void retirement_failed(struct pipeline *p, struct retirement *r)
{
    uint64_t now = loop_now_ms(p->cfg.loop);
    p->counts.retire_failures++;
    if (p->retire_failed_ms == 0 || now - p->retire_failed_ms > RETIRE_LOG_AGAIN_MS)
        log_error("retire_failed", F_STR("path", r->file->path), F_STR("why", r->err.text));
    p->retire_why = r->err;
    p->retire_failed_ms = now;
    p->retire_again_ms = now + RETIRE_AGAIN_MS;
    dispatch_drop_taken(r->file);
    ledger_retire_later(p->ledger, r->file);
}

/* Its entry stays until the remnant's ACCEPTED ends it. With a RETIRED before that, and a journal
 * that takes neither, nobody would know any more what the remnant is, and it would be sent. */
static void retirement_torn(struct pipeline *p, const struct retirement *r)
{
    char path[RECORD_PATH_MAX + 1];
    text_copy(path, sizeof path, r->file->path);
    p->retire_again_ms = loop_now_ms(p->cfg.loop) + RETIRE_AGAIN_MS;
    dispatch_drop_taken(r->file);
    ledger_retire_later(p->ledger, r->file);
    intake_hold_torn(p, path, &r->found);
}

static void retired(struct pipeline *p, struct retirement *r)
{
    static const uint8_t flags_of[] = {
        [RETIRE_DELETE] = 0, [RETIRE_ARCHIVE] = RECORD_ARCHIVED, [RETIRE_KEEP] = RECORD_KEPT};
    struct ledger_file *f = r->file;
    if (r->result == RETIRE_FAILED) {
        retirement_failed(p, r);
        return;
    }
    if (r->result == RETIRE_CHANGED && identity_is_torn(&f->id, &r->found)) {
        retirement_torn(p, r);
        return;
    }
    bool look = f->changed || r->result == RETIRE_CHANGED;
    uint8_t flags = r->result == RETIRE_DONE ? flags_of[action_of(p->config)] : RECORD_GONE;
    if (look) {
        p->counts.changed += r->result == RETIRE_CHANGED;
        watcher_look(p->watcher, f->path, f->path_len, 0);
    }
    if (flags == RECORD_ARCHIVED)
        p->counts.archived++;
    dispatch_drop_taken(f);
    ledger_retire(p->ledger, f, flags);
}

static void retirements_done(void *arg, void *items, size_t n)
{
    struct pipeline *p = arg;
    struct retirement *r = items;
    for (size_t i = 0; i < n; i++)
        retired(p, &r[i]);
    dispatch_want(p);
    dispatch_check_drained(p);
}

void retirement_init(struct pipeline *p)
{
    struct batch_cfg retirements = {
        .loop = p->cfg.loop,
        .item_bytes = sizeof(struct retirement),
        .items_max = RETIREMENTS_A_BATCH,
        .parallel = 2,
        .run = retirements_run,
        .done = retirements_done,
        .arg = p,
    };
    p->retirements = batch_new(&retirements);
}

void retirement_free(struct pipeline *p)
{
    batch_free(p->retirements);
}
