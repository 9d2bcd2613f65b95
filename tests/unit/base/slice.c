#include "base/slice.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The length of this thread's turn, or 0 where the kernel does not say. */
static uint64_t turn_ns(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } a = {.size = sizeof a};
    return syscall(SYS_sched_getattr, 0, &a, (unsigned)sizeof a, 0U) == 0 ? a.runtime_ns : 0;
}

static void *usual(void *arg)
{
    *(uint64_t *)arg = turn_ns();
    return NULL;
}

Test(slice, turns_are_short_for_this_thread_alone_and_its_niceness_stays)
{
    const struct sched_param none = {0};
    pthread_t thread;
    uint64_t other = 0, before;
    if (sched_setscheduler(0, SCHED_OTHER, &none) != 0)
        cr_skip("the tests are run with a policy that may not be left");
    before = turn_ns();
    cr_assert_eq(setpriority(PRIO_PROCESS, 0, 7), 0);
    slice_short();
    cr_expect_eq(getpriority(PRIO_PROCESS, 0), 7);
    cr_expect_eq(sched_getscheduler(0) & ~SCHED_RESET_ON_FORK, SCHED_OTHER);
    if (before == 0)
        cr_skip("this kernel has turns of one length (before Linux 6.12)");
    cr_expect_eq(turn_ns(), 100000);
    cr_assert_eq(pthread_create(&thread, NULL, usual, &other), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(other, before);
}

Test(slice, a_policy_that_somebody_chose_stays)
{
    struct sched_param none = {0};
    cr_assert_eq(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    slice_short();
    cr_expect_eq(sched_getscheduler(0), SCHED_IDLE);
}

static int policy(void)
{
    return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

static void *follow(void *arg)
{
    slice_follow();
    *(int *)arg = policy();
    return NULL;
}

Test(slice, who_follows_is_patient_while_it_is_asked_for_and_no_longer)
{
    const struct sched_param none = {0};
    pthread_t thread;
    int other = -1;
    if (sched_setscheduler(0, SCHED_OTHER, &none) != 0)
        cr_skip("the tests are run with a policy that may not be left");
    slice_short();
    slice_follow();
    cr_expect_eq(policy(), SCHED_OTHER);
    slice_patience(true);
    cr_expect_eq(policy(), SCHED_OTHER);
    cr_assert_eq(pthread_create(&thread, NULL, follow, &other), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(other, SCHED_BATCH);
    cr_expect_eq(policy(), SCHED_OTHER);
    uint64_t before = turn_ns();
    slice_follow();
    cr_expect_eq(policy(), SCHED_BATCH);
    slice_patience(false);
    slice_follow();
    cr_expect_eq(policy(), SCHED_OTHER);
    cr_expect_eq(turn_ns(), before, "short turns are still short");
}

Test(slice, patience_leaves_a_policy_that_somebody_chose)
{
    const struct sched_param none = {0};
    cr_assert_eq(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    slice_patience(true);
    slice_follow();
    cr_expect_eq(policy(), SCHED_IDLE);
    slice_patience(false);
    slice_follow();
    cr_expect_eq(policy(), SCHED_IDLE);
}
