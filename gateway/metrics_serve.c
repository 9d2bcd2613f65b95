/* The three resources and their own listener: see metrics_serve.h. No session is asked for, since
 * nothing can be changed here and nothing secret is told; a listener that only this machine should
 * reach is kept from pages in its browsers by the Host that they send.
 */
#include "gateway/metrics_serve.h"

#include "base/mem.h"
#include "gateway/metrics_page.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECTIONS_MAX 32
#define ANSWER_MS       30000
#define BODY_MAX        4096 /* of requests that have no business with one */

struct metrics_serve {
    struct api *api;
    struct control *control;
};

/* ---- resources ---- */

static void get_metrics(void *arg, const struct control_request *r, struct control_answer *a)
{
    enum metrics_format f = metrics_format_of(control_header(r, "Accept"));
    a->content_type = metrics_content_type(f);
    control_answer_header(a, "Vary", "Accept");
    metrics_page(api_pipeline(arg), f, &a->body);
}

static void plain(struct control_answer *a, bool yes)
{
    a->status = yes ? 200 : 503;
    a->content_type = "text/plain; charset=utf-8";
    if (yes)
        buf_adds(&a->body, "ok\n");
}

/* That this is answered says that the loop turns. */
static void get_livez(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct pipeline *p = api_pipeline(arg);
    (void)r;
    plain(a, !p || pipeline_is_alive(p));
    if (a->status != 200)
        buf_adds(&a->body, "inotify tells nothing: files are found by scans only. The gateway "
                           "should be started again.\n");
}

static void get_readyz(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct pipeline *p = api_pipeline(arg);
    struct buf why;
    (void)r;
    buf_init(&why, 1 << 20);
    if (p)
        plain(a, metrics_ready(p, &why));
    else
        plain(a, false);
    if (a->status != 200)
        buf_adds(&a->body, p ? why.data : "The spool root is being opened anew.\n");
    buf_fini(&why);
}

static const struct api_route routes[] = {
    {"GET", "/metrics", get_metrics, 0},
    {"GET", "/livez", get_livez, API_NO_PIPELINE},
    {"GET", "/readyz", get_readyz, API_NO_PIPELINE},
};

void metrics_serve_add(struct api *api)
{
    api_add(api, routes, sizeof routes / sizeof routes[0], api);
}

/* ---- the listener ---- */

bool metrics_serve_is_local(const char *host)
{
    if (!host)
        return true; /* browsers send one */
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (n == strlen(names[i]) && strncasecmp(host, names[i], n) == 0)
            return true;
    }
    /* The rest of 127.0.0.0/8 by number: no name looks like that. */
    return n <= 15 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

static void handle(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct metrics_serve *s = arg;
    size_t i = 0;
    while (i < sizeof routes / sizeof routes[0] && strcmp(routes[i].path, r->path) != 0)
        i++;
    if (i == sizeof routes / sizeof routes[0])
        api_problem(a, 404, "only /metrics, /livez and /readyz are answered here");
    else if (control_header_count(r, "Host") > 1 ||
             (!api_config(s->api)->metrics.allow_remote &&
              !metrics_serve_is_local(control_header(r, "Host"))))
        api_problem(a, 403,
                    "the Host of this request is not of this machine: ask for localhost, or set "
                    "metrics.allow_remote");
    else
        api_handle(s->api, r, a);
}

enum rc metrics_serve_new(struct api *api, int listen_fd, struct metrics_serve **out, struct err *e)
{
    struct metrics_serve *s = mem_alloc(sizeof *s);
    s->api = api;
    struct control_cfg cfg = {
        .loop = api_loop(api),
        .listen_fd = listen_fd,
        .connections_max = CONNECTIONS_MAX,
        .answer_ms = ANSWER_MS,
        .body_max = BODY_MAX,
        .handler = handle,
        .arg = s,
    };
    enum rc rc = control_new(&cfg, &s->control, e);
    if (rc != RC_OK) {
        free(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

void metrics_serve_free(struct metrics_serve *s)
{
    if (!s)
        return;
    control_free(s->control);
    free(s);
}
