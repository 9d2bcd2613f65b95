/* What goes between the main thread and an uploader thread: see pool_lists.h. */
#include "uploader/pool_lists.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void jobs_add(struct jobs *j, struct transfer_job *job)
{
    if (j->first + j->n == j->cap && j->first > j->n) {
        memmove(j->at, j->at + j->first, j->n * sizeof(*j->at));
        j->first = 0;
    } else if (j->first + j->n == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 64;
        j->at = mem_resize(j->at, j->cap, sizeof(*j->at));
    }
    j->at[j->first + j->n++] = job;
}

struct transfer_job *jobs_take(struct jobs *j)
{
    struct transfer_job *job = NULL;

    if (j->n > 0) {
        job = j->at[j->first++];
        j->n--;
    }
    if (j->n == 0)
        j->first = 0;
    return job;
}

void jobs_move(struct jobs *to, struct jobs *from)
{
    struct transfer_job *job;

    while ((job = jobs_take(from)) != NULL)
        jobs_add(to, job);
}

void jobs_free(struct jobs *j)
{
    struct transfer_job *job;

    while ((job = jobs_take(j)) != NULL)
        transfer_job_free(job);
    free(j->at);
}

struct event *events_add(struct events *e)
{
    if (e->n == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 16;
        e->at = mem_resize(e->at, e->cap, sizeof(*e->at));
    }
    return &e->at[e->n++];
}

void events_move(struct events *to, struct events *from)
{
    struct events kept = *to;

    if (to->n == 0) {
        *to = *from;
        *from = kept;
        return;
    }
    for (size_t i = 0; i < from->n; i++)
        *events_add(to) = from->at[i];
    from->n = 0;
}

void events_free(struct events *e)
{
    for (size_t i = 0; i < e->n; i++) {
        if (!e->at[i].is_progress)
            open_file_free(e->at[i].outcome.file);
    }
    free(e->at);
}
