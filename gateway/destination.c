/* The bucket as the gateway sees it: see destination.h.
 *
 * One breaker for the destination and one concurrency figure. Credentials are kept by keys.c and
 * shared with the uploader threads; a region learned from a redirect stays until the
 * next reload. Never touches a file or the ledger.
 */
#include "gateway/destination.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/keys.h"
#include "gateway/settings.h"

#include <stdlib.h>
#include <string.h>

/* A region that sends us on so soon leads in a circle: that is a refusal. */
#define REROUTE_AGAIN_MS 25000
/* How often a denial is a reason to ask for other keys. */
#define SUSPECT_AGAIN_MS 60000
/* On two processors that a store, the gateway and others share, a thread that never rests gets
 * little more than half of one. */
#define COMPANY_PERCENT 40
/* How long a probe, or what is left from before, is waited for alone. A large file may take hours,
 * and a request that hangs a minute. */
#define ALONE_MS UINT64_C(8000)
/* Other keys are there in a moment, or it is worth telling. */
#define REFUSED_TOLD_MS 2000

struct destination {
    struct destination_cfg cfg;
    struct endpoint endpoint;
    struct pool *pool;
    struct breaker breaker;
    struct concurrency concurrency;
    struct keys *keys;
    bool has_keys;
    bool refused; /* the store did not take the keys, others have been asked for */
    uint64_t refused_ms;
    struct err refused_why;
    struct loop_timer *probe_timer;
    uint64_t heard_ms;     /* when something was sent or ended last; 0: alone or not is the same */
    uint64_t rerouted_ms;  /* when a region was learned from an answer; 0: never */
    uint64_t suspected_ms; /* when a denial made us ask for other keys; 0: never */
    unsigned in_flight;
    struct destination_tally before; /* by the pools that this one replaced */
    unsigned old_in_flight;          /* of them: begun with keys that have been replaced since */
    struct err why;
};

/* ---- breaker ---- */

static const struct err asking = {.text = "the keys have been asked for and are awaited"};

static void wake_for_probe(struct destination *d)
{
    uint64_t wait = breaker_wait_ms(&d->breaker, loop_now_ms(d->cfg.loop));
    if (wait == UINT64_MAX)
        loop_timer_clear(d->probe_timer);
    else
        loop_timer_set(d->probe_timer, wait);
}

/* How long a probe still has to wait until what is in flight has ended. */
static uint64_t alone_in_ms(const struct destination *d)
{
    uint64_t end = d->heard_ms + ALONE_MS, now = loop_now_ms(d->cfg.loop);
    return d->in_flight == 0 || d->heard_ms == 0 || end <= now ? 0 : end - now;
}

static void tell_breaker(struct destination *d, enum breaker_event ev, const struct err *why,
                         uint64_t floor_ms)
{
    enum breaker_state before = d->breaker.state;
    breaker_tell(&d->breaker, ev, loop_now_ms(d->cfg.loop), floor_ms, &random_system);
    if (why)
        d->why = *why;
    if (d->breaker.state == BREAKER_OPEN)
        wake_for_probe(d);
    if (before == BREAKER_CLOSED && d->breaker.state != BREAKER_CLOSED)
        log_warning("destination_waits", F_STR("why", d->why.text), F_STR("code", d->why.code));
    if (before != BREAKER_CLOSED && d->breaker.state == BREAKER_CLOSED) {
        log_info("destination_back");
        d->why = (struct err){0};
        d->cfg.ready(d->cfg.arg);
    }
}

/* Try again now, whatever is waited for. */
static void kick(struct destination *d)
{
    tell_breaker(d, BREAKER_KICK, NULL, 0);
    d->cfg.ready(d->cfg.arg);
}

static void probe_due(void *arg)
{
    struct destination *d = arg;
    uint64_t wait = alone_in_ms(d);
    if (d->breaker.state == BREAKER_CLOSED)
        return;
    if (wait > 0)
        loop_timer_set(d->probe_timer, wait);
    else if (d->breaker.state == BREAKER_PROBING)
        tell_breaker(d, BREAKER_KICK, NULL, 0); /* another one, beside it */
    else
        d->cfg.ready(d->cfg.arg);
}

/* ---- credentials ---- */

static void keys_asked(void *arg, bool other)
{
    struct destination *d = arg;
    struct keys_status ks;
    bool first = !d->has_keys;
    keys_status(d->keys, &ks);
    if (ks.why.text[0] == '\0') {
        d->has_keys = true;
        pool_set_credentials(d->pool, keys_now(d->keys));
    } else if (first) {
        d->why = ks.why;
    }
    if (d->refused) {
        d->refused = false;
        /* The same keys refused again are a refusal; new ones are worth a try at once. */
        if (!other)
            tell_breaker(d, BREAKER_REFUSAL, ks.why.text[0] ? &ks.why : &d->refused_why, 0);
    }
    if (!other)
        return;
    d->old_in_flight = d->in_flight;
    if (first)
        d->why = (struct err){0};
    kick(d);
    if (!first)
        d->cfg.other_keys(d->cfg.arg);
}

static enum rc open_keys(struct destination *d, const struct config *c, struct keys **out,
                         struct err *e)
{
    struct keys_cfg kc = {.loop = d->cfg.loop, .asked = keys_asked, .arg = d};
    return keys_new(&kc, c, out, e);
}

/* ---- outcomes ---- */

/* The store does not take the keys any more. What was sent with keys that have been replaced since
 * says nothing of the new ones. */
static void refresh(struct destination *d, const struct err *why)
{
    if (d->old_in_flight > 0) {
        if (d->breaker.state == BREAKER_PROBING)
            tell_breaker(d, BREAKER_KICK, NULL, 0);
        return;
    }
    if (!d->refused)
        d->refused_ms = loop_now_ms(d->cfg.loop);
    d->refused = true;
    d->refused_why = *why;
    keys_ask(d->keys);
}

/* Several stores say AccessDenied of temporary keys that are dead, too (MinIO, once their user is
 * gone). Mostly it is a policy, so the file is refused all the same and the source is not asked
 * often; should it have other keys, what was refused is tried with them. */
static void suspect_keys(struct destination *d, const struct transfer_outcome *o)
{
    struct credentials *c = keys_now(d->keys);
    uint64_t now = loop_now_ms(d->cfg.loop);
    if (o->class != ANSWER_HOLD || strcmp(o->err.code, "AccessDenied") != 0 || !c ||
        !credentials_are_temporary(c) || d->old_in_flight > 0)
        return;
    if (d->suspected_ms != 0 && now - d->suspected_ms < SUSPECT_AGAIN_MS)
        return;
    d->suspected_ms = now;
    keys_ask(d->keys);
}

static void reroute(struct destination *d, const struct transfer_outcome *o)
{
    struct endpoint ep;
    struct err e = {0};
    struct endpoint_cfg ec = settings_endpoint(d->cfg.config);
    uint64_t now = loop_now_ms(d->cfg.loop);
    bool asked_there = strcmp(o->asked_region, d->endpoint.region) == 0;
    bool told_there = strcmp(o->region, d->endpoint.region) == 0;
    /* Answers to what was under way before the last change have nothing new to tell. */
    if (asked_there) {
        bool in_a_circle = d->rerouted_ms != 0 && now - d->rerouted_ms < REROUTE_AGAIN_MS;
        if (told_there || in_a_circle || endpoint_reroute(&ec, o->region, &ep, &e) != RC_OK) {
            tell_breaker(d, BREAKER_REFUSAL, &o->err, 0);
            return;
        }
        log_warning("destination_rerouted", F_STR("from", d->endpoint.region),
                    F_STR("to", ep.region), F_STR("remedy", "set bucket.region to it"));
        d->endpoint = ep;
        d->rerouted_ms = now;
        pool_set_endpoint(d->pool, &ep);
    }
    if (d->breaker.state == BREAKER_PROBING)
        tell_breaker(d, BREAKER_KICK, NULL, 0); /* the next one goes there, at once */
}

static void act_on_destination(struct destination *d, const struct transfer_outcome *o,
                               enum advice_destination what)
{
    switch (what) {
    case ADVICE_DEST_NOTHING:
        /* The store answered, whatever it said of this file: a probe has found it alive. */
        if (d->breaker.state == BREAKER_PROBING)
            tell_breaker(d, BREAKER_SUCCESS, NULL, 0);
        break;
    case ADVICE_DEST_SUCCESS:
        tell_breaker(d, BREAKER_SUCCESS, NULL, 0);
        concurrency_good(&d->concurrency, o->answer_us);
        pool_allow(d->pool, d->concurrency.now);
        break;
    case ADVICE_DEST_THROTTLED:
        concurrency_throttled(&d->concurrency, loop_now_ms(d->cfg.loop));
        pool_allow(d->pool, d->concurrency.now);
        tell_breaker(d, BREAKER_FAILURE, &o->err, o->retry_after_ms);
        break;
    case ADVICE_DEST_FAILURE:
        tell_breaker(d, BREAKER_FAILURE, &o->err, o->retry_after_ms);
        break;
    case ADVICE_DEST_REFUSED:
        tell_breaker(d, BREAKER_REFUSAL, &o->err, 0);
        break;
    case ADVICE_DEST_REFRESH:
        refresh(d, &o->err);
        break;
    case ADVICE_DEST_REROUTE:
        reroute(d, o);
        break;
    }
}

static void outcome(void *arg, const struct transfer_outcome *o)
{
    struct destination *d = arg;
    BUG_ON(d->in_flight == 0);
    d->in_flight--;
    d->heard_ms = loop_now_ms(d->cfg.loop);
    struct advice_verdict v = advice_of(o, d->cfg.refusals(d->cfg.arg, o->tag));
    if (o->result == TRANSFER_ANSWERED || v.destination != ADVICE_DEST_NOTHING)
        act_on_destination(d, o, v.destination);
    else if (d->breaker.state == BREAKER_PROBING)
        /* The file was no probe after all: the next one is, at once. */
        tell_breaker(d, BREAKER_KICK, NULL, 0);
    if (o->result == TRANSFER_ANSWERED)
        suspect_keys(d, o);
    if (d->old_in_flight > 0)
        d->old_in_flight--;
    enum advice a = v.file;
    /* While the destination as a whole waits, a file has nothing to wait for by itself. */
    if (a == ADVICE_DEFER && d->breaker.state != BREAKER_CLOSED &&
        v.destination != ADVICE_DEST_NOTHING)
        a = ADVICE_PUT_BACK;
    d->cfg.done(d->cfg.arg, o, a);
}

static void progress(void *arg, const struct transfer_progress *p)
{
    struct destination *d = arg;
    /* Of a large file the store takes part by part: that is an answer, too. */
    if (p->is_part && d->breaker.state == BREAKER_PROBING)
        tell_breaker(d, BREAKER_SUCCESS, NULL, 0);
    d->cfg.progress(d->cfg.arg, p);
}

/* ---- life ---- */

static enum rc open_pool(const struct destination *d, const struct config *c,
                         const struct endpoint *ep, struct pool **out, struct err *e)
{
    struct pool_cfg pc = {
        .loop = d->cfg.loop,
        .threads = d->cfg.threads,
        .connections = c->uploads,
        .company_percent = COMPANY_PERCENT,
        .endpoint = *ep,
        .transfer = settings_transfer(c, d->cfg.root_fd),
        .http = settings_http(c),
        .done = outcome,
        .progress = progress,
        .records = true,
        .arg = (void *)d,
    };
    pc.transfer.hand_on = c->after_delivery.action != CONFIG_KEEP;
    return pool_new(&pc, out, e);
}

enum rc destination_new(const struct destination_cfg *cfg, struct destination **out, struct err *e)
{
    struct destination *d = mem_alloc(sizeof *d);
    d->cfg = *cfg;
    breaker_init(&d->breaker);
    concurrency_init(&d->concurrency, cfg->config->uploads);
    struct endpoint_cfg ec = settings_endpoint(cfg->config);
    enum rc rc = endpoint_resolve(&ec, &d->endpoint, e);
    if (rc != RC_OK)
        goto out;
    if ((rc = open_pool(d, cfg->config, &d->endpoint, &d->pool, e)) != RC_OK)
        goto out;
    d->probe_timer = loop_timer_new(cfg->loop, probe_due, d);
    if ((rc = open_keys(d, cfg->config, &d->keys, e)) != RC_OK)
        goto out;
    d->why = asking;
    *out = d;
    return RC_OK;
out:
    destination_free(d);
    return rc;
}

void destination_free(struct destination *d)
{
    if (!d)
        return;
    pool_free(d->pool);
    loop_timer_free(d->probe_timer);
    keys_free(d->keys);
    free(d);
}

enum rc destination_reload(struct destination *d, const struct config *config, struct err *e)
{
    BUG_ON(d->in_flight > 0);
    struct endpoint ep;
    bool same_keys = keys_same_way(d->cfg.config, config);
    struct keys *keys = NULL;
    struct pool *pool = NULL;
    struct endpoint_cfg ec = settings_endpoint(config);
    enum rc rc = endpoint_resolve(&ec, &ep, e);
    if (rc == RC_OK)
        rc = open_pool(d, config, &ep, &pool, e);
    if (rc == RC_OK && !same_keys)
        rc = open_keys(d, config, &keys, e);
    if (rc != RC_OK) {
        pool_free(pool);
        return rc;
    }
    struct destination_tally sum;
    destination_tally(d, &sum);
    d->before = sum;
    pool_free(d->pool);
    d->pool = pool;
    if (same_keys) {
        keys_ask(d->keys);
        if (d->has_keys)
            pool_set_credentials(d->pool, keys_now(d->keys));
    } else {
        keys_free(d->keys);
        d->keys = keys;
        d->has_keys = d->refused = false;
    }
    d->old_in_flight = 0;
    d->endpoint = ep;
    d->rerouted_ms = d->suspected_ms = 0;
    d->cfg.config = config;
    concurrency_init(&d->concurrency, config->uploads);
    destination_kick(d);
    if (!d->has_keys)
        d->why = asking;
    return RC_OK;
}

/* At full concurrency each uploader thread has twice as many files waiting as it sends, so that it
 * need not wait for the main thread between two and can tell of many at once; a store that
 * throttles gets just what was decided. */
static unsigned slots_of(const struct destination *d)
{
    return d->concurrency.now == d->concurrency.max ? 3 * d->concurrency.max : d->concurrency.now;
}

unsigned destination_slots(struct destination *d)
{
    if (!d->has_keys || d->refused || d->in_flight >= slots_of(d))
        return 0;
    if (d->breaker.state == BREAKER_CLOSED)
        return slots_of(d) - d->in_flight;
    /* A probe goes alone, so that its answer says how things are now. */
    bool due = breaker_wait_ms(&d->breaker, loop_now_ms(d->cfg.loop)) == 0;
    return due && alone_in_ms(d) == 0 ? 1 : 0;
}

void destination_submit(struct destination *d, struct transfer_job *job)
{
    bool allowed = breaker_allows(&d->breaker, loop_now_ms(d->cfg.loop));
    BUG_ON(!allowed);
    d->in_flight++;
    d->heard_ms = loop_now_ms(d->cfg.loop);
    if (d->breaker.state == BREAKER_PROBING)
        loop_timer_set(d->probe_timer, ALONE_MS);
    pool_submit(d->pool, job);
}

void destination_cancel_all(struct destination *d)
{
    pool_cancel_all(d->pool);
}

void destination_kick(struct destination *d)
{
    d->heard_ms = 0;
    if (!d->has_keys)
        keys_ask(d->keys);
    kick(d);
}

void destination_recorded(struct destination *d, unsigned worker)
{
    pool_recorded(d->pool, worker);
}

void destination_tally(struct destination *d, struct destination_tally *out)
{
    struct pool_stats now;
    *out = d->before;
    pool_stats(d->pool, &now);
    pool_tally(d->pool, &out->requests);
    out->http.calls += now.http.calls;
    out->http.connections += now.http.connections;
    out->http.bytes_sent += now.http.bytes_sent;
    out->http.bytes_received += now.http.bytes_received;
}

void destination_status(struct destination *d, struct destination_status *out)
{
    uint64_t now = loop_now_ms(d->cfg.loop);
    struct credentials *c = keys_now(d->keys);
    *out = (struct destination_status){
        .state = d->breaker.state,
        .why = d->why,
        .since_ms = d->breaker.state == BREAKER_CLOSED ? 0 : now - d->breaker.opened_ms,
        .next_probe_ms = breaker_wait_ms(&d->breaker, now),
        .in_flight = d->in_flight,
        .concurrency = d->concurrency.now,
        .credentials_expire = INT64_MAX,
        .has_credentials = d->has_keys,
    };
    if (d->refused && now - d->refused_ms > REFUSED_TOLD_MS) {
        out->state = BREAKER_OPEN;
        out->why = d->refused_why;
        out->since_ms = now - d->refused_ms;
    }
    keys_status(d->keys, &out->keys);
    pool_stats(d->pool, &out->pool);
    memcpy(out->endpoint, d->endpoint.origin, sizeof out->endpoint);
    memcpy(out->bucket, d->endpoint.bucket, sizeof out->bucket);
    memcpy(out->region, d->endpoint.region, sizeof out->region);
    if (!c)
        return;
    text_copy(out->credentials_origin, sizeof out->credentials_origin, credentials_origin(c));
    text_copy(out->access_key_id, sizeof out->access_key_id, credentials_access_key_id(c));
    out->credentials_expire = credentials_expires(c);
}
