/* Pages of files: see listing.h. The ledger and the watcher are read on the loop's thread, a
 * bounded number of entries a page; rejected files, whose reasons are read from the disk, on the
 * pool. Changes nothing.
 */
#include "gateway/listing.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/pipeline_int.h"
#include "spool/reject.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Some 10 µs each on the loop's thread; on the pool. */
#define LOOKED_MAX          1000
#define LOOKED_REJECTED_MAX 10000
#define AT_ONCE_MAX         16
/* As JSON: half of what a reader takes, since a row of the ledger may be over it. */
#define BYTES_MAX  (2 << 20)
#define AFTER_SIZE 1032

struct listing {
    struct pipeline *p;
    struct listing_query q;
    void (*row)(void *arg, const struct listing_row *row);
    listing_done *done;
    void *arg;
    size_t rows, bytes, looked, skip, passed, source;
    bool more;
    char after[AFTER_SIZE]; /* the source's own cursor, in and out; "" at its end */
    enum rc rc;
    struct err err;
};

static bool wanted(const struct listing *l, const char *path)
{
    const char *match = l->q.match;
    return !match || fnmatch(match, path, 0) == 0 ||
           (l->q.whole ? strcmp(match, path) == 0 : strstr(path, match) != NULL);
}

/* At most, as JSON: escapes have six bytes. */
static size_t shown_bytes(const char *text)
{
    size_t n = 0;
    for (; text && *text; text++)
        n += *text >= ' ' && *text <= '~' && *text != '"' && *text != '\\' ? 1 : 6;
    return n;
}

static void tell(struct listing *l, const struct listing_row *row)
{
    if (!wanted(l, row->path))
        return;
    l->rows++;
    l->row(l->arg, row);
    l->bytes += shown_bytes(row->path) + shown_bytes(row->why) + 100;
    if (l->bytes > BYTES_MAX)
        l->q.limit = l->rows; /* it is full, whatever was asked for */
}

/* ---- where they come from ---- */

struct source {
    unsigned state;
    const char *name;
    int ledger; /* enum ledger_state, or one of these */
    bool paused, flowing;
};
enum { FROM_WATCHER = -1, FROM_STRANDED = -2, FROM_REJECTED = -3 };
static const struct source sources[] = {
    {LISTING_SETTLING, "settling", FROM_WATCHER, false, false},
    {LISTING_SENDING, "sending", LEDGER_SENDING, true, true},
    {LISTING_DEFERRED, "deferred", LEDGER_DEFERRED, true, true},
    {LISTING_ACCEPTED, "accepted", LEDGER_ACCEPTED, false, true},
    {LISTING_HELD, "held", LEDGER_HELD, true, true},
    {LISTING_HELD, "held", LEDGER_ACCEPTED, true, false},
    {LISTING_DELIVERED, "delivered", LEDGER_DELIVERED, true, true},
    {LISTING_FORGOTTEN, "forgotten", LEDGER_FORGOTTEN, true, true},
    {LISTING_REJECTED, "rejected", FROM_STRANDED, false, false},
    {LISTING_REJECTED, "rejected", FROM_REJECTED, false, false},
};
#define SOURCES (sizeof sources / sizeof sources[0])

unsigned listing_state(const char *name)
{
    for (size_t i = 0; i < SOURCES; i++) {
        if (strcmp(name, sources[i].name) == 0)
            return sources[i].state;
    }
    return 0;
}

/* ---- the watcher ---- */

/* KNOWN: the cursor is how many were passed over: with files coming and going meanwhile, some may
 * be seen twice or not at all. Most settle within seconds. */
static bool watcher_row(void *arg, const struct watcher_row *w)
{
    struct listing *l = arg;
    char text[STRANDED_WHY_SIZE];
    if (l->passed++ < l->skip)
        return true;
    if (l->rows == l->q.limit) {
        (void)snprintf(l->after, sizeof l->after, "%zu", l->passed - 1);
        return false;
    }
    const struct unmoved_file *f = wanted(l, w->path) ? stranded_row(l->p, w) : NULL;
    if ((f != NULL) != (sources[l->source].ledger == FROM_STRANDED))
        return true;
    int64_t age = (int64_t)(loop_now_ms(l->p->cfg.loop) - w->since_ms);
    struct listing_row row = {.path = w->path,
                              .why = f ? stranded_why(text, f) : w->why,
                              .code = f ? f->code : "",
                              .state_name = sources[l->source].name,
                              .state = sources[l->source].state,
                              .stranded = f != NULL,
                              .size = f ? (int64_t)f->id.size : -1,
                              .since_ns = clock_wall_now_ns() - age * CLOCK_NS_PER_MS};
    tell(l, &row);
    return true;
}

static void list_watcher(struct listing *l)
{
    l->skip = strtoul(l->after, NULL, 10);
    l->passed = 0;
    l->after[0] = '\0';
    watcher_each(l->p->watcher, watcher_row, l);
    l->looked += l->passed;
}

/* ---- the ledger ---- */

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

static bool any_paused(struct pipeline *p)
{
    struct queue *q = ledger_queue(p->ledger);
    for (unsigned i = 0; i < queue_lanes(q); i++) {
        if (queue_paused(q, i))
            return true;
    }
    return false;
}

static void ledger_row(struct listing *l, const struct source *s, const struct ledger_row *r)
{
    const char *pause = s->ledger == LEDGER_ACCEPTED ? lane_pause(l->p, r->path) : NULL;
    if (pause ? !s->paused : !s->flowing)
        return;
    struct listing_row row = {.path = r->path,
                              .why = pause ? pause : r->text,
                              .code = pause ? "" : r->code,
                              .state_name = s->name,
                              .state = s->state,
                              .paused = pause != NULL,
                              .size = (int64_t)r->size,
                              .since_ns = r->accepted_ns};
    tell(l, &row);
}

static void list_ledger(struct listing *l, const struct source *s)
{
    enum { PAGE = 64 };
    char cursor[64] = "";
    text_copy(cursor, sizeof cursor, l->after);
    l->after[0] = '\0';
    if (!s->flowing && !any_paused(l->p))
        return; /* not through all that waits for nothing */
    struct ledger_row *rows = mem_alloc(PAGE * sizeof *rows);
    do {
        size_t room = l->q.limit - l->rows < PAGE ? l->q.limit - l->rows : PAGE;
        size_t n = ledger_page(l->p->ledger, (enum ledger_state)s->ledger, cursor, rows, room);
        l->looked += n;
        for (size_t i = 0; i < n; i++)
            ledger_row(l, s, &rows[i]);
    } while (cursor[0] != '\0' && l->rows < l->q.limit && l->looked < LOOKED_MAX);
    free(rows);
    memcpy(l->after, cursor, sizeof cursor);
}

/* ---- the rejected ---- */

static bool rejected_row(void *arg, const struct reject_row *r)
{
    struct listing *l = arg;
    if (l->rows == l->q.limit || l->looked++ == LOOKED_REJECTED_MAX) {
        l->more = true;
        return false;
    }
    struct listing_row row = {.path = r->path,
                              .why = r->reason,
                              .code = r->code,
                              .state_name = "rejected",
                              .state = LISTING_REJECTED,
                              .size = (int64_t)r->size,
                              .since_ns = r->rejected_ns};
    tell(l, &row);
    text_copy(l->after, sizeof l->after, r->path);
    return true;
}

static void rejected_run(void *arg)
{
    struct listing *l = arg;
    char after[AFTER_SIZE];
    memcpy(after, l->after, sizeof after);
    l->looked = 0;
    l->rc = reject_each(&fsio_system, l->p->cfg.root_fd, after, rejected_row, l, &l->err);
    if (!l->more)
        l->after[0] = '\0';
}

/* ---- all of them ---- */

static void end(struct listing *l)
{
    struct pipeline *p = l->p;
    char cursor[LISTING_CURSOR_SIZE] = "", hex[2 * AFTER_SIZE + 1];
    hex_encode(hex, l->after, strlen(l->after)); /* a path may hold any bytes */
    if (l->source < SOURCES && l->rc == RC_OK)
        (void)snprintf(cursor, sizeof cursor, "%zu:%s", l->source, hex);
    l->done(l->arg, l->rc, cursor, &l->err);
    free((char *)(uintptr_t)l->q.match);
    p->n_listings--;
    free(l);
    dispatch_check_drained(p);
}

static void rejected_done(void *arg)
{
    struct listing *l = arg;
    if (l->after[0] == '\0')
        l->source++;
    end(l);
}

/* Source by source, until the page is full, its time is up, or the pool has to go on. */
static void list_all(struct listing *l)
{
    for (; l->source < SOURCES; l->source++, l->after[0] = '\0') {
        const struct source *s = &sources[l->source];
        if (!(s->state & l->q.states))
            continue;
        if (l->rows >= l->q.limit || l->looked >= LOOKED_MAX)
            break;
        if (s->ledger == FROM_REJECTED) {
            loop_work(l->p->cfg.loop, rejected_run, rejected_done, l);
            return;
        }
        if (s->ledger == FROM_WATCHER || s->ledger == FROM_STRANDED)
            list_watcher(l);
        else
            list_ledger(l, s);
        if (l->after[0] != '\0')
            break;
    }
    end(l);
}

static bool read_cursor(struct listing *l, const char *cursor)
{
    char *rest;
    if (cursor[0] == '\0')
        return true;
    l->source = strtoul(cursor, &rest, 10);
    if (*rest != ':' || l->source >= SOURCES)
        return false;
    size_t n = strlen(++rest);
    return n / 2 < sizeof l->after && hex_decode(l->after, n / 2, rest, n) == RC_OK;
}

void listing_start(struct pipeline *p, const struct listing_query *q,
                   void (*row)(void *arg, const struct listing_row *row), listing_done *done,
                   void *arg)
{
    struct listing *l = mem_alloc(sizeof *l);
    *l = (struct listing){.p = p, .q = *q, .row = row, .done = done, .arg = arg};
    l->q.match = q->match ? mem_strdup(q->match) : NULL;
    p->n_listings++;
    if (!read_cursor(l, q->cursor))
        l->rc = err_set(&l->err, RC_INVALID, "cursor: expected what the page before gave");
    l->q.cursor = NULL;
    if (l->rc == RC_OK && (p->n_listings > AT_ONCE_MAX || p->stopping))
        l->rc = err_set(&l->err, RC_AGAIN, "too many lists are being made at once: try again");
    if (l->rc != RC_OK)
        end(l);
    else
        list_all(l);
}
