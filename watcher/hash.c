/* Chained hashing with links that live in the things: see hash.h. The table grows and never
 * shrinks: it is as large as the largest moment, 8 bytes a thing. */
#include "watcher/hash.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/rc.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 64 };
_Static_assert(sizeof((struct hash *)0)->key == KEYED_HASH_KEY_SIZE, "the key of base/checksum.h");

void hash_init(struct hash *h)
{
    *h = (struct hash){0};
    random_bytes(h->key, sizeof h->key);
}

void hash_fini(struct hash *h)
{
    free(h->slots);
    *h = (struct hash){0};
}

uint32_t hash_bytes(const struct hash *h, const void *data, size_t n)
{
    return (uint32_t)keyed_hash(h->key, data, n);
}

static void grow(struct hash *h)
{
    size_t count = h->slot_count ? h->slot_count * 2 : SLOTS_FIRST;
    struct hash_link **slots = mem_alloc(count * sizeof *slots);
    for (size_t i = 0; i < h->slot_count; i++) {
        for (struct hash_link *l = h->slots[i], *next; l; l = next) {
            struct hash_link **slot = &slots[l->hash & (count - 1)];
            next = l->next;
            l->next = *slot;
            *slot = l;
        }
    }
    free(h->slots);
    h->slots = slots;
    h->slot_count = count;
}

void hash_add(struct hash *h, struct hash_link *l, uint32_t hash)
{
    if (h->n == h->slot_count)
        grow(h);
    struct hash_link **slot = &h->slots[hash & (h->slot_count - 1)];
    l->hash = hash;
    l->next = *slot;
    *slot = l;
    h->n++;
}

void hash_remove(struct hash *h, struct hash_link *l)
{
    BUG_ON(h->n == 0);
    struct hash_link **at = &h->slots[l->hash & (h->slot_count - 1)];
    while (*at != l) {
        BUG_ON(!*at);
        at = &(*at)->next;
    }
    *at = l->next;
    l->next = NULL;
    h->n--;
}

struct hash_link *hash_first(const struct hash *h, uint32_t hash)
{
    return h->n ? h->slots[hash & (h->slot_count - 1)] : NULL;
}
