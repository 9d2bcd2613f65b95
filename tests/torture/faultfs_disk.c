/* What the failing file system shows and what it has on its disk. An inode has the bytes that
 * readers see and the bytes that survive, and a list of changes that a sync would carry over.
 * Directories keep their changes in one log for all, since a rename changes two of them at once.
 */
#include "tests/torture/faultfs_int.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

void bytes_resize(struct bytes *b, size_t n)
{
    if (n > b->cap) {
        b->cap = n * 2;
        b->data = mem_resize(b->data, b->cap, 1);
    }
    if (n > b->n)
        memset(b->data + b->n, 0, n - b->n);
    b->n = n;
}

void bytes_write(struct bytes *b, uint64_t offset, const void *data, size_t n)
{
    if (offset + n > b->n)
        bytes_resize(b, (size_t)offset + n);
    if (n > 0)
        memcpy(b->data + offset, data, n);
}

struct name *find_name(struct name *list, const char *text)
{
    while (list && strcmp(list->text, text) != 0)
        list = list->next;
    return list;
}

static void put_name(struct name **list, const char *text, struct inode *inode)
{
    struct name *n = find_name(*list, text);
    if (!n) {
        n = mem_alloc(sizeof *n);
        (void)snprintf(n->text, sizeof n->text, "%s", text);
        n->next = *list;
        *list = n;
    }
    n->inode = inode;
}

static void remove_name(struct name **list, const char *text)
{
    for (; *list; list = &(*list)->next)
        if (strcmp((*list)->text, text) == 0) {
            struct name *gone = *list;
            *list = gone->next;
            free(gone);
            return;
        }
}

void free_names(struct name **list)
{
    while (*list)
        remove_name(list, (*list)->text);
}

void copy_names(struct name **to, const struct name *from)
{
    free_names(to);
    for (; from; from = from->next)
        put_name(to, from->text, from->inode);
}

/* ---- what reaches the disk ---- */

void add_change(struct inode *i, uint64_t offset, const void *data, size_t n)
{
    struct change *c = mem_alloc(sizeof *c);
    c->offset = offset;
    c->n = n;
    if (data) {
        c->data = mem_alloc(n);
        memcpy(c->data, data, n);
    }
    *i->changes_end = c;
    i->changes_end = &c->next;
}

uint64_t coin(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 11;
}

void settle_file(struct inode *i, uint64_t *seed)
{
    while (i->changes) {
        struct change *c = i->changes;
        i->changes = c->next;
        if (!c->data && (!seed || coin(seed) % 2))
            bytes_resize(&i->disk, (size_t)c->offset);
        for (size_t at = 0; c->data && at < c->n;) {
            size_t n = SECTOR - (size_t)((c->offset + at) % SECTOR);
            if (n > c->n - at)
                n = c->n - at;
            if (!seed || coin(seed) % 2)
                bytes_write(&i->disk, c->offset + at, c->data + at, n);
            at += n;
        }
        free(c->data);
        free(c);
    }
    i->changes_end = &i->changes;
}

void lose_changes(struct inode *i)
{
    while (i->changes) {
        struct change *c = i->changes;
        i->changes = c->next;
        free(c->data);
        free(c);
    }
    i->changes_end = &i->changes;
}

static void apply_naming(const struct naming *n)
{
    if (n->from_dir)
        remove_name(&n->from_dir->disk_names, n->from);
    if (n->to_dir)
        put_name(&n->to_dir->disk_names, n->to, n->inode);
}

/* Must a reach the disk before b, which is the later one? They are about the same file, or the same
 * name: no file system with a log shows the second without the first. */
static bool comes_before(const struct naming *a, const struct naming *b)
{
    if (a->inode == b->inode)
        return true;
    if (a->to_dir && ((a->to_dir == b->from_dir && strcmp(a->to, b->from) == 0) ||
                      (a->to_dir == b->to_dir && strcmp(a->to, b->to) == 0)))
        return true;
    return a->from_dir && ((a->from_dir == b->from_dir && strcmp(a->from, b->from) == 0) ||
                           (a->from_dir == b->to_dir && strcmp(a->from, b->to) == 0));
}

/* Choose also what must come before what is chosen. */
static void choose_earlier(struct naming *list)
{
    bool more = true;
    while (more) {
        more = false;
        for (struct naming *a = list; a; a = a->next)
            for (const struct naming *b = a->next; b && !a->chosen; b = b->next)
                if (b->chosen && comes_before(a, b))
                    a->chosen = more = true;
    }
}

/* Choose what a sync of dir carries over: what touches it, and what must come before. */
static void choose(struct naming *list, const struct inode *dir)
{
    for (struct naming *n = list; n; n = n->next)
        n->chosen = n->from_dir == dir || n->to_dir == dir;
    choose_earlier(list);
}

/* Take the changes of names that a sync of dir carries over (NULL: all) off the log; apply the
 * first `keep` of them.
 */
void settle_names(struct faultfs *f, const struct inode *dir, uint64_t keep)
{
    struct naming **at = &f->namings;
    if (dir)
        choose(f->namings, dir);
    while (*at) {
        struct naming *n = *at;
        if (dir && !n->chosen) {
            at = &n->next;
            continue;
        }
        if (keep > 0) {
            apply_naming(n);
            keep--;
        }
        *at = n->next;
        free(n);
    }
    f->namings_end = at;
}

void settle_some_names(struct faultfs *f, uint64_t *seed)
{
    for (struct naming *n = f->namings; n; n = n->next)
        n->chosen = coin(seed) % 2;
    choose_earlier(f->namings);
    while (f->namings) {
        struct naming *n = f->namings;
        if (n->chosen)
            apply_naming(n);
        f->namings = n->next;
        free(n);
    }
    f->namings_end = &f->namings;
}

void change_names(struct faultfs *f, struct inode *from_dir, const char *from, struct inode *to_dir,
                  const char *to, struct inode *inode)
{
    struct naming *n = mem_alloc(sizeof *n);
    n->from_dir = from_dir;
    n->to_dir = to_dir;
    n->inode = inode;
    if (from_dir) {
        (void)snprintf(n->from, sizeof n->from, "%s", from);
        remove_name(&from_dir->names, from);
    }
    if (to_dir) {
        (void)snprintf(n->to, sizeof n->to, "%s", to);
        put_name(&to_dir->names, to, inode);
    }
    *f->namings_end = n;
    f->namings_end = &n->next;
    inode->ctime_ns = ++f->now_ns;
}

struct inode *new_inode(struct faultfs *f, mode_t mode)
{
    struct inode *i = mem_alloc(sizeof *i);
    i->number = ++f->last_number;
    i->mode = mode;
    i->mtime_ns = i->ctime_ns = ++f->now_ns;
    i->changes_end = &i->changes;
    i->next = f->inodes;
    f->inodes = i;
    return i;
}
