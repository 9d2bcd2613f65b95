/* spoolgate status --watch: the whole terminal, once a second, until the person has seen enough. It
 * asks the gateway over its control socket and nothing else, and goes on asking when none answers.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/cli.h"

/* In a pipe and on a dumb terminal a line a second: the sentence and the rate; with json the status
 * as it is. Ends with `q`, or by the signal that was sent, which ends the process here when the
 * terminal is restored; in a pipe when nobody reads any more. */
enum cli_status watch_run(const struct config *c, bool json);

#endif
