/* A disk that loses power, with a spool on it. */
#ifndef TESTS_UNIT_SPOOL_DISK_H
#define TESTS_UNIT_SPOOL_DISK_H

#include "spool/retire.h"
#include "tests/torture/faultfs.h"

#include <criterion/criterion.h>

/* The root of the spool; the file "f" in it is durable. */
static inline int spool_on_disk(struct faultfs *disk)
{
    const struct fsio *fs = faultfs_fsio(disk);
    int root = faultfs_root(disk);
    struct err e = {0};
    cr_assert_eq(retire_prepare(fs, root, &e), RC_OK, "%s", e.text);
    cr_assert_eq(fsio_replace(fs, root, "f", "bytes", 5, 0644, &e), RC_OK, "%s", e.text);
    return root;
}

#endif
