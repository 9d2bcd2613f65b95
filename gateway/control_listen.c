/* The control socket's file: made with its mode from the first moment on, a stale one replaced, one
 * on which somebody answers left alone. See control_int.h.
 */
#include "gateway/control_int.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket file on which nobody answers is what a crash left. */
static enum rc clear_stale(const struct sockaddr_un *address, struct err *e)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return errno == ENOENT ? RC_OK : err_sys(e, errno, "cannot look at %s", address->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, RC_EXISTS, "%s is there and is no socket: set `control` to another path",
                       address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    (void)close(fd); /* nothing was written */
    if (rc == 0)
        return err_set(
            e, RC_AGAIN,
            "another gateway answers on %s: stop it first, or set `control` to another path",
            address->sun_path);
    if (unlink(address->sun_path) != 0 && errno != ENOENT)
        return err_sys(e, errno, "cannot remove the stale socket %s", address->sun_path);
    return RC_OK;
}

enum rc control_listen(const char *path, int *fd, bool *made, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *fd = -1;
    *made = false;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(
            e, RC_LIMIT,
            "the control socket's path has more than %zu bytes: set `control` to a shorter one",
            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    enum rc rc = clear_stale(&address, e);
    if (rc != RC_OK)
        return rc;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    mode_t before = umask(0117); /* 0660 from the first moment on */
    int bound = bind(*fd, (const struct sockaddr *)&address, sizeof address);
    int bind_errno = errno;
    umask(before);
    if (bound != 0)
        return err_sys(e, bind_errno,
                       "cannot make the control socket %s (does its directory exist, and may this "
                       "user write there?)",
                       path);
    *made = true;
    if (listen(*fd, 64) != 0)
        return err_sys(e, errno, "cannot listen on %s", path);
    return RC_OK;
}
