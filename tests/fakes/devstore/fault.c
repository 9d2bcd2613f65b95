/* Fault rules: a table under a lock, looked at for every request while there is at least one.
 *
 * Invariant: a rule counts every request that it matches, whether or not it fires, so that nth is
 * the n-th such request since the rule was added.
 */
#include "tests/fakes/devstore/fault.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/units.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 256
#define SPEC_MAX  1024

const char fault_help[] =
    "A fault SPEC is a comma-separated list of which requests and what befalls them:\n"
    "  op=NAME            only this operation (PutObject, UploadPart, GetObject, …)\n"
    "  prefix=P           only keys that begin with P\n"
    "  nth=N              from the N-th such request on (1 is the next one)\n"
    "  count=N            N times (1 if nth is given, else without end)\n"
    "  probability=0.05   with this chance each time\n"
    "  status=503         answer with this status, without doing the work\n"
    "  code=SlowDown      and with this S3 error code (its usual status if none is given)\n"
    "  retry-after=2      and with this Retry-After\n"
    "  latency=100ms      answer so much later; jitter=50ms adds up to so much more\n"
    "  slow=BYTES         read the body and send the answer at so many bytes a second\n"
    "  skew=20min         the server's clock is ahead by so much (-20min: behind)\n"
    "  reset              reset the connection instead of doing the work\n"
    "  store-then-reset   do the work, then reset: the answer is lost\n"
    "  reset-after=N      do the work, reset after N bytes of the answer\n"
    "  truncate=N         do the work, close after N bytes of the answer's body\n"
    "  wrong-length[=N]   do the work, announce N (64) bytes more than are sent; -N: fewer\n"
    "  blackhole          read everything, never answer\n"
    "  error200           200 whose body is an <Error> (InternalError, or code=)\n"
    "  garbage            200 whose body is no XML\n"
    "  endless            200 whose body never ends\n";

struct rule {
    int op; /* -1: any */
    char prefix[256];
    uint64_t nth, count; /* count 0: without end */
    double probability;
    int64_t jitter_ms;
    uint64_t seen, fired;
    struct fault_effect effect;
};

struct faults {
    pthread_mutex_t lock;
    _Atomic size_t n; /* read without the lock to see that there is nothing to do */
    struct rule rules[RULES_MAX];
};

struct faults *faults_new(void)
{
    struct faults *f = mem_alloc(sizeof *f);

    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void faults_free(struct faults *f)
{
    if (f == NULL)
        return;
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void faults_clear(struct faults *f)
{
    pthread_mutex_lock(&f->lock);
    f->n = 0;
    pthread_mutex_unlock(&f->lock);
}

static bool parse_number(const char *s, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(s, &end, 10);
    return *s != '\0' && *end == '\0' && errno == 0;
}

static bool parse_duration(const char *s, int64_t *ms)
{
    bool negative = *s == '-';
    uint64_t v;

    if (units_parse_duration(s + negative, &v) != RC_OK)
        return false;
    *ms = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

static int find_operation(const char *name)
{
    for (int i = 0; i < OP_COUNT_; i++)
        if (strcmp(operation_name((enum operation)i), name) == 0)
            return i;
    return -1;
}

static bool set_word(struct fault_effect *e, const char *name)
{
    struct {
        const char *name;
        bool *flag;
    } words[] = {
        {"reset", &e->reset},         {"store-then-reset", &e->store_then_reset},
        {"blackhole", &e->blackhole}, {"error200", &e->error200},
        {"garbage", &e->garbage},     {"endless", &e->endless},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].name, name) == 0) {
            *words[i].flag = true;
            return true;
        }
    }
    if (strcmp(name, "wrong-length") != 0)
        return false;
    e->wrong_length = 64;
    return true;
}

/* Values with a number; false: no such name, or no such number. */
static bool set_number(struct rule *r, const char *name, const char *value)
{
    struct fault_effect *e = &r->effect;
    int64_t n;

    if (!parse_number(value, &n))
        return false;
    if (strcmp(name, "wrong-length") == 0) {
        e->wrong_length = n;
        return n != 0;
    }
    if (n < 0)
        return false;
    if (strcmp(name, "nth") == 0)
        r->nth = (uint64_t)n;
    else if (strcmp(name, "count") == 0)
        r->count = (uint64_t)n;
    else if (strcmp(name, "status") == 0 && n >= 100 && n < 600)
        e->status = (int)n;
    else if (strcmp(name, "retry-after") == 0 && n < 1000000)
        e->retry_after_s = (unsigned)n;
    else if (strcmp(name, "slow") == 0)
        e->slow = n;
    else if (strcmp(name, "reset-after") == 0)
        e->reset_after = n;
    else if (strcmp(name, "truncate") == 0)
        e->truncate = n;
    else
        return false;
    return true;
}

static bool set_value(struct rule *r, const char *name, const char *value)
{
    char *end;

    if (strcmp(name, "op") == 0) {
        r->op = find_operation(value);
        return r->op >= 0;
    }
    if (strcmp(name, "prefix") == 0)
        return snprintf(r->prefix, sizeof r->prefix, "%s", value) < (int)sizeof r->prefix;
    if (strcmp(name, "code") == 0)
        return snprintf(r->effect.code, sizeof r->effect.code, "%s", value) <
               (int)sizeof r->effect.code;
    if (strcmp(name, "latency") == 0)
        return parse_duration(value, &r->effect.latency_ms) && r->effect.latency_ms >= 0;
    if (strcmp(name, "jitter") == 0)
        return parse_duration(value, &r->jitter_ms) && r->jitter_ms >= 0;
    if (strcmp(name, "skew") == 0) {
        bool ok = parse_duration(value, &r->effect.skew_s);
        r->effect.skew_s /= 1000;
        return ok;
    }
    if (strcmp(name, "probability") == 0) {
        r->probability = strtod(value, &end);
        return *value != '\0' && *end == '\0' && r->probability >= 0 && r->probability <= 1;
    }
    return set_number(r, name, value);
}

enum rc faults_add(struct faults *f, const char *spec, struct err *e)
{
    struct rule r = {.op = -1, .nth = 0, .probability = 1};
    char text[SPEC_MAX];
    enum rc rc = RC_OK;

    r.effect = (struct fault_effect){.any = true, .reset_after = -1, .truncate = -1};
    if (snprintf(text, sizeof text, "%s", spec) >= (int)sizeof text)
        return err_set(e, RC_LIMIT, "the fault is longer than %d characters", SPEC_MAX - 1);
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0')
        return err_set(e, RC_INVALID, "the fault is empty; devstore --help shows the grammar");
    for (char *part = text, *next; part != NULL; part = next) {
        next = strchr(part, ',');
        if (next != NULL)
            *next++ = '\0';
        char *value = strchr(part, '=');
        if (value != NULL)
            *value++ = '\0';
        if (value != NULL ? !set_value(&r, part, value) : !set_word(&r.effect, part))
            return err_set(e, RC_INVALID,
                           "the fault's part \"%.60s%s%.60s\" is not understood; "
                           "devstore --help shows the grammar",
                           part, value != NULL ? "=" : "", value != NULL ? value : "");
    }
    if (r.nth > 0 && r.count == 0)
        r.count = 1;
    pthread_mutex_lock(&f->lock);
    if (f->n < RULES_MAX)
        f->rules[f->n++] = r;
    else
        rc = err_set(e, RC_LIMIT, "there are %d faults already", RULES_MAX);
    pthread_mutex_unlock(&f->lock);
    return rc;
}

static bool fires(struct rule *r)
{
    r->seen++;
    if (r->seen < r->nth || (r->count > 0 && r->fired >= r->count))
        return false;
    if (r->probability < 1 && (double)random_below(1000000) >= r->probability * 1e6)
        return false;
    r->fired++;
    return true;
}

static void merge(struct fault_effect *to, const struct rule *r)
{
    const struct fault_effect *from = &r->effect;

    to->any = true;
    if (to->status == 0 && to->code[0] == '\0') {
        to->status = from->status;
        memcpy(to->code, from->code, sizeof to->code);
        to->retry_after_s = from->retry_after_s;
    }
    to->latency_ms += from->latency_ms;
    if (r->jitter_ms > 0)
        to->latency_ms +=
            random_below(r->jitter_ms < UINT32_MAX ? (uint32_t)r->jitter_ms + 1 : UINT32_MAX);
    to->skew_s += from->skew_s;
    if (to->slow == 0)
        to->slow = from->slow;
    if (to->reset_after < 0)
        to->reset_after = from->reset_after;
    if (to->truncate < 0)
        to->truncate = from->truncate;
    if (to->wrong_length == 0)
        to->wrong_length = from->wrong_length;
    to->reset |= from->reset;
    to->store_then_reset |= from->store_then_reset;
    to->blackhole |= from->blackhole;
    to->error200 |= from->error200;
    to->garbage |= from->garbage;
    to->endless |= from->endless;
}

void faults_match(struct faults *f, enum operation op, const char *key, size_t key_len,
                  struct fault_effect *out)
{
    *out = (struct fault_effect){.reset_after = -1, .truncate = -1};
    if (atomic_load_explicit(&f->n, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n; i++) {
        struct rule *r = &f->rules[i];
        size_t prefix_len = strlen(r->prefix);
        if (r->op >= 0 && r->op != (int)op)
            continue;
        if (prefix_len > key_len || memcmp(key, r->prefix, prefix_len) != 0)
            continue;
        if (fires(r))
            merge(out, r);
    }
    pthread_mutex_unlock(&f->lock);
}
