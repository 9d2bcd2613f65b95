/* Where metrics.listen says: the socket that /metrics is read from.
 */
#ifndef GATEWAY_METRICS_LISTEN_H
#define GATEWAY_METRICS_LISTEN_H

#include "base/rc.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct metrics_address {
    struct sockaddr_storage at;
    socklen_t n;
    bool loopback; /* only this machine reaches it */
};
/* "127.0.0.1:9469", "localhost:9469", "[::1]:9469": an address, no name that would have to be
 * looked up, and a port from 1. RC_INVALID without a sentence. */
enum rc metrics_address(const char *text, struct metrics_address *out) MUST_CHECK;

/* A socket that listens there. Before the sandbox is entered, which does not let another port be
 * bound. RC_EXISTS: somebody else listens there; RC_DENIED, RC_ABSENT (no such address here). */
enum rc metrics_listen(const char *text, int *fd, struct err *e) MUST_CHECK;

#endif
