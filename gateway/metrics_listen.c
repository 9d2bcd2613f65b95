/* The socket of metrics.listen: see metrics_listen.h.
 */
#include "gateway/metrics_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITING_MAX 16

static bool read_port(const char *text, in_port_t *out)
{
    size_t n = strlen(text);
    if (n == 0 || n > 5 || strspn(text, "0123456789") != n)
        return false;
    unsigned long port = strtoul(text, NULL, 10);
    *out = htons((uint16_t)port);
    return port > 0 && port <= UINT16_MAX;
}

static bool read_host(const char *host, in_port_t port, struct metrics_address *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    size_t n = strlen(host);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&out->at, &v4, sizeof v4);
        out->n = sizeof v4;
        out->loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
        return true;
    }
    char inner[INET6_ADDRSTRLEN];
    if (n < 3 || n - 2 >= sizeof inner || host[0] != '[' || host[n - 1] != ']')
        return false;
    memcpy(inner, host + 1, n - 2);
    inner[n - 2] = '\0';
    if (inet_pton(AF_INET6, inner, &v6.sin6_addr) != 1)
        return false;
    memcpy(&out->at, &v6, sizeof v6);
    out->n = sizeof v6;
    out->loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
    return true;
}

enum rc metrics_address(const char *text, struct metrics_address *out)
{
    char host[64];
    in_port_t port;
    const char *colon = strrchr(text, ':');
    *out = (struct metrics_address){0};
    if (!colon || (size_t)(colon - text) >= sizeof host || !read_port(colon + 1, &port))
        return RC_INVALID;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    return read_host(host, port, out) ? RC_OK : RC_INVALID;
}

static enum rc explain(struct err *e, const char *text)
{
    int why = errno;
    if (why != EADDRINUSE)
        return err_sys(e, why, "cannot listen on %s (metrics.listen)", text);
    return err_set(e, RC_EXISTS,
                   "another program listens on %s: stop it, or set metrics.listen to another port",
                   text);
}

enum rc metrics_listen(const char *text, int *fd, struct err *e)
{
    struct metrics_address a;
    int on = 1;
    if (metrics_address(text, &a) != RC_OK)
        return err_set(e, RC_INVALID, "metrics.listen is no address and port");
    int s = socket(a.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0)
        return explain(e, text);
    /* A start soon after an end finds connections of the one before. */
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(s, (const struct sockaddr *)&a.at, a.n) == 0 && listen(s, WAITING_MAX) == 0) {
        *fd = s;
        return RC_OK;
    }
    enum rc rc = explain(e, text);
    (void)close(s); /* nobody has connected */
    return rc;
}
