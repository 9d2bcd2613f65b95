/* The machine's side of the survey: see survey.h. Everything is looked at with the rights that this
 * process has now, so that `check` has to be run as the gateway's user.
 */
#include "gateway/survey.h"

#include "base/clock.h"
#include "gateway/sandbox.h"
#include "gateway/space.h"
#include "watcher/inotify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define DIRECTORIES_MAX 200000
#define DEPTH_MAX       32
/* Descriptors beside those of connections and files being sent: loop, journal, inotify, … */
#define DESCRIPTORS_OTHER 128

/* ---- directories ---- */

/* File systems on which others may write without this kernel seeing it. */
static const char *network_name(const char *path)
{
    static const struct {
        long type;
        const char *name;
    } rows[] = {
        {0x6969, "NFS"},           {0x517b, "SMB"},      {(long)0xff534d42, "CIFS"},
        {(long)0xfe534d42, "SMB"}, {0x00c36400, "Ceph"}, {0x01021997, "9P"},
        {0x65735546, "FUSE"},
    };
    struct statfs st;
    if (statfs(path, &st) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((long)st.f_type == rows[i].type)
            return rows[i].name;
    }
    return NULL;
}

static bool usable(struct survey *s, const char *id, const char *path)
{
    struct stat st;
    char remedy[512];
    if (stat(path, &st) != 0) {
        int why = errno;
        (void)snprintf(remedy, sizeof remedy,
                       "make it, owned by the gateway's user: install -d -m %s %s",
                       strcmp(id, "spool") == 0 ? "2770" : "750", path);
        survey_add(s, SURVEY_FAIL, id, why == ENOENT ? remedy : "let the gateway's user reach it",
                   "%s %s: %s", id, path, strerror(why));
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        survey_add(s, SURVEY_FAIL, id, "name a directory in the configuration",
                   "%s %s is no directory", id, path);
        return false;
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        int why = errno;
        (void)snprintf(remedy, sizeof remedy,
                       "run this as the gateway's user, or let uid %u read, write and enter it",
                       (unsigned)geteuid());
        survey_add(s, SURVEY_FAIL, id, why == EROFS ? "mount its file system for writing" : remedy,
                   "%s %s (owner %u:%u, mode %04o): %s", id, path, (unsigned)st.st_uid,
                   (unsigned)st.st_gid, (unsigned)(st.st_mode & 07777), strerror(why));
        return false;
    }
    return true;
}

static void look_at_spool(const struct config *c, struct survey *s)
{
    struct stat st;
    if (!usable(s, "spool", c->spool) || stat(c->spool, &st) != 0)
        return;
    const char *network = network_name(c->spool);
    if (network)
        survey_add(
            s, SURVEY_WARN, "spool",
            "let producers on other machines write through a local spool; files from elsewhere are "
            "found by the rescan only",
            "spool %s is on %s, where inotify sees what this machine writes only", c->spool,
            network);
    else if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        survey_add(s, SURVEY_WARN, "spool", "chmod o-w, and give producers the directory's group",
                   "anybody may write and remove files in %s (mode %04o)", c->spool,
                   (unsigned)(st.st_mode & 07777));
    else
        survey_add(s, SURVEY_OK, "spool", "", "spool %s (owner %u:%u, mode %04o)", c->spool,
                   (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)(st.st_mode & 07777));
}

static void look_at_state(const struct config *c, struct survey *s)
{
    struct stat st;
    if (!usable(s, "state", c->state) || stat(c->state, &st) != 0)
        return;
    if (st.st_mode & S_IWOTH)
        survey_add(s, SURVEY_WARN, "state", "chmod o-rwx: the journal is in it",
                   "anybody may write in the state directory %s (mode %04o)", c->state,
                   (unsigned)(st.st_mode & 07777));
    else if (network_name(c->state))
        survey_add(s, SURVEY_WARN, "state", "keep the journal on a local disk",
                   "the state directory %s is on %s, where locks and fdatasync may mean less",
                   c->state, network_name(c->state));
    else
        survey_add(s, SURVEY_OK, "state", "", "state %s (owner %u:%u, mode %04o)", c->state,
                   (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)(st.st_mode & 07777));
}

static void look_at_space(const struct config *c, struct survey *s, const char *id,
                          const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0 || v.f_blocks == 0)
        return; /* told already, or a file system that does not say */
    unsigned free_percent = (unsigned)(v.f_bavail * 100 / v.f_blocks);
    unsigned inodes = v.f_files ? (unsigned)(v.f_favail * 100 / v.f_files) : 100;
    bool full = space_judge(c, &v) != SPACE_ENOUGH;
    survey_add(
        s, full ? SURVEY_FAIL : SURVEY_OK, id,
        "free or add space; until then `put` refuses and a `full` marker stands in the spool",
        "%s has %u %% of its space (%" PRIu64 " MiB) and %u %% of its inodes free", path,
        free_percent, (uint64_t)v.f_bavail * v.f_frsize >> 20, inodes);
}

static void look_at_control(const struct config *c, struct survey *s)
{
    char dir[4096];
    const char *slash = strrchr(c->control, '/');
    (void)snprintf(dir, sizeof dir, "%.*s", slash == c->control ? 1 : (int)(slash - c->control),
                   c->control);
    if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0)
        survey_add(s, SURVEY_OK, "control", "", "control socket %s", c->control);
    else if (errno == ENOENT && strncmp(dir, "/run/", 5) == 0)
        survey_add(s, SURVEY_WARN, "control",
                   "nothing where a service manager makes it at the start (systemd: "
                   "RuntimeDirectory=); elsewhere make it, writable for the gateway's user",
                   "the control socket's directory %s is not there yet", dir);
    else
        survey_add(s, SURVEY_FAIL, "control", "make the directory, writable for the gateway's user",
                   "the control socket's directory %s: %s", dir, strerror(errno));
}

/* ---- the kernel's limits ---- */

/* -1: no such file, or nothing to read in it. */
static long long number_in(const char *path)
{
    char text[32];
    long long v = -1;
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    if (fgets(text, sizeof text, f))
        v = strtoll(text, NULL, 10);
    (void)fclose(f); /* only read from */
    return v;
}

/* Directories below `dir`, itself included; fd is taken over. Links are not followed. */
static size_t count_directories(int fd, int depth, size_t so_far)
{
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    size_t n = 1;
    if (!d) {
        if (fd >= 0)
            (void)close(fd); /* only read from */
        return n;
    }
    while (depth < DEPTH_MAX && so_far + n < DIRECTORIES_MAX && (entry = readdir(d))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        n += count_directories(
            openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
            depth + 1, so_far + n);
    }
    (void)closedir(d); /* only read from */
    return n;
}

void survey_tree(const struct config *c, struct survey *s)
{
    int root = open(c->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return; /* told already */
    size_t n = count_directories(root, 0, 0);
    struct inotify_bound bound = inotify_bound_watches();
    char remedy[256];
    (void)snprintf(remedy, sizeof remedy,
                   "sysctl -w %s=%zu, and the same in /etc/sysctl.d; until then the others are "
                   "polled",
                   bound.sysctl, 2 * n + 8192);
    survey_add(s, bound.limit < n + n / 4 ? SURVEY_WARN : SURVEY_OK, "watches", remedy,
               "%s%zu directories to watch, %s is %" PRIu64,
               n >= DIRECTORIES_MAX ? "at least " : "", n, bound.sysctl, bound.limit);
}

static void look_at_leases(struct survey *s)
{
    bool on = number_in("/proc/sys/fs/leases-enable") != 0;
    survey_add(s, on ? SURVEY_OK : SURVEY_WARN, "leases", "sysctl -w fs.leases-enable=1",
               on ? "read leases tell whether a producer still writes"
                  : "fs.leases-enable is 0: quiet time alone tells that a file is finished");
}

static void look_at_descriptors(const struct config *c, struct survey *s)
{
    struct rlimit r;
    rlim_t need = 3 * (rlim_t)c->uploads + DESCRIPTORS_OTHER;
    char remedy[128];
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    (void)snprintf(remedy, sizeof remedy,
                   "set LimitNOFILE=%" PRIu64 " in the service, or ulimit -n",
                   (uint64_t)(2 * need));
    survey_add(s, r.rlim_max < need ? SURVEY_FAIL : SURVEY_OK, "descriptors", remedy,
               "%" PRIu64 " file descriptors allowed, about %" PRIu64 " needed for %u uploads",
               (uint64_t)r.rlim_max, (uint64_t)need, c->uploads);
}

static void look_at_clock(struct survey *s)
{
    struct timex t = {0};
    char now[CLOCK_RFC3339_SIZE];
    clock_rfc3339(now, clock_wall_now_ns());
    bool unsynchronised = adjtimex(&t) == TIME_ERROR || (t.status & STA_UNSYNC);
    survey_add(
        s, unsynchronised ? SURVEY_WARN : SURVEY_OK, "clock",
        "run systemd-timesyncd or chrony (in a container the host's counts): 15 minutes off and a "
        "store refuses signatures",
        unsynchronised ? "the kernel takes the clock (%s) for not synchronised"
                       : "the clock (%s) is synchronised",
        now);
}

void survey_sandbox(const struct config *c, struct survey *s)
{
    struct sandbox_state found;
    if (c->sandbox == CONFIG_SANDBOX_OFF) {
        survey_add(s, SURVEY_OK, "sandbox", "", "the sandbox is turned off in the configuration");
        return;
    }
    sandbox_try(c, &found);
    if (found.why[0] == '\0')
        survey_add(s, SURVEY_OK, "sandbox", "",
                   "Landlock (version %u) and seccomp confine the gateway", found.landlock);
    else
        survey_add(s, c->sandbox == CONFIG_SANDBOX_REQUIRE ? SURVEY_FAIL : SURVEY_WARN, "sandbox",
                   "files flow without; a newer kernel, or a container that allows it, confines "
                   "the gateway more",
                   "the gateway is not confined as far as it could be: %s", found.why);
}

void survey_machine(const struct config *c, struct survey *s)
{
    look_at_spool(c, s);
    look_at_space(c, s, "spool-space", c->spool);
    look_at_state(c, s);
    look_at_space(c, s, "state-space", c->state);
    look_at_control(c, s);
    look_at_leases(s);
    look_at_descriptors(c, s);
    look_at_clock(s);
}
