/* The daemon confines itself, with systemd or without: from its start on it reaches only the files
 * and ports that its configuration and environment imply, and only the system calls that it uses.
 *
 * Landlock (files, TCP ports, signals) and seccomp (system calls), both for good: neither can be
 * widened or left. What a later configuration needs beyond it takes a new start. Nothing here is
 * needed for files to flow, so a kernel or a container without it is told once, and that is all,
 * unless `sandbox` is `require`. A process has one sandbox, so its state is the process's.
 */
#ifndef GATEWAY_SANDBOX_H
#define GATEWAY_SANDBOX_H

#include "base/rc.h"
#include "gateway/config.h"

#include <stdbool.h>

struct sandbox_state {
    bool wanted;       /* `sandbox` is not `off`, and it was entered */
    unsigned landlock; /* the version of the kernel's interface; 0: not in force */
    bool seccomp;      /* in force */
    bool helper;       /* credential_process is run by a process outside */
    char why[480];     /* what is not in force and why; "": everything is, or it is off */
};

/* Before the first thread: those that come later inherit it. The spool root, the state directory
 * and the control socket's directory must be there. RC_DENIED: `require`, and something is missing.
 */
enum rc sandbox_enter(const struct config *c, struct err *e) MUST_CHECK;
const struct sandbox_state *sandbox_state(void);
/* What became of the helper; at the end. */
void sandbox_leave(void);
/* What entering would come to, found out in a child process: for `check`. */
void sandbox_try(const struct config *c, struct sandbox_state *out);

/* Does it reach what this configuration needs? RC_DENIED: a sentence that names what it does not.
 */
enum rc sandbox_admits(const struct config *fresh, struct err *e) MUST_CHECK;
/* Only the sandbox stands between us and this file or directory. */
bool sandbox_hides(const char *path);
/* The same of making files in a directory. */
bool sandbox_locks(const char *directory);
/* A file that we read by ourselves, so not the configuration, was replaced by one that the sandbox
 * hides, or came after the start; or the helper is gone, and from inside there is no way to another
 * one: true, and e says which. */
bool sandbox_outgrown(struct err *e);

#endif
