/* A look at the first lines of a rejected file, with the fault marked: for the control API. Blocks:
 * for the pool. The file and its name are hostile: opened beneath the root, no link followed, no
 * more than PEEK_BYTES_MAX read of it.
 */
#ifndef GATEWAY_PEEK_H
#define GATEWAY_PEEK_H

#include "base/fsio.h"
#include "base/json.h"

#include <stdbool.h>

#define PEEK_BYTES_MAX 65536
#define PEEK_LINES_MAX 200
#define PEEK_TEXT_MAX  1000 /* bytes of a line that are shown */

/* path: as a list of rejected files has it. *out as docs/api.md has it. RC_ABSENT: there is no such
 * rejected file; RC_INVALID: it is no regular file, or no path; RC_DENIED, RC_IO. */
enum rc peek_rejected(const struct fsio *fs, int root_fd, const char *path, unsigned lines,
                      json_t **out, struct err *e) MUST_CHECK;

/* The lines of text, of which n bytes were read, whole: that is all of it. code and reason: of the
 * rejection. The members lines and fault into o. */
struct peek_text {
    const char *data;
    size_t n;
    bool whole;
    const char *code, *reason;
};
void peek_lines(const struct peek_text *t, unsigned lines, json_t *o);

#endif
