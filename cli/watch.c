/* The life of `status --watch`: see watch.h. One loop: a tick a second, keys, signals, answers. The
 * terminal is given back on every way out, and while the process is stopped.
 */
#include "cli/watch_int.h"

#include "base/clock.h"
#include "base/units.h"
#include "base/utf8.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS     1000
#define KEY_WAIT_MS 100 /* for the rest of an escape sequence, over a slow line */

json_int_t watch_number(const json_t *v, const char *group, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(v, group), key));
}

const char *watch_text(const json_t *v, const char *group, const char *key)
{
    return json_string_value(json_object_get(json_object_get(v, group), key));
}

/* ---- lines instead of a picture ---- */

static void print_line(struct watch *w)
{
    struct buf sentence, safe;
    char now[CLOCK_RFC3339_SIZE], size[UNITS_TEXT_SIZE];
    bool answered = w->gone[0] == '\0' && w->status;
    buf_init(&sentence, 65536);
    buf_init(&safe, 4 * 65536);
    watch_sentence(w, &sentence);
    utf8_escape(&safe, sentence.data, sentence.len);
    clock_rfc3339(now, clock_wall_now_ns());
    if (!w->json && answered)
        printf("%.8sZ  %s  [%.1f files/s, %s/s]\n", now + 11, safe.data, w->files_per_s,
               units_format_size(size, (uint64_t)w->bytes_per_s));
    else if (!w->json)
        printf("%.8sZ  %s\n", now + 11, safe.data);
    else if (answered)
        cli_print_json(w->status);
    else if (!w->gone_told)
        (void)cli_fail(CLI_ENVIRONMENT, "%s", sentence.data); /* once; it goes on trying */
    w->gone_told = !answered;
    buf_fini(&sentence);
    buf_fini(&safe);
    if (fflush(stdout) != 0) /* nobody reads any more */
        loop_stop(w->loop);
}

/* ---- events ---- */

static void tick(void *arg)
{
    struct watch *w = arg;
    loop_timer_set(w->tick, TICK_MS);
    watch_past_tick(w);
    if (w->term)
        watch_draw(w);
    else if (w->status || w->gone[0])
        print_line(w);
    watch_ask_status(w);
    watch_ask_files(w);
}

static void keys_come(struct watch *w, bool flush)
{
    int keys[64];
    int n = term_keys(w->term, keys, sizeof keys / sizeof keys[0], flush);
    if (n < 0) {
        w->ended_by = SIGHUP;
        loop_stop(w->loop);
        return;
    }
    if (term_is_waiting(w->term))
        loop_timer_set(w->key_wait, KEY_WAIT_MS);
    if (n == 0)
        return;
    watch_keys(w, keys, n);
    watch_draw(w);
}

static void readable(void *arg, int events)
{
    (void)events;
    keys_come(arg, false);
}

static void key_waited(void *arg)
{
    keys_come(arg, true);
}

static void end_by(struct watch *w, int signo)
{
    w->ended_by = signo;
    loop_stop(w->loop);
}

static void on_interrupt(void *arg)
{
    end_by(arg, SIGINT);
}

static void on_terminate(void *arg)
{
    end_by(arg, SIGTERM);
}

static void on_hangup(void *arg)
{
    end_by(arg, SIGHUP);
}

static void on_quit(void *arg)
{
    end_by(arg, SIGQUIT);
}

static void on_resize(void *arg)
{
    struct watch *w = arg;
    w->anew = true;
    watch_draw(w);
}

static void on_continue(void *arg)
{
    struct watch *w = arg;
    term_enter(w->term);
    on_resize(w);
}

static void on_stop(void *arg)
{
    struct watch *w = arg;
    term_leave(w->term);
    (void)raise(SIGSTOP); /* SIGTSTP is ours; whoever waits for us sees a stopped process */
    on_continue(w);
}

/* ---- life ---- */

static bool open_terminal(struct watch *w, struct err *e)
{
    static const struct {
        int number;
        void (*cb)(void *arg);
    } signals[] = {
        {SIGINT, on_interrupt}, {SIGTERM, on_terminate}, {SIGHUP, on_hangup},   {SIGQUIT, on_quit},
        {SIGTSTP, on_stop},     {SIGCONT, on_continue},  {SIGWINCH, on_resize},
    };
    w->term = term_new(e);
    if (!w->term)
        return false;
    w->key_wait = loop_timer_new(w->loop, key_waited, w);
    w->poll = loop_poll_new(w->loop, term_fd(w->term), readable, w);
    loop_poll_set(w->poll, LOOP_READ);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        w->signals[w->n_signals++] = loop_signal_new(w->loop, signals[i].number, signals[i].cb, w);
    term_enter(w->term);
    w->anew = true;
    watch_draw(w);
    return true;
}

static void fini(struct watch *w)
{
    watch_ask_fini(w);
    loop_timer_free(w->tick);
    loop_timer_free(w->key_wait);
    if (w->poll)
        loop_poll_free(w->poll);
    for (unsigned i = 0; i < w->n_signals; i++)
        loop_signal_free(w->signals[i]);
    loop_free(w->loop);
    term_free(w->term);
    watch_past_fini(w);
    layout_free(w->layout);
    json_decref(w->status);
    free(w->chosen_name);
    free(w->verb_name);
}

enum cli_status watch_run(const struct config *c, bool json)
{
    static struct watch watch;
    struct watch *w = &watch;
    struct err e = {0};
    enum rc rc = http_global_init(&e);
    if (rc != RC_OK)
        return cli_fail_err(rc, &e);
    *w = (struct watch){
        .config = c, .json = json, .loop = loop_new(), .second_files = -1, .ticks = WATCH_SECONDS};
    for (unsigned i = 0; i < WATCH_SECONDS; i++)
        w->seconds[i] = -1;
    if ((rc = layout_new(c->layout, c->prefix, &w->layout, &e)) != RC_OK)
        w->layout = NULL; /* only files are acted upon then */
    watch_ask_init(w);
    enum cli_status status = CLI_YES;
    if (!json && term_is_there() && !open_terminal(w, &e)) {
        status = cli_fail_err(e.rc, &e);
    } else {
        w->tick = loop_timer_new(w->loop, tick, w);
        loop_timer_set(w->tick, TICK_MS);
        watch_ask_status(w);
        if (w->term)
            watch_ask_history(w);
        loop_run(w->loop);
    }
    int ended_by = w->ended_by;
    fini(w);
    http_global_fini();
    if (ended_by) {                      /* the shell is told the truth */
        (void)signal(ended_by, SIG_DFL); /* a known signal */
        (void)raise(ended_by);
    }
    return status;
}
