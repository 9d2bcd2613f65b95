/* What time brings: every few seconds space and inodes, since `put` and other producers hang on
 * what is said of them; each minute empty directories of past dates, the archive's limits, the
 * journal's old segments, and how many rejected files people have left. The file system is looked
 * at on a pool thread, which reads no settings: a round under way keeps no reload waiting.
 */
#include "gateway/pipeline_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "gateway/space.h"
#include "spool/reject.h"
#include "spool/tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define HEAVY_MS      60000
#define SPACE_MS      6000
#define SPACE_FULL_MS 2000
#define COMPACT_MS    1000 /* while there is more to give up: 16 MiB a second and no more */

/* One round: what it needs, and what it found. */
struct round {
    struct pipeline *p;
    bool heavy; /* dates and archive too; else space only */
    struct archive_limits limits;
    bool archives;
    struct statvfs spool, state;
    int stat_errno;
    unsigned removed;
    struct archive_usage archive;
    bool counts;              /* rejected files */
    uint64_t rejections_then; /* what had begun before */
    uint64_t rejected;
    struct err err;
};

static void round_run(void *arg)
{
    struct round *r = arg;
    struct pipeline *p = r->p;
    int64_t now = clock_wall_now_ns();
    r->stat_errno = fstatvfs(p->cfg.root_fd, &r->spool) == 0 ? 0 : errno;
    if (fstatvfs(p->cfg.journal_fd, &r->state) != 0)
        r->state = (struct statvfs){0}; /* only told to those who watch */
    if (!r->heavy)
        return;
    struct err e;
    enum rc rc = RC_OK;
    if (r->counts)
        rc = reject_count(&fsio_system, p->cfg.root_fd, &r->rejected, &e);
    if (rc != RC_OK)
        log_debug("rejected_not_counted", F_STR("why", e.text)); /* the start has warned of it */
    if (rc != RC_OK && rc != RC_DENIED)
        r->counts = false; /* no descriptor, a read error: what was counted last is nearer */
    int64_t today = now / CLOCK_NS_PER_S / 86400;
    const struct tidy dates = {p->layout, today, &p->stop_early};
    if (tidy_dates(&fsio_system, p->cfg.root_fd, &dates, &r->removed, &e) != RC_OK)
        r->err = e;
    if (r->archives &&
        archive_sweep(&fsio_system, p->cfg.root_fd, &r->limits, now, &r->archive, &e) != RC_OK)
        r->err = e;
}

/* Full is said in the spool too, so that producers in any language can see it. */
static void mark_full(struct pipeline *p, bool full)
{
    int rc = 0;
    if (full) {
        rc = fsio_system.ops->open(fsio_system.ctx, p->cfg.root_fd, ".spoolgate/full",
                                   O_WRONLY | O_CREAT | O_NOFOLLOW, 0644);
        if (rc >= 0)
            rc = fsio_system.ops->close(fsio_system.ctx, rc);
    } else {
        rc = fsio_system.ops->unlink(fsio_system.ctx, p->cfg.root_fd, ".spoolgate/full");
    }
    if (rc < 0 && rc != -ENOENT)
        log_debug("full_marker", F_I64("errno", -rc));
}

static uint64_t backlog_bytes(struct pipeline *p)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < queue_lanes(ledger_queue(p->ledger)); i++) {
        struct ledger_lane_counts c;
        ledger_lane_counts(p->ledger, i, &c);
        sum += c.bytes;
    }
    return sum;
}

static void judge_space(struct pipeline *p, const struct round *r)
{
    struct err why = {0};
    uint64_t unit = r->spool.f_frsize;
    bool is_first = p->spool_space.f_frsize == 0;
    p->spool_free = (uint64_t)r->spool.f_bavail * unit;
    p->spool_total = (uint64_t)r->spool.f_blocks * unit;
    p->spool_space = r->spool;
    char have[UNITS_TEXT_SIZE];
    enum space space = space_judge(p->config, &r->spool);
    if (space == SPACE_FEW_BYTES)
        err_set(&why, RC_FULL,
                "only %s are free on the spool's file system (limits.min_free_percent is %u)",
                units_format_size(have, p->spool_free), p->config->limits.free_percent);
    else if (space == SPACE_FEW_INODES)
        err_set(&why, RC_FULL,
                "only %llu inodes are free on the spool's file system "
                "(limits.min_free_inodes_percent is %u)",
                (unsigned long long)r->spool.f_favail, p->config->limits.free_inodes_percent);
    else if (p->config->limits.quota > 0 && backlog_bytes(p) > p->config->limits.quota)
        err_set(&why, RC_FULL, "more than limits.quota waits in the spool");
    bool full = why.rc != RC_OK;
    if (full != p->full) {
        if (full)
            log_warning("spool_full", F_STR("why", why.text));
        else
            log_info("spool_has_room");
    }
    if (full != p->full || is_first) /* an earlier life may have left its mark */
        mark_full(p, full);
    p->full = full;
    p->full_why = why;
}

static void round_done(void *arg)
{
    struct round *r = arg;
    struct pipeline *p = r->p;
    p->housekeeping = false;
    if (r->stat_errno == 0)
        judge_space(p, r);
    p->state_space = r->state;
    if (r->heavy && r->err.rc != RC_OK)
        log_warning("housekeeping_failed", F_STR("why", r->err.text));
    if (r->heavy && r->archives && !p->stopping) /* which ends it half-way */
        p->archive = r->archive;
    if (r->counts && r->rejections_then == p->rejections_begun)
        p->rejected_files = r->rejected;
    if (r->removed > 0)
        log_debug("directories_removed", F_U64("count", r->removed));
    if (p->compacting)
        loop_timer_set(p->housekeeping_timer, COMPACT_MS);
    else
        loop_timer_set_shared(p->housekeeping_timer, p->full ? SPACE_FULL_MS : SPACE_MS);
    free(r);
    dispatch_want(p);
    dispatch_check_drained(p);
}

static void housekeep(void *arg)
{
    struct pipeline *p = arg;
    if (p->stopping)
        return;
    struct round *r = mem_alloc(sizeof *r);
    r->p = p;
    uint64_t now = loop_now_ms(p->cfg.loop);
    r->heavy = now >= p->heavy_ms;
    if (r->heavy)
        p->heavy_ms = now + HEAVY_MS;
    if (r->heavy || p->compacting)
        p->compacting = ledger_compact(p->ledger, clock_wall_now_ns());
    r->archives = p->config->after_delivery.action == CONFIG_ARCHIVE;
    r->limits = (struct archive_limits){p->config->after_delivery.keep_ms,
                                        p->config->after_delivery.max_bytes, &p->stop_early};
    /* People remove rejected files, and nobody tells us, nor of a file that came among the strays
     * while it was retired. What moves them meanwhile counts itself, which the walk may have seen
     * or not. */
    r->counts = r->heavy && p->n_actings == 0 && batch_outstanding(p->rejections) == 0;
    r->rejections_then = p->rejections_begun;
    p->housekeeping = true;
    loop_work(p->cfg.loop, round_run, round_done, r);
}

void housekeeping_init(struct pipeline *p)
{
    p->housekeeping_timer = loop_timer_new(p->cfg.loop, housekeep, p);
    loop_timer_set(p->housekeeping_timer, 0);
}

void housekeeping_free(struct pipeline *p)
{
    loop_timer_free(p->housekeeping_timer);
}
