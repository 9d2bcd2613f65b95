/* Where a request comes from: see console_guard.h. Whatever is not known to be ours is refused. */
#include "gateway/console_guard.h"

#include <string.h>
#include <strings.h>

bool console_is_host(const char *host)
{
    static const char *const ours[] = {"127.0.0.1", "localhost", "[::1]"};
    size_t n = 0;
    const char *port = NULL;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0] && !port; i++) {
        n = strlen(ours[i]);
        if (strncasecmp(host, ours[i], n) == 0)
            port = host + n;
    }
    if (!port || *port == '\0')
        return port != NULL;
    size_t digits = strspn(port + 1, "0123456789");
    return *port == ':' && digits >= 1 && digits <= 5 && port[1 + digits] == '\0';
}

static bool is_same_origin(const char *origin, const char *host)
{
    return strncmp(origin, "http://", 7) == 0 && strcasecmp(origin + 7, host) == 0;
}

const char *console_guard(const struct console_origin *o)
{
    if (o->n_hosts != 1 || !o->host || !console_is_host(o->host))
        return "this console answers to 127.0.0.1, localhost and [::1] only: open it by the link "
               "that spoolgate console prints";
    if (o->n_origins > 1 || (o->origin && !is_same_origin(o->origin, o->host)))
        return "the request comes from a page of another origin";
    bool walks_in =
        o->is_entrance && !o->origin && o->fetch_mode && strcmp(o->fetch_mode, "navigate") == 0;
    if (o->fetch_site && !walks_in && strcmp(o->fetch_site, "same-origin") != 0 &&
        strcmp(o->fetch_site, "none") != 0)
        return "the request was made by a page of another site";
    return NULL;
}
