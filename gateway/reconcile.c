/* Kept, held and forgotten files that are not there any more: see pipeline_int.h. Nobody sends
 * them, so nothing else would notice, and index and journal would name them for ever.
 *
 * Slowly, beside the rescan: a page of paths at a time is looked at on the pool. A spool root that
 * is gone says nothing about its files. A hold is given up only where the file was removed for
 * certain: what comes back with its file system must not be sent.
 */
#include "gateway/pipeline_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE          64
#define PAGE_AGAIN_MS 250

struct page {
    struct pipeline *p;
    size_t n;
    bool gone[PAGE];
    struct ledger_row rows[PAGE];
};

static const enum ledger_state states[] = {LEDGER_DELIVERED, LEDGER_FORGOTTEN, LEDGER_HELD};

/* Its directory is still there and of the file system that the file was in. Where nothing is
 * mounted now, there is no such directory, or the one below the mount. */
static bool is_directory_there(int root_fd, const struct ledger_row *row)
{
    char path[sizeof row->path];
    struct file_stat st;
    text_copy(path, sizeof path, row->path);
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return fsio_system.ops->stat(fsio_system.ctx, root_fd, slash ? path : ".", &st) == 0 &&
           S_ISDIR(st.mode) && st.id.dev == row->dev;
}

static void page_run(void *arg)
{
    struct page *page = arg;
    int root_fd = page->p->cfg.root_fd;
    struct file_stat st;
    for (size_t i = 0; i < page->n; i++) {
        const struct ledger_row *row = &page->rows[i];
        int result = fsio_system.ops->stat(fsio_system.ctx, root_fd, row->path, &st);
        page->gone[i] = (result == -ENOENT || result == -ENOTDIR) &&
                        (row->state != LEDGER_HELD || is_directory_there(root_fd, row));
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
        log_info("kept_files_gone", F_U64("files", gone),
                 F_STR("state", ledger_state_name(states[p->reconcile_state])));
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
    uint64_t some = 0;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        some += ledger_count(p->ledger, states[i]);
    if (w.root_gone || some == 0) {
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
