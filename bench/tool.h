/* What the programs of bench/ share: their exit statuses, how they end, numbers of their options,
 * and the CPU time that they took. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <stddef.h>

enum { TOOL_NO = 1, TOOL_USAGE = 100, TOOL_ENVIRONMENT = 111 };

/* "<program>: <what>: <detail>" on stderr, and the end. detail "": none. */
_Noreturn void tool_die(int status, const char *what, const char *detail);
/* A whole number from min to max, or the end. */
size_t tool_number(const char *text, size_t min, size_t max);
/* User and system time of this process; 0 if the system does not say. */
double tool_cpu_seconds(void);

#endif
