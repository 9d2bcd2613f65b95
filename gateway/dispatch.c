/* From accepted to delivered: see pipeline_int.h.
 *
 * The pump runs just before the loop waits: it takes files from the ledger while the destination
 * has slots, hands them over in one batch, and acts on outcomes by advice. A delivered file is
 * retired only after its receipt is durable (P1); a file whose receipt could not be written is sent
 * again and found to be there (P5).
 */
#include "gateway/pipeline_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_AGAIN_MS 5000

struct dispatch_taken *dispatch_taken(struct ledger_file *f)
{
    if (!f->user)
        f->user = mem_alloc(sizeof(struct dispatch_taken));
    return f->user;
}

void dispatch_drop_taken(struct ledger_file *f)
{
    free(f->user);
    f->user = NULL;
}

/* ---- event types ---- */

/* Of the lane that is shared nothing is sent while there may be something in it that is not to be.
 */
static bool is_selected(const struct pipeline *p, const char *lane)
{
    return strcmp(lane, QUEUE_OTHERS) == 0 ? config_selects_all(p->config)
                                           : config_selects(p->config, lane, strlen(lane));
}

void dispatch_lanes(struct pipeline *p)
{
    struct queue *q = ledger_queue(p->ledger);
    unsigned n = queue_lanes(q);
    if (n == p->n_lanes)
        return;
    p->lanes = mem_resize(p->lanes, n, sizeof *p->lanes);
    for (unsigned i = p->n_lanes; i < n; i++) {
        const char *name = queue_lane_name(q, i);
        p->lanes[i] = (struct pipeline_lane){
            .selected = is_selected(p, name),
            .type = metrics_type(&p->metrics, name, strlen(name)),
        };
        queue_pause(q, i, p->lanes[i].selected ? NULL : "not selected");
    }
    p->n_lanes = n;
}

/* Those that were tried and wait for their next try are not in their lane, which a pause stops. */
static void put_back_deselected(struct pipeline *p)
{
    for (size_t i = p->n_deferred; i-- > 0;) { /* the last one takes the gap, and was looked at */
        struct ledger_file *f = p->deferred[i].file;
        if (p->lanes[f->lane].selected)
            continue;
        p->deferred[i] = p->deferred[--p->n_deferred];
        dispatch_put_back(p, f);
    }
}

void dispatch_lanes_anew(struct pipeline *p)
{
    dispatch_lanes(p);
    struct queue *q = ledger_queue(p->ledger);
    queue_reweigh(q);
    for (unsigned i = 0; i < p->n_lanes; i++) {
        const char *name = queue_lane_name(q, i);
        p->lanes[i].selected = is_selected(p, name);
        p->lanes[i].refused = false;
        p->lanes[i].suspects = (struct suspects){0};
        queue_pause(q, i, p->lanes[i].selected ? NULL : "not selected");
    }
    put_back_deselected(p);
    dispatch_want(p);
}

static void refuse_lane(struct pipeline *p, unsigned lane, const struct err *why)
{
    struct pipeline_lane *l = &p->lanes[lane];
    if (!l->refused)
        log_warning("prefix_refused",
                    F_STR("event_type", queue_lane_name(ledger_queue(p->ledger), lane)),
                    F_STR("code", why->code), F_STR("why", why->text));
    l->refused = true;
    l->probing = false;
    l->why = *why;
    l->probe_at_ms = loop_now_ms(p->cfg.loop) + PIPELINE_LANE_PROBE_MS;
    queue_pause(ledger_queue(p->ledger), lane, why->text);
}

static void allow_lane(struct pipeline *p, unsigned lane)
{
    for (unsigned i = 0; i < p->n_lanes; i++) {
        /* A success of one event type says nothing of another's prefix, but the others may be asked
         * at once. */
        if (p->lanes[i].refused && i != lane)
            p->lanes[i].probe_at_ms = 0;
    }
    p->lane_probe_at_ms = 0;
    if (!p->lanes[lane].refused)
        return;
    p->lanes[lane].refused = false;
    p->lanes[lane].probing = false;
    if (p->lanes[lane].selected)
        queue_pause(ledger_queue(p->ledger), lane, NULL);
}

bool dispatch_lane_is_stuck(const struct pipeline *p, unsigned lane)
{
    struct ledger_lane_counts c;
    if (!p->lanes[lane].refused || !p->lanes[lane].selected)
        return false;
    ledger_lane_counts(p->ledger, lane, &c);
    return c.files > 0;
}

/* ---- sending ---- */

static void submit(struct pipeline *p, struct ledger_file *f)
{
    struct buf key;
    buf_init(&key, LAYOUT_KEY_MAX + 1);
    layout_key(p->layout, f->path, f->path_len, &key);
    struct transfer_job *job = transfer_job_new((uint64_t)(uintptr_t)f, f->path, key.data, &f->id);
    buf_fini(&key);
    if (f->upload_id) {
        job->upload_id = mem_strdup(f->upload_id);
        job->part_bytes = f->part_bytes;
        memcpy(job->upload_terms, f->upload_terms, SHA256_SIZE);
        job->n_parts = f->n_parts;
        job->parts = mem_alloc(f->n_parts * sizeof *job->parts);
        for (size_t i = 0; i < f->n_parts; i++) {
            job->parts[i].number = f->parts[i].number;
            memcpy(job->parts[i].etag, f->parts[i].etag, sizeof job->parts[i].etag);
            memcpy(job->parts[i].sha256, f->parts[i].sha256, SHA256_SIZE);
        }
    }
    f->state = LEDGER_SENDING;
    if (f->first_try_ns == 0)
        f->first_try_ns = clock_wall_now_ns();
    p->n_sending++;
    destination_submit(p->destination, job);
}

void dispatch_put_back(struct pipeline *p, struct ledger_file *f)
{
    dispatch_drop_taken(f);
    ledger_put_back(p->ledger, f);
}

static void defer(struct pipeline *p, struct ledger_file *f, uint64_t delay_ms)
{
    /* KNOWN: with so many files failing one by one while others pass, those beyond the table are
     * tried again without a pause of their own. */
    if (p->n_deferred == PIPELINE_DEFERRED_MAX || p->stopping) {
        dispatch_put_back(p, f);
        return;
    }
    f->state = LEDGER_DEFERRED;
    uint64_t due = loop_now_ms(p->cfg.loop) + delay_ms;
    p->deferred[p->n_deferred++] = (struct pipeline_deferred){f, due};
    if (due < p->deferred_due_ms)
        p->deferred_due_ms = due;
}

static struct ledger_file *take_deferred(struct pipeline *p)
{
    uint64_t now = loop_now_ms(p->cfg.loop), next = UINT64_MAX;
    struct ledger_file *found = NULL;
    if (now < p->deferred_due_ms)
        return NULL;
    for (size_t i = 0; i < p->n_deferred;) {
        if (!found && p->deferred[i].due_ms <= now) {
            found = p->deferred[i].file;
            p->deferred[i] = p->deferred[--p->n_deferred];
            continue;
        }
        if (p->deferred[i].due_ms < next)
            next = p->deferred[i].due_ms;
        i++;
    }
    p->deferred_due_ms = next;
    return found;
}

void dispatch_deferred_now(struct pipeline *p)
{
    for (size_t i = 0; i < p->n_deferred; i++)
        p->deferred[i].due_ms = 0;
    p->deferred_due_ms = p->n_deferred > 0 ? 0 : UINT64_MAX;
    dispatch_want(p);
}

void dispatch_withdraw(struct pipeline *p, struct ledger_file *f)
{
    for (size_t i = 0; i < p->n_deferred; i++) {
        if (p->deferred[i].file != f)
            continue;
        p->deferred[i] = p->deferred[--p->n_deferred];
        suspects_drop(&p->lanes[f->lane].suspects, f->hash);
        dispatch_put_back(p, f);
        return;
    }
}

/* Whether one prefix is refused or all of them, the cost is the same: a request of each event type
 * every 30 s, at most one a second together, until one passes and the others are asked at once. The
 * newest and the oldest file by turns, since the refusal may be that of the one that was refused.
 * The event types in turn: of more than thirty the first ones are due again before the last was.
 * KNOWN: where it is both's own, the event type waits for a newer file. */
static struct ledger_file *take_probe(struct pipeline *p)
{
    uint64_t now = loop_now_ms(p->cfg.loop);
    if (now < p->lane_probe_at_ms)
        return NULL;
    for (unsigned n = 1; n <= p->n_lanes; n++) {
        unsigned i = (p->lane_probed + n) % p->n_lanes;
        struct pipeline_lane *l = &p->lanes[i];
        if (!l->refused || !l->selected || l->probing || l->probe_at_ms > now)
            continue;
        struct ledger_file *f = ledger_take_from(p->ledger, i, !l->probed_newest);
        if (!f)
            continue;
        l->probed_newest = !l->probed_newest;
        l->probing = true;
        p->lane_probed = i;
        p->lane_probe_at_ms = now + PIPELINE_LANE_PROBE_GAP_MS;
        dispatch_taken(f)->probe = true;
        return f;
    }
    return NULL;
}

static struct ledger_file *take_next(struct pipeline *p)
{
    struct ledger_file *f = take_deferred(p);
    if (!f)
        f = take_probe(p);
    if (!f)
        f = ledger_take(p->ledger);
    return f;
}

/* The next time at which something becomes due. What is due already waits for a slot, for its
 * event type to have a file, or for the journal, and whoever brings that calls dispatch_want: a
 * timer for it would go off at once, again and again. */
static uint64_t next_due_ms(const struct pipeline *p, uint64_t now)
{
    uint64_t times[] = {p->retire_again_ms, p->deferred_due_ms, p->journal_again_ms};
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (times[i] > now && times[i] < next)
            next = times[i];
    }
    for (unsigned i = 0; i < p->n_lanes; i++) {
        const struct pipeline_lane *l = &p->lanes[i];
        uint64_t at = l->probe_at_ms > p->lane_probe_at_ms ? l->probe_at_ms : p->lane_probe_at_ms;
        if (l->refused && l->selected && !l->probing && at > now && at < next)
            next = at;
    }
    return next;
}

static void swap_settings(struct pipeline *p);

static void pump(void *arg)
{
    struct pipeline *p = arg;
    if (!p->pump_wanted || !p->destination) /* the loop turns while the journal is closed */
        return;
    p->pump_wanted = false;
    if (p->fresh)
        swap_settings(p);
    if (p->stopping || p->swapping)
        return;
    dispatch_lanes(p);
    struct ledger_file *f;
    uint64_t now = loop_now_ms(p->cfg.loop);
    while (now >= p->retire_again_ms &&
           batch_outstanding(p->retirements) < PIPELINE_RETIRING_AGAIN_MAX &&
           (f = ledger_take_delivered(p->ledger)))
        retirement_start(p, f, NULL);
    /* What is in the bucket already is recorded before more is sent: a disk that refuses receipts
     * must not let them pile up without end, nor have the same files sent again and again. */
    bool journal_ok = !p->poisoned && now >= p->journal_again_ms;
    if (journal_ok)
        delivery_again(p);
    while (journal_ok && p->n_unrecorded == 0 && p->n_delivering < PIPELINE_RETIRING_MAX &&
           batch_outstanding(p->retirements) < PIPELINE_RETIRING_MAX &&
           destination_slots(p->destination) > 0 && (f = take_next(p)))
        submit(p, f);
    slice_patience(destination_slots(p->destination) == 0 &&
                   queue_total(ledger_queue(p->ledger)) > 0);
    slice_follow();
    uint64_t next = next_due_ms(p, now);
    if (next != UINT64_MAX)
        loop_timer_set(p->pump_timer, next - now);
}

static void pump_due(void *arg)
{
    dispatch_want(arg);
}

void dispatch_want(struct pipeline *p)
{
    p->pump_wanted = true;
}

/* ---- outcomes ---- */

static void deliver(struct pipeline *p, struct ledger_file *f, const struct transfer_outcome *o)
{
    log_debug("delivered", F_STR("key", o->key), F_U64("size", o->bytes), F_STR("etag", o->etag));
    if (dispatch_taken(f)->probe || p->lanes[f->lane].refused)
        allow_lane(p, f->lane);
    suspects_delivered(&p->lanes[f->lane].suspects, f->hash);
    delivery_start(p, f, o);
}

/* It is held or forgotten. Not durable: the ledger has put it back, and it is found out again, but
 * not at once. */
static void let_go(void *arg, enum rc rc)
{
    struct pipeline *p = arg;
    p->n_delivering--;
    if (rc != RC_OK)
        delivery_journal_failed(p);
    dispatch_want(p);
    dispatch_check_drained(p);
}

static void hold_file(struct pipeline *p, struct ledger_file *f, const struct transfer_outcome *o)
{
    const char *code = advice_hold_code(o);
    log_warning("held", F_STR("path", f->path), F_STR("code", code), F_STR("why", o->err.text));
    metrics_held(&p->metrics, p->lanes[f->lane].type, code, f->id.size);
    char path[RECORD_PATH_MAX + 1] = "";
    size_t n = f->changed ? f->path_len : 0; /* another one has its name: that one is not held */
    memcpy(path, f->path, n);
    suspects_drop(&p->lanes[f->lane].suspects, f->hash);
    dispatch_drop_taken(f);
    p->n_delivering++;
    ledger_hold(p->ledger, f, code, o->err.text, let_go, p);
    if (n > 0)
        watcher_look(p->watcher, path, n, 0);
}

static void forget(struct pipeline *p, struct ledger_file *f, const char *code, const char *text)
{
    suspects_drop(&p->lanes[f->lane].suspects, f->hash);
    dispatch_drop_taken(f);
    p->n_delivering++;
    ledger_forget(p->ledger, f, code, text, let_go, p);
}

static void refuse(struct pipeline *p, struct ledger_file *f, const struct transfer_outcome *o)
{
    switch (suspects_refused(&p->lanes[f->lane].suspects, f->hash)) {
    case SUSPECTS_TYPE:
        refuse_lane(p, f->lane, &o->err);
        dispatch_put_back(p, f);
        break;
    case SUSPECTS_FILE:
        defer(p, f, PIPELINE_LANE_PROBE_MS);
        break;
    case SUSPECTS_HOLD:
        hold_file(p, f, o);
        break;
    }
}

static void forget_and_look(struct pipeline *p, struct ledger_file *f, const char *code,
                            const char *text, uint64_t wait_ms)
{
    char path[RECORD_PATH_MAX + 1];
    size_t n = f->path_len < sizeof path ? f->path_len : sizeof path - 1;
    memcpy(path, f->path, n);
    forget(p, f, code, text);
    watcher_look(p->watcher, path, n, wait_ms);
}

static void reject_file_of(struct pipeline *p, struct ledger_file *f, const struct err *why)
{
    char path[RECORD_PATH_MAX + 1] = "";
    text_copy(path, sizeof path, f->path);
    struct identity id = f->id;
    forget(p, f, why->code, why->text);
    intake_reject(p, path, &id, why);
}

static void note_attempt(struct pipeline *p, struct ledger_file *f,
                         const struct transfer_outcome *o)
{
    f->attempts++;
    if (advice_is_its_own(o))
        dispatch_taken(f)->refusals++;
    p->counts.failed_attempts++;
    metrics_attempt_failed(&p->metrics, &o->err);
    int class = o->result == TRANSFER_ANSWERED ? (int)o->class : ANSWER_CLASS_COUNT_;
    ledger_attempt(p->ledger, f, class, &o->err);
}

unsigned dispatch_refusals(void *arg, uint64_t tag)
{
    (void)arg;
    struct ledger_file *f = (struct ledger_file *)(uintptr_t)tag;
    return f->user ? dispatch_taken(f)->refusals : 0;
}

/* The Retry-After of a store that throttles while others pass asks for fewer at once, which they
 * are from now on: a file need not wait it out (MinIO always says 60 s). When none pass any more,
 * the breaker does. */
static uint64_t own_wait_ms(const struct transfer_outcome *o)
{
    return o->class == ANSWER_THROTTLE ? 0 : o->retry_after_ms;
}

void dispatch_outcome(void *arg, const struct transfer_outcome *o, enum advice a)
{
    struct pipeline *p = arg;
    struct ledger_file *f = (struct ledger_file *)(uintptr_t)o->tag;
    BUG_ON(p->n_sending == 0);
    p->n_sending--;
    p->counts.requests += o->requests;
    p->lanes[f->lane].probing = false;
    if (o->result == TRANSFER_ANSWERED || o->result == TRANSFER_LOCAL)
        note_attempt(p, f, o);
    switch (a) {
    case ADVICE_DELIVER:
        deliver(p, f, o);
        break;
    case ADVICE_RESTART:
        ledger_upload_forgotten(p->ledger, f);
        defer(p, f, retry_delay_ms(f->attempts + 1, 0, &random_system));
        break;
    case ADVICE_DEFER:
        defer(p, f,
              o->result == TRANSFER_LOCAL
                  ? LOCAL_AGAIN_MS
                  : retry_delay_ms(f->attempts, own_wait_ms(o), &random_system));
        break;
    case ADVICE_REFUSED:
        refuse(p, f, o);
        break;
    case ADVICE_PUT_BACK:
        dispatch_put_back(p, f);
        break;
    case ADVICE_HOLD_FILE:
        hold_file(p, f, o);
        break;
    case ADVICE_REJECT_FILE:
        reject_file_of(p, f, &o->err);
        break;
    case ADVICE_LOOK_AGAIN:
        p->counts.changed++;
        forget_and_look(p, f, "changed", "it was changed after it was accepted", 0);
        break;
    case ADVICE_FORGET:
        p->counts.vanished++;
        log_warning("vanished", F_STR("path", f->path),
                    F_STR("why", "removed from the spool by someone else before it was sent"));
        /* Its directory may have been away for a moment, and scanned before this was known. */
        forget_and_look(p, f, "vanished", "it was removed before it could be sent",
                        f->changed ? 0 : p->config->settle_ms);
        break;
    }
    dispatch_want(p);
    dispatch_check_drained(p);
}

static_assert(LEDGER_UPLOAD_ID_MAX == TRANSFER_UPLOAD_ID_SIZE - 1, "");

static void part_recorded(void *arg, enum rc rc)
{
    struct pipeline_worker *w = arg;
    (void)rc; /* a part without a record is sent once more after a crash */
    if (w->pipeline->destination)
        destination_recorded(w->pipeline->destination, w->n);
}

void dispatch_progress(void *arg, const struct transfer_progress *pr)
{
    struct pipeline *p = arg;
    struct ledger_file *f = (struct ledger_file *)(uintptr_t)pr->tag;
    if (!pr->is_part) {
        if (pr->upload_id[0] != '\0')
            ledger_upload_created(p->ledger, f, pr->upload_id, pr->part_bytes, pr->upload_terms);
        else
            ledger_upload_forgotten(p->ledger, f);
        return;
    }
    struct ledger_part part = {.number = pr->part.number};
    memcpy(part.etag, pr->part.etag, sizeof part.etag);
    memcpy(part.sha256, pr->part.sha256, SHA256_SIZE);
    struct pipeline_worker *w = &p->workers[pr->worker];
    *w = (struct pipeline_worker){.pipeline = p, .n = pr->worker};
    ledger_part_stored(p->ledger, f, &part, part_recorded, w);
}

/* ---- settings, stopping ---- */

static void pause_pool(struct pipeline *p, bool paused)
{
    batch_pause(p->large, paused);
    batch_pause(p->admissions, paused);
    batch_pause(p->rejections, paused);
    batch_pause(p->retirements, paused);
}

static bool pool_is_busy(const struct pipeline *p)
{
    return batch_running(p->admissions) + batch_running(p->large) + batch_running(p->rejections) +
               batch_running(p->retirements) >
           0;
}

/* Pool threads and transfers read the settings, so they are swapped when none are at work. First
 * a large file's contents are read to their end, which may take minutes: the others go on
 * meanwhile, and wait only for the short rest of what is on the pool. */
static void swap_settings(struct pipeline *p)
{
    struct err e = {0};
    batch_pause(p->large, true);
    if (batch_running(p->large) > 0)
        return;
    pause_pool(p, true);
    p->swapping = !pool_is_busy(p);
    if (!p->swapping || p->n_sending > 0)
        return;
    enum rc rc = destination_reload(p->destination, p->fresh, &e);
    if (rc == RC_OK)
        p->config = p->fresh;
    p->fresh = NULL;
    p->swapping = false;
    pause_pool(p, false);
    if (rc == RC_OK) {
        dispatch_lanes_anew(p);
        stranded_look_anew(p);
    }
    p->reload_done(p->reload_arg, rc, &e);
    dispatch_deferred_now(p);
}

void dispatch_check_drained(struct pipeline *p)
{
    if (!p->stopping || p->drained_told)
        return;
    bool busy = p->n_sending > 0 || p->n_delivering > 0 || p->n_accepting > 0 ||
                batch_outstanding(p->retirements) > 0 || batch_outstanding(p->admissions) > 0 ||
                batch_outstanding(p->large) > 0 || batch_outstanding(p->rejections) > 0 ||
                p->housekeeping || p->n_actings + p->n_listings > 0 || p->reconciling;
    if (busy)
        return;
    if (p->n_unrecorded > 0) { /* a last try; those that fail are sent again after the start */
        delivery_again(p);
        return;
    }
    for (size_t i = 0; i < p->n_deferred; i++)
        dispatch_put_back(p, p->deferred[i].file);
    p->n_deferred = 0;
    p->drained_told = true;
    p->cfg.drained(p->cfg.arg);
}

void dispatch_init(struct pipeline *p)
{
    p->deferred_due_ms = UINT64_MAX;
    p->pump_timer = loop_timer_new(p->cfg.loop, pump_due, p);
    p->pump_prepare = loop_prepare_new(p->cfg.loop, pump, p);
}

void dispatch_free(struct pipeline *p)
{
    loop_prepare_free(p->pump_prepare);
    loop_timer_free(p->pump_timer);
    free(p->lanes);
}
