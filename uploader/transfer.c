/* A transfer's beginning and end.
 *
 * Invariants: `done` is called exactly once, from the loop; nothing of a transfer is under way
 * afterwards. A transfer that ended is kept with its buffers for the next file, so that a steady
 * stream of small ones allocates nothing here. An upload is aborted when nobody will go on with it
 * and kept when a later try can.
 */
#include "uploader/transfer_int.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_KEEP_MAX (64u << 10) /* a larger buffer goes with its transfer */
#define PARTS_MAX     10000u
#define PARTS_ENOUGH  1000u                /* what stores with fewer than S3's 10 000 take, too */
#define PART_BYTES    (UINT64_C(16) << 20) /* fewer and larger ones cost the store less */
#define PART_LIMIT    (UINT64_C(5) << 30)

struct transfer_job *transfer_job_new(uint64_t tag, const char *path, const char *key,
                                      const struct identity *id)
{
    struct transfer_job *job = mem_alloc(sizeof(*job));

    BUG_ON(strlen(key) > TRANSFER_KEY_MAX);
    job->tag = tag;
    job->path = mem_strdup(path);
    job->key = mem_strdup(key);
    job->id = *id;
    return job;
}

void transfer_job_free(struct transfer_job *job)
{
    if (job == NULL)
        return;
    free(job->path);
    free(job->key);
    free(job->upload_id);
    free(job->parts);
    free(job);
}

const char *transfer_result_name(enum transfer_result r)
{
    static const char *const names[] = {
        [TRANSFER_STORED] = "stored",       [TRANSFER_VERIFIED] = "verified",
        [TRANSFER_CONFLICT] = "conflict",   [TRANSFER_ANSWERED] = "answered",
        [TRANSFER_CHANGED] = "changed",     [TRANSFER_SHRUNK] = "shrunk",
        [TRANSFER_VANISHED] = "vanished",   [TRANSFER_LOCAL] = "local",
        [TRANSFER_CANCELLED] = "cancelled",
    };

    BUG_ON((size_t)r >= sizeof(names) / sizeof(*names));
    return names[r];
}

enum rc transfer_conflict_key(const char *key, const uint8_t sha256[SHA256_SIZE],
                              char out[TRANSFER_KEY_MAX + 1])
{
    size_t n = strlen(key), name, stem, ext;
    const char *slash = strrchr(key, '/'), *dot;
    char mark[10] = "~";

    name = slash == NULL ? 0 : (size_t)(slash + 1 - key);
    dot = strrchr(key + name, '.');
    ext = dot == NULL || dot == key + name ? n : (size_t)(dot - key);
    stem = ext;
    hex_encode(mark + 1, sha256, 4);
    if (n - ext + sizeof(mark) - 1 + name > TRANSFER_KEY_MAX)
        return RC_LIMIT;
    if (stem > TRANSFER_KEY_MAX - (n - ext) - (sizeof(mark) - 1)) {
        stem = TRANSFER_KEY_MAX - (n - ext) - (sizeof(mark) - 1);
        while (stem > name && ((unsigned char)key[stem] & 0xc0) == 0x80)
            stem--; /* not within a character */
    }
    if (stem == name)
        return RC_LIMIT;
    memcpy(out, key, stem);
    memcpy(out + stem, mark, sizeof(mark) - 1);
    memcpy(out + stem + sizeof(mark) - 1, key + ext, n - ext + 1);
    return RC_OK;
}

static uint64_t parts_of(uint64_t object_bytes, uint64_t part)
{
    return object_bytes / part + (object_bytes % part != 0);
}

uint64_t transfer_part_bytes(uint64_t configured, uint64_t object_bytes)
{
    uint64_t part = configured ? configured : PART_BYTES;

    while (!configured && part < PART_LIMIT && parts_of(object_bytes, part) > PARTS_ENOUGH)
        part = 2 * part < PART_LIMIT ? 2 * part : PART_LIMIT;
    while (parts_of(object_bytes, part) > PARTS_MAX)
        part *= 2;
    return part;
}

void transfer_terms(const struct transfer_cfg *cfg, uint8_t out[SHA256_SIZE])
{
    const struct options *o = &cfg->options;
    const char *texts[] = {cfg->acl,
                           o->encryption,
                           o->kms_key_id,
                           o->encryption_context,
                           o->bucket_key ? "bucket key" : NULL,
                           o->storage_class,
                           o->tagging,
                           cfg->checksum_sha256 ? "checksums" : NULL};
    struct digest *d = digest_new(DIGEST_SHA256);

    digest_begin(d);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const char *text = texts[i] != NULL ? texts[i] : "";

        digest_update(d, text, strlen(text) + 1);
    }
    digest_finish(d, out);
    digest_free(d);
}

/* ---- the end ---- */

static void link_in(struct transfer **head, struct transfer *t)
{
    t->prev = NULL;
    t->next = *head;
    if (*head != NULL)
        (*head)->prev = t;
    *head = t;
}

static void link_out(struct transfer **head, struct transfer *t)
{
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        *head = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
}

static void finish(struct transfer *t)
{
    struct transfer_env *env = t->env;

    BUG_ON(t->main.flying);
    file_pass_drop(t);
    multipart_free(t);
    file_close(t);
    loop_timer_clear(t->timer);
    t->out.done_wall_ns = clock_wall_now_ns();
    link_out(&env->active_, t);
    t->done(t->arg, &t->out);
    transfer_job_free(t->job);
    t->job = NULL;
    if (t->data_cap > DATA_KEEP_MAX) {
        free(t->data);
        t->data = NULL;
        t->data_cap = 0;
    }
    link_in(&env->spare_, t);
}

static bool worth_aborting(const struct transfer *t)
{
    if (multipart_is_untold(t))
        return true;
    switch (t->out.result) {
    case TRANSFER_STORED: /* by one PutObject, where the job had begun an upload before */
    case TRANSFER_VERIFIED:
    case TRANSFER_CONFLICT:
    case TRANSFER_CHANGED:
    case TRANSFER_SHRUNK:
    case TRANSFER_VANISHED:
        return true;
    case TRANSFER_ANSWERED:
        return t->out.class == ANSWER_RESTART || t->out.class == ANSWER_CONDEMN;
    case TRANSFER_LOCAL:
    case TRANSFER_CANCELLED:
        break;
    }
    return false;
}

void transfer_end(struct transfer *t, enum transfer_result result)
{
    t->out.result = result;
    multipart_stop(t);
    if (worth_aborting(t))
        multipart_abort(t, finish);
    else
        finish(t);
}

static void end_now(struct transfer *t)
{
    t->ending = false;
    transfer_end(t, t->out.result);
}

void transfer_end_soon(struct transfer *t, enum transfer_result result)
{
    multipart_stop(t);
    t->ending = true;
    t->out.result = result;
    transfer_later(t, end_now, 0);
}

/* ---- the beginning ---- */

static void timer_fired(void *arg)
{
    struct transfer *t = arg;

    t->later(t);
}

void transfer_later(struct transfer *t, void (*fn)(struct transfer *t), uint64_t delay_ms)
{
    t->later = fn;
    loop_timer_set(t->timer, delay_ms);
}

static struct transfer *borrow(struct transfer_env *env)
{
    struct transfer *t = env->spare_;

    if (t != NULL) {
        link_out(&env->spare_, t);
    } else {
        t = mem_alloc(sizeof(*t));
        t->env = env;
        t->whole = digest_new(DIGEST_SHA256);
        t->timer = loop_timer_new(env->loop, timer_fired, t);
        t->main.transfer = t;
        request_init(&t->main.request);
    }
    t->fd = -1;
    t->whole_in_memory = t->have_sha256 = t->have_md5 = false;
    t->stopping = t->ending = t->overwrite = t->skew_corrected = false;
    t->digest_tries = 0;
    memset(&t->verify, 0, sizeof(t->verify));
    memset(&t->out, 0, sizeof(t->out));
    return t;
}

/* Without the quotes that stand around it in XML. */
static void take_etag(char out[72], const char *etag)
{
    size_t n = strlen(etag);
    bool quoted = n >= 2 && etag[0] == '"' && etag[n - 1] == '"';

    text_copy(out, quoted && n - 1 < 72 ? n - 1 : 72, etag + quoted);
}

bool transfer_made(struct exchange *x, const struct http_answer *a, const struct verdict *v,
                   void (*again)(struct transfer *t))
{
    struct transfer *t = x->transfer;
    enum transfer_result why;

    exchange_decides(x, a, v);
    if (!file_same(t, &why)) {
        transfer_end(t, why);
        return true;
    }
    switch (v->class) {
    case ANSWER_OK:
        take_etag(t->out.etag, v->xml != NULL && v->xml->etag[0] ? v->xml->etag : a->etag);
        text_copy(t->out.version_id, sizeof(t->out.version_id), a->version_id);
        transfer_end(t, TRANSFER_STORED);
        return true;
    case ANSWER_EXISTS:
        if (!t->overwrite) {
            verify_begin(t, false);
            return true;
        }
        t->out.class = ANSWER_HOLD; /* a 412 that we did not ask for */
        return false;
    case ANSWER_SKEW:
        if (!exchange_correct_clock(x, a, v))
            return false;
        again(t);
        return true;
    default:
        return false;
    }
}

void transfer_send(struct transfer *t)
{
    const struct transfer_cfg *cfg = t->env->cfg;
    bool single =
        t->job->id.size <= cfg->single_max || ((t->job->no_multipart || t->out.multipart_refused) &&
                                               t->job->id.size <= cfg->single_limit);

    if (single)
        single_begin(t);
    else
        multipart_begin(t);
}

struct transfer *transfer_start(struct transfer_env *env, struct transfer_job *job,
                                void (*done)(void *arg, const struct transfer_outcome *o),
                                void *arg)
{
    struct transfer *t = borrow(env);

    t->job = job;
    t->done = done;
    t->arg = arg;
    t->out.tag = job->tag;
    t->out.bytes = job->id.size;
    memcpy(t->out.key, job->key, strlen(job->key) + 1);
    link_in(&env->active_, t);
    if (env->credentials == NULL) {
        exchange_no_credentials(t);
    } else if (!file_open(t)) {
        transfer_end_soon(t, t->out.result);
    } else {
        transfer_send(t);
    }
    return t;
}

void transfer_cancel(struct transfer *t)
{
    multipart_stop(t);
    exchange_cancel(&t->main);
    t->out.result = TRANSFER_CANCELLED;
    err_set(&t->out.err, RC_CANCELLED, "The upload was stopped.");
    finish(t);
}

void transfer_recorded(struct transfer_env *env)
{
    struct transfer *t, *next;

    env->recorded++;
    for (t = env->active_; t != NULL; t = next) {
        next = t->next;
        multipart_recorded(t);
    }
}

void transfer_cancel_all(struct transfer_env *env)
{
    while (env->active_ != NULL)
        transfer_cancel(env->active_);
}

void transfer_env_fini(struct transfer_env *env)
{
    struct transfer *t;

    transfer_cancel_all(env);
    while (env->readings > 0)
        loop_step(env->loop, true);
    while ((t = env->spare_) != NULL) {
        link_out(&env->spare_, t);
        loop_timer_free(t->timer);
        request_fini(&t->main.request);
        digest_free(t->whole);
        digest_free(t->piece);
        digest_free(t->md5_digest);
        free(t->data);
        free(t);
    }
}
