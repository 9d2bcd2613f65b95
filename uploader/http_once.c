/* One HTTP call to its end on a loop of its own: for commands, which have nothing else to do. */
#include "uploader/http.h"

#include "base/mem.h"

struct once {
    struct http_call *call;
    void (*done)(void *arg, const struct http_answer *a);
    void *arg;
    struct http_answer *answer;
    char **body;
    bool ended;
};

static enum rc once_sink(void *arg, const char *data, size_t n)
{
    struct once *o = arg;

    return o->call->sink(o->arg, data, n);
}

static void once_done(void *arg, const struct http_answer *a)
{
    struct once *o = arg;

    *o->answer = *a;
    o->answer->body = "";
    if (o->body != NULL) {
        *o->body = mem_strndup(a->body, a->body_len);
        o->answer->body = *o->body;
    }
    if (o->done != NULL)
        o->done(o->arg, a);
    o->ended = true;
}

enum rc http_once(const struct http_cfg *cfg, struct http_call *call, struct http_answer *a,
                  char **body)
{
    struct loop *l = loop_new();
    struct http_client *c = http_client_new(l, cfg);
    struct once o = {.call = call, .done = call->done, .arg = call->arg, .answer = a, .body = body};
    struct http_call own = *call;

    own.done = once_done;
    own.arg = &o;
    if (call->sink != NULL)
        own.sink = once_sink;
    http_start(c, &own);
    while (!o.ended)
        loop_step(l, true);
    http_client_free(c);
    loop_free(l);
    return a->rc;
}
