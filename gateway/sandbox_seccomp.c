/* seccomp: which system calls. The only file that includes libseccomp.
 *
 * A list of what is allowed. What it does not name answers as on a kernel that does not have it
 * (ENOSYS), so that a newer libc falls back on what it did before; nothing is ever killed. What is
 * refused on purpose answers EPERM, so that the error says so. No process is made and no program
 * run; sockets are those of the control API, HTTP and name lookup. */
#include "gateway/sandbox_int.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define ANY_POLICY (0xffffffffU ^ SCHED_RESET_ON_FORK) /* the mask of the flag beside it */
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define REFUSED    SCMP_ACT_ERRNO(EPERM)
#define UNKNOWN    SCMP_ACT_ERRNO(ENOSYS)

/* By name, a space after each: what an architecture or a libseccomp does not know is left out. */
static const char allowed[] =
    /* files */
    "access close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 "
    "fadvise64 fadvise64_64 fallocate fchmod fchmodat fchmodat2 fchown fchownat fcntl fcntl64 "
    "fdatasync fgetxattr flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 getcwd getdents getdents64 getxattr lgetxattr link linkat lseek lstat "
    "lstat64 mkdir mkdirat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 "
    "pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 "
    "rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx sync_file_range "
    "syncfs truncate umask unlink unlinkat utimensat write writev _llseek "
    /* waiting, events, pipes */
    "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd "
    "eventfd2 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch pause pipe pipe2 "
    "poll ppoll pselect6 select signalfd signalfd4 timerfd_create timerfd_gettime "
    "timerfd_settime "
    /* memory */
    "brk madvise membarrier mincore mlock mlock2 mmap mmap2 mprotect mremap mseal msync "
    "munlock munmap "
    /* threads, ourselves, time */
    "arch_prctl capget clock_getres clock_gettime clock_nanosleep exit exit_group futex "
    "futex_wait futex_waitv futex_wake futex_requeue get_robust_list getcpu getegid geteuid "
    "getgid getgroups getpgid getpgrp getpid getppid getpriority getrandom getresgid "
    "getresuid getrlimit getrusage getsid gettid gettimeofday getuid map_shadow_stack "
    "nanosleep restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min "
    "sched_getaffinity sched_getparam sched_getscheduler sched_yield set_robust_list "
    "set_tid_address sigaltstack sigreturn sysinfo tgkill time times ugetrlimit uname wait4 "
    "waitid "
    /* sockets, once there is one */
    "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg "
    "recvmsg sendmmsg sendmsg sendto setsockopt shutdown ";

/* Not unknown but unwanted. clone3, whose flags no filter sees, stays unknown: libc takes clone. */
static const char refused[] =
    "acct add_key adjtimex bpf capset chroot clock_adjtime clock_settime delete_module execve "
    "execveat fanotify_init finit_module fork fsconfig fsmount fsopen fspick init_module "
    "io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load "
    "kexec_load keyctl kill memfd_create memfd_secret mknod mknodat mount mount_setattr "
    "move_mount name_to_handle_at open_by_handle_at open_tree perf_event_open pidfd_getfd "
    "pidfd_open pidfd_send_signal pivot_root process_madvise process_vm_readv "
    "process_vm_writev ptrace quotactl quotactl_fd reboot request_key rt_sigqueueinfo "
    "rt_tgsigqueueinfo setdomainname setfsgid setfsuid setgid setgroups sethostname setns "
    "setregid setresgid setresuid setreuid settimeofday setuid shmat swapoff swapon symlink "
    "symlinkat syslog tkill umount umount2 unshare userfaultfd vfork vhangup ";

/* What a sanitizer's runtime does beyond that: LeakSanitizer stops all threads from a process of
 * its own, reports are made readable by another program. */
static const char of_sanitizers[] =
    "clone clone3 execve fork kill personality prctl prlimit64 process_vm_readv ptrace tkill "
    "vfork ";

static const struct {
    const char *name;
    struct scmp_arg_cmp arg;
    bool refused;
} with_argument[] = {
    {"clone", {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}, false},
    {"clone", {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}, true}, /* a process */
    {"ioctl", {1, SCMP_CMP_EQ, TIOCSTI, 0}, true},
    {"socket", {0, SCMP_CMP_GT, AF_NETLINK, 0}, true}, /* packets, and what is rare */
    {"ioctl", {1, SCMP_CMP_EQ, FIONBIO, 0}, false},
    {"ioctl", {1, SCMP_CMP_EQ, FIONREAD, 0}, false},
    {"ioctl", {1, SCMP_CMP_EQ, FIOCLEX, 0}, false},
    {"ioctl", {1, SCMP_CMP_EQ, TCGETS, 0}, false}, /* stdio: is it a terminal */
    {"ioctl", {1, SCMP_CMP_EQ, TIOCGWINSZ, 0}, false},
    {"personality", {0, SCMP_CMP_EQ, 0xffffffff, 0}, false}, /* asks only */
    {"prctl", {0, SCMP_CMP_EQ, PR_SET_NAME, 0}, false},
    {"prctl", {0, SCMP_CMP_EQ, PR_GET_NAME, 0}, false},
    {"prctl", {0, SCMP_CMP_EQ, PR_GET_DUMPABLE, 0}, false},
    {"prctl", {0, SCMP_CMP_EQ, PR_GET_NO_NEW_PRIVS, 0}, false},
    {"prctl", {0, SCMP_CMP_EQ, PR_GET_SECCOMP, 0}, false},
    {"prctl", {0, SCMP_CMP_EQ, PR_SET_VMA, 0}, false}, /* libc names its memory */
    {"prlimit64", {0, SCMP_CMP_EQ, 0, 0}, false},      /* our own */
    {"sched_setscheduler", {1, SCMP_CMP_MASKED_EQ, ANY_POLICY, SCHED_BATCH}, false},
    {"sched_setscheduler", {1, SCMP_CMP_MASKED_EQ, ANY_POLICY, SCHED_OTHER}, false},
    {"socketpair", {0, SCMP_CMP_EQ, AF_UNIX, 0}, false},
};

/* Type and flags share an argument. */
static const struct {
    unsigned family, type;
    bool refused;
} sockets[] = {
    {AF_UNIX, SOCK_STREAM, false},
    {AF_UNIX, SOCK_DGRAM, false},
    {AF_UNIX, SOCK_SEQPACKET, false},
    {AF_INET, SOCK_STREAM, false},
    {AF_INET, SOCK_DGRAM, false},
    {AF_INET, SOCK_RAW, true},
    {AF_INET6, SOCK_STREAM, false},
    {AF_INET6, SOCK_DGRAM, false},
    {AF_INET6, SOCK_RAW, true},
    {AF_NETLINK, SOCK_RAW, false}, /* getaddrinfo: our addresses */
    {AF_NETLINK, SOCK_DGRAM, false},
};

static bool is_of_sanitizers(const char *name)
{
    const char *at = strstr(of_sanitizers, name);
    size_t n = strlen(name);
    while (at && !((at == of_sanitizers || at[-1] == ' ') && at[n] == ' '))
        at = strstr(at + 1, name);
    return at != NULL;
}

static int add_name(scmp_filter_ctx f, uint32_t action, const char *name)
{
    if (SANDBOX_SANITIZED && action == REFUSED && is_of_sanitizers(name))
        return 0;
    int number = seccomp_syscall_resolve_name(name);
    int rc = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, action, number, 0);
    return rc == -EDOM ? 0 : rc; /* not on this architecture */
}

/* Each is followed by a space. */
static int add_names(scmp_filter_ctx f, uint32_t action, const char *names)
{
    char name[32];
    int rc = 0;
    for (size_t n; rc == 0 && (n = strcspn(names, " ")) > 0; names += n + 1) {
        BUG_ON(n >= sizeof name);
        memcpy(name, names, n);
        name[n] = '\0';
        rc = add_name(f, action, name);
    }
    return rc;
}

/* The calls whose arguments decide; with any other argument they are unknown. */
static int add_arguments(scmp_filter_ctx f)
{
    int rc = 0;
    for (size_t i = 0; i < COUNT(with_argument) && rc == 0; i++) {
        if (SANDBOX_SANITIZED && is_of_sanitizers(with_argument[i].name))
            continue;
        rc = seccomp_rule_add(f, with_argument[i].refused ? REFUSED : SCMP_ACT_ALLOW,
                              seccomp_syscall_resolve_name(with_argument[i].name), 1,
                              with_argument[i].arg);
    }
    for (size_t i = 0; i < COUNT(sockets) && rc == 0; i++)
        rc = seccomp_rule_add(f, sockets[i].refused ? REFUSED : SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                              SCMP_A0(SCMP_CMP_EQ, sockets[i].family, 0),
                              SCMP_A1(SCMP_CMP_MASKED_EQ,
                                      (uint32_t) ~(SOCK_CLOEXEC | SOCK_NONBLOCK), sockets[i].type));
    return rc;
}

static int set_attributes(scmp_filter_ctx f)
{
    static const struct {
        enum scmp_filter_attr attr;
        uint32_t value;
    } rows[] = {
        {SCMP_FLTATR_ACT_BADARCH, UNKNOWN}, /* 32-bit calls */
        {SCMP_FLTATR_CTL_NNP, 1},
        {SCMP_FLTATR_CTL_TSYNC, 1},
        /* Else kernels before 5.16 turn speculation off for us, which costs more than the filter;
         * nobody else's code runs here. */
        {SCMP_FLTATR_CTL_SSB, 1},
        {SCMP_FLTATR_CTL_OPTIMIZE, 2}, /* a tree in place of a list */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int rc = seccomp_attr_set(f, rows[i].attr, rows[i].value);
        if (rc < 0 && rc != -EOPNOTSUPP) /* an older kernel's filter has no such attribute */
            return rc;
    }
    return 0;
}

enum rc sandbox_seccomp(struct err *e)
{
    scmp_filter_ctx f = seccomp_init(UNKNOWN);
    if (!f)
        return err_set(e, RC_ABSENT, "no seccomp (libseccomp does not start)");
    int rc = set_attributes(f);
    if (rc == 0 && SANDBOX_SANITIZED)
        rc = add_names(f, SCMP_ACT_ALLOW, of_sanitizers);
    if (rc == 0)
        rc = add_names(f, SCMP_ACT_ALLOW, allowed);
    if (rc == 0)
        rc = add_arguments(f);
    if (rc == 0)
        rc = add_names(f, REFUSED, refused);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    if (rc == 0)
        return RC_OK;
    return err_set(e, rc == -EPERM || rc == -EACCES ? RC_DENIED : RC_ABSENT, "no seccomp (%s)",
                   strerror(-rc));
}
