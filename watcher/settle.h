/* The files that are not finished: a table by path, ordered by when each is due to be looked at.
 * Pure: time is an argument, and what happened comes in as events.
 *
 *   CREATED  its name appeared; a probe must say whether somebody writes it
 *   WRITING  a writer has it open: its CLOSE_WRITE is waited for
 *   WAITING  due to be looked at, at once or when it has been quiet
 *   OUT      a candidate: the answer is waited for. What happens meanwhile is kept for after it
 */
#ifndef WATCHER_SETTLE_H
#define WATCHER_SETTLE_H

#include "watcher/hash.h"
#include "watcher/tree.h"
#include "watcher/watcher.h"

enum settle_state { SETTLE_CREATED, SETTLE_WRITING, SETTLE_WAITING, SETTLE_OUT, SETTLE_STATES };
enum settle_event {
    SETTLE_APPEARED,   /* CREATE of something that is no directory */
    SETTLE_CLOSED,     /* CLOSE_WRITE with its own name */
    SETTLE_ARRIVED,    /* MOVED_TO */
    SETTLE_LEFT,       /* DELETE */
    SETTLE_MOVED_AWAY, /* MOVED_FROM: of two that changed names, its name has the other by now */
    SETTLE_TMP_CLOSED, /* CLOSE_WRITE named "#<inode>" */
    SETTLE_EVENTS
};
struct settle_entry {
    struct hash_link by_path, by_ino;
    struct settle_entry *dir_next, *dir_prev; /* among the files of its directory */
    struct tree_node *dir;                    /* NULL: that one is gone, or not known */
    uint64_t since_ms, due_ms, ino;           /* ino: 0 unless WRITING or OUT after that */
    uint64_t probe;   /* CREATED: the number of the probe that is asked for; else 0 */
    uint32_t heap_at; /* its place among those due; SETTLE_NOT_DUE: none */
    uint16_t path_len;
    uint8_t state, trust, source;
    bool written;  /* what a writer had open when last seen; for people */
    bool tmp_name; /* CREATED for a CLOSE_WRITE named like "#<inode>": maybe no file at all */
    /* OUT or WAITING: it was in a new directory before the watch was, nothing has happened to it
     * since, and how files come there was not known. */
    bool unsure;
    bool stuck; /* WATCHER_STUCK was its last answer, and nothing has happened to it since */
    /* OUT: what to do after the answer */
    bool renewed; /* look again: at due_ms, with `trust` */
    bool left;    /* it went: nothing, whatever the answer */
    char path[];
};
#define SETTLE_NOT_DUE UINT32_MAX

struct settle {
    struct hash by_path, by_ino;
    struct settle_entry **heap; /* by due_ms */
    size_t heap_n, heap_cap;
    size_t n, out, max;
    size_t unsure, stuck;
    uint64_t settle_ms;
    uint64_t probes; /* numbers given */
};

void settle_init(struct settle *s, uint64_t settle_ms, size_t max);
void settle_fini(struct settle *s);
struct settle_entry *settle_find(const struct settle *s, const char *path, size_t n);
/* It happened to the file `path` in dir (may be NULL). *full is set if the table had no room for
 * it; it is then not remembered at all. The entry, if there is one now. A CREATED one with a
 * `probe` it had not before wants that probe. */
struct settle_entry *settle_happen(struct settle *s, struct tree_node *dir, const char *path,
                                   size_t n, enum settle_event event, uint64_t now_ms, bool *full);
/* A CLOSE_WRITE named "#<inode>" came: whoever is WRITING under that inode is finished. False:
 * none. */
bool settle_tmp_closed(struct settle *s, uint64_t ino, uint64_t now_ms);
/* A new entry that is OUT already, for what a scan found. NULL: the table is full. BUG if there. */
struct settle_entry *settle_found(struct settle *s, struct tree_node *dir, const char *path,
                                  size_t n, enum watcher_source source, uint64_t now_ms);
/* Look at it when wait_ms have gone, if not sooner. NULL: the table is full. */
struct settle_entry *settle_look(struct settle *s, struct tree_node *dir, const char *path,
                                 size_t n, uint64_t wait_ms, uint64_t now_ms);
/* The same for one that is not in the table, and is taken to have come whole unless something
 * happens to it until then. */
struct settle_entry *settle_fresh(struct settle *s, struct tree_node *dir, const char *path,
                                  size_t n, uint64_t wait_ms, uint64_t now_ms);
/* One that was just found was in a new directory before its watch: see `unsure`. */
void settle_unsure(struct settle *s, struct settle_entry *e);
/* By now it is known how files come there: whole. Those of this directory that were unsure are
 * taken as such in wait_ms, unless something happens to them until then. For those that are OUT it
 * is to be said again after the answer. */
void settle_sure(struct settle *s, struct tree_node *dir, uint64_t wait_ms, uint64_t now_ms);
/* What a probe said of a CREATED entry. */
void settle_writer(struct settle *s, struct settle_entry *e, uint64_t ino, uint64_t now_ms);
void settle_quiet(struct settle *s, struct settle_entry *e, uint64_t now_ms);
void settle_whole(struct settle *s, struct settle_entry *e, uint64_t now_ms);
void settle_drop(struct settle *s, struct settle_entry *e);
/* When the next is due: UINT64_MAX if none. */
uint64_t settle_due_ms(const struct settle *s);
/* Take the next that is due: it is OUT now. NULL: none. */
struct settle_entry *settle_take(struct settle *s, uint64_t now_ms);
/* The answer for one that is OUT. False: a quarter of the table is stuck already, and this one is
 * dropped to leave room for others. */
bool settle_answer(struct settle *s, struct settle_entry *e, enum watcher_verdict v,
                   uint64_t wait_ms, uint64_t now_ms);
/* Fewer than half as many are stuck as may be: there is room again for those that were dropped. */
bool settle_takes_stuck(const struct settle *s);
/* Their directory is gone: so are the files, but for those that are OUT. */
void settle_drop_dir(struct settle *s, struct tree_node *dir);
const char *settle_why(const struct settle_entry *e);

#endif
