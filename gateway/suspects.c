/* The files of an event type that were refused last: see suspects.h. */
#include "gateway/suspects.h"

#include <stddef.h>
#include <string.h>

static struct suspect *find(struct suspects *s, uint64_t hash)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->at[i].hash == hash)
            return &s->at[i];
    }
    return NULL;
}

static void forget(struct suspects *s, struct suspect *x)
{
    s->n--;
    memmove(x, x + 1, (size_t)(&s->at[s->n] - x) * sizeof *x);
}

static void add(struct suspects *s, uint64_t hash)
{
    struct suspect *least = &s->at[0];
    for (unsigned i = 1; i < s->n; i++) {
        if (s->at[i].times <= least->times)
            least = &s->at[i];
    }
    if (s->n == SUSPECTS_MAX)
        forget(s, least);
    s->at[s->n++] = (struct suspect){.hash = hash};
}

enum suspects_verdict suspects_refused(struct suspects *s, uint64_t hash)
{
    struct suspect *x = find(s, hash);
    if (!x)
        add(s, hash);
    if (!x || !x->passed)
        return SUSPECTS_TYPE;
    x->passed = false;
    if (++x->times < SUSPECTS_TRIES)
        return SUSPECTS_FILE;
    forget(s, x);
    return SUSPECTS_HOLD;
}

void suspects_delivered(struct suspects *s, uint64_t hash)
{
    suspects_drop(s, hash);
    for (unsigned i = 0; i < s->n; i++)
        s->at[i].passed = true;
}

void suspects_drop(struct suspects *s, uint64_t hash)
{
    struct suspect *x = find(s, hash);
    if (x)
        forget(s, x);
}
