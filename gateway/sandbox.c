/* The sandbox: see sandbox.h. First the helper, which stays outside; then Landlock, which opens the
 * paths that it allows; then seccomp, which may refuse even that. One failing leaves the other.
 *
 * The state is written once, before there are threads. */
#include "gateway/sandbox_int.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sandbox_state state;
static struct sandbox_needs needs; /* what was entered with */
static int proc_self = -1;         /* keeps the kernel from making another inode of it */

const struct sandbox_state *sandbox_state(void)
{
    return &state;
}

static void add_why(const struct err *e)
{
    size_t n = strlen(state.why);
    (void)snprintf(state.why + n, sizeof state.why - n, "%s%s", n ? "; " : "", e->text);
}

static void confine(void)
{
    struct err e = {0};
    unsigned version = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        (void)snprintf(state.why, sizeof state.why, "no_new_privs is refused (%s)",
                       strerror(errno));
    /* Other processes of this user can neither trace us nor have our memory; nor can a dump. A
     * sanitizer's runtime looks at itself that way. */
    if (!SANDBOX_SANITIZED)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* cannot fail for 0 */
    proc_self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sandbox_landlock(&needs, &version, &e) == RC_OK)
        state.landlock = version;
    else
        add_why(&e);
    if (sandbox_seccomp(&e) == RC_OK)
        state.seccomp = true;
    else
        add_why(&e);
}

/* Changes nothing when it fails: the daemon does not start then. */
static enum rc enter(const struct config *c, struct err *e)
{
    if (c->sandbox == CONFIG_SANDBOX_OFF)
        return RC_OK;
    sandbox_needs_of(c, &needs);
    state = (struct sandbox_state){.wanted = true};
    if (needs.n_programs > 0) {
        enum rc rc =
            credentials_helper_start((const char *const *)needs.programs, needs.n_programs, e);
        if (rc != RC_OK)
            return rc;
        state.helper = true;
    }
    confine();
    if (c->sandbox == CONFIG_SANDBOX_REQUIRE && state.why[0] != '\0')
        return err_set(e, RC_DENIED,
                       "the sandbox is required and is not whole: %s; set \"sandbox\" to \"auto\" "
                       "to start without",
                       state.why);
    return RC_OK;
}

enum rc sandbox_enter(const struct config *c, struct err *e)
{
    enum rc rc = enter(c, e);
    if (rc != RC_OK || !state.wanted)
        return rc;
    if (state.why[0] != '\0')
        log_warning("sandbox", F_U64("landlock", state.landlock), F_BOOL("seccomp", state.seccomp),
                    F_STR("why", state.why),
                    F_STR("remedy", "none is needed for files to flow; a newer kernel, or a "
                                    "container that allows it, confines the gateway more"));
    else
        log_info("sandbox", F_U64("landlock", state.landlock), F_BOOL("seccomp", state.seccomp));
    return RC_OK;
}

void sandbox_leave(void)
{
    credentials_helper_stop();
    sandbox_needs_fini(&needs);
    if (proc_self >= 0)
        (void)close(proc_self); /* a name only */
    proc_self = -1;
}

void sandbox_try(const struct config *c, struct sandbox_state *out)
{
    int fds[2];
    *out = (struct sandbox_state){0};
    if (c->sandbox == CONFIG_SANDBOX_OFF)
        return;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        state = (struct sandbox_state){.wanted = true};
        sandbox_needs_of(c, &needs);
        confine();
        _exit(write(fds[1], &state, sizeof state) == (ssize_t)sizeof state ? 0 : 1);
    }
    (void)close(fds[1]); /* the child's */
    if (pid > 0) {
        if (read(fds[0], out, sizeof *out) != (ssize_t)sizeof *out)
            *out = (struct sandbox_state){.wanted = true, .why = "it could not be tried"};
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    (void)close(fds[0]); /* only read from */
}

/* ---- later ---- */

static bool is_refused(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return errno == EACCES;
    (void)close(fd); /* nothing was read or written */
    return false;
}

bool sandbox_hides(const char *path)
{
    return state.landlock > 0 && is_refused(path, O_RDONLY) &&
           faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}

/* One of ours that was replaced: the right is on the directory that was there at the start. */
static bool is_another(const char *directory)
{
    struct stat now;
    for (size_t i = 0; i < needs.n; i++) {
        const struct sandbox_path *p = &needs.paths[i];
        if (p->right == SANDBOX_OWN && strcmp(p->path, directory) == 0 && p->seen.st_ino != 0)
            return stat(directory, &now) == 0 &&
                   (now.st_ino != p->seen.st_ino || now.st_dev != p->seen.st_dev);
    }
    return false;
}

bool sandbox_locks(const char *directory)
{
    return state.landlock > 0 &&
           (is_another(directory) || is_refused(directory, O_TMPFILE | O_WRONLY)) &&
           faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0;
}

static bool has_program(const char *command)
{
    size_t i = 0;
    while (i < needs.n_programs && strcmp(needs.programs[i], command) != 0)
        i++;
    return i < needs.n_programs;
}

/* sandbox_outgrown looks at it. */
static bool is_followed(const char *path)
{
    size_t i = 0;
    while (i < needs.n && !(needs.paths[i].followed && strcmp(needs.paths[i].path, path) == 0))
        i++;
    return i < needs.n;
}

static enum rc admit(const struct sandbox_needs *more, struct err *e)
{
    for (size_t i = 0; i < more->n; i++) {
        const struct sandbox_path *p = &more->paths[i];
        if (p->right == SANDBOX_READ && !is_followed(p->path) && sandbox_hides(p->path))
            return err_set(e, RC_DENIED,
                           "the sandbox does not reach %s, which it was not told of at the start: "
                           "restart the gateway to use these settings; nothing was changed",
                           p->path);
    }
    for (size_t i = 0; i < more->n_ports && state.landlock >= 4; i++) {
        if (!sandbox_needs_port(&needs, more->ports[i]))
            return err_set(e, RC_DENIED,
                           "the sandbox does not let port %u be connected to, which it was not "
                           "told of at the start: restart the gateway to use these settings; "
                           "nothing was changed",
                           more->ports[i]);
    }
    for (size_t i = 0; i < more->n_programs; i++) {
        if (!has_program(more->programs[i]))
            return err_set(e, RC_DENIED,
                           "in the sandbox only a credential_process that was named at the start "
                           "is run: restart the gateway to use these settings; nothing was "
                           "changed");
    }
    return RC_OK;
}

enum rc sandbox_admits(const struct config *fresh, struct err *e)
{
    struct sandbox_needs more;
    if (!state.wanted)
        return RC_OK;
    sandbox_needs_of(fresh, &more);
    enum rc rc = admit(&more, e);
    sandbox_needs_fini(&more);
    return rc;
}

bool sandbox_outgrown(struct err *e)
{
    if (state.helper && credentials_helper_is_gone()) {
        (void)err_set(e, RC_AGAIN,
                      "the process that runs credential_process is gone: start the gateway again "
                      "(systemd does)");
        return true;
    }
    for (size_t i = 0; i < needs.n && state.landlock > 0; i++) {
        struct sandbox_path *p = &needs.paths[i];
        struct stat now;
        if (!p->followed || stat(p->path, &now) != 0)
            continue;
        bool same = now.st_ino == p->seen.st_ino && now.st_dev == p->seen.st_dev;
        if (!same && sandbox_hides(p->path)) {
            (void)err_set(e, RC_AGAIN,
                          "%s %s after the start, and the sandbox hides the new file: start the "
                          "gateway again (systemd does)",
                          p->path, p->seen.st_ino ? "was replaced" : "was made");
            return true;
        }
        p->seen = now;
    }
    return false;
}
