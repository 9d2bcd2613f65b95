/* The ledger on a journal whose records are whole but say anything: of files that were never
 * accepted, of each other's places, in any order, in damaged segments. It opens (P4), what it
 * counts is what it lists, its verbs work, and after a restart it says the same.
 *
 * The input: two bytes of damage, then records and verbs, eight bytes each. */
#include "spool/ledger.h"

#include "base/log.h"
#include "spool/segment.h"
#include "tests/fuzz/fuzz.h"
#include "tests/torture/faultfs.h"

#include <fcntl.h>

enum { PATHS = 4, PLACES = 256, STEPS = 400, STEP = 8, SEGMENT_BYTES = 9000 };
enum { CROSSED = 0x80, WRONG_HASH = 0x40, HOSTILE_TYPE = 0x20, LONG_TEXT = 0x10 }; /* of step[1] */

static const char *const paths[PATHS] = {"findings/1", "findings/2", "audit/1", "audit/\xc3\xbc"};
static const char *const types[PATHS] = {"findings", "findings", "audit", "audit"};

/* The life that a file may have, to tell journals that a gateway could have written: those are held
 * to more than not to crash. */
enum life { GONE, QUEUED, HELD, DELIVERED, KEPT };
enum { IN_GONE = 1 << GONE, IN_QUEUED = 1 << QUEUED, IN_HELD = 1 << HELD, IN_KEPT = 1 << KEPT };
static const struct {
    unsigned from; /* a bit a life */
    enum life to;
} lives[] = {
    [RECORD_ACCEPTED] = {IN_GONE | IN_QUEUED | IN_HELD | IN_KEPT, QUEUED},
    [RECORD_ATTEMPT] = {IN_QUEUED, QUEUED},
    [RECORD_PART] = {IN_QUEUED, QUEUED},
    [RECORD_DELIVERED] = {IN_QUEUED, DELIVERED},
    [RECORD_HELD] = {IN_QUEUED, HELD},
    [RECORD_RETIRED] = {1 << DELIVERED, GONE},
    [RECORD_FORGOTTEN] = {IN_QUEUED | IN_HELD | IN_KEPT, GONE},
    [RECORD_RELEASED] = {IN_HELD, QUEUED},
};

struct fixture {
    struct faultfs *faultfs;
    const struct fsio *fs;
    int64_t now;
    struct journal *journal; /* while the input writes it */
    record_place places[PLACES];
    size_t n_places;
    record_place first[PATHS], last[PATHS];
    enum life life[PATHS];
    uint8_t size[PATHS];
    bool odd;              /* no gateway writes such records */
    struct ledger *ledger; /* afterwards */
};

static int64_t wall_ns(void *arg)
{
    return ((struct fixture *)arg)->now += 1000;
}

static struct journal_cfg journal_of(struct fixture *f)
{
    return (struct journal_cfg){.fs = f->fs,
                                .dirfd = faultfs_root(f->faultfs),
                                .segment_bytes = SEGMENT_BYTES,
                                .wall_ns = wall_ns,
                                .wall_arg = f};
}

/* ---- writing the journal ---- */

static enum rc pass_over(void *arg, record_place at, const struct record *r)
{
    (void)arg;
    (void)at;
    (void)r;
    return RC_OK;
}

static void open_journal(struct fixture *f)
{
    const struct journal_reader reader = {.record = pass_over};
    struct journal_cfg cfg = journal_of(f);
    struct err e;
    bool lost;
    BUG_ON(journal_open(&cfg, &reader, &lost, &f->journal, &e) != RC_OK);
}

static void note_place(void *arg, enum rc rc, record_place at)
{
    struct fixture *f = arg;
    BUG_ON(rc != RC_OK);
    f->places[f->n_places++ % PLACES] = at;
}

/* A place that need not fit. */
static record_place crossed(const struct fixture *f, uint8_t b)
{
    static const record_place odd[] = {0, 1, 8, 64, UINT64_MAX, 1U << RECORD_OFFSET_BITS};
    size_t known = f->n_places < PLACES ? f->n_places : PLACES;
    if (b < sizeof odd / sizeof odd[0] || known == 0)
        return odd[b % (sizeof odd / sizeof odd[0])];
    return f->places[b % known] + (b % 16 == 15 ? 8 : 0);
}

static struct record_text text_of(const char *s)
{
    return (struct record_text){.p = s, .n = (uint16_t)strlen(s)};
}

static void live(struct fixture *f, unsigned p, const struct record *r, const uint8_t step[STEP])
{
    f->odd |= (step[1] & (CROSSED | WRONG_HASH | HOSTILE_TYPE)) != 0 || step[5] == 255;
    if (r->type == RECORD_REJECTED)
        return;
    f->odd |= (lives[r->type].from >> f->life[p] & 1) == 0;
    f->life[p] = lives[r->type].to;
    if (r->type == RECORD_RETIRED && r->flags & RECORD_KEPT)
        f->life[p] = KEPT;
    if (r->type == RECORD_ACCEPTED) {
        f->size[p] = step[5];
        f->odd |= (r->flags & (RECORD_KEPT | RECORD_CARRIED_HELD)) != 0 || r->accepted_ns != 0;
    }
    f->odd |= r->type == RECORD_DELIVERED && f->size[p] != step[5];
}

static void write_record(struct fixture *f, const uint8_t step[STEP])
{
    static char filler[4000];
    static const char hostile[] = "a\0b/\xff", key[] = "key";
    unsigned p = step[1] % PATHS;
    struct record r = {
        .type = (enum record_type)(step[0] % RECORD_RELEASED + 1),
        .flags = step[2],
        .first = step[1] & CROSSED ? crossed(f, step[3]) : f->first[p],
        .prev = step[1] & CROSSED ? crossed(f, step[4]) : f->last[p],
        .at_ns = f->now,
        .hash = keyed_hash(journal_hash_key(f->journal), paths[p], strlen(paths[p])),
        .id = {.dev = 1, .ino = step[5], .size = step[5] == 255 ? UINT64_MAX : step[5]},
        .path = text_of(paths[p]),
        .event_type = text_of(types[p]),
        .key = text_of(key),
        .code = text_of("code"),
        .text = text_of("text"),
        .upload_id = text_of("upload"),
        .accepted_ns = step[6] & 1 ? f->now - 5000 : 0,
        .attempts = step[6],
        .answer_class = step[6],
        .part_number = step[7],
        .part_bytes = (uint64_t)step[7] << 20,
    };
    memset(filler, 'x', sizeof filler);
    live(f, p, &r, step);
    if (step[1] & WRONG_HASH)
        r.hash = step[5] % 4;
    if (step[1] & HOSTILE_TYPE)
        r.event_type = (struct record_text){hostile, sizeof hostile - 1};
    if (step[1] & LONG_TEXT)
        r.text = r.upload_id = r.etag = (struct record_text){filler, step[7] * 15};
    f->now += (int64_t)step[6] * 1000000;
    size_t before = f->n_places;
    journal_append(f->journal, &r, note_place, f);
    journal_flush(f->journal);
    BUG_ON(f->n_places != before + 1);
    record_place at = f->places[before % PLACES];
    f->last[p] = at;
    if (r.type == RECORD_ACCEPTED)
        f->first[p] = at;
}

/* One byte of a segment is another. */
static void damage(struct fixture *f, uint8_t where, uint8_t how)
{
    char name[SEGMENT_NAME_SIZE], c;
    struct file_stat st;
    int root = faultfs_root(f->faultfs);
    const struct fsio_ops *ops = f->fs->ops;
    segment_name(name, where % 4 + 1);
    if (where == 0 || ops->stat(f->fs->ctx, root, name, &st) < 0 || st.id.size == 0)
        return;
    int fd = ops->open(f->fs->ctx, root, name, O_RDWR, 0);
    uint64_t at = st.id.size * how / 256;
    BUG_ON(fd < 0 || ops->pread(f->fs->ctx, fd, &c, 1, at) != 1);
    c = (char)(c ^ 0x10);
    BUG_ON(ops->pwrite(f->fs->ctx, fd, &c, 1, at) != 1 || ops->close(f->fs->ctx, fd) < 0);
}

/* ---- the ledger ---- */

static void open_ledger(struct fixture *f)
{
    struct ledger_cfg cfg = {.journal = journal_of(f), .receipts_keep_ms = 1};
    struct err e;
    bool lost;
    BUG_ON(ledger_open(&cfg, &lost, &f->ledger, &e) != RC_OK);
}

static void settle(struct fixture *f)
{
    for (int i = 0; i < 100 && !journal_is_idle(ledger_journal(f->ledger)); i++)
        journal_flush(ledger_journal(f->ledger));
    BUG_ON(!journal_is_idle(ledger_journal(f->ledger)));
}

/* How many files a state lists; all of them can be shown. */
static uint64_t list(struct ledger *l, enum ledger_state s)
{
    static struct ledger_row rows[3];
    char cursor[64] = "";
    uint64_t n = 0;
    do {
        size_t got = ledger_page(l, s, cursor, rows, sizeof rows / sizeof rows[0]);
        n += got;
        for (size_t i = 0; i < got; i++)
            BUG_ON(rows[i].state != s || strlen(rows[i].path) > RECORD_PATH_MAX);
        BUG_ON(n > 2 * STEPS);
    } while (cursor[0]);
    return n;
}

struct sums {
    uint64_t files[LEDGER_STATE_COUNT_], lanes, bytes;
};

static void sum_up(struct ledger *l, struct sums *out)
{
    struct ledger_lane_counts counts;
    *out = (struct sums){.lanes = 0};
    for (int s = 0; s < LEDGER_STATE_COUNT_; s++)
        out->files[s] = ledger_count(l, (enum ledger_state)s);
    for (unsigned i = 0; i < queue_lanes(ledger_queue(l)); i++) {
        ledger_lane_counts(l, i, &counts);
        out->lanes += counts.files;
        out->bytes += counts.bytes;
    }
}

static void check(struct fixture *f)
{
    struct ledger *l = f->ledger;
    struct sums s;
    struct ledger_view v;
    struct ledger_history rows[8];
    sum_up(l, &s);
    uint64_t accepted = list(l, LEDGER_ACCEPTED), held = list(l, LEDGER_HELD);
    BUG_ON(!f->odd && accepted != s.files[LEDGER_ACCEPTED]);
    BUG_ON(!f->odd && held != s.files[LEDGER_HELD]);
    BUG_ON(s.lanes > 2 * STEPS);
    BUG_ON(!f->odd && s.lanes != s.files[LEDGER_ACCEPTED] + s.files[LEDGER_SENDING] +
                                     s.files[LEDGER_DEFERRED]);
    (void)list(l, LEDGER_DELIVERED);
    for (int i = 0; i < PATHS; i++)
        if (ledger_find(l, paths[i], strlen(paths[i]), &v) == RC_OK)
            (void)ledger_history(l, v.last, rows, 8);
    BUG_ON(ledger_memory(l) > 1 << 24);
}

static void ignore(void *arg, enum rc rc)
{
    (void)arg;
    BUG_ON(rc != RC_OK);
}

static void end_taken(struct fixture *f, struct ledger_file *file, uint8_t how)
{
    static const struct err why = {.rc = RC_NET, .text = "no answer"};
    static const struct ledger_receipt receipt = {
        .key = "k", .etag = "e", .version_id = "", .request_id = ""};
    switch (how % 6) {
    case 0:
        ledger_hold(f->ledger, file, "code", "text", ignore, NULL);
        break;
    case 1:
        ledger_forget(f->ledger, file, "code", "text", NULL, NULL);
        break;
    case 2:
        ledger_attempt(f->ledger, file, how / 6, &why);
        settle(f);
        ledger_put_back(f->ledger, file);
        break;
    case 3:
        ledger_upload_created(f->ledger, file, "upload", 5 << 20, (uint8_t[SHA256_SIZE]){0});
        settle(f);
        ledger_put_back(f->ledger, file);
        break;
    case 4:
        ledger_deliver(f->ledger, file, &receipt, ignore, NULL);
        settle(f);
        ledger_retire(f->ledger, file, how & 8 ? RECORD_KEPT : 0);
        break;
    default:
        ledger_put_back(f->ledger, file);
    }
    settle(f);
}

static void do_verb(struct fixture *f, const uint8_t step[STEP])
{
    struct ledger *l = f->ledger;
    const char *path = paths[step[1] % PATHS];
    const struct identity id = {.dev = 1, .ino = 2, .size = step[5]};
    struct ledger_file *file = NULL;
    struct ledger_view v;
    switch (step[0] % 8) {
    case 0:
        if (ledger_find(l, path, strlen(path), &v) != RC_OK || v.state != LEDGER_DELIVERED)
            ledger_accept(l, path, strlen(path), &id, types[step[1] % PATHS], ignore, NULL);
        break;
    case 1:
        (void)!ledger_hold_path(l, path, strlen(path),
                                &(struct err){.code = "code", .text = "text"}, NULL, NULL);
        break;
    case 2:
        (void)!ledger_release_path(l, path, strlen(path), NULL, NULL);
        break;
    case 3:
        (void)!ledger_forget_path(l, path, strlen(path), &(struct err){.code = "code"}, NULL, NULL);
        break;
    case 4:
        f->now += INT64_C(1000000000) * step[5];
        ledger_compact(l, f->now);
        break;
    case 5:
        file = ledger_take_delivered(l);
        if (file)
            ledger_retire(l, file, step[2] & RECORD_KEPT);
        break;
    default:
        file = ledger_take(l);
        if (file)
            end_taken(f, file, step[2]);
    }
    settle(f);
}

/* Whoever starts a gateway retires first what was delivered. */
static void retire_all(struct fixture *f)
{
    struct ledger_file *file;
    while ((file = ledger_take_delivered(f->ledger)) != NULL) {
        ledger_retire(f->ledger, file, RECORD_GONE);
        settle(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    struct fixture f = {.faultfs = faultfs_new(), .now = INT64_C(1800000000000000000)};
    struct sums before, after;
    uint8_t where = fuzz_byte(&in), how = fuzz_byte(&in), step[STEP];
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    f.fs = faultfs_fsio(f.faultfs);
    open_journal(&f);
    for (int i = 0; i < STEPS && in.n >= STEP && (uint8_t)in.p[0] < 0xf0; i++) {
        memcpy(step, in.p, STEP);
        in.p += STEP;
        in.n -= STEP;
        write_record(&f, step);
    }
    journal_close(f.journal);
    f.odd |= where != 0;
    damage(&f, where, how);
    open_ledger(&f);
    check(&f);
    retire_all(&f);
    for (int i = 0; i < STEPS && in.n >= STEP; i++) {
        memcpy(step, in.p, STEP);
        in.p += STEP;
        in.n -= STEP;
        do_verb(&f, step);
    }
    retire_all(&f);
    check(&f);
    sum_up(f.ledger, &before);
    ledger_close(f.ledger);
    open_ledger(&f);
    check(&f);
    sum_up(f.ledger, &after);
    BUG_ON(!f.odd && memcmp(&before, &after, sizeof before) != 0);
    ledger_close(f.ledger);
    faultfs_free(f.faultfs);
    return 0;
}
