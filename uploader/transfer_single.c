/* One PutObject: the whole file, its SHA-256 signed. Small files are read once and sent from
 * memory, so what was hashed is what is sent; larger ones are read twice, and a store that checks
 * the signed digest refuses them if the two readings differ.
 */
#include "uploader/transfer_int.h"

static void put(struct transfer *t);

static void put_answered(struct exchange *x, const struct http_answer *a, const struct verdict *v)
{
    struct transfer *t = x->transfer;

    if (transfer_made(x, a, v, put))
        return;
    if (a->rc == RC_IO) {
        err_set(&t->out.err, RC_IO, "The file cannot be read: %s", a->text);
        transfer_end(t, TRANSFER_LOCAL);
        return;
    }
    if (v->class == ANSWER_DIGEST && ++t->digest_tries <= TRANSFER_TRIES_IN_PLACE) {
        t->have_sha256 = t->have_md5 = t->whole_in_memory = false;
        single_begin(t);
        return;
    }
    transfer_end(t, TRANSFER_ANSWERED);
}

static void put(struct transfer *t)
{
    struct request_spec spec = exchange_spec(t, REQUEST_PUT_OBJECT);
    struct http_body body = {.fd = t->fd, .size = t->job->id.size};

    spec.content_length = body.size;
    spec.sha256 = t->out.sha256;
    spec.md5 = t->have_md5 ? t->md5 : NULL;
    if (t->whole_in_memory)
        body.data = t->data;
    t->main.answered = put_answered;
    exchange_send(&t->main, &spec, &body, NULL);
}

static void hashed(struct transfer *t)
{
    digest_finish(t->whole, t->out.sha256);
    t->have_sha256 = true;
    if (t->env->cfg->content_md5) {
        digest_finish(t->md5_digest, t->md5);
        t->have_md5 = true;
    }
    put(t);
}

void single_begin(struct transfer *t)
{
    struct pass pass = {.end = t->job->id.size, .into = {t->whole}, .then = hashed};

    if (t->have_sha256) {
        put(t);
    } else if (t->job->id.size <= t->env->cfg->read_whole_max) {
        if (file_read_whole(t))
            put(t);
        else
            transfer_end_soon(t, t->out.result);
    } else {
        digest_begin(t->whole);
        if (t->env->cfg->content_md5) {
            pass.into[1] = file_digest(&t->md5_digest, DIGEST_MD5);
            digest_begin(t->md5_digest);
        }
        file_pass(t, &pass);
    }
}
