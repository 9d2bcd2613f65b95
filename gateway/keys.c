/* The keys that are in use: see keys.h.
 *
 * The source belongs to the worker thread while that asks, and to the main thread otherwise. A
 * failure is told once, when its words change, and tried again ever later, up to half a minute; a
 * file that changes is noticed within seconds all the same. No secret goes into a log line. */
#include "gateway/keys.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"
#include "gateway/settings.h"
#include "uploader/retry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS        5000 /* how often files are looked at */
#define RETRY_LEAST_MS 2000 /* between two askings that fail */

struct keys {
    struct keys_cfg cfg;
    struct credentials_source *source;
    struct credentials *now;
    struct loop_timer *timer;
    /* Of its own and not of the loop's pool, where it would keep others waiting for a minute. */
    pthread_t thread;
    bool threaded; /* false: the system had none */
    struct loop_wake *wake;
    uint64_t next_ms;  /* on the loop's clock; UINT64_MAX: when a file changes */
    unsigned failures; /* in a row */
    struct keys_status status;
    /* Of the asking under way: the worker's until it is done. */
    struct credentials *fresh;
    enum rc rc;
    struct err err;
};

static void set_timer(struct keys *k)
{
    uint64_t now = loop_now_ms(k->cfg.loop);
    uint64_t wait = k->next_ms <= now ? 0 : k->next_ms - now;
    loop_timer_set(k->timer, wait < LOOK_MS ? wait : LOOK_MS);
}

static void *run(void *arg)
{
    struct keys *k = arg;
    k->rc = credentials_source_get(k->source, &k->fresh, &k->err);
    loop_wake_send(k->wake);
    return NULL;
}

static bool take_failure(struct keys *k)
{
    k->status.failed++;
    k->failures++;
    if (strcmp(k->status.why.text, k->err.text) != 0)
        log_error(k->now ? "credentials_not_renewed" : "credentials_missing",
                  F_STR("why", k->err.text));
    k->status.why = k->err;
    k->next_ms =
        loop_now_ms(k->cfg.loop) + retry_delay_ms(k->failures, RETRY_LEAST_MS, &random_system);
    return false;
}

static bool take_keys(struct keys *k)
{
    struct credentials *fresh = k->fresh, *old = k->now;
    const char *id = credentials_access_key_id(fresh);
    bool other =
        !old || strcmp(id, credentials_access_key_id(old)) != 0 ||
        strcmp(credentials_secret_access_key(fresh), credentials_secret_access_key(old)) != 0;
    const char *token = credentials_session_token(fresh);
    const char *old_token = old ? credentials_session_token(old) : NULL;
    other = other || !token != !old_token || (token && strcmp(token, old_token) != 0);
    k->fresh = NULL;
    k->now = fresh;
    credentials_free(old);
    if (other)
        log_info("credentials", F_STR("origin", credentials_origin(fresh)),
                 F_STR("access_key_id", id));
    k->failures = 0;
    k->status.why = (struct err){0};
    uint64_t in = credentials_refresh_in_ms(fresh, clock_wall_now_ns() / CLOCK_NS_PER_S);
    k->next_ms = in == UINT64_MAX ? in : loop_now_ms(k->cfg.loop) + in;
    return other;
}

static void done(void *arg)
{
    struct keys *k = arg;
    /* It has sent the wake, so it ends. */
    BUG_ON(k->threaded && pthread_join(k->thread, NULL) != 0);
    k->status.asking = false;
    bool other = k->rc == RC_OK ? take_keys(k) : take_failure(k);
    set_timer(k);
    k->cfg.asked(k->cfg.arg, other);
}

void keys_ask(struct keys *k)
{
    if (k->status.asking)
        return;
    k->status.asking = true;
    k->status.asked++;
    k->err = (struct err){0};
    loop_timer_clear(k->timer);
    int error = pthread_create(&k->thread, NULL, run, k);
    k->threaded = error == 0;
    if (error != 0) {
        k->rc = err_sys(&k->err, error, "no thread to get the keys with");
        loop_wake_send(k->wake);
    }
}

/* The wall clock may have jumped, or the machine slept, while the loop's clock stood. */
static bool is_due(const struct keys *k)
{
    if (loop_now_ms(k->cfg.loop) >= k->next_ms)
        return true;
    if (!k->now || k->failures > 0)
        return false;
    uint64_t in = credentials_refresh_in_ms(k->now, clock_wall_now_ns() / CLOCK_NS_PER_S);
    return in <= 1000;
}

static void look(void *arg)
{
    struct keys *k = arg;
    if (is_due(k) || credentials_source_changed(k->source))
        keys_ask(k);
    else
        set_timer(k);
}

/* All that settings_credentials takes from a configuration. */
static json_t *way_of(const struct config *c)
{
    static const char *const of_bucket[] = {"region", "ca_file", "allow_http", "fips"};
    json_t *all = config_to_json(c), *bucket = json_object_get(all, "bucket");
    json_t *way = json_pack("{s:O}", "credentials", json_object_get(all, "credentials"));
    for (size_t i = 0; i < sizeof of_bucket / sizeof of_bucket[0]; i++)
        json_object_set(way, of_bucket[i], json_object_get(bucket, of_bucket[i]));
    json_decref(all);
    return way;
}

bool keys_same_way(const struct config *a, const struct config *b)
{
    json_t *x = way_of(a), *y = way_of(b);
    bool same = json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

enum rc keys_new(const struct keys_cfg *cfg, const struct config *config, struct keys **out,
                 struct err *e)
{
    struct credentials_cfg cc = settings_credentials(config);
    struct credentials_source *source;
    enum rc rc = credentials_source_new(&cc, &source, e);
    if (rc != RC_OK)
        return rc;
    struct keys *k = mem_alloc(sizeof *k);
    k->cfg = *cfg;
    k->source = source;
    k->timer = loop_timer_new(cfg->loop, look, k);
    k->wake = loop_wake_new(cfg->loop, done, k);
    keys_ask(k);
    *out = k;
    return RC_OK;
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    credentials_source_stop(k->source);
    if (k->status.asking) {
        BUG_ON(k->threaded && pthread_join(k->thread, NULL) != 0);
        credentials_free(k->fresh);
    }
    loop_wake_free(k->wake);
    loop_timer_free(k->timer);
    credentials_source_free(k->source);
    credentials_free(k->now);
    free(k);
}

struct credentials *keys_now(const struct keys *k)
{
    return k->now;
}

void keys_status(const struct keys *k, struct keys_status *out)
{
    uint64_t now = loop_now_ms(k->cfg.loop);
    *out = k->status;
    out->next_ms = k->next_ms == UINT64_MAX ? UINT64_MAX : k->next_ms > now ? k->next_ms - now : 0;
}
