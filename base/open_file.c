/* Shares are counted, and so are the files: see open_file.h. */
#include "base/open_file.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct open_file {
    int fd;
    atomic_uint shares;
};

static atomic_uint count;

struct open_file *open_file_new(int fd)
{
    if (atomic_fetch_add(&count, 1) >= OPEN_FILES_MAX) {
        atomic_fetch_sub(&count, 1);
        return NULL;
    }
    struct open_file *f = mem_alloc(sizeof *f);
    f->fd = fd;
    atomic_init(&f->shares, 1);
    return f;
}

int open_file_fd(const struct open_file *f)
{
    return f->fd;
}

struct open_file *open_file_share(struct open_file *f)
{
    if (f)
        atomic_fetch_add(&f->shares, 1);
    return f;
}

void open_file_free(struct open_file *f)
{
    if (!f || atomic_fetch_sub(&f->shares, 1) > 1)
        return;
    (void)close(f->fd); /* only read from: nothing can be lost */
    free(f);
    atomic_fetch_sub(&count, 1);
}
