/* What people decide about files: retry, hold, release, forget. See pipeline.h.
 *
 * A request is a page of files, named or chosen; it is answered when every record that it made is
 * durable (P3). What is being sent, or has a record on its way, is tried again for a little while.
 * The ledger is asked on the loop's thread; rejected files are put back on the pool.
 */
#include "gateway/listing.h"
#include "gateway/pipeline_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "spool/reject.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AT_ONCE_MAX 16
#define AGAIN_MS    50
#define GIVE_UP_MS  5000

enum phase { BEGUN, AGAIN, RECORDING, REJECTED, ENDED };

struct row {
    struct acting *acting;
    char *path;
    enum phase phase;
    unsigned type; /* of metrics */
    uint64_t bytes;
    const char *result; /* of ENDED: one word */
    char *text;         /* a sentence, or NULL */
    bool absent;        /* from the rejected */
};

struct acting {
    struct acting *prev, *next;
    struct pipeline *p;
    enum pipeline_verb verb;
    bool dry, first, trying;
    bool rejected; /* only such files are meant, whatever else has their names by now */
    struct row *rows;
    size_t n, cap;
    size_t outstanding;
    uint64_t left_by_hand; /* held ones that retry leaves to release */
    char cursor[LISTING_CURSOR_SIZE];
    uint64_t give_up_ms;
    struct loop_timer *timer;
    pipeline_answer *done;
    void *arg;
};

static const struct verb {
    const char *name, *done; /* of rows: what it became */
    unsigned by_default, allowed;
    const char *states; /* allowed, for people */
    struct err why;
} verbs[] = {
    [PIPELINE_RETRY] = {"retry",
                        "retried",
                        LISTING_HELD | LISTING_REJECTED,
                        LISTING_HELD | LISTING_REJECTED | LISTING_FORGOTTEN | LISTING_DEFERRED,
                        "held, rejected, forgotten or deferred",
                        {.code = ""}},
    [PIPELINE_HOLD] = {"hold",
                       "held",
                       LISTING_ACCEPTED | LISTING_SENDING | LISTING_DEFERRED | LISTING_HELD,
                       LISTING_ACCEPTED | LISTING_SENDING | LISTING_DEFERRED | LISTING_HELD,
                       "accepted, sending, deferred or held",
                       {.code = LEDGER_BY_HAND, .text = "held by hand"}},
    [PIPELINE_RELEASE] = {"release", "released", LISTING_HELD, LISTING_HELD, "held", {.code = ""}},
    [PIPELINE_FORGET] = {"forget",
                         "forgotten",
                         LISTING_ACCEPTED | LISTING_SENDING | LISTING_DEFERRED | LISTING_HELD,
                         LISTING_ACCEPTED | LISTING_SENDING | LISTING_DEFERRED | LISTING_HELD,
                         "accepted, sending, deferred or held",
                         {.code = LEDGER_BY_HAND,
                          .text = "forgotten by hand: it is not sent unless it changes"}},
};

/* ---- rows ---- */

static struct row *add_row(struct acting *a, const char *path)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 16;
        a->rows = mem_resize(a->rows, a->cap, sizeof *a->rows);
    }
    struct row *r = &a->rows[a->n++];
    *r = (struct row){.acting = a, .path = mem_strdup(path)};
    return r;
}

static void end_row(struct row *r, const char *result, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void end_row(struct row *r, const char *result, const char *fmt, ...)
{
    r->phase = ENDED;
    r->result = result;
    char text[1536];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut sentence is still one */
    va_end(args);
    r->text = text[0] ? mem_strdup(text) : NULL;
}

/* ---- the answer ---- */

static void write_row(struct buf *out, const struct row *r)
{
    json_t *o =
        json_pack("{s:o, s:s, s:o}", "path", json_text(r->path, strlen(r->path)), "result",
                  r->result, "text", r->text ? json_text(r->text, strlen(r->text)) : json_null());
    json_write(out, o);
    json_decref(o);
}

static void finish(struct acting *a, enum rc rc, const struct err *e)
{
    struct pipeline *p = a->p;
    struct buf out;
    buf_init(&out, 16 << 20);
    if (rc == RC_OK) {
        buf_addf(&out, "{\"count\":%zu,\"files\":[", a->n);
        for (size_t i = 0; i < a->n && !a->dry; i++) {
            if (i > 0)
                buf_addc(&out, ',');
            write_row(&out, &a->rows[i]);
        }
        buf_addf(&out, "],\"left_by_hand\":%llu,\"cursor\":\"%s\"}",
                 (unsigned long long)a->left_by_hand, a->cursor);
    }
    a->done(a->arg, rc, &out, e);
    buf_fini(&out);
    *(a->prev ? &a->prev->next : &p->actings) = a->next;
    if (a->next)
        a->next->prev = a->prev;
    for (size_t i = 0; i < a->n; i++) {
        free(a->rows[i].path);
        free(a->rows[i].text);
    }
    free(a->rows);
    loop_timer_free(a->timer);
    free(a);
    p->n_actings--;
    dispatch_want(p);
    dispatch_check_drained(p);
}

/* ---- one file ---- */

static void go_on(struct acting *a);

static void recorded(void *arg, enum rc rc)
{
    struct row *r = arg;
    struct acting *a = r->acting;
    struct pipeline *p = a->p;
    struct journal_stats j;
    if (rc == RC_OK && a->verb == PIPELINE_FORGET) {
        end_row(r, "forgotten",
                "it stays at %s/%s, and is sent only if it changes, or by spoolgate retry",
                p->config->spool, r->path);
    } else if (rc == RC_OK) {
        if (a->verb == PIPELINE_HOLD)
            metrics_held(&p->metrics, r->type, LEDGER_BY_HAND, r->bytes);
        end_row(r, verbs[a->verb].done, "%s", "");
    } else {
        journal_stats(ledger_journal(p->ledger), &j);
        end_row(r, "failed", "nothing was changed, since the journal cannot be written%s%s",
                j.why.text[0] ? ": " : "", j.why.text);
    }
    a->outstanding--;
    go_on(a);
}

/* Of a path that the ledger has not, or has done with. */
static void end_unknown(struct row *r, bool delivered)
{
    struct pipeline *p = r->acting->p;
    struct watcher_row settling;
    struct reject_row rejected;
    const struct unmoved_file *stranded = stranded_find(p, r->path);
    if (delivered)
        end_row(r, "failed", "it was delivered");
    else if (stranded)
        end_row(r, "failed", "it is rejected, so it is not sent; it lies at %s/%s still: %s",
                p->config->spool, r->path, stranded->failure);
    else if (watcher_find(p->watcher, r->path, strlen(r->path), &settling))
        end_row(r, "failed", "it is settling (%s): try again in a moment", settling.why);
    else if (reject_find(&fsio_system, p->cfg.root_fd, r->path, &rejected, NULL) == RC_OK)
        end_row(r, "failed", "it is rejected, so it is not sent; it lies at %s/%s/%s",
                p->config->spool, REJECT_DIR, r->path);
    else
        end_row(
            r, "failed",
            "it is not waiting, held or rejected: it was delivered and removed, or it was never "
            "in the spool");
}

/* For want of descriptors or memory: nothing can be said of the path. */
static void end_unread(struct row *r)
{
    end_row(r, "failed", "the journal cannot be read now: try again");
}

/* Released with the identity that it was accepted with, a file that is shorter since would only be
 * held again: it is accepted as it is now. One that is another by now is released, which the
 * uploader finds out, so that it is looked at like any new file. */
static enum rc release(struct row *r, const struct ledger_view *v)
{
    struct pipeline *p = r->acting->p;
    size_t n = strlen(r->path);
    struct file_stat st;
    /* The path is only looked at; the uploader opens it with care. */
    if (v->state != LEDGER_HELD || strcmp(v->code, "shrunk") != 0 ||
        fsio_system.ops->stat(fsio_system.ctx, p->cfg.root_fd, r->path, &st) < 0 ||
        !S_ISREG(st.mode) || !identity_is_torn(&v->id, &st.id))
        return ledger_release_path(p->ledger, r->path, n, recorded, r);
    if (v->moving)
        return RC_AGAIN;
    ledger_accept(p->ledger, r->path, n, &st.id, v->event_type, recorded, r);
    return RC_OK;
}

static enum rc ask_ledger(struct row *r, const struct ledger_view *v)
{
    struct acting *a = r->acting;
    struct ledger *l = a->p->ledger;
    const struct err *why = &verbs[a->verb].why;
    size_t n = strlen(r->path);
    switch (a->verb) {
    case PIPELINE_HOLD:
        return ledger_hold_path(l, r->path, n, why, recorded, r);
    case PIPELINE_FORGET:
        return ledger_forget_path(l, r->path, n, why, recorded, r);
    case PIPELINE_RETRY:
    case PIPELINE_RELEASE:
        break;
    }
    return release(r, v);
}

static void change(struct row *r, const struct ledger_view *v)
{
    struct acting *a = r->acting;
    r->type = metrics_type(&a->p->metrics, v->event_type, strlen(v->event_type));
    r->bytes = v->id.size;
    if (v->file && v->state == LEDGER_DEFERRED)
        dispatch_withdraw(a->p, v->file);
    switch (ask_ledger(r, v)) {
    case RC_OK:
        r->phase = RECORDING;
        a->outstanding++;
        break;
    case RC_AGAIN:
        r->phase = AGAIN;
        break;
    case RC_EXISTS:
        if (v->state == LEDGER_FORGOTTEN)
            end_row(r, "unchanged", "it is forgotten already; it stays at %s/%s",
                    a->p->config->spool, r->path);
        else if (a->verb == PIPELINE_HOLD)
            end_row(r, "unchanged", "it is held already: %s", v->text);
        else
            end_row(r, "unchanged", "it is not held");
        break;
    case RC_ABSENT:
        end_unknown(r, v->state == LEDGER_DELIVERED);
        break;
    default:
        end_unread(r);
    }
}

static void retry(struct row *r, const struct ledger_view *v)
{
    switch (v->state) {
    case LEDGER_HELD:
    case LEDGER_FORGOTTEN:
        change(r, v);
        break;
    case LEDGER_ACCEPTED:
    case LEDGER_DEFERRED:
        end_row(r, "retried", "its bucket is tried now");
        break;
    case LEDGER_SENDING:
        end_row(r, "unchanged", "it is being sent");
        break;
    case LEDGER_DELIVERED:
    case LEDGER_STATE_COUNT_:
        end_row(r, "unchanged", "it is delivered");
        break;
    }
}

/* A rejected file that is where it was all along. */
static bool retry_stranded(struct row *r)
{
    if (!stranded_retry(r->acting->p, r->path))
        return false;
    end_row(r, "retried", "it is rejected and could not be moved away: it is looked at now");
    return true;
}

static void try_row(struct row *r)
{
    struct acting *a = r->acting;
    struct watcher_row settling;
    struct ledger_view v = {.state = LEDGER_STATE_COUNT_};
    size_t n = strlen(r->path);
    enum rc rc = ledger_find(a->p->ledger, r->path, n, &v);
    if (rc == RC_OK) {
        if (a->verb == PIPELINE_RETRY)
            retry(r, &v);
        else if (a->verb == PIPELINE_RELEASE && v.state == LEDGER_FORGOTTEN)
            end_row(r, "failed", "it was forgotten: spoolgate retry takes it up again");
        else if (a->verb == PIPELINE_HOLD && v.state == LEDGER_FORGOTTEN)
            end_row(r, "unchanged", "it is forgotten, and not sent either");
        else
            change(r, &v);
    } else if (rc != RC_ABSENT) {
        end_unread(r);
    } else if (a->verb != PIPELINE_RETRY) {
        end_unknown(r, false);
    } else if (retry_stranded(r)) {
        return;
    } else if (watcher_find(a->p->watcher, r->path, n, &settling)) {
        end_row(r, "unchanged", "it is settling (%s), and goes by itself", settling.why);
    } else {
        r->phase = REJECTED;
    }
}

/* ---- rejected files ---- */

static void restore_run(void *arg)
{
    struct acting *a = arg;
    for (size_t i = 0; i < a->n; i++) {
        struct row *r = &a->rows[i];
        struct err e = {0};
        if (r->phase != REJECTED)
            continue;
        if (atomic_load(&a->p->stop_early)) {
            end_row(r, "failed", "the gateway stops: try again when it runs");
            continue;
        }
        enum rc rc = reject_restore(&fsio_system, a->p->cfg.root_fd, r->path, &e);
        r->absent = rc == RC_ABSENT;
        if (rc == RC_OK)
            end_row(r, "restored", "%s", "");
        else if (rc == RC_ABSENT && !a->rejected)
            end_row(r, "failed",
                    "it is not waiting, held or rejected: it was delivered and removed, or it was "
                    "never in the spool");
        else
            end_row(r, "failed", "%s", e.text);
    }
}

static void restore_done(void *arg)
{
    struct acting *a = arg;
    struct pipeline *p = a->p;
    for (size_t i = 0; i < a->n; i++) {
        struct row *r = &a->rows[i];
        if (strcmp(r->result, "restored") == 0) {
            p->rejected_files -= p->rejected_files > 0;
            watcher_look(p->watcher, r->path, strlen(r->path), 0);
        } else if (r->absent && !p->stopping) {
            char *text = r->text;
            if (retry_stranded(r))
                free(text);
        }
    }
    finish(a, RC_OK, NULL);
}

/* ---- a page ---- */

static void on_timer(void *arg)
{
    go_on(arg);
}

static size_t count(const struct acting *a, enum phase phase)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        n += a->rows[i].phase == phase;
    return n;
}

static void go_on(struct acting *a)
{
    struct pipeline *p = a->p;
    if (a->trying || a->outstanding > 0)
        return;
    bool over = p->stopping || loop_now_ms(p->cfg.loop) >= a->give_up_ms;
    a->trying = true;
    for (size_t i = 0; i < a->n; i++) {
        struct row *r = &a->rows[i];
        if (r->phase == BEGUN || r->phase == AGAIN)
            try_row(r);
        if (r->phase == AGAIN && over)
            end_row(r, "failed", "it is being sent at this moment: try again when that has ended");
    }
    a->trying = false;
    if (a->outstanding > 0)
        return;
    if (count(a, AGAIN) > 0) {
        loop_timer_set(a->timer, AGAIN_MS);
    } else if (count(a, REJECTED) > 0) {
        p->rejections_begun++;
        loop_work(p->cfg.loop, restore_run, restore_done, a);
    } else {
        finish(a, RC_OK, NULL);
    }
}

static void begin(struct acting *a)
{
    struct pipeline *p = a->p;
    if (a->verb == PIPELINE_RETRY && a->first) {
        destination_kick(p->destination);
        dispatch_lanes_anew(p);
        dispatch_deferred_now(p);
    }
    a->give_up_ms = loop_now_ms(p->cfg.loop) + GIVE_UP_MS;
    go_on(a);
}

static void chosen(void *arg, const struct listing_row *row)
{
    struct acting *a = arg;
    bool by_hand = strcmp(row->code, LEDGER_BY_HAND) == 0;
    bool wants_held = a->verb == PIPELINE_RETRY || a->verb == PIPELINE_RELEASE;
    if (row->state == LISTING_HELD && wants_held && row->paused)
        return; /* with its event type: there is nothing to release */
    if (row->state == LISTING_HELD && a->verb == PIPELINE_HOLD && !row->paused)
        return; /* by itself already */
    if (row->state == LISTING_HELD && a->verb == PIPELINE_RETRY && by_hand) {
        a->left_by_hand++;
        return;
    }
    struct row *r = add_row(a, row->path);
    if (row->state == LISTING_REJECTED && !row->stranded)
        r->phase = REJECTED;
}

static void chosen_all(void *arg, enum rc rc, const char *cursor, const struct err *e)
{
    struct acting *a = arg;
    (void)snprintf(a->cursor, sizeof a->cursor, "%s", cursor);
    if (rc != RC_OK || a->dry)
        finish(a, rc, e);
    else
        begin(a);
}

void pipeline_act(struct pipeline *p, const struct pipeline_act *act, pipeline_answer *done,
                  void *arg)
{
    const struct verb *verb = &verbs[act->verb];
    struct acting *a = mem_alloc(sizeof *a);
    struct err e = {0};
    enum rc rc = RC_OK;
    *a = (struct acting){.p = p,
                         .verb = act->verb,
                         .dry = act->dry_run,
                         .first = act->cursor[0] == '\0' && !act->dry_run,
                         .next = p->actings,
                         .done = done,
                         .arg = arg};
    if (a->next)
        a->next->prev = a;
    p->actings = a;
    p->n_actings++;
    a->timer = loop_timer_new(p->cfg.loop, on_timer, a);
    unsigned states = act->state ? listing_state(act->state) : verb->by_default;
    if (p->stopping)
        rc = err_set(&e, RC_AGAIN, "the gateway stops");
    else if (p->n_actings > AT_ONCE_MAX)
        rc = err_set(&e, RC_AGAIN, "too many such commands at once: try again");
    else if (states == 0 || (states & ~verb->allowed) != 0)
        rc = err_set(&e, RC_INVALID, "state: %s takes %s", verb->name, verb->states);
    a->rejected = states == LISTING_REJECTED;
    for (size_t i = 0; i < act->n_paths && rc == RC_OK; i++)
        add_row(a, act->paths[i])->phase = a->rejected ? REJECTED : BEGUN;
    if (rc != RC_OK) {
        finish(a, rc, &e);
    } else if (act->paths) {
        begin(a);
    } else {
        struct listing_query q = {.states = states,
                                  .match = act->match,
                                  .whole = true,
                                  .cursor = act->cursor,
                                  .limit = act->limit};
        listing_start(p, &q, chosen, chosen_all, a);
    }
}
