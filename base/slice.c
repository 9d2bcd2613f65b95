/* Short turns and patient ones: see slice.h. sched_setattr(2) has no wrapper in glibc 2.36, and its
 * structure is in a header that clashes with <sched.h> there. */
#include "base/slice.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHORTEST_NS = 100000 /* that the kernel grants */ };

/* sched_setattr(2), the first version. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};
_Static_assert(sizeof(struct attributes) == 48, "SCHED_ATTR_SIZE_VER0");

void slice_short(void)
{
    const uint64_t reset_on_fork = 1; /* SCHED_FLAG_RESET_ON_FORK */
    struct attributes a = {.size = sizeof a};
    if (syscall(SYS_sched_getattr, 0, &a, (unsigned)sizeof a, 0U) != 0)
        return;
    if (a.policy != SCHED_OTHER)
        return; /* somebody chose one for us, in which turns mean something else */
    a.size = sizeof a;
    a.flags = reset_on_fork;
    a.runtime_ns = SHORTEST_NS;
    /* Refused, by a sandbox perhaps: then turns are as they were. */
    (void)syscall(SYS_sched_setattr, 0, &a, 0U);
}

static atomic_bool patient;

void slice_patience(bool on)
{
    atomic_store_explicit(&patient, on, memory_order_relaxed);
}

void slice_follow(void)
{
    static _Thread_local bool followed, refused;
    const struct sched_param none = {0};
    bool on = atomic_load_explicit(&patient, memory_order_relaxed);
    if (on == followed || refused)
        return;
    followed = on;
    int now = sched_getscheduler(0), fork = now & SCHED_RESET_ON_FORK;
    /* Refused by a sandbox, or another policy was chosen for us: that stays. */
    refused = (now ^ fork) != (on ? SCHED_OTHER : SCHED_BATCH) ||
              sched_setscheduler(0, (on ? SCHED_BATCH : SCHED_OTHER) | fork, &none) != 0;
}
