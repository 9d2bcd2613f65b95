/* Preloaded into a gateway: what inotify tells is swallowed; with DEAF in the environment only
 * while a file of that name is there. tests/e2e/lib.py builds it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>
static int instance = -1;
int inotify_init1(int flags)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "inotify_init1");
    return instance = real(flags);
}
ssize_t read(int fd, void *to, size_t n)
{
    ssize_t (*real)(int, void *, size_t) =
        (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    const char *flag = getenv("DEAF");
    ssize_t got = real(fd, to, n);
    if (fd != instance || got <= 0 || (flag && access(flag, F_OK) != 0))
        return got;
    errno = EAGAIN;
    return -1;
}
ssize_t __read_chk(int fd, void *to, size_t n, size_t room)
{
    (void)room;
    return read(fd, to, n);
}
