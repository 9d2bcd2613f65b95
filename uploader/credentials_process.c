/* Keys that a program prints: credential_process of the AWS tools' files. No shell takes part; the
 * program gets its own process group, which is killed at the end whatever happened, an environment
 * without our secrets, and a minute.
 * Source: "Process credential provider", AWS SDKs and Tools Reference Guide. */
#include "uploader/credentials_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, LOOK_MS = 50, OUTPUT_MAX = 64 * 1024 };

/* ---- the command ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word from *from to *to, both within the same text; false: a quote stays open. */
static bool take_word(char **from, char **to)
{
    char quote = '\0', *in = *from, *out = *to;
    for (; *in && (quote || !is_space(*in)); in++) {
        if (quote && *in == quote) {
            quote = '\0';
        } else if (!quote && (*in == '\'' || *in == '"')) {
            quote = *in;
        } else if (*in == '\\' && quote != '\'') {
            /* Within double quotes it only escapes these two. */
            if (!in[1])
                return false;
            if (quote && in[1] != '"' && in[1] != '\\')
                *out++ = *in;
            *out++ = *++in;
        } else {
            *out++ = *in;
        }
    }
    *from = *in ? in + 1 : in;
    *out++ = '\0';
    *to = out;
    return !quote;
}

enum rc credentials_split(char *command, char *words[CREDENTIALS_WORDS_MAX + 1], struct err *e)
{
    size_t n = 0;
    char *from = command, *to = command;
    for (;;) {
        while (is_space(*from))
            from++;
        if (!*from)
            break;
        if (n == CREDENTIALS_WORDS_MAX)
            return err_set(e, RC_INVALID, "credential_process has over %d words",
                           CREDENTIALS_WORDS_MAX);
        words[n++] = to;
        if (!take_word(&from, &to))
            return err_set(e, RC_INVALID,
                           "credential_process has a quote or backslash that is not closed");
    }
    words[n] = NULL;
    if (n == 0 || !words[0][0])
        return err_set(e, RC_INVALID, "credential_process names no program");
    return RC_OK;
}

/* ---- the program ---- */

/* What such programs need to know of where they are; keys of ours are not among it. */
static char **make_environment(const struct credentials_source *s)
{
    static const char *const names[] = {"PATH",
                                        "HOME",
                                        "USER",
                                        "LOGNAME",
                                        "LANG",
                                        "LC_ALL",
                                        "TZ",
                                        "TMPDIR",
                                        "XDG_RUNTIME_DIR",
                                        "XDG_CONFIG_HOME",
                                        "XDG_CACHE_HOME",
                                        "CREDENTIALS_DIRECTORY",
                                        "AWS_PROFILE",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_CONFIG_FILE",
                                        "AWS_SHARED_CREDENTIALS_FILE",
                                        "AWS_CA_BUNDLE",
                                        "SSL_CERT_FILE",
                                        "SSL_CERT_DIR",
                                        "http_proxy",
                                        "https_proxy",
                                        "no_proxy",
                                        "all_proxy",
                                        "HTTP_PROXY",
                                        "HTTPS_PROXY",
                                        "NO_PROXY",
                                        "ALL_PROXY"};
    size_t n = 0;
    char **list = mem_alloc((sizeof names / sizeof names[0] + 1) * sizeof *list);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = credentials_env(s, names[i]);
        if (!value)
            continue;
        size_t size = strlen(names[i]) + strlen(value) + 2;
        list[n] = mem_alloc(size);
        (void)snprintf(list[n++], size, "%s=%s", names[i], value);
    }
    return list;
}

static void free_environment(char **list)
{
    for (size_t i = 0; list[i]; i++)
        free(list[i]);
    free(list);
}

int credentials_process_spawn(const struct credentials_source *s, char *const words[], int fd,
                              pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, usual;
    char **env = make_environment(s);
    (void)sigemptyset(&none); /* these cannot fail for valid signals */
    (void)sigfillset(&usual);
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        goto out_env;
    if ((rc = posix_spawnattr_init(&how)) != 0)
        goto out_files;
    /* Standard error goes nowhere: what a program complains with may hold a secret. */
    if ((rc = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)) != 0 ||
        (rc = posix_spawn_file_actions_adddup2(&files, fd, 1)) != 0 ||
        (rc = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0)) != 0 ||
        (rc = posix_spawn_file_actions_addclosefrom_np(&files, 3)) != 0 ||
        (rc = posix_spawnattr_setpgroup(&how, 0)) != 0 ||
        (rc = posix_spawnattr_setsigmask(&how, &none)) != 0 ||
        (rc = posix_spawnattr_setsigdefault(&how, &usual)) != 0 ||
        (rc = posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                 POSIX_SPAWN_SETSIGDEF)) != 0)
        goto out;
    rc = posix_spawnp(pid, words[0], &files, &how, words, env);
out:
    (void)posix_spawnattr_destroy(&how); /* never fail in glibc */
out_files:
    (void)posix_spawn_file_actions_destroy(&files);
out_env:
    free_environment(env);
    return rc;
}

void credentials_process_kill(pid_t pid)
{
    (void)kill(-pid, SIGKILL); /* what is left of the group; ESRCH is fine */
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

struct run {
    struct credentials_source *source;
    const char *where;
    int64_t end_ns;
    pid_t pid; /* ours, unless: */
    int life;  /* the helper's end of it; -1: none */
};

static enum rc may_go_on(const struct run *r, struct err *e)
{
    if (atomic_load(r->source->stop))
        return err_set(e, RC_CANCELLED, "stopped by us");
    if (clock_mono_now_ns() >= r->end_ns)
        return err_set(e, RC_NET,
                       "%s: the program did not end within %d s and was killed; it must not ask "
                       "for anything",
                       r->where, LIMIT_MS / 1000);
    return RC_OK;
}

static enum rc read_output(const struct run *r, int fd, struct credentials_text *out, struct err *e)
{
    enum rc rc;
    while ((rc = may_go_on(r, e)) == RC_OK) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, LOOK_MS);
        if (ready <= 0)
            continue; /* nothing yet, or a signal */
        ssize_t got = read(fd, out->data + out->len, out->size - 1 - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, errno, "%s: its output cannot be read", r->where);
        if (got == 0)
            break;
        out->len += (size_t)got;
        if (out->len == out->size - 1)
            return err_set(e, RC_INVALID, "%s: the program prints over 64 KiB", r->where);
    }
    out->data[out->len] = '\0';
    return rc;
}

static enum rc judge_end(const struct run *r, int code, int status, struct err *e)
{
    if (code != CLD_EXITED)
        return err_set(e, RC_DENIED, "%s: the program was ended by signal %d", r->where, status);
    if (status == 127) /* so some systems, and every shell, say it */
        return err_set(e, RC_DENIED,
                       "%s: its program cannot be started, or found no program of its own (status "
                       "127); name it with its whole path",
                       r->where);
    if (status != 0)
        return err_set(e, RC_DENIED,
                       "%s: the program ended with status %d; run it by hand as the user of the "
                       "gateway to see why",
                       r->where, status);
    return RC_OK;
}

/* The leader stays a zombie until the group is killed, so that the number is nobody else's. */
static enum rc await_end(const struct run *r, struct err *e)
{
    enum rc rc;
    while ((rc = may_go_on(r, e)) == RC_OK) {
        struct credentials_helper_end end;
        struct pollfd p = {.fd = r->life, .events = POLLIN};
        siginfo_t info = {0};
        if (r->life < 0) {
            if (waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
                info.si_pid != 0)
                return judge_end(r, info.si_code, info.si_status, e);
            (void)poll(NULL, 0, 10); /* only to wait */
        } else if (poll(&p, 1, LOOK_MS) > 0) {
            if (read(r->life, &end, sizeof end) == (ssize_t)sizeof end)
                return judge_end(r, end.code, end.status, e);
            return err_set(e, RC_IO, "%s: the process that runs it is gone; restart the gateway",
                           r->where);
        }
    }
    return rc;
}

/* 0, or an errno. */
static int start(struct run *r, const char *command, char *const words[], int fd)
{
    if (credentials_helper_is_there())
        return credentials_helper_run(command, fd, &r->life);
    return credentials_process_spawn(r->source, words, fd, &r->pid);
}

static void end(const struct run *r)
{
    if (r->life >= 0)
        (void)close(r->life); /* tells the helper to do the same */
    else
        credentials_process_kill(r->pid);
}

enum rc credentials_process_get(struct credentials_source *s, char *command, const char *where,
                                struct credentials **out, struct err *e)
{
    char *words[CREDENTIALS_WORDS_MAX + 1];
    int fds[2];
    struct err detail = {0};
    struct run r = {.source = s,
                    .where = where,
                    .end_ns = clock_mono_now_ns() + LIMIT_MS * CLOCK_NS_PER_MS,
                    .life = -1};
    char *whole = mem_strdup(command);
    struct credentials_text text = {0};
    enum rc rc;
    if (credentials_split(command, words, &detail) != RC_OK) {
        rc = err_set(e, RC_INVALID, "%s: %s", where, detail.text);
        goto out;
    }
    if (pipe2(fds, O_CLOEXEC) != 0) {
        rc = err_sys(e, errno, "%s: no pipe to its program", where);
        goto out;
    }
    int error = start(&r, whole, words, fds[1]);
    (void)close(fds[1]); /* a pipe: nothing to lose */
    if (error != 0) {
        (void)close(fds[0]);
        rc = credentials_helper_is_gone()
                 ? err_set(e, RC_IO, "%s: the process that runs it is gone; restart the gateway",
                           where)
             : error == EPERM && credentials_helper_is_there()
                 ? err_set(e, RC_DENIED,
                           "%s: its program is not the one that was named when the gateway "
                           "started, and in its sandbox it runs no other; restart the gateway",
                           where)
                 : err_set(e, RC_DENIED,
                           "%s: its program cannot be started (%s); name it with its whole path",
                           where, strerror(error));
        goto out;
    }
    text = (struct credentials_text){.data = mem_alloc(OUTPUT_MAX + 1), .size = OUTPUT_MAX + 1};
    rc = read_output(&r, fds[0], &text, e);
    if (rc == RC_OK)
        rc = await_end(&r, e);
    end(&r);
    (void)close(fds[0]);
    if (rc == RC_OK)
        rc = credentials_from_json(&text, CREDENTIALS_OF_PROCESS, where, 0, out, e);
out:
    credentials_text_fini(&text);
    free(whole);
    return rc;
}
