/* What http.c is made of, apart from curl: what goes and comes, progress, and watched
 * descriptors. For this folder and its tests. */
#ifndef UPLOADER_HTTP_INT_H
#define UPLOADER_HTTP_INT_H

#include "base/buf.h"
#include "uploader/http.h"

/* Put in what a zero stands for. no_proxy becomes true where the environment names no proxy either:
 * curl, left to itself, reads it anew for each call. */
void http_cfg_complete(struct http_cfg *cfg);
/* How often to look at the progress of calls, for the times that cfg allows without any. */
uint64_t http_cfg_watch_ms(const struct http_cfg *cfg);

/* The header of an answer as it comes, line by line. */
struct http_head {
    struct http_answer *answer;
    bool whole;              /* the empty line has come */
    size_t bytes;            /* so far, those of a 100 that came before included */
    int64_t retry_at_unix_s; /* a Retry-After that is a date; 0: none */
};
/* The answer, but for its body, is as if none had come. */
void http_head_begin(struct http_head *h, struct http_answer *a);
/* One line, with or without its line end. A status line begins anew: a 100 may have come before.
 * False: more has come than any header has, and no end of it. */
bool http_head_line(struct http_head *h, const char *line, size_t n);
/* After the last line: what needs more than one of them. */
void http_head_end(struct http_head *h, int64_t now_unix_s);

/* What goes and comes in the course of one call after the other. */
struct http_flow {
    struct http_call *call; /* NULL: none */
    uint64_t sent;          /* of a body in a file */
    struct http_answer answer;
    struct http_head head;
    struct buf body; /* the answer's */
    enum rc own;     /* why we ended it, over what curl says */
};
void http_flow_init(struct http_flow *f);
void http_flow_fini(struct http_flow *f);
void http_flow_begin(struct http_flow *f, struct http_call *call);
/* The answer was told and is gone. */
void http_flow_end(struct http_flow *f);
/* A line of the answer's header; a piece of its body; the next piece of ours, at most max bytes;
 * and that it is to be sent again from offset on. False: the call ends here; but for the last, own
 * and the answer's text say why. */
bool http_flow_head(struct http_flow *f, const char *line, size_t n);
bool http_flow_body(struct http_flow *f, const char *data, size_t n);
bool http_flow_read(struct http_flow *f, void *out, size_t max, size_t *got);
bool http_flow_seek(struct http_flow *f, int64_t offset);

/* When a call last moved. */
struct http_progress {
    uint64_t bytes;    /* that curl had counted then, and 1 more */
    uint64_t acked;    /* that the peer's kernel has acknowledged since, and 1 more; 0: not known */
    uint64_t moved_ms; /* on the loop's clock */
};
struct http_counters {
    uint64_t up, down;  /* bytes of the body, and of the answer with its header */
    uint64_t body_size; /* to be sent */
    bool connected;     /* TLS included */
    int fd;             /* < 0: not known */
};
void http_progress_begin(struct http_progress *p, uint64_t now_ms);
/* HTTP_NO_FAILURE: it moves, or may yet. Before it is connected it always does: curl has a limit of
 * its own. first_byte_ms counts from when all of the request has arrived. */
enum http_failure http_progress_look(struct http_progress *p, const struct http_counters *n,
                                     const struct http_cfg *cfg, uint64_t now_ms);

/* What is left of a body in a file after `sent` bytes, at most max. RC_IO: the file cannot be read,
 * or is shorter than it was; *got is 0 then. */
enum rc http_body_read(const struct http_body *b, uint64_t sent, void *out, size_t max, size_t *got,
                       struct err *e) MUST_CHECK;

/* Calls that wait, in their order, and the bandwidth limit: a body books its time on the wire when
 * it is taken, and the next one waits until that has passed. What is on the wire is kept from going
 * faster by whoever sends it. All zero but for the rate and its timer at first. */
struct http_line {
    struct http_call *first, *last;
    uint64_t bytes_per_second; /* 0: no limit */
    int64_t free_ns;           /* when the next body may leave */
    struct loop_timer *pace;   /* the owner's, with a rate: set to then when one has to wait */
};
void http_line_add(struct http_line *l, struct http_call *call);
#define HTTP_CANCELLED_TEXT "stopped by us"
/* Out of it, and its done called with RC_CANCELLED; BUG if it is not in it. */
void http_line_cancel(struct http_line *l, struct http_call *call);
/* The next call, or NULL. */
struct http_call *http_line_take(struct http_line *l, int64_t now_ns);
/* May the call that was just taken be sent? Not where it says no itself; it booked nothing then. */
bool http_line_leaves(struct http_line *l, struct http_call *call);
/* A call that was taken is over: what it booked and did not send is the others', as far as it is
 * still to come. */
void http_line_give_back(struct http_line *l, const struct http_call *call, uint64_t sent,
                         int64_t now_ns);

/* Descriptors watched on a loop, by number. Interest is widened at once but shrinks only when an
 * event comes that nobody wants: a kept connection goes through thousands of calls without a
 * system call for its watching. */
struct http_sockets;
struct http_sockets *http_sockets_new(struct loop *l, void (*ready)(void *arg, int fd, int events),
                                      void *arg);
void http_sockets_free(struct http_sockets *s);
/* A socket of ours, non-blocking; < 0 with errno. */
int http_sockets_open(struct http_sockets *s, int family, int type, int protocol);
int http_sockets_close(struct http_sockets *s, int fd);
/* events: LOOP_READ|LOOP_WRITE that are wanted now. With 0, a descriptor that was not opened here
 * is forgotten, since its owner may close it without telling. */
void http_sockets_watch(struct http_sockets *s, int fd, int events);
/* Writing to one whose peer hung up fails, and no longer ends a program without a handler. */
void http_sockets_outlive_their_peers(void);

/* Whether what curl frees on this thread is wiped. */
void http_wipe_freed(bool yes);
void http_memory_free(void *p);
void *http_memory_realloc(void *p, size_t n);

#endif
