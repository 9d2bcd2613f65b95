/* A file system in memory behind struct fsio, which fails and loses power on demand.
 *
 * What a disk may do is taken at its worst: bytes are durable after a datasync or sync of their
 * file that returned 0, names after a sync of their directory; a sync that fails loses what it
 * should have written (the cache still shows it, a later sync does not write it); of what was never
 * synced, a power cut keeps nothing, or any part by 512-byte sectors (a seed chooses); of names,
 * the first ones of an ordered log, or any of them with what each needs (directories that are
 * written one by one). One rename is atomic. Any thread may call.
 */
#ifndef TORTURE_FAULTFS_H
#define TORTURE_FAULTFS_H

#include "base/fsio.h"

#include <limits.h>
#include <stdbool.h>

enum faultfs_call {
    FAULTFS_ANY,
    FAULTFS_OPEN,
    FAULTFS_CLOSE,
    FAULTFS_PREAD,
    FAULTFS_PWRITE,
    FAULTFS_TRUNCATE,
    FAULTFS_DATASYNC,
    FAULTFS_SYNC,
    FAULTFS_STAT,
    FAULTFS_RENAME,
    FAULTFS_LINK,
    FAULTFS_UNLINK,
    FAULTFS_RMDIR,
    FAULTFS_MKDIR,
    FAULTFS_LIST,
    FAULTFS_CALL_COUNT_,
};

enum faultfs_fault {
    FAULTFS_ERROR, /* the call does nothing (a sync: loses) and returns -error */
    FAULTFS_SHORT, /* pread and pwrite do half of it; other calls work */
    FAULTFS_FILLS, /* the same, and the next such call returns -ENOSPC */
    FAULTFS_POWER, /* the power fails before the call: it and all later ones return -EIO */
};

struct faultfs_plan {
    enum faultfs_call call; /* which calls are counted */
    uint64_t nth;           /* from 1, counted from faultfs_arm on */
    enum faultfs_fault fault;
    int error;  /* errno of FAULTFS_ERROR */
    bool stays; /* FAULTFS_ERROR: for every later such call too, until disarmed */
};

struct faultfs;
struct faultfs *faultfs_new(void);
void faultfs_free(struct faultfs *f);
const struct fsio *faultfs_fsio(struct faultfs *f);
/* A descriptor of the root directory; a new one after each restart. Closed by the restart. */
int faultfs_root(struct faultfs *f);

void faultfs_arm(struct faultfs *f, const struct faultfs_plan *plan);    /* NULL: disarm */
bool faultfs_fired(const struct faultfs *f);                             /* since armed */
uint64_t faultfs_calls(const struct faultfs *f, enum faultfs_call call); /* since made */
const char *faultfs_call_name(enum faultfs_call call);
/* What lies at dirfd/path, uncounted and whatever is armed: its bytes stay the file system's, until
 * the next call. False: nothing. */
bool faultfs_peek(struct faultfs *f, int dirfd, const char *path, struct file_stat *st,
                  const char **data);
/* The path of dirfd/path from the root, "" if dirfd has none; uncounted too. */
void faultfs_where(struct faultfs *f, int dirfd, const char *path, char out[PATH_MAX]);

/* The power comes back: what was not durable is gone (seed 0), or a part of it (other seeds).
 * Descriptors are closed, the plan is disarmed. */
void faultfs_restart(struct faultfs *f, uint64_t seed);
/* The process died, not the machine: descriptors are closed, the cache stays. */
void faultfs_kill(struct faultfs *f);

#endif
