/* spoolgate config: is the configuration right, and what is in force. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static enum cli_status run(int argc, char **argv)
{
    struct cli_common o;
    struct config *c = NULL;
    enum cli_status status = cli_common_options(&cmd_config, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    bool check = argc == 2 && strcmp(argv[1], "check") == 0;
    bool show = argc == 2 && strcmp(argv[1], "show") == 0;
    if (!check && !show)
        return cli_fail(CLI_USAGE, "usage: spoolgate config check|show");
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    if (show) {
        json_t *v = config_to_json(c);
        cli_print_json(v);
        json_decref(v);
    } else if (o.json) {
        fputs("{\"ok\":true}\n", stdout);
    } else {
        printf("%s: right\n", c->path);
    }
    config_free(c);
    return CLI_YES;
}

const struct cli_command cmd_config = {
    .name = "config",
    .summary = "check: is the configuration right; show: with all defaults",
    .help = "Usage: spoolgate config check|show [-c FILE] [--json]\n\n"
            "check tells every fault with its JSON path and what was expected, all at once.\n"
            "show prints the configuration in force, defaults filled in. There are no secrets in "
            "it.\n\n"
            "Example:\n  spoolgate config check -c ./spoolgate.json\n\n"
            "Exit status: 0 right; 100 not.\n",
    .run = run,
};
