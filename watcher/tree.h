/* The directories under the root that we know, and their watches. Pure bookkeeping: it calls no
 * system call. A node costs about 100 bytes and its name; paths are rebuilt when they are needed.
 */
#ifndef WATCHER_TREE_H
#define WATCHER_TREE_H

#include "watcher/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settle_entry;

enum tree_flag {
    TREE_QUEUED = 1 << 0,   /* in a queue of directories to scan */
    TREE_SCANNING = 1 << 1, /* taken from it, its scan not finished */
    TREE_AGAIN = 1 << 2,    /* to be scanned once more when that is done */
    TREE_STARTUP = 1 << 3,  /* the first scan waits for it */
    TREE_RESCAN = 1 << 4,   /* the running rescan waits for it, and goes below it */
    TREE_POLLED = 1 << 5,   /* it could not be watched, and is scanned every few seconds */
    TREE_DIRTY = 1 << 6,    /* the settle table had no room for its files: scan it again */
    TREE_DENIED = 1 << 7,   /* it cannot be read, and that was told */
    TREE_EXCUSED = 1 << 8,  /* what its next scan finds nobody could have told of: no drift */
    TREE_LATER = 1 << 9,    /* files of it were dropped from the settle table: see patrol.c */
    TREE_GONE = 1 << 10     /* not in the tree any more; the last tree_unpin frees it */
};
struct tree_node {
    struct tree_node *parent, *child, *next, *prev; /* child: the first; next, prev: siblings */
    struct hash_link by_wd, by_name;
    struct tree_node *queue_next;
    struct settle_entry *files; /* of the settle table: see settle.h */
    int wd;                     /* -1: not watched */
    uint32_t scan_id;           /* counts its scans */
    uint32_t seen;              /* the scan_id of its parent when that one saw it last */
    uint16_t pins;
    uint16_t flags;
    int8_t habit; /* see habit.h */
    uint8_t name_len;
    char name[];
};
struct tree {
    struct hash by_wd, by_name;
    struct tree_node *root;
    size_t nodes, watches;
    size_t flagged[16]; /* nodes with each flag, by its bit */
};

void tree_init(struct tree *t); /* with a root */
void tree_fini(struct tree *t); /* no node may be pinned */
/* A new directory below parent, seen in its present scan. name_len <= 255; not there yet. */
struct tree_node *tree_add(struct tree *t, struct tree_node *parent, const char *name,
                           size_t name_len);
struct tree_node *tree_child(const struct tree *t, const struct tree_node *parent, const char *name,
                             size_t name_len);
struct tree_node *tree_by_wd(const struct tree *t, int wd);
/* The deepest known directory on the way to this path, whose last component is a file's name;
 * NULL if the file's own directory is not known. */
struct tree_node *tree_dir_of(const struct tree *t, const char *path, size_t n);
void tree_set_wd(struct tree *t, struct tree_node *node, int wd); /* -1 takes it away */
void tree_set(struct tree *t, struct tree_node *node, unsigned flags);
void tree_clear(struct tree *t, struct tree_node *node, unsigned flags);
/* Take one directory that has no children, no watch and no files out. The root stays. */
void tree_remove(struct tree *t, struct tree_node *node);
void tree_pin(struct tree_node *node);
void tree_unpin(struct tree_node *node);
/* The next in pre-order below top (NULL after the last); and the first in post-order, which is safe
 * to remove before one asks for the next. */
struct tree_node *tree_next(const struct tree_node *top, struct tree_node *node);
struct tree_node *tree_deepest(struct tree_node *node);
/* The path below the root, "" for the root, with room for a file's name: writes dir + "/" + name
 * and a NUL. The length, or 0 if it does not fit (or is the root without a name). */
size_t tree_path(const struct tree_node *node, const char *name, size_t name_len, char *out,
                 size_t cap);

/* First in, first out; a node is in one queue at most (TREE_QUEUED) and pinned there. */
struct tree_queue {
    struct tree_node *head, *tail;
};
void tree_queue_push(struct tree *t, struct tree_queue *q, struct tree_node *node);
/* NULL: empty. Nodes that have gone meanwhile are skipped. The pin is the caller's now. */
struct tree_node *tree_queue_pop(struct tree *t, struct tree_queue *q);

#endif
