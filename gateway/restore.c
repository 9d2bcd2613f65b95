/* All rejected files back into the spool: see pipeline_int.h. There may be very many, so a pool
 * thread walks them; the watcher sees each come back by its rename. Ends early when the gateway
 * stops.
 */
#include "gateway/pipeline_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "spool/reject.h"

#include <stdlib.h>

struct restore {
    struct pipeline *p;
    uint64_t restored, failed;
    struct err first; /* why the first one could not be */
};

static bool restore_row(void *arg, const struct reject_row *row)
{
    struct restore *r = arg;
    struct err e = {0};
    if (reject_restore(&fsio_system, r->p->cfg.root_fd, row->path, &e) == RC_OK)
        r->restored++;
    else if (r->failed++ == 0)
        r->first = e;
    return !atomic_load(&r->p->restore_stop);
}

static void restore_run(void *arg)
{
    struct restore *r = arg;
    struct err e = {0};
    if (reject_each(&fsio_system, r->p->cfg.root_fd, "", restore_row, r, &e) != RC_OK &&
        r->failed++ == 0)
        r->first = e;
}

static void restore_done(void *arg)
{
    struct restore *r = arg;
    struct pipeline *p = r->p;
    p->restoring = false;
    p->rejected_files -= r->restored < p->rejected_files ? r->restored : p->rejected_files;
    log_info("restored", F_U64("files", r->restored), F_U64("failed", r->failed));
    if (r->failed > 0)
        log_warning("retry_failed", F_STR("why", r->first.text));
    free(r);
    dispatch_want(p);
    dispatch_check_drained(p);
}

void restore_start(struct pipeline *p)
{
    if (p->restoring || p->stopping)
        return;
    struct restore *r = mem_alloc(sizeof *r);
    r->p = p;
    p->restoring = true;
    loop_work(p->cfg.loop, restore_run, restore_done, r);
}
