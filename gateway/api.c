/* The table of routes, problem details, work on the pool: see api.h. What the routes do is in the
 * files that add them. A method that a path does not have is 405 and says those it has.
 */
#include "gateway/api.h"

#include "base/mem.h"

#include <string.h>

#define TABLES_MAX  8
#define RUNNING_MAX 2
#define WAITING_MAX 16

struct table {
    const struct api_route *routes;
    size_t n;
    void *arg;
};

/* One that is on the pool or waits for it. */
struct work {
    struct api *api;
    struct control_pending *pending;
    struct api_work w;
    struct work *next;
};

struct api {
    struct api_cfg cfg;
    struct pipeline *pipeline;
    int root_fd, journal_fd;
    struct table tables[TABLES_MAX];
    size_t n_tables;
    struct work *first, **last; /* waiting */
    size_t n_waiting, n_running;
    bool freed; /* all but what is on the pool */
};

struct api *api_new(const struct api_cfg *cfg)
{
    struct api *api = mem_alloc(sizeof *api);
    *api = (struct api){.cfg = *cfg, .root_fd = -1, .journal_fd = -1};
    api->last = &api->first;
    return api;
}

void api_set_pipeline(struct api *api, struct pipeline *p, int root_fd, int journal_fd)
{
    api->pipeline = p;
    api->root_fd = root_fd;
    api->journal_fd = journal_fd;
}

struct pipeline *api_pipeline(struct api *api)
{
    return api->pipeline;
}

int api_root_fd(struct api *api)
{
    return api->root_fd;
}

int api_journal_fd(struct api *api)
{
    return api->journal_fd;
}

struct loop *api_loop(struct api *api)
{
    return api->cfg.loop;
}

const struct config *api_config(struct api *api)
{
    return api->cfg.config(api->cfg.arg);
}

void api_add(struct api *api, const struct api_route *routes, size_t n, void *arg)
{
    BUG_ON(api->n_tables == TABLES_MAX);
    api->tables[api->n_tables++] = (struct table){routes, n, arg};
}

/* ---- answers ---- */

void api_json(struct control_answer *a, json_t *v)
{
    json_write(&a->body, v);
    json_decref(v);
}

static void add_text(json_t *o, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(o, name, json_text(text, strlen(text)));
}

void api_problem_full(struct control_answer *a, const struct api_problem *p)
{
    json_t *o = json_pack("{s:s, s:i, s:o}", "type", "about:blank", "status", p->status, "title",
                          json_text(p->title, strlen(p->title)));
    add_text(o, "code", p->code);
    add_text(o, "cause", p->cause);
    add_text(o, "remedy", p->remedy);
    if (p->errors)
        json_object_set_new(o, "errors", p->errors);
    a->status = p->status;
    a->content_type = "application/problem+json";
    buf_reset(&a->body);
    api_json(a, o);
}

void api_problem(struct control_answer *a, int status, const char *title)
{
    api_problem_full(a, &(struct api_problem){.status = status, .title = title});
}

int api_status_of(enum rc rc)
{
    switch (rc) {
    case RC_ABSENT:
        return 404;
    case RC_AGAIN:
    case RC_EXISTS:
    case RC_CHANGED:
        return 409;
    case RC_INVALID:
    case RC_LIMIT:
        return 400;
    case RC_DENIED:
        return 403;
    default:
        return 500;
    }
}

void api_err(struct control_answer *a, enum rc rc, const struct err *e)
{
    api_problem_full(
        a, &(struct api_problem){.status = api_status_of(rc), .title = e->text, .code = e->code});
}

/* ---- the pool ---- */

static void pump(struct api *api);

static void work_run(void *arg)
{
    struct work *k = arg;
    k->w.run(k->w.job);
}

static void work_done(void *arg)
{
    struct work *k = arg;
    struct api *api = k->api;
    struct control_answer a;
    control_answer_init(&a);
    k->w.answer(k->w.job, &a);
    control_answer_late(k->pending, &a);
    k->w.free(k->w.job);
    free(k);
    api->n_running--;
    if (!api->freed)
        pump(api);
    else if (api->n_running == 0)
        free(api);
}

static struct work *take_first(struct api *api)
{
    struct work *k = api->first;
    api->first = k->next;
    if (!api->first)
        api->last = &api->first;
    api->n_waiting--;
    return k;
}

static void pump(struct api *api)
{
    while (api->first && api->n_running < RUNNING_MAX) {
        api->n_running++;
        loop_work(api->cfg.loop, work_run, work_done, take_first(api));
    }
}

void api_work(struct api *api, const struct control_request *r, const struct api_work *w)
{
    struct work *k = mem_alloc(sizeof *k);
    *k = (struct work){.api = api, .pending = control_defer(r), .w = *w};
    if (api->n_waiting == WAITING_MAX) {
        struct control_answer a;
        control_answer_init(&a);
        api_problem(&a, 503, "too much is being asked at once: try again");
        control_answer_late(k->pending, &a);
        w->free(w->job);
        free(k);
        return;
    }
    *api->last = k;
    api->last = &k->next;
    api->n_waiting++;
    pump(api);
}

void api_free(struct api *api)
{
    if (!api)
        return;
    while (api->first) {
        struct work *k = take_first(api);
        struct control_answer a;
        control_answer_init(&a);
        api_problem(&a, 503, "the gateway stops");
        control_answer_late(k->pending, &a);
        k->w.free(k->w.job);
        free(k);
    }
    api->freed = true;
    if (api->n_running == 0)
        free(api);
}

/* ---- routes ---- */

static bool has_method(const struct api_route *route, const char *method)
{
    return strcmp(method, route->method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void handle(struct api *api, const struct table *t, const struct api_route *route,
                   const struct control_request *r, struct control_answer *a)
{
    if ((route->flags & API_UNIX_ONLY) && !r->over_unix)
        api_problem(a, 403, "this is answered on the control socket only");
    else if (!(route->flags & API_NO_PIPELINE) && !api->pipeline)
        api_problem(a, 503, "the spool root is being opened anew: try again in a second");
    else
        route->handle(t->arg, r, a);
}

static void refuse_method(struct control_answer *a, const char *allow)
{
    struct buf title;
    buf_init(&title, 256);
    buf_addf(&title, "this resource has other methods: %s", allow);
    control_answer_header(a, "Allow", allow);
    api_problem(a, 405, title.data);
    buf_fini(&title);
}

void api_handle(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api *api = arg;
    struct buf allow;
    buf_init(&allow, 128);
    for (const struct table *t = api->tables; t < api->tables + api->n_tables; t++) {
        for (const struct api_route *route = t->routes; route < t->routes + t->n; route++) {
            if (strcmp(r->path, route->path) != 0)
                continue;
            if (has_method(route, r->method)) {
                buf_fini(&allow);
                handle(api, t, route, r, a);
                return;
            }
            buf_addf(&allow, "%s%s", allow.len ? ", " : "", route->method);
        }
    }
    if (allow.len > 0)
        refuse_method(a, allow.data);
    else
        api_problem(a, 404, "there is no such resource: docs/api.md lists them");
    buf_fini(&allow);
}
