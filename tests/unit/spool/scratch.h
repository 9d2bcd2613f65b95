/* A directory for one test, and short ways to put things in and look at them. */
#ifndef TESTS_UNIT_SPOOL_SCRATCH_H
#define TESTS_UNIT_SPOOL_SCRATCH_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char path[256];
    int fd;
};

static inline struct scratch scratch_new(void)
{
    struct scratch s;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(s.path, sizeof s.path, "%s/spool-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(s.path));
    cr_assert_eq(chmod(s.path, 0755), 0);
    s.fd = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(s.fd, 0);
    return s;
}

/* Everything in a directory, however deep: by descriptors, as a path may be too long. */
static inline void scratch_empty(int fd)
{
    DIR *dir = fdopendir(fd);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            unlinkat(fd, d->d_name, 0) == 0)
            continue;
        int below = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            scratch_empty(below);
        (void)unlinkat(fd, d->d_name, AT_REMOVEDIR);
    }
    if (dir)
        (void)closedir(dir);
}

static inline void scratch_free(struct scratch *s)
{
    scratch_empty(s->fd);
    (void)rmdir(s->path);
}

/* With the directories above it. */
static inline void scratch_mkdirs(const struct scratch *s, const char *path)
{
    char part[4096];
    for (const char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
        size_t n = slash ? (size_t)(slash - path) : strlen(path);
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        (void)mkdirat(s->fd, part, 0775);
        if (!slash)
            return;
    }
}

static inline void scratch_write(const struct scratch *s, const char *path, const char *text)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    if (slash) {
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        scratch_mkdirs(s, parent);
    }
    int fd = openat(s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(close(fd), 0);
}

static inline bool scratch_has(const struct scratch *s, const char *path)
{
    struct stat st;
    return fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The beginning of a file's text; "" if there is none. In memory that the next call reuses. */
static inline const char *scratch_text(const struct scratch *s, const char *path)
{
    static char text[4096];
    int fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* How many names a directory holds; 0 if there is none. */
static inline unsigned scratch_count(const struct scratch *s, const char *path)
{
    int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    unsigned n = 0;
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            n++;
    if (dir)
        (void)closedir(dir);
    return n;
}

#endif
