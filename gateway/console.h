/* The console's web server: pages in a browser for who has a link of `spoolgate console`. It
 * listens on 127.0.0.1 only, from the first link on until nobody has used it for CONSOLE_UNUSED_MS.
 * A link opens one session; without one there are only the pages themselves, which hold nothing.
 *
 *   GET  /, /login, …   the files of console/
 *   POST /session       {"token"} of a link: the cookie, and {"csrf"}
 *   GET  /session       {"csrf", "mode", "version"}; 401 without a session
 *   DELETE /session
 *   all others          the API's, with a session; changes with its csrf as Spoolgate-Token
 */
#ifndef GATEWAY_CONSOLE_H
#define GATEWAY_CONSOLE_H

#include "gateway/control.h"

#include <stdint.h>

#define CONSOLE_UNUSED_MS ((uint64_t)30 * 60 * 1000)

/* A socket on 127.0.0.1 that does not listen yet. port 0: the kernel chooses. Before the sandbox is
 * entered, which lets nothing be bound any more. */
struct console_port {
    int fd; /* -1: none */
    uint16_t port;
};
enum rc console_bind(uint16_t port, struct console_port *out, struct err *e) MUST_CHECK;

struct console_cfg {
    struct loop *loop;
    const char *mode;         /* "gateway", or "setup" where there is no gateway */
    struct console_port port; /* taken over; fd -1: bound when it is asked for */
    control_handler *handler; /* of the API, for who has a session */
    void *arg;
    void (*unused)(void *unused_arg); /* it was closed, since nobody used it; NULL */
    void *unused_arg;
};
struct console;
struct console *console_new(const struct console_cfg *cfg);
/* Listens if it does not yet, and appends a link. port 0: whichever; else RC_EXISTS: it listens on
 * another; RC_DENIED, RC_IO: this one cannot be had. */
enum rc console_link(struct console *c, uint16_t port, struct buf *url, struct err *e) MUST_CHECK;
uint16_t console_port_of(const struct console *c); /* 0: it has none yet */
void console_free(struct console *c);              /* NULL allowed */

#endif
