/* A hash table of things that carry their own link: it owns nothing and allocates its slots only.
 * The hash is the caller's; where names are hostile it takes hash_bytes, keyed at random for the
 * process.
 */
#ifndef WATCHER_HASH_H
#define WATCHER_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_link {
    struct hash_link *next;
    uint32_t hash;
};
struct hash {
    struct hash_link **slots; /* a power of two of them, or NULL while it never held anything */
    size_t slot_count, n;
    uint8_t key[16];
};

void hash_init(struct hash *h);
void hash_fini(struct hash *h); /* the things in it are the caller's */
uint32_t hash_bytes(const struct hash *h, const void *data, size_t n);
void hash_add(struct hash *h, struct hash_link *l, uint32_t hash);
void hash_remove(struct hash *h, struct hash_link *l); /* BUG if it is not in */
/* The first that may have this hash, then link->next; the caller compares what it is, as other
 * hashes are in the chain too. */
struct hash_link *hash_first(const struct hash *h, uint32_t hash);

#define HASH_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#endif
