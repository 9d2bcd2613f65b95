/* The helper: a process that runs the programs of credential_process for one that may not run
 * anything. It knows the commands from its start and runs no other, whatever it is told; it has no
 * keys, no files and no threads, and ends when its socket does.
 *
 * It is forked without the handlers of pthread_atfork: libuv's would close descriptors that are
 * ours here. A request is the command with two descriptors: where its output goes, and its life:
 * the answer of the start and of the end are written there, and when it is closed the program is
 * killed. */
#include "uploader/credentials_int.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMMAND_MAX = 32768, LOOK_MS = 50, SOCKET_FD = 3 };

/* One a process, as the sandbox that makes it necessary. */
static struct {
    int fd;
    pid_t pid;
} helper = {.fd = -1};

/* ---- in the helper ---- */

struct helper {
    const char *const *commands;
    size_t n;
};

static bool is_known(const struct helper *h, const char *command)
{
    size_t i = 0;
    while (i < h->n && strcmp(h->commands[i], command) != 0)
        i++;
    return i < h->n;
}

/* Until the other side closes it, or the program ends. */
static void watch(pid_t pid, int life)
{
    struct pollfd p = {.fd = life, .events = POLLIN};
    bool told = false;
    while (poll(&p, 1, told ? -1 : LOOK_MS) <= 0) {
        siginfo_t info = {0};
        if (told || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0)
            continue;
        struct credentials_helper_end end = {.code = info.si_code, .status = info.si_status};
        if (send(life, &end, sizeof end, MSG_NOSIGNAL) != (ssize_t)sizeof end)
            break;
        told = true;
    }
    credentials_process_kill(pid);
}

static _Noreturn void serve(const struct helper *h, char *command, int out, int life)
{
    static const struct credentials_cfg cfg = {.source = "environment"};
    char *words[CREDENTIALS_WORDS_MAX + 1];
    struct credentials_source *s;
    pid_t pid = 0;
    int error = EPERM;
    (void)close(SOCKET_FD);
    (void)signal(SIGCHLD, SIG_DFL); /* cannot fail for a known signal */
    if (is_known(h, command) && credentials_split(command, words, NULL) == RC_OK &&
        credentials_source_new(&cfg, &s, NULL) == RC_OK)
        error = credentials_process_spawn(s, words, out, &pid);
    (void)close(out);
    bool told = send(life, &error, sizeof error, MSG_NOSIGNAL) == (ssize_t)sizeof error;
    if (error == 0) {
        if (!told)
            (void)shutdown(life, SHUT_RDWR); /* so that it is killed at once */
        watch(pid, life);
    }
    _exit(0);
}

static bool take_request(char command[COMMAND_MAX], int fds[2])
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec io = {.iov_base = command, .iov_len = COMMAND_MAX - 1};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    while ((n = recvmsg(SOCKET_FD, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
        return false;
    memcpy(fds, CMSG_DATA(c), 2 * sizeof(int));
    command[n] = '\0';
    return true;
}

/* Signals are for the gateway: systemd and terminals send them to all of its processes. */
static _Noreturn void run(const struct helper *h, int fd)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD};
    static char command[COMMAND_MAX];
    int fds[2];
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);      /* cannot fail for a known signal */
    (void)prctl(PR_SET_NAME, "spoolgate-keys"); /* for ps only */
    /* Of the gateway's files, a lock above all, none may stay open here. */
    if (dup3(fd, SOCKET_FD, O_CLOEXEC) < 0 && errno != EINVAL)
        _exit(1);
    (void)close_range(SOCKET_FD + 1, ~0U, 0);
    while (take_request(command, fds)) {
        pid_t pid = _Fork();
        if (pid == 0)
            serve(h, command, fds[0], fds[1]);
        (void)close(fds[0]); /* the other one's now; when there is none, its end is seen */
        (void)close(fds[1]);
    }
    _exit(0);
}

/* ---- in the gateway ---- */

enum rc credentials_helper_start(const char *const commands[], size_t n, struct err *e)
{
    struct helper h = {.commands = commands, .n = n};
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return err_sys(e, errno, "no socket for the process that runs credential_process");
    pid_t pid = _Fork();
    if (pid == 0)
        run(&h, fds[1]);
    int why = errno;
    (void)close(fds[1]); /* the helper's */
    if (pid < 0) {
        (void)close(fds[0]);
        return err_sys(e, why, "no process to run credential_process");
    }
    helper.fd = fds[0];
    helper.pid = pid;
    return RC_OK;
}

void credentials_helper_stop(void)
{
    if (helper.fd < 0)
        return;
    (void)close(helper.fd); /* the helper ends */
    while (waitpid(helper.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    helper.fd = -1;
}

bool credentials_helper_is_there(void)
{
    return helper.fd >= 0;
}

bool credentials_helper_is_gone(void)
{
    struct pollfd p = {.fd = helper.fd};
    return helper.fd >= 0 && poll(&p, 1, 0) > 0; /* a hang-up needs no asking for */
}

int credentials_helper_run(const char *command, int fd, int *life)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec io = {.iov_base = (char *)(uintptr_t)command, .iov_len = strlen(command)};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int pair[2], error = 0;
    if (io.iov_len == 0 || io.iov_len >= COMMAND_MAX)
        return E2BIG;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), (int[]){fd, pair[1]}, 2 * sizeof(int));
    bool sent = sendmsg(helper.fd, &m, MSG_NOSIGNAL) >= 0;
    error = sent ? 0 : errno;
    (void)close(pair[1]); /* the helper's */
    if (sent && read(pair[0], &error, sizeof error) != (ssize_t)sizeof error)
        error = EPIPE; /* it is gone */
    if (error == 0)
        *life = pair[0];
    else
        (void)close(pair[0]);
    return error;
}
