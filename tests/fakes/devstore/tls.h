/* TLS below a connection. The only file of devstore that includes OpenSSL's ssl.h. */
#ifndef DEVSTORE_TLS_H
#define DEVSTORE_TLS_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls;
struct tls *tls_new(const char *cert_file, const char *key_file, struct err *e);
void tls_free(struct tls *t);

struct tls_conn;
struct tls_conn *tls_conn_new(struct tls *t, int fd);
/* goodbye: end the session as the protocol wants, if it still can. Does not close fd. */
void tls_conn_free(struct tls_conn *c, bool goodbye);
/* Bytes; 0 at the end; -EAGAIN, and *wants_write says for which event to wait; else -errno. The
 * handshake is made on the way. */
ssize_t tls_conn_read(struct tls_conn *c, void *data, size_t n, bool *wants_write);
ssize_t tls_conn_write(struct tls_conn *c, const void *data, size_t n, bool *wants_write);

#endif
