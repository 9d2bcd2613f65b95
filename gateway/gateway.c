/* The daemon's frame: see gateway.h. It owns locks, signals and the configuration; everything about
 * files is the pipeline's.
 *
 * SIGTERM: what is in flight gets GATEWAY_GRACE_MS, then it is cancelled (it is sent again after
 * the next start). SIGHUP: a bad file changes nothing; a good one waits for what is in flight no
 * longer than RELOAD_GRACE_MS.
 */
#include "gateway/gateway.h"

#include "base/fsio.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/api.h"
#include "gateway/notify.h"
#include "spool/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Settings are swapped when nothing is in flight. Small objects end in time; a large one, which may
 * take hours, goes on with its next part under the new settings. */
#define RELOAD_GRACE_MS 2000

struct gateway {
    struct config *config;
    struct loop *loop;
    struct pipeline *pipeline;
    struct control *control;
    struct loop_signal *term, *interrupt, *hup;
    struct loop_timer *grace, *reload_grace, *watchdog;
    struct config *fresh; /* being swapped in */
    bool reload_again;    /* asked for meanwhile: what is being swapped in may be old by now */
    int root_fd, state_fd, journal_fd, root_lock, state_lock;
    bool stopping;
};

static enum rc open_directory(const char *path, bool make, int *fd, struct err *e)
{
    if (make && mkdir(path, 0750) != 0 && errno != EEXIST)
        return err_sys(e, errno, "cannot make the directory %s", path);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return err_sys(e, errno,
                       "cannot open the directory %s (make it, or let this user read and write it)",
                       path);
    return RC_OK;
}

enum rc gateway_open_root(const struct config *config, int *root_fd, struct err *e)
{
    return open_directory(config->spool, false, root_fd, e);
}

enum rc gateway_open_journal(const struct config *config, int *journal_fd, struct err *e)
{
    int state_fd = -1;
    enum rc rc = open_directory(config->state, false, &state_fd, e);
    if (rc != RC_OK)
        return rc;
    *journal_fd = openat(state_fd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*journal_fd < 0)
        rc = err_sys(e, errno, "cannot open %s/journal", config->state);
    (void)close(state_fd); /* only read from */
    return rc;
}

/* ---- signals ---- */

static void on_drained(void *arg)
{
    struct gateway *g = arg;
    loop_stop(g->loop);
}

static void on_grace_over(void *arg)
{
    struct gateway *g = arg;
    log_warning(
        "stop_cancels",
        F_STR("why",
              "what was in flight did not end in time; it is sent again after the next start"));
    pipeline_cancel(g->pipeline);
}

static void on_term(void *arg)
{
    struct gateway *g = arg;
    if (g->stopping)
        return;
    g->stopping = true;
    log_info("stopping");
    notify_stopping();
    loop_timer_clear(g->reload_grace);
    loop_timer_set(g->grace, GATEWAY_GRACE_MS);
    pipeline_stop(g->pipeline);
}

static void on_reload_grace_over(void *arg)
{
    struct gateway *g = arg;
    pipeline_cancel(g->pipeline);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* The keys that a running gateway cannot change, or NULL. */
static const char *needs_restart(const struct config *a, const struct config *b)
{
    if (!same_text(a->spool, b->spool))
        return "spool";
    if (!same_text(a->state, b->state))
        return "state";
    if (!same_text(a->control, b->control))
        return "control";
    if (!same_text(a->layout, b->layout) || !same_text(a->prefix, b->prefix))
        return "layout or prefix";
    if (a->settle_ms != b->settle_ms || a->rescan_ms != b->rescan_ms)
        return "settle or rescan";
    if (a->threads != b->threads)
        return "threads";
    if (a->receipts_keep_ms != b->receipts_keep_ms)
        return "receipts.keep_days";
    if (a->log.level != b->log.level || a->log.format != b->log.format)
        return "log";
    return NULL;
}

static void on_hup(void *arg);

static void on_reloaded(void *arg, enum rc rc, const struct err *e)
{
    struct gateway *g = arg;
    loop_timer_clear(g->reload_grace);
    if (rc == RC_OK) {
        config_free(g->config);
        g->config = g->fresh;
        log_info("reloaded", F_STR("file", g->config->path));
    } else {
        config_free(g->fresh);
        log_error("reload_failed", F_STR("why", e->text));
    }
    g->fresh = NULL;
    notify_ready();
    if (g->reload_again)
        on_hup(g);
}

static void on_hup(void *arg)
{
    struct gateway *g = arg;
    struct config_faults faults = {0};
    struct config *fresh = NULL;
    g->reload_again = g->fresh != NULL;
    if (g->fresh || g->stopping)
        return;
    notify_reloading();
    enum rc rc = config_load(g->config->path, &fresh, &faults);
    for (size_t i = 0; i < faults.n; i++)
        log_error("reload_failed", F_STR("why", faults.lines[i]));
    config_faults_fini(&faults);
    const char *key = rc == RC_OK ? needs_restart(g->config, fresh) : NULL;
    if (key)
        log_error("reload_failed", F_STR("key", key),
                  F_STR("why", "this key changes only with a restart; nothing was changed"));
    if (rc != RC_OK || key) {
        config_free(fresh);
        notify_ready();
        return;
    }
    g->fresh = fresh;
    loop_timer_set(g->reload_grace, RELOAD_GRACE_MS);
    pipeline_reload(g->pipeline, fresh, on_reloaded, g);
}

static void on_watchdog(void *arg)
{
    struct gateway *g = arg;
    if (pipeline_is_alive(g->pipeline))
        notify_watchdog();
    loop_timer_set(g->watchdog, notify_watchdog_ms());
}

/* ---- start and end ---- */

static enum rc open_state(struct gateway *g, struct err *e)
{
    enum rc rc = open_directory(g->config->state, true, &g->state_fd, e);
    if (rc == RC_OK)
        rc = lock_take(g->state_fd, "lock", g->config->state, &g->state_lock, e);
    if (rc == RC_OK)
        rc = fsio_mkdirs(&fsio_system, g->state_fd, "journal", 0750, 1, e);
    if (rc == RC_OK)
        rc = gateway_open_journal(g->config, &g->journal_fd, e);
    return rc;
}

static enum rc open_spool(struct gateway *g, struct err *e)
{
    enum rc rc = gateway_open_root(g->config, &g->root_fd, e);
    int own = -1;
    if (rc == RC_OK)
        rc = fsio_mkdirs(&fsio_system, g->root_fd, ".spoolgate", 0755, 1, e);
    if (rc != RC_OK)
        return rc;
    own = openat(g->root_fd, ".spoolgate", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (own < 0)
        return err_sys(e, errno, "cannot open %s/.spoolgate", g->config->spool);
    rc = lock_take(own, "lock", g->config->spool, &g->root_lock, e);
    (void)close(own); /* only read from */
    return rc;
}

static enum rc start(struct gateway *g, struct err *e)
{
    enum rc rc = open_state(g, e);
    if (rc == RC_OK)
        rc = open_spool(g, e);
    if (rc != RC_OK)
        return rc;
    struct pipeline_cfg pc = {
        .loop = g->loop,
        .config = g->config,
        .root_fd = g->root_fd,
        .journal_fd = g->journal_fd,
        .drained = on_drained,
        .arg = g,
    };
    rc = pipeline_new(&pc, &g->pipeline, e);
    if (rc == RC_OK)
        rc = control_new(g->loop, g->config->control, api_handle, g->pipeline, &g->control, e);
    if (rc != RC_OK)
        return rc;
    g->term = loop_signal_new(g->loop, SIGTERM, on_term, g);
    g->interrupt = loop_signal_new(g->loop, SIGINT, on_term, g);
    g->hup = loop_signal_new(g->loop, SIGHUP, on_hup, g);
    g->grace = loop_timer_new(g->loop, on_grace_over, g);
    g->reload_grace = loop_timer_new(g->loop, on_reload_grace_over, g);
    g->watchdog = loop_timer_new(g->loop, on_watchdog, g);
    if (notify_watchdog_ms() > 0)
        loop_timer_set(g->watchdog, notify_watchdog_ms());
    return RC_OK;
}

static void finish(struct gateway *g)
{
    control_free(g->control);
    pipeline_free(g->pipeline);
    loop_signal_free(g->term);
    loop_signal_free(g->interrupt);
    loop_signal_free(g->hup);
    loop_timer_free(g->grace);
    loop_timer_free(g->reload_grace);
    loop_timer_free(g->watchdog);
    loop_free(g->loop);
    config_free(g->fresh);
    config_free(g->config);
    int fds[] = {g->journal_fd, g->root_fd, g->state_fd, g->root_lock, g->state_lock};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]); /* directories and locks: nothing was written through them */
    }
}

enum rc gateway_run(struct config *config, struct err *e)
{
    struct gateway g = {
        .config = config,
        .root_fd = -1,
        .state_fd = -1,
        .journal_fd = -1,
        .root_lock = -1,
        .state_lock = -1,
    };
    /* SIGIO comes when a lease of ours is broken (base/lease.h); a closed socket is an errno. */
    (void)signal(SIGIO, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    g.loop = loop_new();
    enum rc rc = http_global_init(e);
    if (rc == RC_OK)
        rc = start(&g, e);
    if (rc == RC_OK) {
        log_info("started", F_STR("spool", config->spool), F_STR("bucket", config->bucket.name));
        notify_ready();
        loop_run(g.loop);
        log_info("stopped");
    }
    finish(&g);
    http_global_fini();
    return rc;
}
