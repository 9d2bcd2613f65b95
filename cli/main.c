/* spoolgate: the command. Picks the subcommand; the only place that ends the process.
 */
#include "cli/cli.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *const commands[] = {
    &cmd_run,    &cmd_put,     &cmd_test,   &cmd_check,   &cmd_status,  &cmd_ls,
    &cmd_why,    &cmd_retry,   &cmd_hold,   &cmd_release, &cmd_forget,  &cmd_receipts,
    &cmd_policy, &cmd_journal, &cmd_config, &cmd_setup,   &cmd_console,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *to)
{
    fputs("spoolgate writes files of a directory into one S3 bucket, and proves it.\n\n"
          "Usage: spoolgate COMMAND [OPTION…]\n\nCommands:\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs(
        "\nOptions of every command:\n"
        "  -c, --config FILE  the configuration (else $SPOOLGATE_CONFIG, else " CONFIG_PATH_DEFAULT
        ")\n"
        "      --json         facts as JSON, where the command prints any\n"
        "  -h, --help         what the command does, with an example\n"
        "\n  spoolgate --version\n"
        "\nExit status: 0 yes; 1 the answer is no; 100 usage or configuration; 111 the "
        "environment,\n"
        "worth trying again; 101 a fault of spoolgate's own.\n",
        to);
}

/* Has who reads the pipe gone? They wanted no more, as `head` does, and nobody is to be told. */
static bool reader_is_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && p.revents & POLLERR;
}

/* What was printed may still be in the buffer, and half an answer is no success. */
static enum cli_status written(enum cli_status status)
{
    bool lost = fflush(stdout) != 0;
    lost |= ferror(stdout) != 0; /* of an earlier piece */
    if (!lost || status != CLI_YES || reader_is_gone())
        return status;
    return cli_fail(CLI_ENVIRONMENT, "what was to be printed could not be written out in full: "
                                     "make room where the output goes");
}

static enum cli_status run(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return CLI_YES;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("spoolgate " SPOOLGATE_VERSION);
        return CLI_YES;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    }
    return cli_fail(CLI_USAGE, "there is no command \"%s\": spoolgate --help lists them", argv[1]);
}

int main(int argc, char **argv)
{
    return (int)written(run(argc, argv));
}
