/* One object in many parts, several under way at once.
 *
 * Each part is read twice: once, in order, into its own digest and the whole object's, and once by
 * the socket. Parts that the store acknowledged before are hashed again, too, since the whole
 * digest needs them; one whose digest is not the recorded one is sent again. The upload is kept for
 * a later try unless that could not go on with it (transfer.c decides), and nothing here asks the
 * store for its list of parts, which the grant does not allow.
 */
#include "uploader/transfer_int.h"

#include "uploader/retry.h"

#include "base/hex.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETE_MAX (8u << 20)
/* From an abort's leaving the line: its answer comes soon or is not worth it that the outcome waits
 * behind it. */
#define ABORT_WAIT_MS 3000
#define ABORT_LOOK_MS 250 /* has it left the line? */

struct slot {
    struct exchange x;
    struct loop_timer *timer; /* before a part is sent again */
    bool busy;
    unsigned part; /* index */
    unsigned tries, digest_tries;
    uint64_t told; /* env->told of the part it sent last; 0: nobody records it */
};

struct multipart {
    char upload_id[TRANSFER_UPLOAD_ID_SIZE]; /* "": none (any more) */
    char key[TRANSFER_KEY_MAX + 1]; /* the upload's: not out.key any more when it is aborted */
    uint64_t part_bytes;
    unsigned n, hashed, next,
        done;                   /* parts: all, hashed, given to a slot or passed, acknowledged */
    struct request_part *parts; /* etag "": not acknowledged */
    bool resumed;               /* begun by an earlier try */
    bool unknown_terms;         /* and nobody knows how */
    uint8_t (*md5)[MD5_SIZE];   /* theirs; NULL: not sent */
    bool hashing;
    bool waits; /* a hashed part, for a slot whose last one is not recorded yet */
    struct slot *slots;
    unsigned n_slots;
    struct buf body; /* of CompleteMultipartUpload, … */
    uint8_t body_sha256[SHA256_SIZE];
};

static_assert(sizeof(((struct xml_answer *)0)->upload_id) == TRANSFER_UPLOAD_ID_SIZE, "");

static void pump(struct transfer *t);

static uint64_t part_size(const struct transfer *t, unsigned part)
{
    uint64_t at = (uint64_t)part * t->mp->part_bytes, left = t->job->id.size - at;

    return left < t->mp->part_bytes ? left : t->mp->part_bytes;
}

/* Can the job's upload be gone on with? It keeps what it was begun with, so that only one is that
 * today's settings would begin in the same way. Its numbers come from disk. */
static bool resume(struct transfer *t)
{
    static const uint8_t unknown[SHA256_SIZE];
    struct transfer_job *job = t->job;
    struct multipart *mp = t->mp;
    uint8_t terms[SHA256_SIZE];

    if (job->upload_id == NULL || job->upload_id[0] == '\0' || job->part_bytes != mp->part_bytes ||
        strlen(job->upload_id) >= sizeof(mp->upload_id) || strcmp(t->out.key, job->key) != 0)
        return false;
    mp->unknown_terms = memcmp(job->upload_terms, unknown, SHA256_SIZE) == 0;
    transfer_terms(t->env->cfg, terms);
    if (!mp->unknown_terms && memcmp(job->upload_terms, terms, SHA256_SIZE) != 0)
        return false;
    memcpy(mp->upload_id, job->upload_id, strlen(job->upload_id) + 1);
    memcpy(mp->key, job->key, strlen(job->key) + 1);
    job->upload_id[0] = '\0'; /* it is this transfer's now */
    return true;
}

static void take_parts(struct transfer *t)
{
    struct multipart *mp = t->mp;

    for (size_t i = 0; i < t->job->n_parts; i++) {
        const struct transfer_part *p = &t->job->parts[i];

        if (p->number < 1 || p->number > mp->n)
            continue;
        snprintf(mp->parts[p->number - 1].etag, sizeof(p->etag), "%.*s", (int)sizeof(p->etag) - 1,
                 p->etag);
        memcpy(mp->parts[p->number - 1].sha256, p->sha256, SHA256_SIZE);
    }
}

/* ---- abort ---- */

bool multipart_is_untold(const struct transfer *t)
{
    return t->mp != NULL && t->mp->upload_id[0] != '\0' && strcmp(t->mp->key, t->job->key) != 0;
}

/* The job's upload is not to be resumed, whatever becomes of the file. */
static void tell_gone(struct transfer *t)
{
    struct transfer_progress p = {.tag = t->job->tag};

    if (t->env->progress != NULL)
        t->env->progress(t->env->arg, &p);
}

void multipart_abort_over(struct transfer *t)
{
    t->aborting[0] = '\0'; /* once */
    t->aborted(t);
}

static void abort_answered(struct exchange *x, const struct http_answer *a, const struct verdict *v)
{
    (void)a;
    (void)v; /* best effort: what stays behind is for the bucket's lifecycle rules */
    loop_timer_clear(x->transfer->timer);
    multipart_abort_over(x->transfer);
}

static void abort_unanswered(struct transfer *t)
{
    exchange_cancel(&t->main);
    multipart_abort_over(t);
}

static void abort_begun(struct transfer *t)
{
    if (http_waits(&t->main.call))
        transfer_later(t, abort_begun, ABORT_LOOK_MS);
    else
        transfer_later(t, abort_unanswered, ABORT_WAIT_MS);
}

void multipart_abort(struct transfer *t, void (*then)(struct transfer *t))
{
    bool own = t->mp != NULL && t->mp->upload_id[0] != '\0', untold = multipart_is_untold(t);
    char *upload_id = own ? t->mp->upload_id : t->job->upload_id;
    struct request_spec spec = exchange_spec(t, REQUEST_ABORT_MULTIPART);

    if (upload_id == NULL || upload_id[0] == '\0' || t->env->credentials == NULL) {
        then(t);
        return;
    }
    spec.key = own ? t->mp->key : t->job->key;
    spec.key_len = strlen(spec.key);
    spec.upload_id = t->aborting = upload_id;
    t->aborted = then;
    t->main.answered = abort_answered;
    exchange_send(&t->main, &spec, NULL, NULL);
    if (!untold)
        tell_gone(t);
    if (t->main.flying)
        abort_begun(t);
}

void multipart_stop(struct transfer *t)
{
    struct multipart *mp = t->mp;

    if (mp == NULL)
        return;
    for (unsigned i = 0; i < mp->n_slots; i++) {
        exchange_cancel(&mp->slots[i].x);
        loop_timer_clear(mp->slots[i].timer);
        mp->slots[i].busy = false;
    }
    mp->hashing = mp->waits = false;
    file_pass_drop(t);
    loop_timer_clear(t->timer);
}

void multipart_free(struct transfer *t)
{
    struct multipart *mp = t->mp;

    if (mp == NULL)
        return;
    for (unsigned i = 0; i < mp->n_slots; i++) {
        loop_timer_free(mp->slots[i].timer);
        request_fini(&mp->slots[i].x.request);
    }
    buf_fini(&mp->body);
    free(mp->slots);
    free(mp->parts);
    free(mp->md5);
    free(mp);
    t->mp = NULL;
}

/* An answer about the upload that was not what it should be, and is written down. Where it is not
 * known how the upload was begun, settings may have changed since: S3 takes parts with
 * checksum_sha256 into an upload that was begun so, and no others, and calls all else an invalid
 * request, for ever. Of a new upload it is known, so that its refusal is held. */
static void upload_refused(struct transfer *t)
{
    const char *code = t->out.err.code;

    if (t->mp->resumed && t->mp->unknown_terms && t->out.class == ANSWER_HOLD &&
        (strcmp(code, "InvalidRequest") == 0 || strcmp(code, "InvalidArgument") == 0))
        t->out.class = ANSWER_RESTART;
    transfer_end(t, TRANSFER_ANSWERED);
}

/* ---- complete ---- */

bool multipart_composite(const struct transfer *t, char out[64])
{
    const struct multipart *mp = t->mp;
    struct digest *d;
    uint8_t sum[SHA256_SIZE];
    char text[BASE64_SIZE(SHA256_SIZE)];

    if (mp == NULL || mp->hashed < mp->n)
        return false;
    d = digest_new(DIGEST_SHA256);
    digest_begin(d);
    for (unsigned i = 0; i < mp->n; i++)
        digest_update(d, mp->parts[i].sha256, SHA256_SIZE);
    digest_finish(d, sum);
    digest_free(d);
    base64_encode(text, sum, sizeof(sum));
    snprintf(out, 64, "%s-%u", text, mp->n);
    return true;
}

static void complete_answered(struct exchange *x, const struct http_answer *a,
                              const struct verdict *v)
{
    struct transfer *t = x->transfer;
    bool gone = v->xml != NULL && strcmp(v->xml->code, "NoSuchUpload") == 0;

    if (v->class == ANSWER_OK || gone)
        t->mp->upload_id[0] = '\0';
    if (transfer_made(x, a, v, multipart_complete))
        return;
    /* It may be gone because an earlier try completed it and its answer was lost. */
    if (gone)
        verify_begin(t, true);
    else
        upload_refused(t);
}

void multipart_complete(struct transfer *t)
{
    struct multipart *mp = t->mp;
    struct request_spec spec = exchange_spec(t, REQUEST_COMPLETE_MULTIPART);
    struct http_body body;
    enum transfer_result why;

    if (!file_same(t, &why)) {
        transfer_end_soon(t, why);
        return;
    }
    buf_reset(&mp->body);
    request_complete_body(&mp->body, mp->parts, mp->n, t->env->cfg->checksum_sha256);
    BUG_ON(mp->body.overflow); /* the ETags are bounded, and so is their number */
    sha256(mp->body.data, mp->body.len, mp->body_sha256);
    body = (struct http_body){.data = mp->body.data, .size = mp->body.len};
    spec.upload_id = mp->upload_id;
    spec.content_length = mp->body.len;
    spec.sha256 = mp->body_sha256;
    t->main.answered = complete_answered;
    exchange_send(&t->main, &spec, &body, NULL);
}

/* ---- parts ---- */

static void send_part(struct slot *s)
{
    struct transfer *t = s->x.transfer;
    struct multipart *mp = t->mp;
    struct request_spec spec = exchange_spec(t, REQUEST_UPLOAD_PART);
    struct http_body body = {
        .fd = t->fd, .offset = (uint64_t)s->part * mp->part_bytes, .size = part_size(t, s->part)};

    spec.upload_id = mp->upload_id;
    spec.part_number = s->part + 1;
    spec.content_length = body.size;
    spec.sha256 = mp->parts[s->part].sha256;
    spec.md5 = mp->md5 != NULL ? mp->md5[s->part] : NULL;
    exchange_send(&s->x, &spec, &body, NULL);
}

static void slot_timer(void *arg)
{
    send_part(arg);
}

static void part_stored(struct slot *s, const char *etag)
{
    struct transfer *t = s->x.transfer;
    struct request_part *part = &t->mp->parts[s->part];
    struct transfer_progress p = {
        .tag = t->job->tag, .part_bytes = t->mp->part_bytes, .is_part = true};

    memcpy(part->etag, etag, strlen(etag) + 1);
    t->mp->done++;
    s->busy = false;
    /* An upload under the name that keeps both is not the job's: none of it is to be resumed. */
    if (t->env->progress != NULL && strcmp(t->out.key, t->job->key) == 0) {
        memcpy(p.upload_id, t->mp->upload_id, sizeof(p.upload_id));
        p.part.number = s->part + 1;
        memcpy(p.part.etag, part->etag, sizeof(p.part.etag));
        memcpy(p.part.sha256, part->sha256, SHA256_SIZE);
        if (t->env->records)
            s->told = ++t->env->told;
        t->env->progress(t->env->arg, &p);
    }
    pump(t);
}

/* Is this part to be sent once more, here and now? */
static bool part_again(struct slot *s, const struct http_answer *a, const struct verdict *v)
{
    switch (v->class) {
    case ANSWER_RETRY:
    case ANSWER_THROTTLE:
        if (v->wait_ms > TRANSFER_WAIT_IN_PLACE_MS || ++s->tries > TRANSFER_TRIES_IN_PLACE)
            return false;
        loop_timer_set(s->timer, retry_delay_ms(s->tries, v->wait_ms, &random_system));
        return true;
    case ANSWER_SKEW:
        /* Parts that were under way together find the clock corrected by the first of them. */
        if (!exchange_correct_clock(&s->x, a, v) && ++s->tries > 1)
            return false;
        loop_timer_set(s->timer, 0);
        return true;
    case ANSWER_DIGEST:
        if (++s->digest_tries > TRANSFER_TRIES_IN_PLACE)
            return false;
        loop_timer_set(s->timer, 0);
        return true;
    default:
        return false;
    }
}

static void part_answered(struct exchange *x, const struct http_answer *a, const struct verdict *v)
{
    struct slot *s = (struct slot *)x;
    struct transfer *t = x->transfer;
    enum transfer_result why;

    if (v->class == ANSWER_OK) {
        part_stored(s, a->etag);
        return;
    }
    if ((a->rc == RC_IO || v->class == ANSWER_DIGEST) && !file_same(t, &why)) {
        transfer_end(t, why);
        return;
    }
    if (a->rc == RC_IO) {
        err_set(&t->out.err, RC_IO, "The file cannot be read: %s", a->text);
        transfer_end(t, TRANSFER_LOCAL);
        return;
    }
    if (part_again(s, a, v))
        return;
    exchange_decides(x, a, v);
    if (v->xml != NULL && strcmp(v->xml->code, "NoSuchUpload") == 0)
        t->mp->upload_id[0] = '\0'; /* nothing to abort */
    upload_refused(t);
}

static void part_hashed(struct transfer *t)
{
    struct multipart *mp = t->mp;
    struct request_part *part = &mp->parts[mp->hashed];
    uint8_t digest[SHA256_SIZE];

    mp->hashing = false;
    digest_finish(t->piece, digest);
    if (memcmp(digest, part->sha256, SHA256_SIZE) != 0)
        part->etag[0] = '\0'; /* acknowledged, but not for these bytes */
    memcpy(part->sha256, digest, SHA256_SIZE);
    if (mp->md5 != NULL)
        digest_finish(t->md5_digest, mp->md5[mp->hashed]);
    if (++mp->hashed == mp->n) {
        digest_finish(t->whole, t->out.sha256);
        t->have_sha256 = true;
    }
    pump(t);
}

static void hash_next(struct transfer *t)
{
    struct multipart *mp = t->mp;
    uint64_t at = (uint64_t)mp->hashed * mp->part_bytes;
    struct pass pass = {.offset = at,
                        .end = at + part_size(t, mp->hashed),
                        .into = {t->whole, file_digest(&t->piece, DIGEST_SHA256)},
                        .then = part_hashed};

    if (mp->hashed == 0)
        digest_begin(t->whole);
    digest_begin(t->piece);
    if (mp->md5 != NULL) {
        pass.into[2] = file_digest(&t->md5_digest, DIGEST_MD5);
        digest_begin(t->md5_digest);
    }
    mp->hashing = true;
    file_pass(t, &pass);
}

static struct slot *free_slot(struct transfer *t)
{
    struct multipart *mp = t->mp;
    bool unrecorded = false;

    mp->waits = false;
    for (unsigned i = 0; i < mp->n_slots; i++) {
        if (mp->slots[i].busy)
            continue;
        if (mp->slots[i].told <= t->env->recorded)
            return &mp->slots[i];
        unrecorded = true;
    }
    mp->waits = unrecorded;
    return NULL;
}

/* Give hashed parts to free slots, hash the next one ahead, complete after the last. */
static void pump(struct transfer *t)
{
    struct multipart *mp = t->mp;
    struct slot *s;

    while (mp->next < mp->hashed) {
        if (mp->parts[mp->next].etag[0] != '\0') {
            mp->next++;
            mp->done++;
            continue;
        }
        s = free_slot(t);
        if (s == NULL)
            break;
        s->busy = true;
        s->tries = s->digest_tries = 0;
        s->part = mp->next++;
        send_part(s);
    }
    /* At most one part is hashed ahead of those under way. */
    if (t->ending)
        return;
    if (!mp->hashing && mp->hashed < mp->n && mp->next == mp->hashed)
        hash_next(t);
    else if (mp->done == mp->n)
        multipart_complete(t);
}

void multipart_recorded(struct transfer *t)
{
    if (t->mp == NULL || !t->mp->waits || t->ending)
        return;
    t->mp->waits = false;
    pump(t);
}

/* ---- create ---- */

/* May this refusal be of multipart uploads only? Then one PutObject may be allowed. */
static bool refused(const struct http_answer *a, const struct verdict *v)
{
    return a->status == 403 && v->class == ANSWER_HOLD &&
           (v->xml == NULL || strcmp(v->xml->code, "AccessDenied") == 0);
}

static void create(struct transfer *t);

static void create_answered(struct exchange *x, const struct http_answer *a,
                            const struct verdict *v)
{
    struct transfer *t = x->transfer;
    struct multipart *mp = t->mp;
    struct transfer_progress p = {.tag = t->job->tag, .part_bytes = mp->part_bytes};

    exchange_decides(x, a, v);
    if (v->class == ANSWER_OK) {
        memcpy(mp->upload_id, v->xml->upload_id, sizeof(mp->upload_id));
        if (t->env->progress != NULL && strcmp(t->out.key, t->job->key) == 0) {
            memcpy(p.upload_id, mp->upload_id, sizeof(p.upload_id));
            transfer_terms(t->env->cfg, p.upload_terms);
            t->env->progress(t->env->arg, &p);
        }
        pump(t);
        return;
    }
    if (v->class == ANSWER_SKEW && exchange_correct_clock(x, a, v)) {
        create(t);
        return;
    }
    if (refused(a, v) && t->job->id.size <= t->env->cfg->single_limit) {
        t->out.multipart_refused = true;
        multipart_free(t);
        transfer_send(t);
        return;
    }
    transfer_end(t, TRANSFER_ANSWERED);
}

static void create(struct transfer *t)
{
    struct request_spec spec = exchange_spec(t, REQUEST_CREATE_MULTIPART);

    memcpy(t->mp->key, t->out.key, sizeof(t->mp->key));
    t->main.answered = create_answered;
    exchange_send(&t->main, &spec, NULL, NULL);
}

static void make_slots(struct transfer *t)
{
    struct multipart *mp = t->mp;

    mp->n_slots = t->env->cfg->parts_in_flight ? t->env->cfg->parts_in_flight : 1;
    mp->slots = mem_alloc(mp->n_slots * sizeof(*mp->slots));
    for (unsigned i = 0; i < mp->n_slots; i++) {
        struct slot *s = &mp->slots[i];

        s->x.transfer = t;
        s->x.answered = part_answered;
        request_init(&s->x.request);
        s->timer = loop_timer_new(t->env->loop, slot_timer, s);
    }
}

void multipart_begin(struct transfer *t)
{
    struct multipart *mp = t->mp;

    if (mp != NULL) { /* again, under another key: the digests stay */
        mp->resumed = false;
        mp->next = mp->done = 0;
        for (unsigned i = 0; i < mp->n; i++)
            mp->parts[i].etag[0] = '\0';
    } else {
        mp = t->mp = mem_alloc(sizeof(*mp));
        mp->part_bytes = transfer_part_bytes(t->env->cfg->part_bytes, t->job->id.size);
        mp->resumed = resume(t);
        mp->n = (unsigned)((t->job->id.size - 1) / mp->part_bytes + 1);
        mp->parts = mem_alloc(mp->n * sizeof(*mp->parts));
        if (t->env->cfg->content_md5)
            mp->md5 = mem_alloc(mp->n * sizeof(*mp->md5));
        for (unsigned i = 0; i < mp->n; i++)
            mp->parts[i].number = i + 1;
        buf_init(&mp->body, COMPLETE_MAX);
        make_slots(t);
        if (mp->resumed)
            take_parts(t);
    }
    if (mp->resumed)
        pump(t);
    else
        multipart_abort(t, create); /* what the job has cannot be gone on with */
}
