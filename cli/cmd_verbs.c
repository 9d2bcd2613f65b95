/* spoolgate retry, hold, release, forget: what people decide about files. The gateway acts on a
 * page of files at a time and answers each when it is durable; here they are chosen, counted,
 * confirmed and shown.
 */
#include "cli/cli.h"

#include "base/utf8.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_FILES  500
#define PASSES_MAX  5   /* files that move from state to state while they are gone through */
#define LINES_QUIET 100 /* on a terminal, more than these are only counted */
#define REJECTED    "rejected"

struct verb {
    const struct cli_command *command;
    const char *path;       /* of the API */
    const char *done;       /* "held" */
    const char *confirm[2]; /* before and behind how many; NULL: nothing is asked */
};

struct call {
    const struct verb *verb;
    const struct cli_common *o;
    const struct config *config;
    const char *state;
    bool all, yes;
    bool quiet, bulk;
    json_t *names;   /* files as they are called */
    json_t *places;  /* rejected files, by their place below .spoolgate/rejected */
    json_t *choices; /* "match" and "state" of patterns; with --state of names too; of all */
    unsigned long long total, changed, unchanged, failed, left_by_hand;
};

static void show_row(struct call *c, const json_t *row)
{
    const char *path = json_string_value(json_object_get(row, "path"));
    const char *result = json_string_value(json_object_get(row, "result"));
    const char *text = json_string_value(json_object_get(row, "text"));
    if (!path || !result)
        return;
    bool failed = strcmp(result, "failed") == 0;
    if (failed)
        c->failed++;
    else if (strcmp(result, "unchanged") == 0)
        c->unchanged++;
    else
        c->changed++;
    if (c->o->json) {
        cli_print_json(row);
    } else if (failed) {
        (void)cli_fail(CLI_NO, "%s: %s", path, text ? text : "it could not be done");
    } else if (!c->quiet) {
        struct buf shown;
        buf_init(&shown, 8192);
        utf8_escape(&shown, path, strlen(path));
        printf("%-9s %s%s%s\n", result, shown.data, text ? "  # " : "", text ? text : "");
        buf_fini(&shown);
    }
}

static void show_progress(const struct call *c)
{
    if (c->quiet && c->bulk)
        fprintf(stderr, "\r%llu of %llu", c->changed + c->unchanged + c->failed, c->total);
}

/* One page. *cursor: in and out. */
static enum cli_status ask(struct call *c, json_t *body, struct buf *cursor, json_t **out)
{
    struct err e = {0};
    json_object_set_new(body, "cursor", json_string(cursor->data));
    enum cli_status status = cli_ask(c->config, "POST", c->verb->path, body, out, &e);
    json_decref(body);
    if (status == CLI_NO)
        return cli_fail(CLI_ENVIRONMENT, "%s", e.text);
    if (status != CLI_YES)
        return status;
    const char *next = json_string_value(json_object_get(*out, "cursor"));
    buf_reset(cursor);
    buf_adds(cursor, next ? next : "");
    return CLI_YES;
}

/* All pages of one choice: counted, or acted upon. */
static enum cli_status go_through(struct call *c, json_t *choice, bool dry_run)
{
    struct buf cursor;
    enum cli_status status;
    buf_init(&cursor, 8192);
    do {
        json_t *v = NULL;
        json_t *body =
            json_pack("{s:b, s:i, s:b}", "all", 1, "limit", PAGE_FILES, "dry_run", dry_run);
        (void)json_object_update(body, choice); /* fails only for want of memory */
        status = ask(c, body, &cursor, &v);
        if (status == CLI_YES && dry_run) {
            c->total += (unsigned long long)json_integer_value(json_object_get(v, "count"));
        } else if (status == CLI_YES) {
            size_t i;
            const json_t *row;
            json_array_foreach(json_object_get(v, "files"), i, row) show_row(c, row);
            c->left_by_hand +=
                (unsigned long long)json_integer_value(json_object_get(v, "left_by_hand"));
            show_progress(c);
        }
        json_decref(v);
    } while (status == CLI_YES && cursor.len > 0);
    buf_fini(&cursor);
    return status;
}

static enum cli_status go_through_all(struct call *c, bool dry_run)
{
    enum cli_status status = CLI_YES;
    for (size_t i = 0; i < json_array_size(c->choices) && status == CLI_YES; i++)
        status = go_through(c, json_array_get(c->choices, i), dry_run);
    return status;
}

/* Files go from accepted to sending and back while they are gone through. */
static enum cli_status act_on_selection(struct call *c)
{
    enum cli_status status = CLI_YES;
    unsigned long long before;
    int pass = 0;
    do {
        before = c->changed;
        status = go_through_all(c, false);
    } while (status == CLI_YES && ++pass < PASSES_MAX && c->changed > before &&
             c->verb->confirm[0]);
    if (c->quiet && c->bulk && c->total > 0)
        fputc('\n', stderr);
    return status;
}

/* state: NULL, or the only one in which they are meant. */
static enum cli_status act_on_names(struct call *c, const json_t *names, const char *state)
{
    enum cli_status status = CLI_YES;
    size_t n = json_array_size(names);
    for (size_t at = 0; at < n && status == CLI_YES; at += PAGE_FILES) {
        struct buf cursor;
        json_t *some = json_array(), *v = NULL;
        for (size_t i = at; i < n && i < at + PAGE_FILES; i++)
            json_array_append(some, json_array_get(names, i));
        buf_init(&cursor, 8192);
        status = ask(c, json_pack("{s:o, s:s*}", "paths", some, "state", state), &cursor, &v);
        buf_fini(&cursor);
        size_t i;
        const json_t *row;
        json_array_foreach(json_object_get(v, "files"), i, row) show_row(c, row);
        json_decref(v);
    }
    return status;
}

/* More than one file that nobody named: the person says yes, or the script said --yes. */
static enum cli_status confirm(struct call *c)
{
    char answer[16] = "", question[256];
    const char *const *words = c->verb->confirm;
    if (!words[0] || c->yes)
        return CLI_YES;
    enum cli_status status = go_through_all(c, true);
    if (status != CLI_YES || c->total <= 1)
        return status;
    (void)snprintf(question, sizeof question, "%s %llu %s", words[0], c->total, words[1]);
    if (!cli_is_terminal(STDIN_FILENO) || !cli_is_terminal(STDERR_FILENO))
        return cli_fail(CLI_USAGE, "%s Say so with --yes", question);
    fprintf(stderr, "%s [y/N] ", question);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return cli_fail(CLI_NO, "nothing was changed");
    return CLI_YES;
}

static enum cli_status sum_up(const struct call *c)
{
    if (c->bulk && !c->o->json)
        printf("%llu files %s%s\n", c->changed, c->verb->done,
               c->changed + c->unchanged + c->failed == 0 ? ": there are none" : "");
    if (c->left_by_hand > 0)
        fprintf(
            stderr,
            "spoolgate: %llu files are held by hand and stay so: spoolgate release sends them\n",
            c->left_by_hand);
    if (c->bulk && !c->all && c->changed + c->unchanged + c->failed == 0)
        return cli_fail(CLI_NO, "no file that %s is meant for matches", c->verb->command->name);
    return c->failed > 0 ? CLI_NO : CLI_YES;
}

static enum cli_status act(struct call *c)
{
    enum cli_status status = CLI_YES;
    c->bulk = json_array_size(c->choices) > 0;
    if (c->bulk)
        status = confirm(c);
    c->quiet =
        cli_is_terminal(STDOUT_FILENO) && cli_is_terminal(STDERR_FILENO) && c->total > LINES_QUIET;
    if (status == CLI_YES)
        status = act_on_names(c, c->names, NULL);
    if (status == CLI_YES)
        status = act_on_names(c, c->places, REJECTED);
    if (status == CLI_YES && c->bulk)
        status = act_on_selection(c);
    return status == CLI_YES ? sum_up(c) : status;
}

/* ---- arguments ---- */

static bool is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

/* What is called by its place below .spoolgate/rejected is the rejected file: another one may have
 * come under the name where it belongs. */
static enum cli_status take_file(struct call *c, const char *given, struct buf *path)
{
    static const char rejected[] = ".spoolgate/rejected/";
    struct err e = {0};
    enum rc rc = cli_path_below(c->config, given, path, &e);
    if (rc != RC_OK)
        return cli_fail_err(rc, &e);
    const char *below = path->data, *state = c->state;
    bool is_place = strncmp(below, rejected, sizeof rejected - 1) == 0;
    if (is_place && c->verb->command != &cmd_retry)
        return cli_fail(CLI_NO, "%s: it is rejected, so it is not sent", given);
    if (is_place && state && strcmp(state, REJECTED) != 0)
        return cli_fail(CLI_NO, "%s: it is rejected, not %s", given, state);
    if (is_place) {
        below += sizeof rejected - 1;
        state = REJECTED;
    }
    json_t *text = json_string(below), *list = c->names;
    if (!text)
        return cli_fail(CLI_USAGE, "%s: not UTF-8; name it by a pattern with ? for such bytes",
                        given);
    if (is_pattern(below) || c->state) {
        list = c->choices;
        text = json_pack("{s:o, s:s*}", "match", text, "state", state);
    } else if (is_place) {
        list = c->places;
    }
    json_array_append_new(list, text);
    return CLI_YES;
}

static enum cli_status take_files(struct call *c, int argc, char **argv)
{
    enum cli_status status = CLI_YES;
    for (int i = 0; i < argc && status == CLI_YES; i++) {
        struct buf path;
        buf_init(&path, 8192);
        status = take_file(c, argv[i], &path);
        buf_fini(&path);
    }
    return status;
}

static enum cli_status run_verb(const struct verb *verb, int argc, char **argv)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'},
                                            {"state", required_argument, NULL, 's'},
                                            {"yes", no_argument, NULL, 'y'},
                                            {0}};
    const char *name = verb->command->name;
    struct cli_common o;
    struct config *config = NULL;
    struct call c = {.verb = verb, .o = &o};
    int opt;
    enum cli_status status = cli_common_options(verb->command, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    while ((opt = getopt_long(argc, argv, "y", options, NULL)) != -1) {
        if (opt == 'a')
            c.all = true;
        else if (opt == 'y')
            c.yes = true;
        else if (opt == 's')
            c.state = optarg;
        else
            return cli_fail(CLI_USAGE, "spoolgate %s --help says which options there are", name);
    }
    int files = argc - optind;
    if (c.all ? files > 0 : files == 0 && !c.state)
        return cli_fail(CLI_USAGE, "usage: spoolgate %s FILE… | --state STATE | --all", name);
    c.all = files == 0;
    if (c.state && utf8_span(c.state, strlen(c.state)) < strlen(c.state))
        return cli_fail(CLI_USAGE, "--state: there is no such state");
    if ((status = cli_load_config(&o, &config)) != CLI_YES)
        return status;
    c.config = config;
    c.names = json_array();
    c.places = json_array();
    c.choices = json_array();
    if (c.all)
        json_array_append_new(c.choices, json_pack("{s:s*}", "state", c.state));
    status = take_files(&c, files, argv + optind);
    if (status == CLI_YES)
        status = act(&c);
    json_decref(c.names);
    json_decref(c.places);
    json_decref(c.choices);
    config_free(config);
    return status;
}

/* ---- the commands ---- */

#define HELP_OPTIONS                                                                               \
    "FILE is a path below the spool root, a whole path into it, or a shell pattern over the "      \
    "path.\n\n"                                                                                    \
    "      --state STATE  only files in this state (spoolgate ls shows it)\n"                      \
    "      --all          every file that the command is meant for\n"
#define HELP_YES                                                                                   \
    "  -y, --yes          do not ask, where more than one file was not named but chosen; needed "  \
    "in a\n"                                                                                       \
    "                     script\n"
#define HELP_EXIT                                                                                  \
    "\nEach file is answered when the change is durable: it survives a crash and a restart.\n\n"   \
    "Exit status: 0 done (also if it was so already); 1 some could not be (told one by one), or "  \
    "none\nmatches; 100 usage; 111 no gateway answers.\n"

static enum cli_status run_retry(int argc, char **argv)
{
    static const struct verb verb = {&cmd_retry, "/v1/retry", "on their way again", {NULL, NULL}};
    return run_verb(&verb, argc, argv);
}

const struct cli_command cmd_retry = {
    .name = "retry",
    .summary = "rejected, held or waiting files: try them now",
    .help = "Usage: spoolgate retry FILE… | --state STATE | --all [-c FILE] [--json]\n\n"
            "A rejected file goes back to its place in the spool and is looked at anew (mend it "
            "first, under\n"
            ".spoolgate/rejected); a held one is released, a forgotten one taken up again; of any "
            "other the\n"
            "bucket is tried now. --all and patterns mean held and rejected files, but not what "
            "was held by\n"
            "hand: spoolgate release sends that.\n\n" HELP_OPTIONS
            "\nExample:\n  spoolgate retry Panoptica/findings/2026-11-23/prod/f-1.json\n" HELP_EXIT,
    .run = run_retry,
};

static enum cli_status run_hold(int argc, char **argv)
{
    static const struct verb verb = {
        &cmd_hold,
        "/v1/hold",
        "held",
        {"Hold", "files? None of them is sent until spoolgate release."}};
    return run_verb(&verb, argc, argv);
}

const struct cli_command cmd_hold = {
    .name = "hold",
    .summary = "waiting files: do not send them until release",
    .help = "Usage: spoolgate hold FILE… | --state STATE | --all [--yes] [-c FILE] [--json]\n\n"
            "A file that waits is not sent until spoolgate release, also if its event type may go "
            "again; "
            "one\nthat is being sent is waited for, some seconds. Files that come later are not "
            "meant.\n\n" HELP_OPTIONS HELP_YES
            "\nExample:\n  spoolgate hold 'Panoptica/audit/2026-11-23/*'\n" HELP_EXIT,
    .run = run_hold,
};

static enum cli_status run_release(int argc, char **argv)
{
    static const struct verb verb = {
        &cmd_release, "/v1/release", "released", {"Release", "held files? They are sent."}};
    return run_verb(&verb, argc, argv);
}

const struct cli_command cmd_release = {
    .name = "release",
    .summary = "held files: send them",
    .help =
        "Usage: spoolgate release FILE… | --state held | --all [--yes] [-c FILE] [--json]\n\n"
        "A held file waits for its turn again, whether it was held by hand or for its own "
        "sake. What is\nheld with its event type goes when that may: spoolgate why says "
        "so.\n\n" HELP_OPTIONS HELP_YES "\nExample:\n  spoolgate release --all --yes\n" HELP_EXIT,
    .run = run_release,
};

static enum cli_status run_forget(int argc, char **argv)
{
    static const struct verb verb = {
        &cmd_forget,
        "/v1/forget",
        "forgotten",
        {"Forget", "files? They are not sent any more unless they change; their bytes stay in the "
                   "spool."}};
    return run_verb(&verb, argc, argv);
}

const struct cli_command cmd_forget = {
    .name = "forget",
    .summary = "waiting or held files: never send them as they are",
    .help =
        "Usage: spoolgate forget FILE… | --state STATE | --all [--yes] [-c FILE] [--json]\n\n"
        "A forgotten file is not sent any more, and no scan or restart takes it up again, "
        "unless it changes.\n"
        "Its bytes are not touched: it stays where it is in the spool until someone removes "
        "it. spoolgate\n"
        "ls --state forgotten lists them, and spoolgate retry takes one up again.\n\n" HELP_OPTIONS
            HELP_YES
        "\nExample:\n  spoolgate forget Panoptica/findings/2026-11-23/prod/f-1.json\n" HELP_EXIT,
    .run = run_forget,
};
