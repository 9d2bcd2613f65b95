/* The sandbox from inside: a child enters it and tries what must be refused, and what must not. */
#include "gateway/sandbox.h"

#include "base/log.h"
#include "base/mem.h"
#include "gateway/sandbox_int.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char top[64], outside[80];

static const char *at(const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *out = path[next++ % 4];
    (void)snprintf(out, sizeof path[0], "%s/%s", top, name);
    return out;
}

static void write_file(const char *path)
{
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f, "%s", path);
    cr_assert(fputs("x\n", f) >= 0);
    cr_assert_eq(fclose(f), 0);
}

static struct config *set_up(const char *more)
{
    static const char *const directories[] = {"spool", "spool/a", "spool/b", "state", "run",
                                              "etc",   "certs",   "other",   "link"};
    const char *tmp = getenv("TMPDIR");
    struct config *c = NULL;
    struct config_faults faults = {0};
    char text[2048];
    (void)snprintf(top, sizeof top, "%.40s/sandbox-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(top));
    for (size_t i = 0; i < COUNT(directories); i++)
        cr_assert_eq(mkdir(at(directories[i]), 0755), 0);
    cr_assert_eq(symlink("../spool", at("link/spool")), 0);
    (void)snprintf(outside, sizeof outside, "%s/other/file", top);
    write_file(outside);
    write_file(at("certs/ca.pem"));
    write_file(at("spool/a/one"));
    (void)snprintf(text, sizeof text,
                   "{\"spool\": \"%s/link/spool\", \"state\": \"%s/state\", \"account_name\": "
                   "\"a\", \"control\": \"%s/run/control.sock\", \"bucket\": {\"arn\": "
                   "\"arn:aws:s3:::siem\", \"region\": \"eu-central-1\", \"endpoint\": "
                   "\"https://127.0.0.1:9999\", \"ca_file\": \"%s/certs/ca.pem\"}%s}",
                   top, top, top, top, more);
    char *path = mem_strdup(at("etc/spoolgate.json"));
    enum rc rc = config_parse(text, strlen(text), path, &c, &faults);
    cr_assert_eq(rc, RC_OK, "%s", faults.n ? faults.lines[0] : "");
    config_faults_fini(&faults);
    free(path);
    return c;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void tear_down(struct config *c)
{
    config_free(c);
    cr_expect_eq(nftw(top, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- what is tried: 0, or an errno ---- */

static int result(long rc)
{
    return rc < 0 ? errno : 0;
}

static int reads(const char *path)
{
    return result(open(path, O_RDONLY | O_CLOEXEC));
}

static int makes(const char *path)
{
    return result(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int reads_shadow(void)
{
    return reads("/etc/shadow");
}

static int reads_outside(void)
{
    return reads(outside);
}

static int reads_our_memory_by_another_way(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)getppid());
    return reads(path);
}

static int writes_outside(void)
{
    return makes(at("other/new"));
}

static int cuts_outside(void)
{
    return result(truncate(outside, 0));
}

static int removes_outside(void)
{
    return result(unlink(outside));
}

static int moves_outside(void)
{
    return result(rename(at("spool/a/one"), at("other/one")));
}

static int writes_the_configuration(void)
{
    return makes(at("etc/new"));
}

static int runs(void)
{
    return result(execl("/bin/true", "true", NULL));
}

static int forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int traces(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int signals_another(void)
{
    return result(kill(getppid(), 0));
}

static int opens_raw(void)
{
    return result(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}

static int opens_packet(void)
{
    return result(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static int connects_elsewhere(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(6379), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : result(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int listens(void)
{
    struct sockaddr_in us = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : result(bind(fd, (struct sockaddr *)&us, sizeof us));
}

static int unshares(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int types_for_others(void)
{
    return result(ioctl(0, TIOCSTI, "x"));
}

static int links(void)
{
    return result(symlink("/etc/shadow", at("spool/a/link")));
}

#define CALL(name, ...)                                                                            \
    static int name(void)                                                                          \
    {                                                                                              \
        return result(syscall(__VA_ARGS__));                                                       \
    }
CALL(mounts, SYS_mount, "none", "/mnt", "tmpfs", 0, NULL)
CALL(uses_bpf, SYS_bpf, 0, NULL, 0)
CALL(uses_keys, SYS_keyctl, 0, 0, 0, 0, 0)
CALL(counts_events, SYS_perf_event_open, NULL, 0, -1, -1, 0)
CALL(catches_faults, SYS_userfaultfd, 0)
CALL(uses_a_ring, SYS_io_uring_setup, 1, NULL)
CALL(loads_a_module, SYS_init_module, NULL, 0, "")
CALL(loads_a_kernel, SYS_kexec_load, 0, 0, NULL, 0)
CALL(enters_a_namespace, SYS_setns, -1, 0)
CALL(reads_others_memory, SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)
CALL(calls_what_is_not_there, SYS_syslog + 100000)

static const struct {
    const char *what;
    int (*try)(void);
    int expected[2];
    bool by_seccomp, not_sanitized;
} refused[] = {
    {"reading /etc/shadow", reads_shadow, {EACCES, EACCES}, false, false},
    {"reading outside", reads_outside, {EACCES, EACCES}, false, false},
    {"the environment of another process",
     reads_our_memory_by_another_way,
     {EACCES, EACCES},
     false,
     false},
    {"writing outside", writes_outside, {EACCES, EACCES}, false, false},
    {"cutting a file outside", cuts_outside, {EACCES, EACCES}, false, false},
    {"removing outside", removes_outside, {EACCES, EACCES}, false, false},
    {"moving out of the spool", moves_outside, {EXDEV, EACCES}, false, false},
    {"writing beside the configuration", writes_the_configuration, {EACCES, EACCES}, false, false},
    {"connecting to another port", connects_elsewhere, {EACCES, EACCES}, false, false},
    {"listening", listens, {EACCES, EACCES}, false, false},
    {"execve", runs, {EPERM, EACCES}, false, false},
    {"fork", forks, {EPERM, EPERM}, true, true},
    {"ptrace", traces, {EPERM, EPERM}, true, true},
    {"signals to others", signals_another, {EPERM, EPERM}, true, true},
    {"a raw socket", opens_raw, {EPERM, EPERM}, true, false},
    {"a packet socket", opens_packet, {EPERM, EPERM}, true, false},
    {"unshare", unshares, {EPERM, EPERM}, true, false},
    {"TIOCSTI", types_for_others, {EPERM, EPERM}, true, false},
    {"a symbolic link", links, {EPERM, EPERM}, true, false},
    {"mount", mounts, {EPERM, EPERM}, true, false},
    {"bpf", uses_bpf, {EPERM, EPERM}, true, false},
    {"keyctl", uses_keys, {EPERM, EPERM}, true, false},
    {"perf_event_open", counts_events, {EPERM, EPERM}, true, false},
    {"userfaultfd", catches_faults, {EPERM, EPERM}, true, false},
    {"io_uring", uses_a_ring, {EPERM, EPERM}, true, false},
    {"a kernel module", loads_a_module, {EPERM, EPERM}, true, false},
    {"kexec", loads_a_kernel, {EPERM, EPERM}, true, false},
    {"setns", enters_a_namespace, {EPERM, EPERM}, true, false},
    {"process_vm_readv", reads_others_memory, {EPERM, EPERM}, true, true},
    {"a call of tomorrow", calls_what_is_not_there, {ENOSYS, ENOSYS}, true, false},
};

static int makes_in_the_spool(void)
{
    return makes(at("link/spool/a/two"));
}

static int moves_between_directories(void)
{
    return result(rename(at("spool/a/two"), at("spool/b/two")));
}

static int makes_a_directory_and_removes_it(void)
{
    int rc = result(mkdir(at("state/dir"), 0700));
    return rc ? rc : result(rmdir(at("state/dir")));
}

static int binds_the_control_socket(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", at("run/control.sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = result(bind(fd, (struct sockaddr *)&a, sizeof a));
    return rc ? rc : result(unlink(a.sun_path));
}

static int reads_the_ca(void)
{
    return reads(at("certs/ca.pem"));
}

static int reads_hosts(void)
{
    return reads("/etc/hosts");
}

static int looks_up_a_name(void)
{
    struct addrinfo *found = NULL;
    int rc = getaddrinfo("localhost", "443", NULL, &found);
    if (found)
        freeaddrinfo(found);
    return rc == 0 ? 0 : ENOENT;
}

static int reaches_the_store(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9999), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = result(connect(fd, (struct sockaddr *)&to, sizeof to));
    return rc == ECONNREFUSED ? 0 : rc;
}

static void *nothing(void *arg)
{
    int confined = sandbox_state()->landlock > 0 ? EACCES : 0; /* the thread is, too */
    return reads_outside() == confined ? arg : NULL;
}

static int makes_a_confined_thread(void)
{
    pthread_t thread;
    void *out = NULL;
    int rc = pthread_create(&thread, NULL, nothing, top);
    return rc ? rc : pthread_join(thread, &out) ? EIO : out == top ? 0 : EIO;
}

static const struct {
    const char *what;
    int (*try)(void);
} granted[] = {
    {"a file in the spool, through a link", makes_in_the_spool},
    {"moving it to another directory", moves_between_directories},
    {"a directory in the state", makes_a_directory_and_removes_it},
    {"the control socket", binds_the_control_socket},
    {"the CA file", reads_the_ca},
    {"/etc/hosts", reads_hosts},
    {"a name", looks_up_a_name},
    {"the store's port", reaches_the_store},
    {"a thread", makes_a_confined_thread},
};

enum { MARK = 1000 };

/* Runs in a child, which ends with how many were not as they should be. */
static int count_wrong(struct config *c)
{
    struct err e = {0};
    int wrong = 0;
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    if (sandbox_enter(c, &e) != RC_OK)
        return 99;
    const struct sandbox_state *s = sandbox_state();
    for (size_t i = 0; i < COUNT(granted); i++) {
        int rc = granted[i].try();
        if (rc != 0 && ++wrong)
            fprintf(stderr, "%s: %s\n", granted[i].what, strerror(rc));
    }
    for (size_t i = 0; i < COUNT(refused); i++) {
        bool there = refused[i].by_seccomp ? s->seccomp : s->landlock >= 4;
        if (!there || (SANDBOX_SANITIZED && refused[i].not_sanitized))
            continue;
        int rc = refused[i].try();
        if (rc != refused[i].expected[0] && rc != refused[i].expected[1] && ++wrong)
            fprintf(stderr, "%s is not refused: %s\n", refused[i].what, strerror(rc));
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        wrong++;
    if (!SANDBOX_SANITIZED && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        wrong++;
    return wrong;
}

/* Run it in a child, under a configuration with `more` at its end: it has to return 0. */
static void check_in_a_child(int (*run)(struct config *c), const char *more)
{
    struct config *c = set_up(more);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(run(c));
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    /* MARK and more: a signal. */
    cr_assert_eq(WIFEXITED(status) ? WEXITSTATUS(status) : MARK + status, 0);
    tear_down(c);
}

Test(sandbox, from_inside_what_is_needed_goes_and_all_else_is_refused)
{
    check_in_a_child(count_wrong, "");
}

static int is_untouched(struct config *c)
{
    struct err e = {0};
    if (sandbox_enter(c, &e) != RC_OK || sandbox_state()->wanted)
        return 1;
    return reads(outside) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : 2;
}

Test(sandbox, off_means_off)
{
    check_in_a_child(is_untouched, ", \"sandbox\": \"off\"");
}

/* In a directory that is too much to be let into whole. */
static char alone[] = "/tmp/sandbox-alone-XXXXXX";

/* What a later configuration may and may not name. */
static int judges(struct config *c)
{
    struct err e = {0};
    struct config other = *c;
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    if (sandbox_enter(c, &e) != RC_OK)
        return 1;
    if (sandbox_admits(c, &e) != RC_OK)
        return 2;
    if (sandbox_state()->landlock < 4)
        return 0;
    other.bucket.ca_file = outside;
    if (sandbox_admits(&other, &e) != RC_DENIED || !strstr(e.text, "other") ||
        !strstr(e.text, "restart the gateway"))
        return 3;
    other.bucket.ca_file = c->bucket.ca_file;
    char url[] = "https://127.0.0.1:6379";
    other.bucket.endpoint = url;
    if (sandbox_admits(&other, &e) != RC_DENIED || !strstr(e.text, "6379"))
        return 4;
    if (!sandbox_locks(at("other")) || sandbox_locks(c->spool) || sandbox_locks("/nowhere"))
        return 6;
    if (!sandbox_hides(outside) || sandbox_hides(c->spool) || sandbox_hides("/nowhere"))
        return 5;
    other.bucket.ca_file = alone;
    other.bucket.endpoint = c->bucket.endpoint;
    if (sandbox_admits(&other, &e) != RC_DENIED || !strstr(e.text, alone))
        return 7;
    return 0;
}

Test(sandbox, a_later_configuration_that_needs_more_is_refused_in_a_sentence)
{
    int fd = mkstemp(alone);
    cr_assert_geq(fd, 0);
    (void)close(fd);
    check_in_a_child(judges, "");
    cr_assert_eq(unlink(alone), 0);
}

/* A directory with this file in it is made anew beside us, as a configuration management does. -1:
 * the sandbox is outgrown by that, and e says why; 0: it is not. */
static int made_anew(const struct config *c, const char *dir, const char *file, struct err *e)
{
    int go[2], gone[2];
    char old[80];
    char byte = 0;
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false);
    if (pipe(go) != 0 || pipe(gone) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)snprintf(old, sizeof old, "%s.old", dir);
        bool ok = read(go[0], &byte, 1) == 1 && rename(at(dir), at(old)) == 0 &&
                  mkdir(at(dir), 0755) == 0;
        if (ok)
            write_file(at(file));
        _exit(ok && write(gone[1], &byte, 1) == 1 ? 0 : 1);
    }
    (void)close(gone[1]);
    if (pid < 0 || sandbox_enter(c, e) != RC_OK)
        return 2;
    if (sandbox_outgrown(e))
        return 3;
    if (write(go[1], &byte, 1) != 1 || read(gone[0], &byte, 1) != 1)
        return 4;
    return sandbox_outgrown(e) ? -1 : 0;
}

static int outgrows(struct config *c)
{
    struct err e = {0};
    int rc = made_anew(c, "certs", "certs/ca.pem", &e);
    if (sandbox_state()->landlock == 0)
        return rc;
    return rc == -1 && strstr(e.text, "certs/ca.pem was replaced") ? 0 : 5;
}

Test(sandbox, a_directory_that_was_made_anew_is_noticed)
{
    check_in_a_child(outgrows, "");
}

static int lets_a_configuration_be(struct config *c)
{
    struct err e = {0};
    write_file(c->path);
    int rc = made_anew(c, "etc", "etc/spoolgate.json", &e);
    if (rc == 0 && sandbox_state()->landlock > 0)
        return sandbox_hides(c->path) ? 0 : 6; /* and whoever reloads is told */
    return rc;
}

Test(sandbox, another_configuration_that_nobody_has_reloaded_changes_nothing)
{
    check_in_a_child(lets_a_configuration_be, "");
}

static bool needs_path(const struct sandbox_needs *n, const char *path)
{
    for (size_t i = 0; i < n->n; i++) {
        if (strcmp(n->paths[i].path, path) == 0)
            return true;
    }
    return false;
}

Test(sandbox, what_the_profile_names_is_needed)
{
    struct config *c = set_up("");
    struct sandbox_needs n;
    char path[160], real[128];
    (void)snprintf(path, sizeof path, "%s", at("etc/aws"));
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    fprintf(f, "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = base\n"
               "[profile base]\ncredential_process = /opt/keys --for 'me'\n"
               "[profile other]\ncredential_process = /opt/other\n");
    cr_assert_eq(fclose(f), 0);
    cr_assert_eq(setenv("AWS_CONFIG_FILE", path, 1), 0);
    cr_assert_eq(setenv("AWS_WEB_IDENTITY_TOKEN_FILE", outside, 1), 0);
    cr_assert_eq(setenv("AWS_ENDPOINT_URL_STS", "http://sts.example:8081/", 1), 0);
    cr_assert_eq(setenv("https_proxy", "proxy.example:3128", 1), 0);
    sandbox_needs_of(c, &n);
    cr_expect_eq(n.n_programs, 1, "those of other profiles are not");
    cr_expect(n.n_programs == 1 && strcmp(n.programs[0], "/opt/keys --for 'me'") == 0);
    (void)snprintf(real, sizeof real, "%s/other", top);
    cr_expect(needs_path(&n, real), "the token's directory");
    static const uint16_t ports[] = {443, 53, 9999, 8081, 3128, 80};
    for (size_t i = 0; i < COUNT(ports); i++) {
        cr_expect(sandbox_needs_port(&n, ports[i]), "port %u", ports[i]);
    }
    sandbox_needs_fini(&n);
    tear_down(c);
}

Test(sandbox, ports_of_addresses)
{
    static const struct {
        const char *url;
        uint16_t usual, expected;
    } rows[] = {
        {"https://a.example", 0, 443},   {"http://a.example/x:1", 0, 80},
        {"https://a.example:9", 0, 9},   {"http://[::1]", 0, 80},
        {"http://[::1]:8080/", 0, 8080}, {"http://user:word@a.example:81", 0, 81},
        {"proxy", 1080, 1080},           {"proxy:3128", 1080, 3128},
        {"http://a:99999", 0, 80},       {"socks5://a", 1080, 1080},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_eq(sandbox_port_of(rows[i].url, rows[i].usual), rows[i].expected, "%s",
                     rows[i].url);
}
