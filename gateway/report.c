/* What people see of the pipeline: status, lists, why. Reads everything, changes nothing. See
 * pipeline.h.
 */
#include "gateway/pipeline_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "base/utf8.h"
#include "spool/reject.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* The mission's objective: delivered within a minute. Past it the first sentence says so. */
#define BEHIND_MS 60000
/* A failure not seen for so long is over; each is tried again more often (30 s, 5 s, 2 s). */
#define DENIED_RECENT_MS  75000
#define RETIRE_RECENT_MS  15000
#define JOURNAL_RECENT_MS 10000

static json_t *text_or_null(const char *s)
{
    return s && s[0] != '\0' ? json_text(s, strlen(s)) : json_null();
}

static json_t *time_or_null(int64_t ns)
{
    char text[CLOCK_RFC3339_SIZE];
    if (ns == 0 || ns == INT64_MAX)
        return json_null();
    clock_rfc3339(text, ns);
    return json_string(text);
}

static int64_t age_ms(int64_t then_ns)
{
    int64_t age = clock_wall_now_ns() - then_ns;
    return age > 0 ? age / CLOCK_NS_PER_MS : 0;
}

/* ---- status ---- */

struct totals {
    uint64_t files, bytes, unselected;
    int64_t oldest_ns;
};

static json_t *report_lanes(struct pipeline *p, struct totals *t)
{
    struct queue *q = ledger_queue(p->ledger);
    json_t *lanes = json_array();
    dispatch_lanes(p);
    t->oldest_ns = INT64_MAX;
    for (unsigned i = 0; i < p->n_lanes; i++) {
        const struct pipeline_lane *l = &p->lanes[i];
        struct ledger_lane_counts c;
        ledger_lane_counts(p->ledger, i, &c);
        if (l->selected) {
            t->files += c.files;
            t->bytes += c.bytes;
            if (c.oldest_ns < t->oldest_ns)
                t->oldest_ns = c.oldest_ns;
        } else {
            t->unselected += c.files;
        }
        const char *name = queue_lane_name(q, i);
        json_array_append_new(
            lanes,
            json_pack("{s:o, s:I, s:I, s:o, s:I, s:I, s:o}", "event_type",
                      json_text(name, strlen(name)), "files", (json_int_t)c.files, "bytes",
                      (json_int_t)c.bytes, "oldest_age_ms",
                      c.oldest_ns == INT64_MAX ? json_null() : json_integer(age_ms(c.oldest_ns)),
                      "delivered_files", (json_int_t)l->delivered_files, "delivered_bytes",
                      (json_int_t)l->delivered_bytes, "held", text_or_null(queue_paused(q, i))));
    }
    return lanes;
}

static json_t *report_destination(struct pipeline *p, struct destination_status *d)
{
    static const char *const names[] = {
        [BREAKER_CLOSED] = "open", [BREAKER_OPEN] = "waiting", [BREAKER_PROBING] = "probing"};
    destination_status(p->destination, d);
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:o, s:i, s:i, s:I}", "endpoint", d->endpoint,
        "bucket", d->bucket, "region", d->region, "state",
        d->has_credentials ? names[d->state] : "waiting", "why", text_or_null(d->why.text), "code",
        text_or_null(d->why.code), "waiting_ms", (json_int_t)d->since_ms, "next_probe_ms",
        d->next_probe_ms == UINT64_MAX ? json_null() : json_integer((json_int_t)d->next_probe_ms),
        "in_flight", (int)d->in_flight, "concurrency", (int)d->concurrency, "clock_offset_s",
        (json_int_t)d->pool.clock_offset_s);
    json_object_set_new(o, "requests", json_integer((json_int_t)d->pool.http.calls));
    json_object_set_new(o, "connections", json_integer((json_int_t)d->pool.http.connections));
    json_object_set_new(o, "credentials",
                        json_pack("{s:o, s:o, s:o}", "origin", text_or_null(d->credentials_origin),
                                  "access_key_id", text_or_null(d->access_key_id), "expires",
                                  d->credentials_expire == INT64_MAX
                                      ? json_null()
                                      : time_or_null(d->credentials_expire * CLOCK_NS_PER_S)));
    return o;
}

static json_t *report_counts(const struct pipeline *p)
{
    const struct pipeline_counts *c = &p->counts;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "accepted",
        (json_int_t)c->accepted, "delivered_files", (json_int_t)c->delivered_files,
        "delivered_bytes", (json_int_t)c->delivered_bytes, "verified", (json_int_t)c->verified,
        "conflicts", (json_int_t)c->conflicts, "rejected", (json_int_t)c->rejected, "vanished",
        (json_int_t)c->vanished, "changed", (json_int_t)c->changed, "failed_attempts",
        (json_int_t)c->failed_attempts, "requests", (json_int_t)c->requests, "archived",
        (json_int_t)c->archived, "last_delivered", time_or_null(c->last_delivered_ns), "slowest_ms",
        (json_int_t)(c->slowest_us / 1000));
}

static json_t *report_watcher(const struct pipeline *p, const struct watcher_stats *w)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "directories",
                     (json_int_t)w->directories, "watches", (json_int_t)w->watches,
                     "polled_directories", (json_int_t)w->polled_directories, "events",
                     (json_int_t)w->events, "overflows", (json_int_t)w->overflows, "rescans",
                     (json_int_t)w->rescans, "drift", (json_int_t)w->drift, "first_scan",
                     w->scanning_start, "canary_late", w->canary_late, "trouble",
                     text_or_null(p->trouble.text));
}

static json_t *report_journal(struct pipeline *p)
{
    struct journal_stats j;
    journal_stats(ledger_journal(p->ledger), &j);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "records", (json_int_t)j.records,
                     "commits", (json_int_t)j.commits, "segments", (json_int_t)j.segments,
                     "disk_bytes", (json_int_t)j.disk_bytes, "quarantined",
                     (json_int_t)j.quarantined, "commit_us_max", (json_int_t)j.commit_us_max,
                     "poisoned", j.poisoned, "why", text_or_null(j.why.text));
}

static bool is_recent(const struct pipeline *p, uint64_t then_ms, uint64_t within_ms)
{
    return then_ms != 0 && loop_now_ms(p->cfg.loop) - then_ms < within_ms;
}

/* Why there is something in the spool that cannot be read; NULL: there is nothing. */
static const char *shut_out(const struct pipeline *p, const struct watcher_stats *w)
{
    /* A file that was denied stays with the watcher until it can be read or is gone. */
    if (w->settling + w->outstanding > 0 && is_recent(p, p->denied_ms, DENIED_RECENT_MS))
        return p->denied_why.text;
    if (w->denied_directories == 0)
        return NULL;
    return strcmp(p->trouble.code, "denied") == 0 ? p->trouble.text
                                                  : "the log names the directories";
}

/* What else must be known, after the verdict. */
static void add_notes(const struct pipeline *p, uint64_t held, const char *shut, struct buf *out)
{
    if (shut)
        buf_addf(out, " Some cannot be read: %s.", shut);
    if (is_recent(p, p->retire_failed_ms, RETIRE_RECENT_MS))
        buf_addf(out, " Delivered files cannot be %s: %s.",
                 p->config->after_delivery.action == CONFIG_ARCHIVE ? "archived" : "removed",
                 p->retire_why.text);
    if (p->full)
        buf_addf(out, " The spool is full: %s.", p->full_why.text);
    if (held > 0)
        buf_addf(out, " %llu held files want a decision: spoolgate ls --state held.",
                 (unsigned long long)held);
    if (p->rejected_files > 0)
        buf_addf(out, " %llu rejected files want a decision: spoolgate ls --state rejected.",
                 (unsigned long long)p->rejected_files);
}

/* The first line of `status`: one sentence that says whether all is well, and if not, why. */
static const char *sentence(const struct pipeline *p, const struct totals *t,
                            const struct destination_status *d, const struct watcher_stats *w,
                            struct buf *out)
{
    char size[UNITS_TEXT_SIZE], age[UNITS_TEXT_SIZE];
    int64_t oldest = t->oldest_ns == INT64_MAX ? 0 : age_ms(t->oldest_ns);
    uint64_t held = ledger_count(p->ledger, LEDGER_HELD) + t->unselected;
    uint64_t settling = w->settling + w->outstanding;
    const char *shut = shut_out(p, w);
    bool waiting = !d->has_credentials || d->state != BREAKER_CLOSED;
    const struct pipeline_lane *refused = NULL;
    uint64_t refused_files = 0;
    for (unsigned i = 0; i < p->n_lanes; i++) {
        struct ledger_lane_counts c;
        if (!p->lanes[i].refused)
            continue;
        ledger_lane_counts(p->ledger, i, &c);
        refused = &p->lanes[i];
        refused_files += c.files;
    }
    struct journal_stats j;
    journal_stats(ledger_journal(p->ledger), &j);
    const char *state = "ok";
    if (w->root_gone) {
        state = "stuck";
        buf_addf(out,
                 "Nothing is taken on: the spool root %s was removed, moved, replaced or "
                 "unmounted: put it back and restart the gateway.",
                 p->config->spool);
    } else if (p->poisoned || is_recent(p, p->journal_failed_ms, JOURNAL_RECENT_MS)) {
        state = "stuck";
        buf_addf(out, "Nothing is taken on: the journal cannot be written (%s).",
                 p->poisoned ? p->journal_why.text : j.why.text);
    } else if (waiting && t->files > 0) {
        state = "stuck";
        buf_addf(out, "%llu files (%s) wait for the bucket: %s", (unsigned long long)t->files,
                 units_format_size(size, t->bytes), d->why.text);
    } else if (waiting && (d->why.text[0] != '\0')) {
        state = "stuck";
        buf_addf(out, "Nothing waits, but the bucket cannot be reached: %s", d->why.text);
    } else if (refused) {
        state = "stuck";
        buf_addf(out, "%llu of %llu files wait, since the bucket refuses their event types: %s",
                 (unsigned long long)refused_files, (unsigned long long)t->files,
                 refused->why.text);
    } else if (oldest > BEHIND_MS) {
        state = "behind";
        buf_addf(out, "%llu files (%s) wait, the oldest for %s.", (unsigned long long)t->files,
                 units_format_size(size, t->bytes), units_format_duration(age, (uint64_t)oldest));
    } else if (t->files + settling > 0) {
        buf_addf(out, "Delivering: %llu files (%s) on their way.",
                 (unsigned long long)(t->files + settling), units_format_size(size, t->bytes));
    } else {
        buf_addf(out, "Everything%s is delivered.", shut ? " that can be read" : "");
    }
    if (shut && strcmp(state, "ok") == 0)
        state = "behind";
    add_notes(p, held, shut, out);
    return state;
}

json_t *pipeline_status(struct pipeline *p)
{
    struct totals t = {0};
    struct destination_status d;
    struct watcher_stats w;
    struct buf first;
    watcher_stats(p->watcher, &w);
    buf_init(&first, 4096);
    json_t *lanes = report_lanes(p, &t);
    json_t *destination = report_destination(p, &d);
    const char *state = sentence(p, &t, &d, &w, &first);
    json_t *o = json_pack("{s:o, s:s, s:I}", "sentence", json_text(first.data, first.len), "state",
                          state, "uptime_ms", (json_int_t)age_ms(p->started_ns));
    buf_fini(&first);
    json_object_set_new(
        o, "files",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "settling",
                  (json_int_t)(w.settling + w.outstanding), "accepted",
                  (json_int_t)(ledger_count(p->ledger, LEDGER_ACCEPTED) - t.unselected), "sending",
                  (json_int_t)p->n_sending, "deferred", (json_int_t)p->n_deferred, "held",
                  (json_int_t)(ledger_count(p->ledger, LEDGER_HELD) + t.unselected), "rejected",
                  (json_int_t)p->rejected_files, "kept",
                  (json_int_t)ledger_count(p->ledger, LEDGER_DELIVERED)));
    json_object_set_new(
        o, "backlog",
        json_pack("{s:I, s:I, s:o}", "files", (json_int_t)t.files, "bytes", (json_int_t)t.bytes,
                  "oldest_age_ms",
                  t.oldest_ns == INT64_MAX ? json_null() : json_integer(age_ms(t.oldest_ns))));
    json_object_set_new(o, "since_start", report_counts(p));
    json_object_set_new(o, "event_types", lanes);
    json_object_set_new(o, "destination", destination);
    json_object_set_new(o, "watcher", report_watcher(p, &w));
    json_object_set_new(o, "journal", report_journal(p));
    json_object_set_new(o, "spool",
                        json_pack("{s:s, s:I, s:I, s:b, s:o, s:o, s:{s:I, s:I}}", "path",
                                  p->config->spool, "free_bytes", (json_int_t)p->spool_free,
                                  "total_bytes", (json_int_t)p->spool_total, "full", p->full, "why",
                                  text_or_null(p->full_why.text), "denied",
                                  text_or_null(p->denied_why.text), "archive", "files",
                                  (json_int_t)p->archive.files, "bytes",
                                  (json_int_t)p->archive.bytes));
    return o;
}

/* ---- lists ---- */

#define REJECTED_A_PAGE 200

struct listing {
    struct pipeline *p;
    const struct pipeline_query *q;
    json_t *rows;
    char last[1025]; /* of the rejected: where the next page begins */
    size_t rejected; /* rows looked at */
    bool more;
};

static bool wanted(const struct listing *l, const char *path)
{
    return !l->q->match || fnmatch(l->q->match, path, 0) == 0 || strstr(path, l->q->match) != NULL;
}

static void add_row(struct listing *l, const char *path, const char *state, int64_t size,
                    int64_t since_ns, const char *why)
{
    json_array_append_new(l->rows, json_pack("{s:o, s:s, s:o, s:o, s:o}", "path",
                                             json_text(path, strlen(path)), "state", state, "size",
                                             size < 0 ? json_null() : json_integer(size), "since",
                                             time_or_null(since_ns), "why", text_or_null(why)));
}

static bool settling_row(void *arg, const struct watcher_row *row)
{
    struct listing *l = arg;
    if (wanted(l, row->path)) {
        int64_t age = (int64_t)(loop_now_ms(l->p->cfg.loop) - row->since_ms);
        add_row(l, row->path, "settling", -1, clock_wall_now_ns() - age * CLOCK_NS_PER_MS,
                row->why);
    }
    return json_array_size(l->rows) < l->q->limit;
}

static bool rejected_row(void *arg, const struct reject_row *row)
{
    struct listing *l = arg;
    /* Each row is a file that is read, on the loop's thread: a few at a time. */
    if (json_array_size(l->rows) == l->q->limit || l->rejected == REJECTED_A_PAGE) {
        l->more = true;
        return false;
    }
    if (wanted(l, row->path))
        add_row(l, row->path, "rejected", (int64_t)row->size, row->rejected_ns, row->reason);
    text_copy(l->last, sizeof l->last, row->path);
    l->rejected++;
    return true;
}

/* Why the event type of a path does not go out, or NULL. */
static const char *lane_pause(struct pipeline *p, const char *path)
{
    struct layout_match m;
    size_t n = strlen(path);
    if (layout_match(p->layout, path, n, &m, NULL) != RC_OK)
        return NULL;
    unsigned lane = queue_lane(ledger_queue(p->ledger), path + m.event_type.at, m.event_type.n);
    return queue_paused(ledger_queue(p->ledger), lane);
}

static void list_ledger(struct listing *l, enum ledger_state s, bool want_paused, bool want_flowing,
                        char cursor[64])
{
    enum { PAGE = 128 };
    struct ledger_row *rows = mem_alloc(PAGE * sizeof *rows);
    do {
        size_t room = l->q->limit - json_array_size(l->rows);
        size_t n = ledger_page(l->p->ledger, s, cursor, rows, room < PAGE ? room : PAGE);
        for (size_t i = 0; i < n; i++) {
            const char *pause = s == LEDGER_ACCEPTED ? lane_pause(l->p, rows[i].path) : NULL;
            if (!wanted(l, rows[i].path) || (pause ? !want_paused : !want_flowing))
                continue;
            add_row(l, rows[i].path, pause ? "held" : ledger_state_name(s), (int64_t)rows[i].size,
                    rows[i].accepted_ns, pause ? pause : rows[i].text);
        }
    } while (cursor[0] != '\0' && json_array_size(l->rows) < l->q->limit);
    free(rows);
}

/* The sources of a listing, in order; a cursor is "<source>:<the source's own>". */
static const struct source {
    const char *state;
    int ledger; /* enum ledger_state, -1: settling, -2: rejected */
    bool paused, flowing;
} sources[] = {
    {"settling", -1, false, false},
    {"sending", LEDGER_SENDING, true, true},
    {"deferred", LEDGER_DEFERRED, true, true},
    {"accepted", LEDGER_ACCEPTED, false, true},
    {"held", LEDGER_HELD, true, true},
    {"held", LEDGER_ACCEPTED, true, false},
    {"delivered", LEDGER_DELIVERED, true, true},
    {"rejected", -2, false, false},
};
#define SOURCES (sizeof sources / sizeof sources[0])

static bool is_state(const char *s)
{
    for (size_t i = 0; i < SOURCES; i++) {
        if (strcmp(s, sources[i].state) == 0)
            return true;
    }
    return false;
}

/* Fill from one source; what comes back is its cursor, "" at its end. */
static enum rc list_source(struct listing *l, const struct source *s, const char *after,
                           char next[1040], struct err *e)
{
    next[0] = '\0';
    if (s->ledger == -1) {
        watcher_each(l->p->watcher, settling_row, l);
        return RC_OK;
    }
    if (s->ledger == -2) {
        enum rc rc = reject_each(&fsio_system, l->p->cfg.root_fd, after, rejected_row, l, e);
        if (l->more)
            memcpy(next, l->last, sizeof l->last);
        return rc;
    }
    char cursor[64] = "";
    text_copy(cursor, sizeof cursor, after);
    list_ledger(l, (enum ledger_state)s->ledger, s->paused, s->flowing, cursor);
    memcpy(next, cursor, sizeof cursor);
    return RC_OK;
}

enum rc pipeline_files(struct pipeline *p, const struct pipeline_query *q, json_t **out,
                       struct err *e)
{
    if (q->state && !is_state(q->state))
        return err_set(
            e, RC_INVALID,
            "state: expected settling, accepted, sending, deferred, held, rejected or delivered");
    size_t at = 0;
    const char *after = "";
    if (q->cursor[0] != '\0') {
        char *end;
        at = strtoul(q->cursor, &end, 10);
        if (*end != ':' || at >= SOURCES)
            return err_set(e, RC_INVALID, "cursor: expected what the page before gave");
        after = end + 1;
    }
    struct listing l = {.p = p, .q = q, .rows = json_array()};
    char next[1040] = "";
    enum rc rc = RC_OK;
    for (; at < SOURCES && rc == RC_OK; at++, after = "") {
        if (q->state && strcmp(q->state, sources[at].state) != 0)
            continue;
        if (json_array_size(l.rows) >= q->limit)
            break;
        rc = list_source(&l, &sources[at], after, next, e);
        if (next[0] != '\0')
            break;
    }
    if (rc != RC_OK) {
        json_decref(l.rows);
        return rc;
    }
    struct buf cursor;
    buf_init(&cursor, 2048);
    if (at < SOURCES)
        buf_addf(&cursor, "%zu:%s", at, next);
    *out = json_pack("{s:o, s:o}", "files", l.rows, "cursor", json_text(cursor.data, cursor.len));
    buf_fini(&cursor);
    return RC_OK;
}
