/* spoolgate status: is everything delivered, and if not, why. */
#include "cli/cli.h"

#include "base/units.h"
#include "base/utf8.h"
#include "cli/watch.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_int_t number(const json_t *v, const char *group, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(v, group), key));
}

static const char *text(const json_t *v, const char *group, const char *key)
{
    return json_string_value(json_object_get(json_object_get(v, group), key));
}

/* What comes from names and from the store cannot speak to the terminal. */
static void print_safe(const char *before, const char *s, const char *after)
{
    struct buf b;
    buf_init(&b, 1 << 18);
    utf8_escape(&b, s ? s : "", s ? strlen(s) : 0);
    printf("%s%s%s", before, b.data, after);
    buf_fini(&b);
}

static void print_event_types(const json_t *v)
{
    size_t i;
    const json_t *t;
    json_array_foreach(json_object_get(v, "event_types"), i, t)
    {
        char size[UNITS_TEXT_SIZE];
        const char *name = json_string_value(json_object_get(t, "event_type"));
        const char *held = json_string_value(json_object_get(t, "held"));
        if (i == 0)
            printf("\n%-24s %10s %10s %12s\n", "event type", "waiting", "size", "delivered");
        struct buf shown;
        buf_init(&shown, 4096);
        utf8_escape(&shown, name && name[0] ? name : "(none)", name && name[0] ? strlen(name) : 6);
        printf("%-24s %10lld %10s %12lld", shown.data,
               (long long)json_integer_value(json_object_get(t, "files")),
               units_format_size(size, (uint64_t)json_integer_value(json_object_get(t, "bytes"))),
               (long long)json_integer_value(json_object_get(t, "delivered_files")));
        buf_fini(&shown);
        print_safe(held ? "  held: " : "", held, "\n");
    }
}

static void print_status(const json_t *v)
{
    const char *sentence = json_string_value(json_object_get(v, "sentence"));
    const char *why = text(v, "destination", "why");
    const char *last = text(v, "since_start", "last_delivered");
    char age[UNITS_TEXT_SIZE];
    print_safe("", sentence, "\n");
    printf("\nfiles       %lld settling, %lld accepted, %lld sending, %lld deferred, %lld held, "
           "%lld rejected\n",
           (long long)number(v, "files", "settling"), (long long)number(v, "files", "accepted"),
           (long long)number(v, "files", "sending"), (long long)number(v, "files", "deferred"),
           (long long)number(v, "files", "held"), (long long)number(v, "files", "rejected"));
    if (number(v, "files", "forgotten") > 0)
        printf("forgotten   %lld files stay in the spool: spoolgate ls --state forgotten\n",
               (long long)number(v, "files", "forgotten"));
    if (json_is_integer(json_object_get(json_object_get(v, "backlog"), "oldest_age_ms")))
        printf("oldest      %s\n",
               units_format_duration(age, (uint64_t)number(v, "backlog", "oldest_age_ms")));
    printf("delivered   %lld since the start%s%s\n",
           (long long)number(v, "since_start", "delivered_files"), last ? ", last at " : "",
           last ? last : "");
    printf("bucket      s3://%s at %s: %s", text(v, "destination", "bucket"),
           text(v, "destination", "endpoint"), text(v, "destination", "state"));
    print_safe(why ? ", " : "", why, "\n");
    printf("watching    %lld directories, %lld files that events had missed\n",
           (long long)number(v, "watcher", "directories"),
           (long long)number(v, "watcher", "drift"));
    static const char *const notes[][2] = {{"watcher", "trouble"},
                                           {"journal", "why"},
                                           {"spool", "why"},
                                           {"spool", "denied"},
                                           {"sandbox", "why"}};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        const char *note = text(v, notes[i][0], notes[i][1]);
        if (note)
            print_safe("note        ", note, "\n");
    }
    print_event_types(v);
}

/* The age of what waits longest against the limit. */
static enum cli_status judge(const json_t *v, uint64_t max_age_ms)
{
    const json_t *oldest = json_object_get(json_object_get(v, "backlog"), "oldest_age_ms");
    char age[UNITS_TEXT_SIZE];
    if (!json_is_integer(oldest) || (uint64_t)json_integer_value(oldest) <= max_age_ms)
        return CLI_YES;
    return cli_fail(CLI_NO, "the oldest file waits for %s",
                    units_format_duration(age, (uint64_t)json_integer_value(oldest)));
}

static enum cli_status show(const struct cli_common *o, const struct config *c, uint64_t max_age_ms)
{
    struct err e = {0};
    json_t *v = NULL;
    enum cli_status status = cli_ask(c, "GET", "/v1/status", NULL, &v, &e);
    if (status != CLI_YES)
        return status == CLI_NO ? cli_fail(CLI_ENVIRONMENT, "%s", e.text) : status;
    if (o->json)
        cli_print_json(v);
    else
        print_status(v);
    if (max_age_ms != UINT64_MAX)
        status = judge(v, max_age_ms);
    json_decref(v);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    static const struct option options[] = {
        {"watch", no_argument, NULL, 'w'}, {"max-age", required_argument, NULL, 'm'}, {0}};
    struct cli_common o;
    struct config *c = NULL;
    bool watch = false;
    uint64_t max_age_ms = UINT64_MAX;
    int opt;
    enum cli_status status = cli_common_options(&cmd_status, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'w')
            watch = true;
        else if (opt != 'm' || units_parse_duration(optarg, &max_age_ms) != RC_OK)
            return cli_fail(CLI_USAGE,
                            "usage: spoolgate status [--json] [--watch] [--max-age 60s]");
    }
    if (optind < argc)
        return cli_fail(CLI_USAGE, "status takes no arguments, found \"%s\"", argv[optind]);
    if (watch && max_age_ms != UINT64_MAX)
        return cli_fail(CLI_USAGE,
                        "--max-age judges one answer, --watch has no end: leave one out");
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    status = watch ? watch_run(c, o.json) : show(&o, c, max_age_ms);
    config_free(c);
    return status;
}

const struct cli_command cmd_status = {
    .name = "status",
    .summary = "is everything delivered, and if not, why",
    .help =
        "Usage: spoolgate status [--json] [--watch] [--max-age DURATION] [-c FILE]\n\n"
        "      --watch              the whole terminal, once a second: rate, backlog, files in\n"
        "                           flight, last errors; ? says the keys. In a pipe, a line a "
        "second\n"
        "      --max-age DURATION   exit 1 if a file has waited longer (for probes and alerts)\n\n"
        "Example:\n  spoolgate status --max-age 60s\n\n"
        "Exit status: 0 yes; 1 --max-age is exceeded; 111 no gateway answers.\n",
    .run = run,
};
