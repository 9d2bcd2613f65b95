/* What the programs of bench/ share: see tool.h. */
#include "bench/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

void tool_die(int status, const char *what, const char *detail)
{
    (void)fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what,
                  detail[0] ? ": " : "", detail);
    exit(status);
}

size_t tool_number(const char *text, size_t min, size_t max)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);

    if (end == text || *end != '\0' || v < min || v > max)
        tool_die(TOOL_USAGE, "not a number in range", text);
    return (size_t)v;
}

double tool_cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
