/* Between control.c and control_listen.c. */
#ifndef GATEWAY_CONTROL_INT_H
#define GATEWAY_CONTROL_INT_H

#include "base/rc.h"

#include <stdbool.h>

/* A listening unix socket at path, mode 0660, a stale one replaced; *made: the path is ours to
 * remove, also after a failure. As control_new. */
enum rc control_listen(const char *path, int *fd, bool *made, struct err *e) MUST_CHECK;

#endif
