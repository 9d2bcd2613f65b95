/* Run a program as on a kernel, or in a container, that lacks something:
 *   without landlock|seccomp COMMAND…
 * landlock: its calls answer ENOSYS. seccomp: filters are refused, with EPERM. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(v, n)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), 0, (n))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define FAIL(error)   ANSWER(SECCOMP_RET_ERRNO | (error))

int main(int argc, char **argv)
{
    struct sock_filter no_landlock[] = {
        LOAD(nr),     UNLESS(SYS_landlock_create_ruleset, 1),
        FAIL(ENOSYS), UNLESS(SYS_landlock_restrict_self, 1),
        FAIL(ENOSYS), ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_filter no_seccomp[] = {
        LOAD(nr),      UNLESS(SYS_seccomp, 1),    FAIL(EPERM), UNLESS(SYS_prctl, 3),
        LOAD(args[0]), UNLESS(PR_SET_SECCOMP, 1), FAIL(EPERM), ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog landlock = {sizeof no_landlock / sizeof no_landlock[0], no_landlock};
    struct sock_fprog seccomp = {sizeof no_seccomp / sizeof no_seccomp[0], no_seccomp};
    if (argc < 3)
        return 100;
    struct sock_fprog *program = strcmp(argv[1], "landlock") == 0 ? &landlock : &seccomp;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) != 0) {
        perror("without");
        return 111;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 111;
}
