/* The settle table: see settle.h.
 *
 * An entry is in the heap exactly while it is WRITING or WAITING; it is OUT from the moment it is
 * told until the answer, so no path is told twice at a time; and whatever happens to a file that is
 * OUT leads to another look after the answer. */
#include "watcher/settle.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* A writer's CLOSE_WRITE may never come (events lost, watch lost): look at it all the same. */
    WRITER_LOOK_MS = 30000,
    AGAIN_MIN_MS = 20, /* a caller that answers AGAIN without a wait must not make us spin */
    STUCK_SHARE = 4    /* those that nobody can do anything about: one part in so many */
};

enum act {
    NOTHING,
    PROBE,       /* CREATED, and a probe is asked for */
    QUIET,       /* due when it has been quiet */
    NOW,         /* due now, whole */
    DROP,        /* no entry */
    LOOK,        /* due now, trusted as it is: who looks sees whether it is there */
    RENEW_QUIET, /* OUT: the same after the answer */
    RENEW_NOW,
    RENEW_LOOK,
    LEAVE
};
/* NOTHING_KNOWN stands for a path that has no entry. */
#define NOTHING_KNOWN SETTLE_STATES
static const uint8_t acts[][SETTLE_EVENTS] = {
    /*                  APPEARED     CLOSED       ARRIVED    LEFT     MOVED_AWAY  TMP_CLOSED */
    [SETTLE_CREATED] = {PROBE, QUIET, NOW, DROP, DROP, NOTHING},
    [SETTLE_WRITING] = {PROBE, QUIET, NOW, DROP, DROP, NOW},
    [SETTLE_WAITING] = {PROBE, QUIET, NOW, DROP, LOOK, NOTHING},
    [SETTLE_OUT] = {RENEW_QUIET, RENEW_QUIET, RENEW_NOW, LEAVE, RENEW_LOOK, RENEW_NOW},
    [NOTHING_KNOWN] = {PROBE, QUIET, NOW, NOTHING, NOTHING, NOTHING},
};
_Static_assert(sizeof acts / sizeof *acts == SETTLE_STATES + 1, "a row for every state");

void settle_init(struct settle *s, uint64_t settle_ms, size_t max)
{
    *s = (struct settle){.settle_ms = settle_ms, .max = max};
    hash_init(&s->by_path);
    hash_init(&s->by_ino);
}

/* ---- the heap: earliest due first ---- */

static void heap_put(struct settle *s, size_t at, struct settle_entry *e)
{
    s->heap[at] = e;
    e->heap_at = (uint32_t)at;
}

static void heap_up(struct settle *s, size_t at)
{
    struct settle_entry *e = s->heap[at];
    for (size_t up; at > 0 && e->due_ms < s->heap[up = (at - 1) / 2]->due_ms; at = up)
        heap_put(s, at, s->heap[up]);
    heap_put(s, at, e);
}

static void heap_down(struct settle *s, size_t at)
{
    struct settle_entry *e = s->heap[at];
    for (size_t down; (down = at * 2 + 1) < s->heap_n; at = down) {
        if (down + 1 < s->heap_n && s->heap[down + 1]->due_ms < s->heap[down]->due_ms)
            down++;
        if (e->due_ms <= s->heap[down]->due_ms)
            break;
        heap_put(s, at, s->heap[down]);
    }
    heap_put(s, at, e);
}

static void not_due(struct settle *s, struct settle_entry *e)
{
    size_t at = e->heap_at;
    if (at == SETTLE_NOT_DUE)
        return;
    e->heap_at = SETTLE_NOT_DUE;
    struct settle_entry *last = s->heap[--s->heap_n];
    if (last == e)
        return;
    heap_put(s, at, last);
    heap_up(s, at);
    heap_down(s, last->heap_at);
}

static void due_at(struct settle *s, struct settle_entry *e, uint64_t due_ms)
{
    not_due(s, e);
    e->due_ms = due_ms;
    if (s->heap_n == s->heap_cap) {
        s->heap_cap = s->heap_cap ? s->heap_cap * 2 : 64;
        s->heap = mem_resize(s->heap, s->heap_cap, sizeof *s->heap);
    }
    heap_put(s, s->heap_n, e);
    heap_up(s, s->heap_n++);
}

/* ---- entries ---- */

static void forget_ino(struct settle *s, struct settle_entry *e)
{
    if (e->ino)
        hash_remove(&s->by_ino, &e->by_ino);
    e->ino = 0;
}

static void leave_dir(struct settle_entry *e)
{
    if (!e->dir)
        return;
    if (e->dir_next)
        e->dir_next->dir_prev = e->dir_prev;
    if (e->dir_prev)
        e->dir_prev->dir_next = e->dir_next;
    else
        e->dir->files = e->dir_next;
    e->dir = NULL;
    e->dir_next = e->dir_prev = NULL;
}

static void enter_dir(struct settle_entry *e, struct tree_node *dir)
{
    if (e->dir == dir || !dir)
        return;
    leave_dir(e);
    e->dir = dir;
    e->dir_next = dir->files;
    if (e->dir_next)
        e->dir_next->dir_prev = e;
    dir->files = e;
}

static void set_state(struct settle *s, struct settle_entry *e, enum settle_state to)
{
    s->out -= e->state == SETTLE_OUT;
    s->out += to == SETTLE_OUT;
    e->state = (uint8_t)to;
    e->probe = 0;
    e->tmp_name = false;
    if (to != SETTLE_WRITING && to != SETTLE_OUT)
        forget_ino(s, e);
}

/* In no heap yet and in state WAITING: the caller goes on from there. */
static struct settle_entry *add(struct settle *s, struct tree_node *dir, const char *path, size_t n,
                                uint64_t now_ms)
{
    if (s->n >= s->max || n == 0 || n > UINT16_MAX)
        return NULL;
    struct settle_entry *e = mem_alloc(sizeof *e + n + 1);
    memcpy(e->path, path, n);
    e->path_len = (uint16_t)n;
    e->since_ms = now_ms;
    e->heap_at = SETTLE_NOT_DUE;
    e->state = SETTLE_WAITING;
    e->trust = WATCHER_QUIET;
    e->source = WATCHER_EVENT;
    hash_add(&s->by_path, &e->by_path, hash_bytes(&s->by_path, path, n));
    enter_dir(e, dir);
    s->n++;
    return e;
}

static void not_unsure(struct settle *s, struct settle_entry *e)
{
    s->unsure -= e->unsure;
    e->unsure = false;
}

static void not_stuck(struct settle *s, struct settle_entry *e)
{
    s->stuck -= e->stuck;
    e->stuck = false;
}

void settle_drop(struct settle *s, struct settle_entry *e)
{
    not_due(s, e);
    not_unsure(s, e);
    not_stuck(s, e);
    forget_ino(s, e);
    leave_dir(e);
    hash_remove(&s->by_path, &e->by_path);
    s->out -= e->state == SETTLE_OUT;
    s->n--;
    free(e);
}

void settle_fini(struct settle *s)
{
    for (size_t i = 0; i < s->by_path.slot_count; i++) {
        while (s->by_path.slots[i])
            settle_drop(s, HASH_OWNER(s->by_path.slots[i], struct settle_entry, by_path));
    }
    hash_fini(&s->by_path);
    hash_fini(&s->by_ino);
    free(s->heap);
    *s = (struct settle){0};
}

struct settle_entry *settle_find(const struct settle *s, const char *path, size_t n)
{
    uint32_t hash = hash_bytes(&s->by_path, path, n);
    for (struct hash_link *l = hash_first(&s->by_path, hash); l; l = l->next) {
        struct settle_entry *e = HASH_OWNER(l, struct settle_entry, by_path);
        if (l->hash == hash && e->path_len == n && memcmp(e->path, path, n) == 0)
            return e;
    }
    return NULL;
}

/* ---- transitions ---- */

static void wait_until(struct settle *s, struct settle_entry *e, enum watcher_trust trust,
                       uint64_t due_ms)
{
    set_state(s, e, SETTLE_WAITING);
    e->written = false;
    e->trust = (uint8_t)trust;
    due_at(s, e, due_ms);
}

static void renew(struct settle_entry *e, enum watcher_trust trust, uint64_t due_ms)
{
    e->renewed = true;
    e->left = false;
    e->written = false;
    e->trust = (uint8_t)trust;
    e->due_ms = due_ms;
}

static void act(struct settle *s, struct settle_entry *e, enum act what, uint64_t now_ms)
{
    if (what != NOTHING) {
        not_unsure(s, e);
        not_stuck(s, e);
    }
    switch (what) {
    case NOTHING:
        break;
    case PROBE:
        if (e->state == SETTLE_CREATED && !e->tmp_name)
            break; /* asked for already */
        not_due(s, e);
        set_state(s, e, SETTLE_CREATED);
        e->probe = ++s->probes;
        break;
    case QUIET:
        wait_until(s, e, WATCHER_QUIET, now_ms + s->settle_ms);
        break;
    case NOW:
        wait_until(s, e, WATCHER_MOVED, now_ms);
        break;
    case DROP:
        settle_drop(s, e);
        break;
    case LOOK:
        if (now_ms < e->due_ms)
            due_at(s, e, now_ms);
        break;
    case RENEW_QUIET:
        renew(e, WATCHER_QUIET, now_ms + s->settle_ms);
        break;
    case RENEW_NOW:
        renew(e, WATCHER_MOVED, now_ms);
        break;
    case RENEW_LOOK:
        renew(e, (enum watcher_trust)e->trust, now_ms);
        break;
    case LEAVE:
        e->renewed = false;
        e->left = true;
        break;
    }
}

struct settle_entry *settle_happen(struct settle *s, struct tree_node *dir, const char *path,
                                   size_t n, enum settle_event event, uint64_t now_ms, bool *full)
{
    struct settle_entry *e = settle_find(s, path, n);
    enum act what = acts[e ? e->state : NOTHING_KNOWN][event];
    *full = false;
    if (!e && what == NOTHING)
        return NULL;
    if (!e)
        e = add(s, dir, path, n, now_ms);
    if (!e) {
        *full = true;
        return NULL;
    }
    enter_dir(e, dir);
    if (event != SETTLE_LEFT && event != SETTLE_MOVED_AWAY && e->state != SETTLE_OUT)
        e->source = WATCHER_EVENT;
    act(s, e, what, now_ms);
    return what == DROP ? NULL : e;
}

static struct settle_entry *writing(const struct settle *s, uint64_t ino)
{
    for (struct hash_link *l = hash_first(&s->by_ino, (uint32_t)ino); l; l = l->next) {
        struct settle_entry *e = HASH_OWNER(l, struct settle_entry, by_ino);
        if (e->ino == ino)
            return e;
    }
    return NULL;
}

bool settle_tmp_closed(struct settle *s, uint64_t ino, uint64_t now_ms)
{
    bool any = false;
    /* More than one: hard links, each waited for. */
    for (struct settle_entry *e; (e = writing(s, ino));) {
        any = true;
        act(s, e, acts[e->state][SETTLE_TMP_CLOSED], now_ms);
        forget_ino(s, e);
    }
    return any;
}

struct settle_entry *settle_found(struct settle *s, struct tree_node *dir, const char *path,
                                  size_t n, enum watcher_source source, uint64_t now_ms)
{
    struct settle_entry *e = add(s, dir, path, n, now_ms);
    if (!e)
        return NULL;
    e->source = (uint8_t)source;
    set_state(s, e, SETTLE_OUT);
    return e;
}

struct settle_entry *settle_look(struct settle *s, struct tree_node *dir, const char *path,
                                 size_t n, uint64_t wait_ms, uint64_t now_ms)
{
    struct settle_entry *e = settle_find(s, path, n);
    uint64_t due_ms = now_ms + wait_ms;
    if (e) {
        not_unsure(s, e); /* somebody knows better */
        enter_dir(e, dir);
    }
    if (!e) {
        e = add(s, dir, path, n, now_ms);
        if (e)
            wait_until(s, e, WATCHER_QUIET, due_ms);
    } else if (e->state == SETTLE_OUT) {
        if (!e->renewed || e->due_ms > due_ms)
            renew(e, WATCHER_QUIET, due_ms);
    } else if (e->state != SETTLE_CREATED && due_ms < e->due_ms) {
        due_at(s, e, due_ms); /* CREATED: a probe is on its way */
    }
    return e;
}

struct settle_entry *settle_fresh(struct settle *s, struct tree_node *dir, const char *path,
                                  size_t n, uint64_t wait_ms, uint64_t now_ms)
{
    struct settle_entry *e = add(s, dir, path, n, now_ms);
    if (e)
        wait_until(s, e, WATCHER_MOVED, now_ms + wait_ms);
    return e;
}

void settle_unsure(struct settle *s, struct settle_entry *e)
{
    s->unsure += !e->unsure;
    e->unsure = true;
}

void settle_sure(struct settle *s, struct tree_node *dir, uint64_t wait_ms, uint64_t now_ms)
{
    for (struct settle_entry *e = dir->files; e; e = e->dir_next) {
        if (!e->unsure || e->state != SETTLE_WAITING)
            continue;
        not_unsure(s, e);
        wait_until(s, e, WATCHER_MOVED, now_ms + wait_ms);
    }
}

void settle_writer(struct settle *s, struct settle_entry *e, uint64_t ino, uint64_t now_ms)
{
    if (e->tmp_name) { /* closed once, as we know, and open again: its next close tells */
        settle_quiet(s, e, now_ms);
        return;
    }
    set_state(s, e, SETTLE_WRITING);
    e->written = true;
    e->trust = WATCHER_QUIET;
    e->ino = ino;
    if (ino)
        hash_add(&s->by_ino, &e->by_ino, (uint32_t)ino);
    due_at(s, e, now_ms + (s->settle_ms > WRITER_LOOK_MS ? s->settle_ms : WRITER_LOOK_MS));
}

void settle_quiet(struct settle *s, struct settle_entry *e, uint64_t now_ms)
{
    act(s, e, QUIET, now_ms);
}

void settle_whole(struct settle *s, struct settle_entry *e, uint64_t now_ms)
{
    act(s, e, e->tmp_name ? QUIET : NOW, now_ms);
}

uint64_t settle_due_ms(const struct settle *s)
{
    return s->heap_n ? s->heap[0]->due_ms : UINT64_MAX;
}

struct settle_entry *settle_take(struct settle *s, uint64_t now_ms)
{
    if (settle_due_ms(s) > now_ms)
        return NULL;
    struct settle_entry *e = s->heap[0];
    not_due(s, e);
    e->renewed = e->left = false;
    set_state(s, e, SETTLE_OUT);
    return e;
}

bool settle_answer(struct settle *s, struct settle_entry *e, enum watcher_verdict v,
                   uint64_t wait_ms, uint64_t now_ms)
{
    BUG_ON(e->state != SETTLE_OUT);
    not_stuck(s, e);
    if (e->renewed) {
        /* Events win over the answer: they are about what it did not see. */
        uint64_t due_ms = e->due_ms;
        if (due_ms < now_ms + AGAIN_MIN_MS && v != WATCHER_DONE)
            due_ms = now_ms + AGAIN_MIN_MS;
        e->source = WATCHER_EVENT;
        e->renewed = false;
        wait_until(s, e, e->trust, due_ms);
        return true;
    }
    bool too_many = v == WATCHER_STUCK && s->stuck >= s->max / STUCK_SHARE;
    if (e->left || v == WATCHER_DONE || too_many) {
        bool is_there = !e->left && v != WATCHER_DONE;
        settle_drop(s, e);
        return !is_there;
    }
    e->stuck = v == WATCHER_STUCK;
    s->stuck += e->stuck;
    /* A writer that was seen stays one for people, and its close is still waited for by inode. */
    set_state(s, e, e->ino ? SETTLE_WRITING : SETTLE_WAITING);
    due_at(s, e, now_ms + (wait_ms > AGAIN_MIN_MS ? wait_ms : AGAIN_MIN_MS));
    return true;
}

bool settle_takes_stuck(const struct settle *s)
{
    return s->stuck < s->max / STUCK_SHARE / 2;
}

void settle_drop_dir(struct settle *s, struct tree_node *dir)
{
    for (struct settle_entry *e = dir->files, *next; e; e = next) {
        next = e->dir_next;
        if (e->state == SETTLE_OUT) {
            act(s, e, LEAVE, 0);
            leave_dir(e);
        } else {
            settle_drop(s, e);
        }
    }
}

const char *settle_why(const struct settle_entry *e)
{
    switch ((enum settle_state)e->state) {
    case SETTLE_OUT:
        return "being looked at";
    case SETTLE_WAITING:
        return e->written ? "being written" : "waiting to be quiet";
    default:
        return "being written";
    }
}
