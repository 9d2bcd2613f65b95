/* spoolgate check: everything that can be known without writing, with remedies. */
#include "cli/cli.h"

#include "base/utf8.h"
#include "gateway/survey.h"
#include "uploader/http.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_line(const struct survey_line *l)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    bool colour = cli_is_terminal(STDOUT_FILENO);
    struct buf b;
    buf_init(&b, 8192);
    utf8_escape(&b, l->text, strlen(l->text));
    if (l->remedy[0]) {
        buf_adds(&b, "; ");
        utf8_escape(&b, l->remedy, strlen(l->remedy));
    }
    printf("%s%-4s%s  %-12s %s\n", colour ? colours[l->level] : "", survey_level_name(l->level),
           colour ? "\033[0m" : "", l->id, b.data);
    buf_fini(&b);
}

static void print_json(const struct survey *s)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < s->n; i++) {
        const struct survey_line *l = &s->lines[i];
        json_array_append_new(lines, json_pack("{s:s, s:s, s:o, s:o}", "level",
                                               survey_level_name(l->level), "check", l->id, "text",
                                               json_text(l->text, strlen(l->text)), "remedy",
                                               json_text(l->remedy, strlen(l->remedy))));
    }
    json_t *v = json_pack("{s:b, s:s, s:o}", "ok", survey_worst(s) != SURVEY_FAIL, "worst",
                          survey_level_name(survey_worst(s)), "lines", lines);
    cli_print_json(v);
    json_decref(v);
}

static enum cli_status parse(int argc, char **argv, bool *offline)
{
    static const struct option options[] = {{"offline", no_argument, NULL, 'o'}, {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 'o')
            return cli_fail(CLI_USAGE, "spoolgate check --help says which options there are");
        *offline = true;
    }
    if (optind < argc)
        return cli_fail(CLI_USAGE, "check takes no arguments, found \"%s\"", argv[optind]);
    return CLI_YES;
}

static enum cli_status run(int argc, char **argv)
{
    struct cli_common o;
    struct config *c = NULL;
    struct survey s = {0};
    struct err e = {0};
    bool offline = false;
    enum cli_status status = cli_common_options(&cmd_check, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    if ((status = parse(argc, argv, &offline)) != CLI_YES ||
        (status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false); /* all is told below */
    survey_add(&s, SURVEY_OK, "config", "", "%s", c->path);
    survey_machine(c, &s);
    survey_tree(c, &s);
    survey_sandbox(c, &s);
    if (!offline) {
        if (http_global_init(&e) == RC_OK) {
            survey_store(c, &s);
            http_global_fini();
        } else {
            survey_add(&s, SURVEY_FAIL, "endpoint", "", "%s", e.text);
        }
    }
    if (o.json)
        print_json(&s);
    else
        for (size_t i = 0; i < s.n; i++)
            print_line(&s.lines[i]);
    status = survey_worst(&s) == SURVEY_FAIL ? CLI_NO : CLI_YES;
    survey_fini(&s);
    config_free(c);
    return status;
}

const struct cli_command cmd_check = {
    .name = "check",
    .summary = "configuration, rights, limits, keys, endpoint: what can be known without writing",
    .help =
        "Usage: spoolgate check [--offline] [-c FILE] [--json]\n\n"
        "Looks at everything that files need on their way, and changes nothing: a line each, ok, "
        "warn or\n"
        "fail, with the remedy. Run it as the user that the gateway runs as. Whether files may be "
        "written\n"
        "into the bucket only `spoolgate test` can tell.\n\n"
        "      --offline  this machine only, no request to the store\n\n"
        "Example:\n  spoolgate check -c /etc/spoolgate/spoolgate.json\n\n"
        "Exit status: 0 nothing stands in the way (warnings allowed); 1 a line says fail; 100 "
        "configuration.\n",
    .run = run,
};
