/* Preloaded into a gateway: a disk that takes a tenth of a second for each large piece that is
 * read, while the file that SLOW_READ names is there. tests/e2e/lib.py builds it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
    ssize_t (*real)(int, void *, size_t, off64_t) =
        (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    const char *flag = getenv("SLOW_READ");
    if (n >= 64 * 1024 && flag && access(flag, F_OK) == 0)
        (void)usleep(100000);
    return real(fd, to, n, at);
}
