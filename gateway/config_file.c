/* The configuration's file: see config_file.h.
 */
#include "gateway/config_file.h"

#include "base/fsio.h"
#include "base/mem.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "/etc/x" is "/etc/", "x" is "./". */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup("./");
}

enum rc config_file_writable(const char *path, struct err *e)
{
    char *dir = directory_of(path);
    enum rc rc = RC_OK;
    if (faccessat(AT_FDCWD, dir, F_OK, AT_EACCESS) != 0)
        rc = err_sys(e, errno, "cannot write %s: the directory %s is not within reach", path, dir);
    else if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0)
        rc = err_set(e, RC_DENIED,
                     "the user of this process may not write %s: run spoolgate setup -c %s as one "
                     "who may (root), then systemctl reload spoolgate",
                     path, path);
    else if (sandbox_locks(dir))
        rc = err_set(e, RC_DENIED,
                     "the gateway's sandbox does not let it write %s: run spoolgate setup -c %s, "
                     "then systemctl reload spoolgate",
                     path, path);
    free(dir);
    return rc;
}

enum rc config_file_save(const char *path, const char *text, size_t n, struct err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *dir = directory_of(path);
    struct stat before;
    enum rc rc;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        rc = err_sys(e, errno, "cannot open the directory %s (make it, or name another file)", dir);
        goto out;
    }
    bool there = fstatat(fd, name, &before, 0) == 0;
    if (*name == '\0')
        rc = err_set(e, RC_INVALID, "%s is no name for a file", path);
    else
        rc = fsio_replace(&fsio_system, fd, name, text, n, there ? before.st_mode & 0777 : 0644, e);
    /* Who may write in the directory but is not root keeps what they may: the group, or nothing. */
    if (rc == RC_OK && there && fchownat(fd, name, before.st_uid, before.st_gid, 0) != 0)
        (void)fchownat(fd, name, (uid_t)-1, before.st_gid, 0);
    (void)close(fd); /* only a starting point */
out:
    free(dir);
    return rc;
}
