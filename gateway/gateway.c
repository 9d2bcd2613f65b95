/* The daemon's frame: see gateway.h. It owns locks, signals and the configuration; everything about
 * files is the pipeline's.
 *
 * SIGTERM: what is in flight gets GATEWAY_GRACE_MS, then it is cancelled (it is sent again after
 * the next start). SIGHUP: a bad file changes nothing; a good one waits for what is in flight no
 * longer than RELOAD_GRACE_MS. A spool root that is another by now: the pipeline ends as at SIGTERM
 * and begins anew on that one, so that all that a start does for a spool is done for it.
 */
#include "gateway/gateway.h"

#include "base/fsio.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "gateway/api_config.h"
#include "gateway/api_files.h"
#include "gateway/api_read.h"
#include "gateway/api_watch.h"
#include "gateway/config_diff.h"
#include "gateway/console_api.h"
#include "gateway/metrics_listen.h"
#include "gateway/metrics_serve.h"
#include "gateway/notify.h"
#include "gateway/root.h"
#include "gateway/sandbox.h"
#include "gateway/survey.h"
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
/* Multiples of each other, and of the look at free space: they share their wakes. */
#define ROOT_LOOK_MS    2000
#define SANDBOX_LOOK_MS 6000

struct gateway {
    struct config *config;
    struct loop *loop;
    struct pipeline *pipeline; /* NULL while it is made anew on another root */
    struct api *api;
    struct api_watch *watch;
    struct api_config *settings;
    struct control *control;
    struct console_port console_port; /* until there is a console */
    struct console_api *console;
    struct metrics_serve *metrics; /* NULL: on the control socket only */
    struct root_guard *guard;
    struct loop_signal *term, *interrupt, *hup;
    struct loop_timer *grace, *reload_grace, *watchdog, *sandbox_look;
    struct config *fresh; /* being swapped in */
    /* Who asked over the API and is to be told what came of it; NULL: nobody. */
    void (*reload_told)(void *arg, enum rc rc, const struct err *e);
    void *reload_arg;
    bool reload_again;       /* asked for meanwhile: what is being swapped in may be old by now */
    struct root root, other; /* other: open while the pipeline is to be moved there */
    int state_fd, journal_fd, state_lock;
    bool stopping;
    struct err outgrown; /* why we stop to be started anew; "": we do not */
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
    if (g->pipeline)
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
    if (g->pipeline)
        pipeline_stop(g->pipeline);
}

static void on_reload_grace_over(void *arg)
{
    struct gateway *g = arg;
    if (!g->pipeline)
        return;
    if (pipeline_still_reads(g->pipeline))
        loop_timer_set(g->reload_grace, RELOAD_GRACE_MS);
    else
        pipeline_cancel(g->pipeline);
}

static void tell_reloaded(struct gateway *g, enum rc rc, const struct err *e)
{
    void (*told)(void *arg, enum rc rc, const struct err *e) = g->reload_told;
    g->reload_told = NULL;
    if (told)
        told(g->reload_arg, rc, e);
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
    else
        tell_reloaded(g, rc, e);
}

/* RC_OK: fresh may be swapped in. Otherwise it was said why not, in the log and in e. */
static enum rc check_fresh(struct gateway *g, struct config **fresh, struct err *e)
{
    struct config_faults faults = {0};
    enum rc rc;
    if (sandbox_hides(g->config->path)) { /* and so nobody here can tell whether it is any good */
        rc = err_set(e, RC_DENIED,
                     "%s was replaced after the start, and the sandbox hides the new file: restart "
                     "the gateway to use these settings; nothing was changed",
                     g->config->path);
        log_error("reload_failed", F_STR("why", e->text));
        return rc;
    }
    rc = config_load(g->config->path, fresh, &faults);
    for (size_t i = 0; i < faults.n; i++)
        log_error("reload_failed", F_STR("why", faults.lines[i]));
    if (rc != RC_OK)
        (void)err_set(e, rc, "%s", faults.n > 0 ? faults.lines[0] : "the file cannot be read");
    config_faults_fini(&faults);
    if (rc != RC_OK)
        return rc;
    const char *key = config_diff_needs_restart(g->config, *fresh);
    if (key) {
        log_error("reload_failed", F_STR("key", key),
                  F_STR("why", "this key changes only with a restart; nothing was changed"));
        return err_set(e, RC_AGAIN, "%s changes only with a restart; nothing was changed", key);
    }
    rc = sandbox_admits(*fresh, e);
    if (rc != RC_OK)
        log_error("reload_failed", F_STR("why", e->text));
    return rc;
}

static void on_hup(void *arg)
{
    struct gateway *g = arg;
    struct config *fresh = NULL;
    struct err why = {0};
    g->reload_again = g->fresh || g->other.fd >= 0 || !g->pipeline;
    if (g->reload_again || g->stopping)
        return;
    notify_reloading();
    enum rc rc = check_fresh(g, &fresh, &why);
    if (rc != RC_OK) {
        config_free(fresh);
        notify_ready();
        tell_reloaded(g, rc, &why);
        return;
    }
    g->fresh = fresh;
    loop_timer_set(g->reload_grace, RELOAD_GRACE_MS);
    pipeline_reload(g->pipeline, fresh, on_reloaded, g);
}

/* For the API: one at a time. */
static void reload_and_tell(void *arg,
                            void (*done)(void *done_arg, enum rc rc, const struct err *e),
                            void *done_arg)
{
    struct gateway *g = arg;
    BUG_ON(g->reload_told);
    g->reload_told = done;
    g->reload_arg = done_arg;
    on_hup(g);
}

static void on_watchdog(void *arg)
{
    struct gateway *g = arg;
    if (g->pipeline && pipeline_is_alive(g->pipeline))
        notify_watchdog();
    loop_timer_set(g->watchdog, notify_watchdog_ms());
}

/* ---- what the sandbox does not reach ---- */

/* A sandbox cannot be widened, but a new one can be made: in order, and at once where somebody
 * starts us again. */
static void start_anew(struct gateway *g)
{
    log_error("sandbox_outgrown", F_STR("why", g->outgrown.text));
    on_term(g);
}

static void on_sandbox_look(void *arg)
{
    struct gateway *g = arg;
    if (!g->stopping && sandbox_outgrown(&g->outgrown))
        start_anew(g);
    else
        loop_timer_set_shared(g->sandbox_look, SANDBOX_LOOK_MS);
}

/* ---- another root ---- */

static void on_root_trouble(void *arg, const char *why)
{
    struct gateway *g = arg;
    if (why && !g->stopping && sandbox_locks(g->config->spool)) {
        (void)err_set(&g->outgrown, RC_AGAIN,
                      "%s leads to another directory than at the start, and the sandbox hides it: "
                      "start the gateway again (systemd does)",
                      g->config->spool);
        start_anew(g);
        return;
    }
    if (g->pipeline)
        pipeline_root_said(g->pipeline, why);
}

static void on_root_replaced(void *arg, const struct root *other)
{
    struct gateway *g = arg;
    if (g->stopping || g->fresh) { /* it is found again when the settings have changed */
        struct root unwanted = *other;
        root_close(&unwanted);
        root_guard_watch(g->guard, &g->root);
        return;
    }
    g->other = *other;
    log_warning("spool_root_replaced", F_STR("spool", g->config->spool),
                F_STR("why", "its path leads to another directory than before: everything begins "
                             "anew on that one"));
    loop_timer_set(g->reload_grace, RELOAD_GRACE_MS);
    pipeline_stop(g->pipeline);
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

static const struct config *current_config(void *arg)
{
    struct gateway *g = arg;
    return g->config;
}

static void start_api(struct gateway *g)
{
    g->api = api_new(&(struct api_cfg){.loop = g->loop, .config = current_config, .arg = g});
    api_files_add(g->api);
    api_read_add(g->api);
    g->watch = api_watch_new(g->api);
    g->settings = api_config_new(g->api, reload_and_tell, g);
    metrics_serve_add(g->api);
    g->console = console_api_new(&(struct console_api_cfg){.api = g->api,
                                                           .loop = g->loop,
                                                           .mode = "gateway",
                                                           .path = g->config->path,
                                                           .port = g->console_port,
                                                           .saved = on_hup,
                                                           .arg = g});
    g->console_port.fd = -1; /* the console's now */
}

/* For whoever asks for the console some day: it does not listen, and the sandbox binds none. */
static void reserve_console_port(struct gateway *g)
{
    struct err why;
    if (console_bind(0, &g->console_port, &why) != RC_OK)
        log_warning("console_has_no_port", F_STR("why", why.text));
}

/* Files flow without it, so that a port which somebody else has is told and no more. */
static int open_metrics(const struct config *c)
{
    struct err why;
    int fd = -1;
    if (c->metrics.listen && metrics_listen(c->metrics.listen, &fd, &why) != RC_OK)
        log_error("metrics_not_served", F_STR("why", why.text));
    return fd;
}

static void start_metrics(struct gateway *g, int fd)
{
    struct err why;
    if (fd >= 0 && metrics_serve_new(g->api, fd, &g->metrics, &why) != RC_OK)
        log_error("metrics_not_served", F_STR("why", why.text));
}

static enum rc start_pipeline(struct gateway *g, struct err *e)
{
    struct pipeline_cfg pc = {
        .loop = g->loop,
        .config = g->config,
        .root_fd = g->root.fd,
        .journal_fd = g->journal_fd,
        .drained = on_drained,
        .arg = g,
    };
    enum rc rc = pipeline_new(&pc, &g->pipeline, e);
    if (rc != RC_OK)
        return rc;
    api_set_pipeline(g->api, g->pipeline, g->root.fd, g->journal_fd);
    struct control_cfg cc = {
        .loop = g->loop, .socket_path = g->config->control, .handler = api_handle, .arg = g->api};
    rc = control_new(&cc, &g->control, e);
    if (rc == RC_OK)
        root_guard_watch(g->guard, &g->root);
    return rc;
}

/* What `check` would find on this machine, into the log; the store tells by itself how it is. */
static void warn_of_machine(const struct config *c)
{
    struct survey s = {0};
    survey_machine(c, &s);
    for (size_t i = 0; i < s.n; i++) {
        const struct survey_line *l = &s.lines[i];
        if (l->level != SURVEY_OK)
            log_warning("check", F_STR("about", l->id), F_STR("found", l->text),
                        F_STR("remedy", l->remedy));
    }
    survey_fini(&s);
}

static enum rc start(struct gateway *g, struct err *e)
{
    enum rc rc = open_state(g, e);
    if (rc == RC_OK)
        rc = root_take(g->config->spool, &g->root, e);
    if (rc != RC_OK)
        return rc;
    warn_of_machine(g->config);
    int metrics_fd = open_metrics(g->config);
    reserve_console_port(g);
    rc = sandbox_enter(g->config, e); /* before any thread is made */
    if (rc != RC_OK) {
        if (metrics_fd >= 0)
            (void)close(metrics_fd); /* nobody was answered */
        return rc;
    }
    /* Only now: libuv from 1.45 on makes an io_uring with the loop, without which it does, and
     * aborts when the sandbox refuses one that was made before. */
    g->loop = loop_new();
    g->guard = root_guard_new(&(struct root_guard_cfg){.loop = g->loop,
                                                       .path = g->config->spool,
                                                       .period_ms = ROOT_LOOK_MS,
                                                       .trouble = on_root_trouble,
                                                       .replaced = on_root_replaced,
                                                       .arg = g});
    start_api(g);
    start_metrics(g, metrics_fd);
    rc = start_pipeline(g, e);
    if (rc != RC_OK)
        return rc;
    g->term = loop_signal_new(g->loop, SIGTERM, on_term, g);
    g->interrupt = loop_signal_new(g->loop, SIGINT, on_term, g);
    g->hup = loop_signal_new(g->loop, SIGHUP, on_hup, g);
    g->grace = loop_timer_new(g->loop, on_grace_over, g);
    g->reload_grace = loop_timer_new(g->loop, on_reload_grace_over, g);
    g->watchdog = loop_timer_new(g->loop, on_watchdog, g);
    g->sandbox_look = loop_timer_new(g->loop, on_sandbox_look, g);
    if (sandbox_state()->wanted)
        loop_timer_set_shared(g->sandbox_look, SANDBOX_LOOK_MS);
    if (notify_watchdog_ms() > 0)
        loop_timer_set(g->watchdog, notify_watchdog_ms());
    return RC_OK;
}

static void stop_pipeline(struct gateway *g)
{
    struct pipeline *old = g->pipeline;
    control_free(g->control);
    g->control = NULL;
    if (g->api)
        api_set_pipeline(g->api, NULL, -1, -1);
    g->pipeline = NULL; /* signals may come while it winds down */
    pipeline_free(old);
}

/* The pipeline has drained: it goes on on the other root. Between the two nobody holds a file of
 * either, so what waits in the journal is looked for on the new one as after any start. */
static enum rc move(struct gateway *g, struct err *e)
{
    loop_timer_clear(g->reload_grace);
    stop_pipeline(g);
    root_close(&g->root);
    g->root = g->other;
    g->other = (struct root){.fd = -1, .lock = -1};
    if (g->stopping)
        return RC_OK;
    enum rc rc = start_pipeline(g, e);
    if (rc != RC_OK)
        return rc;
    log_info("started", F_STR("spool", g->config->spool), F_STR("bucket", g->config->bucket.name));
    if (g->reload_again)
        on_hup(g);
    return RC_OK;
}

static void finish(struct gateway *g)
{
    stop_pipeline(g);
    metrics_serve_free(g->metrics);
    console_api_free(g->console);
    struct err stopped;
    (void)err_set(&stopped, RC_CANCELLED, "the gateway stops; it is in force with the next start");
    tell_reloaded(g, RC_CANCELLED, &stopped);
    api_config_free(g->settings);
    api_watch_free(g->watch);
    api_free(g->api);
    root_guard_free(g->guard);
    loop_signal_free(g->term);
    loop_signal_free(g->interrupt);
    loop_signal_free(g->hup);
    loop_timer_free(g->grace);
    loop_timer_free(g->reload_grace);
    loop_timer_free(g->watchdog);
    loop_timer_free(g->sandbox_look);
    loop_free(g->loop);
    config_free(g->fresh);
    config_free(g->config);
    root_close(&g->other);
    root_close(&g->root);
    int fds[] = {g->journal_fd, g->state_fd, g->state_lock, g->console_port.fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]); /* directories and locks: nothing was written through them */
    }
}

enum rc gateway_run(struct config *config, struct err *e)
{
    struct gateway g = {
        .config = config,
        .root = {.fd = -1, .lock = -1},
        .other = {.fd = -1, .lock = -1},
        .state_fd = -1,
        .journal_fd = -1,
        .state_lock = -1,
        .console_port = {.fd = -1},
    };
    /* SIGIO comes when a lease of ours is broken (base/lease.h); a closed socket is an errno. */
    (void)signal(SIGIO, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    slice_short(); /* a new directory must be watched before its first file is renamed into it */
    enum rc rc = http_global_init(e);
    if (rc == RC_OK)
        rc = start(&g, e);
    if (rc == RC_OK) {
        log_info("started", F_STR("spool", config->spool), F_STR("bucket", config->bucket.name));
        notify_ready();
        do
            loop_run(g.loop);
        while (g.other.fd >= 0 && !g.stopping && (rc = move(&g, e)) == RC_OK && !g.stopping);
        if (rc == RC_OK)
            log_info("stopped");
        if (rc == RC_OK && g.outgrown.text[0] != '\0') {
            *e = g.outgrown;
            rc = RC_AGAIN;
        }
    }
    finish(&g);
    sandbox_leave();
    http_global_fini();
    return rc;
}
