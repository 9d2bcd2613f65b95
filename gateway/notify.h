/* Word to systemd: ready, reloading, stopping, watchdog. Nothing happens without it. The
 * only file that includes libsystemd's sd-daemon.h. */
#ifndef GATEWAY_NOTIFY_H
#define GATEWAY_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

/* The journal is being read, which may take longer than TimeoutStartSec: told at least every
 * NOTIFY_READING_S seconds, systemd goes on waiting. of 0: it has been read. */
#define NOTIFY_READING_S 600
void notify_reading(size_t nth, size_t of);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/* Half of WatchdogSec, 0: no watchdog wanted. */
uint64_t notify_watchdog_ms(void);

#endif
