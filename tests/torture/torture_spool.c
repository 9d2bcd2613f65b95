/* Every call that gateway and producers make fails in turn, in every way, and at each the power is
 * cut or the process killed.
 *
 *   torture-spool [--all] [--from CALL] [--to CALL]
 *
 * A workload puts files, sends, retires, rejects, holds, compacts and sweeps, over several lives of
 * the gateway. After each run everything is recovered, the rest of the workload is done without a
 * fault, and the promises (spool/FORMAT.md) are held against what is there: P1 by the witness at
 * each removal, the others by check_all. Without --all a share of the calls is tried, each time the
 * same.
 *
 * KNOWN: the uploader reads files with real system calls, and the kernel gives no leases on files
 * in memory; so both are modelled here (spool_gateway.c), and tested elsewhere.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "spool/layout.h"
#include "spool/put.h"
#include "tests/torture/spool_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the files ---- */

#define DAY RIG_INBOX "/audit/2026-11-23/"
const struct version versions[VERSIONS] = {
    {DAY "a", 300, false},     {DAY "b", 900, false}, {DAY "big", 3500, false},
    {DAY "bad", 200, true},    {DAY "c", 120, false}, {DAY "loose", 1500, false},
    {DAY "d", 64, false},      {DAY "a", 310, false}, {RIG_INBOX "/m/e", 500, false},
    {DAY "bad", 210, true},    {DAY "f", 700, false}, {DAY "big2", 2600, false},
    {DAY "f", 700, false},     {DAY "g", 40, false},  {RIG_INBOX "/m/h", 800, false},
    {DAY "loose", 600, false}, {DAY "i", 90, false},  {DAY "g", 45, false},
    {DAY "j", 333, false},     {DAY "k", 444, false}, {DAY "big2", 2700, false},
    {DAY "l", 100, false},     {DAY "m", 110, false}, {DAY "n", 120, false},
};

size_t version_bytes(unsigned v, char *out)
{
    size_t n = 0, size = versions[v].size;
    while (n < size) {
        int line = snprintf(out + n, 40,
                            versions[v].wrong ? "wrong %u %zu\n" : "{\"v\":%u,\"n\":%zu}\n", v, n);
        n += (size_t)line;
    }
    return n;
}

static struct {
    uint8_t sha[SHA256_SIZE];
    size_t n;
} digests[VERSIONS];

const uint8_t *version_sha(unsigned v)
{
    return digests[v].sha;
}

int version_of(const uint8_t sha[SHA256_SIZE])
{
    for (int v = 0; v < VERSIONS; v++)
        if (memcmp(digests[v].sha, sha, SHA256_SIZE) == 0)
            return v;
    return -1;
}

void violation(struct run *t, const char *what, const char *about)
{
    if (t->violations++ < 3)
        printf("VIOLATION at call %" PRIu64 " (%s): %s (%s)\n", t->nth, t->fault, what, about);
}

/* ---- producers ---- */

static const struct fsio *disk(struct run *t)
{
    return faultfs_fsio(t->fs);
}

static int open_spool(struct run *t)
{
    return disk(t)->ops->open(disk(t)->ctx, faultfs_root(t->fs), RIG_ROOT, O_RDONLY | O_DIRECTORY,
                              0);
}

/* Whatever happens to these descriptors, nothing hangs on it. */
static void close_quietly(struct run *t, int fd)
{
    if (fd >= 0)
        (void)disk(t)->ops->close(disk(t)->ctx, fd);
}

/* What a producer has put under a path before is not its business any more. */
static void supersede(struct run *t, unsigned v)
{
    for (unsigned old = 0; old < VERSIONS; old++)
        if (old != v && strcmp(versions[old].path, versions[v].path) == 0 &&
            t->fate[old] != NOTHING)
            t->fate[old] = SUPERSEDED;
}

static void put(struct run *t, unsigned v)
{
    char data[8192];
    uint64_t size;
    struct err e;
    int from = memfd_create("version", MFD_CLOEXEC), root = open_spool(t);
    size_t n = version_bytes(v, data);
    BUG_ON(from < 0 || write(from, data, n) != (ssize_t)n || lseek(from, 0, SEEK_SET) != 0);
    const struct put_cfg cfg = {.fs = disk(t), .root_fd = root, .size_max = sizeof data};
    if (root >= 0 && put_file(&cfg, from, versions[v].path, &size, &e) == RC_OK) {
        t->fate[v] = PROMISED;
        t->told[v] = true;
    }
    (void)close(from);
    close_quietly(t, root);
}

/* All of it, at once, to a new file. */
static bool write_version(struct run *t, int root, const char *path, unsigned v, bool synced)
{
    char data[8192];
    struct err e;
    size_t n = version_bytes(v, data);
    int fd = disk(t)->ops->open(disk(t)->ctx, root, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return false;
    bool ok = fsio_write_all(disk(t), fd, data, n, 0, &e) == RC_OK &&
              (!synced || disk(t)->ops->sync(disk(t)->ctx, fd) == 0);
    close_quietly(t, fd);
    return ok;
}

#define TEMPORARY DAY ".new"

/* A producer that never syncs: a temporary name, and a rename. */
static void put_loose(struct run *t, unsigned v)
{
    int root = open_spool(t);
    if (root >= 0 && write_version(t, root, TEMPORARY, v, false) &&
        disk(t)->ops->rename(disk(t)->ctx, root, TEMPORARY, root, versions[v].path, 0) == 0) {
        supersede(t, v);
        t->fate[v] = UNSYNCED;
        t->told[v] = true;
    }
    close_quietly(t, root);
}

/* One that puts another file in the place of one that is there, with every sync there should be. */
static void replace(struct run *t, unsigned v)
{
    int root = open_spool(t), day = -1;
    if (root >= 0 && write_version(t, root, TEMPORARY, v, true)) {
        supersede(t, v);
        t->fate[v] = UNSYNCED;
        if (disk(t)->ops->rename(disk(t)->ctx, root, TEMPORARY, root, versions[v].path, 0) == 0) {
            t->told[v] = true;
            day = disk(t)->ops->open(disk(t)->ctx, root, DAY ".", O_RDONLY | O_DIRECTORY, 0);
            if (day >= 0 && disk(t)->ops->sync(disk(t)->ctx, day) == 0)
                t->fate[v] = PROMISED;
        }
    }
    close_quietly(t, day);
    close_quietly(t, root);
}

/* ---- the workload ---- */

enum step_kind { LIFE, PUT, LOOSE, REPLACE, ROUND, HOLD, RELEASE, FORGET, HOUSEKEEP };
struct step {
    enum step_kind kind;
    unsigned n; /* a version, how many, or an action */
};
static const struct step script[] = {
    {LIFE, RETIRE_DELETE},
    {PUT, 0},
    {PUT, 1},
    {PUT, 2},
    {PUT, 3},
    {ROUND, 0},
    {HOLD, 1},
    {FORGET, 0},
    {ROUND, 2},
    {LOOSE, 5},
    {PUT, 4},
    {ROUND, 4},
    {HOUSEKEEP, 0},
    {PUT, 6},
    {ROUND, 0},
    {LIFE, RETIRE_ARCHIVE},
    {PUT, 8},
    {REPLACE, 7},
    {ROUND, 1},
    {PUT, 9},
    {ROUND, 3},
    {HOUSEKEEP, 0},
    {PUT, 10},
    {PUT, 11},
    {ROUND, 0},
    {REPLACE, 12},
    {RELEASE, 1},
    {ROUND, 6},
    {PUT, 13},
    {ROUND, 9},
    {HOUSEKEEP, 0},
    {LIFE, RETIRE_KEEP},
    {PUT, 14},
    {LOOSE, 15},
    {ROUND, 2},
    {HOUSEKEEP, 0},
    {PUT, 16},
    {ROUND, 9},
    {REPLACE, 17},
    {HOLD, 14},
    {ROUND, 9},
    {LIFE, RETIRE_DELETE},
    {PUT, 18},
    {PUT, 19},
    {HOUSEKEEP, 0},
    {ROUND, 1},
    {REPLACE, 20},
    {HOUSEKEEP, 0},
    {FORGET, 18},
    {PUT, 21},
    {ROUND, 0},
    {HOUSEKEEP, 0},
    {HOUSEKEEP, 0},
    {PUT, 22},
    {PUT, 23},
    {ROUND, 5},
    {HOUSEKEEP, 0},
};
enum { STEPS = sizeof script / sizeof script[0] };

static void do_step(struct run *t, const struct step *s)
{
    if (s->kind == LIFE) {
        gateway_close(t);
        t->g.action = (enum retire_action)s->n;
    }
    if (!t->g.ledger)
        (void)gateway_open(t); /* else the supervisor's next try is the next step's */
    switch (s->kind) {
    case LIFE:
        break;
    case PUT:
        put(t, s->n);
        break;
    case LOOSE:
        put_loose(t, s->n);
        break;
    case REPLACE:
        replace(t, s->n);
        break;
    case ROUND:
        gateway_round(t, s->n);
        break;
    case HOLD:
        gateway_hold(t, versions[s->n].path);
        break;
    case RELEASE:
        gateway_release(t, versions[s->n].path);
        break;
    case FORGET:
        gateway_forget(t, versions[s->n].path);
        break;
    case HOUSEKEEP:
        gateway_housekeep(t);
        break;
    }
}

/* ---- runs ---- */

enum ending {
    CUT_AT_THE_END, /* nothing unsynced survives */
    CUT_AT_ONCE,    /* in the step of the fault; a part of what is unsynced survives */
    KILL_AT_ONCE,   /* the process dies, the cache survives */
    ENDINGS,
};

static void set_up(struct run *t)
{
    static const char *const dirs[] = {RIG_ROOT,
                                       "journal",
                                       RIG_ROOT "/" RIG_INBOX,
                                       RIG_ROOT "/" RIG_INBOX "/m",
                                       RIG_ROOT "/" RIG_INBOX "/audit",
                                       RIG_ROOT "/" RIG_INBOX "/audit/2026-11-23"};
    struct err e;
    t->fs = faultfs_new();
    t->witnessed = (struct fsio){.ops = &witness_ops, .ctx = t};
    int root = faultfs_root(t->fs);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        BUG_ON(fsio_mkdirs(disk(t), root, dirs[i], 0755, 1, &e) != RC_OK);
    BUG_ON(layout_new("any", "", &t->layout, &e) != RC_OK);
    t->now_ns = INT64_C(1795000000) * CLOCK_NS_PER_S;
    t->store.flaky = true;
    t->g = (struct gateway){.root_fd = -1, .journal_fd = -1};
}

static void check_end(struct run *t, bool power_cut, bool disk_failed)
{
    enum { ROUNDS = 12 };
    if (!t->g.ledger && !gateway_open(t)) {
        violation(t, "the gateway does not start", "");
        return;
    }
    t->store.flaky = false;
    for (unsigned v = 0; v < VERSIONS; v++)
        gateway_release(t, versions[v].path);
    for (int i = 0; i < ROUNDS; i++)
        gateway_round(t, WINDOW);
    check_all(t, power_cut, disk_failed);
}

/* One run of the workload under the plan, what the ending does to it, the rest of the workload, and
 * the checks; then once more after another life. Returns the calls of an undisturbed run. */
static uint64_t try_plan(struct run *t, const struct faultfs_plan *plan, enum ending ending,
                         uint64_t seed)
{
    bool power = plan && plan->fault == FAULTFS_POWER, cut = ending != KILL_AT_ONCE;
    size_t at = 0;
    set_up(t);
    uint64_t before = faultfs_calls(t->fs, FAULTFS_ANY);
    faultfs_arm(t->fs, plan);
    while (at < STEPS && !(faultfs_fired(t->fs) && (power || ending != CUT_AT_THE_END)))
        do_step(t, &script[at++]);
    uint64_t calls = faultfs_calls(t->fs, FAULTFS_ANY) - before;
    bool lost_under_fault = t->lost;
    if (cut)
        faultfs_restart(t->fs, seed);
    else
        faultfs_kill(t->fs);
    gateway_close(t);
    t->lost = false;
    memset(t->told, 0, sizeof t->told);
    memset(t->refused, 0, sizeof t->refused);
    if (!gateway_open(t))
        violation(t, "the gateway does not start", "after the fault");
    if (t->lost && !lost_under_fault)
        violation(t, "the journal says that it lost something", "");
    check_receipts(t);
    while (at < STEPS)
        do_step(t, &script[at++]);
    check_end(t, cut, plan && !power);
    gateway_close(t);
    check_end(t, cut, plan && !power);
    gateway_close(t);
    layout_free(t->layout);
    faultfs_free(t->fs);
    return calls;
}

/* ---- all of it ---- */

struct sum {
    uint64_t calls, faults, cuts, failed, violations;
};

static struct run run; /* which is tried, for the message of a bug */

static void tell_bug(int signal)
{
    (void)signal;
    printf("BUG at call %" PRIu64 " (%s)\n", run.nth, run.fault);
    (void)fflush(stdout);
}

static void try_one(struct sum *sum, const char *name, const struct faultfs_plan *plan,
                    enum ending ending, uint64_t seed)
{
    memset(&run, 0, sizeof run);
    run.fault = name;
    run.nth = plan ? plan->nth : 0;
    uint64_t calls = try_plan(&run, plan, ending, seed);
    if (!plan)
        sum->calls = calls;
    else if (plan->fault == FAULTFS_POWER)
        sum->cuts++;
    else
        sum->faults++;
    sum->violations += run.violations;
    sum->failed += run.violations > 0;
}

struct kind {
    const char *name;
    struct faultfs_plan plan;
};

/* At one call: every kind of fault with every ending, or one ending in turn; every kind of cut. */
static void try_call(struct sum *sum, uint64_t nth, bool all)
{
    enum { SEEDS_ALL = 4, SEEDS = 1 };
    static const struct kind kinds[] = {
        {"EIO", {.fault = FAULTFS_ERROR, .error = EIO}},
        {"EIO from then on", {.fault = FAULTFS_ERROR, .error = EIO, .stays = true}},
        {"ENOSPC", {.fault = FAULTFS_ERROR, .error = ENOSPC}},
        {"ENOSPC from then on", {.fault = FAULTFS_ERROR, .error = ENOSPC, .stays = true}},
        {"EDQUOT", {.fault = FAULTFS_ERROR, .error = EDQUOT}},
        {"EINTR", {.fault = FAULTFS_ERROR, .error = EINTR}},
        {"short", {.fault = FAULTFS_SHORT}},
        {"short, then ENOSPC", {.fault = FAULTFS_FILLS}},
    };
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    struct faultfs_plan plan;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        plan = kinds[i].plan;
        plan.nth = nth;
        for (unsigned ending = 0; ending < ENDINGS; ending++)
            if (all || ending == (nth + i) % ENDINGS)
                try_one(sum, kinds[i].name, &plan, (enum ending)ending,
                        ending == CUT_AT_ONCE ? nth * odd + i : 0);
    }
    plan = (struct faultfs_plan){.nth = nth, .fault = FAULTFS_POWER};
    try_one(sum, "kill", &plan, KILL_AT_ONCE, 0);
    try_one(sum, "power cut", &plan, CUT_AT_THE_END, 0);
    for (uint64_t seed = 1; seed <= (all ? SEEDS_ALL : SEEDS); seed++)
        try_one(sum, "power cut, some survives", &plan, CUT_AT_THE_END, seed * (nth * odd + seed));
}

static void digest_versions(void)
{
    for (unsigned v = 0; v < VERSIONS; v++) {
        char data[8192];
        sha256(data, version_bytes(v, data), digests[v].sha);
    }
}

int main(int argc, char **argv)
{
    enum { SHARE = 400 }; /* of the calls, without --all */
    struct sum sum = {0};
    bool all = false;
    uint64_t from = 1, to = UINT64_MAX;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            all = true;
        else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
            from = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--to") == 0 && i + 1 < argc)
            to = strtoull(argv[++i], NULL, 10);
        else
            return 100;
    }
    (void)signal(SIGABRT, tell_bug);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        log_setup(null, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    digest_versions();
    try_one(&sum, "none", NULL, CUT_AT_THE_END, 0);
    uint64_t step = all || sum.calls < SHARE || to != UINT64_MAX ? 1 : sum.calls / SHARE + 1;
    for (uint64_t nth = from; nth <= sum.calls && nth <= to; nth += step)
        try_call(&sum, nth, all);
    printf("calls %" PRIu64 ", faults %" PRIu64 ", power cuts %" PRIu64 ", violations %" PRIu64
           "\n",
           sum.calls, sum.faults, sum.cuts, sum.violations);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", 1 + sum.faults + sum.cuts - sum.failed,
           sum.failed);
    return sum.failed != 0;
}
