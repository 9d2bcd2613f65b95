/* The gateway in one thread: the modules of spool/ in the order in which gateway/ calls them, and
 * what uploader/ does with a file, on a bucket in memory. A step that fails is tried again in a
 * later round, or after a restart, as the real one does. */
#include "tests/torture/spool_rig.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spool/archive.h"
#include "spool/dirpage.h"
#include "spool/layout.h"
#include "uploader/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct fsio *fs_of(struct run *t)
{
    return &t->witnessed;
}

static int64_t wall(void *arg)
{
    struct run *t = arg;
    return t->now_ns += CLOCK_NS_PER_MS;
}

/* ---- start and end ---- */

static bool find_place(void *arg, uint64_t place, struct retire_origin *out)
{
    struct run *t = arg;
    char buf[RECORD_MAX];
    struct record r;
    if (journal_read(ledger_journal(t->g.ledger), place, buf, &r, NULL) != RC_OK ||
        r.type != RECORD_ACCEPTED)
        return false;
    memcpy(out->path, r.path.p, r.path.n);
    out->path[r.path.n] = '\0';
    out->ino = r.id.ino;
    return true;
}

static int open_dir(struct run *t, int root, const char *path)
{
    return fs_of(t)->ops->open(fs_of(t)->ctx, root, path, O_RDONLY | O_DIRECTORY, 0);
}

static void close_dir(struct run *t, int fd)
{
    if (fd >= 0)
        (void)fs_of(t)->ops->close(fs_of(t)->ctx, fd); /* only read from */
}

static void note_delivered(struct run *t, struct ledger_file *f)
{
    BUG_ON(t->g.n_delivered == WINDOW);
    witness_receipt(t, f->sha256, f->id.ino);
    t->g.delivered[t->g.n_delivered++] = f;
}

bool gateway_open(struct run *t)
{
    struct gateway *g = &t->g;
    struct err e;
    unsigned recovered;
    bool lost;
    enum retire_action action = g->action;
    int root = faultfs_root(t->fs);
    *g = (struct gateway){.action = action};
    g->root_fd = open_dir(t, root, RIG_ROOT);
    g->journal_fd = open_dir(t, root, "journal");
    const struct ledger_cfg cfg = {
        .journal = {.fs = fs_of(t),
                    .dirfd = g->journal_fd,
                    .segment_bytes = SEGMENT_BYTES,
                    .wall_ns = wall,
                    .wall_arg = t},
        .receipts_keep_ms = 1,
    };
    if (g->root_fd >= 0 && g->journal_fd >= 0 &&
        ledger_open(&cfg, &lost, &g->ledger, &e) == RC_OK) {
        t->lost = t->lost || lost;
        if (retire_prepare(fs_of(t), g->root_fd, &e) == RC_OK &&
            retire_recover(fs_of(t), g->root_fd, action == RETIRE_KEEP ? RETIRE_ARCHIVE : action,
                           find_place, t, &recovered, &e) == RC_OK)
            return true;
    }
    gateway_close(t);
    return false;
}

void gateway_close(struct run *t)
{
    struct gateway *g = &t->g;
    g->closing = true;
    ledger_close(g->ledger);
    close_dir(t, g->root_fd);
    close_dir(t, g->journal_fd);
    *g = (struct gateway){.action = g->action, .root_fd = -1, .journal_fd = -1};
}

/* ---- from the spool to the ledger ---- */

/* As admission tells it: is the path in our care as it is now? Kept files are nobody's errand any
 * more, so they are looked at again. */
static bool is_known(struct run *t, const char *path)
{
    struct ledger_view view;
    struct file_stat st;
    if (ledger_find(t->g.ledger, path, strlen(path), &view) != RC_OK)
        return false;
    if ((view.state != LEDGER_DELIVERED && view.state != LEDGER_FORGOTTEN) || view.file)
        return true;
    return fs_of(t)->ops->stat(fs_of(t)->ctx, t->g.root_fd, path, &st) == 0 &&
           identity_equal(&st.id, &view.id);
}

static bool wants_ndjson(void *arg, const char *event_type, size_t n)
{
    (void)arg, (void)event_type, (void)n;
    return true;
}

struct told {
    struct run *t;
    char path[64];
};

static void note_refused(struct run *t, const char *path, bool is)
{
    for (unsigned v = 0; v < VERSIONS; v++)
        if (strcmp(versions[v].path, path) == 0)
            t->refused[v] = is;
}

static void rejected(void *arg, enum rc rc)
{
    struct told *x = arg;
    struct run *t = x->t;
    if (rc == RC_OK && !t->g.closing && t->g.n_rejected < WINDOW) {
        note_refused(t, x->path, true);
        (void)snprintf(t->g.rejected[t->g.n_rejected++], sizeof x->path, "%s", x->path);
    }
    free(x);
}

static void reject(struct run *t, const char *path, const struct admit_result *r)
{
    struct told *x = mem_alloc(sizeof *x);
    x->t = t;
    (void)snprintf(x->path, sizeof x->path, "%s", path);
    ledger_reject(t->g.ledger, path, strlen(path), &r->id, r->err.code, r->err.text, rejected, x);
}

static void accept(struct run *t, const char *path, const struct admit_result *r)
{
    struct ledger_view view;
    size_t n = strlen(path);
    if (ledger_find(t->g.ledger, path, n, &view) == RC_OK) {
        bool same = identity_equal(&view.id, &r->id);
        if (view.file && !same)
            view.file->changed = true;
        if (same || view.file)
            return;
    }
    ledger_accept(t->g.ledger, path, n, &r->id, n % 2 ? "audit" : "metrics", NULL, NULL);
}

static bool look(void *arg, const struct dirwalk_entry *entry)
{
    struct run *t = arg;
    char path[64];
    struct admit_result r;
    bool told = false;
    const struct admit_cfg cfg = {.fs = fs_of(t),
                                  .root_fd = t->g.root_fd,
                                  .layout = t->layout,
                                  .settle_ms = 1000,
                                  .size_max = 1 << 20,
                                  .wants_ndjson = wants_ndjson};
    if (entry->is_dir || entry->name[0] == '.')
        return true;
    (void)snprintf(path, sizeof path, RIG_INBOX "/%s", entry->path);
    for (unsigned v = 0; v < VERSIONS; v++)
        if (t->told[v] && strcmp(versions[v].path, path) == 0)
            told = true;
    if (!told && is_known(t, path))
        return true;
    admit_file(&cfg, path, strlen(path), ADMIT_QUIET, t->now_ns, &r);
    if (r.verdict == ADMIT_OK)
        accept(t, path, &r);
    else if (r.verdict == ADMIT_REJECT)
        reject(t, path, &r);
    else
        return true;
    for (unsigned v = 0; v < VERSIONS; v++)
        if (strcmp(versions[v].path, path) == 0)
            t->told[v] = false;
    return true;
}

static void move_rejected(struct run *t)
{
    struct err e, why = {.rc = RC_INVALID, .code = "content", .text = "it is wrong"};
    for (size_t i = 0; i < t->g.n_rejected; i++) {
        const struct reject_what what = {
            .path = t->g.rejected[i], .why = &why, .now_ns = t->now_ns};
        enum rc rc = reject_file(fs_of(t), t->g.root_fd, &what, &e);
        (void)rc; /* the next walk finds what is still there */
        note_refused(t, t->g.rejected[i], false);
    }
    t->g.n_rejected = 0;
}

/* ---- from the ledger to the bucket ---- */

struct sending {
    struct run *t;
    struct ledger_file *f;
    int fd;
    char *data;
    uint8_t sha[SHA256_SIZE];
    char key[TRANSFER_KEY_MAX + 1];
    bool verified;
};

static enum transfer_result judge(const struct sending *s)
{
    struct file_stat st;
    const struct identity *was = &s->f->id;
    if (fs_of(s->t)->ops->stat(fs_of(s->t)->ctx, s->fd, "", &st) < 0)
        return TRANSFER_LOCAL;
    if (st.nlink == 0)
        return TRANSFER_VANISHED;
    if (identity_equal(was, &st.id))
        return TRANSFER_STORED;
    return was->ino == st.id.ino && st.id.size < was->size && st.id.mtime_ns <= was->mtime_ns
               ? TRANSFER_SHRUNK
               : TRANSFER_CHANGED;
}

static enum transfer_result read_file(struct sending *s)
{
    struct err e;
    size_t got;
    s->fd =
        fs_of(s->t)->ops->open_beneath(fs_of(s->t)->ctx, s->t->g.root_fd, s->f->path, O_RDONLY, 0);
    if (s->fd < 0)
        return s->fd == -ENOENT ? TRANSFER_VANISHED : TRANSFER_LOCAL;
    enum transfer_result r = judge(s);
    if (r != TRANSFER_STORED)
        return r;
    s->data = mem_alloc(s->f->id.size + 1);
    if (fsio_read_full(fs_of(s->t), s->fd, s->data, s->f->id.size, 0, &got, &e) != RC_OK ||
        got != s->f->id.size)
        return TRANSFER_LOCAL;
    sha256(s->data, s->f->id.size, s->sha);
    return TRANSFER_STORED;
}

static enum transfer_result of_status(int status)
{
    return status == 200 ? TRANSFER_STORED : TRANSFER_ANSWERED;
}

/* An upload is gone on with if the parts that are known are those of this file. */
static bool can_go_on(const struct sending *s)
{
    const struct ledger_file *f = s->f;
    if (!f->upload_id || f->part_bytes != PART_BYTES)
        return false;
    for (size_t i = 0; i < f->n_parts; i++) {
        uint8_t sha[SHA256_SIZE];
        size_t at = (size_t)(f->parts[i].number - 1) * PART_BYTES;
        if (at >= f->id.size)
            return false;
        size_t n = f->id.size - at < PART_BYTES ? f->id.size - at : PART_BYTES;
        sha256(s->data + at, n, sha);
        if (memcmp(sha, f->parts[i].sha256, SHA256_SIZE) != 0)
            return false;
    }
    return true;
}

static bool has_part(const struct ledger_file *f, unsigned number)
{
    for (size_t i = 0; i < f->n_parts; i++)
        if (f->parts[i].number == number)
            return true;
    return false;
}

static int send_parts(struct sending *s)
{
    struct store *store = &s->t->store;
    struct ledger *l = s->t->g.ledger;
    struct ledger_file *f = s->f;
    char id[32];
    if (!can_go_on(s)) {
        ledger_upload_forgotten(l, f);
        int status = store_create(store, id);
        if (status != 200)
            return status;
        ledger_upload_created(l, f, id, PART_BYTES, (uint8_t[SHA256_SIZE]){0});
        journal_flush(ledger_journal(l));
    }
    for (size_t at = 0; at < f->id.size; at += PART_BYTES) {
        struct ledger_part part = {.number = (uint32_t)(at / PART_BYTES) + 1, .etag = "etag"};
        size_t n = f->id.size - at < PART_BYTES ? f->id.size - at : PART_BYTES;
        if (has_part(f, part.number))
            continue;
        int status = store_part(store, f->upload_id, part.number, s->data + at, n);
        if (status != 200)
            return status;
        sha256(s->data + at, n, part.sha256);
        ledger_part_stored(l, f, &part, NULL, NULL);
        journal_flush(ledger_journal(l));
    }
    return store_complete(store, f->upload_id, s->key);
}

static int send_once(struct sending *s)
{
    int status = s->f->id.size >= BIG_BYTES
                     ? send_parts(s)
                     : store_put(&s->t->store, s->key, s->data, s->f->id.size);
    const struct object *o = status == 412 ? store_find(&s->t->store, s->key) : NULL;
    if (o && memcmp(o->sha, s->sha, SHA256_SIZE) == 0) {
        s->verified = true;
        return 200;
    }
    return status;
}

static enum transfer_result transfer(struct sending *s)
{
    enum transfer_result r = read_file(s);
    if (r != TRANSFER_STORED)
        return r;
    (void)snprintf(s->key, sizeof s->key, "%s", s->f->path);
    int status = send_once(s);
    if (status == 412) {
        BUG_ON(transfer_conflict_key(s->f->path, s->sha, s->key) != RC_OK);
        status = send_once(s);
    }
    if (status == 404)
        ledger_upload_forgotten(s->t->g.ledger, s->f);
    r = judge(s);
    return r == TRANSFER_STORED ? of_status(status) : r;
}

static void delivered(void *arg, enum rc rc)
{
    struct sending *s = arg;
    struct run *t = s->t;
    if (!t->g.closing) {
        s->f->user = rc == RC_OK ? t : NULL; /* read in this life: gateway/retirement.c */
        if (rc == RC_OK)
            note_delivered(t, s->f);
        else
            ledger_put_back(t->g.ledger, s->f);
    }
    free(s);
}

static void deliver(struct sending *s)
{
    struct ledger_receipt receipt = {.key = s->key,
                                     .etag = "etag",
                                     .version_id = "",
                                     .request_id = "",
                                     .verified = s->verified,
                                     .delivered_ns = wall(s->t)};
    memcpy(receipt.sha256, s->sha, SHA256_SIZE);
    ledger_deliver(s->t->g.ledger, s->f, &receipt, delivered, s);
}

static void send_file(struct run *t, struct ledger_file *f)
{
    struct ledger *l = t->g.ledger;
    struct err why = {.rc = RC_AGAIN, .http_status = 503, .code = "SlowDown", .text = "later"};
    struct sending *s = mem_alloc(sizeof *s);
    *s = (struct sending){.t = t, .f = f, .fd = -1};
    enum transfer_result r = transfer(s);
    close_dir(t, s->fd);
    free(s->data);
    s->data = NULL;
    switch (r) {
    case TRANSFER_STORED:
        deliver(s);
        return;
    case TRANSFER_SHRUNK:
        ledger_hold(l, f, "shrunk", "it is shorter than it was", NULL, NULL);
        break;
    case TRANSFER_CHANGED:
        ledger_forget(l, f, "changed", "it was changed after it was accepted", NULL, NULL);
        break;
    case TRANSFER_VANISHED:
        ledger_forget(l, f, "vanished", "it was removed before it could be sent", NULL, NULL);
        break;
    default:
        f->attempts++;
        ledger_attempt(l, f, r == TRANSFER_ANSWERED ? ANSWER_RETRY : ANSWER_CLASS_COUNT_, &why);
        ledger_put_back(l, f);
        break;
    }
    free(s);
}

/* ---- from delivered to retired ---- */

static uint8_t flags_of(enum retire_action action, enum retire_result r)
{
    if (r != RETIRE_DONE)
        return RECORD_GONE;
    return action == RETIRE_ARCHIVE ? RECORD_ARCHIVED : action == RETIRE_KEEP ? RECORD_KEPT : 0;
}

static void retire(struct run *t)
{
    struct gateway *g = &t->g;
    enum retire_result results[WINDOW];
    struct retire_batch *batch;
    struct err e;
    size_t failed = 0;
    if (g->n_delivered == 0 || retire_begin(fs_of(t), g->root_fd, g->action, &batch, &e) != RC_OK)
        return;
    for (size_t i = 0; i < g->n_delivered; i++) {
        struct ledger_file *f = g->delivered[i];
        struct retire_file what = {.path = f->path,
                                   .id = f->id,
                                   .racy = !f->user, /* it is not known when it was read */
                                   .place = f->first,
                                   .delivered_ns = f->delivered_ns};
        memcpy(what.sha256, f->sha256, SHA256_SIZE);
        results[i] = retire_next(batch, &what, &e);
    }
    bool ended = retire_end(batch, &e) == RC_OK;
    for (size_t i = 0; i < g->n_delivered; i++) {
        if (results[i] == RETIRE_FAILED || (results[i] == RETIRE_DONE && !ended))
            g->delivered[failed++] = g->delivered[i]; /* again in the next round */
        else
            ledger_retire(t->g.ledger, g->delivered[i], flags_of(g->action, results[i]));
    }
    g->n_delivered = failed;
}

void gateway_round(struct run *t, size_t most)
{
    struct gateway *g = &t->g;
    const struct dirwalk walk = {.fs = fs_of(t), .after = "", .visit = look, .arg = t};
    struct ledger_file *f;
    struct err e;
    if (!g->ledger)
        return;
    struct journal *j = ledger_journal(g->ledger);
    enum rc rc = dirwalk(&walk, g->root_fd, RIG_INBOX, &e);
    (void)rc; /* what could not be read is found by the next one */
    journal_flush(j);
    move_rejected(t);
    while (g->n_delivered < WINDOW && (f = ledger_take_delivered(g->ledger)))
        note_delivered(t, f);
    for (size_t i = 0; i < most && g->n_delivered + i < WINDOW && (f = ledger_take(g->ledger)); i++)
        send_file(t, f);
    journal_flush(j);
    retire(t);
    journal_flush(j);
}

/* ---- operators, and what time brings ---- */

void gateway_hold(struct run *t, const char *path)
{
    if (!t->g.ledger)
        return;
    enum rc rc =
        ledger_hold_path(t->g.ledger, path, strlen(path),
                         &(struct err){.code = "by-hand", .text = "held by hand"}, NULL, NULL);
    (void)rc; /* it may be gone */
    journal_flush(ledger_journal(t->g.ledger));
}

void gateway_release(struct run *t, const char *path)
{
    if (!t->g.ledger)
        return;
    enum rc rc = ledger_release_path(t->g.ledger, path, strlen(path), NULL, NULL);
    (void)rc; /* it may be gone */
    journal_flush(ledger_journal(t->g.ledger));
}

void gateway_forget(struct run *t, const char *path)
{
    if (!t->g.ledger)
        return;
    enum rc rc = ledger_forget_path(t->g.ledger, path, strlen(path),
                                    &(struct err){.code = "by-hand"}, NULL, NULL);
    (void)rc; /* it may be gone */
    journal_flush(ledger_journal(t->g.ledger));
}

void gateway_housekeep(struct run *t)
{
    const struct archive_limits limits = {.bytes = 3000};
    struct archive_usage usage;
    struct err e;
    if (!t->g.ledger)
        return;
    t->now_ns += 10 * CLOCK_NS_PER_S;
    ledger_compact(t->g.ledger, t->now_ns);
    journal_flush(ledger_journal(t->g.ledger));
    enum rc rc = archive_sweep(fs_of(t), t->g.root_fd, &limits, t->now_ns, &usage, &e);
    (void)rc; /* the next one removes what this one could not */
}
