/* Has a file system room enough, by limits.min_free_percent and min_free_inodes_percent? One answer
 * for the gateway, for `put` and for `check`. Pure.
 */
#ifndef GATEWAY_SPACE_H
#define GATEWAY_SPACE_H

#include "gateway/config.h"

#include <sys/statvfs.h>

enum space { SPACE_ENOUGH, SPACE_FEW_BYTES, SPACE_FEW_INODES };
/* A file system that tells no total of one kind has enough of it. */
enum space space_judge(const struct config *c, const struct statvfs *s);

#endif
