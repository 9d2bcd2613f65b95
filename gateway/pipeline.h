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
void pipeline_free(struct pipeline *p);

/* New settings: waits until nothing is in flight, then swaps. Takes the configuration when told
 * RC_OK through done; the pipeline then owns it no more than the first one: the caller frees the
 * old. Keys that need a restart must be equal (gateway.c sees to it). */
void pipeline_reload(struct pipeline *p, const struct config *fresh,
                     void (*done)(void *arg, enum rc rc, const struct err *e), void *arg);

/* The verbs of the commands. */
enum pipeline_verb { PIPELINE_RETRY, PIPELINE_HOLD, PIPELINE_RELEASE, PIPELINE_FORGET };
/* One path. RC_ABSENT: unknown; RC_AGAIN: being sent right now; RC_EXISTS: a rejected file whose
 * name is taken by a new one; e has the sentence. RETRY of a rejected file puts it back into the
 * spool, of a held one releases it, of any other sends it at once. */
enum rc pipeline_act(struct pipeline *p, enum pipeline_verb verb, const char *path,
                     struct err *e) MUST_CHECK;
/* All held and rejected files, and the destination, at once; returns how many. */
uint64_t pipeline_retry_all(struct pipeline *p);
void pipeline_rescan(struct pipeline *p);
/* For the watchdog: the canary came back in time. */
bool pipeline_is_alive(struct pipeline *p);

/* For the control API (pipeline_report.c). Caller json_decrefs. */
json_t *pipeline_status(struct pipeline *p);
/* state NULL: all. match: a pattern for fnmatch or NULL. cursor: "" at first. *next: 80 bytes. */
struct pipeline_query {
    const char *state, *match, *cursor;
    size_t limit;
};
/* RC_INVALID: an unknown state or cursor. */
enum rc pipeline_files(struct pipeline *p, const struct pipeline_query *q, json_t **out,
                       struct err *e) MUST_CHECK;
/* RC_ABSENT: nothing is known of it, and e says what that may mean. */
enum rc pipeline_why(struct pipeline *p, const char *path, json_t **out, struct err *e) MUST_CHECK;

#endif
