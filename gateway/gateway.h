/* The daemon: locks, signals, loop, pipeline, control socket. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/config.h"

/* How long SIGTERM lets what is in flight finish before it is cancelled. */
#define GATEWAY_GRACE_MS 8000

/* Runs until SIGTERM or SIGINT; SIGHUP reads the configuration file again. Takes the configuration.
 * RC_OK: stopped in order. Otherwise it could not start, and e says why: RC_AGAIN: another gateway
 * has the spool or the state; RC_INVALID: the configuration; others: the environment. */
enum rc gateway_run(struct config *config, struct err *e) MUST_CHECK;

/* The spool root and below it what the gateway needs, opened for a command: RC_ABSENT, RC_DENIED.
 */
enum rc gateway_open_root(const struct config *config, int *root_fd, struct err *e) MUST_CHECK;
/* state/journal, made if absent. */
enum rc gateway_open_journal(const struct config *config, int *journal_fd,
                             struct err *e) MUST_CHECK;

#endif
