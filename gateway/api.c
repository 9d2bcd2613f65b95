/* Routes and JSON of the control API: see api.h. No state of its own; everything in a request is
 * checked here before the pipeline sees it.
 */
#include "gateway/api.h"

#include <stdlib.h>
#include <string.h>

#define FILES_LIMIT_DEFAULT 1000
#define FILES_LIMIT_MAX     10000
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

static void get_files(struct pipeline *p, const struct control_request *r, struct control_answer *a)
{
    const char *limit = control_argument(r, "limit");
    const char *cursor = control_argument(r, "cursor");
    struct pipeline_query q = {
        .state = control_argument(r, "state"),
        .match = control_argument(r, "match"),
        .cursor = cursor ? cursor : "",
        .limit = FILES_LIMIT_DEFAULT,
    };
    if (limit) {
        char *end;
        unsigned long n = strtoul(limit, &end, 10);
        if (*end != '\0' || n == 0 || n > FILES_LIMIT_MAX) {
            answer_problem(a, 400, "limit: expected a number from 1 to 10000");
            return;
        }
        q.limit = n;
    }
    json_t *out = NULL;
    struct err e = {0};
    enum rc rc = pipeline_files(p, &q, &out, &e);
    if (rc != RC_OK)
        answer_problem(a, status_of(rc), e.text);
    else
        answer_json(a, out);
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

static void act_on_paths(struct pipeline *p, enum pipeline_verb verb, const json_t *paths,
                         struct control_answer *a)
{
    json_t *done = json_array(), *failed = json_array();
    size_t i;
    json_t *v;
    json_array_foreach(paths, i, v)
    {
        const char *path = json_string_value(v);
        struct err e = {0};
        enum rc rc = path ? pipeline_act(p, verb, path, &e)
                          : err_set(&e, RC_INVALID, "paths: expected strings");
        if (rc == RC_OK)
            json_array_append(done, v);
        else
            json_array_append_new(failed, json_pack("{s:O, s:o}", "path", v, "reason",
                                                    json_text(e.text, strlen(e.text))));
    }
    answer_json(a, json_pack("{s:o, s:o}", "done", done, "failed", failed));
}

static void post_verb(struct pipeline *p, enum pipeline_verb verb, const struct control_request *r,
                      struct control_answer *a)
{
    struct err e = {0};
    json_t *body = json_parse(r->body, r->body_len, &e);
    const json_t *paths = json_object_get(body, "paths");
    if (!body)
        answer_problem(a, 400, e.text);
    else if (json_is_array(paths))
        act_on_paths(p, verb, paths, a);
    else if (json_is_true(json_object_get(body, "all")) && verb == PIPELINE_RETRY)
        answer_json(a, json_pack("{s:I}", "count", (json_int_t)pipeline_retry_all(p)));
    else
        answer_problem(a, 400, "expected {\"paths\": [\"…\"]}, or {\"all\": true} for retry");
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
