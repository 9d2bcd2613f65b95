/* The way of a file through the gateway: candidate, admitted, accepted, sent, delivered, retired.
 * It joins watcher, ledger and destination by their callbacks and owns the rules between them; all
 * state lives on the loop's thread, all blocking work goes to the pool.
 */
#ifndef GATEWAY_PIPELINE_H
#define GATEWAY_PIPELINE_H

#include "base/loop.h"
#include "gateway/config.h"
#include "gateway/destination.h"
#include "spool/ledger.h"
#include "watcher/watcher.h"

struct pipeline_cfg {
    struct loop *loop;
    const struct config *config; /* borrowed; replaced by pipeline_reload */
    int root_fd;                 /* the spool root, locked by the caller; borrowed */
    int journal_fd;              /* the journal's directory; borrowed */
    void (*drained)(void *arg);  /* after pipeline_stop: nothing is under way any more */
    void *arg;
};

struct pipeline;
/* Reads the journal, finishes what a crash interrupted, starts watching and sending. */
enum rc pipeline_new(const struct pipeline_cfg *cfg, struct pipeline **out,
                     struct err *e) MUST_CHECK;
/* Nothing new is taken up; what is in flight may finish. `drained` is called when it has. */
void pipeline_stop(struct pipeline *p);
/* What is in flight ends now; it is sent again after the next start. */
void pipeline_cancel(struct pipeline *p);
/* New settings are waiting for files that are being read; what is sent meanwhile is not in their
 * way. */
bool pipeline_still_reads(const struct pipeline *p);
void pipeline_free(struct pipeline *p);

/* New settings: waits until nothing is in flight, then swaps. Takes the configuration when told
 * RC_OK through done; the pipeline then owns it no more than the first one: the caller frees the
 * old. Keys that need a restart must be equal (gateway.c sees to it). */
void pipeline_reload(struct pipeline *p, const struct config *fresh,
                     void (*done)(void *arg, enum rc rc, const struct err *e), void *arg);

/* An answer for the commands, once, possibly before the question returns. json: all of it, to be
 * taken over with buf_take; empty with an error, which e explains. */
typedef void pipeline_answer(void *arg, enum rc rc, struct buf *json, const struct err *e);

/* The verbs of the commands. */
enum pipeline_verb { PIPELINE_RETRY, PIPELINE_HOLD, PIPELINE_RELEASE, PIPELINE_FORGET };
struct pipeline_act {
    enum pipeline_verb verb;
    const char *const *paths; /* these; NULL: a page of those chosen by the following */
    size_t n_paths;
    const char *state;  /* NULL: all that the verb is meant for; with paths only "rejected" counts:
                         * the rejected files, though others may have come under their names */
    const char *match;  /* a pattern for fnmatch over the path, or the path; NULL: all */
    const char *cursor; /* "" at first */
    size_t limit;
    bool dry_run; /* only count them */
};
/* Answered when all is durable: {"count", "files": [{"path", "result", "text"}], "cursor", …};
 * result is retried, restored, held, released, forgotten, unchanged or failed, text a sentence or
 * null. A file that is being sent is waited for, some seconds.
 * retry: rejected files go back into the spool, held ones are released (chosen ones only if no one
 * held them by hand), forgotten ones are taken up again; of others the bucket is tried now.
 * forget: it is not sent any more unless it changes; its bytes stay where they are.
 * RC_INVALID: a state that is not the verb's, a wrong cursor; RC_AGAIN: too many at once. */
void pipeline_act(struct pipeline *p, const struct pipeline_act *act, pipeline_answer *done,
                  void *arg);
void pipeline_rescan(struct pipeline *p);
/* The spool root's path leads elsewhere or nowhere: for status. NULL: it is back. */
void pipeline_root_said(struct pipeline *p, const char *why);
/* For the watchdog: the canary came back in time, or cannot be written, which proves nothing. */
bool pipeline_is_alive(struct pipeline *p);

/* For the control API. Caller json_decrefs. */
json_t *pipeline_status(struct pipeline *p);
/* state NULL: all. match: a part of the path, a pattern for fnmatch, or NULL. cursor: "" at first.
 */
struct pipeline_query {
    const char *state, *match, *cursor;
    size_t limit;
};
/* {"files": […], "cursor"}. RC_INVALID: an unknown state or cursor; RC_AGAIN: too many at once. */
void pipeline_files(struct pipeline *p, const struct pipeline_query *q, pipeline_answer *done,
                    void *arg);
/* RC_ABSENT: nothing is known of it, and e says what that may mean. */
enum rc pipeline_why(struct pipeline *p, const char *path, json_t **out, struct err *e) MUST_CHECK;

#endif
