/* Does a whole file hold nothing but lines of JSON? A large one is read by two threads at once, of
 * which the second lives for this call only; what is said of it is the same.
 */
#ifndef SPOOL_CONTENTS_H
#define SPOOL_CONTENTS_H

#include "base/fsio.h"

/* From this size on there are two threads: a tenth of a millisecond for the second one is nothing
 * then. */
#define CONTENTS_HALVES_MIN (32u << 20)

/* RC_OK, RC_INVALID as spool/ndjson.h tells it (the first fault of the file, with its line and
 * column), or what reading came to. A file that turns out shorter than size is judged as far as it
 * goes: that it changed is for its identity to tell. fd's position is not used. */
enum rc contents_check(const struct fsio *fs, int fd, uint64_t size, struct err *e) MUST_CHECK;

#endif
