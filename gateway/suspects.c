/* The files of an event type that were refused last: see suspects.h. */
#include "gateway/suspects.h"

#include <stddef.h>

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
    *x = s->at[--s->n];
    s->next = 0;
}

enum suspects_verdict suspects_refused(struct suspects *s, uint64_t hash)
{
    struct suspect *x = find(s, hash);
    if (!x) {
        x = &s->at[s->n < SUSPECTS_MAX ? s->n++ : s->next++ % SUSPECTS_MAX];
        *x = (struct suspect){.hash = hash};
        return SUSPECTS_TYPE;
    }
    if (!x->passed)
        return SUSPECTS_TYPE;
    x->passed = false;
    if (++x->times < SUSPECTS_TRIES)
        return SUSPECTS_FILE;
    forget(s, x);
    return SUSPECTS_HOLD;
}

void suspects_delivered(struct suspects *s, uint64_t hash)
{
    struct suspect *x = find(s, hash);
    if (x)
        forget(s, x);
    for (unsigned i = 0; i < s->n; i++)
        s->at[i].passed = true;
}
