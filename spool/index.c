/* The index: 256 tables chosen by the first 8 bits of the hash, each an array of 8-byte slots kept
 * in the order of the next 17 bits, which stand in the slot: 25 bits tell files apart (among a
 * million, one question in 32 about an unknown path costs a needless read).
 *
 * Order is what everything hangs on: a slot lies at its home (its 17 bits scaled to the table) or
 * right of it, with no gap between, so the home need not be stored, growing is one pass from left
 * to right, removal shifts back and leaves nothing behind, and a page can go on by hash although
 * the table grew meanwhile. Tables are whole pages from mmap, not from malloc: they grow one eighth
 * at a time at different moments, and what a table leaves goes back to the system, not into holes.
 */
#include "spool/index.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TABLES     256
#define HASH_BITS  17
#define HASH_MASK  ((UINT64_C(1) << HASH_BITS) - 1)
#define PLACE_BITS 44
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)
#define PAGE_BYTES 4096
#define PAGE_SLOTS (PAGE_BYTES / sizeof(uint64_t))

struct table {
    uint64_t *slots; /* hash 17 | state 3 | place/8 44; 0 is empty; NULL while there are none */
    uint32_t size;   /* slots in all */
    uint32_t span;   /* homes; what lies behind takes those that the last homes push out */
    uint32_t count;
};

struct index {
    struct table tables[TABLES];
    size_t counts[INDEX_FORGOTTEN + 1];
    size_t pages;
};

struct index *index_new(void)
{
    return mem_alloc(sizeof(struct index));
}

static void slots_free(uint64_t *slots, uint32_t size)
{
    BUG_ON(slots && munmap(slots, size * sizeof(*slots)) != 0);
}

void index_free(struct index *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < TABLES; i++)
        slots_free(x->tables[i].slots, x->tables[i].size);
    free(x);
}

static uint64_t slot_make(uint64_t hash, record_place at, enum index_state s)
{
    BUG_ON(at == 0 || (at & 7) || at >> (PLACE_BITS + 3));
    return ((hash >> (56 - HASH_BITS) & HASH_MASK) << (64 - HASH_BITS)) |
           ((uint64_t)s << PLACE_BITS) | at >> 3;
}

static uint64_t slot_hash(uint64_t slot)
{
    return slot >> (64 - HASH_BITS);
}

static record_place slot_place(uint64_t slot)
{
    return (slot & PLACE_MASK) << 3;
}

static enum index_state slot_state(uint64_t slot)
{
    return (enum index_state)(slot >> PLACE_BITS & 7);
}

static uint32_t home(const struct table *t, uint64_t h)
{
    return (uint32_t)((h * t->span) >> HASH_BITS);
}

/* The first slot that is empty or not before h. */
static uint32_t lower_bound(const struct table *t, uint64_t h)
{
    uint32_t i = home(t, h);

    while (i < t->size && t->slots[i] && slot_hash(t->slots[i]) < h)
        i++;
    return i;
}

static bool spread(const struct table *from, struct table *to)
{
    uint32_t next = 0;

    for (uint32_t i = 0; i < from->size; i++) {
        if (!from->slots[i])
            continue;
        uint32_t want = home(to, slot_hash(from->slots[i]));
        if (want > next)
            next = want;
        if (next >= to->size)
            return false;
        to->slots[next++] = from->slots[i];
    }
    return true;
}

/* Into a table of so many pages, or of as many more as it takes. */
static void resize(struct index *x, struct table *t, uint32_t pages)
{
    for (;; pages += 1 + pages / 8) {
        struct table to = {.size = (uint32_t)(pages * PAGE_SLOTS), .count = t->count};
        to.span = to.size - 64 - to.size / 32;
        to.slots = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        BUG_ON(to.slots == MAP_FAILED);
        if (spread(t, &to)) {
            x->pages += pages;
            x->pages -= t->size / PAGE_SLOTS;
            slots_free(t->slots, t->size);
            *t = to;
            return;
        }
        slots_free(to.slots, to.size);
    }
}

static void grow(struct index *x, struct table *t)
{
    uint32_t pages = (uint32_t)(t->size / PAGE_SLOTS);

    resize(x, t, pages + 1 + pages / 8);
}

static struct table *table_of(struct index *x, uint64_t hash)
{
    return &x->tables[hash >> 56];
}

static const struct table *table_look(const struct index *x, uint64_t hash)
{
    return &x->tables[hash >> 56];
}

void index_add(struct index *x, uint64_t hash, record_place at, enum index_state s)
{
    struct table *t = table_of(x, hash);
    uint64_t slot = slot_make(hash, at, s);

    if ((uint64_t)(t->count + 1) * 10 > (uint64_t)t->span * 9)
        grow(x, t);
    for (;; grow(x, t)) {
        uint32_t i = lower_bound(t, slot_hash(slot)), end;
        while (i < t->size && t->slots[i] && slot_hash(t->slots[i]) == slot_hash(slot))
            i++;
        for (end = i; end < t->size && t->slots[end];)
            end++;
        if (end == t->size)
            continue;
        memmove(&t->slots[i + 1], &t->slots[i], (end - i) * sizeof(*t->slots));
        t->slots[i] = slot;
        t->count++;
        x->counts[s]++;
        return;
    }
}

/* The slot of exactly this hash and place, or NULL. */
static uint64_t *slot_find(const struct index *x, uint64_t hash, record_place at)
{
    const struct table *t = table_look(x, hash);
    uint64_t h = hash >> (56 - HASH_BITS) & HASH_MASK;

    if (!t->count)
        return NULL;
    for (uint32_t i = lower_bound(t, h); i < t->size && t->slots[i]; i++) {
        if (slot_hash(t->slots[i]) != h)
            return NULL;
        if (slot_place(t->slots[i]) == at)
            return &t->slots[i];
    }
    return NULL;
}

bool index_get(const struct index *x, uint64_t hash, record_place at, enum index_state *s)
{
    const uint64_t *slot = slot_find(x, hash, at);

    if (slot)
        *s = slot_state(*slot);
    return slot != NULL;
}

bool index_move(struct index *x, uint64_t hash, record_place from, record_place to,
                enum index_state s)
{
    uint64_t *slot = slot_find(x, hash, from);

    if (!slot)
        return false;
    x->counts[slot_state(*slot)]--;
    x->counts[s]++;
    *slot = slot_make(hash, to, s);
    return true;
}

static void slot_remove(struct index *x, struct table *t, uint64_t *slot)
{
    uint32_t i = (uint32_t)(slot - t->slots) + 1;

    x->counts[slot_state(*slot)]--;
    while (i < t->size && t->slots[i] && home(t, slot_hash(t->slots[i])) < i) {
        t->slots[i - 1] = t->slots[i];
        i++;
    }
    t->slots[i - 1] = 0;
    t->count--;
    if (t->size > PAGE_SLOTS && (uint64_t)t->count * 5 < (uint64_t)t->span * 2)
        resize(x, t, (uint32_t)(t->count * 5 / 4 / PAGE_SLOTS + 1));
}

bool index_remove(struct index *x, uint64_t hash, record_place at)
{
    uint64_t *slot = slot_find(x, hash, at);

    if (slot)
        slot_remove(x, table_of(x, hash), slot);
    return slot != NULL;
}

void index_filter(struct index *x, bool (*keep)(void *arg, record_place at, enum index_state s),
                  void *arg)
{
    for (size_t n = 0; n < TABLES; n++) {
        struct table *t = &x->tables[n];
        uint32_t before = t->count;
        for (uint32_t i = 0; i < t->size; i++) {
            uint64_t slot = t->slots[i];
            if (!slot || keep(arg, slot_place(slot), slot_state(slot)))
                continue;
            x->counts[slot_state(slot)]--;
            t->slots[i] = 0;
            t->count--;
        }
        if (t->count < before) /* close the gaps */
            resize(x, t, (uint32_t)(t->size / PAGE_SLOTS));
    }
}

bool index_find(const struct index *x, uint64_t hash, uint64_t *cursor, record_place *at,
                enum index_state *s)
{
    const struct table *t = table_look(x, hash);
    uint64_t h = hash >> (56 - HASH_BITS) & HASH_MASK;

    if (!t->count)
        return false;
    uint64_t i = lower_bound(t, h) + *cursor;
    if (i >= t->size || !t->slots[i] || slot_hash(t->slots[i]) != h)
        return false;
    *at = slot_place(t->slots[i]);
    *s = slot_state(t->slots[i]);
    ++*cursor;
    return true;
}

/* The cursor: table 24 | hash 20 | how many of this hash are done 20. The last is not 0 only where
 * more than a page have the same hash: otherwise a page ends between two hashes. */
size_t index_page(const struct index *x, uint64_t *cursor, record_place *at, enum index_state *s,
                  size_t n)
{
    uint64_t number = *cursor >> 40, h = *cursor >> 20 & 0xfffff, done = *cursor & 0xfffff;
    size_t got = 0, group = 0;

    for (; number < TABLES; number++, h = 0, done = 0) {
        const struct table *t = &x->tables[number];
        uint64_t last = UINT64_MAX, nth = 0;
        for (uint64_t i = t->count ? lower_bound(t, h) : t->size; i < t->size; i++) {
            uint64_t slot = t->slots[i];
            if (!slot)
                continue;
            if (slot_hash(slot) != last) {
                last = slot_hash(slot);
                group = got;
                nth = 0;
            }
            if (nth++ < done && last == h)
                continue;
            if (got == n) {
                *cursor = number << 40 | last << 20 | (group > 0 ? 0 : nth - 1);
                return group > 0 ? group : got;
            }
            at[got] = slot_place(slot);
            s[got++] = slot_state(slot);
        }
    }
    *cursor = (uint64_t)TABLES << 40;
    return got;
}

size_t index_count(const struct index *x, enum index_state s)
{
    return x->counts[s];
}

size_t index_memory(const struct index *x)
{
    return sizeof(*x) + x->pages * PAGE_BYTES;
}
