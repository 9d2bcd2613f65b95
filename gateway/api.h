/* The control API, version 1: its routes, described in docs/api.md. Errors are problem details (RFC
 * 9457). One struct api serves all listeners; what it remembers (history, streams) outlives a
 * pipeline that is made anew on another spool root.
 *
 * A module adds its routes with a table of its own and api_add:
 *
 *     static const struct api_route routes[] = {
 *         {"GET", "/metrics", get_metrics, 0},
 *         {"POST", "/v1/console", post_console, API_UNIX_ONLY},
 *     };
 *     api_add(api, routes, sizeof routes / sizeof routes[0], metrics);
 *
 * and a listener of its own with control_new, whose handler looks at the request first and then
 * calls api_handle(api, r, a). tests/e2e/api.py finds every such row in gateway/ and wants it in
 * docs/api.md.
 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include "gateway/control.h"
#include "gateway/pipeline.h"

struct api;

enum {
    API_UNIX_ONLY = 1,  /* 403 over other listeners */
    API_NO_PIPELINE = 2 /* answered also while the pipeline is made anew (else 503) */
};
struct api_route {
    const char *method; /* "GET" also answers HEAD */
    const char *path;   /* whole */
    void (*handle)(void *arg, const struct control_request *r, struct control_answer *a);
    unsigned flags;
};

struct api_cfg {
    struct loop *loop;
    /* The configuration in force; may be another one at the next call. */
    const struct config *(*config)(void *arg);
    void *arg;
};
struct api *api_new(const struct api_cfg *cfg);
/* NULL: there is none now. The spool root and the journal's directory: borrowed. */
void api_set_pipeline(struct api *api, struct pipeline *p, int root_fd, int journal_fd);
/* Not to be kept across a return to the loop. NULL: it is being made anew. */
struct pipeline *api_pipeline(struct api *api);
int api_root_fd(struct api *api); /* for the pool: dup first */
int api_journal_fd(struct api *api);
/* The table is borrowed and must be static; at most 8 tables. arg: the handlers' first. */
void api_add(struct api *api, const struct api_route *routes, size_t n, void *arg);
struct loop *api_loop(struct api *api);
const struct config *api_config(struct api *api);
/* After the listeners that use it; what is on the pool may come back later. */
void api_free(struct api *api);

/* The handler for control_new; arg is the struct api. */
void api_handle(void *arg, const struct control_request *r, struct control_answer *a);

/* ---- for handlers ---- */

void api_json(struct control_answer *a, json_t *v); /* v is taken over */
/* application/problem+json; title: one sentence with the remedy, bytes that are no UTF-8 escaped.
 */
void api_problem(struct control_answer *a, int status, const char *title);
struct api_problem {
    int status;
    const char *title;
    const char *code, *cause, *remedy; /* NULL: left out */
    json_t *errors;                    /* [{"path","text"}], taken over; NULL: left out */
};
void api_problem_full(struct control_answer *a, const struct api_problem *p);
int api_status_of(enum rc rc);
void api_err(struct control_answer *a, enum rc rc, const struct err *e);

/* What blocks. run goes to the pool (two at a time; sixteen may wait, more are answered 503); then
 * answer fills the deferred answer on the loop's thread; then free. Only free is called when it was
 * refused or the gateway stops. It calls control_defer itself. */
struct api_work {
    void (*run)(void *job);
    void (*answer)(void *job, struct control_answer *a);
    void (*free)(void *job);
    void *job;
};
void api_work(struct api *api, const struct control_request *r, const struct api_work *w);

#endif
