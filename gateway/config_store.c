/* Replacing the configuration's file: see config_store.h. Never written in place: whoever reads it
 * meanwhile, or after a power cut, finds the old one or the new one.
 */
#include "gateway/config_store.h"

#include "base/checksum.h"
#include "base/hex.h"
#include "base/mem.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX (1024 * 1024)
#define BY_HAND   "edit it by hand and reload the gateway (systemctl reload spoolgate)"

/* The pool and a set-up's thread write in turn: the temporary name is one, so that what a crash
 * left is found again, and the second of them then sees that the file is another one. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static void make_etag(struct config_store *s)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256(s->text, s->n, digest);
    hex_encode(hex, digest, sizeof digest);
    (void)snprintf(s->etag, sizeof s->etag, "\"%.32s\"", hex);
}

enum rc config_store_read(const char *path, struct config_store *out, struct err *e)
{
    const struct fsio *fs = &fsio_system;
    *out = (struct config_store){.path = realpath(path, NULL)};
    if (!out->path)
        return err_sys(e, errno, "cannot find %s", path);
    int result = fs->ops->stat(fs->ctx, AT_FDCWD, out->path, &out->st);
    if (result < 0)
        return err_sys(e, result, "cannot look at %s", out->path);
    enum rc rc = fsio_read_file(fs, AT_FDCWD, out->path, BYTES_MAX, &out->text, &out->n, e);
    if (rc == RC_OK)
        make_etag(out);
    return rc;
}

void config_store_fini(struct config_store *s)
{
    free(s->path);
    free(s->text);
    *s = (struct config_store){0};
}

/* The directory of an absolute path, and the name in it. */
static const char *split(const char *path, char dir[PATH_MAX])
{
    const char *name = strrchr(path, '/') + 1;
    size_t n = (size_t)(name - path);
    BUG_ON(n >= PATH_MAX);
    memcpy(dir, path, n);
    dir[n > 1 ? n - 1 : n] = '\0';
    return name;
}

enum rc config_store_may_write(const struct config_store *s, struct err *e)
{
    char dir[PATH_MAX];
    (void)split(s->path, dir);
    bool file = faccessat(AT_FDCWD, s->path, W_OK, AT_EACCESS) == 0;
    if (file && faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0) {
        if (geteuid() != 0 && s->st.uid != geteuid())
            return err_set(e, RC_DENIED,
                           "%s belongs to another user than the gateway's, and a file that the "
                           "gateway writes could not stay theirs: " BY_HAND,
                           s->path);
        if (sandbox_locks(dir))
            return err_set(
                e, RC_DENIED,
                "the gateway's sandbox does not let it write in %s: " BY_HAND
                ", or start it with the file in a directory of its own that the gateway's "
                "user may write and that holds no other directories",
                dir);
        return RC_OK;
    }
    if (errno == EROFS)
        return err_set(e, RC_DENIED,
                       "the gateway may not write %s, which is read-only for it (a service of "
                       "systemd may write what ReadWritePaths names): " BY_HAND,
                       s->path);
    return err_set(e, RC_DENIED,
                   "the gateway's user (id %u) may not write %s: " BY_HAND
                   ", or give that user the file and its directory",
                   (unsigned)geteuid(), file ? dir : s->path);
}

/* Everything but the name. */
static enum rc write_whole(const struct config_store *s, int fd, const char *text, size_t n,
                           struct err *e)
{
    const struct fsio *fs = &fsio_system;
    if (fchown(fd, s->st.uid, s->st.gid) != 0)
        return err_sys(e, errno, "the owner and group of %s could not be kept: " BY_HAND, s->path);
    if (fchmod(fd, s->st.mode & 07777) != 0)
        return err_sys(e, errno, "the mode of %s could not be kept", s->path);
    enum rc rc = fsio_write_all(fs, fd, text, n, 0, e);
    int result = rc == RC_OK ? fs->ops->sync(fs->ctx, fd) : 0;
    return result < 0 ? err_sys(e, result, "cannot fsync the new %s", s->path) : rc;
}

/* KNOWN: between this look and the rename another process may still write the file; their change is
 * lost. Two processes that write in the same instant share the temporary name, too. */
static enum rc check_unchanged(const struct config_store *s, struct err *e)
{
    struct file_stat now;
    int result = fsio_system.ops->stat(fsio_system.ctx, AT_FDCWD, s->path, &now);
    if (result == 0 && identity_equal(&now.id, &s->st.id))
        return RC_OK;
    return err_set(e, RC_CHANGED, "%s was changed meanwhile: read it again, then change it",
                   s->path);
}

static enum rc replace(const struct config_store *s, int dirfd, const char *name, const char *text,
                       size_t n, struct err *e)
{
    const struct fsio *fs = &fsio_system;
    char temporary[NAME_MAX + 1];
    int len = snprintf(temporary, sizeof temporary, "%s.tmp", name);
    if (len < 0 || (size_t)len >= sizeof temporary)
        return err_set(e, RC_LIMIT, "the name of %s is too long for a temporary one", s->path);
    (void)fs->ops->unlink(fs->ctx, dirfd, temporary); /* what a crash left */
    int fd =
        fs->ops->open(fs->ctx, dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, fd, "cannot make %s beside the configuration: " BY_HAND, temporary);
    enum rc rc = write_whole(s, fd, text, n, e);
    struct err close_err;
    if (fsio_close(fs, fd, &close_err) != RC_OK && rc == RC_OK)
        rc = err_set(e, close_err.rc, "%s", close_err.text);
    if (rc == RC_OK)
        rc = check_unchanged(s, e);
    int result = rc == RC_OK ? fs->ops->rename(fs->ctx, dirfd, temporary, dirfd, name, 0) : 0;
    if (result < 0)
        rc = err_sys(e, result, "cannot rename %s to %s", temporary, name);
    if (rc != RC_OK) {
        (void)fs->ops->unlink(fs->ctx, dirfd, temporary); /* the next attempt removes it, too */
        return rc;
    }
    result = fs->ops->sync(fs->ctx, dirfd);
    return result < 0 ? err_sys(e, result, "cannot fsync the directory of %s", name) : RC_OK;
}

enum rc config_store_write(const struct config_store *s, const char *text, size_t n, struct err *e)
{
    const struct fsio *fs = &fsio_system;
    char dir[PATH_MAX];
    enum rc rc = config_store_may_write(s, e);
    if (rc != RC_OK)
        return rc;
    const char *name = split(s->path, dir);
    int dirfd = fs->ops->open(fs->ctx, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
    if (dirfd < 0)
        return err_sys(e, dirfd, "cannot open %s", dir);
    (void)pthread_mutex_lock(&writing); /* cannot fail: it is no lock of this thread's */
    rc = replace(s, dirfd, name, text, n, e);
    (void)pthread_mutex_unlock(&writing);
    (void)fs->ops->close(fs->ctx, dirfd); /* synced, or failing anyway */
    return rc;
}
