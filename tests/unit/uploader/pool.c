#include "uploader/pool.h"
#include "tests/unit/uploader/rig.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 400

struct run {
    struct rig rig;
    struct loop *loop;
    struct loop_timer *tick; /* lets the main loop go round while nothing comes */
    struct pool *pool;
    unsigned told[FILES];
    enum transfer_result result[FILES];
    enum answer_class class[FILES];
    unsigned done, parts, open;
    unsigned resubmit; /* how many to submit from done */
};

static void on_tick(void *arg)
{
    struct run *r = arg;

    loop_timer_set(r->tick, 5);
}

static void on_done(void *arg, const struct transfer_outcome *o)
{
    struct run *r = arg;

    cr_assert_lt(o->tag, FILES);
    r->told[o->tag]++;
    r->result[o->tag] = o->result;
    r->class[o->tag] = o->class;
    r->open += o->file != NULL && fcntl(open_file_fd(o->file), F_GETFD) >= 0;
    r->done++;
    if (r->resubmit > 0) {
        r->resubmit--;
        pool_submit(r->pool, rig_job(&r->rig, "f0", 100 + r->resubmit));
    }
}

static void on_progress(void *arg, const struct transfer_progress *p)
{
    struct run *r = arg;

    cr_assert_eq(r->told[p->tag], 0, "progress after the end");
    r->parts += p->is_part;
}

static void run_init_with(struct run *r, unsigned threads, unsigned connections,
                          unsigned company_percent, uint64_t bytes_per_second)
{
    struct pool_cfg cfg = {.threads = threads,
                           .connections = connections,
                           .company_percent = company_percent,
                           .http.bytes_per_second = bytes_per_second,
                           .done = on_done,
                           .progress = on_progress,
                           .arg = r,
                           .http.no_proxy = true};
    struct err e;

    memset(r, 0, sizeof(*r));
    rig_init(&r->rig);
    r->loop = loop_new();
    r->tick = loop_timer_new(r->loop, on_tick, r);
    on_tick(r);
    cfg.loop = r->loop;
    cfg.transfer = r->rig.cfg;
    cfg.transfer.hand_on = true;
    cfg.endpoint = r->rig.endpoint;
    cr_assert_eq(pool_new(&cfg, &r->pool, &e), RC_OK, "%s", e.text);
    pool_set_credentials(r->pool, r->rig.credentials);
}

/* All threads work. */
static void run_init(struct run *r, unsigned threads, unsigned connections)
{
    run_init_with(r, threads, connections, 0, 0);
}

static void run_fini(struct run *r)
{
    pool_free(r->pool);
    loop_timer_free(r->tick);
    loop_free(r->loop);
    rig_fini(&r->rig);
}

static void submit(struct run *r, unsigned from, unsigned n, size_t size)
{
    char *data = mem_alloc(size + 1), name[32];

    for (unsigned i = from; i < from + n; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        memset(data, 'a' + (int)(i % 26), size);
        rig_write(&r->rig, name, data, size);
        pool_submit(r->pool, rig_job(&r->rig, name, i));
    }
    free(data);
}

static void wait_for(struct run *r, unsigned n)
{
    while (r->done < n)
        loop_step(r->loop, true);
}

Test(pool, every_file_is_told_once_with_one_thread_or_many)
{
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct run r;
        struct pool_stats st;

        run_init(&r, threads, 8);
        submit(&r, 0, 200, 1000);
        pool_stats(r.pool, &st);
        cr_expect_eq(st.in_flight, 200);
        wait_for(&r, 200);
        for (unsigned i = 0; i < 200; i++) {
            cr_expect_eq(r.told[i], 1, "file %u", i);
            cr_expect_eq(r.result[i], TRANSFER_STORED, "file %u", i);
        }
        pool_stats(r.pool, &st);
        cr_expect_eq(st.in_flight, 0);
        cr_expect_eq(st.http.calls, 200);
        cr_expect_leq(st.http.connections, 8);
        cr_expect_eq(r.rig.store.n, 200);
        run_fini(&r);
    }
}

static unsigned count_open(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    cr_assert_not_null(d);
    while (readdir(d) != NULL)
        n++;
    (void)closedir(d);
    return n;
}

Test(pool, a_stored_file_is_told_of_open_and_closed_whether_it_is_told_of_or_not)
{
    struct run r;
    unsigned before;

    run_init(&r, 2, 8);
    before = count_open();
    submit(&r, 0, 100, 1000);
    wait_for(&r, 100);
    cr_expect_eq(r.open, 100);
    submit(&r, 100, 100, 1000);
    pool_flush(r.pool);
    usleep(300000); /* they end, and nobody asks for them */
    pool_free(r.pool);
    cr_expect_eq(r.done, 100);
    r.pool = NULL;
    cr_expect_leq(count_open(), before, "%u, %u before", count_open(), before);
    run_fini(&r);
}

static unsigned working(const struct run *r)
{
    struct pool_stats st;

    pool_stats(r->pool, &st);
    return st.working;
}

Test(pool, a_busy_thread_gets_company_and_works_alone_again_after_a_rest)
{
    struct run r;
    unsigned done = 0, most = 1;

    run_init_with(&r, 2, 8, 1, 0);
    cr_expect_eq(working(&r), 1);
    for (unsigned round = 0; round < 500 && most < 2; round++) {
        submit(&r, 0, 20, 1000);
        most = working(&r) > most ? working(&r) : most;
        wait_for(&r, done += 20);
    }
    cr_expect_eq(most, 2, "a thread that needs 1 percent of a processor works alone");
    usleep(300000);
    submit(&r, 0, 1, 1000);
    cr_expect_eq(working(&r), 1);
    wait_for(&r, done + 1);
    run_fini(&r);
}

Test(pool, a_thread_works_alone_while_it_keeps_up_or_the_bandwidth_is_limited)
{
    static const struct {
        unsigned company_percent;
        uint64_t bytes_per_second;
    } rows[] = {{10000, 0}, {0, 100000000}, {1, 100000000}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        unsigned most = 1;

        run_init_with(&r, 3, 8, rows[i].company_percent, rows[i].bytes_per_second);
        for (unsigned done = 0; done < 400;) {
            submit(&r, 0, 20, 1000);
            most = working(&r) > most ? working(&r) : most;
            wait_for(&r, done += 20);
        }
        cr_expect_eq(most, 1, "row %zu", i);
        run_fini(&r);
    }
}

Test(pool, jobs_may_be_submitted_from_done_and_parts_come_before_the_end)
{
    struct run r;

    run_init(&r, 2, 4);
    submit(&r, 0, 1, 1000);
    wait_for(&r, 1);
    r.resubmit = 50;
    submit(&r, 1, 1, 3000000);
    wait_for(&r, 52);
    cr_expect_eq(r.parts, 10);
    cr_expect_eq(r.result[1], TRANSFER_STORED);
    for (unsigned i = 100; i < 150; i++) /* the same key and the same bytes */
        cr_expect_eq(r.result[i], TRANSFER_VERIFIED);
    run_fini(&r);
}

static bool skewed_once(struct mini_store *m, enum request_op op, unsigned seq,
                        const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)m;
    (void)op;
    (void)rq;
    if (seq != 1)
        return false;
    mini_error(rp, 403, "RequestTimeTooSkewed");
    snprintf(rp->headers, sizeof(rp->headers), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    return true;
}

Test(pool, credentials_endpoint_and_clock_reach_every_thread)
{
    struct endpoint elsewhere;
    struct pool_stats st;
    struct run r;

    run_init(&r, 3, 6);
    r.rig.store.fault = skewed_once;
    submit(&r, 0, 1, 10);
    wait_for(&r, 1);
    pool_stats(r.pool, &st);
    cr_expect_lt(st.clock_offset_s, -900000000);
    cr_expect_eq(r.result[0], TRANSFER_STORED);
    pool_set_credentials(r.pool, NULL);
    submit(&r, 1, 9, 10);
    wait_for(&r, 10);
    for (unsigned i = 1; i < 10; i++)
        cr_expect_eq(r.class[i], ANSWER_REFRESH);
    pool_set_credentials(r.pool, r.rig.credentials);
    pool_set_credentials(r.pool, r.rig.credentials);
    elsewhere = r.rig.endpoint;
    snprintf(elsewhere.base, sizeof(elsewhere.base), "/other");
    pool_set_endpoint(r.pool, &elsewhere);
    submit(&r, 10, 9, 10);
    wait_for(&r, 19);
    for (unsigned i = 10; i < 19; i++)
        cr_expect_eq(r.result[i], TRANSFER_STORED);
    cr_expect(mini_store_find(&r.rig.store, "/other/f10") != NULL);
    cr_expect(mini_store_find(&r.rig.store, "/bucket/f10") == NULL);
    run_fini(&r);
}

static unsigned parts_at_once(struct run *r, unsigned files, unsigned awaited)
{
    struct mini_store *m = &r->rig.store;
    unsigned before = r->done;

    pthread_mutex_lock(&m->lock);
    m->fault = mini_any_upload;
    m->parts_awaited = awaited;
    m->parts_at_once = 0;
    m->part_ms = 20; /* long enough for one too many to join them */
    pthread_mutex_unlock(&m->lock);
    submit(r, before, files, 1500000);
    wait_for(r, before + files);
    mini_store_look(m);
    for (unsigned i = before; i < before + files; i++)
        cr_expect_eq(r->result[i], TRANSFER_STORED);
    return m->parts_at_once;
}

Test(pool, requests_at_once_are_what_is_allowed_however_many_parts_and_threads_there_are)
{
    static const struct {
        unsigned threads, connections;
    } rows[] = {{1, 2}, {3, 1}, {2, 2}, {3, 4}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r;
        unsigned n;

        run_init(&r, rows[i].threads, rows[i].connections);
        n = parts_at_once(&r, 6, rows[i].connections);
        cr_expect_eq(n, rows[i].connections, "row %zu: %u", i, n);
        run_fini(&r);
    }
}

Test(pool, fewer_requests_are_made_when_fewer_are_allowed_and_more_again_later)
{
    static const unsigned allowed[] = {8, 1, 3, 8};
    struct run r;

    run_init(&r, 2, 8);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        unsigned n;

        pool_allow(r.pool, allowed[i]);
        n = parts_at_once(&r, 4, allowed[i]);
        cr_expect_eq(n, allowed[i], "row %zu: %u", i, n);
        cr_expect_eq(working(&r), allowed[i] > 1 ? 2 : 1);
    }
    run_fini(&r);
}

/* What they were given before is theirs. */
Test(pool, a_thread_that_does_not_work_any_more_ends_its_files)
{
    struct run r;

    run_init(&r, 3, 6);
    r.rig.store.fault = mini_any_upload;
    submit(&r, 0, 60, 1500000);
    pool_flush(r.pool);
    pool_allow(r.pool, 1);
    cr_expect_eq(working(&r), 1);
    wait_for(&r, 60);
    for (unsigned i = 0; i < 60; i++)
        cr_expect_eq(r.result[i], TRANSFER_STORED);
    run_fini(&r);
}

static bool silent(struct mini_store *m, enum request_op op, unsigned seq,
                   const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)m;
    (void)op;
    (void)seq;
    (void)rq;
    rp->silent = true;
    return true;
}

Test(pool, all_that_is_under_way_or_waits_can_be_cancelled_or_dropped)
{
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct run r;

        run_init(&r, threads, 4);
        r.rig.store.fault = silent;
        submit(&r, 0, 60, 1000);
        pool_flush(r.pool);
        usleep(50000);
        submit(&r, 60, 40, 1000);
        pool_cancel_all(r.pool);
        wait_for(&r, 100);
        for (unsigned i = 0; i < 100; i++)
            cr_expect(r.told[i] == 1 && r.result[i] == TRANSFER_CANCELLED, "file %u", i);
        submit(&r, 100, 50, 1000);
        pool_flush(r.pool);
        usleep(30000);
        submit(&r, 150, 5, 2000000);
        run_fini(&r); /* in every state a job can be in */
        cr_expect_eq(r.done, 100);
    }
}

Test(pool, a_number_of_threads_that_makes_no_sense_is_refused)
{
    struct pool_cfg cfg = {.threads = 0};
    struct pool *p = NULL;
    struct err e;

    cr_expect_eq(pool_new(&cfg, &p, &e), RC_INVALID);
    cfg.threads = 17;
    cr_expect_eq(pool_new(&cfg, &p, &e), RC_INVALID);
    cr_expect_null(p);
}
