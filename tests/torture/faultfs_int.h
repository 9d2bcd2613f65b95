/* The memory behind the failing file system: shared by its two files only. */
#ifndef TORTURE_FAULTFS_INT_H
#define TORTURE_FAULTFS_INT_H

#include "tests/torture/faultfs.h"

#include <limits.h>
#include <pthread.h>
#include <stdint.h>

enum { FAULTFS_FDS = 256 };

struct bytes {
    char *data;
    size_t n, cap;
};

/* A change of a file that is not on the disk: bytes written, or a new length (data NULL). */
struct change {
    struct change *next;
    uint64_t offset;
    size_t n;
    char *data;
};

struct name {
    struct name *next;
    char text[NAME_MAX + 1];
    struct inode *inode;
};

struct inode {
    struct inode *next; /* of all */
    uint64_t number;
    mode_t mode;
    int64_t mtime_ns, ctime_ns;
    struct bytes seen, disk;
    struct change *changes, **changes_end;
    struct name *names, *disk_names; /* of a directory */
};

/* A change of names that is not on the disk: one removed and one put, either may be none. */
struct naming {
    struct naming *next;
    struct inode *from_dir, *to_dir;
    char from[NAME_MAX + 1], to[NAME_MAX + 1];
    struct inode *inode;
    bool chosen;
};

struct faultfs {
    struct fsio fsio;
    pthread_mutex_t lock;
    struct inode *inodes, *root;
    struct inode *fds[FAULTFS_FDS];
    struct naming *namings, **namings_end;
    uint64_t last_number;
    int64_t now_ns;
    uint64_t calls[FAULTFS_CALL_COUNT_];
    struct faultfs_plan plan;
    uint64_t counted; /* of the plan's calls, since armed */
    bool armed, fired, dark;
};

/* ---- faultfs_disk.c: what is seen, what is on the disk, and what carries one to the other ---- */

void bytes_resize(struct bytes *b, size_t n);
void bytes_write(struct bytes *b, uint64_t offset, const void *data, size_t n);

struct name *find_name(struct name *list, const char *text);
void free_names(struct name **list);
void copy_names(struct name **to, const struct name *from);

/* Note a change of a file that a sync must carry over. data NULL: a new length, `offset`. */
void add_change(struct inode *i, uint64_t offset, const void *data, size_t n);
/* Carry a file's changes over to the disk and forget them. seed: NULL for all of them, else those
 * sectors that its coin says. */
void settle_file(struct inode *i, uint64_t *seed);
void lose_changes(struct inode *i);
/* Remove one name and put another, in the cache, and note it. Either directory may be NULL. */
void change_names(struct faultfs *f, struct inode *from_dir, const char *from, struct inode *to_dir,
                  const char *to, struct inode *inode);
/* Take the changes of names that a sync of dir carries over (NULL: all) off the log; apply the
 * first `keep` of them. */
void settle_names(struct faultfs *f, const struct inode *dir, uint64_t keep);
/* The power fails: those changes of names that the seed's coin says reach the disk, and what must
 * come before each of them; the others do not, whatever the order in which they were made. */
void settle_some_names(struct faultfs *f, uint64_t *seed);

struct inode *new_inode(struct faultfs *f, mode_t mode);
uint64_t coin(uint64_t *seed);

#endif
