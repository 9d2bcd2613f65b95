/* spoolgate ls: the files in the gateway's care, each with its one state. */
#include "cli/cli.h"

#include "base/units.h"
#include "base/utf8.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_row(const json_t *f)
{
    char size[UNITS_TEXT_SIZE];
    struct buf path;
    const char *p = json_string_value(json_object_get(f, "path"));
    const char *why = json_string_value(json_object_get(f, "why"));
    const json_t *bytes = json_object_get(f, "size");
    buf_init(&path, 8192);
    utf8_escape(&path, p ? p : "", p ? strlen(p) : 0);
    printf("%-9s %10s  %s%s%s\n", json_string_value(json_object_get(f, "state")),
           json_is_integer(bytes) ? units_format_size(size, (uint64_t)json_integer_value(bytes))
                                  : "-",
           path.data, why ? "  # " : "", why ? why : "");
    buf_fini(&path);
}

static void print_page(const struct cli_common *o, const json_t *v)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(v, "files"), i, f)
    {
        if (o->json)
            cli_print_json(f);
        else
            print_row(f);
    }
}

static enum cli_status list(const struct cli_common *o, const struct config *c, const char *state,
                            const char *match)
{
    struct buf url, cursor;
    enum cli_status status;
    buf_init(&url, 32768);
    buf_init(&cursor, 8192);
    do {
        struct err e = {0};
        json_t *v = NULL;
        buf_reset(&url);
        buf_adds(&url, "/v1/files?limit=5000");
        const char *const arguments[][2] = {{"&state=", state},
                                            {"&match=", match},
                                            {"&cursor=", cursor.len > 0 ? cursor.data : NULL}};
        for (size_t i = 0; i < 3; i++) {
            if (arguments[i][1]) {
                buf_adds(&url, arguments[i][0]);
                cli_query_encode(&url, arguments[i][1]);
            }
        }
        status = cli_ask(c, "GET", url.data, NULL, &v, &e);
        buf_reset(&cursor);
        if (status == CLI_YES) {
            const char *next = json_string_value(json_object_get(v, "cursor"));
            buf_adds(&cursor, next ? next : "");
            print_page(o, v);
        } else if (status == CLI_NO) {
            status = cli_fail(CLI_ENVIRONMENT, "%s", e.text);
        }
        json_decref(v);
        /* Nobody may want the rest: main() says what became of this. */
    } while (status == CLI_YES && cursor.len > 0 && fflush(stdout) == 0 && !ferror(stdout));
    buf_fini(&url);
    buf_fini(&cursor);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    static const struct option options[] = {{"state", required_argument, NULL, 's'}, {0}};
    struct cli_common o;
    struct config *c = NULL;
    const char *state = NULL;
    int opt;
    enum cli_status status = cli_common_options(&cmd_ls, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 's')
            return cli_fail(CLI_USAGE, "usage: spoolgate ls [--state STATE] [PATTERN]");
        state = optarg;
    }
    if (argc - optind > 1)
        return cli_fail(CLI_USAGE, "ls takes one pattern, found \"%s\" too", argv[optind + 1]);
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    status = list(&o, c, state, optind < argc ? argv[optind] : NULL);
    config_free(c);
    return status;
}

const struct cli_command cmd_ls = {
    .name = "ls",
    .summary = "the files that are not delivered yet, each with its state",
    .help =
        "Usage: spoolgate ls [--state STATE] [PATTERN] [-c FILE] [--json]\n\n"
        "States: settling, accepted, sending, deferred, held, rejected, forgotten, delivered (kept "
        "files).\n"
        "PATTERN: a part of the path, or a shell pattern for all of it.\n\n"
        "Example:\n  spoolgate ls --state held 'Panoptica/findings/*'\n\n"
        "Exit status: 0 listed (also nothing); 100 usage; 111 no gateway answers.\n",
    .run = run,
};
