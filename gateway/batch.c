/* Batches for the pool: see batch.h. Segments of items_max items wait in a list, the last one being
 * filled; they are started in order, and a finished one is used again.
 */
#include "gateway/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct chunk {
    struct batch *owner;
    struct chunk *next;
    size_t n;
    max_align_t items[];
};

struct batch {
    struct batch_cfg cfg;
    struct loop_prepare *prepare;
    struct chunk *first, *last; /* waiting; `last` is being filled */
    struct chunk *spare;        /* one for each that may be running, and the one being filled */
    unsigned spares;
    unsigned running;
    bool paused;
    size_t outstanding;
};

static void chunk_run(void *arg)
{
    struct chunk *c = arg;
    c->owner->cfg.run(c->owner->cfg.arg, c->items, c->n);
}

static void start_waiting(void *arg);

static void chunk_done(void *arg)
{
    struct chunk *c = arg;
    struct batch *b = c->owner;
    b->running--;
    b->outstanding -= c->n;
    b->cfg.done(b->cfg.arg, c->items, c->n);
    if (b->spares > b->cfg.parallel) {
        free(c);
    } else {
        c->next = b->spare;
        b->spare = c;
        b->spares++;
    }
    start_waiting(b);
}

static void start_waiting(void *arg)
{
    struct batch *b = arg;
    while (b->first && !b->paused && b->running < b->cfg.parallel) {
        struct chunk *c = b->first;
        b->first = c->next;
        if (!b->first)
            b->last = NULL;
        b->running++;
        loop_work(b->cfg.loop, chunk_run, chunk_done, c);
    }
}

struct batch *batch_new(const struct batch_cfg *cfg)
{
    struct batch *b = mem_alloc(sizeof *b);
    b->cfg = *cfg;
    b->prepare = loop_prepare_new(cfg->loop, start_waiting, b);
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    BUG_ON(b->outstanding > 0);
    loop_prepare_free(b->prepare);
    while (b->spare) {
        struct chunk *c = b->spare;
        b->spare = c->next;
        free(c);
    }
    free(b);
}

void *batch_add(struct batch *b)
{
    if (!b->last || b->last->n == b->cfg.items_max) {
        struct chunk *c = b->spare;
        if (c) {
            b->spare = c->next;
            b->spares--;
        } else {
            c = mem_alloc(sizeof *c + b->cfg.items_max * b->cfg.item_bytes);
        }
        c->owner = b;
        c->next = NULL;
        c->n = 0;
        if (b->last)
            b->last->next = c;
        else
            b->first = c;
        b->last = c;
    }
    void *item = (char *)b->last->items + b->last->n * b->cfg.item_bytes;
    memset(item, 0, b->cfg.item_bytes);
    b->last->n++;
    b->outstanding++;
    return item;
}

size_t batch_outstanding(const struct batch *b)
{
    return b->outstanding;
}

void batch_pause(struct batch *b, bool paused)
{
    b->paused = paused;
    /* Its turn before the loop waits may be over, and nothing need wake the loop soon. */
    start_waiting(b);
}

unsigned batch_running(const struct batch *b)
{
    return b->running;
}
