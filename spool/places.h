/* A small exact set of places, for those that are exceptions: dropped from a deque but still lying
 * in it, delivered but not yet retired. 9 to 20 bytes each, so not for the many. */
#ifndef SPOOL_PLACES_H
#define SPOOL_PLACES_H

#include "spool/record.h"

struct places;
struct places *places_new(void);
void places_free(struct places *p); /* NULL allowed */
/* at is not 0; adding one that is there changes nothing. */
void places_add(struct places *p, record_place at);
bool places_has(const struct places *p, record_place at);
bool places_remove(struct places *p, record_place at); /* false: it was not there */
bool places_pop(struct places *p, record_place *at);   /* any one; false: empty */
/* Until one is told false; that is the result then. each must not change the set. */
bool places_each(const struct places *p, bool (*each)(void *arg, record_place at), void *arg);
void places_clear(struct places *p); /* gives its memory back */
size_t places_count(const struct places *p);
size_t places_memory(const struct places *p);

#endif
