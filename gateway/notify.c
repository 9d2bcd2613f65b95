/* Word to systemd: see notify.h. Failures are of no consequence: without systemd there is no one to
 * tell, so the results are dropped on purpose.
 */
#include "gateway/notify.h"

#include "base/clock.h"

#include <stdio.h>
#include <systemd/sd-daemon.h>

/* The watchdog too: after the spool root was replaced it runs while the journal is read. */
void notify_reading(size_t nth, size_t of)
{
    char status[80] = "";
    if (of > 0)
        (void)snprintf(status, sizeof status, "Reading the journal: segment %zu of %zu", nth, of);
    (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu\nWATCHDOG=1\nSTATUS=%s",
                     NOTIFY_READING_S * 1000000ULL, status);
}

void notify_ready(void)
{
    (void)sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
                     (long long)(clock_mono_now_ns() / 1000));
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

uint64_t notify_watchdog_ms(void)
{
    uint64_t usec = 0;
    return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2000 : 0;
}
