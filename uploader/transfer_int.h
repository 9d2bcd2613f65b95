/* The inside of a transfer, for the files transfer_*.c and their tests.
 *
 *   transfer.c            jobs, beginning and end
 *   transfer_file.c       the local file: opening, identity, reading and hashing
 *   transfer_exchange.c   one signed request and what its answer means
 *   transfer_single.c     one PutObject
 *   transfer_multipart.c  many parts
 *   transfer_verify.c     something is there already
 */
#ifndef UPLOADER_TRANSFER_INT_H
#define UPLOADER_TRANSFER_INT_H

#include "uploader/transfer.h"
#include "uploader/xml.h"

#include "base/checksum.h"

#define TRANSFER_TRIES_IN_PLACE 3
/* Longer than a probe's own pauses, a wait is the whole destination's: status shows that one, and a
 * retry by hand ends it. */
#define TRANSFER_WAIT_IN_PLACE_MS 8000

/* What an answer means. xml: NULL without a body that was read as XML. */
struct verdict {
    enum answer_class class;
    const struct xml_answer *xml;
    uint64_t wait_ms; /* that the store asks for; 0: it does not */
};

/* One request under way at most. Its memory is used again by the next one. */
struct exchange {
    struct transfer *transfer;
    struct request_spec spec;
    struct request request; /* once it has left the line */
    struct http_call call;
    char region[64]; /* that it is signed for */
    bool flying;     /* or in the line */
    /* May end the transfer, after which x is not to be touched. */
    void (*answered)(struct exchange *x, const struct http_answer *a, const struct verdict *v);
};

#define PASS_DIGESTS 3

/* A reading of the file from `offset` to `end`, slice by slice, into the digests that are named. */
struct pass {
    uint64_t offset, end;
    struct digest *into[PASS_DIGESTS]; /* all but the first may be NULL */
    void (*then)(struct transfer *t);
};

struct multipart; /* transfer_multipart.c's */
struct reading;   /* transfer_file.c's */

struct transfer {
    struct transfer_env *env;
    struct transfer_job *job;
    void (*done)(void *arg, const struct transfer_outcome *o);
    void *arg;
    struct transfer *prev, *next; /* among the active, or the spare */

    int fd;
    char *data; /* the whole file (whole_in_memory) */
    size_t data_cap;
    bool whole_in_memory, have_sha256, have_md5;
    uint8_t md5[MD5_SIZE];                     /* the SHA-256 is in out */
    struct digest *whole, *piece, *md5_digest; /* kept; the last two are made when needed */
    struct reading *reading;                   /* transfer_file.c's; NULL: no pass is under way */

    struct exchange main;
    struct loop_timer *timer; /* for `later` */
    void (*later)(struct transfer *t);
    bool stopping;  /* answers are of our own cancelling: not looked at */
    bool ending;    /* transfer_end_soon was called: nothing new begins */
    bool overwrite; /* leave If-None-Match out */
    bool skew_corrected;
    unsigned digest_tries;

    struct multipart *mp;
    void (*aborted)(struct transfer *t); /* what comes after an abort */
    char *aborting;                      /* its upload id, where it is kept */
    struct {
        bool after_loss; /* why we look: a 412, or an upload that is gone */
        char etag[72], version_id[128];
        uint64_t got; /* bytes of a GET */
    } verify;

    struct transfer_outcome out; /* out.key: the key in use now */
};

/* ---- transfer.c ---- */
/* Call fn from the loop, delay_ms from now; replaces what was to come. */
void transfer_later(struct transfer *t, void (*fn)(struct transfer *t), uint64_t delay_ms);
/* The end, with an abort of an upload that nobody will go on with. t is gone afterwards, at once or
 * when the abort was answered or given up. */
void transfer_end(struct transfer *t, enum transfer_result result);
/* The same from the loop: for failures found while still inside transfer_start. */
void transfer_end_soon(struct transfer *t, enum transfer_result result);
/* The answer to the request that makes the object, PutObject or CompleteMultipartUpload, as far as
 * both take it alike. False: it has been written down as the one that decided, and the rest is the
 * caller's. True: it is seen to, with `again` where the same request may pass now; t may be gone.
 */
bool transfer_made(struct exchange *x, const struct http_answer *a, const struct verdict *v,
                   void (*again)(struct transfer *t));
/* Send out.key's object anew, the digest known or not: single or multipart by size. */
void transfer_send(struct transfer *t);

/* ---- transfer_file.c ---- */
/* False: not opened, and out.result and out.err say why. */
bool file_open(struct transfer *t);
void file_close(struct transfer *t); /* or hand it on, as the result is */
/* Is it still what was accepted? If not, *why is TRANSFER_CHANGED or TRANSFER_SHRUNK. */
bool file_same(struct transfer *t, enum transfer_result *why);
/* All of it into memory, and its digests. False as file_open. */
bool file_read_whole(struct transfer *t);
/* Read offset..end into the digests, then call `then` from the loop; a file that is not what it was
 * ends the transfer. */
void file_pass(struct transfer *t, const struct pass *p);
/* `then` of the pass that is under way, if one is, will not be called. */
void file_pass_drop(struct transfer *t);
struct digest *file_digest(struct digest **kept, enum digest_kind kind);

/* ---- transfer_exchange.c ---- */
/* Fill in what every spec has. */
struct request_spec exchange_spec(const struct transfer *t, enum request_op op);
/* Into the line; it is built and signed when it leaves that, so what spec points to stays until it
 * is answered or cancelled. sink is called with x. A request that cannot be built ends the
 * transfer, from the loop; of an abort, the wait for it. */
void exchange_send(struct exchange *x, const struct request_spec *spec,
                   const struct http_body *body,
                   enum rc (*sink)(void *arg, const char *data, size_t n));
/* End it from the loop: there is nothing to sign with. */
void exchange_no_credentials(struct transfer *t);
/* Without `answered` being called. */
void exchange_cancel(struct exchange *x);
/* Write the answer into the outcome as the one that decided. */
void exchange_decides(struct exchange *x, const struct http_answer *a, const struct verdict *v);
/* ANSWER_SKEW: correct the offset by this answer. False: it gives no date, or it was done before.
 */
bool exchange_correct_clock(struct exchange *x, const struct http_answer *a,
                            const struct verdict *v);

/* ---- the ways ---- */
void single_begin(struct transfer *t);
void multipart_begin(struct transfer *t);
/* Go on, if it waited for parts to be recorded. */
void multipart_recorded(struct transfer *t);
/* Stop the parts that are under way. */
void multipart_stop(struct transfer *t);
/* Abort the upload, ours or the one that the job brought, best effort, then call `then`; at once if
 * there is none. */
void multipart_abort(struct transfer *t, void (*then)(struct transfer *t));
/* Whatever came of it: go on with `then`. */
void multipart_abort_over(struct transfer *t);
/* After a 412 with the decision to overwrite: the parts are there, only complete again. */
void multipart_complete(struct transfer *t);
/* "<base64 of the SHA-256 of all parts' SHA-256>-<parts>", as S3 shows it; false: not known. */
bool multipart_composite(const struct transfer *t, char out[64]);
/* Is an upload under way that nobody was told of, so that no later try can go on with it? */
bool multipart_is_untold(const struct transfer *t);
void multipart_free(struct transfer *t);
/* An object is there: compare it, and go on by the conflict policy. */
void verify_begin(struct transfer *t, bool after_loss);

#endif
