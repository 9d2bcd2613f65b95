/* spoolgate test: one small message into the bucket, now, on the way that every file takes. Needs
 * no running gateway and leaves nothing in the spool.
 */
#include "cli/progress.h"
#include "cli/verdict.h"

#include "gateway/journald.h"

static enum cli_status run(int argc, char **argv)
{
    struct cli_common o;
    struct config *c = NULL;
    struct err e = {0};
    struct trial t;
    struct progress waiting;
    enum cli_status status = cli_common_options(&cmd_test, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    if (argc > 1)
        return cli_fail(CLI_USAGE, "test takes no arguments, found \"%s\"", argv[1]);
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    log_setup(-1, LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false); /* all is told below, once */
    journald_divert_log();                                 /* where a timer runs it */
    if (http_global_init(&e) != RC_OK) {
        config_free(c);
        return cli_fail_err(e.rc, &e);
    }
    progress_begin(&waiting, "", 0, o.json);
    progress_step(&waiting, "A test message is on its way to the bucket ...");
    trial_run(c, NULL, &t);
    progress_end(&waiting);
    if (o.json) {
        json_t *v = verdict_json(c, &t);
        cli_print_json(v);
        json_decref(v);
        status = verdict_status(&t);
    } else {
        status = verdict_tell(c, &t);
    }
    trial_fini(&t);
    http_global_fini();
    config_free(c);
    return status;
}

const struct cli_command cmd_test = {
    .name = "test",
    .summary = "sends one test message now; says it arrived, or what to change",
    .help =
        "Usage: spoolgate test [-c FILE] [--json]\n\n"
        "Sends one line of JSON (event type `test`, today's date, the configured account) with the "
        "real\n"
        "headers to the configured bucket, and reads back what it is allowed to. If it did not "
        "arrive:\n"
        "the cause, the one thing to change, and where a policy lacks a statement, the "
        "statement.\n\n"
        "Example:\n  spoolgate test -c /etc/spoolgate/spoolgate.json\n\n"
        "Exit status: 0 it arrived; 1 it did not; 100 configuration; 111 the environment (no keys, "
        "no\n"
        "temporary directory).\n",
    .run = run,
};
