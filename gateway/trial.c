/* The test message: see trial.h. It is written into a temporary directory and sent from there by an
 * ordinary transfer, so that nothing of the spool is touched.
 */
#include "gateway/trial.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/random.h"
#include "base/text.h"
#include "gateway/ask.h"
#include "gateway/settings.h"
#include "spool/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 60000
/* What takes longer is told as what it is, before the above ends everything without a reason. */
#define CONNECT_MAX_MS 20000
#define SILENT_MAX_MS  30000
#define TICK_MS        200
/* Once with what is configured, then with the region or the keys that the answer asked for. */
#define TRIES_MAX 3
#define NAME      "message"

struct sending {
    const struct config *config;
    struct trial *trial;
    const atomic_bool *stop; /* NULL: none */
    struct loop *loop;
    struct loop_timer *tick;
    char dir[PATH_MAX];
    int dir_fd;
    struct identity id;
    struct buf line; /* the message */
    struct endpoint endpoint;
    struct credentials_source *source;
    struct credentials *credentials;
    bool ended;
};

/* ---- the message ---- */

static void compose(struct sending *s)
{
    char now[CLOCK_RFC3339_SIZE], host[256] = "";
    (void)gethostname(host, sizeof host - 1); /* only told */
    clock_rfc3339(now, clock_wall_now_ns());
    json_t *v =
        json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", "test", "source", "spoolgate", "host",
                  json_text(host, strlen(host)), "account", s->config->account_name, "time", now);
    json_write(&s->line, v);
    json_decref(v);
    buf_addc(&s->line, '\n');
}

/* Where temporary files are; or, since the sandbox lets the daemon have none there, in the state.
 */
static bool make_directory(struct sending *s)
{
    const char *tmp = getenv("TMPDIR");
    const char *const places[] = {tmp ? tmp : "/tmp", s->config->state};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int n = snprintf(s->dir, sizeof s->dir, "%s/spoolgate-test-XXXXXX", places[i]);
        if (n > 0 && (size_t)n < sizeof s->dir && mkdtemp(s->dir))
            return true;
    }
    return false;
}

static enum rc write_message(struct sending *s, struct err *e)
{
    struct file_stat st;
    compose(s);
    if (!make_directory(s)) {
        int why = errno;
        s->dir[0] = '\0';
        return err_set(e, RC_IO,
                       "cannot make a temporary directory: %s; set TMPDIR to one that can be "
                       "written",
                       strerror(why));
    }
    s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd =
        s->dir_fd < 0 ? -1 : openat(s->dir_fd, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, errno, "cannot write in %s", s->dir);
    enum rc rc = fsio_write_all(&fsio_system, fd, s->line.data, s->line.len, 0, e);
    if (close(fd) != 0 && rc == RC_OK)
        rc = err_sys(e, errno, "cannot write in %s", s->dir);
    if (rc != RC_OK)
        return rc;
    int got = fsio_system.ops->stat(fsio_system.ctx, s->dir_fd, NAME, &st);
    if (got < 0)
        return err_sys(e, got, "cannot look at the message in %s", s->dir);
    s->id = st.id;
    return RC_OK;
}

static void remove_message(struct sending *s)
{
    /* What cannot be removed is a small file in the temporary directory. */
    if (s->dir_fd >= 0) {
        (void)unlinkat(s->dir_fd, NAME, 0);
        (void)close(s->dir_fd);
    }
    if (s->dir[0] != '\0')
        (void)rmdir(s->dir);
}

static enum rc make_key(struct sending *s, struct err *e)
{
    struct layout *layout = NULL;
    char date[CLOCK_DATE_SIZE], amz[CLOCK_AMZ_SIZE], name[64];
    int64_t now_s = clock_wall_now_ns() / CLOCK_NS_PER_S;
    struct buf path, key;
    enum rc rc = layout_new(s->config->layout, s->config->prefix, &layout, e);
    if (rc != RC_OK)
        return rc;
    buf_init(&path, 4096);
    buf_init(&key, TRANSFER_KEY_MAX);
    clock_date(date, now_s);
    clock_amz(amz, now_s);
    (void)snprintf(name, sizeof name, "spoolgate-test-%s-%08x.json", amz, random_below(UINT32_MAX));
    layout_path(layout, "test", date, s->config->account_name, name, &path);
    layout_key(layout, path.data, path.len, &key);
    if (key.overflow)
        rc = err_set(e, RC_LIMIT,
                     "the test message's key would be over 1024 bytes; use a shorter prefix or "
                     "account_name");
    else
        text_copy(s->trial->key, sizeof s->trial->key, key.data);
    buf_fini(&path);
    buf_fini(&key);
    layout_free(layout);
    return rc;
}

/* ---- keys ---- */

/* True: there are keys, and they are not those that we had. */
static bool take_keys(struct sending *s)
{
    struct trial *t = s->trial;
    struct credentials *fresh = NULL;
    if (credentials_source_get(s->source, &fresh, &t->err) != RC_OK)
        return false;
    bool other = !s->credentials || strcmp(credentials_access_key_id(fresh), t->access_key_id) != 0;
    credentials_free(s->credentials);
    s->credentials = fresh;
    text_copy(t->origin, sizeof t->origin, credentials_origin(fresh));
    text_copy(t->access_key_id, sizeof t->access_key_id, credentials_access_key_id(fresh));
    t->temporary = credentials_are_temporary(fresh);
    return other;
}

/* ---- sending ---- */

static void on_done(void *arg, const struct transfer_outcome *o)
{
    struct sending *s = arg;
    s->trial->outcome = *o;
    s->ended = true;
}

static void on_progress(void *arg, const struct transfer_progress *p)
{
    (void)arg;
    (void)p; /* one line is no multipart upload */
}

static bool is_stopped(const struct sending *s)
{
    return s->stop && atomic_load(s->stop);
}

/* So that the loop turns, and somebody looks whether it is to stop. */
static void on_tick(void *arg)
{
    struct sending *s = arg;
    loop_timer_set(s->tick, TICK_MS);
}

static void send_once(struct sending *s, struct http_client *http, struct transfer_cfg *cfg)
{
    struct transfer_env env = {
        .cfg = cfg,
        .loop = s->loop,
        .http = http,
        .endpoint = &s->endpoint,
        .credentials = s->credentials,
        .clock_offset_s = &s->trial->clock_offset_s,
        .progress = on_progress,
        .arg = s,
    };
    uint64_t end_ms = loop_now_ms(s->loop) + TIMEOUT_MS;
    s->ended = false;
    (void)transfer_start(&env, transfer_job_new(1, NAME, s->trial->key, &s->id), on_done, s);
    while (!s->ended && !is_stopped(s) && loop_now_ms(s->loop) < end_ms)
        loop_step(s->loop, true);
    transfer_env_fini(&env);
}

/* Does the answer ask for something that can be given at once? */
static bool try_again(struct sending *s)
{
    const struct transfer_outcome *o = &s->trial->outcome;
    struct endpoint_cfg ec = settings_endpoint(s->config);
    struct err e;
    if (o->result != TRANSFER_ANSWERED)
        return false;
    if (o->class == ANSWER_REROUTE)
        return strcmp(o->region, s->endpoint.region) != 0 &&
               endpoint_reroute(&ec, o->region, &s->endpoint, &e) == RC_OK;
    return o->class == ANSWER_REFRESH && take_keys(s);
}

static void shorten(uint64_t *limit_ms, uint64_t max_ms)
{
    if (*limit_ms > max_ms)
        *limit_ms = max_ms;
}

static void send_message(struct sending *s)
{
    struct trial *t = s->trial;
    struct http_cfg hc = settings_http(s->config);
    struct transfer_cfg tc = settings_transfer(s->config, s->dir_fd);
    hc.connections = 1;
    shorten(&hc.connect_ms, CONNECT_MAX_MS);
    shorten(&hc.first_byte_ms, SILENT_MAX_MS);
    shorten(&hc.stall_ms, SILENT_MAX_MS);
    struct http_client *http = http_client_new(s->loop, &hc);
    t->stage = TRIAL_SENT;
    for (int i = 0; i < TRIES_MAX; i++) {
        send_once(s, http, &tc);
        if (is_stopped(s) || !try_again(s))
            break;
    }
    http_client_free(http);
    t->arrived = t->outcome.result == TRANSFER_STORED || t->outcome.result == TRANSFER_VERIFIED;
    text_copy(t->region, sizeof t->region, s->endpoint.region);
    text_copy(t->endpoint, sizeof t->endpoint, s->endpoint.origin);
}

/* ---- asking ---- */

static void ask(struct sending *s)
{
    struct trial *t = s->trial;
    struct asker a = {.config = s->config,
                      .endpoint = &s->endpoint,
                      .keys = s->credentials,
                      .clock_offset_s = t->clock_offset_s,
                      .stop = s->stop};
    if (t->arrived) {
        ask_store(&a, REQUEST_GET_OBJECT, t->outcome.key, &t->readback);
        ask_store(&a, REQUEST_GET_OBJECT_ACL, t->outcome.key, &t->acl);
        t->same_bytes = t->readback.rc == RC_OK && t->readback.body_len == s->line.len &&
                        memcmp(t->readback.body, s->line.data, s->line.len) == 0;
        return;
    }
    bool refused = t->outcome.result == TRANSFER_ANSWERED && t->outcome.err.http_status >= 400 &&
                   t->outcome.err.http_status < 500;
    if (!refused)
        return;
    ask_store(&a, REQUEST_GET_BUCKET_LOCATION, "", &t->location);
    ask_store(&a, REQUEST_GET_OBJECT, t->key, &t->object);
    ask_store(&a, REQUEST_LIST_MULTIPARTS, "", &t->uploads);
}

static void log_it(const struct trial *t)
{
    const struct err *why = t->stage == TRIAL_SENT ? &t->outcome.err : &t->err;
    if (t->arrived)
        log_info("test_delivered", F_STR("key", t->key), F_STR("endpoint", t->endpoint));
    else
        log_warning("test_failed", F_STR("key", t->key), F_STR("endpoint", t->endpoint),
                    F_STR("code", why->code), F_STR("why", why->text));
}

void trial_run(const struct config *c, const atomic_bool *stop, struct trial *out)
{
    struct endpoint_cfg ec = settings_endpoint(c);
    struct credentials_cfg cc = settings_credentials(c);
    struct sending s = {.config = c, .trial = out, .stop = stop, .dir_fd = -1};
    cc.stop = stop;
    *out = (struct trial){.stage = TRIAL_LOCAL};
    s.loop = loop_new();
    s.tick = loop_timer_new(s.loop, on_tick, &s);
    on_tick(&s);
    buf_init(&s.line, 4096);
    text_copy(out->region, sizeof out->region, c->bucket.region);
    if (make_key(&s, &out->err) != RC_OK || write_message(&s, &out->err) != RC_OK ||
        endpoint_resolve(&ec, &s.endpoint, &out->err) != RC_OK)
        goto out;
    text_copy(out->endpoint, sizeof out->endpoint, s.endpoint.origin);
    out->stage = TRIAL_CREDENTIALS;
    if (credentials_source_new(&cc, &s.source, &out->err) != RC_OK || !take_keys(&s))
        goto out;
    send_message(&s);
    if (!is_stopped(&s))
        ask(&s);
out:
    if (!is_stopped(&s))
        log_it(out);
    credentials_source_free(s.source);
    credentials_free(s.credentials);
    remove_message(&s);
    buf_fini(&s.line);
    loop_timer_free(s.tick);
    loop_free(s.loop);
}

void trial_fini(struct trial *t)
{
    question_answer_fini(&t->readback);
    question_answer_fini(&t->acl);
    question_answer_fini(&t->location);
    question_answer_fini(&t->object);
    question_answer_fini(&t->uploads);
}
