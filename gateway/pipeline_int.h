/* The pipeline's inside, shared by its files: pipeline.c (life, settings), intake.c (candidate to
 * accepted), stranded.c (rejected and not to be moved), dispatch.c (accepted to sent), delivery.c
 * (sent to a durable receipt), retirement.c (delivered to retired), reconcile.c (files that are
 * gone), housekeeping.c (what time brings), verbs.c (what people decide), listing.c, report.c and
 * why.c (what people see).
 */
#ifndef GATEWAY_PIPELINE_INT_H
#define GATEWAY_PIPELINE_INT_H

#include "gateway/batch.h"
#include "gateway/metrics.h"
#include "gateway/pipeline.h"
#include "gateway/suspects.h"
#include "gateway/unmoved.h"
#include "spool/admit.h"
#include "spool/archive.h"
#include "spool/layout.h"
#include "spool/retire.h"

#include <stdatomic.h>
#include <sys/statvfs.h>

/* Taken files that wait for their own next try; past it they go back to the queue. */
#define PIPELINE_DEFERRED_MAX 1024
/* Delivered files whose retirement is under way; past it nothing new is sent. */
#define PIPELINE_RETIRING_MAX 2048
/* Of those that could not be retired so far; past it the others wait for their turn. */
#define PIPELINE_RETIRING_AGAIN_MAX 1024
#define PIPELINE_LANE_PROBE_MS      30000
#define PIPELINE_LANE_PROBE_GAP_MS  1000

/* What the gateway knows of an event type beyond its queue. */
struct pipeline_lane {
    bool selected;
    bool refused; /* its prefix was refused; probed every 30 s */
    bool probing;
    bool probed_newest; /* by the last probe */
    uint64_t probe_at_ms;
    struct err why;
    struct suspects suspects;
    uint64_t delivered_files, delivered_bytes;
    unsigned type; /* its row in metrics */
};

struct pipeline_deferred {
    struct ledger_file *file;
    uint64_t due_ms;
};

/* Since the start. */
struct pipeline_counts {
    uint64_t accepted, delivered_files, delivered_bytes, verified, conflicts, rejected, vanished,
        changed, failed_attempts, requests, archived, retire_failures, denied;
    int64_t last_delivered_ns;
    uint64_t slowest_us; /* accepted to delivered */
};

struct pipeline {
    struct pipeline_cfg cfg;
    const struct config *config;
    char *root_path; /* what the watcher borrows: it outlives a reload, a configuration does not */
    struct layout *layout;
    struct ledger *ledger;
    struct watcher *watcher;
    struct destination *destination;
    struct batch *admissions, *retirements, *rejections;
    struct batch *large; /* admissions whose contents take long to read */
    struct unmoved *unmoved;
    struct loop_prepare *pump_prepare;
    struct loop_timer *pump_timer, *housekeeping_timer, *reconcile_timer;
    char reconcile_cursor[64];
    unsigned reconcile_state; /* which kind of files is looked at */
    struct pipeline_lane *lanes;
    unsigned n_lanes;
    struct pipeline_deferred deferred[PIPELINE_DEFERRED_MAX];
    size_t n_deferred;
    uint64_t deferred_due_ms;    /* the earliest; UINT64_MAX: none */
    size_t n_sending;            /* submitted to the destination */
    size_t n_delivering;         /* receipts, HELD and FORGOTTEN that are not durable yet */
    size_t n_accepting;          /* ACCEPTED and REJECTED records likewise */
    struct delivery *unrecorded; /* in the bucket, and no receipt could be written yet */
    size_t n_unrecorded;         /* these, and those of them that are tried again */
    bool pump_wanted;
    bool stopping, drained_told;
    bool poisoned;
    uint64_t lane_probe_at_ms; /* no refused event type is probed before */
    unsigned lane_probed;      /* the last one that was */
    uint64_t journal_again_ms; /* nothing is sent before: a record could not be written */
    uint64_t retire_again_ms;  /* nothing that could not be retired is tried before */
    bool full;                 /* the spool is full: `put` refuses */
    bool housekeeping;         /* a round is on the pool */
    bool compacting;           /* the journal has more to give up */
    bool reconciling;          /* a page of kept files is on the pool */
    struct acting *actings;    /* what people asked for and is not durable yet: verbs.c */
    size_t n_actings, n_listings;
    atomic_bool stop_early; /* for the pool: leave what is not begun to the next start */
    uint64_t heavy_ms;      /* when the next round of the heavy kind is due */
    struct err journal_why, full_why, denied_why, retire_why;
    /* When such a failure was last seen; 0: never. What goes on shows again when it is tried again,
     * so an old one is over. */
    uint64_t journal_failed_ms, retire_failed_ms, denied_ms;
    uint64_t denied_said_ms, admission_said_ms; /* when the log last had such a line; 0: never */
    const struct config *fresh;                 /* waiting for the pool to rest, and then */
    bool swapping; /* for nothing to be in flight: nothing more is sent */
    void (*reload_done)(void *arg, enum rc rc, const struct err *e);
    void *reload_arg;
    struct pipeline_counts counts;
    struct metrics metrics;
    uint64_t rejected_files;   /* in rejected/, counted again each minute */
    uint64_t rejections_begun; /* moves into it, and out of it by us, that were begun */
    struct pipeline_worker {
        struct pipeline *pipeline;
        unsigned n;
    } workers[POOL_THREADS_MAX]; /* what a part's record is to be told to */
    struct archive_usage archive;
    uint64_t spool_free, spool_total;
    struct statvfs spool_space, state_space; /* f_frsize 0: not looked at yet */
    int64_t started_ns;
    struct {
        char code[32];
        char text[512];
        uint64_t at_ms;
    } trouble;           /* the watcher's last */
    char root_why[1600]; /* why the spool root cannot be used; "": it can */
};

/* intake.c */
void intake_init(struct pipeline *p);
void intake_free(struct pipeline *p);
bool intake_ignored(void *arg, const char *name);
bool intake_known(void *arg, const char *path, size_t n);
void intake_candidate(void *arg, const char *path, size_t n, enum watcher_trust trust,
                      enum watcher_source source);
/* A delivered file's name holds what a power loss left of it: it takes the place of that file's
 * entry, held and not uploaded (P9): beside the whole object it would be one that nobody wrote. */
void intake_hold_torn(struct pipeline *p, const char *path, const struct identity *id);
/* Record the rejection of a file that was in our care, then move it. */
void intake_reject(struct pipeline *p, const char *path, const struct identity *id,
                   const struct err *why);

/* stranded.c */
void stranded_init(struct pipeline *p);
/* Other settings: each is looked at now, and nothing is condemned any more. */
void stranded_look_anew(struct pipeline *p);
/* The file at this path, if it is one that could not be moved: see unmoved_find. */
const struct unmoved_file *stranded_find(struct pipeline *p, const char *path);
/* The same of one that the watcher has, mostly without a look at the path. */
const struct unmoved_file *stranded_row(struct pipeline *p, const struct watcher_row *row);
/* The verdict, and why it is there still, for people. */
#define STRANDED_WHY_SIZE 1100
const char *stranded_why(char out[STRANDED_WHY_SIZE], const struct unmoved_file *f);
/* Look at it now. false: it is none of these. */
bool stranded_retry(struct pipeline *p, const char *path);

/* dispatch.c */
void dispatch_init(struct pipeline *p);
void dispatch_free(struct pipeline *p);
void dispatch_want(struct pipeline *p); /* something changed: send before the loop waits */
void dispatch_outcome(void *arg, const struct transfer_outcome *o, enum advice a);
void dispatch_progress(void *arg, const struct transfer_progress *pr);
unsigned dispatch_refusals(void *arg, uint64_t tag);
void dispatch_lanes(struct pipeline *p); /* know the event types that appeared */
void dispatch_lanes_anew(
    struct pipeline *p); /* forget refusals, apply selection and priorities again */
/* Files wait, since the bucket refuses their event type. Where none are left nothing is asked, so
 * nobody knows whether it still does. */
bool dispatch_lane_is_stuck(const struct pipeline *p, unsigned lane);
void dispatch_deferred_now(struct pipeline *p); /* whatever waits for its time, at once */
void dispatch_check_drained(struct pipeline *p);
/* Back into its lane: a file that waits for its next try (LEDGER_DEFERRED). */
void dispatch_withdraw(struct pipeline *p, struct ledger_file *f);
void dispatch_put_back(struct pipeline *p, struct ledger_file *f); /* into its queue */

/* What a taken file carries for us in `user`. Made when first asked for. */
struct dispatch_taken {
    int64_t read_wall_ns; /* when its bytes were read; 0: not known (sent before a restart) */
    bool probe;           /* of a refused event type */
    unsigned refusals;    /* its own (advice.h), since it was taken */
};
struct dispatch_taken *dispatch_taken(struct ledger_file *f);
void dispatch_drop_taken(struct ledger_file *f);

/* delivery.c */
/* It is in the bucket: write its receipt, then retire it. */
void delivery_start(struct pipeline *p, struct ledger_file *f, const struct transfer_outcome *o);
/* Try again the receipts that could not be written. */
void delivery_again(struct pipeline *p);
/* A record about a file that was sent could not be written: nothing is sent for a while. */
void delivery_journal_failed(struct pipeline *p);

/* retirement.c */
void retirement_init(struct pipeline *p);
void retirement_free(struct pipeline *p);
/* Takes the share of `open`; NULL: it is not open any more. */
void retirement_start(struct pipeline *p, struct ledger_file *f, struct open_file *open);

/* reconcile.c */
void reconcile_init(struct pipeline *p);
void reconcile_free(struct pipeline *p);

/* housekeeping.c */
void housekeeping_init(struct pipeline *p);
void housekeeping_free(struct pipeline *p);

#endif
