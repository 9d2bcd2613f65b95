/* The event loops: one epoll a thread. The first thread also accepts and hands connections round
 * robin to all; from then on a connection belongs to its thread alone.
 */
#ifndef DEVSTORE_SERVER_H
#define DEVSTORE_SERVER_H

#include "tests/fakes/devstore/s3.h"
#include "tests/fakes/devstore/tls.h"

#include <pthread.h>

#define WORKER_SCRATCH (256 * 1024)

struct conn;
struct worker {
    struct service *service;
    struct auth *auth;
    struct tls *tls; /* NULL: plain */
    int epoll_fd;
    char *scratch;             /* WORKER_SCRATCH bytes, for whichever connection is being served */
    struct conn *timers_first; /* by deadline */
    struct conn *timers_last;
    pthread_mutex_t lock; /* of the list of connections: the first thread adds to it */
    struct conn *conns;
    pthread_t thread;
    int64_t date_s; /* the second for which date is right */
    char date[HTTP_DATE_SIZE];
};

struct server;
/* Listens; *port is the real one. stop_fd becomes readable when all shall end. */
struct server *server_new(struct service *service, int stop_fd, unsigned *port, struct err *e);
void server_run(struct server *s); /* until stop_fd is readable */
void server_free(struct server *s);

#endif
