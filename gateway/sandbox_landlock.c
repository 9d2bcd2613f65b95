/* Landlock: which files and TCP ports. The only file that includes its header; what that header of
 * Debian 12 does not know yet is named here, from the kernel's include/uapi/linux/landlock.h.
 *
 * Everything that the running kernel can refuse is refused, but for what sandbox_needs lists. */
#include "gateway/sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRUNCATE       (UINT64_C(1) << 14) /* version 3 */
#define IOCTL_DEV      (UINT64_C(1) << 15) /* version 5 */
#define BIND_TCP       (UINT64_C(1) << 0)  /* version 4 */
#define CONNECT_TCP    (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT (UINT64_C(1) << 0) /* version 6 */
#define SCOPE_SIGNAL   (UINT64_C(1) << 1)
#define RULE_NET_PORT  2

/* As of version 6; an older kernel takes it where the later members are 0. */
struct ruleset {
    uint64_t fs, net, scoped;
};
struct port_rule {
    uint64_t allowed, port;
};

#define OF_FILES                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     TRUNCATE | IOCTL_DEV)
/* Moving something into a directory asks for the right to make its kind there: a rejected file may
 * be of any. Making devices and links is refused by seccomp. */
#define MAKING                                                                                     \
    (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |    \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
     LANDLOCK_ACCESS_FS_MAKE_SYM)
#define READING  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define REMOVING (LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)

static uint64_t rights_of(enum sandbox_right right)
{
    switch (right) {
    case SANDBOX_READ:
        return READING;
    case SANDBOX_USE:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    case SANDBOX_OWN:
        return READING | REMOVING | MAKING | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE |
               LANDLOCK_ACCESS_FS_REFER;
    case SANDBOX_SOCKET:
        return LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    case SANDBOX_EDIT:
        return READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
               LANDLOCK_ACCESS_FS_REMOVE_FILE | TRUNCATE;
    }
    return 0;
}

static struct ruleset ruleset_of(unsigned version)
{
    const char *notify = getenv("NOTIFY_SOCKET");
    struct ruleset r = {.fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | READING |
                              REMOVING | MAKING | LANDLOCK_ACCESS_FS_REFER};
    if (version >= 3)
        r.fs |= TRUNCATE;
    if (version >= 4)
        r.net = BIND_TCP | CONNECT_TCP;
    if (version >= 5)
        r.fs |= IOCTL_DEV;
    if (version >= 6)
        r.scoped = SCOPE_SIGNAL;
    if (version >= 6 && !(notify && notify[0] == '@')) /* systemd's may be an abstract one */
        r.scoped |= SCOPE_ABSTRACT;
    return r;
}

/* What is not there needs no right. */
static enum rc allow_path(int ruleset, uint64_t handled, const struct sandbox_path *p,
                          struct err *e)
{
    struct stat st;
    enum rc rc = RC_OK;
    int fd = open(p->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return RC_OK;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights_of(p->right) & handled,
                                              .parent_fd = fd};
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_FILES;
    /* EBADFD: of no file system that can be confined (a pipe behind a name), so needs none. */
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 &&
        errno != EBADFD)
        rc = err_sys(e, errno, "Landlock does not take %s", p->path);
    (void)close(fd); /* a name only */
    return rc;
}

static enum rc allow_port(int ruleset, uint16_t port, struct err *e)
{
    struct port_rule rule = {.allowed = CONNECT_TCP, .port = port};
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) == 0)
        return RC_OK;
    return err_sys(e, errno, "Landlock does not take port %u", port);
}

enum rc sandbox_landlock(const struct sandbox_needs *n, unsigned *version, struct err *e)
{
    long found = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (found < 0)
        return err_set(e, errno == EPERM || errno == EACCES ? RC_DENIED : RC_ABSENT,
                       "no Landlock (%s)",
                       errno == EOPNOTSUPP ? "turned off at boot: add landlock to lsm="
                       : errno == ENOSYS   ? "a kernel before 5.13, or without it"
                                           : strerror(errno));
    /* The first version refuses every move between directories. */
    if (found < 2)
        return err_set(e, RC_ABSENT, "no Landlock that allows moving files (Linux before 5.19)");
    *version = (unsigned)found;
    struct ruleset r = ruleset_of(*version);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof r, 0);
    if (fd < 0)
        return err_sys(e, errno, "no Landlock");
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n->n && rc == RC_OK; i++)
        rc = allow_path(fd, r.fs, &n->paths[i], e);
    for (size_t i = 0; i < n->n_ports && rc == RC_OK && r.net; i++)
        rc = allow_port(fd, n->ports[i], e);
    if (rc == RC_OK && syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        rc = err_sys(e, errno, "Landlock cannot be entered");
    (void)close(fd); /* it is in force, or not wanted */
    return rc;
}
