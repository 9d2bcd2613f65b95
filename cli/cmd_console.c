/* spoolgate console: a link to the console in a browser. The gateway that runs serves it; without
 * one this command serves the set-up page itself, until there is something to run a gateway with.
 */
#include "cli/cli.h"

#include "base/loop.h"
#include "base/mem.h"
#include "gateway/console_api.h"
#include "gateway/setup.h"
#include "uploader/http.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the browser still has to be told after the last button. */
#define LINGER_MS 2000
/* For the browser to have read the file that leads it here. */
#define OPENING_S 3

extern char **environ;

struct showing {
    struct cli_common common;
    uint16_t port;
    bool open;
    const char *mode;
};

static enum cli_status parse(int argc, char **argv, struct showing *s)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"open", no_argument, NULL, 'o'},
        {0},
    };
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *end = NULL;
        unsigned long n = opt == 'p' ? strtoul(optarg, &end, 10) : 0;
        if (opt == 'o')
            s->open = true;
        else if (opt != 'p')
            return cli_fail(CLI_USAGE, "spoolgate console --help says which options there are");
        else if (*end != '\0' || n < 1 || n > 65535)
            return cli_fail(CLI_USAGE, "--port wants a number from 1 to 65535, found \"%s\"",
                            optarg);
        s->port = opt == 'p' ? (uint16_t)n : s->port;
    }
    if (optind < argc)
        return cli_fail(CLI_USAGE, "console takes no arguments, found \"%s\"", argv[optind]);
    return CLI_YES;
}

/* ---- the browser ---- */

/* The link goes into a file that only this user can read, and that leads there: among a program's
 * arguments everybody on the machine would see it. */
static bool write_leader(const char *url, char path[PATH_MAX])
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    int n = snprintf(path, PATH_MAX, "%s/spoolgate-console-XXXXXX.html", dir ? dir : "/tmp");
    int fd = n > 0 && n < PATH_MAX ? mkostemps(path, 5, O_CLOEXEC) : -1;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f) {
        if (fd >= 0)
            (void)close(fd); /* nothing was written */
        return false;
    }
    fprintf(f,
            "<!doctype html><meta charset=\"utf-8\"><title>spoolgate</title>\n"
            "<meta http-equiv=\"refresh\" content=\"0;url=%s\">\n"
            "<p><a href=\"%s\">To the console</a></p>\n",
            url, url);
    return fclose(f) == 0;
}

static bool start_browser(char *path)
{
    static char program[] = "xdg-open";
    char *const argv[] = {program, path, NULL};
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status = -1;
    if (posix_spawn_file_actions_init(&quiet) != 0)
        return false;
    bool ok = posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0) == 0 &&
              posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0) == 0 &&
              posix_spawnp(&pid, program, &quiet, NULL, argv, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&quiet); /* cannot fail after init */
    while (ok && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void forget_leader(char path[PATH_MAX])
{
    if (path[0])
        (void)unlink(path); /* the link in it is used, or too old in a moment */
    path[0] = '\0';
}

/* path: of the file that can be forgotten when the browser has read it, "" where there is none. */
static void open_browser(const char *url, char path[PATH_MAX])
{
    if (!write_leader(url, path)) {
        path[0] = '\0';
        (void)cli_fail(CLI_YES, "no browser was opened: cannot write a file for it");
    } else if (!start_browser(path)) {
        forget_leader(path);
        (void)cli_fail(CLI_YES, "no browser was opened (xdg-open): open the link yourself");
    }
}

/* ---- telling ---- */

static void tell_tunnel(unsigned port)
{
    const char *ssh = getenv("SSH_CONNECTION");
    const struct passwd *user = getpwuid(geteuid());
    char host[256] = "";
    if (!ssh || sscanf(ssh, "%*s %*s %255s", host) != 1) {
        if (gethostname(host, sizeof host - 1) != 0)
            host[0] = '\0';
    }
    fprintf(stderr,
            "From another machine, first: ssh -N -L %u:127.0.0.1:%u %s@%s\n"
            "then open the link there.\n",
            port, port, user ? user->pw_name : "USER", host[0] ? host : "HOST");
}

static void tell(const struct showing *s, const char *url, unsigned port)
{
    if (s->common.json) {
        json_t *v = json_pack("{s:s, s:i, s:s, s:i}", "url", url, "port", (int)port, "mode",
                              s->mode, "valid_ms", 5 * 60 * 1000);
        cli_print_json(v);
        json_decref(v);
        (void)fflush(stdout); /* who reads it waits for it */
        return;
    }
    puts(url);
    (void)fflush(stdout); /* as above */
    fputs("The link works once, within five minutes.\n", stderr);
    tell_tunnel(port);
}

/* ---- the gateway's ---- */

static enum cli_status of_gateway(const struct showing *s, const struct config *c)
{
    json_t *body = json_pack("{s:i}", "port", (int)s->port), *answer = NULL;
    char path[PATH_MAX] = "";
    struct err e = {0};
    enum cli_status status = cli_ask(c, "POST", "/v1/console", body, &answer, &e);
    json_decref(body);
    const char *url = json_string_value(json_object_get(answer, "url"));
    if (status == CLI_NO)
        status = cli_fail(CLI_ENVIRONMENT, "the gateway that runs knows no console: start it anew");
    else if (status == CLI_YES && !url)
        status = cli_fail(CLI_ENVIRONMENT, "the gateway's answer cannot be understood");
    if (status == CLI_YES) {
        tell(s, url, (unsigned)json_integer_value(json_object_get(answer, "port")));
        if (s->open) {
            open_browser(url, path);
            (void)sleep(path[0] ? OPENING_S : 0);
            forget_leader(path);
        }
    }
    json_decref(answer);
    return status;
}

/* Nobody listens there; that this user may not connect is another matter. */
static bool nobody_answers(const char *socket_path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(socket_path) >= sizeof a.sun_path) {
        if (fd >= 0)
            (void)close(fd); /* nothing was written */
        return false;
    }
    memcpy(a.sun_path, socket_path, strlen(socket_path));
    int error = connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 ? 0 : errno;
    (void)close(fd); /* nothing was written */
    return error == ECONNREFUSED || error == ENOENT;
}

/* ---- our own ---- */

struct serving {
    struct loop *loop;
    struct loop_timer *linger;
    bool saved;
};

static void stop(void *arg)
{
    struct serving *v = arg;
    loop_stop(v->loop);
}

static void on_saved(void *arg)
{
    struct serving *v = arg;
    v->saved = true;
    loop_timer_set(v->linger, LINGER_MS);
}

static const struct config *no_config(void *arg)
{
    (void)arg;
    return NULL;
}

static enum cli_status serve_until_saved(struct showing *s, struct serving *v,
                                         struct console_api *c)
{
    char path[PATH_MAX] = "";
    struct buf url;
    struct err e = {0};
    buf_init(&url, 256);
    enum rc rc = console_api_link(c, s->port, &url, &e);
    if (rc == RC_OK) {
        tell(s, url.data, console_api_port(c));
        fputs(
            "No gateway runs here, so this serves the set-up page: until it has saved, Ctrl-C, or "
            "half an hour\nwithout use.\n",
            stderr);
        if (s->open)
            open_browser(url.data, path);
        loop_run(v->loop);
        forget_leader(path);
    }
    buf_fini(&url);
    if (rc != RC_OK)
        return cli_fail_err(rc, &e);
    if (!v->saved)
        return cli_fail(CLI_NO, "nothing was saved");
    fputs(
        "Saved. Start the gateway with: systemctl enable --now spoolgate (or spoolgate run), after "
        "spoolgate check.\n",
        stderr);
    return CLI_YES;
}

static enum cli_status of_our_own(struct showing *s, const char *config_path)
{
    struct serving v = {.loop = loop_new()};
    struct loop_signal *term = loop_signal_new(v.loop, SIGTERM, stop, &v);
    struct loop_signal *interrupt = loop_signal_new(v.loop, SIGINT, stop, &v);
    v.linger = loop_timer_new(v.loop, stop, &v);
    struct api *api = api_new(&(struct api_cfg){.loop = v.loop, .config = no_config});
    struct console_api *c = console_api_new(&(struct console_api_cfg){.api = api,
                                                                      .loop = v.loop,
                                                                      .mode = s->mode,
                                                                      .path = config_path,
                                                                      .port = {.fd = -1},
                                                                      .saved = on_saved,
                                                                      .unused = stop,
                                                                      .arg = &v});
    (void)signal(SIGPIPE, SIG_IGN); /* a closed socket is an errno */
    enum cli_status status = serve_until_saved(s, &v, c);
    console_api_free(c);
    api_free(api);
    loop_timer_free(v.linger);
    loop_signal_free(term);
    loop_signal_free(interrupt);
    loop_free(v.loop);
    return status;
}

/* What stands there has to be a configuration, at least the beginning of one. */
static enum cli_status check_file(const char *path)
{
    struct setup s = {.path = path};
    struct err e = {0};
    enum rc rc = setup_read(&s, &e);
    json_decref(s.existing);
    return rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
}

static enum cli_status run(int argc, char **argv)
{
    struct showing s = {.mode = "gateway"};
    struct config *c = NULL;
    struct config_faults faults = {0};
    struct err e = {0};
    enum cli_status status = cli_common_options(&cmd_console, &argc, argv, &s.common);
    if (status != CLI_YES || s.common.done || (status = parse(argc, argv, &s)) != CLI_YES)
        return status;
    const char *path = config_choose_path(s.common.config_path);
    bool configured = config_load(path, &c, &faults) == RC_OK;
    config_faults_fini(&faults);
    if (configured && !nobody_answers(c->control)) {
        status = of_gateway(&s, c);
        config_free(c);
        return status;
    }
    config_free(c);
    s.mode = "setup";
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false); /* all is told here */
    if ((status = check_file(path)) != CLI_YES)
        return status;
    enum rc rc = http_global_init(&e);
    if (rc != RC_OK)
        return cli_fail_err(rc, &e);
    status = of_our_own(&s, path);
    http_global_fini();
    return status;
}

const struct cli_command cmd_console = {
    .name = "console",
    .summary = "a link to the console in a browser; to the set-up page where nothing runs yet",
    .help =
        "Usage: spoolgate console [--port N] [--open] [-c FILE] [--json]\n\n"
        "Prints a link that opens the console in a browser on this machine: set-up, overview, "
        "files "
        "and\n"
        "deliveries. It works once, within five minutes; the session that it opens ends after half "
        "an "
        "hour\n"
        "without use. The gateway listens on 127.0.0.1 only, from the first link on, until nobody "
        "has "
        "used the\n"
        "console for half an hour. From another machine it is reached through ssh, as is told "
        "with "
        "the link.\n\n"
        "Where no gateway runs, this command serves the set-up page itself and writes the "
        "configuration as the\n"
        "user who runs it, until that is done.\n\n"
        "      --port N  of the link; else the gateway has chosen one at its start\n"
        "      --open    open the link in this user's browser (xdg-open)\n\n"
        "Example:\n"
        "  spoolgate console --open\n\n"
        "Exit status: 0 the link works (without a gateway: it has saved); 1 nothing was saved; 100 "
        "usage or\n"
        "configuration; 111 the environment.\n",
    .run = run,
};
