/* HTTP by libcurl's multi interface on our loop: many calls at once over kept connections. The only
 * file that includes curl. A client belongs to its loop's thread.
 *
 * TLS is always verified. No call has a total time limit: connecting, the first byte of the answer
 * and progress have.
 */
#ifndef UPLOADER_HTTP_H
#define UPLOADER_HTTP_H

#include "base/loop.h"
#include "base/rc.h"
#include "uploader/http_failure.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_cfg {
    const char *ca_file; /* NULL: the system's */
    const char *user_agent;
    unsigned connections;   /* kept at most, and calls at once; see http_client_allow */
    uint64_t connect_ms;    /* default 10 s when 0 */
    uint64_t first_byte_ms; /* after all of the request has arrived; 60 s when 0 */
    /* No byte either way, nor any acknowledged; 60 s when 0. KNOWN: an answer's header counts by
     * the line, so one that comes in slower than a line in this time is given up. */
    uint64_t stall_ms;
    /* A kept connection older than this gets no further call, busy or not: only for a new one is
     * the store's name looked up again, and a store that moved is noticed. 300 s when 0. */
    uint64_t lifetime_s;
    uint64_t bytes_per_second; /* upload limit of this client, 0: none */
    bool no_proxy;             /* ignore the proxy variables (unix sockets, tests) */
};

struct http_stats {
    uint64_t calls, connections, bytes_sent, bytes_received;
};

/* The body to send: bytes in memory, or a range of a file read with pread as the socket takes it.
 */
struct http_body {
    const void *data;
    int fd; /* used when data is NULL and size > 0; borrowed until done */
    uint64_t offset, size;
};

struct http_answer {
    enum rc rc; /* RC_OK: a whole answer; RC_NET: none; RC_CANCELLED; RC_LIMIT: too long;
                   RC_IO: the body's file could not be read or was shorter */
    enum http_failure failure; /* with RC_NET: why */
    int status;
    const char *body; /* NUL-terminated, at most answer_max bytes; "" where a sink took it */
    size_t body_len;
    char text[256]; /* with rc != RC_OK: what failed, for people */
    char etag[72], version_id[128], request_id[128], checksum_sha256[64], region[64], location[320];
    int64_t date_unix_s;     /* the server's Date, 0 if none */
    uint64_t retry_after_ms; /* 0: none; capped at 60 s */
    uint64_t content_length; /* of the answer, UINT64_MAX unknown */
    bool request_sent;       /* all of the request left, so the store may have acted on it */
    uint64_t total_us;
};

#define HTTP_HEADERS_MAX 32
/* One call. Filled by the caller, who keeps it and everything it points to until `done`. */
struct http_call {
    /* Where given, called when the call leaves the line of those that wait for a connection, which
     * may be long after http_start or within it: it puts in what goes before the body, method to
     * n_headers. False: nothing is sent and done is not called. It may cancel other calls. */
    bool (*leaves)(void *arg);
    const char *method; /* "PUT", "GET", "HEAD", "POST", "DELETE" */
    const char *url;
    /* So many bytes of url are the scheme, host and port, and what follows is a path and a query to
     * be sent as they are, which spares their parsing; 0: not known. */
    size_t origin_len;
    const char *const *headers; /* "name: value" */
    size_t n_headers;           /* at most HTTP_HEADERS_MAX */
    struct http_body body;
    size_t answer_max; /* largest body kept; 64 KiB when 0 */
    /* Where given, a 2xx body goes here instead; not RC_OK cancels the call. */
    enum rc (*sink)(void *arg, const char *data, size_t n);
    const char *unix_socket;                              /* NULL: TCP */
    void (*done)(void *arg, const struct http_answer *a); /* once; may start another call */
    void *arg;
    void *handle_;           /* http.c's */
    int64_t booked_ns_;      /* until when it has the bandwidth: http_line.c's */
    struct http_call *next_; /* http.c's: calls wait for a connection in the order of http_start */
};

struct http_client;
struct http_client *http_client_new(struct loop *l, const struct http_cfg *cfg);
/* Calls still under way are cancelled: their done is called with RC_CANCELLED. */
void http_client_free(struct http_client *c);
void http_start(struct http_client *c, struct http_call *call);
/* Of a call whose done was not called: does it still stand in line, with nothing of it sent? */
bool http_waits(const struct http_call *call);
/* done is called with RC_CANCELLED before this returns. */
void http_cancel(struct http_client *c, struct http_call *call);
/* No more than so many calls at once from now on, 1 to cfg's `connections`, which is what it begins
 * with. What is under way goes on. */
void http_client_allow(struct http_client *c, unsigned calls);
void http_client_stats(const struct http_client *c, struct http_stats *out);

/* Once, before threads start / after they ended. SIGPIPE is ignored from then on, unless the
 * program handles it: a store that hangs up is an answer, not a reason to die. */
enum rc http_global_init(struct err *e) MUST_CHECK;
void http_global_fini(void);
/* "libcurl/7.88.1 OpenSSL/3.0.15 …" */
const char *http_version(void);

/* One call to its end, on a loop of its own: for commands. The answer's body is copied to *body
 * (caller frees, may be NULL if not wanted). Result: a->rc. */
enum rc http_once(const struct http_cfg *cfg, struct http_call *call, struct http_answer *a,
                  char **body) MUST_CHECK;
/* The same on a thread of its own, for exchanges of secrets: within total_ms as a whole (RC_NET,
 * HTTP_NO_ANSWER; 0: no limit), RC_CANCELLED soon after *stop (NULL allowed) became true. What curl
 * frees meanwhile is wiped. */
struct http_bounds {
    uint64_t total_ms;
    const atomic_bool *stop;
};
enum rc http_once_within(const struct http_cfg *cfg, struct http_call *call,
                         const struct http_bounds *bounds, struct http_answer *a,
                         char **body) MUST_CHECK;

#endif
