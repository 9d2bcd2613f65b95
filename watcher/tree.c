/* The tree of directories: see tree.h. A node that is removed while someone still holds it (a
 * queue, a scan on a pool thread) stays allocated, flagged TREE_GONE, until the last pin goes. */
#include "watcher/tree.h"

#include "base/mem.h"
#include "base/rc.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct tree_node *node_new(const char *name, size_t name_len)
{
    BUG_ON(name_len > UINT8_MAX);
    struct tree_node *node = mem_alloc(sizeof *node + name_len + 1);
    memcpy(node->name, name, name_len);
    node->name_len = (uint8_t)name_len;
    node->wd = -1;
    return node;
}

void tree_init(struct tree *t)
{
    *t = (struct tree){0};
    hash_init(&t->by_wd);
    hash_init(&t->by_name);
    t->root = node_new("", 0);
    t->nodes = 1;
}

void tree_fini(struct tree *t)
{
    while (t->root->child) {
        struct tree_node *node = tree_deepest(t->root);
        BUG_ON(node->pins != 0);
        tree_set_wd(t, node, -1);
        tree_remove(t, node);
    }
    free(t->root);
    hash_fini(&t->by_wd);
    hash_fini(&t->by_name);
}

/* A directory's name counts within its parent only. */
static uint32_t name_hash(const struct tree *t, const struct tree_node *parent, const char *name,
                          size_t name_len)
{
    char key[sizeof parent + UINT8_MAX];
    memcpy(key, &parent, sizeof parent);
    memcpy(key + sizeof parent, name, name_len);
    return hash_bytes(&t->by_name, key, sizeof parent + name_len);
}

struct tree_node *tree_add(struct tree *t, struct tree_node *parent, const char *name,
                           size_t name_len)
{
    struct tree_node *node = node_new(name, name_len);
    node->parent = parent;
    node->seen = parent->scan_id;
    node->next = parent->child;
    if (node->next)
        node->next->prev = node;
    parent->child = node;
    hash_add(&t->by_name, &node->by_name, name_hash(t, parent, name, name_len));
    t->nodes++;
    return node;
}

struct tree_node *tree_child(const struct tree *t, const struct tree_node *parent, const char *name,
                             size_t name_len)
{
    if (name_len > UINT8_MAX)
        return NULL;
    uint32_t hash = name_hash(t, parent, name, name_len);
    for (struct hash_link *l = hash_first(&t->by_name, hash); l; l = l->next) {
        struct tree_node *node = HASH_OWNER(l, struct tree_node, by_name);
        if (l->hash == hash && node->parent == parent && node->name_len == name_len &&
            memcmp(node->name, name, name_len) == 0)
            return node;
    }
    return NULL;
}

struct tree_node *tree_by_wd(const struct tree *t, int wd)
{
    for (struct hash_link *l = hash_first(&t->by_wd, (uint32_t)wd); l; l = l->next) {
        struct tree_node *node = HASH_OWNER(l, struct tree_node, by_wd);
        if (node->wd == wd)
            return node;
    }
    return NULL;
}

struct tree_node *tree_dir_of(const struct tree *t, const char *path, size_t n)
{
    struct tree_node *node = t->root;
    for (const char *slash; node && (slash = memchr(path, '/', n));) {
        size_t len = (size_t)(slash - path);
        node = tree_child(t, node, path, len);
        path += len + 1;
        n -= len + 1;
    }
    return node;
}

void tree_set_wd(struct tree *t, struct tree_node *node, int wd)
{
    if (node->wd >= 0) {
        hash_remove(&t->by_wd, &node->by_wd);
        t->watches--;
    }
    node->wd = wd;
    if (wd >= 0) {
        hash_add(&t->by_wd, &node->by_wd, (uint32_t)wd);
        t->watches++;
    }
}

static void count(struct tree *t, unsigned flags, size_t by)
{
    for (; flags; flags &= flags - 1)
        t->flagged[__builtin_ctz(flags)] += by;
}

void tree_set(struct tree *t, struct tree_node *node, unsigned flags)
{
    count(t, flags & ~node->flags, 1);
    node->flags = (uint16_t)(node->flags | flags);
}

void tree_clear(struct tree *t, struct tree_node *node, unsigned flags)
{
    count(t, flags & node->flags, (size_t)-1);
    node->flags = (uint16_t)(node->flags & ~flags);
}

void tree_remove(struct tree *t, struct tree_node *node)
{
    BUG_ON(!node->parent || node->child || node->wd >= 0 || node->files);
    tree_clear(t, node, node->flags);
    node->flags = TREE_GONE; /* not counted: it is no node of the tree any more */
    hash_remove(&t->by_name, &node->by_name);
    if (node->next)
        node->next->prev = node->prev;
    if (node->prev)
        node->prev->next = node->next;
    else
        node->parent->child = node->next;
    node->parent = node->next = node->prev = NULL;
    t->nodes--;
    if (node->pins == 0)
        free(node);
}

void tree_pin(struct tree_node *node)
{
    BUG_ON(node->pins == UINT16_MAX);
    node->pins++;
}

void tree_unpin(struct tree_node *node)
{
    BUG_ON(node->pins == 0);
    if (--node->pins == 0 && (node->flags & TREE_GONE))
        free(node);
}

struct tree_node *tree_next(const struct tree_node *top, struct tree_node *node)
{
    if (node->child)
        return node->child;
    while (node != top && !node->next)
        node = node->parent;
    return node == top ? NULL : node->next;
}

struct tree_node *tree_deepest(struct tree_node *node)
{
    while (node->child)
        node = node->child;
    return node;
}

size_t tree_path(const struct tree_node *node, const char *name, size_t name_len, char *out,
                 size_t cap)
{
    size_t n = name_len;
    for (const struct tree_node *at = node; at->parent; at = at->parent)
        n += at->name_len + (n > 0 ? 1U : 0U);
    if (n >= cap)
        return 0;
    char *to = out + n;
    *to = '\0';
    to -= name_len;
    memcpy(to, name, name_len);
    for (const struct tree_node *at = node; at->parent; at = at->parent) {
        if (*to)
            *--to = '/';
        to -= at->name_len;
        memcpy(to, at->name, at->name_len);
    }
    return n;
}

void tree_queue_push(struct tree *t, struct tree_queue *q, struct tree_node *node)
{
    BUG_ON(node->flags & (TREE_QUEUED | TREE_GONE));
    tree_set(t, node, TREE_QUEUED);
    tree_pin(node);
    node->queue_next = NULL;
    if (q->tail)
        q->tail->queue_next = node;
    else
        q->head = node;
    q->tail = node;
}

struct tree_node *tree_queue_pop(struct tree *t, struct tree_queue *q)
{
    for (struct tree_node *node; (node = q->head);) {
        q->head = node->queue_next;
        if (!q->head)
            q->tail = NULL;
        if (!(node->flags & TREE_GONE)) {
            tree_clear(t, node, TREE_QUEUED);
            return node;
        }
        tree_unpin(node);
    }
    return NULL;
}
