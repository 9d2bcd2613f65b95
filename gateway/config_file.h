/* The configuration's file, written: for set-up and for changes over the control API.
 */
#ifndef GATEWAY_CONFIG_FILE_H
#define GATEWAY_CONFIG_FILE_H

#include "base/rc.h"

#include <stddef.h>

/* May this process write it? RC_DENIED: e says who may, and how. */
enum rc config_file_writable(const char *path, struct err *e) MUST_CHECK;
/* Whole or not at all, durably. Mode and, as far as we may, owner and group stay; a new file has
 * 0644. */
enum rc config_file_save(const char *path, const char *text, size_t n, struct err *e) MUST_CHECK;

#endif
