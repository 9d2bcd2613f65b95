/* spoolgate run: the daemon, in the foreground. */
#include "cli/cli.h"

#include "gateway/gateway.h"
#include "gateway/journald.h"

#include <unistd.h>

static enum cli_status run(int argc, char **argv)
{
    struct cli_common o;
    struct config *config = NULL;
    struct err e = {0};
    enum cli_status status = cli_common_options(&cmd_run, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    if (argc > 1)
        return cli_fail(CLI_USAGE, "run takes no arguments, found \"%s\": spoolgate run --help",
                        argv[1]);
    if ((status = cli_load_config(&o, &config)) != CLI_YES)
        return status;
    log_setup(STDERR_FILENO, config->log.level, config->log.format, journald_is_stderr());
    journald_divert_log();
    enum rc rc = gateway_run(config, &e);
    return rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
}

const struct cli_command cmd_run = {
    .name = "run",
    .summary = "the daemon, in the foreground (systemd: Type=notify)",
    .help =
        "Usage: spoolgate run [-c FILE]\n\n"
        "Watches the spool and delivers every finished file into the bucket, until SIGTERM.\n"
        "SIGTERM lets what is in flight finish for 8 s; SIGHUP reads the configuration again,\n"
        "and a bad one changes nothing.\n\n"
        "Example:\n  spoolgate run -c /etc/spoolgate/spoolgate.json\n\n"
        "Exit status: 0 stopped in order; 100 configuration; 111 the environment (another gateway\n"
        "has the spool, a directory cannot be used).\n",
    .run = run,
};
