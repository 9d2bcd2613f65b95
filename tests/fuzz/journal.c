/* A directory of segments from any bytes, in a file system in memory: verify reads it, verify mends
 * it, and a gateway starts on it (P4), appends, and starts again.
 *
 * The input: a byte of options, then files, each a byte for its number and two for its length. With
 * FIX_HEADERS and FIX_RECORDS, CRCs are set right, as chance would take for ever to find them. */
#include "spool/journal.h"

#include "base/log.h"
#include "spool/segment.h"
#include "tests/fuzz/fuzz.h"
#include "tests/torture/faultfs.h"

#include <endian.h>
#include <fcntl.h>

enum { FIX_HEADERS = 1, FIX_RECORDS = 2 };
enum { FILES_MAX = 5, NUMBERS = 6 };

/* What a reader was told, kept as a sum over places and sequences in their order; and of verify's
 * faults the missing segments, which nothing mends, and illegal ones of other kinds. */
struct told {
    uint64_t n, sum;
    unsigned holes, damage;
};

static enum rc hear(void *arg, record_place at, const struct record *r)
{
    struct told *t = arg;
    t->n++;
    t->sum = (t->sum ^ at ^ r->seq) * UINT64_C(0x100000001b3);
    return RC_OK;
}

static void hear_fault(void *arg, const struct journal_fault *f)
{
    struct told *t = arg;
    fuzz_is_told(f->why.rc, &f->why);
    if (strstr(f->why.text, " missing"))
        t->holes++;
    else if (!f->legal)
        t->damage++;
}

static bool is_same(const struct told *a, const struct told *b)
{
    return a->n == b->n && a->sum == b->sum;
}

static void fix(char *data, size_t n, uint32_t number, unsigned options)
{
    struct segment_header h = {.number = number, .first_seq = 1};
    if ((options & FIX_HEADERS) && n >= SEGMENT_HEADER_SIZE) {
        memcpy(&h.first_seq, data + 24, sizeof h.first_seq);
        h.first_seq = le64toh(h.first_seq) % 64;
        if (h.first_seq == 0)
            h.first_seq = 1;
        h.created_ns = 1;
        h.flags = data[56] & SEGMENT_MENDED;
        segment_encode_header(data, &h);
    }
    if (!(options & FIX_RECORDS))
        return;
    for (size_t at = SEGMENT_HEADER_SIZE; at + RECORD_HEADER_SIZE <= n;) {
        uint32_t len, nth;
        uint64_t seq;
        memcpy(&len, data + at, sizeof len);
        memcpy(&seq, data + at + 8, sizeof seq);
        memcpy(&nth, data + at + 20, sizeof nth);
        len = le32toh(len);
        if (len < RECORD_HEADER_SIZE || len > n - at || len % 8 != 0)
            break;
        record_seal(data + at, len, le64toh(seq), le32toh(nth), number);
        at += len;
    }
}

static void make_file(const struct fsio *fs, int root, const char *name, const char *data, size_t n)
{
    struct err e;
    int fd = fs->ops->open(fs->ctx, root, name, O_CREAT | O_WRONLY | O_TRUNC, 0640);
    BUG_ON(fd < 0);
    BUG_ON(fsio_write_all(fs, fd, data, n, 0, &e) != RC_OK);
    BUG_ON(fs->ops->datasync(fs->ctx, fd) < 0 || fs->ops->close(fs->ctx, fd) < 0);
}

static void make_files(const struct fsio *fs, int root, struct fuzz_input in)
{
    static const char *const strays[] = {"0000000000000002.seg.tmp", "0000000008388607.seg"};
    unsigned options = fuzz_byte(&in);
    for (int i = 0; i < FILES_MAX && in.n > 0; i++) {
        char name[SEGMENT_NAME_SIZE];
        uint32_t number = fuzz_byte(&in) % (NUMBERS + 2);
        size_t n = fuzz_byte(&in);
        n |= (size_t)fuzz_byte(&in) << 8;
        char *data = fuzz_take(&in, n, &n);
        fix(data, n, number, options);
        segment_name(name, number);
        make_file(fs, root, number < NUMBERS ? name : strays[number - NUMBERS], data, n);
        free(data);
    }
}

static enum rc verify(const struct fsio *fs, int root, struct told *t, bool mend)
{
    struct journal_reader reader = {.record = hear, .arg = t};
    struct journal_verify_cfg cfg = {
        .fs = fs, .dirfd = root, .reader = &reader, .fault = hear_fault, .arg = t, .fix = mend};
    struct err e;
    enum rc rc = journal_verify(&cfg, &e);
    if (rc != RC_OK)
        fuzz_is_told(rc, &e);
    BUG_ON(rc != RC_OK && rc != RC_CORRUPT);
    return rc;
}

static void hear_done(void *arg, enum rc rc, record_place at)
{
    BUG_ON(rc != RC_OK);
    *(record_place *)arg = at;
}

/* Start, append a record, read it, stop. Returns whether something was lost. */
static bool start(const struct fsio *fs, int root, struct told *t, record_place *at)
{
    static const char path[] = "a/b";
    struct journal_reader reader = {.record = hear, .arg = t};
    struct journal_cfg cfg = {.fs = fs, .dirfd = root};
    struct journal *j = NULL;
    struct err e;
    bool lost = false;
    BUG_ON(journal_open(&cfg, &reader, &lost, &j, &e) != RC_OK);
    struct record r = {.type = RECORD_ACCEPTED, .path = {path, sizeof path - 1}};
    *at = 0;
    journal_append(j, &r, hear_done, at);
    journal_flush(j);
    char buf[RECORD_MAX];
    BUG_ON(*at == 0 || journal_read(j, *at, buf, &r, &e) != RC_OK);
    BUG_ON(r.path.n != sizeof path - 1 || memcmp(r.path.p, path, r.path.n) != 0);
    journal_close(j);
    return lost;
}

/* A gateway starts, and all that it read or wrote is there when it starts again. What it set aside
 * leaves a hole, behind which the segment before may show damage that had not counted. */
static void check_starts(struct fuzz_input in)
{
    struct faultfs *f = faultfs_new();
    const struct fsio *fs = faultfs_fsio(f);
    int root = faultfs_root(f);
    struct told seen = {0}, first = {0}, sound = {0}, second = {0};
    record_place at;
    make_files(fs, root, in);
    bool damaged = verify(fs, root, &seen, false) != RC_OK;
    bool lost = start(fs, root, &first, &at);
    BUG_ON(damaged != lost);
    BUG_ON(!lost && !is_same(&seen, &first));
    (void)verify(fs, root, &sound, false);
    BUG_ON(sound.damage > 0 && sound.holes == 0);
    BUG_ON(!lost && sound.n != first.n + 1);
    lost = start(fs, root, &second, &at);
    BUG_ON(lost && sound.holes == 0);
    BUG_ON(!is_same(&second, &sound));
    faultfs_free(f);
}

/* What was mended is sound. */
static void check_mends(struct fuzz_input in)
{
    struct faultfs *f = faultfs_new();
    const struct fsio *fs = faultfs_fsio(f);
    int root = faultfs_root(f);
    struct told before = {0}, after = {0}, started = {0};
    record_place at;
    make_files(fs, root, in);
    enum rc rc = verify(fs, root, &before, true);
    (void)verify(fs, root, &after, false);
    BUG_ON(after.damage > 0 && after.holes == 0);
    BUG_ON(rc == RC_OK && !is_same(&before, &after));
    BUG_ON(after.n < before.n && before.holes == 0 && after.holes == 0);
    bool lost = start(fs, root, &started, &at);
    BUG_ON(lost && after.holes == 0);
    BUG_ON(!is_same(&started, &after));
    faultfs_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    check_starts(fuzz_begin(data, n));
    check_mends(fuzz_begin(data, n));
    return 0;
}
