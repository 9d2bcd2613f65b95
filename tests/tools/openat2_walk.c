/* openat2 for valgrind, whose version in Debian 12 does not know the call and fails it with ENOSYS.
 * Preloaded, it takes the place of libc's syscall() and walks the path by openat, a component at a
 * time, refusing what RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS refuse. Every other call goes on to
 * libc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...);

static long refuse(int error)
{
    errno = error;
    return -1;
}

/* One component below fd, which is closed unless it is dirfd. A link is ELOOP also where a
 * directory was asked for. */
static int step(int fd, int dirfd, const char *name, int flags, mode_t mode)
{
    struct stat st;
    int next = openat(fd, name, flags | O_NOFOLLOW, mode);
    int error = errno;
    if (next < 0 && error == ENOTDIR && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(st.st_mode))
        error = ELOOP;
    if (fd != dirfd)
        (void)close(fd); /* opened with O_PATH: nothing to lose */
    errno = error;
    return next;
}

static long walk(int dirfd, const char *path, const struct open_how *how)
{
    char component[256];
    int fd = dirfd, depth = 0;
    if (path[0] == '\0')
        return refuse(ENOENT);
    if (path[0] == '/')
        return refuse(EXDEV);
    for (const char *at = path;;) {
        size_t n = strcspn(at, "/");
        const char *rest = at + n + strspn(at + n, "/");
        bool too_long = n >= sizeof component;
        if (!too_long) {
            memcpy(component, at, n);
            component[n] = '\0';
            depth += strcmp(component, "..") == 0 ? -1 : strcmp(component, ".") != 0;
        }
        if (too_long || depth < 0) {
            if (fd != dirfd)
                (void)close(fd); /* as above */
            return refuse(too_long ? ENAMETOOLONG : EXDEV);
        }
        if (rest[0] == '\0')
            return step(fd, dirfd, component, (int)how->flags, (mode_t)how->mode);
        fd = step(fd, dirfd, component, O_PATH | O_CLOEXEC, 0);
        if (fd < 0)
            return fd;
        struct stat st;
        if (fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
            (void)close(fd); /* as above */
            return refuse(ELOOP);
        }
        at = rest;
    }
}

long syscall(long number, ...)
{
    static long (*of_libc)(long, ...);
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_openat2)
        return walk((int)a[0], (const char *)a[1], (const struct open_how *)a[2]);
    if (!of_libc)
        of_libc = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return of_libc(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
