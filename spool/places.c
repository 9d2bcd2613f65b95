/* A set of places: open addressing with linear probing, a power of two of slots, at most 4/5 full.
 *
 * Invariant: between a place and its home lies no empty slot (0 is no place). Removal moves later
 * slots back instead of leaving tombstones, so a set that lives for months does not silt up.
 */
#include "spool/places.h"

#include "base/mem.h"

#include <stdlib.h>

#define SLOTS_MIN 64

struct places {
    record_place *slots; /* NULL while cap is 0 */
    size_t cap, count;
    size_t hand; /* where places_pop looks next, so that emptying a set is linear, and one that is
                    put back each time does not hide the others */
};

struct places *places_new(void)
{
    return mem_alloc(sizeof(struct places));
}

void places_free(struct places *p)
{
    if (p)
        free(p->slots);
    free(p);
}

/* Places are far from random: the multiplication (Fibonacci hashing) spreads them. The journal
 * gives them out, not a stranger, so no key is needed. */
static size_t home(const struct places *p, record_place at)
{
    return (size_t)((at * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (p->cap - 1);
}

/* The slot that holds at, or the empty one where it would go. cap > 0. */
static size_t slot_of(const struct places *p, record_place at)
{
    size_t i = home(p, at);

    while (p->slots[i] && p->slots[i] != at)
        i = (i + 1) & (p->cap - 1);
    return i;
}

static void resize(struct places *p, size_t cap)
{
    struct places old = *p;

    p->slots = mem_alloc(cap * sizeof(*p->slots));
    p->cap = cap;
    p->hand = 0;
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i])
            p->slots[slot_of(p, old.slots[i])] = old.slots[i];
    free(old.slots);
}

void places_add(struct places *p, record_place at)
{
    BUG_ON(at == 0);
    if ((p->count + 1) * 5 > p->cap * 4)
        resize(p, p->cap ? p->cap * 2 : SLOTS_MIN);
    size_t i = slot_of(p, at);
    if (!p->slots[i]) {
        p->slots[i] = at;
        p->count++;
    }
}

bool places_has(const struct places *p, record_place at)
{
    return p->count && p->slots[slot_of(p, at)] == at;
}

static void remove_slot(struct places *p, size_t hole)
{
    size_t mask = p->cap - 1;

    for (size_t i = (hole + 1) & mask; p->slots[i]; i = (i + 1) & mask) {
        /* May move back unless its home lies behind the hole. */
        if (((i - home(p, p->slots[i])) & mask) >= ((i - hole) & mask)) {
            p->slots[hole] = p->slots[i];
            hole = i;
        }
    }
    p->slots[hole] = 0;
    p->count--;
    if (p->cap > 1024 && p->count * 8 < p->cap)
        resize(p, p->cap / 4);
}

bool places_remove(struct places *p, record_place at)
{
    if (!places_has(p, at))
        return false;
    remove_slot(p, slot_of(p, at));
    return true;
}

bool places_pop(struct places *p, record_place *at)
{
    if (!p->count)
        return false;
    while (!p->slots[p->hand])
        p->hand = (p->hand + 1) & (p->cap - 1);
    *at = p->slots[p->hand];
    size_t hole = p->hand;
    p->hand = (p->hand + 1) & (p->cap - 1);
    remove_slot(p, hole);
    return true;
}

bool places_each(const struct places *p, bool (*each)(void *arg, record_place at), void *arg)
{
    for (size_t i = 0; i < p->cap; i++)
        if (p->slots[i] && !each(arg, p->slots[i]))
            return false;
    return true;
}

void places_clear(struct places *p)
{
    free(p->slots);
    *p = (struct places){0};
}

size_t places_count(const struct places *p)
{
    return p->count;
}

size_t places_memory(const struct places *p)
{
    return sizeof(*p) + p->cap * sizeof(*p->slots);
}
