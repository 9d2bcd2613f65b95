/* Preloaded into a gateway: a disk that takes half a second to make anything durable.
 * tests/e2e/lib.py builds it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    (void)usleep(500000);
    return real(fd);
}
