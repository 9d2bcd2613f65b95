/* Rejected files that lie in the spool still: see unmoved.h. One entry a path, in a hash table and
 * in a list by when it was last heard of, the latest first. */
#include "gateway/unmoved.h"

#include "base/mem.h"
#include "watcher/hash.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_FIRST_MS 30000
#define WAIT_MAX_MS   3600000

struct entry {
    struct unmoved_file file;
    struct hash_link by_path;
    struct entry *next, *prev;
    uint64_t wait_ms; /* the last pause; 0: none yet */
};
struct unmoved {
    struct hash by_path;
    struct entry *first, *last;
    size_t max;
};

struct unmoved *unmoved_new(size_t max)
{
    struct unmoved *u = mem_alloc(sizeof *u);
    hash_init(&u->by_path);
    u->max = max;
    return u;
}

static struct entry *find(const struct unmoved *u, const char *path)
{
    uint32_t hash = hash_bytes(&u->by_path, path, strlen(path));
    for (struct hash_link *l = hash_first(&u->by_path, hash); l; l = l->next) {
        struct entry *e = HASH_OWNER(l, struct entry, by_path);
        if (l->hash == hash && strcmp(e->file.path, path) == 0)
            return e;
    }
    return NULL;
}

/* ---- the list ---- */

static void list_add(struct unmoved *u, struct entry *e)
{
    e->prev = NULL;
    e->next = u->first;
    if (e->next)
        e->next->prev = e;
    else
        u->last = e;
    u->first = e;
}

static void list_remove(struct unmoved *u, struct entry *e)
{
    if (e->next)
        e->next->prev = e->prev;
    else
        u->last = e->prev;
    if (e->prev)
        e->prev->next = e->next;
    else
        u->first = e->next;
}

/* ---- entries ---- */

static void drop(struct unmoved *u, struct entry *e)
{
    list_remove(u, e);
    hash_remove(&u->by_path, &e->by_path);
    free((void *)e->file.path);
    free((void *)e->file.condemned);
    free((void *)e->file.failure);
    free(e);
}

void unmoved_free(struct unmoved *u)
{
    while (u->first)
        drop(u, u->first);
    hash_fini(&u->by_path);
    free(u);
}

/* A pipe's times move with its use, and an empty file stays one. */
static bool is_same(const struct identity *a, const struct identity *b)
{
    if (a->size == 0 && b->size == 0)
        return a->dev == b->dev && a->ino == b->ino;
    return identity_equal(a, b);
}

/* The entry of this file, the latest now. */
static struct entry *take(struct unmoved *u, const char *path, const struct identity *id)
{
    struct entry *e = find(u, path);
    if (e && !is_same(&e->file.id, id)) {
        drop(u, e);
        e = NULL;
    }
    if (e) {
        list_remove(u, e);
    } else {
        if (u->by_path.n >= u->max)
            drop(u, u->last);
        e = mem_alloc(sizeof *e);
        e->file.path = mem_strdup(path);
        e->file.id = *id;
        hash_add(&u->by_path, &e->by_path, hash_bytes(&u->by_path, path, strlen(path)));
    }
    list_add(u, e);
    return e;
}

const struct unmoved_file *unmoved_find(const struct unmoved *u, const char *path,
                                        const struct identity *id)
{
    const struct entry *e = find(u, path);
    return e && is_same(&e->file.id, id) ? &e->file : NULL;
}

void unmoved_condemn(struct unmoved *u, const char *path, const struct identity *id,
                     const struct err *why)
{
    struct entry *e = take(u, path, id);
    struct err *copy = mem_alloc(sizeof *copy);
    *copy = *why;
    free((void *)e->file.condemned);
    e->file.condemned = copy;
}

void unmoved_recorded(struct unmoved *u, const char *path, const struct identity *id)
{
    struct entry *e = find(u, path);
    if (e && is_same(&e->file.id, id))
        e->file.recorded = true;
}

uint64_t unmoved_failed(struct unmoved *u, const char *path, const struct identity *id,
                        const char *why)
{
    struct entry *e = take(u, path, id);
    free((void *)e->file.failure);
    e->file.failure = mem_strdup(why);
    e->file.recorded = true;
    e->wait_ms = e->wait_ms == 0 ? WAIT_FIRST_MS : e->wait_ms * 2;
    if (e->wait_ms > WAIT_MAX_MS)
        e->wait_ms = WAIT_MAX_MS;
    return e->wait_ms;
}

void unmoved_drop(struct unmoved *u, const char *path)
{
    struct entry *e = find(u, path);
    if (e)
        drop(u, e);
}

void unmoved_pardon(struct unmoved *u)
{
    for (struct entry *e = u->first, *next; e; e = next) {
        next = e->next;
        if (e->file.condemned)
            drop(u, e);
    }
}

const struct unmoved_file *unmoved_latest(const struct unmoved *u,
                                          bool (*is_there)(void *arg, const char *path), void *arg)
{
    for (const struct entry *e = u->first; e; e = e->next) {
        if (e->file.failure && is_there(arg, e->file.path))
            return &e->file;
    }
    return NULL;
}
