/* Why a file is where it is: its state, a sentence, the remedy, and its history from the journal.
 * See pipeline.h.
 */
#include "gateway/pipeline_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "spool/reject.h"

#include <stdlib.h>
#include <string.h>

#define HISTORY_MAX 64

static json_t *time_text(int64_t ns)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, ns);
    return json_string(text);
}

static json_t *report_history(struct pipeline *p, record_place last)
{
    struct ledger_history *rows = mem_alloc(HISTORY_MAX * sizeof *rows);
    size_t n = ledger_history(p->ledger, last, rows, HISTORY_MAX);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct ledger_history *h = &rows[i];
        json_t *o =
            json_pack("{s:o, s:s}", "at", time_text(h->at_ns), "what", record_type_name(h->type));
        if (h->type == RECORD_ATTEMPT) {
            json_object_set_new(o, "http_status", json_integer(h->http_status));
            json_object_set_new(o, "attempts", json_integer(h->attempts));
        }
        if (h->code[0] != '\0')
            json_object_set_new(o, "code", json_text(h->code, strlen(h->code)));
        if (h->text[0] != '\0')
            json_object_set_new(o, "why", json_text(h->text, strlen(h->text)));
        json_array_append_new(list, o);
    }
    free(rows);
    return list;
}

static json_t *answer(const char *path, const char *state, const char *why, const char *remedy)
{
    return json_pack("{s:o, s:s, s:o, s:o}", "path", json_text(path, strlen(path)), "state", state,
                     "why", json_text(why, strlen(why)), "remedy",
                     remedy ? json_string(remedy) : json_null());
}

/* A file that waits its turn waits for the destination, its lane, or only those before it. */
static json_t *why_accepted(struct pipeline *p, const char *path, const struct ledger_view *v)
{
    struct destination_status d;
    destination_status(p->destination, &d);
    dispatch_lanes(p);
    struct queue *q = ledger_queue(p->ledger);
    unsigned lane = queue_lane(q, v->event_type, strlen(v->event_type));
    const struct pipeline_lane *l = lane < p->n_lanes ? &p->lanes[lane] : NULL;
    if (l && !l->selected)
        return answer(path, "held", "not selected: `send` leaves out its event type",
                      "name it under send.types, or set send.raw or send.processed, and reload");
    if (l && l->refused)
        return answer(path, "held", l->why.text,
                      "it is tried again every 30 s, and at once by spoolgate retry");
    if (!d.has_credentials)
        return answer(path, "accepted", d.why.text, "it goes by itself once there are credentials");
    if (d.state != BREAKER_CLOSED)
        return answer(path, "accepted", d.why.text,
                      "it goes by itself when the bucket answers again; spoolgate retry tries now");
    if (p->poisoned)
        return answer(path, "accepted", p->journal_why.text,
                      "make the state directory writable again");
    char text[128];
    snprintf(text, sizeof text, "it waits its turn: %zu files of its event type are queued",
             queue_count(q, lane));
    return answer(path, "accepted", text, NULL);
}

/* One that is sent while the destination waits is the probe. */
static json_t *why_sending(const char *path, const struct destination_status *d)
{
    char text[sizeof d->why.text + 80] = "it is being sent right now";
    if (d->state != BREAKER_CLOSED)
        snprintf(text, sizeof text,
                 "it is being sent right now, to see whether the bucket answers again: %s",
                 d->why.text);
    return answer(path, "sending", text, NULL);
}

/* By whom it is held says what ends it. */
static json_t *why_held(const char *path, const struct ledger_view *v)
{
    bool by_hand = strcmp(v->code, LEDGER_BY_HAND) == 0;
    json_t *o =
        answer(path, "held", v->text,
               by_hand ? "spoolgate release sends it"
                       : "spoolgate retry sends it as it is now; spoolgate forget gives it up");
    json_object_set_new(o, "held_by", json_string(by_hand ? "operator" : "condition"));
    json_object_set_new(o, "code", json_text(v->code, strlen(v->code)));
    return o;
}

static void add_place(json_t *o, const struct pipeline *p, const char *path)
{
    struct buf place;
    buf_init(&place, 8192);
    buf_addf(&place, "%s/%s", p->config->spool, path);
    json_object_set_new(o, "place", json_text(place.data, place.len));
    buf_fini(&place);
}

static json_t *why_forgotten(struct pipeline *p, const char *path, const struct ledger_view *v)
{
    json_t *o = answer(path, "forgotten", v->text,
                       "spoolgate retry takes it up again; remove the file to be rid of it");
    add_place(o, p, path);
    return o;
}

static json_t *why_stranded(struct pipeline *p, const char *path, const struct unmoved_file *f)
{
    char text[STRANDED_WHY_SIZE];
    json_t *o = answer(path, "rejected", stranded_why(text, f),
                       "let the gateway's group write in its directory, and spoolgate retry moves "
                       "it to .spoolgate/rejected; or replace or remove it where it is");
    if (f->code[0] != '\0')
        json_object_set_new(o, "code", json_text(f->code, strlen(f->code)));
    add_place(o, p, path);
    return o;
}

static json_t *why_in_care(struct pipeline *p, const char *path, const struct ledger_view *v)
{
    struct destination_status d;
    destination_status(p->destination, &d);
    switch (v->state) {
    case LEDGER_ACCEPTED:
        return why_accepted(p, path, v);
    case LEDGER_SENDING:
        return why_sending(path, &d);
    case LEDGER_DEFERRED:
        /* Its own last attempt is history while nothing is sent at all. */
        if (d.state != BREAKER_CLOSED)
            return answer(path, "deferred", d.why.text,
                          "it goes by itself when the bucket answers again; spoolgate retry tries "
                          "now");
        return answer(path, "deferred",
                      v->file && v->file->why.text[0] ? v->file->why.text
                                                      : "the last attempt failed",
                      "it is tried again by itself; spoolgate retry tries now");
    case LEDGER_HELD:
        return why_held(path, v);
    case LEDGER_FORGOTTEN:
        return why_forgotten(p, path, v);
    case LEDGER_DELIVERED:
    case LEDGER_STATE_COUNT_:
        break;
    }
    return answer(path, "delivered", "its receipt is durable", NULL);
}

enum rc pipeline_why(struct pipeline *p, const char *path, json_t **out, struct err *e)
{
    struct ledger_view v;
    struct watcher_row settling;
    struct reject_row rejected;
    size_t n = strlen(path);
    enum rc rc = ledger_find(p->ledger, path, n, &v);
    if (rc != RC_OK && rc != RC_ABSENT)
        return err_set(e, rc, "the journal cannot be read now: try again");
    if (rc == RC_OK) {
        *out = why_in_care(p, path, &v);
        json_object_set_new(*out, "size", json_integer((json_int_t)v.id.size));
        json_object_set_new(*out, "accepted_at", time_text(v.accepted_ns));
        json_object_set_new(*out, "history", report_history(p, v.last));
        return RC_OK;
    }
    const struct unmoved_file *stranded = stranded_find(p, path);
    if (stranded) {
        *out = why_stranded(p, path, stranded);
        return RC_OK;
    }
    if (watcher_find(p->watcher, path, n, &settling)) {
        *out = answer(path, "settling", settling.why, NULL);
        return RC_OK;
    }
    if (reject_find(&fsio_system, p->cfg.root_fd, path, &rejected, NULL) == RC_OK) {
        *out = answer(path, "rejected", rejected.reason,
                      "mend it under .spoolgate/rejected and give it back with spoolgate retry");
        json_object_set_new(*out, "code", json_text(rejected.code, strlen(rejected.code)));
        json_object_set_new(*out, "rejected_at", time_text(rejected.rejected_ns));
        return RC_OK;
    }
    struct buf shown;
    buf_init(&shown, 8192);
    utf8_escape(&shown, path, n);
    rc = err_set(e, RC_ABSENT,
                 "%s is not waiting, held or rejected: it was delivered and removed, or it "
                 "was never in the spool",
                 shown.data);
    buf_fini(&shown);
    return rc;
}
