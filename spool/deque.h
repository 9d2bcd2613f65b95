/* A double-ended queue of places in 1 to 3 bytes each: chunks of differences as variable-length
 * integers, so that a million waiting files cost at most 3 MB. Either end can be pushed and popped
 * in constant time. */
#ifndef SPOOL_DEQUE_H
#define SPOOL_DEQUE_H

#include "spool/record.h"

struct deque;
struct deque *deque_new(void);
void deque_free(struct deque *d);
void deque_push_back(struct deque *d, record_place at);
void deque_push_front(struct deque *d, record_place at);
bool deque_pop_front(struct deque *d, record_place *at);
bool deque_pop_back(struct deque *d, record_place *at);
bool deque_front(const struct deque *d, record_place *at);
size_t deque_count(const struct deque *d);
size_t deque_memory(const struct deque *d);
/* From the front, until visit returns false. d must not be changed meanwhile. */
void deque_each(const struct deque *d, bool (*visit)(void *arg, record_place at), void *arg);
/* The number of the front element. Elements are numbered one up from front to back and keep their
 * number while others come and go at the ends (the numbers wrap). */
uint64_t deque_front_number(const struct deque *d);
/* As deque_each, from element `number` on, which need not be there: then nothing is visited. Skips
 * whole chunks on its way. */
void deque_each_from(const struct deque *d, uint64_t number,
                     bool (*visit)(void *arg, record_place at), void *arg);
/* Keep only those for which keep says so. Renumbers. */
void deque_filter(struct deque *d, bool (*keep)(void *arg, record_place at), void *arg);

#endif
