/* A deque of places. A list of chunks; in a chunk the first and the last place stand in full and
 * the steps between neighbours as zigzag varints of place/8. Records of one lane follow each other
 * in the journal, so a step is mostly one byte.
 *
 * A varint can be read backwards (only its last byte has the high bit clear), so that both ends
 * give and take in constant time. Whoever pushes at the front gets a chunk that fills from its end.
 */
#include "spool/deque.h"

#include "base/mem.h"

#include <stdlib.h>

#define VARINT_MAX 10

struct chunk {
    struct chunk *prev, *next;
    record_place first, last;
    uint16_t count, begin, end; /* the steps are data[begin..end) */
    uint8_t data[512 - 38];
};
_Static_assert(sizeof(struct chunk) == 512, "a chunk is a power of two");

struct deque {
    struct chunk *front, *back;
    size_t count, chunks;
    uint64_t number; /* of the front element */
};

struct deque *deque_new(void)
{
    return mem_alloc(sizeof(struct deque));
}

static void clear(struct deque *d)
{
    for (struct chunk *c = d->front, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *d = (struct deque){.number = d->number};
}

void deque_free(struct deque *d)
{
    if (d)
        clear(d);
    free(d);
}

static uint64_t zigzag(record_place from, record_place to)
{
    int64_t step = (int64_t)(to >> 3) - (int64_t)(from >> 3);

    return ((uint64_t)step << 1) ^ (uint64_t)(step >> 63);
}

static record_place unzigzag(record_place from, uint64_t z)
{
    return from + (((z >> 1) ^ -(z & 1)) << 3);
}

static unsigned varint_put(uint8_t out[VARINT_MAX], uint64_t v)
{
    unsigned n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static uint64_t varint_get(const uint8_t *p, unsigned *n)
{
    uint64_t v = 0;

    *n = 0;
    do
        v |= (uint64_t)(p[*n] & 0x7f) << (7 * *n);
    while (p[(*n)++] & 0x80);
    return v;
}

static struct chunk *chunk_new(struct deque *d, record_place at, size_t from)
{
    struct chunk *c = mem_alloc(sizeof(*c));

    c->first = c->last = at;
    c->count = 1;
    c->begin = c->end = (uint16_t)from;
    d->chunks++;
    return c;
}

void deque_push_back(struct deque *d, record_place at)
{
    struct chunk *c = d->back;
    uint8_t step[VARINT_MAX];

    BUG_ON(at & 7);
    d->count++;
    if (c) {
        unsigned n = varint_put(step, zigzag(c->last, at));
        if (n <= sizeof(c->data) - c->end) {
            for (unsigned i = 0; i < n; i++)
                c->data[c->end++] = step[i];
            c->last = at;
            c->count++;
            return;
        }
    }
    c = chunk_new(d, at, 0);
    c->prev = d->back;
    *(d->back ? &d->back->next : &d->front) = c;
    d->back = c;
}

void deque_push_front(struct deque *d, record_place at)
{
    struct chunk *c = d->front;
    uint8_t step[VARINT_MAX];

    BUG_ON(at & 7);
    d->count++;
    d->number--;
    if (c) {
        unsigned n = varint_put(step, zigzag(at, c->first));
        if (n <= c->begin) {
            c->begin = (uint16_t)(c->begin - n);
            for (unsigned i = 0; i < n; i++)
                c->data[c->begin + i] = step[i];
            c->first = at;
            c->count++;
            return;
        }
    }
    c = chunk_new(d, at, sizeof(c->data));
    c->next = d->front;
    *(d->front ? &d->front->prev : &d->back) = c;
    d->front = c;
}

static void chunk_unlink(struct deque *d, struct chunk *c)
{
    *(c->prev ? &c->prev->next : &d->front) = c->next;
    *(c->next ? &c->next->prev : &d->back) = c->prev;
    d->chunks--;
    free(c);
}

bool deque_pop_front(struct deque *d, record_place *at)
{
    struct chunk *c = d->front;
    unsigned n;

    if (!c)
        return false;
    *at = c->first;
    d->count--;
    d->number++;
    if (--c->count == 0) {
        chunk_unlink(d, c);
    } else {
        c->first = unzigzag(c->first, varint_get(&c->data[c->begin], &n));
        c->begin = (uint16_t)(c->begin + n);
    }
    return true;
}

bool deque_pop_back(struct deque *d, record_place *at)
{
    struct chunk *c = d->back;
    unsigned n;

    if (!c)
        return false;
    *at = c->last;
    d->count--;
    if (--c->count == 0) {
        chunk_unlink(d, c);
        return true;
    }
    uint16_t i = (uint16_t)(c->end - 1);
    while (i > c->begin && c->data[i - 1] & 0x80)
        i--;
    /* The step back is the same number with the other sign. */
    c->last -= unzigzag(0, varint_get(&c->data[i], &n));
    c->end = i;
    return true;
}

bool deque_front(const struct deque *d, record_place *at)
{
    if (d->front)
        *at = d->front->first;
    return d->front != NULL;
}

size_t deque_count(const struct deque *d)
{
    return d->count;
}

size_t deque_memory(const struct deque *d)
{
    return sizeof(*d) + d->chunks * sizeof(struct chunk);
}

uint64_t deque_front_number(const struct deque *d)
{
    return d->number;
}

void deque_each_from(const struct deque *d, uint64_t number,
                     bool (*visit)(void *arg, record_place at), void *arg)
{
    uint64_t skip = number - d->number;

    for (const struct chunk *c = d->front; c; c = c->next) {
        record_place at = c->first;
        if (skip >= c->count) {
            skip -= c->count;
            continue;
        }
        for (uint16_t i = 0, from = c->begin; i < c->count; i++) {
            unsigned n = 0;
            if (skip > 0)
                skip--;
            else if (!visit(arg, at))
                return;
            if (i + 1 < c->count)
                at = unzigzag(at, varint_get(&c->data[from], &n));
            from = (uint16_t)(from + n);
        }
    }
}

void deque_each(const struct deque *d, bool (*visit)(void *arg, record_place at), void *arg)
{
    deque_each_from(d, d->number, visit, arg);
}

void deque_filter(struct deque *d, bool (*keep)(void *arg, record_place at), void *arg)
{
    struct deque old = *d;
    record_place at;

    *d = (struct deque){.number = old.number};
    /* The old chunks go as the new ones come: no second copy of a long lane. */
    while (deque_pop_front(&old, &at))
        if (keep(arg, at))
            deque_push_back(d, at);
}
