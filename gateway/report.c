/* What people see of the pipeline: status, lists, why. Reads everything, changes nothing. See
 * pipeline.h.
 */
#include "gateway/listing.h"
#include "gateway/pipeline_int.h"
#include "gateway/sandbox.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"

#include <stdlib.h>
#include <string.h>

/* The mission's objective: delivered within a minute. Past it the first sentence says so. */
#define BEHIND_MS 60000
/* A failure not seen for so long is over; each is tried again more often (30 s, 5 s, 2 s). */
#define DENIED_RECENT_MS  75000
#define RETIRE_RECENT_MS  15000
#define JOURNAL_RECENT_MS 10000
#define TRANSFERS_MAX     10 /* of the files being sent, in a status */

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
    json_object_set_new(
        o, "credentials",
        json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:o, s:o}", "origin",
                  text_or_null(d->credentials_origin), "access_key_id",
                  text_or_null(d->access_key_id), "expires",
                  d->credentials_expire == INT64_MAX
                      ? json_null()
                      : time_or_null(d->credentials_expire * CLOCK_NS_PER_S),
                  "asking", d->keys.asking, "asked", (json_int_t)d->keys.asked, "failed",
                  (json_int_t)d->keys.failed, "failure", text_or_null(d->keys.why.text), "next_ms",
                  d->keys.next_ms == UINT64_MAX ? json_null()
                                                : json_integer((json_int_t)d->keys.next_ms)));
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
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "directories",
                     (json_int_t)w->directories, "watches", (json_int_t)w->watches,
                     "polled_directories", (json_int_t)w->polled_directories, "events",
                     (json_int_t)w->events, "overflows", (json_int_t)w->overflows, "rescans",
                     (json_int_t)w->rescans, "drift", (json_int_t)w->drift, "reopened",
                     (json_int_t)w->reopened, "first_scan", w->scanning_start, "canary_late",
                     w->canary_late, "trouble", text_or_null(p->trouble.text));
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

/* landlock is the version in force, null: none. */
static json_t *report_sandbox(void)
{
    const struct sandbox_state *s = sandbox_state();
    return json_pack("{s:b, s:o, s:b, s:o}", "wanted", s->wanted, "landlock",
                     s->landlock ? json_integer(s->landlock) : json_null(), "seccomp", s->seccomp,
                     "why", text_or_null(s->why));
}

static bool is_recent(const struct pipeline *p, uint64_t then_ms, uint64_t within_ms)
{
    return then_ms != 0 && loop_now_ms(p->cfg.loop) - then_ms < within_ms;
}

/* Why there is a file in the spool that cannot be read; NULL: there is none. */
static const char *denied_file(const struct pipeline *p, const struct watcher_stats *w)
{
    /* A file that was denied stays with the watcher until it can be read or is gone. */
    if (w->settling + w->outstanding > 0 && is_recent(p, p->denied_ms, DENIED_RECENT_MS))
        return p->denied_why.text;
    return NULL;
}

/* The same of files and directories. */
static const char *shut_out(const struct pipeline *p, const struct watcher_stats *w)
{
    const char *file = denied_file(p, w);
    if (file)
        return file;
    if (w->denied_directories == 0)
        return NULL;
    return strcmp(p->trouble.code, "denied") == 0 ? p->trouble.text
                                                  : "the log names the directories";
}

static bool is_with_watcher(void *arg, const char *path)
{
    const struct pipeline *p = arg;
    struct watcher_row row;
    return watcher_find(p->watcher, path, strlen(path), &row);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* What else must be known, after the verdict. */
static void add_notes(const struct pipeline *p, uint64_t held, const char *shut,
                      const struct watcher_stats *w, struct buf *out)
{
    if (shut)
        buf_addf(out, " Some cannot be read: %s.", shut);
    if (w->later_directories > 0)
        buf_adds(out, " More files cannot be read or moved away than are kept in view: the others "
                      "are looked at every five minutes.");
    if (w->polled_directories > 0)
        buf_addf(out, " %llu of %llu directories cannot be watched and are polled: %s.",
                 (unsigned long long)w->polled_directories, (unsigned long long)w->directories,
                 w->unwatched ? "no inotify instance is left, raise fs.inotify.max_user_instances"
                              : "raise fs.inotify.max_user_watches (user.max_inotify_watches in a "
                                "container)");
    if (w->canary_late && !w->canary_grounded && !w->unwatched)
        buf_adds(out, " inotify tells nothing: files are found by scans, once a minute.");
    if (is_recent(p, p->retire_failed_ms, RETIRE_RECENT_MS))
        buf_addf(out, " Delivered files cannot be %s: %s.",
                 p->config->after_delivery.action == CONFIG_ARCHIVE ? "archived" : "removed",
                 p->retire_why.text);
    /* What was removed by hand since is with the watcher no more. */
    const struct unmoved_file *stuck = unmoved_latest(p->unmoved, is_with_watcher, (void *)p);
    if (stuck)
        buf_addf(out, " Rejected files cannot be moved away: %s.", stuck->failure);
    if (pipeline_still_reads(p))
        buf_adds(out, " New settings wait until the files that are being read have been.");
    if (p->full)
        buf_addf(out, " The spool is full and put refuses new files: %s.", p->full_why.text);
    if (held > 0)
        buf_addf(out, " Held for a decision: %llu file%s (spoolgate ls --state held says why).",
                 (unsigned long long)held, plural(held));
    if (p->rejected_files > 0)
        buf_addf(out, " Rejected: %llu file%s (spoolgate ls --state rejected says why).",
                 (unsigned long long)p->rejected_files, plural(p->rejected_files));
}

/* Past the objective though nothing refuses: what holds the files up, and what helps. */
static void add_delay(const struct pipeline *p, const struct totals *t,
                      const struct destination_status *d, struct buf *out)
{
    uint64_t deferred = ledger_count(p->ledger, LEDGER_DEFERRED);
    bool all_busy = d->in_flight >= d->concurrency;
    if (deferred >= t->files)
        buf_adds(out, "each failed and is tried again by itself: spoolgate ls --state deferred "
                      "says why.");
    else if (all_busy && d->concurrency < p->config->uploads)
        buf_addf(out, "the bucket asked for fewer at once, %u instead of %u go now.",
                 d->concurrency, p->config->uploads);
    else if (all_busy && p->config->bandwidth > 0)
        buf_adds(out, "the configured \"bandwidth\" is used up: raise it if the line has more.");
    else if (all_busy)
        buf_addf(out, "all uploads (%u) are busy: raise \"uploads\" if the line has room.",
                 d->concurrency);
    else
        buf_adds(out, "they are going out.");
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
        if (!dispatch_lane_is_stuck(p, i))
            continue;
        ledger_lane_counts(p->ledger, i, &c);
        refused = &p->lanes[i];
        refused_files += c.files;
    }
    struct journal_stats j;
    journal_stats(ledger_journal(p->ledger), &j);
    const char *state = "ok";
    if (p->root_why[0] != '\0') {
        state = "stuck";
        buf_addf(out, "Nothing is taken on: %s.", p->root_why);
    } else if (p->poisoned || is_recent(p, p->journal_failed_ms, JOURNAL_RECENT_MS)) {
        state = "stuck";
        buf_addf(out, "Nothing is taken on: the journal cannot be written (%s).",
                 p->poisoned ? p->journal_why.text : j.why.text);
    } else if (waiting && t->files > 0) {
        state = "stuck";
        buf_addf(out, "%llu file%s (%s, the oldest %s old) wait%s for the bucket: %s.",
                 (unsigned long long)t->files, plural(t->files), units_format_size(size, t->bytes),
                 units_format_duration(age, (uint64_t)oldest), t->files == 1 ? "s" : "",
                 d->why.text);
    } else if (waiting && (d->why.text[0] != '\0')) {
        state = "stuck";
        buf_addf(out, "Nothing waits, but nothing could be sent: %s.", d->why.text);
    } else if (refused) {
        state = "stuck";
        buf_addf(out,
                 "%llu of %llu files wait, the oldest is %s old, since the bucket refuses their "
                 "event types: %s.",
                 (unsigned long long)refused_files, (unsigned long long)t->files,
                 units_format_duration(age, (uint64_t)oldest), refused->why.text);
    } else if (oldest > BEHIND_MS) {
        state = "behind";
        buf_addf(out,
                 "Behind: %llu file%s (%s) wait%s, the oldest is %s old (the objective is "
                 "1 min): ",
                 (unsigned long long)t->files, plural(t->files), units_format_size(size, t->bytes),
                 t->files == 1 ? "s" : "", units_format_duration(age, (uint64_t)oldest));
        add_delay(p, t, d, out);
    } else if (t->files + settling > 0) {
        buf_addf(out, "Delivering: %llu file%s (%s) on the way%s%s.",
                 (unsigned long long)(t->files + settling), plural(t->files + settling),
                 units_format_size(size, t->bytes), t->files ? ", none older than " : "",
                 t->files ? units_format_duration(age, (uint64_t)oldest) : "");
    } else {
        buf_addf(out, "Everything%s is delivered.",
                 w->later_directories > 0       ? " in view"
                 : shut                         ? " that can be read"
                 : held + p->rejected_files > 0 ? " else"
                                                : "");
    }
    if ((shut || w->later_directories > 0) && strcmp(state, "ok") == 0)
        state = "behind";
    add_notes(p, held, shut, w, out);
    return state;
}

/* The largest files that are being sent.
 * KNOWN: sent counts the parts that the store has acknowledged; within a part, and of what goes in
 * one request, nothing is known until it is through. */
static json_t *report_transfers(struct pipeline *p)
{
    const struct ledger_file *largest[TRANSFERS_MAX];
    size_t n = ledger_sending(p->ledger, largest, TRANSFERS_MAX);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct ledger_file *f = largest[i];
        const char *type = queue_lane_name(ledger_queue(p->ledger), f->lane);
        uint64_t sent = f->n_parts * f->part_bytes;
        json_array_append_new(list, json_pack("{s:o, s:o, s:I, s:I, s:o}", "path",
                                              json_text(f->path, f->path_len), "event_type",
                                              json_text(type, strlen(type)), "size",
                                              (json_int_t)f->id.size, "sent",
                                              (json_int_t)(sent < f->id.size ? sent : f->id.size),
                                              "since", time_or_null(f->accepted_ns)));
    }
    return list;
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
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "settling",
                  (json_int_t)(w.settling + w.outstanding), "accepted",
                  (json_int_t)(ledger_count(p->ledger, LEDGER_ACCEPTED) - t.unselected), "sending",
                  (json_int_t)ledger_count(p->ledger, LEDGER_SENDING), "deferred",
                  (json_int_t)ledger_count(p->ledger, LEDGER_DEFERRED), "held",
                  (json_int_t)(ledger_count(p->ledger, LEDGER_HELD) + t.unselected), "rejected",
                  (json_int_t)p->rejected_files, "kept",
                  (json_int_t)ledger_count(p->ledger, LEDGER_DELIVERED), "forgotten",
                  (json_int_t)ledger_count(p->ledger, LEDGER_FORGOTTEN)));
    json_object_set_new(
        o, "backlog",
        json_pack("{s:I, s:I, s:o}", "files", (json_int_t)t.files, "bytes", (json_int_t)t.bytes,
                  "oldest_age_ms",
                  t.oldest_ns == INT64_MAX ? json_null() : json_integer(age_ms(t.oldest_ns))));
    json_object_set_new(o, "since_start", report_counts(p));
    json_object_set_new(o, "event_types", lanes);
    json_object_set_new(o, "destination", destination);
    json_object_set_new(o, "transfers", report_transfers(p));
    json_object_set_new(o, "watcher", report_watcher(p, &w));
    json_object_set_new(o, "journal", report_journal(p));
    json_object_set_new(o, "sandbox", report_sandbox());
    json_object_set_new(o, "spool",
                        json_pack("{s:s, s:I, s:I, s:b, s:o, s:o, s:{s:I, s:I}}", "path",
                                  p->config->spool, "free_bytes", (json_int_t)p->spool_free,
                                  "total_bytes", (json_int_t)p->spool_total, "full", p->full, "why",
                                  text_or_null(p->full_why.text), "denied",
                                  text_or_null(denied_file(p, &w)), "archive", "files",
                                  (json_int_t)p->archive.files, "bytes",
                                  (json_int_t)p->archive.bytes));
    return o;
}

/* ---- lists ---- */

struct files {
    struct buf json;
    size_t n;
    pipeline_answer *done;
    void *arg;
};

static void files_row(void *arg, const struct listing_row *row)
{
    struct files *f = arg;
    json_t *o = json_pack("{s:o, s:s, s:o, s:o, s:o}", "path",
                          json_text(row->path, strlen(row->path)), "state", row->state_name, "size",
                          row->size < 0 ? json_null() : json_integer(row->size), "since",
                          time_or_null(row->since_ns), "why", text_or_null(row->why));
    if (f->n++ > 0)
        buf_addc(&f->json, ',');
    json_write(&f->json, o);
    json_decref(o);
}

static void files_done(void *arg, enum rc rc, const char *cursor, const struct err *e)
{
    struct files *f = arg;
    buf_addf(&f->json, "],\"cursor\":\"%s\"}", cursor);
    if (rc != RC_OK)
        buf_reset(&f->json);
    f->done(f->arg, rc, &f->json, e);
    buf_fini(&f->json);
    free(f);
}

void pipeline_files(struct pipeline *p, const struct pipeline_query *q, pipeline_answer *done,
                    void *arg)
{
    struct listing_query query = {.states = q->state ? listing_state(q->state) : LISTING_ALL,
                                  .match = q->match,
                                  .cursor = q->cursor,
                                  .limit = q->limit};
    struct files *f = mem_alloc(sizeof *f);
    *f = (struct files){.done = done, .arg = arg};
    buf_init(&f->json, 32 << 20);
    buf_adds(&f->json, "{\"files\":[");
    struct err e = {0};
    if (query.states != 0)
        listing_start(p, &query, files_row, files_done, f);
    else
        files_done(f,
                   err_set(&e, RC_INVALID,
                           "state: expected settling, accepted, sending, deferred, held, rejected, "
                           "forgotten or delivered"),
                   "", &e);
}
