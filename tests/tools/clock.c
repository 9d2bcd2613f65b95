/* LD_PRELOAD: the time of day, by as many seconds ahead as the file $CLOCK_AHEAD says (8 bytes),
 * which may change meanwhile. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

int clock_gettime(clockid_t which, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    static volatile int64_t *ahead;
    if (!real) {
        int fd = open(getenv("CLOCK_AHEAD"), O_RDONLY);
        ahead = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int rc = real(which, out);
    if (which == CLOCK_REALTIME && ahead != MAP_FAILED)
        out->tv_sec += *ahead;
    return rc;
}
