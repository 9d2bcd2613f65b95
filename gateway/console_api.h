/* The console beside the control API: POST /v1/console, the set-up's routes, and the web server
 * that a first link opens.
 */
#ifndef GATEWAY_CONSOLE_API_H
#define GATEWAY_CONSOLE_API_H

#include "gateway/api.h"
#include "gateway/console.h"

struct console_api_cfg {
    struct api *api;
    struct loop *loop;
    const char *mode; /* "gateway", or "setup": nothing but the set-up */
    const char *path; /* of the configuration */
    struct console_port port;
    void (*saved)(void *arg);  /* as setup_api's */
    void (*unused)(void *arg); /* as console's; NULL */
    void *arg;
};
struct console_api;
/* Adds the routes:
 *   POST /v1/console  {"port"}: {"url", "port", "valid_ms"}; over the unix socket only
 * and those of setup_api.h. */
struct console_api *console_api_new(const struct console_api_cfg *cfg);
/* As console_link. */
enum rc console_api_link(struct console_api *c, uint16_t port, struct buf *url,
                         struct err *e) MUST_CHECK;
uint16_t console_api_port(const struct console_api *c); /* 0: none yet */
/* Before api_free, after all other listeners. NULL allowed. */
void console_api_free(struct console_api *c);

#endif
