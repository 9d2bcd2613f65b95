/* The uploader threads.
 *
 * A thread and the main one meet in two places only, both under the thread's lock and both handed
 * over whole, once a round: what goes in (jobs, credentials, endpoint, stop) and what comes out
 * (outcomes and progress, in their order). A thread makes no more requests at once than its share
 * of those that are allowed, and starts no more files; the rest wait as jobs, which are small, so
 * memory does not follow the backlog. The store's clock offset is the one thing that the threads
 * tell each other.
 */
#include "uploader/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/slice.h"
#include "uploader/pool_lists.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TELL_AT_ONCE 48 /* files; LINGER_MS bounds how long they are kept for that */
#define LINGER_MS    20
#define LOOK_MS      20  /* how often a thread looks how much of a processor it needs */
#define BUSY_MS      200 /* how long that is believed, should it not look again */

struct worker {
    struct pool *pool;
    pthread_t thread;

    /* The thread's own. */
    struct loop *loop;
    struct loop_wake *wake;
    struct loop_prepare *prepare;
    struct http_client *client;
    struct transfer_env env;
    struct endpoint endpoint;
    struct jobs waiting;
    struct events gathered;
    struct loop_timer *linger; /* set while what is gathered could be told */
    bool urgent;               /* it must be told now */
    unsigned active, share;    /* files; as last seen, of them and of requests */
    uint64_t looked_ms;
    int64_t looked_cpu_ns;
    int64_t clock_offset_s, clock_seen_s;

    /* The main thread's own. */
    struct jobs staged;
    struct events taken;
    unsigned in_flight;
    unsigned unrecorded; /* parts */

    _Atomic unsigned next_share;    /* from the main thread to share */
    _Atomic uint64_t recorded;      /* parts; from the main thread to env.recorded */
    _Atomic uint64_t busy_until_ms; /* to the main thread: until then it wants company */
    pthread_mutex_t lock;           /* over what follows */
    struct jobs inbox;
    struct events outbox;
    bool stop, cancel, new_credentials, new_endpoint;
    struct credentials *next_credentials;
    struct endpoint next_endpoint;
    struct http_stats stats;
    struct tally tally;
};

struct pool {
    struct pool_cfg cfg;
    char *acl, *user_agent, *http_user_agent, *ca_file;
    struct loop_wake *wake;
    struct loop_prepare *prepare;
    struct worker *workers;
    unsigned n, working; /* the first ones */
    unsigned allowed;    /* requests at once, of all of them */
    bool staged;
    _Atomic int64_t clock_offset_s;
};

static void lock(struct worker *w)
{
    BUG_ON(pthread_mutex_lock(&w->lock) != 0);
}

static void unlock(struct worker *w)
{
    BUG_ON(pthread_mutex_unlock(&w->lock) != 0);
}

/* ---- on an uploader thread ---- */

/* The offset goes round by comparing with what was last seen: a correction made here goes out, else
 * one made by another thread comes in. */
static void share_clock(struct worker *w)
{
    if (w->clock_offset_s != w->clock_seen_s)
        atomic_store(&w->pool->clock_offset_s, w->clock_offset_s);
    else
        w->clock_offset_s = atomic_load(&w->pool->clock_offset_s);
    w->clock_seen_s = w->clock_offset_s;
}

static void start_waiting(struct worker *w);

static void worker_done(void *arg, const struct transfer_outcome *o)
{
    struct worker *w = arg;
    struct event *ev = events_add(&w->gathered);

    ev->is_progress = false;
    ev->outcome = *o;
    w->urgent |= o->result != TRANSFER_STORED;
    w->active--;
    start_waiting(w);
}

static void worker_progress(void *arg, const struct transfer_progress *p)
{
    struct worker *w = arg;
    struct event *ev = events_add(&w->gathered);

    ev->is_progress = true;
    ev->progress = *p;
    w->urgent = true;
    ev->progress.worker = (unsigned)(w - w->pool->workers);
}

static void start_waiting(struct worker *w)
{
    struct transfer_job *job;

    while (w->active < w->share && (job = jobs_take(&w->waiting)) != NULL) {
        share_clock(w);
        w->active++;
        (void)transfer_start(&w->env, job, worker_done, w); /* env keeps account of it */
    }
}

/* Those that have not begun end without having been looked at. */
static void cancel_all(struct worker *w)
{
    struct jobs waiting = w->waiting;
    struct transfer_job *job;

    w->waiting = (struct jobs){0};
    while ((job = jobs_take(&waiting)) != NULL) {
        struct event *ev = events_add(&w->gathered);

        memset(ev, 0, sizeof(*ev));
        ev->outcome.tag = job->tag;
        ev->outcome.result = TRANSFER_CANCELLED;
        ev->outcome.bytes = job->id.size;
        memcpy(ev->outcome.key, job->key, strlen(job->key) + 1);
        err_set(&ev->outcome.err, RC_CANCELLED, "The upload was stopped.");
        transfer_job_free(job);
    }
    free(waiting.at);
    transfer_cancel_all(&w->env);
}

static void worker_woken(void *arg)
{
    struct worker *w = arg;
    struct credentials *old = NULL;
    bool stop, cancel;

    slice_follow();
    w->share = atomic_load(&w->next_share);
    http_client_allow(w->client, w->share);
    lock(w);
    jobs_move(&w->waiting, &w->inbox);
    stop = w->stop;
    cancel = w->cancel;
    w->cancel = false;
    if (w->new_credentials) {
        old = w->env.credentials;
        w->env.credentials = w->next_credentials;
        w->next_credentials = NULL;
        w->new_credentials = false;
    }
    if (w->new_endpoint)
        w->endpoint = w->next_endpoint;
    w->new_endpoint = false;
    unlock(w);
    credentials_free(old);
    while (w->env.recorded < atomic_load(&w->recorded))
        transfer_recorded(&w->env);
    if (cancel || stop)
        cancel_all(w);
    if (stop)
        loop_stop(w->loop);
    else
        start_waiting(w);
}

/* A thread that has files to go on with tells of stored ones many at a time: each telling wakes the
 * main thread, the journal and retirement. */
static bool may_linger(const struct worker *w)
{
    return !w->urgent && w->waiting.n > 0 && w->gathered.n < TELL_AT_ONCE;
}

static void look(struct worker *w)
{
    uint64_t now_ms = loop_now_ms(w->loop), ms = now_ms - w->looked_ms;
    int64_t cpu_ns;

    if (ms < LOOK_MS)
        return;
    cpu_ns = clock_thread_cpu_ns();
    if ((uint64_t)(cpu_ns - w->looked_cpu_ns) >=
        ms * (CLOCK_NS_PER_MS / 100) * w->pool->cfg.company_percent)
        atomic_store(&w->busy_until_ms, now_ms + BUSY_MS);
    w->looked_ms = now_ms;
    w->looked_cpu_ns = cpu_ns;
}

static void worker_prepare(void *arg)
{
    struct worker *w = arg;

    look(w);
    if (w->gathered.n == 0)
        return;
    if (may_linger(w)) {
        if (!loop_timer_is_set(w->linger))
            loop_timer_set(w->linger, LINGER_MS);
        return;
    }
    loop_timer_clear(w->linger);
    w->urgent = false;
    share_clock(w);
    lock(w);
    events_move(&w->outbox, &w->gathered);
    http_client_stats(w->client, &w->stats);
    w->tally = w->env.tally;
    unlock(w);
    loop_wake_send(w->pool->wake);
}

static void linger_over(void *arg)
{
    ((struct worker *)arg)->urgent = true;
}

/* What the thread has on its loop. */
static void worker_leave(struct worker *w)
{
    transfer_env_fini(&w->env);
    http_client_free(w->client);
    loop_prepare_free(w->prepare);
    loop_timer_free(w->linger);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    loop_run(w->loop);
    cancel_all(w);
    worker_leave(w);
    return NULL;
}

/* ---- on the main thread ---- */

static void take_events(void *arg)
{
    struct pool *p = arg;

    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        w->taken.n = 0;
        lock(w);
        events_move(&w->taken, &w->outbox);
        unlock(w);
        for (size_t at = 0; at < w->taken.n; at++) {
            const struct event *ev = &w->taken.at[at];

            if (!ev->is_progress) {
                w->in_flight--;
                p->cfg.done(p->cfg.arg, &ev->outcome);
                open_file_free(ev->outcome.file);
            } else if (p->cfg.progress != NULL) {
                w->unrecorded += ev->progress.is_part;
                p->cfg.progress(p->cfg.arg, &ev->progress);
            }
        }
    }
}

/* Each that works has as good as the same share, and all of them together are what is allowed.
 * Another one ends what it still has, should it have been told to stop amid that, one by one. */
static void divide(struct pool *p)
{
    unsigned each = p->allowed / p->working, rest = p->allowed % p->working;

    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];
        unsigned share = i < p->working ? each + (i < rest) : 1;

        if (atomic_exchange(&w->next_share, share) != share)
            loop_wake_send(w->wake);
    }
}

/* More threads than requests would be more requests than are allowed. */
static unsigned most_working(const struct pool *p)
{
    return p->n < p->allowed ? p->n : p->allowed;
}

static bool all_work(const struct pool *p)
{
    return p->cfg.company_percent == 0 && p->cfg.http.bytes_per_second == 0;
}

static void set_working(struct pool *p, unsigned n)
{
    p->working = n;
    divide(p);
}

/* One more if all that work are busy; the first alone when there was nothing to do. */
static void employ(struct pool *p)
{
    uint64_t now_ms = loop_now_ms(p->cfg.loop);
    unsigned busy = 0, in_flight = 0;

    if (p->cfg.company_percent == 0 || p->cfg.http.bytes_per_second > 0)
        return;
    for (unsigned i = 0; i < p->working; i++) {
        busy += atomic_load(&p->workers[i].busy_until_ms) > now_ms;
        in_flight += p->workers[i].in_flight;
    }
    if (busy == p->working && p->working < most_working(p))
        set_working(p, p->working + 1);
    else if (in_flight == 0 && p->working > 1)
        set_working(p, 1);
}

void pool_allow(struct pool *p, unsigned requests)
{
    BUG_ON(requests < 1 || requests > p->cfg.http.connections);
    if (requests == p->allowed)
        return;
    p->allowed = requests;
    set_working(p, all_work(p) || p->working > most_working(p) ? most_working(p) : p->working);
}

void pool_submit(struct pool *p, struct transfer_job *job)
{
    struct worker *least = &p->workers[0];

    if (!p->staged)
        employ(p);
    for (unsigned i = 1; i < p->working; i++) {
        if (p->workers[i].in_flight < least->in_flight)
            least = &p->workers[i];
    }
    jobs_add(&least->staged, job);
    least->in_flight++;
    p->staged = true;
}

void pool_flush(struct pool *p)
{
    if (!p->staged)
        return;
    p->staged = false;
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        if (w->staged.n == 0)
            continue;
        lock(w);
        jobs_move(&w->inbox, &w->staged);
        unlock(w);
        loop_wake_send(w->wake);
    }
}

static void flush_before_wait(void *arg)
{
    pool_flush(arg);
}

void pool_recorded(struct pool *p, unsigned worker)
{
    struct worker *w = &p->workers[worker];

    BUG_ON(worker >= p->n);
    if (w->unrecorded == 0)
        return; /* of a pool that was replaced by this one */
    w->unrecorded--;
    atomic_fetch_add(&w->recorded, 1);
    loop_wake_send(w->wake);
}

void pool_set_credentials(struct pool *p, struct credentials *c)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];
        struct credentials *unseen;

        lock(w);
        unseen = w->next_credentials;
        w->next_credentials = c != NULL ? credentials_share(c) : NULL;
        w->new_credentials = true;
        unlock(w);
        credentials_free(unseen);
        loop_wake_send(w->wake);
    }
}

void pool_set_endpoint(struct pool *p, const struct endpoint *ep)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        lock(w);
        w->next_endpoint = *ep;
        w->new_endpoint = true;
        unlock(w);
        loop_wake_send(w->wake);
    }
}

void pool_cancel_all(struct pool *p)
{
    pool_flush(p);
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        lock(w);
        w->cancel = true;
        unlock(w);
        loop_wake_send(w->wake);
    }
}

void pool_stats(const struct pool *p, struct pool_stats *out)
{
    memset(out, 0, sizeof(*out));
    out->working = p->working;
    out->clock_offset_s = atomic_load(&p->clock_offset_s);
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        out->in_flight += w->in_flight;
        lock(w);
        out->http.calls += w->stats.calls;
        out->http.connections += w->stats.connections;
        out->http.bytes_sent += w->stats.bytes_sent;
        out->http.bytes_received += w->stats.bytes_received;
        unlock(w);
    }
}

void pool_tally(const struct pool *p, struct tally *sum)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        lock(w);
        tally_merge(sum, &w->tally);
        unlock(w);
    }
}

/* ---- making and unmaking ---- */

static char *copy(const char *s)
{
    return s != NULL ? mem_strdup(s) : NULL;
}

static void copy_cfg(struct pool *p, const struct pool_cfg *cfg)
{
    p->cfg = *cfg;
    p->cfg.transfer.acl = p->acl = copy(cfg->transfer.acl);
    options_copy(&p->cfg.transfer.options, &cfg->transfer.options);
    p->cfg.transfer.user_agent = p->user_agent = copy(cfg->transfer.user_agent);
    p->cfg.http.user_agent = p->http_user_agent = copy(cfg->http.user_agent);
    p->cfg.http.ca_file = p->ca_file = copy(cfg->http.ca_file);
    p->cfg.http.connections = cfg->connections > 0 ? cfg->connections : 1;
}

static void worker_init(struct pool *p, struct worker *w)
{
    w->pool = p;
    BUG_ON(pthread_mutex_init(&w->lock, NULL) != 0);
    w->endpoint = p->cfg.endpoint;
    w->next_share = 1;
    w->loop = loop_new();
    w->wake = loop_wake_new(w->loop, worker_woken, w);
    w->prepare = loop_prepare_new(w->loop, worker_prepare, w);
    w->linger = loop_timer_new(w->loop, linger_over, w);
    w->client = http_client_new(w->loop, &p->cfg.http);
    w->env = (struct transfer_env){
        .cfg = &p->cfg.transfer,
        .loop = w->loop,
        .http = w->client,
        .endpoint = &w->endpoint,
        .clock_offset_s = &w->clock_offset_s,
        .progress = worker_progress,
        .records = p->cfg.records,
        .arg = w,
    };
}

/* After its thread has ended, or if it never began. */
static void worker_fini(struct worker *w)
{
    loop_wake_free(w->wake);
    loop_free(w->loop);
    credentials_free(w->env.credentials);
    credentials_free(w->next_credentials);
    jobs_free(&w->staged);
    jobs_free(&w->inbox);
    jobs_free(&w->waiting);
    events_free(&w->gathered);
    events_free(&w->outbox);
    free(w->taken.at);
    BUG_ON(pthread_mutex_destroy(&w->lock) != 0);
}

/* Signals are the main thread's. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    BUG_ON(pthread_sigmask(SIG_SETMASK, &all, &before) != 0);
    failed = pthread_create(&w->thread, NULL, worker_main, w);
    BUG_ON(pthread_sigmask(SIG_SETMASK, &before, NULL) != 0);
    return failed;
}

enum rc pool_new(const struct pool_cfg *cfg, struct pool **out, struct err *e)
{
    struct pool *p;
    int failed = 0;

    if (cfg->threads < 1 || cfg->threads > 16)
        return err_set(e, RC_INVALID, "%u uploader threads: 1 to 16 are possible", cfg->threads);
    p = mem_alloc(sizeof(*p));
    copy_cfg(p, cfg);
    p->wake = loop_wake_new(cfg->loop, take_events, p);
    p->prepare = loop_prepare_new(cfg->loop, flush_before_wait, p);
    p->workers = mem_alloc(cfg->threads * sizeof(*p->workers));
    for (; p->n < cfg->threads; p->n++) {
        struct worker *w = &p->workers[p->n];

        worker_init(p, w);
        failed = start_thread(w);
        if (failed == 0)
            continue;
        worker_leave(w);
        worker_fini(w);
        pool_free(p);
        return err_sys(e, failed, "cannot start uploader thread %u", p->n + 1);
    }
    p->allowed = p->cfg.http.connections;
    set_working(p, all_work(p) ? most_working(p) : 1);
    *out = p;
    return RC_OK;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < p->n; i++) {
        struct worker *w = &p->workers[i];

        lock(w);
        w->stop = true;
        unlock(w);
        loop_wake_send(w->wake);
    }
    for (unsigned i = 0; i < p->n; i++) {
        BUG_ON(pthread_join(p->workers[i].thread, NULL) != 0);
        worker_fini(&p->workers[i]);
    }
    loop_wake_free(p->wake);
    loop_prepare_free(p->prepare);
    free(p->workers);
    options_fini(&p->cfg.transfer.options);
    free(p->acl);
    free(p->user_agent);
    free(p->http_user_agent);
    free(p->ca_file);
    free(p);
}
