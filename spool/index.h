/* Which paths are in our care: from the keyed hash of a path to the place of its latest record, in
 * 8 bytes a slot (44 bits of place, 17 of hash, 3 of state), about 10 bytes a file.
 *
 * The index never sees a path: a hit is a candidate that the caller confirms by reading the record.
 */
#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H

#include "spool/record.h"

enum index_state { INDEX_QUEUED, INDEX_TAKEN, INDEX_HELD, INDEX_KEPT, INDEX_FORGOTTEN };

struct index;
struct index *index_new(void);
void index_free(struct index *x);
void index_add(struct index *x, uint64_t hash, record_place at, enum index_state s);
/* The entry of exactly this hash and place gets a new place and state; false: there is none. */
bool index_move(struct index *x, uint64_t hash, record_place from, record_place to,
                enum index_state s);
bool index_remove(struct index *x, uint64_t hash, record_place at);
/* Candidates one after the other: *cursor is 0 at first; false: no more. */
bool index_find(const struct index *x, uint64_t hash, uint64_t *cursor, record_place *at,
                enum index_state *s);
/* The entry of exactly this hash and place. */
bool index_get(const struct index *x, uint64_t hash, record_place at, enum index_state *s);
/* Keep only those for which keep says so: when records can no longer be read, and with them the
 * hash that index_remove wants. Looks at all entries. */
void index_filter(struct index *x, bool (*keep)(void *arg, record_place at, enum index_state s),
                  void *arg);
/* All entries, in the order of their hash; cursor 0 at first; a page of at most n; returns how
 * many, 0: no more. Entries that are added or removed between pages may or may not be seen; every
 * other one is seen once. */
size_t index_page(const struct index *x, uint64_t *cursor, record_place *at, enum index_state *s,
                  size_t n);
size_t index_count(const struct index *x, enum index_state s);
size_t index_memory(const struct index *x); /* bytes */

#endif
