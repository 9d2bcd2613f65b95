/* An answer as bytes: head, body, or the object's file, cut short or lengthened as a fault wants.
 */
#ifndef DEVSTORE_ANSWER_H
#define DEVSTORE_ANSWER_H

#include "tests/fakes/devstore/server.h"

enum answer_end { ANSWER_KEEP, ANSWER_CLOSE, ANSWER_RESET };

struct answer {
    struct buf bytes; /* the head, and the body unless it is a file */
    size_t sent;
    uint64_t file_sent;
    int64_t limit; /* send no more than this; -1: all */
    enum answer_end end;
    bool cut; /* the client cannot take it for a whole answer */
};

void answer_init(struct answer *a);
void answer_fini(struct answer *a);
/* From x->response. close: the connection ends after it. */
void answer_make(struct answer *a, const struct exchange *x, struct worker *w, bool close);
/* The next bytes to send, valid until the worker's scratch is used again; *n 0: all is sent. False:
 * the file cannot be read. */
bool answer_next(struct answer *a, const struct exchange *x, struct worker *w, const char **data,
                 size_t *n);
void answer_advance(struct answer *a, size_t n);

#endif
