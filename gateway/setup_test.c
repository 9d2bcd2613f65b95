/* A test message for a page, and the saving of what was tested: see setup_api.h. A test takes as
 * long as the store does, so it runs on a thread of its own, one at a time, and nothing of the
 * gateway waits for it: not the loop, and not the pool, which syncs the journal. That thread has
 * copies of all it uses.
 */
#include "gateway/setup_api_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/cause.h"
#include "gateway/config_diff.h"
#include "gateway/sandbox.h"
#include "gateway/setup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Of a test by somebody who looks on: an answer that takes longer is the answer. */
#define CONNECT_MS    5000
#define FIRST_BYTE_MS 15000

enum { ACCOUNT, BUCKET, ROLE, EXTERNAL_ID, REGION, ENDPOINT, CA_FILE, TEXTS };
static const char *const names[TEXTS] = {
    [ACCOUNT] = "account_name",    [BUCKET] = "bucket_arn", [ROLE] = "role_arn",
    [EXTERNAL_ID] = "external_id", [REGION] = "region",     [ENDPOINT] = "endpoint",
    [CA_FILE] = "ca_file",
};

struct job {
    struct setup_test *owner;
    struct control_pending *pending;
    bool save, anyway;
    char texts[TEXTS][SETUP_TEXT_MAX + 1]; /* "": not given */
    struct setup setup;                    /* its texts are those, its existing is ours */
    const char *left_out[4]; /* keys of the file that were not given, and are not kept */
    size_t n_left_out;
    /* What came of it. */
    char region[64]; /* that was found */
    bool has_region;
    struct config *config; /* NULL: it is wrong, as faults have it */
    struct config_faults faults;
    struct trial trial;
    bool tried;
    uint64_t took_ms;
    struct config *saved; /* read again; NULL: nothing was */
    struct err err;       /* of the saving */
};

struct setup_test {
    struct setup_api_cfg cfg;
    struct job *job; /* NULL: none is under way */
    pthread_t thread;
    struct loop_wake *wake;
    atomic_bool stop;
};

/* ---- what was asked for ---- */

static size_t which(const char *name)
{
    size_t i = 0;
    while (i < TEXTS && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static void read_member(struct job *j, const char *name, const json_t *value, json_t *faults)
{
    size_t i = which(name);
    if (i < TEXTS) {
        if (!setup_text(value, j->texts[i]))
            setup_fault(faults, name, "expected a text of at most 2048 bytes");
    } else if (strcmp(name, "path_style") == 0 && json_is_boolean(value)) {
        j->setup.path_style = json_is_true(value);
    } else if (strcmp(name, "anyway") == 0 && json_is_boolean(value) && j->save) {
        j->anyway = json_is_true(value);
    } else {
        setup_fault(faults, name, "this is none of the settings, or not true or false");
    }
}

static json_t *read_settings(struct job *j, json_t *body)
{
    json_t *faults = json_array(), *value;
    const char *name;
    json_object_foreach(body, name, value) read_member(j, name, value, faults);
    if (j->texts[ACCOUNT][0] == '\0')
        setup_fault(faults, names[ACCOUNT], "the account's name is missing");
    if (j->texts[BUCKET][0] == '\0')
        setup_fault(faults, names[BUCKET], "the bucket's ARN is missing");
    return faults;
}

static const char *given(const struct job *j, size_t i)
{
    return j->texts[i][0] ? j->texts[i] : NULL;
}

static void leave_out(struct job *j, json_t *o, const char *name, const char *path)
{
    const json_t *now = json_object_get(o, name);
    if (!now)
        return;
    if (!json_is_null(now) && !json_is_false(now)) {
        BUG_ON(j->n_left_out == sizeof j->left_out / sizeof j->left_out[0]);
        j->left_out[j->n_left_out++] = path;
    }
    json_object_del(o, name);
}

/* What was not given is not configured afterwards. */
static void lay_over(struct job *j)
{
    struct setup *s = &j->setup;
    json_t *bucket = json_object_get(s->existing, "bucket"), *role = setup_last_role(s);
    const char *now = json_string_value(json_object_get(role, "arn"));
    s->account = j->texts[ACCOUNT];
    s->bucket_arn = j->texts[BUCKET];
    s->role = given(j, ROLE);
    s->external_id = given(j, EXTERNAL_ID);
    s->region = given(j, REGION);
    s->endpoint = given(j, ENDPOINT);
    s->ca_file = given(j, CA_FILE);
    s->keys_as_they_are = !s->role;
    if (!s->endpoint)
        leave_out(j, bucket, "endpoint", "bucket.endpoint");
    if (!s->ca_file)
        leave_out(j, bucket, "ca_file", "bucket.ca_file");
    if (!s->path_style)
        leave_out(j, bucket, "path_style", "bucket.path_style");
    if (!s->role || !now || strcmp(now, s->role) != 0)
        return;
    if (s->external_id)
        json_object_set_new(role, "external_id", json_text(s->external_id, strlen(s->external_id)));
    else
        leave_out(j, role, "external_id", "external_id of the role");
    s->role = NULL; /* it stays, with those before it and its other settings */
}

/* Before there is a region, one that fits stands in for it, so that the other faults are told. */
static void check_settings(struct job *j, const char *region)
{
    config_faults_fini(&j->faults);
    j->faults = (struct config_faults){0};
    config_free(j->config);
    j->config = NULL;
    if (setup_config(&j->setup, "", region, &j->config, &j->faults) != RC_OK)
        return;
    if (j->config->timeouts.connect_ms > CONNECT_MS)
        j->config->timeouts.connect_ms = CONNECT_MS;
    if (j->config->timeouts.first_byte_ms > FIRST_BYTE_MS)
        j->config->timeouts.first_byte_ms = FIRST_BYTE_MS;
}

/* ---- on the thread ---- */

static void find_region(struct job *j)
{
    const char *known = setup_existing(&j->setup, "bucket.region");
    if (!known)
        known = getenv("AWS_REGION");
    if (!known)
        known = getenv("AWS_DEFAULT_REGION");
    if (!setup_find_region(&j->setup, j->region))
        text_copy(j->region, sizeof j->region, known);
    j->has_region = j->region[0] != '\0';
    if (!j->has_region)
        return;
    j->setup.region = j->region;
    check_settings(j, "");
}

static void save(struct job *j)
{
    struct config_faults faults = {0};
    if (setup_save(&j->setup, &j->err) == RC_OK &&
        config_load(j->setup.path, &j->saved, &faults) != RC_OK)
        (void)err_set(&j->err, RC_CHANGED, "%s was changed by somebody else: look at it",
                      j->setup.path);
    config_faults_fini(&faults);
}

static void *run(void *arg)
{
    struct job *j = arg;
    struct setup_test *t = j->owner;
    int64_t began = clock_mono_now_ns();
    if (!j->has_region)
        find_region(j);
    if (j->has_region && j->config && !atomic_load(&t->stop)) {
        trial_run(j->config, &t->stop, &j->trial);
        j->tried = true;
    }
    j->took_ms = (uint64_t)((clock_mono_now_ns() - began) / CLOCK_NS_PER_MS);
    if (j->save && j->tried && (j->trial.arrived || j->anyway) && !atomic_load(&t->stop))
        save(j);
    loop_wake_send(t->wake);
    return NULL;
}

static void job_free(struct job *j)
{
    if (j->tried)
        trial_fini(&j->trial);
    config_faults_fini(&j->faults);
    config_free(j->config);
    config_free(j->saved);
    json_decref(j->setup.existing);
    free(j);
}

/* ---- what came of it ---- */

static void set_text(json_t *o, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(o, name, json_text(text, strlen(text)));
}

static json_t *remarks_of(const struct cause *causes, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        set_text(o, "code", causes[i].id);
        set_text(o, "cause", causes[i].what);
        set_text(o, "remedy", causes[i].remedy);
        json_array_append_new(list, o);
    }
    return list;
}

static const char *sentence_of(const struct trial *t, const struct cause *c)
{
    if (c->ok)
        return c->what;
    return t->stage == TRIAL_SENT ? "The test message did not arrive"
                                  : "The test message could not be sent";
}

static json_t *verdict(const struct job *j)
{
    const struct trial *t = &j->trial;
    struct cause causes[CAUSES_MAX];
    size_t n = cause_of(j->config, t, causes);
    const struct cause *c = &causes[0];
    const char *code = t->outcome.err.code[0] ? t->outcome.err.code : c->id;
    json_t *v = json_pack("{s:b}", "ok", c->ok);
    set_text(v, "sentence", sentence_of(t, c));
    set_text(v, "cause", c->ok ? NULL : c->what);
    set_text(v, "remedy", c->remedy);
    set_text(v, "code", c->ok ? NULL : code);
    set_text(v, "key", t->arrived ? t->outcome.key : t->key);
    set_text(v, "region", t->region);
    set_text(v, "endpoint", t->endpoint);
    set_text(v, "credentials_origin", t->origin);
    if (c->statement[0])
        json_object_set_new(v, "statement", json_loads(c->statement, 0, NULL));
    json_object_set_new(v, "remarks", remarks_of(causes + 1, n - 1));
    json_object_set_new(v, "took_ms", json_integer((json_int_t)j->took_ms));
    return v;
}

/* The keys for which the gateway that runs has to be started again. */
static json_t *restart_for(const struct config *now, const struct config *saved)
{
    json_t *a, *b, *keys, *restart;
    if (!now)
        return json_array();
    a = config_to_json(now);
    b = config_to_json(saved);
    keys = config_diff(a, b);
    restart = config_diff_restart(keys);
    json_decref(keys);
    json_decref(a);
    json_decref(b);
    return restart;
}

static void answer_saved(struct job *j, json_t *v)
{
    const struct setup_api_cfg *cfg = &j->owner->cfg;
    json_object_set_new(v, "saved", json_boolean(j->saved != NULL));
    if (!j->saved)
        return;
    json_t *restart = restart_for(api_config(cfg->api), j->saved);
    set_text(v, "path", cfg->path);
    if (json_array_size(restart) == 0 && cfg->saved)
        cfg->saved(cfg->arg);
    json_object_set_new(v, "restart", restart);
}

static void answer_job(struct job *j, struct control_answer *a)
{
    if (!j->has_region) {
        json_t *faults = json_array();
        setup_fault(faults, names[REGION],
                    "the store does not say in which region the bucket is: name it, such as "
                    "eu-central-1");
        setup_refuse(a, faults);
    } else if (!j->tried) {
        setup_refuse(a, config_diff_errors(&j->faults));
    } else if (j->err.rc != RC_OK) {
        api_err(a, j->err.rc, &j->err);
    } else {
        json_t *v = verdict(j);
        if (j->save)
            answer_saved(j, v);
        api_json(a, v);
    }
}

static void done(void *arg)
{
    struct setup_test *t = arg;
    struct job *j = t->job;
    struct control_answer a;
    BUG_ON(pthread_join(t->thread, NULL) != 0); /* it has sent the wake, so it ends */
    t->job = NULL;
    control_answer_init(&a);
    answer_job(j, &a);
    control_answer_late(j->pending, &a);
    job_free(j);
}

/* ---- from the request to the thread ---- */

/* As a shell takes it. */
static void add_word(struct buf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./:@%+=,-";
    buf_addc(b, ' ');
    if (*word && word[strspn(word, plain)] == '\0') {
        buf_adds(b, word);
        return;
    }
    buf_addc(b, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_adds(b, "'\\''");
        else
            buf_addc(b, *word);
    }
    buf_addc(b, '\'');
}

/* What somebody who may write the file has to type for the same; the command sets, and leaves what
 * it is not given. */
static void command_of(const struct job *j, struct buf *b)
{
    static const char *const flags[TEXTS] = {
        [ACCOUNT] = "--account",         [BUCKET] = "--bucket-arn", [ROLE] = "--role",
        [EXTERNAL_ID] = "--external-id", [REGION] = "--region",     [ENDPOINT] = "--endpoint",
        [CA_FILE] = "--ca-file",
    };
    buf_adds(b, "spoolgate setup -c");
    add_word(b, j->setup.path);
    for (size_t i = 0; i < TEXTS; i++) {
        if (!given(j, i))
            continue;
        buf_addf(b, " %s", flags[i]);
        add_word(b, j->texts[i]);
    }
    buf_adds(b, j->setup.keys_as_they_are ? " --keys-as-they-are" : "");
    buf_adds(b, j->setup.path_style ? " --path-style" : "");
    buf_adds(b, " --yes");
}

static void refuse_to_write(const struct job *j, const struct err *e, struct control_answer *a)
{
    struct buf remedy;
    buf_init(&remedy, 65536);
    buf_adds(&remedy, "as one who may write it");
    for (size_t i = 0; i < j->n_left_out; i++)
        buf_addf(&remedy, "%s%s", i == 0 ? " remove " : ", ", j->left_out[i]);
    buf_adds(&remedy, j->n_left_out > 0 ? " from it by hand, then run: " : " run: ");
    command_of(j, &remedy);
    buf_adds(&remedy, "; then reload the gateway: systemctl reload spoolgate");
    api_problem_full(a,
                     &(struct api_problem){.status = 403, .title = e->text, .remedy = remedy.data});
    buf_fini(&remedy);
}

/* Everything that can be said without asking the store; false: a says what is wrong. */
static bool prepare(struct job *j, json_t *body, struct control_answer *a)
{
    struct err e = {0};
    json_t *faults = read_settings(j, body);
    if (json_array_size(faults) > 0) {
        setup_refuse(a, faults);
        return false;
    }
    json_decref(faults);
    enum rc rc = setup_read(&j->setup, &e);
    if (rc == RC_OK) {
        lay_over(j);
        rc = setup_same_bucket(&j->setup, &e);
    }
    if (rc != RC_OK) {
        api_err(a, rc, &e);
        return false;
    }
    if (j->save && setup_may_save(&j->setup, &e) != RC_OK) {
        refuse_to_write(j, &e, a);
        return false;
    }
    check_settings(j, setup_first_region(&j->setup));
    if (!j->config) {
        setup_refuse(a, config_diff_errors(&j->faults));
        return false;
    }
    if (sandbox_admits(j->config, &e) != RC_OK) {
        api_problem(a, 409, e.text);
        return false;
    }
    return true;
}

/* Its word comes by the loop, and so after this; false: a says why it did not begin. */
static bool begin(struct setup_test *t, struct job *j, struct control_answer *a)
{
    j->has_region = j->setup.region != NULL;
    if (pthread_create(&t->thread, NULL, run, j) == 0)
        return true;
    api_problem(a, 503,
                "the system has no thread for a test at this moment: try again, or raise what "
                "this service may have (LimitNPROC, TasksMax, memory)");
    return false;
}

void setup_test_start(struct setup_test *t, const struct control_request *r,
                      struct control_answer *a, bool save)
{
    json_t *body = NULL;
    if (t->job)
        api_problem(a, 409, "another test is under way: wait for what comes of it");
    else
        body = setup_body(r, a);
    if (!body)
        return;
    struct job *j = mem_alloc(sizeof *j);
    j->owner = t;
    j->save = save;
    j->setup.path = t->cfg.path;
    j->setup.stop = &t->stop;
    if (prepare(j, body, a) && begin(t, j, a)) {
        j->pending = control_defer(r);
        t->job = j;
    } else {
        job_free(j);
    }
    json_decref(body);
}

struct setup_test *setup_test_new(const struct setup_api_cfg *cfg)
{
    struct setup_test *t = mem_alloc(sizeof *t);
    t->cfg = *cfg;
    atomic_init(&t->stop, false);
    t->wake = loop_wake_new(cfg->loop, done, t);
    return t;
}

void setup_test_free(struct setup_test *t)
{
    if (!t)
        return;
    atomic_store(&t->stop, true);
    if (t->job) {
        struct control_answer a;
        BUG_ON(pthread_join(t->thread, NULL) != 0);
        control_answer_init(&a);
        control_answer_late(t->job->pending, &a); /* nobody waits for it any more */
        job_free(t->job);
    }
    loop_wake_free(t->wake);
    free(t);
}
