/* TLS 1.2 and 1.3 for the server's side, on non-blocking sockets. */
#include "tests/fakes/devstore/tls.h"

#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct tls {
    SSL_CTX *ctx;
};
struct tls_conn {
    SSL *ssl;
    bool broken; /* no goodbye after an error */
};

static enum rc refuse(struct err *e, const char *what, const char *file)
{
    char text[256];

    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    return err_set(e, RC_INVALID, "%s %s cannot be used: %s", what, file, text);
}

struct tls *tls_new(const char *cert_file, const char *key_file, struct err *e)
{
    struct tls *t = mem_alloc(sizeof *t);

    t->ctx = SSL_CTX_new(TLS_server_method());
    if (t->ctx == NULL) {
        (void)refuse(e, "OpenSSL", "");
    } else if (SSL_CTX_use_certificate_chain_file(t->ctx, cert_file) != 1) {
        (void)refuse(e, "the certificate", cert_file);
    } else if (SSL_CTX_use_PrivateKey_file(t->ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        (void)refuse(e, "the key", key_file);
    } else {
        SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
        SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_options(t->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
        return t;
    }
    tls_free(t);
    return NULL;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

struct tls_conn *tls_conn_new(struct tls *t, int fd)
{
    struct tls_conn *c = mem_alloc(sizeof *c);

    c->ssl = SSL_new(t->ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) {
        SSL_free(c->ssl);
        free(c);
        return NULL;
    }
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_conn_free(struct tls_conn *c, bool goodbye)
{
    if (c == NULL)
        return;
    if (goodbye && !c->broken)
        (void)SSL_shutdown(c->ssl); /* one way; nobody waits for the other's goodbye */
    SSL_free(c->ssl);
    free(c);
}

static ssize_t result(struct tls_conn *c, int n, bool *wants_write)
{
    int saved = errno;

    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        *wants_write = false;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *wants_write = true;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        c->broken = true;
        ERR_clear_error();
        return saved != 0 ? -saved : -ECONNRESET;
    default:
        c->broken = true;
        ERR_clear_error();
        return -EPROTO;
    }
}

ssize_t tls_conn_read(struct tls_conn *c, void *data, size_t n, bool *wants_write)
{
    int got;

    ERR_clear_error();
    got = SSL_read(c->ssl, data, n < INT_MAX ? (int)n : INT_MAX);
    return got > 0 ? got : result(c, got, wants_write);
}

ssize_t tls_conn_write(struct tls_conn *c, const void *data, size_t n, bool *wants_write)
{
    int sent;

    ERR_clear_error();
    sent = SSL_write(c->ssl, data, n < INT_MAX ? (int)n : INT_MAX);
    return sent > 0 ? sent : result(c, sent, wants_write);
}
