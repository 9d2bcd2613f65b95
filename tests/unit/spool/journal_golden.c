/* Journals of format version 1 as they were written when the format was settled
 * (tests/vectors/journal-v1, README.md there): every later spoolgate reads them to the byte and to
 * the same state. They are never made again; what made them stands here too, and must still lead to
 * the same states. */
#include "base/hex.h"
#include "spool/segment.h"
#include "tests/unit/spool/ledger_fix.h"

#include <inttypes.h>
#include <unistd.h>

#define GOLDEN TEST_SOURCE_DIR "/vectors/journal-v1"

/* ---- as text ---- */

static void print_text(FILE *out, const char *name, struct record_text t)
{
    fprintf(out, " %s=\"", name);
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            fprintf(out, "\\x%02x", c);
        else
            (void)fputc(c, out);
    }
    (void)fputc('"', out);
}

/* Every field of every record, whatever its type. */
static enum rc print_record(void *arg, record_place at, const struct record *r)
{
    FILE *out = arg;
    char sha[2 * SHA256_SIZE + 1];
    hex_encode(sha, r->sha256, SHA256_SIZE);
    fprintf(out, "%" PRIu64 ".%" PRIu64 " %s seq=%" PRIu64 " nth=%u flags=%u hash=%016" PRIx64,
            at >> RECORD_OFFSET_BITS, at & (SEGMENT_BYTES_MAX - 1), record_type_name(r->type),
            r->seq, r->nth, r->flags, r->hash);
    fprintf(out, " first=%" PRIx64 " prev=%" PRIx64 " at=%" PRId64, r->first, r->prev, r->at_ns);
    fprintf(out, " id=%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRId64 ",%" PRId64, r->id.dev,
            r->id.ino, r->id.size, r->id.mtime_ns, r->id.ctime_ns);
    fprintf(out, " accepted=%" PRId64 " first_try=%" PRId64 " attempts=%u", r->accepted_ns,
            r->first_try_ns, r->attempts);
    fprintf(out, " status=%u class=%u part=%u,%" PRIu64 " sha256=%s", r->http_status,
            r->answer_class, r->part_number, r->part_bytes, sha);
    print_text(out, "path", r->path);
    print_text(out, "type", r->event_type);
    print_text(out, "key", r->key);
    print_text(out, "etag", r->etag);
    print_text(out, "version", r->version_id);
    print_text(out, "request", r->request_id);
    print_text(out, "upload", r->upload_id);
    print_text(out, "code", r->code);
    print_text(out, "text", r->text);
    (void)fputc('\n', out);
    return RC_OK;
}

/* The sentences may become better: only the place counts. */
static void print_fault(void *arg, const struct journal_fault *f)
{
    fprintf(arg, "fault %u.%" PRIu64 " %s\n", f->segment, f->offset, f->legal ? "legal" : "damage");
}

static char *dump(int dirfd, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);
    const struct journal_reader reader = {.record = print_record, .arg = out};
    struct journal_verify_cfg cfg = {
        .fs = &fsio_system, .dirfd = dirfd, .reader = &reader, .fault = print_fault, .arg = out};
    struct err e = {0};
    cr_assert_eq(journal_verify(&cfg, &e), RC_OK, "%s", e.text);
    cr_assert_eq(fclose(out), 0);
    return text;
}

/* ---- a life: every type of record, rotation, compaction ---- */

static struct ledger_file *take(struct fix *f, const char *type, const char *path)
{
    unsigned lane = queue_lane(ledger_queue(f->l), type, strlen(type));
    struct ledger_file *file = ledger_take_from(f->l, lane, false);
    cr_assert(file && strcmp(file->path, path) == 0, "%s, not %s", path, file ? file->path : "");
    return file;
}

static void decide(struct fix *f, const char *verb, const char *path, const char *text)
{
    const struct err why = {.code = "by-hand", .text = ""};
    struct err told = why;
    size_t n = strlen(path);
    (void)snprintf(told.text, sizeof told.text, "%s", text);
    enum rc rc = *verb == 'h'   ? ledger_hold_path(f->l, path, n, &told, NULL, NULL)
                 : *verb == 'f' ? ledger_forget_path(f->l, path, n, &told, NULL, NULL)
                                : ledger_release_path(f->l, path, n, NULL, NULL);
    cr_assert_eq(rc, RC_OK, "%s %s", verb, path);
    flush(f);
}

static void deliver(struct fix *f, const char *path, const struct ledger_receipt *r, int flags)
{
    accept(f, path, "sent", strlen(path));
    flush(f);
    struct ledger_file *file = take(f, "sent", path);
    file->first_try_ns = f->now;
    file->attempts = 1;
    ledger_deliver(f->l, file, r, NULL, NULL);
    flush(f);
    if (flags >= 0)
        ledger_retire(f->l, file, (uint8_t)flags);
    flush(f);
}

/* What is carried over, and receipts that go. */
static void live_of_old(struct fix *f)
{
    deliver(f, "old/deleted", receipt(), 0);
    deliver(f, "old/kept", receipt(), RECORD_KEPT);
    accept(f, "old/queued", "old", 11);
    accept(f, "old/held", "old", 12);
    accept(f, "old/forgotten", "old", 13);
    flush(f);
    decide(f, "hold", "old/held", "until the audit is over");
    decide(f, "forget", "old/forgotten", "of the test run");
    restart(f);
    accept(f, "young", "young", 1);
    flush(f);
    f->now += (int64_t)2 * KEEP_MS * CLOCK_NS_PER_MS;
    for (int i = 0; i < 8; i++) {
        ledger_compact(f->l, f->now);
        flush(f);
    }
}

static void live_being_sent(struct fix *f)
{
    const struct err busy = {.http_status = 503, .code = "SlowDown", .text = "fewer, please"};
    const struct err shut = {.text = "connection refused"};
    struct ledger_part part = {.number = 1, .etag = "\"e1\"", .sha256 = {1}};
    struct ledger_file *file;

    accept(f, "retried", "retried", 21);
    accept(f, "big", "big", 22);
    accept(f, "big-anew", "anew", 23);
    flush(f);
    file = take(f, "retried", "retried");
    file->attempts = 1;
    ledger_attempt(f->l, file, 3, &busy);
    file->attempts = 2;
    ledger_attempt(f->l, file, 3, &busy); /* the same class: no record */
    file->attempts = 3;
    ledger_attempt(f->l, file, 9, &shut);
    flush(f);
    ledger_put_back(f->l, file);
    file = take(f, "big", "big");
    ledger_upload_created(f->l, file, "upload-1", 5 << 20, (uint8_t[SHA256_SIZE]){0});
    ledger_part_stored(f->l, file, &part, NULL, NULL);
    part = (struct ledger_part){.number = 2, .etag = "\"e2\"", .sha256 = {2}};
    ledger_part_stored(f->l, file, &part, NULL, NULL);
    flush(f);
    ledger_put_back(f->l, file);
    file = take(f, "anew", "big-anew");
    ledger_upload_created(f->l, file, "upload-2", 8 << 20, (uint8_t[SHA256_SIZE]){0});
    ledger_upload_forgotten(f->l, file);
    flush(f);
    ledger_put_back(f->l, file);
}

static void live(struct fix *f)
{
    struct ledger_receipt all = *receipt();
    char path[1100], key[2100];
    struct identity id = id_of(31);

    live_of_old(f);
    live_being_sent(f);
    all.verified = true;
    deliver(f, "verified", &all, 0);
    deliver(f, "archived", receipt(), RECORD_ARCHIVED);
    deliver(f, "gone", receipt(), RECORD_GONE);
    deliver(f, "kept", receipt(), RECORD_KEPT);
    accept(f, "held", "old", 41);
    accept(f, "given-up", "old", 46);
    accept(f, "released", "released", 42);
    accept(f, "replaced", "released", 43);
    accept(f, "vanished", "vanished", 44);
    accept(f, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "released", 45);
    flush(f);
    decide(f, "hold", "held", "because");
    decide(f, "forget", "given-up", "not wanted");
    decide(f, "hold", "released", "for a while");
    decide(f, "release", "released", "");
    accept(f, "replaced", "released", 143);
    ledger_reject(f->l, "rejected", 8, &id, "content", "line 17, column 3: no value", NULL, NULL);
    flush(f);
    ledger_forget(f->l, take(f, "vanished", "vanished"), "vanished", "removed by someone", NULL,
                  NULL);
    flush(f);
    all = *receipt();
    all.key = key;
    for (int i = 0; i < 6; i++) { /* more than a segment holds */
        memset(key, 'k', sizeof key);
        key[2048] = '\0';
        memset(path, 'p', sizeof path);
        path[RECORD_PATH_MAX - i] = '\0';
        deliver(f, path, &all, 0);
    }
    deliver(f, "waits-to-be-retired", receipt(), -1);
}

static void expect_held(struct fix *f, const char *path, const char *text)
{
    struct ledger_view v;
    cr_assert_eq(ledger_find(f->l, path, strlen(path), &v), RC_OK);
    cr_assert_str_eq(v.code, "by-hand");
    cr_assert_str_eq(v.text, text);
}

static void expect_life(struct fix *f)
{
    static const struct {
        const char *path, *state;
        uint64_t size;
    } want[] = {
        {"old/deleted", "", 0},
        {"old/kept", "delivered", 8},
        {"old/queued", "accepted", 11},
        {"old/held", "held", 12},
        {"old/forgotten", "forgotten", 13},
        {"young", "accepted", 1},
        {"retried", "accepted", 21},
        {"big", "accepted", 22},
        {"big-anew", "accepted", 23},
        {"verified", "", 0},
        {"archived", "", 0},
        {"gone", "", 0},
        {"kept", "delivered", 4},
        {"given-up", "forgotten", 46},
        {"held", "held", 41},
        {"released", "accepted", 42},
        {"replaced", "accepted", 143},
        {"vanished", "", 0},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "accepted", 45},
        {"rejected", "", 0},
        {"waits-to-be-retired", "delivered", 19},
    };
    struct ledger_view v;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        cr_assert_str_eq(state(f, want[i].path), want[i].state, "%s", want[i].path);
        if (*want[i].state) {
            cr_assert_eq(ledger_find(f->l, want[i].path, strlen(want[i].path), &v), RC_OK);
            cr_assert_eq(v.id.size, want[i].size, "%s", want[i].path);
        }
    }
    expect_held(f, "old/held", "until the audit is over");
    expect_held(f, "old/forgotten", "of the test run");
    expect_held(f, "held", "because");
    struct ledger_file *file = ledger_take_delivered(f->l);
    cr_assert(file && strcmp(file->path, "waits-to-be-retired") == 0 && file->sha256[2] == 3);
    cr_assert_null(ledger_take_delivered(f->l));
    file = take(f, "retried", "retried");
    cr_assert(file->last_class == 9 && file->attempts == 3);
    cr_assert_str_eq(file->why.text, "connection refused");
    file = take(f, "big", "big");
    cr_assert_str_eq(file->upload_id, "upload-1");
    cr_assert(file->n_parts == 2 && file->parts[1].sha256[0] == 2 && file->part_bytes == 5 << 20);
    file = take(f, "anew", "big-anew");
    cr_assert(!file->upload_id && file->n_parts == 0);
    cr_assert_eq(lane_counts(f, "released").files, 3);
    cr_assert_eq(lane_counts(f, "sent").files, 0);
}

/* ---- doubt: a commit that failed, void records behind the durable part, a torn tail ---- */

static int no_truncate(void *ctx, int fd, uint64_t size)
{
    (void)ctx, (void)fd, (void)size; /* what is void stays to be read */
    return -EIO;
}

static void cut_newest(struct fix *f, const char *name, int bytes)
{
    struct stat st;
    int fd = openat(f->dir.fd, name, O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    cr_assert_eq(ftruncate(fd, st.st_size - bytes), 0);
    cr_assert_eq(close(fd), 0);
}

static void doubt(struct fix *f)
{
    accept(f, "durable", "a", 1);
    flush(f);
    f->ops.truncate = no_truncate;
    f->broken = true;
    accept(f, "doubtful", "a", 2);
    accept(f, "doubtful-too", "a", 3);
    flush(f);
    mend(f);
    accept(f, "after", "a", 4);
    accept(f, "last", "a", 5);
    flush(f);
    accept(f, "torn", "a", 6);
    flush(f);
    cut_newest(f, "0000000000000002.seg", 3);
}

static void expect_doubt(struct fix *f)
{
    cr_assert_str_eq(state(f, "durable"), "accepted");
    cr_assert_str_eq(state(f, "doubtful"), "");
    cr_assert_str_eq(state(f, "doubtful-too"), "");
    cr_assert_str_eq(state(f, "after"), "accepted");
    cr_assert_str_eq(state(f, "last"), "accepted");
    cr_assert_str_eq(state(f, "torn"), "");
    cr_assert_eq(lane_counts(f, "a").files, 3);
}

/* ---- mended: damage that verify took out ---- */

static void mended(struct fix *f)
{
    char path[32], byte;
    for (uint64_t i = 0; i < 10; i++) {
        (void)snprintf(path, sizeof path, "file%" PRIu64, i);
        accept(f, path, "a", i + 1);
        flush(f);
    }
    restart(f);
    accept(f, "behind", "a", 99);
    flush(f);
    int fd = openat(f->dir.fd, "0000000000000001.seg", O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && pread(fd, &byte, 1, 700) == 1);
    byte = (char)(byte ^ 1);
    cr_assert(pwrite(fd, &byte, 1, 700) == 1 && close(fd) == 0);
    struct journal_verify_cfg cfg = {.fs = &fsio_system, .dirfd = f->dir.fd, .fix = true};
    cr_assert_eq(journal_verify(&cfg, NULL), RC_CORRUPT);
}

static void expect_mended(struct fix *f)
{
    char path[32];
    unsigned there = 0;
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(path, sizeof path, "file%u", i);
        there += strcmp(state(f, path), "accepted") == 0;
    }
    cr_assert_eq(there, 9);
    cr_assert_str_eq(state(f, "behind"), "accepted");
}

/* ---- the tests ---- */

static const struct golden {
    const char *name;
    uint32_t segment_bytes;
    void (*make)(struct fix *f);
    void (*expect)(struct fix *f);
} golden[] = {
    {"life", SEGMENT_HEADER_SIZE + RECORD_MAX, live, expect_life},
    {"doubt", 0, doubt, expect_doubt},
    {"mended", 0, mended, expect_mended},
};
enum { GOLDENS = sizeof golden / sizeof golden[0] };

static void copy_segments(int from, int to)
{
    char *data;
    size_t n, copied = 0;
    DIR *dir = fdopendir(dup(from));
    for (struct dirent *d; dir && (d = readdir(dir));) {
        uint32_t number;
        if (!segment_parse_name(d->d_name, &number))
            continue;
        cr_assert_eq(fsio_read_file(&fsio_system, from, d->d_name, 1 << 20, &data, &n, NULL),
                     RC_OK);
        cr_assert_eq(fsio_replace(&fsio_system, to, d->d_name, data, n, 0640, NULL), RC_OK);
        free(data);
        copied++;
    }
    cr_assert(dir && closedir(dir) == 0 && copied > 0);
}

static int open_golden(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", GOLDEN, name);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s", path);
    return fd;
}

/* $SPOOLGATE_GOLDEN: a directory to leave what was made in, with its text. */
static void leave(struct fix *f, const char *name)
{
    const char *dir = getenv("SPOOLGATE_GOLDEN");
    char path[512];
    size_t n;
    if (!dir)
        return;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    cr_assert_eq(mkdir(path, 0755), 0, "%s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    copy_segments(f->dir.fd, fd);
    char *text = dump(fd, &n);
    cr_assert_eq(fsio_replace(&fsio_system, fd, "dump", text, n, 0644, NULL), RC_OK);
    free(text);
    cr_assert_eq(close(fd), 0);
}

Test(journal_golden, what_made_them_still_leads_to_the_same_states)
{
    for (size_t i = 0; i < GOLDENS; i++) {
        struct fix f;
        fix_new(&f);
        ledger_close(f.l);
        f.segment_bytes = golden[i].segment_bytes;
        fix_open(&f);
        golden[i].make(&f);
        ledger_close(f.l);
        f.ops.truncate = fsio_system.ops->truncate;
        leave(&f, golden[i].name);
        fix_open(&f);
        cr_assert_not(f.lost, "%s", golden[i].name);
        golden[i].expect(&f);
        fix_free(&f);
    }
}

Test(journal_golden, journals_of_version_1_are_read_to_the_byte_and_to_their_state)
{
    for (size_t i = 0; i < GOLDENS; i++) {
        struct fix f;
        char *want, *got;
        size_t want_n, got_n;
        int fd = open_golden(golden[i].name);
        fix_new(&f);
        ledger_close(f.l);
        copy_segments(fd, f.dir.fd);
        cr_assert_eq(fsio_read_file(&fsio_system, fd, "dump", 1 << 20, &want, &want_n, NULL),
                     RC_OK);
        got = dump(f.dir.fd, &got_n);
        cr_assert(got_n == want_n && memcmp(got, want, want_n) == 0, "%s: read as\n%s",
                  golden[i].name, got);
        fix_open(&f);
        cr_assert_not(f.lost, "%s", golden[i].name);
        golden[i].expect(&f);
        fix_free(&f);
        free(got);
        free(want);
        cr_assert_eq(close(fd), 0);
    }
}
