/* Something is stored under our key already: is it ours? P2 lets a 412 count as delivered only
 * after the object was compared, so anything short of proof of equality goes on to the next, dearer
 * way: the checksum of a HEAD, the MD5 in an ETag, the bytes of a GET.
 *
 * An ETag that looks like an MD5 may be none (SSE-KMS), so it can prove that the bytes are equal
 * but not that they differ.
 */
#include "uploader/transfer_int.h"

#include "base/hex.h"

#include <stdio.h>
#include <string.h>

static void get(struct transfer *t);
static void head(struct transfer *t);

static void same(struct transfer *t)
{
    enum transfer_result why;

    if (!file_same(t, &why)) {
        transfer_end(t, why);
        return;
    }
    snprintf(t->out.etag, sizeof(t->out.etag), "%s", t->verify.etag);
    snprintf(t->out.version_id, sizeof(t->out.version_id), "%s", t->verify.version_id);
    memset(&t->out.err, 0, sizeof(t->out.err));
    transfer_end(t, TRANSFER_VERIFIED);
}

static void hold(struct transfer *t, const char *text)
{
    t->out.class = ANSWER_HOLD;
    t->out.object_alone = true;
    t->out.err.rc = RC_EXISTS;
    snprintf(t->out.err.text, sizeof(t->out.err.text), "%s", text);
    transfer_end(t, TRANSFER_ANSWERED);
}

/* Under a name of our own that holds the digest, other bytes can only be somebody else's doing. */
static void keep_both(struct transfer *t)
{
    if (strcmp(t->out.key, t->job->key) != 0) {
        hold(t, "Other objects exist under this key and under the one that would keep both: remove "
                "or rename one of them.");
        return;
    }
    if (transfer_conflict_key(t->job->key, t->out.sha256, t->out.key) != RC_OK) {
        memcpy(t->out.key, t->job->key, strlen(t->job->key) + 1);
        hold(t, "Another object exists under this key, and the key is too long for one that keeps "
                "both: remove or rename the object.");
        return;
    }
    multipart_abort(t, transfer_send);
}

/* The upload that we were completing is gone, and what is there is not ours, or nobody tells: begin
 * anew, and meet the other object in the usual way. */
static void lost(struct transfer *t)
{
    t->out.op = REQUEST_COMPLETE_MULTIPART;
    t->out.class = ANSWER_RESTART;
    err_set(&t->out.err, RC_AGAIN,
            "The store has forgotten the multipart upload: it is begun anew.");
    transfer_end(t, TRANSFER_ANSWERED);
}

static void different(struct transfer *t)
{
    enum transfer_result why;

    if (t->verify.after_loss) {
        lost(t);
        return;
    }
    if (!file_same(t, &why)) {
        transfer_end(t, why);
        return;
    }
    if (t->env->cfg->conflict == TRANSFER_KEEP_BOTH) {
        keep_both(t);
    } else if (t->env->cfg->conflict == TRANSFER_HOLD_NEW) {
        err_set(&t->out.err, RC_EXISTS,
                "An object with other bytes exists under this key: remove or rename one of the "
                "two, then retry.");
        transfer_end(t, TRANSFER_CONFLICT);
    } else {
        t->overwrite = true;
        if (t->mp != NULL)
            multipart_complete(t);
        else
            transfer_send(t);
    }
}

/* Whoever may not read this object may read none of them: that is for the event type to wait for,
 * which goes on by itself once the policy or the keys are mended. */
static bool refuses_us(const struct err *why)
{
    return (why->http_status == 401 || why->http_status == 403) &&
           strcmp(why->code, "InvalidObjectState") != 0;
}

/* Answers about the object that leave its bytes unknown. */
static void no_answer(struct exchange *x, const struct http_answer *a, const struct verdict *v,
                      void (*again)(struct transfer *t))
{
    struct transfer *t = x->transfer;

    exchange_decides(x, a, v);
    if (v->class == ANSWER_SKEW && exchange_correct_clock(x, a, v)) {
        again(t);
        return;
    }
    /* Without s3:ListBucket S3 says 403 of what is missing. What there may be is met by the next
     * completion. */
    if (t->verify.after_loss && (v->class == ANSWER_HOLD || (a->rc == RC_OK && a->status == 404))) {
        lost(t);
        return;
    }
    if (a->rc == RC_OK && a->status == 404) {
        /* It was there a moment ago. Nothing is: the next try will do. */
        t->out.class = ANSWER_RETRY;
        err_set(&t->out.err, RC_AGAIN,
                "The object that stood under this key has just been removed.");
    } else if (v->class == ANSWER_HOLD) {
        t->out.object_alone = !refuses_us(&t->out.err);
        if (strcmp(t->out.err.code, "AccessDenied") == 0)
            snprintf(t->out.err.text, sizeof(t->out.err.text), "%s",
                     "An object exists under this key and may not be read, so it cannot be "
                     "compared with the file: allow s3:GetObject on the bucket's objects");
    }
    transfer_end(t, TRANSFER_ANSWERED);
}

/* ---- GET ---- */

static enum rc got_data(void *arg, const char *data, size_t n)
{
    struct exchange *x = arg;
    struct transfer *t = x->transfer;

    t->verify.got += n;
    if (t->verify.got > t->job->id.size)
        return RC_CHANGED; /* longer: different already */
    digest_update(t->whole, data, n);
    return RC_OK;
}

static void get_answered(struct exchange *x, const struct http_answer *a, const struct verdict *v)
{
    struct transfer *t = x->transfer;
    uint8_t theirs[SHA256_SIZE];

    if (t->verify.got > t->job->id.size) {
        different(t);
        return;
    }
    if (a->rc != RC_OK || a->status != 200) {
        no_answer(x, a, v, get);
        return;
    }
    exchange_decides(x, a, v);
    snprintf(t->verify.etag, sizeof(t->verify.etag), "%s", a->etag);
    snprintf(t->verify.version_id, sizeof(t->verify.version_id), "%s", a->version_id);
    digest_finish(t->whole, theirs);
    if (t->verify.got == t->job->id.size && memcmp(theirs, t->out.sha256, SHA256_SIZE) == 0)
        same(t);
    else
        different(t);
}

static void get(struct transfer *t)
{
    struct request_spec spec = exchange_spec(t, REQUEST_GET_OBJECT);

    t->verify.got = 0;
    digest_begin(t->whole);
    t->main.answered = get_answered;
    exchange_send(&t->main, &spec, NULL, got_data);
}

/* ---- the MD5 of an ETag ---- */

static void compare_md5(struct transfer *t)
{
    uint8_t theirs[MD5_SIZE];

    if (hex_decode(theirs, MD5_SIZE, t->verify.etag, strlen(t->verify.etag)) == RC_OK &&
        memcmp(theirs, t->md5, MD5_SIZE) == 0)
        same(t);
    else
        get(t);
}

static void md5_hashed(struct transfer *t)
{
    digest_finish(t->md5_digest, t->md5);
    t->have_md5 = true;
    compare_md5(t);
}

static void etag_begin(struct transfer *t)
{
    uint8_t theirs[MD5_SIZE];
    struct pass pass = {.end = t->job->id.size, .then = md5_hashed};

    if (hex_decode(theirs, MD5_SIZE, t->verify.etag, strlen(t->verify.etag)) != RC_OK) {
        get(t);
        return;
    }
    if (t->have_md5) {
        compare_md5(t);
        return;
    }
    digest_begin(file_digest(&t->md5_digest, DIGEST_MD5));
    if (t->whole_in_memory) {
        digest_update(t->md5_digest, t->data, (size_t)t->job->id.size);
        md5_hashed(t);
        return;
    }
    pass.into[0] = t->md5_digest;
    file_pass(t, &pass);
}

/* ---- HEAD ---- */

/* Equal, different or (neither) not to be told from this. */
static void compare_checksum(const struct transfer *t, const struct http_answer *a, bool *equal,
                             bool *differs)
{
    uint8_t theirs[SHA256_SIZE];
    char composite[64];
    size_t n = 0;

    *equal = *differs = false;
    if (base64_decode(theirs, sizeof(theirs), &n, a->checksum_sha256, strlen(a->checksum_sha256)) ==
            RC_OK &&
        n == SHA256_SIZE) {
        *equal = memcmp(theirs, t->out.sha256, SHA256_SIZE) == 0;
        *differs = !*equal;
    } else if (a->checksum_sha256[0] != '\0' && multipart_composite(t, composite)) {
        /* Another composite may be the same bytes in other parts. */
        *equal = strcmp(composite, a->checksum_sha256) == 0;
    }
}

static void head_answered(struct exchange *x, const struct http_answer *a, const struct verdict *v)
{
    struct transfer *t = x->transfer;
    bool equal, differs;

    if (a->rc == RC_OK && a->status == 200) {
        snprintf(t->verify.etag, sizeof(t->verify.etag), "%s", a->etag);
        snprintf(t->verify.version_id, sizeof(t->verify.version_id), "%s", a->version_id);
        exchange_decides(x, a, v);
        compare_checksum(t, a, &equal, &differs);
        if (a->content_length != UINT64_MAX && a->content_length != t->job->id.size)
            different(t);
        else if (equal)
            same(t);
        else if (differs)
            different(t);
        else
            etag_begin(t);
        return;
    }
    /* A HEAD has no body, so a refusal has no code: what it means is asked with a GET. */
    if (a->rc == RC_OK && a->status >= 400 && a->status < 500 && a->status != 404 &&
        a->status != 408 && a->status != 429)
        get(t);
    else
        no_answer(x, a, v, head);
}

static void head(struct transfer *t)
{
    struct request_spec spec = exchange_spec(t, REQUEST_HEAD_OBJECT);

    t->main.answered = head_answered;
    exchange_send(&t->main, &spec, NULL, NULL);
}

void verify_begin(struct transfer *t, bool after_loss)
{
    memset(&t->verify, 0, sizeof(t->verify));
    t->verify.after_loss = after_loss;
    BUG_ON(!t->have_sha256);
    head(t);
}
