/* Reads /proc/self, which the sandbox leaves us, a few hundred bytes a scrape: see
 * metrics_process.h.
 */
#include "gateway/metrics_process.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    (void)close(fd); /* only read from */
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool resident_bytes(uint64_t *out)
{
    char text[256];
    uint64_t size, pages;
    if (!read_file("/proc/self/statm", text, sizeof text) ||
        sscanf(text, "%" SCNu64 " %" SCNu64, &size, &pages) != 2)
        return false;
    *out = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static bool open_fds(uint64_t *out)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return false;
    uint64_t n = 0;
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    (void)closedir(dir); /* only read from */
    *out = n - (n > 0);  /* the directory's own */
    return true;
}

/* On the wall clock. The kernel tells ticks since the boot, as the 22nd field; the second may hold
 * spaces and parentheses. */
static bool start_us(int64_t *out)
{
    char text[1024];
    struct timespec up;
    const char *at = read_file("/proc/self/stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (!at || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
        return false;
    int64_t ticks = strtoll(at, NULL, 10), hz = sysconf(_SC_CLK_TCK);
    int64_t up_us = (int64_t)up.tv_sec * 1000000 + up.tv_nsec / 1000;
    *out = clock_wall_now_ns() / 1000 - (up_us - ticks * (1000000 / hz));
    return true;
}

static int64_t us_of(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

void metrics_process(struct metrics_text *t)
{
    const struct metrics_labels none = METRICS_UNLABELLED;
    struct rusage used;
    struct rlimit files;
    uint64_t n;
    int64_t us;
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        metrics_family(t, "process_cpu_seconds", METRICS_COUNTER, "seconds",
                       "Processor time of all threads, user and system.");
        metrics_sample_us(t, &none, us_of(used.ru_utime) + us_of(used.ru_stime));
    }
    if (resident_bytes(&n)) {
        metrics_family(t, "process_resident_memory_bytes", METRICS_GAUGE, "bytes",
                       "Memory that the process has in RAM.");
        metrics_sample(t, &none, n);
    }
    if (open_fds(&n)) {
        metrics_family(t, "process_open_fds", METRICS_GAUGE, NULL, "Open file descriptors.");
        metrics_sample(t, &none, n);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        metrics_family(t, "process_max_fds", METRICS_GAUGE, NULL,
                       "File descriptors that may be open.");
        metrics_sample(t, &none, files.rlim_cur);
    }
    if (start_us(&us)) {
        metrics_family(t, "process_start_time_seconds", METRICS_GAUGE, "seconds",
                       "When the process was started, in seconds since 1970.");
        metrics_sample_us(t, &none, us);
    }
}
