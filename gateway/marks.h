/* Flags by 64-bit hash: what remains known of very many things at 8 bytes each. The caller's hash
 * is keyed, so that nobody can aim at another's; of its bits 62 count, which a million of them
 * share with nobody.
 */
#ifndef GATEWAY_MARKS_H
#define GATEWAY_MARKS_H

#include <stddef.h>
#include <stdint.h>

#define MARKS_FLAGS 3 /* the flags that there are: 1, 2 */

struct marks;

/* Past max hashes a new one takes the place of any. */
struct marks *marks_new(size_t max);
void marks_free(struct marks *m);
/* 0: it is not in. */
unsigned marks_get(const struct marks *m, uint64_t hash);
/* In place of those that it had; 0: it goes. */
void marks_set(struct marks *m, uint64_t hash, unsigned flags);
/* All that have this flag go. */
void marks_clear(struct marks *m, unsigned flag);

#endif
