/* HTTP/1.1 heads, read strictly: what is not plainly well-formed is 400. */
#ifndef DEVSTORE_HTTP_H
#define DEVSTORE_HTTP_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEADERS_MAX 96
#define HTTP_HEAD_MAX    (64 * 1024)

struct http_header {
    char *name; /* lower case */
    char *value;
};
struct http_request {
    char *head; /* a copy of the head, cut up in place; everything below points into it */
    size_t head_cap;
    char *method, *path, *query; /* path and query as on the wire; query "" if none */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t n_headers;
    uint64_t content_length;
    bool has_length;
    bool chunked; /* Transfer-Encoding: chunked */
    bool expect_continue;
    bool keep_alive;
};

/* Bytes of the head with its empty line, or 0 while it has not all come. */
size_t http_head_end(const char *data, size_t n);
/* NULL, or the sentence that says what is wrong with it. */
const char *http_parse(struct http_request *r, const char *data, size_t n);
void http_request_fini(struct http_request *r);
/* The first header of that (lower-case) name, or NULL. */
const char *http_header(const struct http_request *r, const char *name);

/* Append the decoded text; false if an escape is not %XX, or if it is %00. */
bool http_decode(struct buf *out, const char *s, size_t n, bool plus_is_space);
/* One parameter of the query: decoded into *value (NULL: only asked whether it is there). */
bool http_query(const struct http_request *r, const char *name, struct buf *value);

struct http_response {
    int status;
    struct buf headers; /* whole lines */
    struct buf body;
    int fd; /* -1, or the file that is the body: length bytes from offset; owned */
    uint64_t offset, length;
    bool head_only; /* announce the body, send none */
};
void http_response_init(struct http_response *r);
void http_response_fini(struct http_response *r);
void http_response_reset(struct http_response *r);
const char *http_reason(int status);
#define HTTP_DATE_SIZE 64 /* as long as the compiler fears; 30 are used */
void http_date(char out[HTTP_DATE_SIZE], int64_t unix_ns); /* "Sun, 06 Nov 1994 08:49:37 GMT" */

#endif
