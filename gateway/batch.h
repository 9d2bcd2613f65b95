/* Work for the pool in batches: items gather on the loop's thread while earlier batches run, so
 * that the cost of changing threads is shared by many files under load and one file need not wait
 * when there is none.
 */
#ifndef GATEWAY_BATCH_H
#define GATEWAY_BATCH_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct batch_cfg {
    struct loop *loop;
    size_t item_bytes;
    size_t items_max;                               /* in one batch */
    unsigned parallel;                              /* batches on the pool at once */
    void (*run)(void *arg, void *items, size_t n);  /* pool thread; reads only what is immutable */
    void (*done)(void *arg, void *items, size_t n); /* loop's thread, batch by batch */
    void *arg;
};

struct batch;
struct batch *batch_new(const struct batch_cfg *cfg);
/* All items must have come back. */
void batch_free(struct batch *b);
/* A zeroed item to fill before the loop turns. Valid until done was called for it. */
void *batch_add(struct batch *b);
/* While paused, items gather and none are started. */
void batch_pause(struct batch *b, bool paused);
/* Batches on the pool right now. */
unsigned batch_running(const struct batch *b);
/* Items that were added and have not come back. */
size_t batch_outstanding(const struct batch *b);

#endif
