/* Telling what came of a test message: for `test` and `setup`. */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include "cli/cli.h"
#include "gateway/cause.h"

/* Arrived: what could be proved, and remarks, on stdout. Not: the cause and the remedy in one line
 * on stderr, and on stdout the statement that a policy wants, if one. CLI_YES, CLI_NO, or
 * CLI_ENVIRONMENT where it could not even be sent. */
enum cli_status verdict_tell(const struct config *c, const struct trial *t);
/* The same as facts. Caller json_decrefs. */
json_t *verdict_json(const struct config *c, const struct trial *t);
/* What both return, without telling anything. */
enum cli_status verdict_status(const struct trial *t);

#endif
