/* Copying: the programs are started without a shell and get the text on their standard input. One
 * of them stays behind for the clipboard's sake, so it gets no keys by the environment. */
#include "cli/clipboard.h"

#include "base/buf.h"
#include "base/hex.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool write_whole(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, text, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        text += w;
        n -= (size_t)w;
    }
    return true;
}

/* Without the AWS tools' variables. The texts stay the environment's; the caller frees the list. */
static char **environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **list = mem_alloc((n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "AWS_", 4) != 0)
            list[kept++] = environ[i];
    }
    return list;
}

/* Both leave a process behind that answers for the clipboard: it must not hold our output open. */
static bool start(char *const argv[], int input, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    char **env;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    env = environment();
    bool ok =
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) == 0 &&
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
        posix_spawnp(pid, argv[0], &actions, NULL, argv, env) == 0;
    free(env);
    (void)posix_spawn_file_actions_destroy(&actions); /* cannot fail after init */
    return ok;
}

static bool give(char *const argv[], const char *text, size_t n)
{
    int ends[2], status = -1;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    bool started = start(argv, ends[0], &pid);
    (void)close(ends[0]); /* the program has its own */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    bool written = started && write_whole(ends[1], text, n);
    (void)close(ends[1]); /* a pipe: what was written is there */
    (void)signal(SIGPIPE, before);
    while (started && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return written && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* xterm's "Operating System Commands", 52: the clipboard as base64. */
static bool by_terminal(const char *text, size_t n)
{
    int fd = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    struct buf out;
    if (fd < 0)
        return false;
    char *code = mem_alloc(BASE64_SIZE(n));
    base64_encode(code, text, n);
    buf_init(&out, BASE64_SIZE(n) + 16);
    buf_addf(&out, "\033]52;c;%s\a", code);
    bool ok = write_whole(fd, out.data, out.len);
    (void)close(fd); /* a terminal: written is written */
    buf_fini(&out);
    free(code);
    return ok;
}

enum rc clipboard_copy(const char *text, size_t n, const char **how, struct err *e)
{
    static char *const wayland[] = {"wl-copy", NULL};
    static char *const x11[] = {"xclip", "-selection", "clipboard", NULL};
    if (getenv("WAYLAND_DISPLAY") && give(wayland, text, n))
        *how = "wl-copy";
    else if (getenv("DISPLAY") && give(x11, text, n))
        *how = "xclip";
    else if (by_terminal(text, n))
        *how = "the terminal";
    else
        return err_set(e, RC_ABSENT,
                       "there is no clipboard: neither wl-copy nor xclip with a display, nor a "
                       "terminal; copy it from the output, or write it with --output FILE");
    return RC_OK;
}
