/* The sandbox's inside: for sandbox*.c and their tests. */
#ifndef GATEWAY_SANDBOX_INT_H
#define GATEWAY_SANDBOX_INT_H

#include "gateway/sandbox.h"

#include <stdint.h>
#include <sys/stat.h>

enum sandbox_right {
    SANDBOX_READ,   /* a file, or a directory and all below */
    SANDBOX_USE,    /* a device: read and write */
    SANDBOX_OWN,    /* a directory in which we make, move and remove: spool, state */
    SANDBOX_SOCKET, /* the directory of the control socket */
    SANDBOX_EDIT,   /* a directory whose files we read and replace: the configuration's */
};
struct sandbox_path {
    char *path;
    enum sandbox_right right;
    bool followed;    /* a file that may be replaced or come later: `seen` is what it was */
    struct stat seen; /* of these and of SANDBOX_OWN; st_ino 0: nothing */
};
#define SANDBOX_PORTS_MAX 64
struct sandbox_needs {
    struct sandbox_path *paths;
    size_t n;
    uint16_t ports[SANDBOX_PORTS_MAX];
    size_t n_ports;
    char **programs; /* commands of credential_process */
    size_t n_programs;
};

/* What this configuration, in this environment and with the AWS tools' files as they are, needs. */
void sandbox_needs_of(const struct config *c, struct sandbox_needs *out);
void sandbox_needs_fini(struct sandbox_needs *n);
bool sandbox_needs_port(const struct sandbox_needs *n, uint16_t port);
/* Of a URL, or of a proxy's address with `usual` where no port is said; 0: it has none. */
uint16_t sandbox_port_of(const char *url, uint16_t usual);

/* This thread and those it makes. RC_OK: *version. RC_ABSENT: the kernel has none that is of use,
 * e says why; RC_DENIED: it is refused. */
enum rc sandbox_landlock(const struct sandbox_needs *n, unsigned *version,
                         struct err *e) MUST_CHECK;
/* All threads of this process. */
enum rc sandbox_seccomp(struct err *e) MUST_CHECK;

/* A sanitizer's runtime needs what the program does not: it looks at other threads with ptrace. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED true
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED false
#endif

#endif
