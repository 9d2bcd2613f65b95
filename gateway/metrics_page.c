/* Joins the counts of the pipeline and its parts into one page: see metrics_page.h. A family that
 * has something to tell from the start on is there from the start on, so that rates and alerts do
 * not begin with the first event; only what has both event type and reason, or a code, appears when
 * it first happens.
 */
#include "gateway/metrics_page.h"

#include "base/clock.h"
#include "gateway/metrics_process.h"
#include "gateway/pipeline_int.h"

/* As pipeline_status has it: a failure that was not seen for so long is over. */
#define JOURNAL_RECENT_MS 10000

static const struct metrics_labels unlabelled = METRICS_UNLABELLED;

static void counter(struct metrics_text *t, const char *name, const char *help, uint64_t value)
{
    metrics_family(t, name, METRICS_COUNTER, NULL, help);
    metrics_sample(t, &unlabelled, value);
}

static void gauge(struct metrics_text *t, const char *name, const char *help, uint64_t value)
{
    metrics_family(t, name, METRICS_GAUGE, NULL, help);
    metrics_sample(t, &unlabelled, value);
}

static void bytes(struct metrics_text *t, const char *name, enum metrics_kind kind,
                  const char *help, uint64_t value)
{
    metrics_family(t, name, kind, "bytes", help);
    metrics_sample(t, &unlabelled, value);
}

static void seconds_us(struct metrics_text *t, const char *name, const char *help, int64_t us)
{
    metrics_family(t, name, METRICS_GAUGE, "seconds", help);
    metrics_sample_us(t, &unlabelled, us);
}

/* ---- what waits ---- */

/* By row of metrics. */
struct waiting {
    struct {
        uint64_t files, bytes;
        int64_t oldest_ns;
        bool refused;
    } types[METRICS_TYPES];
    uint64_t unselected; /* files of event types that are not sent */
    int64_t oldest_ns;
};

static void look_at_lanes(struct pipeline *p, struct waiting *w)
{
    dispatch_lanes(p);
    w->oldest_ns = INT64_MAX;
    for (unsigned i = 0; i < METRICS_TYPES; i++)
        w->types[i].oldest_ns = INT64_MAX;
    for (unsigned i = 0; i < p->n_lanes; i++) {
        const struct pipeline_lane *l = &p->lanes[i];
        struct ledger_lane_counts c;
        ledger_lane_counts(p->ledger, i, &c);
        if (!l->selected) {
            w->unselected += c.files;
            continue;
        }
        w->types[l->type].files += c.files;
        w->types[l->type].bytes += c.bytes;
        w->types[l->type].refused |= dispatch_lane_is_stuck(p, i);
        if (c.oldest_ns < w->types[l->type].oldest_ns)
            w->types[l->type].oldest_ns = c.oldest_ns;
        if (c.oldest_ns < w->oldest_ns)
            w->oldest_ns = c.oldest_ns;
    }
}

/* From this row on. */
static unsigned next_type(const struct pipeline *p, unsigned type)
{
    while (type < METRICS_TYPES && !metrics_has_type(&p->metrics, type))
        type++;
    return type;
}

static struct metrics_labels of_type(const struct pipeline *p, unsigned type)
{
    return METRICS_LABELLED({"event_type", metrics_type_name(&p->metrics, type)});
}

static int64_t age_us(int64_t then_ns)
{
    int64_t age = then_ns == INT64_MAX ? 0 : clock_wall_now_ns() - then_ns;
    return age > 0 ? age / 1000 : 0;
}

static void add_backlog(struct metrics_text *t, struct pipeline *p, const struct waiting *w)
{
    metrics_family(t, "spoolgate_backlog_files", METRICS_GAUGE, NULL,
                   "Files accepted and not delivered yet, those being sent included, those held "
                   "not.");
    for (unsigned i = 0; (i = next_type(p, i)) < METRICS_TYPES; i++) {
        struct metrics_labels l = of_type(p, i);
        metrics_sample(t, &l, w->types[i].files);
    }
    metrics_family(t, "spoolgate_backlog_bytes", METRICS_GAUGE, "bytes",
                   "The size of the backlog.");
    for (unsigned i = 0; (i = next_type(p, i)) < METRICS_TYPES; i++) {
        struct metrics_labels l = of_type(p, i);
        metrics_sample(t, &l, w->types[i].bytes);
    }
    metrics_family(t, "spoolgate_oldest_unsent_age_seconds", METRICS_GAUGE, "seconds",
                   "How long ago the oldest file of the backlog was accepted, of all and by event "
                   "type; 0 when nothing waits.");
    metrics_sample_us(t, &unlabelled, age_us(w->oldest_ns));
    for (unsigned i = 0; (i = next_type(p, i)) < METRICS_TYPES; i++) {
        struct metrics_labels l = of_type(p, i);
        metrics_sample_us(t, &l, age_us(w->types[i].oldest_ns));
    }
    metrics_family(t, "spoolgate_event_type_refused", METRICS_GAUGE, NULL,
                   "1 while the bucket refuses this event type and its files wait.");
    for (unsigned i = 0; (i = next_type(p, i)) < METRICS_TYPES; i++) {
        struct metrics_labels l = of_type(p, i);
        metrics_sample(t, &l, w->types[i].refused);
    }
}

static void add_states(struct metrics_text *t, struct pipeline *p, const struct waiting *w,
                       const struct watcher_stats *ws)
{
    uint64_t queued = ledger_count(p->ledger, LEDGER_ACCEPTED);
    const struct {
        const char *state;
        uint64_t n;
    } rows[] = {
        {"settling", ws->settling + ws->outstanding},
        {"accepted", queued > w->unselected ? queued - w->unselected : 0},
        {"sending", ledger_count(p->ledger, LEDGER_SENDING)},
        {"deferred", ledger_count(p->ledger, LEDGER_DEFERRED)},
        {"held", ledger_count(p->ledger, LEDGER_HELD) + w->unselected},
        {"rejected", p->rejected_files},
        {"kept", ledger_count(p->ledger, LEDGER_DELIVERED)},
        {"forgotten", ledger_count(p->ledger, LEDGER_FORGOTTEN)},
    };
    metrics_family(t, "spoolgate_files", METRICS_GAUGE, NULL,
                   "Files in each state now, as spoolgate status counts them.");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        metrics_sample(t, &METRICS_LABELLED({"state", rows[i].state}), rows[i].n);
}

/* ---- what was done ---- */

static void add_by_reason(struct metrics_text *t, const struct metrics *m,
                          const struct metrics_by_reason *r, bool files)
{
    for (unsigned type = 0; type < METRICS_TYPES; type++) {
        for (unsigned row = 0; metrics_reason(row); row++) {
            const struct metrics_sum *s = &r->sums[type][row];
            if (s->files > 0)
                metrics_sample(t,
                               &METRICS_LABELLED({"event_type", metrics_type_name(m, type)},
                                                 {"reason", metrics_reason(row)}),
                               files ? s->files : s->bytes);
        }
    }
}

static void add_decisions(struct metrics_text *t, const struct metrics *m)
{
    metrics_family(t, "spoolgate_files_rejected", METRICS_COUNTER, NULL,
                   "Files moved to rejected/, by event type and the code of the reason.");
    add_by_reason(t, m, &m->rejected, true);
    metrics_family(t, "spoolgate_rejected_bytes", METRICS_COUNTER, "bytes",
                   "The size of the files rejected.");
    add_by_reason(t, m, &m->rejected, false);
    metrics_family(t, "spoolgate_files_held", METRICS_COUNTER, NULL,
                   "Files held for a decision, by event type and the code of the reason.");
    add_by_reason(t, m, &m->held, true);
    metrics_family(t, "spoolgate_held_bytes", METRICS_COUNTER, "bytes",
                   "The size of the files held.");
    add_by_reason(t, m, &m->held, false);
}

static void add_by_type(struct metrics_text *t, const struct pipeline *p)
{
    const struct metrics *m = &p->metrics;
    static const struct {
        const char *name, *unit, *help;
    } families[] = {
        {"spoolgate_files_accepted", NULL, "Files taken into care: their records are durable."},
        {"spoolgate_accepted_bytes", "bytes", "The size of the files accepted."},
        {"spoolgate_files_delivered", NULL,
         "Files in the bucket, with a durable receipt: exactly the accepted bytes."},
        {"spoolgate_delivered_bytes", "bytes", "The size of the files delivered."},
        {"spoolgate_files_late", NULL,
         "Files delivered more than 60 seconds after they were closed."},
    };
    for (unsigned k = 0; k < sizeof families / sizeof families[0]; k++) {
        metrics_family(t, families[k].name, METRICS_COUNTER, families[k].unit, families[k].help);
        for (unsigned i = 0; (i = next_type(p, i)) < METRICS_TYPES; i++) {
            const uint64_t values[] = {m->types[i].accepted.files, m->types[i].accepted.bytes,
                                       m->types[i].delivered.files, m->types[i].delivered.bytes,
                                       m->types[i].late};
            struct metrics_labels l = of_type(p, i);
            metrics_sample(t, &l, values[k]);
        }
    }
}

static void add_deliveries(struct metrics_text *t, struct pipeline *p)
{
    const struct pipeline_counts *c = &p->counts;
    metrics_family(t, "spoolgate_close_to_delivered_seconds", METRICS_HISTOGRAM, "seconds",
                   "From a file's last change (closed, or moved into the spool) to its delivery.");
    metrics_sample_histogram(t, &unlabelled, &p->metrics.journey, &histogram_journey);
    seconds_us(t, "spoolgate_last_success_timestamp_seconds",
               "When the last file was delivered, in seconds since 1970; 0: none since the start.",
               c->last_delivered_ns / 1000);
    counter(t, "spoolgate_files_verified",
            "Files delivered that were in the bucket already, byte for byte.", c->verified);
    counter(t, "spoolgate_files_kept_both",
            "Files delivered under another key, since theirs held other bytes.", c->conflicts);
    counter(t, "spoolgate_files_changed",
            "Files that were changed after they were accepted, and taken up anew.", c->changed);
    counter(t, "spoolgate_files_vanished",
            "Files that somebody removed after they were accepted and before they were sent.",
            c->vanished);
    counter(t, "spoolgate_files_archived", "Delivered files moved to the archive.", c->archived);
    counter(t, "spoolgate_retirement_failures",
            "Times that a delivered file could not be removed or archived; it is tried again.",
            c->retire_failures);
}

/* ---- the bucket ---- */

static void add_destination(struct metrics_text *t, const struct destination_status *d)
{
    static const char *const states[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_PROBING] = "probing"};
    metrics_family(t, "spoolgate_destination", METRICS_INFO, NULL, "Where files go.");
    metrics_sample(
        t,
        &METRICS_LABELLED({"bucket", d->bucket}, {"region", d->region}, {"endpoint", d->endpoint}),
        1);
    metrics_family(t, "spoolgate_circuit_state", METRICS_GAUGE, NULL,
                   "1 for the state of the circuit breaker: closed (sending), open (waiting) or "
                   "probing (one file is tried).");
    for (unsigned i = 0; i < sizeof states / sizeof states[0]; i++)
        metrics_sample(t, &METRICS_LABELLED({"state", states[i]}), d->state == i);
    seconds_us(t, "spoolgate_circuit_interrupted_seconds",
               "For how long the circuit has not been closed; 0 while it is.",
               (int64_t)d->since_ms * 1000);
    gauge(t, "spoolgate_destination_held",
          "1 while nothing is sent: there are no keys, or the circuit is not closed.",
          !d->has_credentials || d->state != BREAKER_CLOSED);
    gauge(t, "spoolgate_uploads_in_flight", "Files handed to the uploader threads.", d->in_flight);
    gauge(t, "spoolgate_uploads_limit",
          "Files that may be under way at once; fewer than configured while the store throttles.",
          d->concurrency);
    seconds_us(t, "spoolgate_store_clock_offset_seconds",
               "The store's clock minus ours, as corrected for when signing.",
               d->pool.clock_offset_s * 1000000);
}

static void add_credentials(struct metrics_text *t, const struct destination_status *d)
{
    gauge(t, "spoolgate_credentials_present", "1 when there are keys to sign with.",
          d->has_credentials);
    metrics_family(t, "spoolgate_credentials_expire_timestamp_seconds", METRICS_GAUGE, "seconds",
                   "When the keys in use expire, in seconds since 1970; +Inf: never. Left out "
                   "while there are none.");
    if (d->has_credentials)
        metrics_sample_us(t, &unlabelled,
                          d->credentials_expire == INT64_MAX ? INT64_MAX
                                                             : d->credentials_expire * 1000000);
    counter(t, "spoolgate_credentials_requests", "Times that keys were asked for.", d->keys.asked);
    counter(t, "spoolgate_credentials_failures", "Times that asking for keys failed.",
            d->keys.failed);
}

static void add_requests(struct metrics_text *t, struct pipeline *p)
{
    struct destination_tally d;
    destination_tally(p->destination, &d);
    struct tally *all = &d.requests;
    metrics_family(t, "spoolgate_requests", METRICS_COUNTER, NULL,
                   "Requests answered by the bucket, by operation and code: the HTTP status, S3's "
                   "error code, or why no answer came.");
    if (all->n == 0) /* the most usual one, from the start on */
        metrics_sample(t, &METRICS_LABELLED({"operation", "PutObject"}, {"code", "200"}), 0);
    for (unsigned i = 0; i < all->n; i++)
        metrics_sample(t,
                       &METRICS_LABELLED({"operation", request_op_name(all->answers[i].op)},
                                         {"code", all->answers[i].code}),
                       all->answers[i].n);
    metrics_family(t, "spoolgate_request_duration_seconds", METRICS_HISTOGRAM, "seconds",
                   "From the start of a request, a new connection included, to the end "
                   "of its answer, by operation.");
    for (unsigned op = 0; op < REQUEST_OP_COUNT_; op++) {
        if (op == REQUEST_PUT_OBJECT || histogram_count(&all->durations[op]) > 0)
            metrics_sample_histogram(
                t, &METRICS_LABELLED({"operation", request_op_name((enum request_op)op)}),
                &all->durations[op], &histogram_quick);
    }
    metrics_family(t, "spoolgate_retries", METRICS_COUNTER, NULL,
                   "Attempts to send a file that ended without its delivery, by code; the file "
                   "stays and is tried again, or is held or rejected.");
    for (unsigned i = 0; i < p->metrics.n_failed; i++)
        metrics_sample(t, &METRICS_LABELLED({"code", p->metrics.failed[i].code}),
                       p->metrics.failed[i].n);
    counter(t, "spoolgate_connections_opened", "Connections made to the bucket.",
            d.http.connections);
    bytes(t, "spoolgate_sent_bytes", METRICS_COUNTER,
          "Bytes sent to the bucket, the headers of requests included.", d.http.bytes_sent);
    bytes(t, "spoolgate_received_bytes", METRICS_COUNTER,
          "Bytes that the bucket sent, the headers of answers included.", d.http.bytes_received);
}

/* ---- this machine ---- */

static void add_journal(struct metrics_text *t, struct pipeline *p)
{
    struct journal_stats j;
    journal_stats(ledger_journal(p->ledger), &j);
    metrics_family(t, "spoolgate_journal_sync_seconds", METRICS_HISTOGRAM, "seconds",
                   "How long it took to write records to the journal and make them durable.");
    metrics_sample_histogram(t, &unlabelled, &j.syncs, &histogram_quick);
    counter(t, "spoolgate_journal_records", "Records written.", j.records);
    bytes(t, "spoolgate_journal_written_bytes", METRICS_COUNTER, "Bytes of records written.",
          j.bytes);
    bytes(t, "spoolgate_journal_size_bytes", METRICS_GAUGE, "What the journal takes on disk.",
          j.disk_bytes);
    gauge(t, "spoolgate_journal_segments", "Files of the journal.", j.segments);
    gauge(t, "spoolgate_journal_quarantined_segments",
          "Damaged files of the journal that were set aside at the start.", j.quarantined);
    bool failing =
        p->poisoned || (p->journal_failed_ms != 0 &&
                        loop_now_ms(p->cfg.loop) - p->journal_failed_ms < JOURNAL_RECENT_MS);
    gauge(t, "spoolgate_journal_failing",
          "1 while the journal cannot be written; nothing is accepted then.", failing);
}

static void add_watcher(struct metrics_text *t, const struct watcher_stats *w)
{
    gauge(t, "spoolgate_inotify_watches", "Directories watched by inotify.", w->watches);
    gauge(t, "spoolgate_directories", "Directories below the spool root.", w->directories);
    gauge(t, "spoolgate_polled_directories",
          "Directories that cannot be watched and are polled instead.", w->polled_directories);
    gauge(t, "spoolgate_denied_directories",
          "Directories that may not be read: files in them are not seen.", w->denied_directories);
    counter(t, "spoolgate_inotify_events", "Events that inotify told of.", w->events);
    counter(t, "spoolgate_inotify_overflows",
            "Times that the kernel lost events; a scan of the spool follows.", w->overflows);
    counter(t, "spoolgate_inotify_reopened",
            "Times that inotify was opened anew, since it told nothing.", w->reopened);
    gauge(t, "spoolgate_inotify_silent",
          "1 while inotify does not tell of a file that is made to prove that it does.",
          w->canary_late && !w->canary_grounded);
    counter(t, "spoolgate_rescans", "Scans of the whole spool.", w->rescans);
    counter(t, "spoolgate_rescan_drift_files",
            "Files that a scan found and of which no event had told.", w->drift);
}

static void add_file_system(struct metrics_text *t, const struct statvfs *s,
                            const char *const names[4])
{
    static const char *const helps[] = {
        "Bytes free for this user on the file system.", "The size of the file system.",
        "Inodes free for this user on the file system.", "Inodes of the file system."};
    uint64_t unit = s->f_frsize;
    const uint64_t values[] = {s->f_bavail * unit, s->f_blocks * unit, s->f_favail, s->f_files};
    for (unsigned i = 0; i < 4; i++) {
        metrics_family(t, names[i], METRICS_GAUGE, i < 2 ? "bytes" : NULL, helps[i]);
        if (unit > 0)
            metrics_sample(t, &unlabelled, values[i]);
    }
}

static void add_space(struct metrics_text *t, const struct pipeline *p)
{
    static const char *const spool[] = {"spoolgate_spool_free_bytes", "spoolgate_spool_size_bytes",
                                        "spoolgate_spool_free_inodes", "spoolgate_spool_inodes"};
    static const char *const state[] = {"spoolgate_state_free_bytes", "spoolgate_state_size_bytes",
                                        "spoolgate_state_free_inodes", "spoolgate_state_inodes"};
    add_file_system(t, &p->spool_space, spool);
    add_file_system(t, &p->state_space, state);
    gauge(t, "spoolgate_spool_full",
          "1 while the spool is full, by space, inodes or quota, and put refuses files.", p->full);
    gauge(t, "spoolgate_archive_files", "Files in the archive, as counted once a minute.",
          p->archive.files);
    bytes(t, "spoolgate_archive_bytes", METRICS_GAUGE,
          "The size of the archive, as counted once a minute.", p->archive.bytes);
}

/* ---- readiness ---- */

static void not_ready(struct buf *why, const char *what, const char *more)
{
    buf_addf(why, "%s%s%s\n", what, more[0] != '\0' ? ": " : "", more);
}

bool metrics_ready(struct pipeline *p, struct buf *why)
{
    struct destination_status d;
    struct journal_stats j;
    size_t before = why->len;
    destination_status(p->destination, &d);
    journal_stats(ledger_journal(p->ledger), &j);
    bool recent = p->journal_failed_ms != 0 &&
                  loop_now_ms(p->cfg.loop) - p->journal_failed_ms < JOURNAL_RECENT_MS;
    if (p->stopping)
        not_ready(why, "The gateway stops", "");
    if (p->root_why[0] != '\0')
        not_ready(why, "Nothing is taken on", p->root_why);
    if (p->poisoned || recent)
        not_ready(why, "Nothing is taken on, since the journal cannot be written",
                  p->poisoned ? p->journal_why.text : j.why.text);
    if (p->full)
        not_ready(why, "The spool is full", p->full_why.text);
    if (!d.has_credentials || d.state != BREAKER_CLOSED)
        not_ready(why, "Nothing is sent", d.why.text);
    for (unsigned i = 0; i < p->n_lanes; i++) {
        if (dispatch_lane_is_stuck(p, i))
            buf_addf(why, "The bucket refuses the event type %s: %s\n",
                     queue_lane_name(ledger_queue(p->ledger), i), p->lanes[i].why.text);
    }
    return why->len == before;
}

void metrics_page(struct pipeline *p, enum metrics_format f, struct buf *out)
{
    struct metrics_text t = {.out = out, .format = f};
    struct destination_status d;
    struct watcher_stats ws;
    struct waiting w = {0};
    struct buf why;
    destination_status(p->destination, &d);
    watcher_stats(p->watcher, &ws);
    look_at_lanes(p, &w);
    buf_init(&why, 64 << 10);
    metrics_family(&t, "spoolgate_build", METRICS_INFO, NULL, "The program that runs.");
    metrics_sample(&t, &METRICS_LABELLED({"version", SPOOLGATE_VERSION}, {"compiler", __VERSION__}),
                   1);
    gauge(&t, "spoolgate_ready", "1 when files are accepted and sent, as /readyz says.",
          metrics_ready(p, &why));
    buf_fini(&why);
    add_backlog(&t, p, &w);
    add_states(&t, p, &w, &ws);
    add_by_type(&t, p);
    add_decisions(&t, &p->metrics);
    add_deliveries(&t, p);
    add_destination(&t, &d);
    add_credentials(&t, &d);
    add_requests(&t, p);
    add_journal(&t, p);
    add_watcher(&t, &ws);
    add_space(&t, p);
    metrics_process(&t);
    metrics_end(&t);
}
