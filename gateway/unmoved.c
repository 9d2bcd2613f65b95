/* Rejected files that lie in the spool still: see unmoved.h. One entry a path, in a hash table and
 * in a list by when it was last heard of, the latest first; or a mark, by path and identity. */
#include "gateway/unmoved.h"

#include "base/checksum.h"
#include "base/mem.h"
#include "gateway/marks.h"
#include "watcher/hash.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_FIRST_MS 30000
#define WAIT_MAX_MS   3600000

/* What a mark says. */
enum { CONDEMNED = 1, FAILED = 2 /* to be moved, so that it is recorded and was told */ };

static const struct err long_condemned = {
    .rc = RC_INVALID,
    .code = "refused",
    .text = "the bucket refuses it for good; its REJECTED in the journal says why"};
static const char cannot[] = "it cannot be moved away";
static const char recorded[] = "its REJECTED in the journal says why";

struct entry {
    struct unmoved_file file;
    struct hash_link by_path;
    struct entry *next, *prev;
    uint64_t wait_ms; /* the last pause; 0: none yet */
};
struct unmoved {
    struct hash by_path;
    struct entry *first, *last;
    struct marks *marks;
    struct unmoved_file marked; /* the last that was asked for */
    struct unmoved_cfg cfg;
};

struct unmoved *unmoved_new(const struct unmoved_cfg *cfg)
{
    struct unmoved *u = mem_alloc(sizeof *u);
    hash_init(&u->by_path);
    u->cfg = *cfg;
    u->marks = marks_new(cfg->marks_max);
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
    free((void *)e->file.code);
    free((void *)e->file.reason);
    free(e);
}

void unmoved_free(struct unmoved *u)
{
    while (u->first)
        drop(u, u->first);
    hash_fini(&u->by_path);
    marks_free(u->marks);
    free(u);
}

/* A pipe's times move with its use, and an empty file stays one. */
static bool is_same(const struct identity *a, const struct identity *b)
{
    if (a->size == 0 && b->size == 0)
        return a->dev == b->dev && a->ino == b->ino;
    return identity_equal(a, b);
}

static uint64_t mark_of(const struct unmoved *u, const char *path, const struct identity *id)
{
    const uint8_t *key = u->by_path.key;
    uint64_t all[6] = {keyed_hash(key, path, strlen(path)), id->dev, id->ino, id->size};
    if (id->size > 0) { /* as is_same */
        all[4] = (uint64_t)id->mtime_ns;
        all[5] = (uint64_t)id->ctime_ns;
    }
    return keyed_hash(key, all, sizeof all);
}

static void leave_a_mark(struct unmoved *u, struct entry *e)
{
    unsigned flags = (e->file.condemned ? CONDEMNED : 0) | (e->file.failure ? FAILED : 0);
    marks_set(u->marks, mark_of(u, e->file.path, &e->file.id), flags);
    drop(u, e);
}

static void condemn(struct entry *e, const struct err *why)
{
    struct err *copy = mem_alloc(sizeof *copy);
    *copy = *why;
    free((void *)e->file.condemned);
    e->file.condemned = copy;
}

static void cannot_be_moved(struct entry *e, const char *code, const char *reason, const char *why)
{
    free((void *)e->file.code);
    free((void *)e->file.reason);
    free((void *)e->file.failure);
    e->file.code = mem_strdup(code);
    e->file.reason = mem_strdup(reason);
    e->file.failure = mem_strdup(why);
    e->file.recorded = true;
}

static struct entry *add(struct unmoved *u, const char *path, const struct identity *id)
{
    uint64_t mark = mark_of(u, path, id);
    unsigned was = marks_get(u->marks, mark);
    if (u->by_path.n >= u->cfg.max && u->cfg.in_view(u->cfg.arg, u->last->file.path))
        return NULL;
    if (u->by_path.n >= u->cfg.max)
        leave_a_mark(u, u->last);
    struct entry *e = mem_alloc(sizeof *e);
    e->file.path = mem_strdup(path);
    e->file.id = *id;
    if (was & FAILED)
        cannot_be_moved(e, "", recorded, cannot);
    if (was & CONDEMNED)
        condemn(e, &long_condemned);
    marks_set(u->marks, mark, 0);
    hash_add(&u->by_path, &e->by_path, hash_bytes(&u->by_path, path, strlen(path)));
    return e;
}

/* The entry of this file, the latest now. NULL: there is no room for one. */
static struct entry *take(struct unmoved *u, const char *path, const struct identity *id)
{
    struct entry *e = find(u, path);
    if (e && !is_same(&e->file.id, id)) {
        drop(u, e);
        e = NULL;
    }
    if (e)
        list_remove(u, e);
    else
        e = add(u, path, id);
    if (e)
        list_add(u, e);
    return e;
}

static void mark(struct unmoved *u, const char *path, const struct identity *id, unsigned flag)
{
    uint64_t hash = mark_of(u, path, id);
    marks_set(u->marks, hash, marks_get(u->marks, hash) | flag);
}

const struct unmoved_file *unmoved_find(struct unmoved *u, const char *path,
                                        const struct identity *id)
{
    const struct entry *e = find(u, path);
    if (e && is_same(&e->file.id, id))
        return &e->file;
    unsigned flags = marks_get(u->marks, mark_of(u, path, id));
    u->marked = (struct unmoved_file){.path = path,
                                      .id = *id,
                                      .condemned = flags & CONDEMNED ? &long_condemned : NULL,
                                      .failure = flags & FAILED ? cannot : NULL,
                                      .code = flags & FAILED ? "" : NULL,
                                      .reason = flags & FAILED ? recorded : NULL,
                                      .recorded = (flags & FAILED) != 0};
    return flags ? &u->marked : NULL;
}

const struct unmoved_file *unmoved_at(const struct unmoved *u, const char *path)
{
    const struct entry *e = find(u, path);
    return e && e->file.failure ? &e->file : NULL;
}

void unmoved_condemn(struct unmoved *u, const char *path, const struct identity *id,
                     const struct err *why)
{
    struct entry *e = take(u, path, id);
    if (e)
        condemn(e, why);
    else
        mark(u, path, id, CONDEMNED);
}

void unmoved_recorded(struct unmoved *u, const char *path, const struct identity *id)
{
    struct entry *e = find(u, path);
    if (e && is_same(&e->file.id, id))
        e->file.recorded = true;
}

uint64_t unmoved_failed(struct unmoved *u, const char *path, const struct identity *id,
                        const struct err *verdict, const char *why)
{
    struct entry *e = take(u, path, id);
    if (!e) {
        mark(u, path, id, FAILED);
        return WAIT_FIRST_MS;
    }
    cannot_be_moved(e, verdict->code, verdict->text, why);
    e->wait_ms = e->wait_ms == 0 ? WAIT_FIRST_MS : e->wait_ms * 2;
    if (e->wait_ms > WAIT_MAX_MS)
        e->wait_ms = WAIT_MAX_MS;
    return e->wait_ms;
}

void unmoved_drop(struct unmoved *u, const char *path, const struct identity *id)
{
    struct entry *e = find(u, path);
    if (e)
        drop(u, e);
    marks_set(u->marks, mark_of(u, path, id), 0);
}

void unmoved_pardon(struct unmoved *u, void (*look)(void *arg, const char *path), void *arg)
{
    for (struct entry *e = u->first, *next; e; e = next) {
        next = e->next;
        e->wait_ms = 0;
        if (e->file.failure) /* else it is on its way out */
            look(arg, e->file.path);
        if (e->file.condemned)
            drop(u, e);
    }
    marks_clear(u->marks, CONDEMNED);
}

void unmoved_pardon_one(struct unmoved *u, const char *path, const struct identity *id)
{
    uint64_t hash = mark_of(u, path, id);
    struct entry *e = find(u, path);
    if (e)
        e->wait_ms = 0;
    if (e && e->file.condemned)
        drop(u, e);
    if (marks_get(u->marks, hash) & CONDEMNED)
        marks_set(u->marks, hash, 0);
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
