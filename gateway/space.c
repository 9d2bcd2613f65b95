/* Room on a file system: see space.h. */
#include "gateway/space.h"

static bool below(uint64_t free_units, uint64_t total_units, unsigned percent)
{
    return total_units > 0 && free_units < total_units / 100 * percent;
}

enum space space_judge(const struct config *c, const struct statvfs *s)
{
    if (below(s->f_bavail, s->f_blocks, c->limits.free_percent))
        return SPACE_FEW_BYTES;
    if (below(s->f_favail, s->f_files, c->limits.free_inodes_percent))
        return SPACE_FEW_INODES;
    return SPACE_ENOUGH;
}
