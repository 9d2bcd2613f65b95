/* A tiny HTTP server within the test: each connection has a thread, each request goes to a function
 * of the test, which decides the answer and how it goes wrong. */
#ifndef TESTS_UNIT_UPLOADER_SCRIPTED_H
#define TESTS_UNIT_UPLOADER_SCRIPTED_H

#include <stdbool.h>
#include <stddef.h>

struct scripted_request {
    char method[8];
    char target[4096];
    char head[16384]; /* all header lines, "\r\n" after each, a "\r\n" before the first */
    char *body;       /* NUL-terminated; NULL while only the header is there */
    size_t body_len;  /* by Content-Length until the body is there */
    unsigned connection;
    unsigned n; /* of this server, from 1 */
};

struct scripted_reply {
    int status;         /* 0: 200 */
    char headers[2048]; /* more lines, "\r\n" after each */
    const void *body;
    size_t body_len;
    bool free_body;        /* body was malloc'ed for this */
    unsigned delay_ms;     /* before the answer */
    unsigned trickle_ms;   /* between each 1/8 of the body */
    long cut_after;        /* > 0: only so many bytes of the answer, then close */
    bool cut_resets;       /* then it is a reset */
    _Atomic size_t *whole; /* NULL, or where the length of the answer, uncut, is told */
    bool reset;            /* no answer: a reset */
    bool silent;           /* no answer, until the client hangs up */
    bool early;            /* from the header alone: answer, then close without reading the body */
    const char *raw;       /* this instead of an answer, then close */
};

/* Called without a lock of ours: twice a request, first without a body (only `early` and `reset`
 * are looked at), then with it. */
typedef void scripted_handler(void *arg, const struct scripted_request *rq,
                              struct scripted_reply *rp);

struct scripted;
struct scripted *scripted_new(scripted_handler *handle, void *arg);
struct scripted *scripted_new_unix(scripted_handler *handle, void *arg, const char *path);
void scripted_free(struct scripted *s);
const char *scripted_origin(const struct scripted *s); /* "http://127.0.0.1:12345" */
/* The value of a header, "" if there is none. */
const char *scripted_header(const struct scripted_request *rq, const char *name, char out[1024]);

#endif
