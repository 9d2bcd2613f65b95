/* From a candidate of the watcher to a file in our care: see pipeline_int.h.
 *
 * A candidate is looked at on the pool (admit_file), then ACCEPTED or REJECTED is made durable, and
 * only then is the watcher told that it is taken care of; whatever fails in between leaves the file
 * with the watcher, which brings it again. Large contents, which are minutes of reading, are read
 * one file after the other in a line of their own, so that no other file waits for them.
 */
#include "gateway/pipeline_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "spool/contents.h"
#include "spool/reject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADMISSIONS_A_BATCH 64
#define LARGE_WAITING_MAX  1024 /* of the watcher's window; the rest of it is for the others */
#define DENIED_AGAIN_MS    30000
#define ERROR_AGAIN_MS     5000
#define LARGE_AGAIN_MS     5000
#define UNSURE_AGAIN_MS    1000
#define BUSY_AGAIN_MIN_MS  1000 /* its CLOSE_WRITE comes sooner, unless it is lost */
#define WARNING_MS         60000

/* A candidate on its way through the pool. */
struct admission {
    struct pipeline *p;
    char *path;
    size_t n;
    enum admit_trust trust;
    struct admit_result result;
};

/* A record that is being made durable. */
struct recording {
    struct pipeline *p;
    char *path;
    size_t n;
    struct err why; /* of a rejection */
    unsigned type;  /* of metrics */
    struct identity id;
    bool candidate; /* the watcher awaits an answer */
    bool torn;      /* to be held */
};

/* A rejected file that is being moved away. */
struct rejection {
    struct pipeline *p;
    char *path;
    unsigned type;
    struct identity id; /* what was judged: a good file may have its name by now */
    struct err why, failure;
    enum rc rc;
    bool candidate;
};

bool intake_ignored(void *arg, const char *name)
{
    struct pipeline *p = arg;
    struct layout_ignore ignore = {(const char *const *)p->config->ignore, p->config->n_ignore};
    return layout_ignored(&ignore, name);
}

/* Is what lies there what is in our care? One that is still to be retired may have been taken aside
 * and put back, which changes its ctime: retirement looks at its bytes. What stays for good, kept
 * or forgotten, is the same when its file system has another number after a start; and what was
 * given up is not sent because it got another owner or mode (ctime). */
static bool is_same(const struct identity *id, const struct ledger_view *view)
{
    struct identity here = *id;
    bool forgotten = view->state == LEDGER_FORGOTTEN;
    if (view->kept || forgotten)
        here.dev = view->id.dev;
    return view->to_retire || forgotten ? identity_equal_moved(&here, &view->id)
                                        : identity_equal(&here, &view->id);
}

/* The same of a held one. It is not sent because it got another owner or mode (ctime), or since its
 * file system has another number after a start; what a power loss left of it is still held (P9). */
static bool is_same_held(const struct identity *id, const struct ledger_view *view)
{
    struct identity here = *id;
    here.dev = view->id.dev;
    return identity_equal_moved(&here, &view->id) || identity_is_torn(&view->id, id);
}

/* By who sent it: it is gone, or is to be held, and the record of that is on its way. */
static bool is_given_up(const struct ledger_view *view)
{
    return view->state == LEDGER_SENDING && view->moving;
}

bool intake_known(void *arg, const char *path, size_t n)
{
    struct pipeline *p = arg;
    struct ledger_view view;
    struct file_stat st;
    if (ledger_find(p->ledger, path, n, &view) != RC_OK)
        return false;
    /* Most of those were not there; and here it is. */
    if (is_given_up(&view))
        return fsio_system.ops->stat(fsio_system.ctx, p->cfg.root_fd, path, &st) >= 0 &&
               identity_is_torn(&view.id, &st.id);
    bool held = view.state == LEDGER_HELD;
    if ((!held && view.state != LEDGER_DELIVERED && view.state != LEDGER_FORGOTTEN) || view.file)
        return true;
    /* A held, kept or forgotten file is opened by nobody any more, which would show that it is
     * another by now. The path is only looked at; admission opens it with care. */
    return fsio_system.ops->stat(fsio_system.ctx, p->cfg.root_fd, path, &st) < 0 ||
           (held ? is_same_held(&st.id, &view) : is_same(&st.id, &view));
}

static bool wants_ndjson(void *arg, const char *event_type, size_t n)
{
    struct pipeline *p = arg;
    return config_type(p->config, event_type, n)->content == CONFIG_NDJSON;
}

/* ---- looking ---- */

static void admission_add(struct batch *to, struct pipeline *p, const char *path, size_t n,
                          enum admit_trust trust)
{
    struct admission *a = batch_add(to);
    a->p = p;
    a->path = mem_strndup(path, n);
    a->n = n;
    a->trust = trust;
}

void intake_candidate(void *arg, const char *path, size_t n, enum watcher_trust trust,
                      enum watcher_source source)
{
    struct pipeline *p = arg;
    (void)source;
    if (p->stopping)
        return; /* events go on until the watcher is freed; the next start finds the file */
    admission_add(p->admissions, p, path, n, trust == WATCHER_MOVED ? ADMIT_MOVED : ADMIT_QUIET);
}

static struct admit_cfg admission_rules(struct pipeline *p)
{
    return (struct admit_cfg){
        .fs = &fsio_system,
        .root_fd = p->cfg.root_fd,
        .layout = p->layout,
        .settle_ms = p->config->settle_ms,
        .size_max = p->config->limits.file_max,
        .wants_ndjson = wants_ndjson,
        .arg = p,
    };
}

static void admit_all(const struct admit_cfg *cfg, struct admission *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        admit_file(cfg, a[i].path, a[i].n, a[i].trust, clock_wall_now_ns(), &a[i].result);
}

static void admissions_run(void *arg, void *items, size_t n)
{
    struct admit_cfg cfg = admission_rules(arg);
    cfg.large_min = CONTENTS_HALVES_MIN;
    admit_all(&cfg, items, n);
}

/* A stop waits for the one that is being read, not for those behind it. */
static void large_run(void *arg, void *items, size_t n)
{
    struct pipeline *p = arg;
    struct admit_cfg cfg = admission_rules(p);
    if (!atomic_load(&p->stop_early))
        admit_all(&cfg, items, n);
}

/* ---- accepting ---- */

static struct recording *recording_new(struct pipeline *p, const char *path, size_t n)
{
    struct recording *r = mem_alloc(sizeof *r);
    r->p = p;
    r->path = mem_strndup(path, n);
    r->n = n;
    p->n_accepting++;
    return r;
}

static void recording_free(struct recording *r)
{
    r->p->n_accepting--;
    free(r->path);
    free(r);
}

/* Nothing can have taken it yet: it was queued a moment ago, and files are sent from the loop.
 * KNOWN: should the power fail again between the two records, it is sent. */
static void hold_torn(struct pipeline *p, const struct recording *r)
{
    const char *path = r->path;
    struct err why;
    (void)err_set(&why, RC_CORRUPT,
                  "It was delivered whole; this is what a power loss left of the file, which its "
                  "producer had not synced: remove it, or spoolgate forget it.");
    (void)snprintf(why.code, sizeof why.code, "shrunk");
    log_warning("held", F_STR("path", path), F_STR("code", why.code), F_STR("why", why.text));
    if (ledger_hold_path(p->ledger, path, r->n, &why, NULL, NULL) != RC_OK)
        log_error("hold_failed", F_STR("path", path)); /* then it is sent, under a name beside it */
    else
        metrics_held(&p->metrics, r->type, why.code, r->id.size);
}

static void accepted(void *arg, enum rc rc)
{
    struct recording *r = arg;
    struct pipeline *p = r->p;
    if (rc == RC_OK) {
        p->counts.accepted++;
        metrics_accepted(&p->metrics, r->type, r->id.size);
        p->journal_failed_ms = 0;
        if (r->torn)
            hold_torn(p, r);
        if (r->candidate)
            watcher_answer(p->watcher, r->path, r->n, WATCHER_DONE, 0);
        dispatch_want(p);
    } else {
        p->journal_failed_ms = loop_now_ms(p->cfg.loop);
        if (r->candidate)
            watcher_answer(p->watcher, r->path, r->n, WATCHER_AGAIN, UNSURE_AGAIN_MS);
        else
            watcher_look(p->watcher, r->path, r->n, UNSURE_AGAIN_MS);
    }
    recording_free(r);
    dispatch_check_drained(p);
}

/* The accepted file's record, with done accepted(). */
static void record_accepted(struct recording *r, const struct identity *id, struct layout_span type)
{
    char event_type[LEDGER_EVENT_TYPE_MAX + 1] = "";
    memcpy(event_type, r->path + type.at,
           type.n < sizeof event_type ? type.n : sizeof event_type - 1);
    r->type = metrics_type(&r->p->metrics, event_type, strlen(event_type));
    r->id = *id;
    ledger_accept(r->p->ledger, r->path, r->n, id, event_type, accepted, r);
}

void intake_hold_torn(struct pipeline *p, const char *path, const struct identity *id)
{
    struct layout_match m = {0}; /* a layout of today that does not know the path: no event type */
    size_t n = strlen(path);
    struct recording *r = recording_new(p, path, n);
    r->torn = true;
    if (layout_match(p->layout, path, n, &m, NULL) != RC_OK)
        m.event_type = (struct layout_span){0};
    record_accepted(r, id, m.event_type);
}

/* What is held, or about to be, is a person's to decide about, however its contents look by now:
 * what a power loss left of it may be no NDJSON, or pass for a file of its own (P9). */
static bool stays_held(struct pipeline *p, const struct admission *a,
                       const struct ledger_view *view)
{
    bool held = view->state == LEDGER_HELD && is_same_held(&a->result.id, view);
    if (!held && !(is_given_up(view) && identity_is_torn(&view->id, &a->result.id)))
        return false;
    watcher_answer(p->watcher, a->path, a->n, view->moving ? WATCHER_AGAIN : WATCHER_DONE,
                   UNSURE_AGAIN_MS);
    return true;
}

static void accept(struct pipeline *p, const struct admission *a)
{
    struct ledger_view view;
    bool torn = false;
    enum rc rc = ledger_find(p->ledger, a->path, a->n, &view);
    if (rc == RC_OK) {
        if (stays_held(p, a, &view))
            return;
        bool same = is_same(&a->result.id, &view);
        /* Long after, another file may have got the inode, with times of its own; its ctime tells.
         * One that is being retired may have been renamed by us, which sets ctime. */
        torn = view.state == LEDGER_DELIVERED && identity_is_torn(&view.id, &a->result.id) &&
               (!view.kept || a->result.id.ctime_ns <= view.id.ctime_ns);
        if (view.file && !same)
            view.file->changed = true;
        /* What is being written may say that it is not in our care any more, or that it is held:
         * ask again then. */
        if ((same || torn) && view.moving) {
            watcher_answer(p->watcher, a->path, a->n, WATCHER_AGAIN, UNSURE_AGAIN_MS);
            return;
        }
        if (same || view.file) {
            watcher_answer(p->watcher, a->path, a->n, WATCHER_DONE, 0);
            return;
        }
    } else if (rc != RC_ABSENT) { /* it cannot be told now */
        watcher_answer(p->watcher, a->path, a->n, WATCHER_AGAIN, UNSURE_AGAIN_MS);
        return;
    }
    struct recording *r = recording_new(p, a->path, a->n);
    r->candidate = true;
    r->torn = torn;
    record_accepted(r, &a->result.id, a->result.match.event_type);
}

/* ---- rejecting ----
 * Recorded, then moved. A file that cannot be moved stays with the watcher, and comes again: then
 * it is only to be moved. */

static void rejections_run(void *arg, void *items, size_t n)
{
    struct pipeline *p = arg;
    struct rejection *r = items;
    /* There may be very many, and a stop does not wait for them: the next start finds the rest. */
    for (size_t i = 0; i < n; i++) {
        const struct reject_what what = {
            .path = r[i].path, .id = &r[i].id, .why = &r[i].why, .now_ns = clock_wall_now_ns()};
        r[i].rc = atomic_load(&p->stop_early)
                      ? RC_CANCELLED
                      : reject_file(&fsio_system, p->cfg.root_fd, &what, &r[i].failure);
    }
}

static void rejected(struct pipeline *p, const struct rejection *r)
{
    p->counts.rejected++;
    p->rejected_files++;
    metrics_rejected(&p->metrics, r->type, r->why.code, r->id.size);
    log_warning("rejected", F_STR("path", r->path), F_STR("code", r->why.code),
                F_STR("why", r->why.text));
}

/* The pause until the next try. */
static uint64_t not_moved(struct pipeline *p, const struct rejection *r)
{
    const struct unmoved_file *before = unmoved_find(p->unmoved, r->path, &r->id);
    if (!before || !before->failure)
        log_error("reject_failed", F_STR("path", r->path), F_STR("why", r->failure.text));
    return unmoved_failed(p->unmoved, r->path, &r->id, &r->why, r->failure.text);
}

static void rejection_done(struct pipeline *p, const struct rejection *r)
{
    enum watcher_verdict v = WATCHER_AGAIN;
    uint64_t wait_ms = UNSURE_AGAIN_MS;
    if (r->rc == RC_OK)
        rejected(p, r);
    if (r->rc == RC_OK || r->rc == RC_ABSENT || r->rc == RC_CHANGED)
        unmoved_drop(p->unmoved, r->path, &r->id);
    if (r->rc == RC_OK || r->rc == RC_ABSENT) {
        v = WATCHER_DONE;
    } else if (r->rc != RC_CHANGED && r->rc != RC_CANCELLED) {
        v = WATCHER_STUCK;
        wait_ms = not_moved(p, r);
    }
    if (r->candidate)
        watcher_answer(p->watcher, r->path, strlen(r->path), v, wait_ms);
    else if (v != WATCHER_DONE)
        watcher_look(p->watcher, r->path, strlen(r->path), wait_ms);
}

static void rejections_done(void *arg, void *items, size_t n)
{
    struct pipeline *p = arg;
    struct rejection *r = items;
    for (size_t i = 0; i < n; i++) {
        rejection_done(p, &r[i]);
        free(r[i].path);
    }
    dispatch_want(p);
    dispatch_check_drained(p);
}

static void rejection_recorded(void *arg, enum rc rc)
{
    struct recording *r = arg;
    struct pipeline *p = r->p;
    if (rc == RC_OK) {
        unmoved_recorded(p->unmoved, r->path, &r->id);
        struct rejection *move = batch_add(p->rejections);
        p->rejections_begun++;
        move->p = p;
        move->path = mem_strndup(r->path, r->n);
        move->type = r->type;
        move->id = r->id;
        move->why = r->why;
        move->candidate = r->candidate;
    } else if (r->candidate) {
        watcher_answer(p->watcher, r->path, r->n, WATCHER_AGAIN, UNSURE_AGAIN_MS);
    } else {
        watcher_look(p->watcher, r->path, r->n, UNSURE_AGAIN_MS);
    }
    recording_free(r);
    dispatch_check_drained(p);
}

static void reject(struct pipeline *p, const char *path, const struct identity *id,
                   const struct err *why, bool candidate)
{
    size_t n = strlen(path);
    struct recording *r = recording_new(p, path, n);
    struct layout_match m = {0};
    if (layout_match(p->layout, path, n, &m, NULL) != RC_OK)
        m.event_type = (struct layout_span){0};
    r->type = metrics_type(&p->metrics, path + m.event_type.at, m.event_type.n);
    r->id = *id;
    r->why = *why;
    r->candidate = candidate;
    const struct unmoved_file *before = unmoved_find(p->unmoved, path, id);
    if (before && before->recorded) {
        rejection_recorded(r, RC_OK);
        return;
    }
    /* A path may be too long to be a key, which is why it is here; its record has the beginning. */
    size_t told = n < RECORD_PATH_MAX ? n : RECORD_PATH_MAX;
    ledger_reject(p->ledger, path, told, id, why->code, why->text, rejection_recorded, r);
}

void intake_reject(struct pipeline *p, const char *path, const struct identity *id,
                   const struct err *why)
{
    /* Whenever the watcher brings it before it is moved: it must not be sent again. */
    unmoved_condemn(p->unmoved, path, id, why);
    reject(p, path, id, why, false);
}

/* What admission has nothing against may have been condemned by the store. */
static bool reject_condemned(struct pipeline *p, const struct admission *a)
{
    const struct unmoved_file *f = unmoved_find(p->unmoved, a->path, &a->result.id);
    if (!f || !f->condemned)
        return false;
    reject(p, a->path, &a->result.id, f->condemned, true);
    return true;
}

/* ---- what was seen ---- */

/* Such files stay, and each has its own words, at each look: one line a minute for all of them. */
static bool may_warn(const struct pipeline *p, uint64_t *said_ms)
{
    uint64_t now_ms = loop_now_ms(p->cfg.loop);
    if (*said_ms != 0 && now_ms - *said_ms < WARNING_MS)
        return false;
    *said_ms = now_ms;
    return true;
}

static void denied(struct pipeline *p, const struct admission *a)
{
    p->counts.denied++;
    if (strcmp(p->denied_why.text, a->result.err.text) != 0 && may_warn(p, &p->denied_said_ms))
        log_warning("denied", F_STR("why", a->result.err.text));
    p->denied_why = a->result.err;
    p->denied_ms = loop_now_ms(p->cfg.loop);
    watcher_answer(p->watcher, a->path, a->n, WATCHER_STUCK, DENIED_AGAIN_MS);
}

static void read_large(struct pipeline *p, const struct admission *a)
{
    if (batch_outstanding(p->large) >= LARGE_WAITING_MAX) {
        watcher_answer(p->watcher, a->path, a->n, WATCHER_AGAIN, LARGE_AGAIN_MS);
        return;
    }
    admission_add(p->large, p, a->path, a->n, a->trust);
}

static void busy(struct pipeline *p, const struct admission *a)
{
    uint64_t wait_ms = p->config->settle_ms;
    watcher_answer(p->watcher, a->path, a->n, WATCHER_AGAIN,
                   wait_ms > BUSY_AGAIN_MIN_MS ? wait_ms : BUSY_AGAIN_MIN_MS);
}

static void act_on_verdict(struct pipeline *p, const struct admission *a)
{
    struct ledger_view view;
    if (p->stopping) {
        watcher_answer(p->watcher, a->path, a->n, WATCHER_AGAIN, UNSURE_AGAIN_MS);
        return;
    }
    switch (a->result.verdict) {
    case ADMIT_OK:
        if (!reject_condemned(p, a))
            accept(p, a);
        break;
    case ADMIT_LARGE:
        read_large(p, a);
        break;
    case ADMIT_BUSY:
        busy(p, a);
        break;
    case ADMIT_LINKED:
    case ADMIT_FRESH:
        watcher_answer(p->watcher, a->path, a->n, WATCHER_AGAIN, a->result.wait_ms);
        break;
    case ADMIT_REJECT:
        if (ledger_find(p->ledger, a->path, a->n, &view) != RC_OK || !stays_held(p, a, &view))
            reject(p, a->path, &a->result.id, &a->result.err, true);
        break;
    case ADMIT_GONE:
        watcher_answer(p->watcher, a->path, a->n, WATCHER_DONE, 0);
        break;
    case ADMIT_DENIED:
        denied(p, a);
        break;
    case ADMIT_ERROR:
        if (may_warn(p, &p->admission_said_ms))
            log_warning("admission_failed", F_STR("why", a->result.err.text));
        watcher_answer(p->watcher, a->path, a->n, WATCHER_STUCK, ERROR_AGAIN_MS);
        break;
    }
}

static void admissions_done(void *arg, void *items, size_t n)
{
    struct pipeline *p = arg;
    struct admission *a = items;
    for (size_t i = 0; i < n; i++) {
        act_on_verdict(p, &a[i]);
        free(a[i].path);
    }
    dispatch_want(p);
    dispatch_check_drained(p);
}

void intake_init(struct pipeline *p)
{
    struct batch_cfg admissions = {
        .loop = p->cfg.loop,
        .item_bytes = sizeof(struct admission),
        .items_max = ADMISSIONS_A_BATCH,
        .parallel = 2,
        .run = admissions_run,
        .done = admissions_done,
        .arg = p,
    };
    p->admissions = batch_new(&admissions);
    struct batch_cfg large = admissions;
    large.items_max = 1;
    large.parallel = 1; /* two threads read it (spool/contents.h) */
    large.run = large_run;
    p->large = batch_new(&large);
    struct batch_cfg rejections = admissions;
    rejections.item_bytes = sizeof(struct rejection);
    rejections.items_max = 16;
    rejections.parallel = 1;
    rejections.run = rejections_run;
    rejections.done = rejections_done;
    p->rejections = batch_new(&rejections);
    stranded_init(p);
}

void intake_free(struct pipeline *p)
{
    batch_free(p->admissions);
    batch_free(p->large);
    batch_free(p->rejections);
    unmoved_free(p->unmoved);
}
