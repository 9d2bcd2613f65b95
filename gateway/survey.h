/* What can be known without writing: is everything in place for files to flow? For `check`, and in
 * part for the start of the daemon. Changes nothing and keeps nothing open.
 */
#ifndef GATEWAY_SURVEY_H
#define GATEWAY_SURVEY_H

#include "gateway/config.h"

enum survey_level { SURVEY_OK, SURVEY_WARN, SURVEY_FAIL };
const char *survey_level_name(enum survey_level l); /* "ok", "warn", "fail" */

struct survey_line {
    enum survey_level level;
    char id[32];      /* a word for machines: "spool", "state-space", "clock", "keys", … */
    char text[640];   /* what was found, no full stop; may hold hostile bytes: escape it */
    char remedy[512]; /* "" with SURVEY_OK; no full stop */
};
struct survey {
    struct survey_line *lines;
    size_t n;
};
/* Add lines. The machine: directories and rights, space, limits of the kernel, clock. */
void survey_machine(const struct config *c, struct survey *s);
/* How far the gateway would be confined here: tries it in a child process. */
void survey_sandbox(const struct config *c, struct survey *s);
/* The spool's directories against the kernel's watches: counts them, at most 200 000. */
void survey_tree(const struct config *c, struct survey *s);
/* The way to the bucket: keys, files with certificates, then one request that only reads
 * (GetBucketLocation). Blocks for the HTTP time limits at most; http_global_init must have been
 * called. */
void survey_store(const struct config *c, struct survey *s);
enum survey_level survey_worst(const struct survey *s);
void survey_fini(struct survey *s);

/* One line; the remedy is left out with SURVEY_OK. */
void survey_add(struct survey *s, enum survey_level level, const char *id, const char *remedy,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

#endif
