/* The configuration over the API: see api_config.h. The file is read, checked and written on the
 * pool; what is in force is compared there as a document that was made on the loop's thread.
 */
#include "gateway/api_config.h"

#include "base/mem.h"
#include "gateway/config_diff.h"
#include "gateway/config_store.h"
#include "gateway/sandbox.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX (1 << 20)

struct api_config {
    struct api *api;
    api_config_reload *reload;
    void *reload_arg;
    bool busy, freed; /* a change is under way; nobody asks any more */
};

/* ---- GET ---- */

struct get_job {
    char *path;
    json_t *running;
    char etag[CONFIG_STORE_ETAG_SIZE];
    bool writable;
    struct err why; /* why not writable */
};

static void get_run(void *arg)
{
    struct get_job *job = arg;
    struct config_store file;
    enum rc rc = config_store_read(job->path, &file, &job->why);
    if (rc == RC_OK) {
        memcpy(job->etag, file.etag, sizeof job->etag);
        rc = config_store_may_write(&file, &job->why);
    }
    job->writable = rc == RC_OK;
    config_store_fini(&file);
}

static void get_answer(void *arg, struct control_answer *a)
{
    struct get_job *job = arg;
    if (job->etag[0])
        control_answer_header(a, "ETag", job->etag);
    api_json(a, json_pack("{s:o, s:O, s:o, s:b, s:o}", "path",
                          json_text(job->path, strlen(job->path)), "config", job->running,
                          "restart", config_diff_restart_keys(), "writable", job->writable, "why",
                          job->writable ? json_null()
                                        : json_text(job->why.text, strlen(job->why.text))));
}

static void get_free(void *arg)
{
    struct get_job *job = arg;
    json_decref(job->running);
    free(job->path);
    free(job);
}

static void get_config(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api_config *c = arg;
    const struct config *now = api_config(c->api);
    struct get_job *job = mem_alloc(sizeof *job);
    (void)a;
    *job = (struct get_job){.path = mem_strdup(now->path), .running = config_to_json(now)};
    struct api_work w = {get_run, get_answer, get_free, job};
    api_work(c->api, r, &w);
}

/* ---- PATCH ---- */

struct patch_job {
    struct api_config *c;
    struct control_pending *pending;
    char *path, *if_match, *body;
    size_t body_len;
    json_t *running; /* what was in force when it was asked */
    struct control_answer answer;
    bool written, in_force;                     /* in_force: nothing is left to be taken over */
    json_t *changed, *restart;                  /* once written */
    char beyond[sizeof((struct err *)0)->text]; /* why the sandbox does not admit it; "": it does */
};

static bool matches(const char *if_match, const char *etag)
{
    if (!if_match || strcmp(if_match, "*") == 0)
        return true;
    const char *at = strstr(if_match, etag);
    return at && (at == if_match || at[-1] != '/'); /* W/"…" never matches (RFC 9110 13.1.1) */
}

/* The file's document with the change; NULL: the answer says why not. */
static json_t *merge(struct patch_job *job, const struct config_store *file)
{
    struct err e = {0};
    json_t *patch = json_parse(job->body, job->body_len, &e);
    if (!json_is_object(patch)) {
        struct api_problem p = {.status = 400,
                                .title = "expected a merge patch (RFC 7396): a JSON object with "
                                         "the keys to change",
                                .cause = patch ? NULL : e.text};
        api_problem_full(&job->answer, &p);
        json_decref(patch);
        return NULL;
    }
    json_t *document = json_parse(file->text, file->n, &e);
    if (!json_is_object(document)) {
        struct api_problem p = {.status = 409,
                                .title = "the configuration's file is not JSON as it is: mend it "
                                         "by hand first",
                                .cause = document ? NULL : e.text};
        api_problem_full(&job->answer, &p);
        json_decref(document);
        json_decref(patch);
        return NULL;
    }
    config_diff_merge(document, patch);
    json_decref(patch);
    return document;
}

/* What is in force once the text is; NULL: the answer lists what is wrong with it. */
static struct config *check_text(struct patch_job *job, const struct buf *text)
{
    struct config *fresh = NULL;
    struct config_faults faults = {0};
    if (text->overflow) {
        api_problem(&job->answer, 400, "the configuration would have more than 1 MiB");
        return NULL;
    }
    if (config_parse(text->data, text->len, job->path, &fresh, &faults) != RC_OK) {
        struct api_problem p = {.status = 400,
                                .title = "the configuration would be wrong: nothing was changed",
                                .errors = config_diff_errors(&faults)};
        api_problem_full(&job->answer, &p);
    }
    config_faults_fini(&faults);
    return fresh;
}

/* What is not in the file yet, or what is not in force if the file was wrong. */
static json_t *changed_keys(const struct patch_job *job, const struct config_store *file,
                            const json_t *fresh)
{
    struct config *before = NULL;
    struct config_faults faults = {0};
    json_t *old = json_incref(job->running);
    if (config_parse(file->text, file->n, job->path, &before, &faults) == RC_OK) {
        json_decref(old);
        old = config_to_json(before);
    }
    json_t *keys = config_diff(old, fresh);
    json_decref(old);
    config_free(before);
    config_faults_fini(&faults);
    return keys;
}

static void store(struct patch_job *job, const struct config_store *file, const struct buf *text,
                  const struct config *fresh)
{
    struct err e = {0};
    json_t *document = config_to_json(fresh);
    json_t *changed = changed_keys(job, file, document);
    json_t *not_in_force = config_diff(job->running, document);
    job->in_force = json_array_size(not_in_force) == 0;
    enum rc rc = RC_OK;
    if (json_array_size(changed) > 0)
        rc = config_store_write(file, text->data, text->len, &e);
    job->written = rc == RC_OK;
    if (rc != RC_OK) {
        api_err(&job->answer, rc, &e);
        json_decref(changed);
    } else {
        job->changed = changed;
        job->restart = config_diff_restart(not_in_force);
        if (sandbox_admits(fresh, &e) != RC_OK)
            memcpy(job->beyond, e.text, sizeof job->beyond);
    }
    json_decref(not_in_force);
    json_decref(document);
}

static void patch_run(void *arg)
{
    struct patch_job *job = arg;
    struct config_store file;
    struct config *fresh = NULL;
    struct buf text;
    struct err e = {0};
    buf_init(&text, TEXT_MAX);
    enum rc rc = config_store_read(job->path, &file, &e);
    if (rc != RC_OK) {
        api_err(&job->answer, rc, &e);
    } else if (!matches(job->if_match, file.etag)) {
        api_problem(&job->answer, 412,
                    "the configuration was changed since it was read: read it again");
    } else if (config_store_may_write(&file, &e) != RC_OK) {
        api_problem(&job->answer, 403, e.text);
    } else {
        json_t *document = merge(job, &file);
        if (document) {
            json_write_pretty(&text, document);
            buf_addc(&text, '\n');
            fresh = check_text(job, &text);
            json_decref(document);
        }
        if (fresh)
            store(job, &file, &text, fresh);
    }
    config_free(fresh);
    config_store_fini(&file);
    buf_fini(&text);
}

static void finish(struct patch_job *job)
{
    struct api_config *c = job->c;
    control_answer_late(job->pending, &job->answer);
    json_decref(job->running);
    json_decref(job->changed);
    json_decref(job->restart);
    free(job->path);
    free(job->if_match);
    free(job->body);
    free(job);
    c->busy = false;
    if (c->freed)
        free(c);
}

/* why: not in force by now; NULL: it is. */
static void tell(struct patch_job *job, const char *why)
{
    api_json(&job->answer, json_pack("{s:O, s:O, s:b, s:o}", "changed", job->changed, "restart",
                                     job->restart, "reloaded", why == NULL, "why",
                                     why ? json_text(why, strlen(why)) : json_null()));
    finish(job);
}

static void on_reloaded(void *arg, enum rc rc, const struct err *e)
{
    tell(arg, rc == RC_OK ? NULL : e->text);
}

static void patch_done(void *arg)
{
    struct patch_job *job = arg;
    if (!job->written)
        finish(job);
    else if (json_array_size(job->restart) > 0)
        tell(job, "it is saved; some of what changed needs a restart, and until then the gateway "
                  "goes on with its settings as they were");
    else if (job->beyond[0])
        tell(job, job->beyond);
    else if (job->in_force)
        tell(job, NULL);
    else if (job->c->freed)
        tell(job, "it is saved, and in force with the next start: the gateway stops");
    else
        job->c->reload(job->c->reload_arg, on_reloaded, job);
}

static bool is_merge_patch(const char *content_type)
{
    size_t n = content_type ? strcspn(content_type, "; \t") : 0;
    static const char *const types[] = {"application/merge-patch+json", "application/json"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (n == strlen(types[i]) && strncasecmp(content_type, types[i], n) == 0)
            return true;
    }
    return false;
}

static void patch_config(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api_config *c = arg;
    const struct config *now = api_config(c->api);
    const char *if_match = control_header(r, "If-Match");
    if (!is_merge_patch(control_header(r, "Content-Type"))) {
        control_answer_header(a, "Accept-Patch", "application/merge-patch+json");
        api_problem(a, 415, "expected Content-Type: application/merge-patch+json");
        return;
    }
    if (c->busy) {
        api_problem(a, 409, "the configuration is being changed at this moment: try again");
        return;
    }
    struct patch_job *job = mem_alloc(sizeof *job);
    *job = (struct patch_job){.c = c,
                              .pending = control_defer(r),
                              .path = mem_strdup(now->path),
                              .if_match = if_match ? mem_strdup(if_match) : NULL,
                              .body = mem_alloc(r->body_len + 1),
                              .body_len = r->body_len,
                              .running = config_to_json(now)};
    memcpy(job->body, r->body, r->body_len);
    control_answer_init(&job->answer);
    c->busy = true;
    loop_work(api_loop(c->api), patch_run, patch_done, job);
}

/* ---- */

static const struct api_route routes[] = {
    {"GET", "/v1/config", get_config, 0},
    {"PATCH", "/v1/config", patch_config, 0},
};

struct api_config *api_config_new(struct api *api, api_config_reload *reload, void *arg)
{
    struct api_config *c = mem_alloc(sizeof *c);
    *c = (struct api_config){.api = api, .reload = reload, .reload_arg = arg};
    api_add(api, routes, sizeof routes / sizeof routes[0], c);
    return c;
}

void api_config_free(struct api_config *c)
{
    if (!c)
        return;
    c->freed = true;
    if (!c->busy)
        free(c);
}
