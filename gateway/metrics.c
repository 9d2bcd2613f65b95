/* Counting: see metrics.h. Files of one event type come in a row, so the last row is looked at
 * first.
 */
#include "gateway/metrics.h"

#include "uploader/tally.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Of rejections those of the layout, of admission and of the store; of files held; then the
 * others'. */
static const char *const reasons[] = {
    "content",         "control",        "date",    "depth",    "dots",   "kind",
    "links",           "name",           "size",    "too-long", "utf8",   "KeyTooLong",
    "KeyTooLongError", "EntityTooLarge", "by-hand", "conflict", "digest", "refused",
    "shrunk",          METRICS_OTHER,
};
_Static_assert(COUNT(reasons) <= METRICS_REASONS_MAX, "reasons");

/* ---- event types ---- */

static bool is_type(const struct metrics *m, unsigned type, const char *name, size_t n)
{
    return m->types[type].n == n && memcmp(m->types[type].name, name, n) == 0;
}

static unsigned others(struct metrics *m)
{
    m->others = true;
    return METRICS_TYPES_MAX;
}

unsigned metrics_type(struct metrics *m, const char *event_type, size_t n)
{
    if (n == 0) {
        event_type = METRICS_NO_TYPE;
        n = strlen(METRICS_NO_TYPE);
    }
    if (m->recent < m->n_types && is_type(m, m->recent, event_type, n))
        return m->recent;
    /* Two rows of one name would be two series of one name, and the page would be refused. */
    bool is_others = n == strlen(METRICS_OTHER) && memcmp(event_type, METRICS_OTHER, n) == 0;
    if (n >= METRICS_TYPE_SIZE || is_others)
        return others(m);
    unsigned i = 0;
    while (i < m->n_types && !is_type(m, i, event_type, n))
        i++;
    if (i == METRICS_TYPES_MAX)
        return others(m);
    if (i == m->n_types) {
        memcpy(m->types[i].name, event_type, n);
        m->types[i].n = n;
        m->n_types++;
    }
    m->recent = i;
    return i;
}

bool metrics_has_type(const struct metrics *m, unsigned type)
{
    return type < m->n_types || (type == METRICS_TYPES_MAX && m->others);
}

const char *metrics_type_name(const struct metrics *m, unsigned type)
{
    return type < METRICS_TYPES_MAX ? m->types[type].name : METRICS_OTHER;
}

/* ---- files ---- */

static void add(struct metrics_sum *s, uint64_t bytes)
{
    s->files++;
    s->bytes += bytes;
}

void metrics_accepted(struct metrics *m, unsigned type, uint64_t bytes)
{
    add(&m->types[type].accepted, bytes);
}

void metrics_delivered(struct metrics *m, const struct metrics_delivery *d)
{
    int64_t since =
        d->closed_ns > 0 && d->closed_ns < d->accepted_ns ? d->closed_ns : d->accepted_ns;
    uint64_t us = d->delivered_ns > since ? (uint64_t)(d->delivered_ns - since) / 1000 : 0;
    add(&m->types[d->type].delivered, d->bytes);
    histogram_add(&m->journey, &histogram_journey, us);
    m->types[d->type].late += us > METRICS_OBJECTIVE_US;
}

static unsigned row_of(const char *reason)
{
    unsigned i = 0;
    while (i < COUNT(reasons) - 1 && strcmp(reasons[i], reason) != 0)
        i++;
    return i;
}

const char *metrics_reason(unsigned row)
{
    return row < COUNT(reasons) ? reasons[row] : NULL;
}

void metrics_rejected(struct metrics *m, unsigned type, const char *reason, uint64_t bytes)
{
    add(&m->rejected.sums[type][row_of(reason)], bytes);
}

void metrics_held(struct metrics *m, unsigned type, const char *reason, uint64_t bytes)
{
    add(&m->held.sums[type][row_of(reason)], bytes);
}

/* ---- attempts ---- */

static const char *code_of(const struct err *why)
{
    struct answer_facts f = {.status = why->http_status, .code = why->code};
    if (why->http_status == 0 && why->rc != RC_NET)
        return rc_name(why->rc); /* of this machine */
    for (int i = 1; i < HTTP_FAILURE_COUNT_ && why->rc == RC_NET; i++) {
        f.transport = RC_NET;
        if (strcmp(http_failure_code((enum http_failure)i), why->code) == 0)
            f.failure = (enum http_failure)i;
    }
    return tally_code(&f, ANSWER_RETRY);
}

void metrics_attempt_failed(struct metrics *m, const struct err *why)
{
    const char *code = code_of(why);
    if (m->n_failed >= METRICS_CODES_MAX - 1)
        code = METRICS_OTHER;
    unsigned i = 0;
    while (i < m->n_failed && strcmp(m->failed[i].code, code) != 0)
        i++;
    if (i == m->n_failed) {
        m->failed[i].code = code;
        m->n_failed++;
    }
    m->failed[i].n++;
}
