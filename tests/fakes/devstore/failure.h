/* A refused request: S3's code, its HTTP status, a sentence, and what else the <Error> holds. */
#ifndef DEVSTORE_FAILURE_H
#define DEVSTORE_FAILURE_H

#include "base/buf.h"

#include <stdbool.h>

struct failure {
    int status; /* 0: nothing was refused */
    char code[64];
    char message[400];
    struct buf detail; /* further elements, already XML */
};

void failure_init(struct failure *f);
void failure_fini(struct failure *f);
void failure_reset(struct failure *f);
/* Always false, so that a check can `return failure_set(…)`. The status follows from the code. */
bool failure_set(struct failure *f, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The status that S3 gives with a code; 400 for those we do not know. */
int failure_status(const char *code);
/* The whole XML document. */
void failure_write(struct buf *out, const struct failure *f, const char *resource,
                   const char *request_id);

#endif
