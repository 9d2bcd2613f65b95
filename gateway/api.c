/* Routes and JSON of the control API: see api.h. No state of its own; everything in a request is
 * checked here before the pipeline sees it.
 */
#include "gateway/api.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FILES_LIMIT_DEFAULT 1000
#define FILES_LIMIT_MAX     10000
#define ACT_LIMIT_MAX       1000
#define PATH_BYTES_MAX      4096

static void answer_json(struct control_answer *a, json_t *v)
{
    json_write(&a->body, v);
    json_decref(v);
}

static void answer_problem(struct control_answer *a, int status, const char *title)
{
    a->status = status;
    a->content_type = "application/problem+json";
    answer_json(a, json_pack("{s:s, s:i, s:o}", "type", "about:blank", "status", status, "title",
                             json_text(title, strlen(title))));
}

static int status_of(enum rc rc)
{
    switch (rc) {
    case RC_ABSENT:
        return 404;
    case RC_AGAIN:
    case RC_EXISTS:
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

static void get_status(struct pipeline *p, const struct control_request *r,
                       struct control_answer *a)
{
    (void)r;
    answer_json(a, pipeline_status(p));
}

static void get_livez(struct pipeline *p, const struct control_request *r, struct control_answer *a)
{
    (void)p;
    (void)r;
    a->content_type = "text/plain";
    buf_adds(&a->body, "ok\n");
}

/* The pipeline has an answer, perhaps before the handler returned. */
static void answer_late(void *arg, enum rc rc, struct buf *json, const struct err *e)
{
    struct control_answer a;
    control_answer_init(&a);
    if (rc != RC_OK) {
        answer_problem(&a, status_of(rc), e->text);
    } else {
        buf_fini(&a.body);
        a.body = *json;
        buf_init(json, 1);
    }
    control_answer_late(arg, &a);
}

static bool read_limit(const char *text, size_t *limit)
{
    char *end;
    unsigned long n = text ? strtoul(text, &end, 10) : FILES_LIMIT_DEFAULT;
    if (text && (*end != '\0' || n == 0 || n > FILES_LIMIT_MAX))
        return false;
    *limit = n;
    return true;
}

static void get_files(struct pipeline *p, const struct control_request *r, struct control_answer *a)
{
    const char *cursor = control_argument(r, "cursor");
    struct pipeline_query q = {
        .state = control_argument(r, "state"),
        .match = control_argument(r, "match"),
        .cursor = cursor ? cursor : "",
    };
    if (!read_limit(control_argument(r, "limit"), &q.limit))
        answer_problem(a, 400, "limit: expected a number from 1 to 10000");
    else
        pipeline_files(p, &q, answer_late, control_defer(r));
}

static void get_file(struct pipeline *p, const struct control_request *r, struct control_answer *a)
{
    const char *path = control_argument(r, "path");
    json_t *out = NULL;
    struct err e = {0};
    if (!path || strlen(path) > PATH_BYTES_MAX) {
        answer_problem(a, 400, "path: expected the file's path below the spool root");
        return;
    }
    enum rc rc = pipeline_why(p, path, &out, &e);
    if (rc != RC_OK)
        answer_problem(a, status_of(rc), e.text);
    else
        answer_json(a, out);
}

/* The members of the body into `act`, whose texts stay the body's; act->paths: the caller frees. */
static enum rc read_act(const json_t *body, struct pipeline_act *act, struct err *e)
{
    const json_t *paths = json_object_get(body, "paths"), *limit = json_object_get(body, "limit");
    const char *cursor = json_string_value(json_object_get(body, "cursor"));
    act->state = json_string_value(json_object_get(body, "state"));
    act->match = json_string_value(json_object_get(body, "match"));
    act->cursor = cursor ? cursor : "";
    act->dry_run = json_is_true(json_object_get(body, "dry_run"));
    json_int_t n = limit ? json_integer_value(limit) : ACT_LIMIT_MAX;
    if (n < 1 || n > ACT_LIMIT_MAX)
        return err_set(e, RC_INVALID, "limit: expected a number from 1 to %d", ACT_LIMIT_MAX);
    act->limit = (size_t)n;
    if (!paths && (act->state || act->match || json_is_true(json_object_get(body, "all"))))
        return RC_OK;
    if (!json_is_array(paths))
        return err_set(e, RC_INVALID,
                       "expected {\"paths\": [\"…\"]}, {\"state\": \"…\"}, {\"match\": \"…\"} or "
                       "{\"all\": true}");
    act->n_paths = json_array_size(paths);
    if (act->n_paths > ACT_LIMIT_MAX)
        return err_set(e, RC_INVALID, "paths: at most %d at once", ACT_LIMIT_MAX);
    const char **list = mem_alloc((act->n_paths + 1) * sizeof *list);
    act->paths = list;
    for (size_t i = 0; i < act->n_paths; i++) {
        list[i] = json_string_value(json_array_get(paths, i));
        if (!list[i] || list[i][0] == '\0' || strlen(list[i]) > PATH_BYTES_MAX)
            return err_set(e, RC_INVALID, "paths: expected paths below the spool root");
    }
    return RC_OK;
}

static void post_verb(struct pipeline *p, enum pipeline_verb verb, const struct control_request *r,
                      struct control_answer *a)
{
    struct err e = {0};
    struct pipeline_act act = {.verb = verb};
    json_t *body = json_parse(r->body, r->body_len, &e);
    enum rc rc = body ? read_act(body, &act, &e) : RC_INVALID;
    if (rc != RC_OK)
        answer_problem(a, status_of(rc), e.text);
    else
        pipeline_act(p, &act, answer_late, control_defer(r));
    free((void *)(uintptr_t)act.paths);
    json_decref(body);
}

static void post_retry(struct pipeline *p, const struct control_request *r,
                       struct control_answer *a)
{
    post_verb(p, PIPELINE_RETRY, r, a);
}

static void post_hold(struct pipeline *p, const struct control_request *r, struct control_answer *a)
{
    post_verb(p, PIPELINE_HOLD, r, a);
}

static void post_release(struct pipeline *p, const struct control_request *r,
                         struct control_answer *a)
{
    post_verb(p, PIPELINE_RELEASE, r, a);
}

static void post_forget(struct pipeline *p, const struct control_request *r,
                        struct control_answer *a)
{
    post_verb(p, PIPELINE_FORGET, r, a);
}

static void post_rescan(struct pipeline *p, const struct control_request *r,
                        struct control_answer *a)
{
    (void)r;
    pipeline_rescan(p);
    answer_json(a, json_pack("{s:b}", "started", 1));
}

static const struct route {
    const char *method, *path;
    void (*handle)(struct pipeline *p, const struct control_request *r, struct control_answer *a);
} routes[] = {
    {"GET", "/v1/status", get_status},     {"GET", "/v1/files", get_files},
    {"GET", "/v1/file", get_file},         {"GET", "/livez", get_livez},
    {"POST", "/v1/retry", post_retry},     {"POST", "/v1/hold", post_hold},
    {"POST", "/v1/release", post_release}, {"POST", "/v1/forget", post_forget},
    {"POST", "/v1/rescan", post_rescan},
};

void api_handle(void *arg, const struct control_request *r, struct control_answer *a)
{
    bool known_path = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(r->path, routes[i].path) != 0)
            continue;
        known_path = true;
        if (strcmp(r->method, routes[i].method) == 0) {
            routes[i].handle(arg, r, a);
            return;
        }
    }
    if (known_path)
        answer_problem(a, 405, "this resource has another method");
    else
        answer_problem(a, 404, "there is no such resource");
}
