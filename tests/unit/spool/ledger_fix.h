/* A ledger in a directory of its own, with a clock that the test moves and a disk that it can
 * break; commits happen in flush(). */
#ifndef TESTS_UNIT_SPOOL_LEDGER_FIX_H
#define TESTS_UNIT_SPOOL_LEDGER_FIX_H

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "spool/ledger.h"
#include "tests/unit/spool/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>

#define KEEP_MS 1000000

struct fix {
    struct scratch dir;
    struct fsio_ops ops;
    struct fsio fs;
    bool broken; /* syncs fail */
    bool lost;
    int queued_again; /* how often it was told */
    int64_t now;
    uint32_t segment_bytes;
    struct ledger *l;
};

static inline int fix_datasync(void *ctx, int fd)
{
    (void)fd; /* the disk is not what these tests are about */
    return ((struct fix *)ctx)->broken ? -EIO : 0;
}

static inline int64_t fix_wall_ns(void *arg)
{
    return ((struct fix *)arg)->now += 1000;
}

static inline unsigned fix_priority(void *arg, const char *event_type)
{
    (void)arg;
    return strcmp(event_type, "findings") == 0 ? 3 : 0;
}

static inline void fix_queued_again(void *arg)
{
    ((struct fix *)arg)->queued_again++;
}

static inline enum rc fix_try_open(struct fix *f, struct err *e)
{
    struct ledger_cfg cfg = {
        .journal = {.fs = &f->fs,
                    .dirfd = f->dir.fd,
                    .segment_bytes = f->segment_bytes,
                    .wall_ns = fix_wall_ns,
                    .wall_arg = f},
        .priority = fix_priority,
        .queued_again = fix_queued_again,
        .queued_again_arg = f,
        .receipts_keep_ms = KEEP_MS,
    };
    return ledger_open(&cfg, &f->lost, &f->l, e);
}

static inline void fix_open(struct fix *f)
{
    struct err e = {0};
    cr_assert_eq(fix_try_open(f, &e), RC_OK, "%s", e.text);
}

/* The log is not what these tests are about. */
static inline void fix_quiet(void)
{
    log_setup(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
}

static inline void fix_new(struct fix *f)
{
    fix_quiet();
    *f = (struct fix){
        .dir = scratch_new(), .ops = *fsio_system.ops, .now = INT64_C(1800000000) * CLOCK_NS_PER_S};
    f->ops.datasync = fix_datasync;
    f->fs = (struct fsio){.ops = &f->ops, .ctx = f};
    fix_open(f);
}

static inline void fix_free(struct fix *f)
{
    ledger_close(f->l);
    scratch_free(&f->dir);
}

static inline void flush(struct fix *f)
{
    for (int i = 0; i < 100 && !journal_is_idle(ledger_journal(f->l)); i++)
        journal_flush(ledger_journal(f->l));
    cr_assert(journal_is_idle(ledger_journal(f->l)));
}

/* Until the journal has been reopened, what failed may still be found after a crash. */
static inline void mend(struct fix *f)
{
    struct identity id = {0};
    f->broken = false;
    ledger_reject(f->l, "mend", 4, &id, "", "", NULL, NULL);
    flush(f);
    struct journal_stats stats;
    journal_stats(ledger_journal(f->l), &stats);
    cr_assert_not(stats.poisoned);
}

/* As a crash: nothing is told, what is not committed is gone. */
static inline void restart(struct fix *f)
{
    ledger_close(f->l);
    fix_open(f);
    cr_assert_not(f->lost);
}

static inline struct identity id_of(uint64_t version)
{
    return (struct identity){.dev = 1, .ino = 2, .size = version, .mtime_ns = 3, .ctime_ns = 4};
}

static inline void count_ok(void *arg, enum rc rc)
{
    *(int *)arg += rc == RC_OK ? 1 : 1000;
}

static inline void accept(struct fix *f, const char *path, const char *type, uint64_t size)
{
    struct identity id = id_of(size);
    ledger_accept(f->l, path, strlen(path), &id, type, NULL, NULL);
}

static inline struct ledger_lane_counts lane_counts(struct fix *f, const char *type)
{
    struct ledger_lane_counts c;
    ledger_lane_counts(f->l, queue_lane(ledger_queue(f->l), type, strlen(type)), &c);
    return c;
}

/* "": not in our care. */
static inline const char *state(struct fix *f, const char *path)
{
    struct ledger_view v;
    return ledger_find(f->l, path, strlen(path), &v) == RC_OK ? ledger_state_name(v.state) : "";
}

static inline const struct ledger_receipt *receipt(void)
{
    static const struct ledger_receipt r = {.key = "the/key",
                                            .etag = "\"etag\"",
                                            .version_id = "v1",
                                            .request_id = "req",
                                            .sha256 = {1, 2, 3},
                                            .delivered_ns = 77};
    return &r;
}

#endif
