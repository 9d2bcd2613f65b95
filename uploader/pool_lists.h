/* What goes between the main thread and an uploader thread: jobs in, what came of them out. Plain
 * lists; who locks them is pool.c's business. All zero: empty.
 */
#ifndef UPLOADER_POOL_LISTS_H
#define UPLOADER_POOL_LISTS_H

#include "uploader/transfer.h"

struct event {
    bool is_progress;
    union {
        struct transfer_outcome outcome;
        struct transfer_progress progress;
    };
};

struct events {
    struct event *at;
    size_t n, cap;
};

/* First in, first out. */
struct jobs {
    struct transfer_job **at;
    size_t first, n, cap; /* n from first */
};
void jobs_add(struct jobs *j, struct transfer_job *job);
struct transfer_job *jobs_take(struct jobs *j);     /* NULL: empty */
void jobs_move(struct jobs *to, struct jobs *from); /* all of from behind to */
void jobs_free(struct jobs *j);                     /* with the jobs */

struct event *events_add(struct events *e); /* to be filled; valid until the next one */
/* All of from behind to; the memory goes round where it can. */
void events_move(struct events *to, struct events *from);
void events_free(struct events *e); /* with what nobody was told of */

#endif
