/* Which bytes we mean. Pure comparisons. */
#include "base/identity.h"

#include "base/clock.h"

bool identity_equal(const struct identity *a, const struct identity *b)
{
    return identity_equal_moved(a, b) && a->ctime_ns == b->ctime_ns;
}

bool identity_equal_moved(const struct identity *a, const struct identity *b)
{
    return a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns && a->dev == b->dev;
}

bool identity_is_racy(const struct identity *id, int64_t read_wall_ns)
{
    const int64_t window_ns = 20 * CLOCK_NS_PER_MS;
    return id->mtime_ns > read_wall_ns - window_ns && id->mtime_ns < read_wall_ns + window_ns;
}

bool identity_is_torn(const struct identity *was, const struct identity *is)
{
    return was->ino == is->ino && is->size < was->size && is->mtime_ns <= was->mtime_ns;
}
