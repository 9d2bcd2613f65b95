/* Counters and their JSON. Admin requests are not counted, so that looking changes nothing. */
#include "tests/fakes/devstore/stats.h"

#include <string.h>

void stats_request_begins(struct stats *s, enum operation op)
{
    uint64_t now, max;

    stats_add(&s->by_operation[op], 1);
    now = atomic_fetch_add_explicit(&s->requests_now, 1, memory_order_relaxed) + 1;
    max = atomic_load_explicit(&s->requests_max, memory_order_relaxed);
    while (now > max && !atomic_compare_exchange_weak(&s->requests_max, &max, now))
        ;
}

void stats_request_ends(struct stats *s)
{
    atomic_fetch_sub_explicit(&s->requests_now, 1, memory_order_relaxed);
}

void stats_answered(struct stats *s, int status)
{
    if (status > 0 && status < STATS_STATUS_MAX)
        stats_add(&s->by_status[status], 1);
    else
        stats_add(&s->answers_lost, 1);
}

void stats_reset(struct stats *s)
{
    _Atomic uint64_t *const counters[] = {
        &s->connections_total, &s->requests_max,  &s->puts_with_acl,
        &s->puts_without_acl,  &s->repeated_same, &s->repeated_other,
        &s->objects_stored,    &s->bytes_in,      &s->refused_unsigned_headers,
        &s->faults_fired,      &s->answers_lost,
    };

    for (size_t i = 0; i < OP_COUNT_; i++)
        atomic_store(&s->by_operation[i], 0);
    for (size_t i = 0; i < STATS_STATUS_MAX; i++)
        atomic_store(&s->by_status[i], 0);
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        atomic_store(counters[i], 0);
}

static void write_number(struct buf *out, const char *name, const _Atomic uint64_t *value)
{
    buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)atomic_load(value));
}

void stats_write_json(const struct stats *s, struct buf *out)
{
    const char *comma = "";
    uint64_t requests = 0;

    buf_adds(out, "{\"operations\":{");
    for (size_t i = 0; i < OP_COUNT_; i++) {
        uint64_t n = atomic_load(&s->by_operation[i]);
        requests += n;
        if (n == 0)
            continue;
        buf_addf(out, "%s\"%s\":%llu", comma, operation_name((enum operation)i),
                 (unsigned long long)n);
        comma = ",";
    }
    buf_adds(out, "},\"statuses\":{");
    comma = "";
    for (unsigned i = 0; i < STATS_STATUS_MAX; i++) {
        uint64_t n = atomic_load(&s->by_status[i]);
        if (n == 0)
            continue;
        buf_addf(out, "%s\"%u\":%llu", comma, i, (unsigned long long)n);
        comma = ",";
    }
    buf_addf(out, "},\"requests\":%llu", (unsigned long long)requests);
    write_number(out, "requests_now", &s->requests_now);
    write_number(out, "requests_max_concurrent", &s->requests_max);
    write_number(out, "connections_total", &s->connections_total);
    write_number(out, "connections_now", &s->connections_now);
    write_number(out, "objects_stored", &s->objects_stored);
    write_number(out, "puts_with_acl", &s->puts_with_acl);
    write_number(out, "puts_without_acl", &s->puts_without_acl);
    write_number(out, "repeated_same", &s->repeated_same);
    write_number(out, "repeated_other", &s->repeated_other);
    write_number(out, "bytes_in", &s->bytes_in);
    write_number(out, "refused_unsigned_headers", &s->refused_unsigned_headers);
    write_number(out, "faults_fired", &s->faults_fired);
    write_number(out, "answers_lost", &s->answers_lost);
    buf_adds(out, "}\n");
}
