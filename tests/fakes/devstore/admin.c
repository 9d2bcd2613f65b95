/* /_devstore/…: what tests and benches ask of the store itself. Not signed; the store listens on
 * loopback unless told otherwise.
 */
#include "tests/fakes/devstore/s3.h"

#include "base/hex.h"
#include "base/utf8.h"

#include <string.h>

static void text_answer(struct exchange *x, const char *type)
{
    x->response.status = 200;
    buf_addf(&x->response.headers, "Content-Type: %s\r\n", type);
}

/* key, size, sha256, etag, acl, first_stored_ns */
static bool add_key(void *arg, const char *key, size_t key_len, const struct object *o)
{
    struct buf *out = arg;
    char sha[2 * SHA256_SIZE + 1] = "-", etag[OBJECT_ETAG_SIZE];

    if (o->has_sha256)
        hex_encode(sha, o->sha256, SHA256_SIZE);
    object_etag(etag, o);
    utf8_escape(out, key, key_len);
    buf_addf(out, "\t%llu\t%s\t%.*s\t%s\t%lld\n", (unsigned long long)o->size, sha,
             (int)strlen(etag) - 2, etag + 1, o->acl[0] != '\0' ? o->acl : "-",
             (long long)o->first_ns);
    return !out->overflow;
}

static void list_keys(struct exchange *x)
{
    buf_reset(&x->scratch);
    if (http_query(&x->request, "prefix", NULL) &&
        !http_query(&x->request, "prefix", &x->scratch)) {
        failure_set(&x->failure, "InvalidURI", "the prefix is not well encoded");
        return;
    }
    store_hash_missing(x->service->store);
    text_answer(x, "text/plain; charset=utf-8");
    store_list(x->service->store, x->scratch.data, NULL, add_key, &x->response.body);
    if (x->response.body.overflow)
        failure_set(&x->failure, "EntityTooLarge", "too many keys for one answer; give a prefix");
}

static void fault_request(struct exchange *x)
{
    struct err e = {0};

    if (strcmp(x->request.method, "DELETE") == 0)
        faults_clear(x->service->faults);
    else if (faults_add(x->service->faults, x->body.text.data, &e) != RC_OK) {
        failure_set(&x->failure, "InvalidArgument", "%.300s", e.text);
        return;
    }
    text_answer(x, "text/plain");
}

static void reset_request(struct exchange *x)
{
    struct err e = {0};

    faults_clear(x->service->faults);
    multiparts_reset(x->service->multiparts);
    if (store_reset(x->service->store, &e) != RC_OK) {
        failure_set(&x->failure, "InternalError", "%.300s", e.text);
        return;
    }
    stats_reset(&x->service->stats);
    text_answer(x, "text/plain");
}

static void stats_request(struct exchange *x)
{
    text_answer(x, "application/json");
    stats_write_json(&x->service->stats, &x->response.body);
}

void admin_request(struct exchange *x)
{
    static const struct {
        const char *method, *path;
        void (*serve)(struct exchange *x);
    } routes[] = {
        {"GET", "/_devstore/stats", stats_request},    {"GET", "/_devstore/keys", list_keys},
        {"POST", "/_devstore/fault", fault_request},   {"PUT", "/_devstore/fault", fault_request},
        {"DELETE", "/_devstore/fault", fault_request}, {"POST", "/_devstore/reset", reset_request},
    };

    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].method, x->request.method) == 0 &&
            strcmp(routes[i].path, x->request.path) == 0) {
            routes[i].serve(x);
            return;
        }
    }
    failure_set(&x->failure, "MethodNotAllowed", "devstore knows no such thing");
}
