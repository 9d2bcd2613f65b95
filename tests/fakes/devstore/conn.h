/* One connection: reads requests, feeds the exchange, sends answers, and carries out the faults
 * that concern bytes. */
#ifndef DEVSTORE_CONN_H
#define DEVSTORE_CONN_H

#include "tests/fakes/devstore/server.h"

/* Takes fd. NULL (and fd closed) if TLS cannot be set up on it. */
struct conn *conn_new(struct worker *w, int fd);
void conn_free(struct conn *c);
/* epoll's events. The connection may be gone afterwards; so after conn_timer. */
void conn_event(struct conn *c, uint32_t events);
void conn_timer(struct conn *c);
int64_t conn_deadline_ns(const struct conn *c);

#endif
