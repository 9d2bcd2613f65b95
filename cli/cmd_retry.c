/* spoolgate retry: rejected files back into the spool, held ones released, waiting ones tried now.
 */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum cli_status ask(const struct cli_common *o, const struct config *c, const json_t *body)
{
    struct err e = {0};
    json_t *v = NULL;
    enum cli_status status = cli_ask(c, "POST", "/v1/retry", body, &v, &e);
    if (status == CLI_NO)
        return cli_fail(CLI_ENVIRONMENT, "%s", e.text);
    if (status != CLI_YES)
        return status;
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(v, "failed"), i, f)
    {
        const char *reason = json_string_value(json_object_get(f, "reason"));
        status = cli_fail(CLI_NO, "%s", reason ? reason : "it could not be retried");
    }
    if (o->json)
        cli_print_json(v);
    else if (json_object_get(v, "count"))
        printf("%lld held and rejected files are on their way again\n",
               (long long)json_integer_value(json_object_get(v, "count")));
    json_decref(v);
    return status;
}

static enum cli_status gather(const struct config *c, int argc, char **argv, json_t **body)
{
    json_t *paths = json_array();
    enum cli_status status = CLI_YES;
    for (int i = 0; i < argc && status == CLI_YES; i++) {
        struct err e = {0};
        struct buf path;
        buf_init(&path, 8192);
        enum rc rc = cli_path_below(c, argv[i], &path, &e);
        if (rc != RC_OK) {
            status = cli_fail_err(rc, &e);
        } else {
            static const char rejected[] = ".spoolgate/rejected/";
            /* The place where it lies is as good a name as the place where it belongs. */
            size_t skip =
                strncmp(path.data, rejected, sizeof rejected - 1) == 0 ? sizeof rejected - 1 : 0;
            json_t *text = json_string(path.data + skip);
            if (text)
                json_array_append_new(paths, text);
            else
                status =
                    cli_fail(CLI_USAGE, "%s: not UTF-8; rename it under .spoolgate/rejected first",
                             path.data);
        }
        buf_fini(&path);
    }
    *body = json_pack("{s:o}", "paths", paths);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
    struct cli_common o;
    struct config *c = NULL;
    bool all = false;
    int opt;
    enum cli_status status = cli_common_options(&cmd_retry, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 'a')
            return cli_fail(CLI_USAGE, "spoolgate retry --help says which options there are");
        all = true;
    }
    if (all ? optind < argc : optind >= argc)
        return cli_fail(CLI_USAGE, "usage: spoolgate retry FILE… | --all");
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    json_t *body = NULL;
    if (all)
        body = json_pack("{s:b}", "all", 1);
    else
        status = gather(c, argc - optind, argv + optind, &body);
    if (status == CLI_YES)
        status = ask(&o, c, body);
    json_decref(body);
    config_free(c);
    return status;
}

const struct cli_command cmd_retry = {
    .name = "retry",
    .summary = "rejected, held or waiting files: try them now",
    .help = "Usage: spoolgate retry FILE… | --all [-c FILE] [--json]\n\n"
            "A rejected file goes back to its place in the spool and is looked at anew (mend it "
            "first, under\n"
            ".spoolgate/rejected); a held one is released; any other makes the gateway try its "
            "bucket now.\n\n"
            "      --all  every held and rejected file\n\n"
            "Example:\n  spoolgate retry Panoptica/findings/2026-11-23/prod/f-1.json\n\n"
            "Exit status: 0 done; 1 some could not be (told one by one); 111 no gateway answers.\n",
    .run = run,
};
