/* Which bytes we mean: the identity of a file's contents as far as stat(2) tells. */
#ifndef BASE_IDENTITY_H
#define BASE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct identity {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
};

struct file_stat {
    struct identity id;
    mode_t mode;
    uint32_t nlink;
    uint32_t uid, gid;
};

/* All five fields. */
bool identity_equal(const struct identity *a, const struct identity *b);
/* All but ctime: rename(2) changes ctime, so this is the check after a file was moved by us. */
bool identity_equal_moved(const struct identity *a, const struct identity *b);
/* The contents may yet change without the times showing it: when it was read, at read_wall_ns, its
 * mtime was less than 20 ms away (two ticks of the coarsest kernel clock), so that a write just
 * after may leave the same mtime. An mtime further in the future is one that somebody set: any
 * write changes it. */
bool identity_is_racy(const struct identity *id, int64_t read_wall_ns);
/* Is `is` what a power loss left of a file that was never synced: the same inode, shorter, though
 * nobody wrote to it since? The device is not asked: its number may be another after every start
 * (btrfs, loop devices, the order in which disks are found). */
bool identity_is_torn(const struct identity *was, const struct identity *is);

#endif
