/* P10: one gateway per state directory and per spool root. An flock(2) on a file in it, which names
 * the holder's pid. */
#ifndef SPOOL_LOCK_H
#define SPOOL_LOCK_H

#include "base/fsio.h"

/* dirfd/name is created if need be and locked until the descriptor is closed. RC_AGAIN: another
 * process has it; e says which directory (`what`) and pid. *fd is the caller's. */
enum rc lock_take(int dirfd, const char *name, const char *what, int *fd, struct err *e) MUST_CHECK;

#endif
