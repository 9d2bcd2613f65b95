/* The pipeline's life: see pipeline.h.
 *
 * Order at start: journal, what a crash left in retiring/, destination, watcher; so that by the
 * time the first scan asks, everything that is in our care is known.
 */
#include "gateway/pipeline_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/notify.h"
#include "spool/reject.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_WINDOW    4096
#define WATCH_TABLE_MAX 65536
#define WATCH_CANARY_MS 60000
#define READING_TOLD_S  5

static void on_poisoned(void *arg, bool is, const struct err *why)
{
    struct pipeline *p = arg;
    p->poisoned = is;
    if (is) {
        p->journal_why = *why;
        log_error("journal_poisoned", F_STR("why", why->text));
    } else {
        p->journal_why = (struct err){0};
        log_info("journal_mended");
        dispatch_want(p);
    }
}

static unsigned priority_of(void *arg, const char *event_type)
{
    struct pipeline *p = arg;
    return config_type(p->config, event_type, strlen(event_type))->priority;
}

static void on_trouble(void *arg, const char *code, const char *text)
{
    struct pipeline *p = arg;
    log_warning("watcher", F_STR("code", code), F_STR("why", text));
    memset(&p->trouble, 0, sizeof p->trouble);
    text_copy(p->trouble.code, sizeof p->trouble.code, code);
    text_copy(p->trouble.text, sizeof p->trouble.text, text);
    p->trouble.at_ms = loop_now_ms(p->cfg.loop);
}

static void on_more(void *arg)
{
    dispatch_want(arg);
}

static void on_other_keys(void *arg)
{
    struct pipeline *p = arg;
    for (unsigned i = 0; i < p->n_lanes; i++)
        p->lanes[i].probe_at_ms = 0;
    p->lane_probe_at_ms = 0;
    dispatch_want(p);
}

/* ---- what a crash left ---- */

static bool find_place(void *arg, uint64_t place, struct retire_origin *out)
{
    struct pipeline *p = arg;
    char buf[RECORD_MAX];
    struct record r;
    if (journal_read(ledger_journal(p->ledger), place, buf, &r, NULL) != RC_OK ||
        r.type != RECORD_ACCEPTED || r.path.n > RECORD_PATH_MAX)
        return false;
    memcpy(out->path, r.path.p, r.path.n);
    out->path[r.path.n] = '\0';
    out->ino = r.id.ino;
    return true;
}

static enum rc recover(struct pipeline *p, struct err *e)
{
    enum rc rc = retire_prepare(&fsio_system, p->cfg.root_fd, e);
    if (rc != RC_OK)
        return rc;
    enum retire_action action =
        p->config->after_delivery.action == CONFIG_DELETE ? RETIRE_DELETE : RETIRE_ARCHIVE;
    unsigned recovered = 0;
    rc = retire_recover(&fsio_system, p->cfg.root_fd, action, find_place, p, &recovered, e);
    if (rc != RC_OK)
        return rc;
    if (recovered > 0)
        log_info("retirement_resumed", F_U64("files", recovered));
    struct err why;
    if (reject_count(&fsio_system, p->cfg.root_fd, &p->rejected_files, &why) != RC_OK)
        log_warning("rejected_not_counted", F_STR("why", why.text));
    return RC_OK;
}

/* ---- life ---- */

/* By time: small segments are read by the thousand a second. */
static void on_reading(void *arg, size_t nth, size_t of)
{
    int64_t *told_ns = arg, now_ns = clock_mono_now_ns();
    if (*told_ns != 0 && now_ns - *told_ns < READING_TOLD_S * CLOCK_NS_PER_S)
        return;
    *told_ns = now_ns;
    notify_reading(nth, of);
}

static enum rc open_ledger(struct pipeline *p, struct err *e)
{
    int64_t told_ns = 0;
    struct ledger_cfg cfg = {
        .journal =
            {
                .fs = &fsio_system,
                .dirfd = p->cfg.journal_fd,
                .loop = p->cfg.loop,
                .poisoned = on_poisoned,
                .arg = p,
            },
        .priority = priority_of,
        .priority_arg = p,
        .queued_again = on_more,
        .queued_again_arg = p,
        .reading = on_reading,
        .reading_arg = &told_ns,
        .receipts_keep_ms = p->config->receipts_keep_ms,
    };
    bool lost = false;
    int64_t began = clock_mono_now_ns();
    enum rc rc = ledger_open(&cfg, &lost, &p->ledger, e);
    notify_reading(0, 0);
    if (rc != RC_OK)
        return rc;
    log_info("journal_read", F_U64("waiting", ledger_count(p->ledger, LEDGER_ACCEPTED)),
             F_U64("held", ledger_count(p->ledger, LEDGER_HELD)), F_BOOL("damaged", lost),
             F_I64("ms", (clock_mono_now_ns() - began) / CLOCK_NS_PER_MS));
    return RC_OK;
}

static enum rc open_destination(struct pipeline *p, struct err *e)
{
    unsigned threads = p->config->threads;
    if (threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores < 1 ? 1 : cores > 4 ? 4 : (unsigned)cores;
    }
    struct destination_cfg cfg = {
        .loop = p->cfg.loop,
        .config = p->config,
        .root_fd = p->cfg.root_fd,
        .threads = threads,
        .refusals = dispatch_refusals,
        .done = dispatch_outcome,
        .progress = dispatch_progress,
        .ready = on_more,
        .other_keys = on_other_keys,
        .arg = p,
    };
    return destination_new(&cfg, &p->destination, e);
}

static enum rc open_watcher(struct pipeline *p, struct err *e)
{
    p->root_path = mem_strdup(p->config->spool);
    struct watcher_cfg cfg = {
        .loop = p->cfg.loop,
        .root_fd = p->cfg.root_fd,
        .root = p->root_path,
        .settle_ms = p->config->settle_ms,
        .rescan_ms = p->config->rescan_ms,
        .canary_ms = WATCH_CANARY_MS,
        .window = WATCH_WINDOW,
        .table_max = WATCH_TABLE_MAX,
        .ignored = intake_ignored,
        .known = intake_known,
        .candidate = intake_candidate,
        .trouble = on_trouble,
        .arg = p,
    };
    return watcher_new(&cfg, &p->watcher, e);
}

enum rc pipeline_new(const struct pipeline_cfg *cfg, struct pipeline **out, struct err *e)
{
    struct pipeline *p = mem_alloc(sizeof *p);
    p->cfg = *cfg;
    p->config = cfg->config;
    p->started_ns = clock_wall_now_ns();
    intake_init(p);
    dispatch_init(p);
    retirement_init(p);
    housekeeping_init(p);
    reconcile_init(p);
    enum rc rc = layout_new(p->config->layout, p->config->prefix, &p->layout, e);
    if (rc == RC_OK)
        rc = open_ledger(p, e);
    if (rc == RC_OK)
        rc = recover(p, e);
    if (rc == RC_OK)
        rc = open_destination(p, e);
    if (rc == RC_OK)
        rc = open_watcher(p, e);
    if (rc != RC_OK) {
        pipeline_free(p);
        return rc;
    }
    dispatch_want(p);
    *out = p;
    return RC_OK;
}

void pipeline_stop(struct pipeline *p)
{
    p->stopping = true;
    atomic_store(&p->stop_early, true);
    dispatch_check_drained(p);
}

void pipeline_cancel(struct pipeline *p)
{
    destination_cancel_all(p->destination);
}

bool pipeline_still_reads(const struct pipeline *p)
{
    return p->fresh && !p->swapping && !p->stopping;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    p->stopping = true; /* a start that failed: the loop turns below, and nothing may begin */
    watcher_free(p->watcher);
    destination_free(p->destination);
    p->destination = NULL; /* records that end now have nobody to tell */
    if (p->ledger)
        ledger_close(p->ledger);
    housekeeping_free(p);
    reconcile_free(p);
    retirement_free(p);
    dispatch_free(p);
    intake_free(p);
    layout_free(p->layout);
    free(p->root_path);
    free(p);
}

void pipeline_reload(struct pipeline *p, const struct config *fresh,
                     void (*done)(void *arg, enum rc rc, const struct err *e), void *arg)
{
    p->fresh = fresh;
    p->reload_done = done;
    p->reload_arg = arg;
    dispatch_want(p);
}

/* ---- for the commands ---- */

void pipeline_rescan(struct pipeline *p)
{
    p->heavy_ms = 0; /* rejected files are counted again too */
    watcher_rescan(p->watcher);
}

void pipeline_root_said(struct pipeline *p, const char *why)
{
    if (why && p->root_why[0] == '\0')
        log_warning("spool_root", F_STR("why", why));
    if (!why)
        watcher_rescan(p->watcher); /* it looks at its root then */
    text_copy(p->root_why, sizeof p->root_why, why ? why : "");
}

bool pipeline_is_alive(struct pipeline *p)
{
    struct watcher_stats w;
    watcher_stats(p->watcher, &w);
    return !w.canary_late || w.canary_grounded || w.unwatched;
}
