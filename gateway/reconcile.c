/* Kept and forgotten files that are not there any more: see pipeline_int.h. Nobody waits for them,
 * so nothing else would notice, and index and journal would name them for ever.
 *
 * Slowly, beside the rescan: a page of paths at a time is looked at on the pool. A spool root that
 * is gone says nothing about its files.
 */
#include "gateway/pipeline_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE          64
#define PAGE_AGAIN_MS 250

struct page {
    struct pipeline *p;
    size_t n;
    bool gone[PAGE];
    struct ledger_row rows[PAGE];
};

static const enum ledger_state states[] = {LEDGER_DELIVERED, LEDGER_FORGOTTEN};

static void page_run(void *arg)
{
    struct page *page = arg;
    struct file_stat st;
    for (size_t i = 0; i < page->n; i++) {
        int result =
            fsio_system.ops->stat(fsio_system.ctx, page->p->cfg.root_fd, page->rows[i].path, &st);
        page->gone[i] = result == -ENOENT || result == -ENOTDIR;
    }
}

static void page_done(void *arg)
{
    struct page *page = arg;
    struct pipeline *p = page->p;
    uint64_t gone = 0;
    p->reconciling = false;
    /* One that came back meanwhile is accepted behind this, or has replaced the entry. */
    for (size_t i = 0; i < page->n && !p->stopping; i++)
        gone += page->gone[i] &&
                ledger_gone(p->ledger, page->rows[i].path, strlen(page->rows[i].path)) == RC_OK;
    if (gone > 0)
        log_info("kept_files_gone", F_U64("files", gone));
    if (p->reconcile_cursor[0] == '\0')
        p->reconcile_state = (p->reconcile_state + 1) % (sizeof states / sizeof states[0]);
    bool whole = p->reconcile_cursor[0] == '\0' && p->reconcile_state == 0;
    if (!p->stopping)
        loop_timer_set(p->reconcile_timer, whole ? p->config->rescan_ms : PAGE_AGAIN_MS);
    free(page);
    dispatch_check_drained(p);
}

static void reconcile(void *arg)
{
    struct pipeline *p = arg;
    struct watcher_stats w;
    if (p->stopping)
        return;
    watcher_stats(p->watcher, &w);
    bool some = ledger_count(p->ledger, LEDGER_DELIVERED) > 0 ||
                ledger_count(p->ledger, LEDGER_FORGOTTEN) > 0;
    if (w.root_gone || !some) {
        loop_timer_set(p->reconcile_timer, p->config->rescan_ms);
        return;
    }
    struct page *page = mem_alloc(sizeof *page);
    page->p = p;
    page->n =
        ledger_page(p->ledger, states[p->reconcile_state], p->reconcile_cursor, page->rows, PAGE);
    p->reconciling = true;
    loop_work(p->cfg.loop, page_run, page_done, page);
}

void reconcile_init(struct pipeline *p)
{
    p->reconcile_timer = loop_timer_new(p->cfg.loop, reconcile, p);
    if (p->config->rescan_ms > 0)
        loop_timer_set(p->reconcile_timer, p->config->rescan_ms);
}

void reconcile_free(struct pipeline *p)
{
    loop_timer_free(p->reconcile_timer);
}
