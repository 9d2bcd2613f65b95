/* What the subcommands share: the table, options, the configuration, the way to the daemon, exit
 * statuses. Only main() exits; a subcommand returns one of these.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "gateway/config.h"

enum cli_status {
    CLI_YES = 0,
    CLI_NO = 1,      /* the answer is no: the test failed, --max-age exceeded, damage found */
    CLI_USAGE = 100, /* usage or configuration */
    CLI_BUG = 101,
    CLI_ENVIRONMENT = 111, /* worth trying again: no daemon, no network, no permission */
};

struct cli_command {
    const char *name;
    const char *summary; /* for the list of commands: one line */
    const char *help;    /* all of --help: usage, options, an example, exit status */
    enum cli_status (*run)(int argc, char **argv); /* argv[0]: the subcommand's name */
};
extern const struct cli_command cmd_run, cmd_put, cmd_test, cmd_status, cmd_ls, cmd_why, cmd_retry,
    cmd_hold, cmd_release, cmd_forget, cmd_receipts, cmd_policy, cmd_journal, cmd_config, cmd_setup,
    cmd_check, cmd_console;

/* One sentence on stderr, "spoolgate: …", hostile bytes escaped. Returns status. */
enum cli_status cli_fail(enum cli_status status, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The status of a result: INVALID, LIMIT, EXISTS: USAGE; ABSENT, DENIED, AGAIN, FULL, IO, NET:
 * ENVIRONMENT; CORRUPT: NO. */
enum cli_status cli_status_of(enum rc rc);
/* cli_fail with e's sentence. */
enum cli_status cli_fail_err(enum rc rc, const struct err *e);

/* Options that every subcommand takes are cut out of argv: -c FILE/--config FILE, --json, --help
 * (prints and sets *done). The rest is left for the subcommand's own getopt_long. Not CLI_YES: a
 * usage error was told. */
struct cli_common {
    const char *config_path;
    bool json;
    bool done;
};
enum cli_status cli_common_options(const struct cli_command *c, int *argc, char **argv,
                                   struct cli_common *out);
/* Load it; every fault on stderr. */
enum cli_status cli_load_config(const struct cli_common *o, struct config **out);

/* Ask the daemon. body NULL: GET. CLI_YES: *out is the answer's JSON with HTTP status 2xx; CLI_NO:
 * 404, the problem's title is in e->text; others were told already. */
enum cli_status cli_ask(const struct config *c, const char *method, const char *path_and_query,
                        const json_t *body, json_t **out, struct err *e);
/* Append the sentence that none answers, by the cause with its remedy; trouble: what the request
 * says of it, for want of a better reason. */
void cli_no_gateway(const struct config *c, const char *trouble, struct buf *out);
/* Append `s` percent-encoded for a query. */
void cli_query_encode(struct buf *out, const char *s);

/* A path as a producer gives it: "/var/spool/spoolgate/a/b", "./a" seen from inside the spool, or
 * "a/b" below the root; the result is below the root. RC_INVALID: outside. */
enum rc cli_path_below(const struct config *c, const char *given, struct buf *out, struct err *e);

/* A file whole or not at all, durably; its mode stays, a new one has 0644. RC_EXISTS: it is there,
 * and `replace` is false. */
enum rc cli_write_file(const char *path, const char *text, size_t n, bool replace,
                       struct err *e) MUST_CHECK;

void cli_print_json(const json_t *v); /* pretty on a terminal, compact in a pipe; with a newline */
bool cli_is_terminal(int fd);

#endif
