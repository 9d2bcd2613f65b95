#include "tests/unit/uploader/transfer_rig.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void on_progress(void *arg, const struct transfer_progress *p)
{
    struct ride *r = arg;

    r->progress[r->n_progress++] = *p;
}

void ride_done(void *arg, const struct transfer_outcome *o)
{
    struct ride *r = arg;

    r->out = *o;
    r->done++;
}

void ride_init(struct ride *r)
{
    struct http_cfg http = {.connections = 8, .no_proxy = true};

    memset(r, 0, sizeof(*r));
    rig_init(&r->rig);
    r->loop = loop_new();
    r->env = (struct transfer_env){
        .cfg = &r->rig.cfg,
        .loop = r->loop,
        .http = http_client_new(r->loop, &http),
        .endpoint = &r->rig.endpoint,
        .credentials = r->rig.credentials,
        .clock_offset_s = &r->offset_s,
        .progress = on_progress,
        .arg = r,
    };
}

void ride_fini(struct ride *r)
{
    transfer_env_fini(&r->env);
    http_client_free(r->env.http);
    loop_free(r->loop);
    rig_fini(&r->rig);
}

const struct transfer_outcome *ride_job(struct ride *r, struct transfer_job *job)
{
    r->done = r->n_progress = 0;
    (void)transfer_start(&r->env, job, ride_done, r);
    cr_assert_eq(r->done, 0, "done was called before transfer_start returned");
    while (r->done == 0)
        loop_step(r->loop, true);
    cr_assert_eq(r->done, 1);
    return &r->out;
}

const struct transfer_outcome *ride_file(struct ride *r, const char *name)
{
    return ride_job(r, rig_job(&r->rig, name, 7));
}

char *ride_pattern(size_t n, unsigned seed)
{
    char *data = mem_alloc(n + 1);

    for (size_t i = 0; i < n; i++)
        data[i] = (char)(i * seed + i / 257);
    return data;
}

bool ride_stored(const struct ride *r, const char *key, const char *data, size_t n)
{
    char path[300];
    const struct mini_object *o;

    snprintf(path, sizeof(path), "/bucket/%s", key);
    o = mini_store_find(&r->rig.store, path);
    return o != NULL && o->n == n && memcmp(o->data, data, n) == 0;
}

void ride_has(struct ride *r, const char *key, const char *data, size_t n)
{
    char path[300];

    snprintf(path, sizeof(path), "/bucket/%s", key);
    mini_store_put(&r->rig.store, path, data, n);
}

static bool by_script(struct mini_store *m, enum request_op op, unsigned seq,
                      const struct scripted_request *rq, struct scripted_reply *rp)
{
    const struct scripts *all = m->arg;

    (void)rq;
    for (size_t i = 0; i < all->n; i++) {
        const struct script *s = &all->at[i];

        if (s->op != op || seq < s->from || seq > s->to)
            continue;
        mini_error(rp, s->status, s->code);
        if (s->headers != NULL)
            snprintf(rp->headers, sizeof(rp->headers), "%s", s->headers);
        return true;
    }
    return false;
}

void ride_play(struct ride *r, struct scripts *s, const struct script *at, size_t n)
{
    *s = (struct scripts){at, n};
    r->rig.store.fault = by_script;
    r->rig.store.arg = s;
}
