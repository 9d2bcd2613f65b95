/* Joins console, set-up and control API: see console_api.h.
 */
#include "gateway/console_api.h"

#include "base/mem.h"
#include "gateway/session.h"
#include "gateway/setup_api.h"

#include <stdlib.h>
#include <string.h>

struct console_api {
    struct console *console;
    struct setup_api *setup;
};

/* {"port": N}, or nothing; false: that is no port. */
static bool read_port(const struct control_request *r, uint16_t *port)
{
    struct err e;
    *port = 0;
    if (r->body_len == 0)
        return true;
    json_t *body = json_parse(r->body, r->body_len, &e);
    const json_t *value = json_object_get(body, "port");
    json_int_t n = value ? json_integer_value(value) : 0;
    bool ok = json_is_object(body) && (!value || json_is_integer(value)) && n >= 0 && n <= 65535;
    *port = ok ? (uint16_t)n : 0;
    json_decref(body);
    return ok;
}

static void post_console(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct console_api *c = arg;
    struct buf url;
    struct err e = {0};
    uint16_t port;
    if (!read_port(r, &port)) {
        api_problem(a, 400, "port: expected a number from 1 to 65535, or 0 for any");
        return;
    }
    buf_init(&url, 256);
    enum rc rc = console_link(c->console, port, &url, &e);
    if (rc == RC_OK)
        api_json(a, json_pack("{s:s, s:i, s:i}", "url", url.data, "port",
                              console_port_of(c->console), "valid_ms", SESSION_LINK_MS));
    else
        api_err(a, rc, &e);
    buf_fini(&url);
}

static const struct api_route routes[] = {
    {"POST", "/v1/console", post_console, API_UNIX_ONLY | API_NO_PIPELINE},
};

struct console_api *console_api_new(const struct console_api_cfg *cfg)
{
    struct console_api *c = mem_alloc(sizeof *c);
    c->console = console_new(&(struct console_cfg){.loop = cfg->loop,
                                                   .mode = cfg->mode,
                                                   .port = cfg->port,
                                                   .handler = api_handle,
                                                   .arg = cfg->api,
                                                   .unused = cfg->unused,
                                                   .unused_arg = cfg->arg});
    c->setup = setup_api_new(&(struct setup_api_cfg){.api = cfg->api,
                                                     .loop = cfg->loop,
                                                     .path = cfg->path,
                                                     .saved = cfg->saved,
                                                     .arg = cfg->arg});
    api_add(cfg->api, routes, sizeof routes / sizeof routes[0], c);
    return c;
}

enum rc console_api_link(struct console_api *c, uint16_t port, struct buf *url, struct err *e)
{
    return console_link(c->console, port, url, e);
}

uint16_t console_api_port(const struct console_api *c)
{
    return console_port_of(c->console);
}

void console_api_free(struct console_api *c)
{
    if (!c)
        return;
    console_free(c->console);
    setup_api_free(c->setup);
    free(c);
}
