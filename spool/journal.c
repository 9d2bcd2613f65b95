/* The journal being written: open, append, commit, poison.
 *
 * Appends gather in batches; one job at a time writes and syncs a run of records (P3), on a pool
 * thread, touching nothing but its `struct job`; all else belongs to the loop's thread. `segments`
 * tells what is durable and is advanced only by a job that came back with RC_OK. A segment that had
 * a failure is never written again: the next one's first sequence makes its rest void.
 */
#include "spool/journal_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES = 1024 * 1024 };
enum { SEGMENT_BYTES_MIN = SEGMENT_HEADER_SIZE + RECORD_MAX };
enum { REOPEN_FIRST_MS = 1000, REOPEN_LAST_MS = 30000 };

struct batch {
    struct batch *next;
    struct buf data;
    struct journal_entry *entries;
    size_t n, cap;
};

struct segment_info {
    uint32_t number;
    uint64_t end; /* durable bytes */
    int64_t newest_ns;
};

struct journal {
    struct journal_cfg cfg;
    struct loop_prepare *prepare;
    struct loop_timer *reopen_timer;
    struct journal_window *window;
    uint8_t hash_key[KEYED_HASH_KEY_SIZE];
    struct segment_info *segments; /* by number */
    size_t n_segments, segments_cap;
    int fd; /* of the last segment, if we write to it; -1: the next commit begins a new one */
    uint32_t next_number;
    uint64_t next_seq;
    struct batch *current; /* what the job takes records from: from entry current_at on */
    size_t current_at;
    struct batch *first, *last, *spare;
    struct journal_job job;
    bool under_way, telling, closing, poisoned, full;
    uint64_t reopen_ms;
    struct journal_stats stats;
};

static int64_t wall_ns(const struct journal *j)
{
    return j->cfg.wall_ns ? j->cfg.wall_ns(j->cfg.wall_arg) : clock_wall_now_ns();
}

static void add_segment(struct journal *j, uint32_t number, uint64_t end, int64_t newest_ns)
{
    if (j->n_segments == j->segments_cap) {
        j->segments_cap = j->segments_cap ? j->segments_cap * 2 : 16;
        j->segments = mem_resize(j->segments, j->segments_cap, sizeof *j->segments);
    }
    j->segments[j->n_segments++] = (struct segment_info){number, end, newest_ns};
}

/* ---- opening ---- */

static void set_aside(struct journal *j, uint32_t number, uint64_t offset, const struct err *why)
{
    struct err e;
    log_warning("journal_segment_damaged", F_U64("segment", number), F_U64("offset", offset),
                F_STR("reason", why->text), F_STR("action", "moved to quarantine"));
    j->stats.quarantined++;
    /* It always starts: a segment that cannot be moved is left out, and met again next time. */
    if (journal_quarantine_move(j->cfg.fs, j->cfg.dirfd, number, why, &e) != RC_OK)
        log_error("journal_quarantine", F_U64("segment", number), F_STR("error", e.text));
}

/* What a segment made void in the one before it stays void when it is gone. */
static void cut_before(struct journal *j, uint32_t number)
{
    const struct segment_info *last = j->n_segments ? &j->segments[j->n_segments - 1] : NULL;
    struct err e;
    if (last && last->number + 1 == number &&
        segment_cut(j->cfg.fs, j->cfg.dirfd, last->number, last->end, &e) != RC_OK)
        log_warning("journal_not_cut", F_U64("segment", last->number), F_STR("error", e.text));
}

static enum rc load_segment(struct journal *j, struct scan *s, size_t i,
                            const struct journal_reader *reader, bool *lost, struct err *e)
{
    const struct scan_entry *x = &s->entries[i];
    struct scan_result got;
    uint32_t from, to;
    if (scan_hole_before(s, i, &from, &to) && !scan_is_whole_before(s, i)) {
        *lost = true;
        log_warning("journal_segments_missing", F_U64("from", from), F_U64("to", to),
                    F_BOOL("in_quarantine", scan_is_set_aside(s, from)));
    }
    if (x->bad) {
        *lost = true;
        set_aside(j, x->number, 0, x->bad);
        return RC_OK;
    }
    enum rc rc = scan_segment(s, i, reader, true, &got, e);
    if (rc != RC_OK)
        return rc;
    j->next_seq = got.next_seq;
    if (got.damaged) {
        *lost = true;
        cut_before(j, x->number);
        set_aside(j, x->number, got.end, &got.why);
        return RC_OK;
    }
    if (got.torn)
        log_info("journal_torn_tail", F_U64("segment", x->number), F_U64("offset", got.end),
                 F_STR("reason", got.why.text));
    add_segment(j, x->number, got.end, got.newest_ns);
    return RC_OK;
}

static enum rc load(struct journal *j, const struct journal_reader *reader, bool *lost,
                    struct err *e)
{
    struct scan s;
    enum rc rc = scan_init(&s, j->cfg.fs, j->cfg.dirfd, e);
    if (rc != RC_OK)
        goto out;
    j->next_seq = 1;
    j->next_number = scan_next_number(&s);
    if (s.has_key)
        memcpy(j->hash_key, s.hash_key, sizeof j->hash_key);
    else
        random_bytes(j->hash_key, sizeof j->hash_key);
    for (size_t i = 0; i < s.n && rc == RC_OK; i++)
        rc = load_segment(j, &s, i, reader, lost, e);
    if (rc == RC_OK && s.n > 0) {
        /* The newest name may be as unsynced as the newest bytes were. */
        int result = j->cfg.fs->ops->sync(j->cfg.fs->ctx, j->cfg.dirfd);
        if (result < 0)
            rc = err_sys(e, result, "cannot sync the journal's directory");
    }
out:
    scan_fini(&s);
    return rc;
}

static void before_waiting(void *arg);
static void reopen(void *arg);

enum rc journal_open(const struct journal_cfg *cfg, const struct journal_reader *reader, bool *lost,
                     struct journal **out, struct err *e)
{
    struct journal *j = mem_alloc(sizeof *j);
    j->cfg = *cfg;
    j->fd = -1;
    j->reopen_ms = REOPEN_FIRST_MS;
    if (j->cfg.segment_bytes == 0 || j->cfg.segment_bytes > SEGMENT_BYTES_MAX)
        j->cfg.segment_bytes = SEGMENT_BYTES_MAX;
    if (j->cfg.segment_bytes < SEGMENT_BYTES_MIN)
        j->cfg.segment_bytes = SEGMENT_BYTES_MIN;
    *lost = false;
    enum rc rc = load(j, reader, lost, e);
    if (rc != RC_OK) {
        free(j->segments);
        free(j);
        return rc;
    }
    j->window = journal_window_new(cfg->fs, cfg->dirfd);
    if (cfg->loop) {
        j->prepare = loop_prepare_new(cfg->loop, before_waiting, j);
        j->reopen_timer = loop_timer_new(cfg->loop, reopen, j);
    }
    *out = j;
    return RC_OK;
}

const uint8_t *journal_hash_key(const struct journal *j)
{
    return j->hash_key;
}

/* ---- gathering ---- */

static struct batch *batch_new(struct journal *j)
{
    struct batch *b = j->spare;
    if (b) {
        j->spare = NULL;
        return b;
    }
    b = mem_alloc(sizeof *b);
    buf_init(&b->data, BATCH_BYTES);
    return b;
}

static void batch_free(struct batch *b)
{
    if (!b)
        return;
    buf_fini(&b->data);
    free(b->entries);
    free(b);
}

/* One is kept, so that a warm journal allocates nothing. */
static void batch_done(struct journal *j, struct batch *b)
{
    if (j->spare) {
        batch_free(b);
        return;
    }
    buf_reset(&b->data);
    b->n = 0;
    b->next = NULL;
    j->spare = b;
}

void journal_append(struct journal *j, const struct record *r, journal_done *done, void *arg)
{
    struct batch *b = j->last;
    if (!b || b->data.len + RECORD_MAX > BATCH_BYTES) {
        b = batch_new(j);
        if (j->last)
            j->last->next = b;
        else
            j->first = b;
        j->last = b;
    }
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 64;
        b->entries = mem_resize(b->entries, b->cap, sizeof *b->entries);
    }
    size_t before = b->data.len;
    /* Sequence and segment are known only when it is committed: an earlier commit may fail. */
    (void)!record_encode(&b->data, r, 0); /* too long: nothing was added, and finish tells */
    b->entries[b->n++] = (struct journal_entry){.done = done,
                                                .arg = arg,
                                                .at_ns = r->at_ns,
                                                .offset = (uint32_t)before,
                                                .len = (uint32_t)(b->data.len - before)};
    j->stats.waiting++;
}

static bool has_work(struct journal *j)
{
    if (!j->current && j->first) {
        j->current = j->first;
        j->current_at = 0;
        j->first = j->current->next;
        if (!j->first)
            j->last = NULL;
    }
    return j->current != NULL;
}

/* Tell n entries of the current batch their result, from the first one not told. */
static void tell(struct journal *j, size_t n, enum rc rc, record_place base)
{
    struct batch *b = j->current;
    uint32_t from = b->entries[j->current_at].offset;
    j->telling = true;
    for (size_t i = j->current_at; i < j->current_at + n; i++) {
        const struct journal_entry *x = &b->entries[i];
        enum rc own = x->len == 0 ? RC_LIMIT : rc;
        j->stats.waiting--;
        if (x->done)
            x->done(x->arg, own, own == RC_OK ? base + (x->offset - from) : 0);
    }
    j->telling = false;
    j->current_at += n;
    if (j->current_at == b->n) {
        j->current = NULL;
        batch_done(j, b);
    }
}

/* All that waits now fails; what the callbacks append waits on. */
static void fail_all(struct journal *j, enum rc rc)
{
    const struct batch *last = j->last;
    bool more = true;
    while (more && has_work(j)) {
        more = last && j->current != last;
        tell(j, j->current->n - j->current_at, rc, 0);
    }
}

/* ---- committing ---- */

static void run_commit(void *arg)
{
    journal_job_commit(&((struct journal *)arg)->job);
}

static struct segment_header next_header(const struct journal *j)
{
    struct segment_header h = {
        .number = j->next_number, .first_seq = j->next_seq, .created_ns = wall_ns(j)};
    memcpy(h.hash_key, j->hash_key, sizeof h.hash_key);
    return h;
}

/* The next run of records: as many of the current batch as the segment has room for, or the first
 * of a new segment. */
static void set_up_commit(struct journal *j)
{
    const struct batch *b = j->current;
    const struct journal_entry *from = &b->entries[j->current_at];
    const struct segment_info *last = j->fd >= 0 ? &j->segments[j->n_segments - 1] : NULL;
    bool create = !last || last->end + from->len > j->cfg.segment_bytes;
    uint64_t offset = create ? SEGMENT_HEADER_SIZE : last->end;
    size_t n = 0, len = 0, left = b->n - j->current_at;
    while (n < left && offset + len + from[n].len <= j->cfg.segment_bytes)
        len += from[n++].len;
    j->job = (struct journal_job){
        .fs = j->cfg.fs,
        .dirfd = j->cfg.dirfd,
        .fd = j->fd,
        .create = create,
        .offset = offset,
        .seq = j->next_seq,
        .data = b->data.data + from->offset,
        .entries = from,
        .n = n,
        .len = len,
    };
    if (create)
        j->job.header = next_header(j);
    else
        j->job.header.number = last->number;
    j->under_way = true;
}

static void poison(struct journal *j)
{
    if (j->fd >= 0)
        (void)j->cfg.fs->ops->close(j->cfg.fs->ctx, j->fd); /* its durable part is read again */
    j->fd = -1;
    bool was = j->poisoned;
    j->poisoned = true;
    if (!was) {
        log_error("journal_poisoned", F_STR("error", j->stats.why.text),
                  F_U64("next_try_ms", j->reopen_ms));
        if (j->cfg.poisoned)
            j->cfg.poisoned(j->cfg.arg, true, &j->stats.why);
    }
    if (j->reopen_timer && !j->closing)
        loop_timer_set(j->reopen_timer, j->reopen_ms);
    j->reopen_ms = j->reopen_ms * 2 < REOPEN_LAST_MS ? j->reopen_ms * 2 : REOPEN_LAST_MS;
}

/* A new segment that a job made is there, with nothing in it. */
static void note_created(struct journal *j)
{
    const struct journal_job *b = &j->job;
    add_segment(j, b->header.number, SEGMENT_HEADER_SIZE, b->header.created_ns);
    j->next_number++;
}

static void note_durable(struct journal *j)
{
    const struct journal_job *b = &j->job;
    struct segment_info *last = &j->segments[j->n_segments - 1];
    for (size_t i = 0; i < b->n; i++) {
        if (b->entries[i].len == 0)
            continue;
        /* The first record's time replaces the header's. */
        if (b->entries[i].at_ns > last->newest_ns || last->end == SEGMENT_HEADER_SIZE)
            last->newest_ns = b->entries[i].at_ns;
        last->end += b->entries[i].len;
        j->next_seq++;
        j->stats.records++;
    }
    uint64_t us = (uint64_t)b->ns / 1000;
    j->stats.commits++;
    j->stats.bytes += b->len;
    histogram_add(&j->stats.syncs, &histogram_quick, us);
    if (us > j->stats.commit_us_max)
        j->stats.commit_us_max = us;
    j->reopen_ms = REOPEN_FIRST_MS;
    j->full = false;
}

static void finish_commit(void *arg)
{
    struct journal *j = arg;
    const struct journal_job *b = &j->job;
    enum rc rc = b->rc;
    record_place base = (record_place)b->header.number << RECORD_OFFSET_BITS | b->offset;
    j->under_way = false;
    j->fd = b->fd;
    if (b->created)
        note_created(j);
    if (rc == RC_OK) {
        note_durable(j);
    } else {
        j->stats.why = b->err;
        if (rc == RC_FULL && !b->poison && !j->full) {
            j->full = true;
            log_warning("journal_full", F_STR("error", b->err.text));
        }
    }
    bool bad = b->poison;
    if (bad)
        poison(j);
    tell(j, b->n, bad ? RC_IO : rc, base);
    if (bad)
        fail_all(j, RC_IO);
}

/* ---- after a poisoned commit ---- */

static void run_reopen(void *arg)
{
    journal_job_reopen(&((struct journal *)arg)->job);
}

static void finish_reopen(void *arg)
{
    struct journal *j = arg;
    const struct journal_job *b = &j->job;
    j->under_way = false;
    j->fd = b->fd;
    if (b->rc != RC_OK) {
        j->stats.why = b->err;
        log_warning("journal_still_poisoned", F_STR("error", b->err.text),
                    F_U64("next_try_ms", j->reopen_ms));
        poison(j);
        return;
    }
    note_created(j);
    j->poisoned = false;
    log_info("journal_reopened", F_U64("segment", b->header.number));
    if (j->cfg.poisoned)
        j->cfg.poisoned(j->cfg.arg, false, &j->stats.why);
}

static void set_up_reopen(struct journal *j)
{
    j->job = (struct journal_job){.fs = j->cfg.fs, .dirfd = j->cfg.dirfd, .fd = -1};
    j->job.header = next_header(j);
    if (j->n_segments > 0) {
        j->job.check_number = j->segments[j->n_segments - 1].number;
        j->job.check_end = j->segments[j->n_segments - 1].end;
        j->job.check_seq = j->next_seq;
    }
    j->under_way = true;
}

/* ---- when it happens ---- */

static void begin(struct journal *j)
{
    if (j->under_way || j->telling || j->closing)
        return;
    if (j->poisoned) {
        fail_all(j, RC_IO);
    } else if (has_work(j)) {
        set_up_commit(j);
        loop_work(j->cfg.loop, run_commit, finish_commit, j);
    }
}

/* The loop is about to wait: all that its round gathered goes in one commit. */
static void before_waiting(void *arg)
{
    begin(arg);
}

static void reopen(void *arg)
{
    struct journal *j = arg;
    if (j->under_way || j->closing)
        return;
    set_up_reopen(j);
    loop_work(j->cfg.loop, run_reopen, finish_reopen, j);
}

/* Without a loop, on the caller's thread. */
static void commit_all(struct journal *j)
{
    if (j->telling)
        return; /* a callback asks: whoever tells it goes on afterwards */
    if (j->poisoned) {
        set_up_reopen(j);
        run_reopen(j);
        finish_reopen(j);
    }
    if (j->poisoned)
        fail_all(j, RC_IO);
    while (!j->poisoned && has_work(j)) {
        set_up_commit(j);
        run_commit(j);
        finish_commit(j);
    }
}

void journal_flush(struct journal *j)
{
    if (j->cfg.loop)
        begin(j);
    else
        commit_all(j);
}

bool journal_is_idle(const struct journal *j)
{
    return j->stats.waiting == 0 && !j->under_way;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    j->closing = true;
    while (j->under_way)
        loop_step(j->cfg.loop, true);
    while (has_work(j))
        fail_all(j, RC_CANCELLED);
    if (j->prepare)
        loop_prepare_free(j->prepare);
    loop_timer_free(j->reopen_timer);
    if (j->fd >= 0)
        (void)j->cfg.fs->ops->close(j->cfg.fs->ctx, j->fd); /* all in it was synced */
    journal_window_free(j->window);
    batch_free(j->spare);
    free(j->segments);
    free(j);
}

/* ---- what is there ---- */

static int by_number(const void *key, const void *info)
{
    const uint32_t *number = key;
    const struct segment_info *s = info;
    return *number < s->number ? -1 : *number > s->number;
}

enum rc journal_read(struct journal *j, record_place at, char *buf, struct record *r, struct err *e)
{
    uint32_t number =
        at >> RECORD_OFFSET_BITS > UINT32_MAX ? 0 : (uint32_t)(at >> RECORD_OFFSET_BITS);
    uint64_t offset = at & (SEGMENT_BYTES_MAX - 1);
    const struct segment_info *s = NULL;
    if (j->n_segments > 0)
        s = bsearch(&number, j->segments, j->n_segments, sizeof *s, by_number);
    if (!s)
        return err_set(e, RC_ABSENT, "the journal has no segment %u any more", number);
    if (offset < SEGMENT_HEADER_SIZE || offset >= s->end)
        return err_set(e, RC_CORRUPT, "no record lies at offset %llu of the journal's segment %u",
                       (unsigned long long)offset, number);
    return journal_window_read(j->window, at, s->end, buf, r, e);
}

enum rc journal_oldest(const struct journal *j, uint32_t *segment, int64_t *newest_ns)
{
    /* A commit under way may be writing to a last segment that is not ours yet or any more; only
     * the order of things counts: the last one stays while it is open. */
    if (j->n_segments == 0 || (j->n_segments == 1 && j->fd >= 0))
        return RC_ABSENT;
    *segment = j->segments[0].number;
    *newest_ns = j->segments[0].newest_ns;
    return RC_OK;
}

enum rc journal_drop_oldest(struct journal *j, struct err *e)
{
    uint32_t number;
    int64_t newest_ns;
    char name[SEGMENT_NAME_SIZE];
    if (journal_oldest(j, &number, &newest_ns) != RC_OK)
        return err_set(e, RC_ABSENT, "the journal has no segment that could go");
    segment_name(name, number);
    int result = j->cfg.fs->ops->unlink(j->cfg.fs->ctx, j->cfg.dirfd, name);
    if (result < 0 && result != -ENOENT)
        return err_sys(e, result, "cannot remove the journal's segment %s", name);
    journal_window_forget(j->window, number);
    j->n_segments--;
    memmove(j->segments, j->segments + 1, j->n_segments * sizeof *j->segments);
    result = j->cfg.fs->ops->sync(j->cfg.fs->ctx, j->cfg.dirfd);
    return result < 0 ? err_sys(e, result, "cannot sync the journal's directory") : RC_OK;
}

void journal_stats(const struct journal *j, struct journal_stats *out)
{
    *out = j->stats;
    out->segments = (uint32_t)j->n_segments;
    out->newest_segment = j->n_segments > 0 ? j->segments[j->n_segments - 1].number : 0;
    out->disk_bytes = 0;
    for (size_t i = 0; i < j->n_segments; i++)
        out->disk_bytes += j->segments[i].end;
    out->poisoned = j->poisoned;
}
