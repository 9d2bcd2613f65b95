/* A request to the control socket through the routes: the pipeline is a stub here that asks for no
 * more than it was promised. First a line: method, path and arguments with a space between; then
 * the body. */
#include "gateway/api.h"

#include "tests/fuzz/fuzz.h"

static char *arguments[5]; /* of the request, in the order of argument_names */
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

enum rc pipeline_files(struct pipeline *p, const struct pipeline_query *q, json_t **out,
                       struct err *e)
{
    (void)p;
    BUG_ON(!q->cursor || q->limit == 0 || q->limit > 10000);
    if (q->cursor[0])
        return err_set(e, RC_INVALID, "cursor %s", q->cursor);
    *out = json_object();
    return RC_OK;
}

enum rc pipeline_why(struct pipeline *p, const char *path, json_t **out, struct err *e)
{
    (void)p;
    if (path[0] == 'x')
        return err_set(e, RC_ABSENT, "nothing is known of %s", path);
    *out = json_object();
    return RC_OK;
}

enum rc pipeline_act(struct pipeline *p, enum pipeline_verb verb, const char *path, struct err *e)
{
    (void)p;
    return (strlen(path) + verb) % 2 ? err_set(e, RC_AGAIN, "%s is being sent", path) : RC_OK;
}

uint64_t pipeline_retry_all(struct pipeline *p)
{
    (void)p;
    return UINT64_MAX;
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
    api_handle(NULL, &r, &a);
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
