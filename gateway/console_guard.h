/* Does a request come from a page that the console itself has served? Pure.
 *
 * A browser sends requests here for whoever asks it to. The Host tells a name that somebody had
 * point to this machine (DNS rebinding), Origin and Sec-Fetch-Site tell the page that asks; a page
 * of another port of this machine is another one, too, though its cookies are shared.
 */
#ifndef GATEWAY_CONSOLE_GUARD_H
#define GATEWAY_CONSOLE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct console_origin {
    const char *host; /* of the header; NULL: none */
    size_t n_hosts;
    const char *origin;
    size_t n_origins;
    const char *fetch_site, *fetch_mode; /* Sec-Fetch-…; NULL: a client that is no browser */
    bool is_entrance; /* the page that a link in another program leads to; it does nothing by itself
                       */
};
/* NULL: it does. Otherwise the sentence that says why not. */
const char *console_guard(const struct console_origin *o);

/* "127.0.0.1", "localhost" or "[::1]", with a port or without: a tunnel has one of its own. */
bool console_is_host(const char *host);

#endif
