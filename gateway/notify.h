/* Word to systemd: ready, reloading, stopping, watchdog. Nothing happens without it. The
 * only file that includes libsystemd's sd-daemon.h. */
#ifndef GATEWAY_NOTIFY_H
#define GATEWAY_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/* Half of WatchdogSec, 0: no watchdog wanted. */
uint64_t notify_watchdog_ms(void);

#endif
