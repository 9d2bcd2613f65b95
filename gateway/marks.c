/* Open addressing: see marks.h. A slot is a hash whose lowest bits are its flags, 0 an empty one.
 * The table grows and never shrinks, and is never full: seeking ends. */
#include "gateway/marks.h"

#include "base/mem.h"
#include "base/rc.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 64 };

struct marks {
    uint64_t *slots; /* a power of two of them */
    size_t count, n, max;
};

struct marks *marks_new(size_t max)
{
    struct marks *m = mem_alloc(sizeof *m);
    m->max = max;
    m->count = SLOTS_FIRST;
    m->slots = mem_alloc(m->count * sizeof *m->slots);
    return m;
}

void marks_free(struct marks *m)
{
    free(m->slots);
    free(m);
}

static size_t home(const struct marks *m, uint64_t hash)
{
    return (hash / (MARKS_FLAGS + 1)) & (m->count - 1);
}

static size_t next(const struct marks *m, size_t at)
{
    return (at + 1) & (m->count - 1);
}

/* Its slot, or the empty one that it would get. */
static size_t seek(const struct marks *m, uint64_t hash)
{
    size_t at = home(m, hash);
    while (m->slots[at] && (m->slots[at] ^ hash) > MARKS_FLAGS)
        at = next(m, at);
    return at;
}

/* Those behind it that it kept from their home move up. */
static void empty(struct marks *m, size_t hole)
{
    size_t mask = m->count - 1;
    for (size_t at = next(m, hole); m->slots[at]; at = next(m, at)) {
        size_t way = (at - home(m, m->slots[at])) & mask;
        if (way < ((at - hole) & mask))
            continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole] = 0;
    m->n--;
}

static void grow(struct marks *m)
{
    uint64_t *old = m->slots;
    size_t count = m->count;
    m->count *= 2;
    m->slots = mem_alloc(m->count * sizeof *m->slots);
    for (size_t i = 0; i < count; i++) {
        if (old[i])
            m->slots[seek(m, old[i])] = old[i];
    }
    free(old);
}

static void make_room(struct marks *m, uint64_t hash)
{
    if (m->n >= m->max) {
        size_t at = home(m, hash);
        while (!m->slots[at])
            at = next(m, at);
        empty(m, at);
    } else if (m->n >= m->count - m->count / 8) {
        grow(m);
    }
}

unsigned marks_get(const struct marks *m, uint64_t hash)
{
    return (unsigned)(m->slots[seek(m, hash)] & MARKS_FLAGS);
}

void marks_set(struct marks *m, uint64_t hash, unsigned flags)
{
    BUG_ON(flags > MARKS_FLAGS);
    size_t at = seek(m, hash);
    if (flags == 0) {
        if (m->slots[at])
            empty(m, at);
        return;
    }
    if (!m->slots[at]) {
        make_room(m, hash);
        at = seek(m, hash);
        m->n++;
    }
    m->slots[at] = (hash & ~(uint64_t)MARKS_FLAGS) | flags;
}

void marks_clear(struct marks *m, unsigned flag)
{
    for (size_t i = 0; i < m->count; i++) {
        while (m->slots[i] & flag) /* another may have moved up */
            empty(m, i);
    }
}
