/* Batches for the pool: what a pause holds back, and when that goes. */
#include "gateway/batch.h"

#include <criterion/criterion.h>

struct fix {
    struct loop *loop;
    struct batch *batch;
    struct loop_prepare *late;
    size_t runs, done;
    bool go;
};

static void run(void *arg, void *items, size_t n)
{
    struct fix *f = arg;
    (void)items;
    f->runs += n; /* one batch at a time */
}

static void done(void *arg, void *items, size_t n)
{
    struct fix *f = arg;
    (void)items;
    f->done += n;
}

static void unpause(void *arg)
{
    struct fix *f = arg;
    if (f->go)
        batch_pause(f->batch, false);
    f->go = false;
}

static void expired(void *arg)
{
    bool *is = arg;
    *is = true;
}

Test(batch, what_gathered_in_a_pause_starts_at_once_though_nothing_else_wakes_the_loop)
{
    struct fix f = {.loop = loop_new()};
    bool late = false;
    f.batch = batch_new(&(struct batch_cfg){.loop = f.loop,
                                            .item_bytes = sizeof(int),
                                            .items_max = 4,
                                            .parallel = 1,
                                            .run = run,
                                            .done = done,
                                            .arg = &f});
    f.late = loop_prepare_new(f.loop, unpause, &f); /* its turn is after the batch's */
    struct loop_timer *timer = loop_timer_new(f.loop, expired, &late);
    batch_pause(f.batch, true);
    for (size_t i = 0; i < 10; i++)
        (void)batch_add(f.batch);
    for (int i = 0; i < 3; i++)
        loop_step(f.loop, false);
    cr_assert(f.runs == 0 && batch_running(f.batch) == 0, "it is paused");
    cr_assert_eq(batch_outstanding(f.batch), 10);
    loop_timer_set(timer, 20000);
    f.go = true;
    while (f.done < 10 && !late)
        loop_step(f.loop, true);
    cr_assert_not(late, "it waited for the loop to be woken");
    cr_assert_eq(f.runs, 10);
    cr_assert_eq(batch_outstanding(f.batch), 0);
    loop_timer_free(timer);
    loop_prepare_free(f.late);
    batch_free(f.batch);
    loop_free(f.loop);
}
