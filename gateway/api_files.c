/* The routes about files as the pipeline knows them, and the verbs. No state of its own; everything
 * in a request is checked here before the pipeline sees it.
 */
#include "gateway/api_files.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FILES_LIMIT_DEFAULT 1000
#define FILES_LIMIT_MAX     10000
#define ACT_LIMIT_MAX       1000
#define PATH_BYTES_MAX      4096

static void get_status(void *arg, const struct control_request *r, struct control_answer *a)
{
    (void)r;
    api_json(a, pipeline_status(api_pipeline(arg)));
}

/* The pipeline has an answer, perhaps before the handler returned. */
static void answer_late(void *arg, enum rc rc, struct buf *json, const struct err *e)
{
    struct control_answer a;
    control_answer_init(&a);
    if (rc != RC_OK) {
        api_err(&a, rc, e);
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

static void get_files(void *arg, const struct control_request *r, struct control_answer *a)
{
    const char *cursor = control_argument(r, "cursor");
    struct pipeline_query q = {
        .state = control_argument(r, "state"),
        .match = control_argument(r, "match"),
        .cursor = cursor ? cursor : "",
    };
    if (!read_limit(control_argument(r, "limit"), &q.limit))
        api_problem(a, 400, "limit: expected a number from 1 to 10000");
    else
        pipeline_files(api_pipeline(arg), &q, answer_late, control_defer(r));
}

static void get_file(void *arg, const struct control_request *r, struct control_answer *a)
{
    const char *path = control_argument(r, "path");
    json_t *out = NULL;
    struct err e = {0};
    if (!path || strlen(path) > PATH_BYTES_MAX) {
        api_problem(a, 400, "path: expected the file's path below the spool root");
        return;
    }
    enum rc rc = pipeline_why(api_pipeline(arg), path, &out, &e);
    if (rc != RC_OK)
        api_err(a, rc, &e);
    else
        api_json(a, out);
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

static void post_verb(struct api *api, enum pipeline_verb verb, const struct control_request *r,
                      struct control_answer *a)
{
    struct err e = {0};
    struct pipeline_act act = {.verb = verb};
    json_t *body = json_parse(r->body, r->body_len, &e);
    enum rc rc = body ? read_act(body, &act, &e) : RC_INVALID;
    if (rc != RC_OK)
        api_err(a, rc, &e);
    else
        pipeline_act(api_pipeline(api), &act, answer_late, control_defer(r));
    free((void *)(uintptr_t)act.paths);
    json_decref(body);
}

static void post_retry(void *arg, const struct control_request *r, struct control_answer *a)
{
    post_verb(arg, PIPELINE_RETRY, r, a);
}

static void post_hold(void *arg, const struct control_request *r, struct control_answer *a)
{
    post_verb(arg, PIPELINE_HOLD, r, a);
}

static void post_release(void *arg, const struct control_request *r, struct control_answer *a)
{
    post_verb(arg, PIPELINE_RELEASE, r, a);
}

static void post_forget(void *arg, const struct control_request *r, struct control_answer *a)
{
    post_verb(arg, PIPELINE_FORGET, r, a);
}

static void post_rescan(void *arg, const struct control_request *r, struct control_answer *a)
{
    (void)r;
    pipeline_rescan(api_pipeline(arg));
    api_json(a, json_pack("{s:b}", "started", 1));
}

static const struct api_route routes[] = {
    {"GET", "/v1/status", get_status, 0},   {"GET", "/v1/files", get_files, 0},
    {"GET", "/v1/file", get_file, 0},       {"POST", "/v1/retry", post_retry, 0},
    {"POST", "/v1/hold", post_hold, 0},     {"POST", "/v1/release", post_release, 0},
    {"POST", "/v1/forget", post_forget, 0}, {"POST", "/v1/rescan", post_rescan, 0},
};

void api_files_add(struct api *api)
{
    api_add(api, routes, sizeof routes / sizeof routes[0], api);
}
