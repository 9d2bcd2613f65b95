/* A request to the control socket through the routes: the pipeline is a stub here that asks for no
 * more than it was promised. First a line: method, path and arguments with a space between; then
 * the body. */
#include "gateway/api_files.h"

#include "tests/fuzz/fuzz.h"

static struct control_answer late; /* of a request whose answer was deferred */
static char *arguments[5];         /* of the request, in the order of argument_names */
static const char *const argument_names[] = {"state", "match", "cursor", "limit", "path"};

const char *control_argument(const struct control_request *r, const char *name)
{
    (void)r;
    for (size_t i = 0; i < sizeof argument_names / sizeof argument_names[0]; i++)
        if (strcmp(name, argument_names[i]) == 0)
            return arguments[i] && arguments[i][0] ? arguments[i] : NULL;
    BUG_ON(true);
    return NULL;
}

json_t *pipeline_status(struct pipeline *p)
{
    (void)p;
    return json_object();
}

struct control_pending *control_defer(const struct control_request *r)
{
    (void)r;
    return (struct control_pending *)&late;
}

void control_answer_init(struct control_answer *a)
{
    *a = (struct control_answer){.status = 200, .content_type = "application/json"};
    buf_init(&a->body, 1 << 24);
}

void control_answer_header(struct control_answer *a, const char *name, const char *value)
{
    (void)a;
    BUG_ON(!*name || !*value);
}

void control_answer_late(struct control_pending *w, struct control_answer *a)
{
    BUG_ON((void *)w != &late || late.body.data);
    late = *a;
}

static void answer(pipeline_answer *done, void *arg, enum rc rc, const struct err *e)
{
    struct buf json;
    buf_init(&json, 1024);
    buf_adds(&json, "{}");
    done(arg, rc, &json, e);
    buf_fini(&json);
}

void pipeline_files(struct pipeline *p, const struct pipeline_query *q, pipeline_answer *done,
                    void *arg)
{
    struct err e;
    (void)p;
    BUG_ON(!q->cursor || q->limit == 0 || q->limit > 10000);
    enum rc rc = q->cursor[0] ? err_set(&e, RC_INVALID, "cursor %s", q->cursor) : RC_OK;
    answer(done, arg, rc, &e);
}

enum rc pipeline_why(struct pipeline *p, const char *path, json_t **out, struct err *e)
{
    (void)p;
    if (path[0] == 'x')
        return err_set(e, RC_ABSENT, "nothing is known of %s", path);
    *out = json_object();
    return RC_OK;
}

void pipeline_act(struct pipeline *p, const struct pipeline_act *act, pipeline_answer *done,
                  void *arg)
{
    struct err e;
    size_t bytes = act->verb;
    (void)p;
    BUG_ON(!act->cursor || act->limit == 0 || act->limit > 1000 || act->n_paths > 1000);
    for (size_t i = 0; i < act->n_paths; i++) {
        BUG_ON(act->paths[i][0] == '\0');
        bytes += strlen(act->paths[i]);
    }
    answer(done, arg, bytes % 2 ? err_set(&e, RC_AGAIN, "too many at once") : RC_OK, &e);
}

void pipeline_rescan(struct pipeline *p)
{
    (void)p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    char *line = fuzz_text(&in, '\n');
    struct fuzz_input words = fuzz_begin((const uint8_t *)line, strlen(line));
    char *method = fuzz_text(&words, ' '), *path = fuzz_text(&words, ' ');
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
        arguments[i] = fuzz_text(&words, ' ');
    struct control_request r = {.method = method, .path = path};
    struct control_answer a = {.status = 200, .content_type = "application/json"};
    struct err e;
    r.body = fuzz_take(&in, in.n, &r.body_len);
    buf_init(&a.body, 1 << 24);
    late = (struct control_answer){0};
    struct api *api = api_new(&(struct api_cfg){0});
    api_set_pipeline(api, (struct pipeline *)&late, -1, -1); /* the stubs do not look at it */
    api_files_add(api);
    api_handle(api, &r, &a);
    api_free(api);
    if (late.body.data) {
        buf_fini(&a.body);
        a = late;
    }
    BUG_ON(a.status < 200 || a.status > 599 || a.body.overflow);
    if (strcmp(a.content_type, "text/plain") != 0) {
        json_t *v = json_parse(a.body.data, a.body.len, &e);
        BUG_ON(!v);
        json_decref(v);
    }
    buf_fini(&a.body);
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
        free(arguments[i]);
    free((char *)r.body);
    free(method);
    free(path);
    free(line);
    return 0;
}
