/* Every call that the journal makes fails in turn, in every way, and the power is cut at each.
 *
 * A workload opens, appends, flushes, closes, opens again and drops a segment. After each run the
 * power is cut, and what the journal then delivers is held against what it had promised: each
 * record that was told RC_OK is there, whole and in order; none that was told RC_FULL is; nothing
 * else is.
 */
#include "base/log.h"
#include "base/mem.h"
#include "spool/journal.h"
#include "tests/torture/faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 4, ROUNDS = 16, RECORDS_MAX = 512, SEGMENT_BYTES = 8256 };
enum { SEEDS = 6 };

enum state { UNTOLD, PROMISED, REFUSED, DOUBTFUL };

/* How a run ends. */
enum ending {
    CUT_AT_THE_END, /* nothing unsynced survives */
    CUT_AT_ONCE,    /* in the round of the fault; a part of what is unsynced survives */
    KILL_AT_ONCE,   /* the process dies, the cache survives */
    ENDINGS,
};

struct run {
    struct faultfs *fs;
    enum ending ending;
    int dirfd;
    unsigned appended;
    enum state state[RECORDS_MAX];
    record_place place[RECORDS_MAX];
    bool excused[RECORDS_MAX]; /* may be missing: dropped, or said to be lost */
    unsigned seen[RECORDS_MAX];
    unsigned last_seen;
    struct journal *abandoned; /* freed once its file system is another */
    unsigned violations;
    const char *fault; /* what is being tried, for messages */
    uint64_t nth;
};

static void violation(struct run *t, const char *what, unsigned id)
{
    if (t->violations++ < 3)
        printf("VIOLATION at call %" PRIu64 " (%s): %s (record %u)\n", t->nth, t->fault, what, id);
}

/* Record number id, the same each time. The texts live in the caller's buffer. */
static void make_record(unsigned id, struct record *r, char text[RECORD_PATH_MAX])
{
    size_t n = 20 + (size_t)id * 37 % 900;
    memset(text, 'a' + (int)(id % 26), n);
    *r = (struct record){.type = id % 3 ? RECORD_ACCEPTED : RECORD_REJECTED,
                         .hash = id,
                         .at_ns = 1000 + id,
                         .id = {.dev = 1, .ino = id, .size = id * 3, .mtime_ns = 5, .ctime_ns = 6},
                         .path = {text, (uint16_t)n}};
    if (r->type == RECORD_REJECTED)
        r->code = (struct record_text){"wrong", 5};
}

static bool same(const struct record *a, const struct record *b)
{
    return a->type == b->type && a->hash == b->hash && a->at_ns == b->at_ns &&
           identity_equal(&a->id, &b->id) && a->path.n == b->path.n &&
           memcmp(a->path.p, b->path.p, a->path.n) == 0 && a->code.n == b->code.n;
}

static enum rc ignore_record(void *arg, record_place at, const struct record *r)
{
    (void)arg, (void)at, (void)r;
    return RC_OK;
}

static int64_t fixed_clock(void *arg)
{
    (void)arg;
    return 12345;
}

/* As a supervisor would: again after a failure. NULL: it cannot be opened. */
static struct journal *open_journal(struct run *t, const struct journal_reader *reader, bool *lost)
{
    struct journal_cfg cfg = {.fs = faultfs_fsio(t->fs),
                              .dirfd = t->dirfd,
                              .segment_bytes = SEGMENT_BYTES,
                              .wall_ns = fixed_clock};
    struct journal *j = NULL;
    struct err e;
    *lost = false;
    for (int tries = 0; tries < 2; tries++) {
        bool lost_now;
        enum rc rc = journal_open(&cfg, reader, &lost_now, &j, &e);
        *lost = *lost || lost_now;
        if (rc == RC_OK)
            return j;
    }
    return NULL;
}

static void excuse_all(struct run *t)
{
    for (unsigned i = 0; i < t->appended; i++)
        t->excused[i] = true;
}

struct told {
    struct run *t;
    unsigned id;
};

static void told(void *arg, enum rc rc, record_place at)
{
    struct told *x = arg;
    x->t->state[x->id] = rc == RC_OK ? PROMISED : rc == RC_IO ? DOUBTFUL : REFUSED;
    x->t->place[x->id] = at;
    free(x);
}

static void append(struct run *t, struct journal *j)
{
    struct record r;
    char text[RECORD_PATH_MAX];
    struct told *x = mem_alloc(sizeof *x);
    BUG_ON(t->appended == RECORDS_MAX);
    *x = (struct told){t, t->appended++};
    make_record(x->id, &r, text);
    journal_append(j, &r, told, x);
}

static void drop_oldest(struct run *t, struct journal *j)
{
    uint32_t segment;
    int64_t newest_ns;
    struct err e;
    if (journal_oldest(j, &segment, &newest_ns) != RC_OK)
        return;
    for (unsigned i = 0; i < t->appended; i++)
        if (t->place[i] >> RECORD_OFFSET_BITS == segment)
            t->excused[i] = true;
    if (journal_drop_oldest(j, &e) != RC_OK)
        return; /* it may be gone all the same */
}

static void workload(struct run *t)
{
    static const struct journal_reader reader = {.record = ignore_record};
    for (int session = 0; session < SESSIONS; session++) {
        bool lost;
        struct journal *j = open_journal(t, &reader, &lost);
        if (lost)
            excuse_all(t);
        if (!j)
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i <= round * 7 % 5; i++)
                append(t, j);
            journal_flush(j);
            if (faultfs_fired(t->fs) && t->ending != CUT_AT_THE_END) {
                t->abandoned = j;
                return;
            }
        }
        if (session == 1)
            drop_oldest(t, j);
        append(t, j);
        journal_close(j); /* what was not flushed is refused */
    }
}

static enum rc check_record(void *arg, record_place at, const struct record *r)
{
    struct run *t = arg;
    struct record want;
    char text[RECORD_PATH_MAX];
    unsigned id = (unsigned)r->hash;
    if (r->hash >= t->appended) {
        violation(t, "a record that was never appended", id);
        return RC_OK;
    }
    make_record(id, &want, text);
    if (!same(r, &want))
        violation(t, "a record has other bytes", id);
    if (t->seen[id]++)
        violation(t, "a record is there twice", id);
    if (t->state[id] == REFUSED)
        violation(t, "a record that was refused is there", id);
    if (t->state[id] == PROMISED && t->place[id] != at)
        violation(t, "a record lies elsewhere than was told", id);
    if (id < t->last_seen)
        violation(t, "a record is out of order", id);
    t->last_seen = id;
    t->place[id] = at;
    return RC_OK;
}

static void read_back(struct run *t, struct journal *j)
{
    char buf[RECORD_MAX], text[RECORD_PATH_MAX];
    struct record r, want;
    struct err e;
    for (unsigned i = 0; i < t->appended; i++) {
        if (!t->seen[i] || t->excused[i])
            continue;
        make_record(i, &want, text);
        if (journal_read(j, t->place[i], buf, &r, &e) != RC_OK || !same(&r, &want))
            violation(t, "a record cannot be read back", i);
    }
}

/* The power has come back. may_be_lost: a disk that could not be read was part of the run. */
static struct journal *recover(struct run *t, bool may_be_lost)
{
    const struct journal_reader reader = {.record = check_record, .arg = t};
    bool lost;
    memset(t->seen, 0, sizeof t->seen);
    t->last_seen = 0;
    t->dirfd = faultfs_root(t->fs);
    struct journal *j = open_journal(t, &reader, &lost);
    if (!j) {
        violation(t, "the journal does not open", 0);
        return NULL;
    }
    if (lost && !may_be_lost)
        violation(t, "the journal says that it lost something", 0);
    for (unsigned i = 0; i < t->appended; i++)
        if (t->state[i] == PROMISED && !t->seen[i] && !t->excused[i])
            violation(t, "a record that was promised is not there", i);
    read_back(t, j);
    return j;
}

/* One run of the workload under the plan, then the power cut, then twice the check: what is
 * recovered must also be appended to and recovered again. */
static uint64_t try_plan(struct run *t, const char *fault, const struct faultfs_plan *plan,
                         enum ending ending, uint64_t seed)
{
    *t = (struct run){
        .fs = faultfs_new(), .ending = ending, .fault = fault, .nth = plan ? plan->nth : 0};
    t->dirfd = faultfs_root(t->fs);
    faultfs_arm(t->fs, plan);
    workload(t);
    uint64_t calls = faultfs_calls(t->fs, FAULTFS_ANY);
    bool any_excused = false;
    for (unsigned i = 0; i < t->appended; i++)
        any_excused = any_excused || t->excused[i];
    if (ending == KILL_AT_ONCE)
        faultfs_kill(t->fs);
    else
        faultfs_restart(t->fs, seed);
    journal_close(t->abandoned);
    struct journal *j = recover(t, any_excused);
    if (j) {
        unsigned id = t->appended;
        append(t, j);
        journal_flush(j);
        if (t->state[id] != PROMISED)
            violation(t, "a recovered journal takes no record", id);
        faultfs_restart(t->fs, 0); /* no close: it dies with the machine */
        journal_close(j);
        j = recover(t, any_excused);
        journal_close(j);
    }
    faultfs_free(t->fs);
    return calls;
}

int main(void)
{
    static const struct {
        const char *name;
        struct faultfs_plan plan;
    } faults[] = {
        {"EIO", {.fault = FAULTFS_ERROR, .error = EIO}},
        {"EIO from then on", {.fault = FAULTFS_ERROR, .error = EIO, .stays = true}},
        {"ENOSPC", {.fault = FAULTFS_ERROR, .error = ENOSPC}},
        {"ENOSPC from then on", {.fault = FAULTFS_ERROR, .error = ENOSPC, .stays = true}},
        {"short", {.fault = FAULTFS_SHORT}},
        {"short, then ENOSPC", {.fault = FAULTFS_FILLS}},
    };
    static struct run t;
    uint64_t tried = 0, cuts = 0, failed = 0;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        log_setup(null, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    uint64_t calls = try_plan(&t, "none", NULL, CUT_AT_THE_END, 0);
    unsigned violations = t.violations;
    for (uint64_t nth = 1; nth <= calls; nth++) {
        for (size_t i = 0; i < sizeof faults / sizeof faults[0] * ENDINGS; i++) {
            struct faultfs_plan plan = faults[i / ENDINGS].plan;
            enum ending ending = (enum ending)(i % ENDINGS);
            plan.nth = nth;
            (void)try_plan(&t, faults[i / ENDINGS].name, &plan, ending,
                           ending == CUT_AT_ONCE ? nth * 0x9e3779b97f4a7c15 + i : 0);
            tried++;
            violations += t.violations;
            failed += t.violations > 0;
        }
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct faultfs_plan plan = {.nth = nth, .fault = FAULTFS_POWER};
            (void)try_plan(&t, "power cut", &plan, CUT_AT_THE_END,
                           seed * (nth * 0x9e3779b97f4a7c15 + seed));
            cuts++;
            violations += t.violations;
            failed += t.violations > 0;
        }
    }
    printf("calls %" PRIu64 ", faults tried %" PRIu64 ", power cuts %" PRIu64 ", violations %u\n",
           calls, tried, cuts, violations);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", tried + cuts - failed, failed);
    return violations != 0;
}
