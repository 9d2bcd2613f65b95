/* Directories read a page at a time in sorted order, so that one with millions of names takes no
 * more memory than one with few. Each page reads the whole directory again: meant for the gateway's
 * own directories and for those that hold directories.
 */
#ifndef SPOOL_DIRPAGE_H
#define SPOOL_DIRPAGE_H

#include "base/fsio.h"

#include <stdbool.h>
#include <stddef.h>

#define DIRPAGE_MAX 2048

struct dirpage_entry {
    char *name; /* of a directory with a slash at its end, by which it sorts as its contents' paths
                   do */
    bool is_dir;
};
struct dirpage {
    const char *after;              /* the caller's: only names greater than this; "" for all */
    bool dirs_only;                 /* the caller's */
    size_t max;                     /* the caller's: so many names at most; 0: DIRPAGE_MAX */
    bool (*skip)(const char *name); /* the caller's: files that are as good as not there; or NULL */
    struct dirpage_entry *entries;
    size_t n;
    bool more;   /* there are names behind the last */
    bool shrunk; /* inside: no name greater than the last kept one is wanted */
};
/* The first `max` names of dirfd/path in the order of their bytes; links are not followed.
 * RC_ABSENT: there is no such directory. The caller calls dirpage_fini, after an error too. */
enum rc dirpage_read(const struct fsio *fs, int dirfd, const char *path, struct dirpage *page,
                     struct err *e) MUST_CHECK;
/* Is there a next page? Then its `after`, into the memory of this page's. */
#define DIRPAGE_NAME_SIZE 257
bool dirpage_next(const struct dirpage *page, char after[DIRPAGE_NAME_SIZE]);
void dirpage_fini(struct dirpage *page);

/* Visit every entry below dirfd/path in sorted order of their paths, directories after what is in
 * them: dirfd holds `name` (without a slash), `path` is its path from where the walk began.
 * Directories that vanish meanwhile are passed over; those that cannot be read are too, and the
 * first such failure is the walk's result after all the rest. visit returns false: stop. */
struct dirwalk_entry {
    int dirfd;
    const char *name, *path;
    bool is_dir;
};
struct dirwalk {
    const struct fsio *fs;
    const char *after; /* only paths greater than this; "" for all */
    bool (*visit)(void *arg, const struct dirwalk_entry *entry);
    void *arg;
    size_t page;                    /* names read at once; 0: DIRPAGE_MAX */
    bool (*skip)(const char *name); /* as of a page */
};
#define DIRWALK_DEPTH_MAX 128 /* deeper ones are passed over */
enum rc dirwalk(const struct dirwalk *w, int dirfd, const char *path, struct err *e) MUST_CHECK;

#endif
