/* spoolgate receipts: what was delivered, from the journal, whether a gateway runs or not. */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/receipt.h"
#include "gateway/receipts.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_receipt(void *arg, const json_t *receipt)
{
    struct buf *line = arg;
    buf_reset(line);
    json_write(line, receipt);
    puts(line->data);
}

static void print_damage(void *arg, const char *text)
{
    (void)arg;
    (void)cli_fail(CLI_NO, "%s", text);
}

static enum cli_status print_all(const struct config *c, const struct receipt_query *q)
{
    struct err e = {0};
    struct buf line;
    buf_init(&line, 65536);
    enum rc rc = receipt_each(c, q, print_receipt, print_damage, &line, &e);
    buf_fini(&line);
    if (fflush(stdout) != 0 || ferror(stdout))
        return cli_fail(CLI_ENVIRONMENT, "the receipts cannot be written out");
    if (rc == RC_CORRUPT)
        return cli_fail(CLI_NO, "the rest is complete; spoolgate journal verify says more");
    return rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
}

/* argv: files and patterns. */
static enum cli_status receipts(const struct config *c, struct receipt_query *q, int argc,
                                char **argv)
{
    size_t n = (size_t)argc;
    char **matches = calloc(n + 1, sizeof *matches);
    enum cli_status status = matches ? CLI_YES : CLI_BUG;
    for (size_t i = 0; i < n && status == CLI_YES; i++) {
        struct err e = {0};
        struct buf path;
        buf_init(&path, 8192);
        enum rc rc = cli_path_below(c, argv[i], &path, &e);
        if (rc != RC_OK)
            status = cli_fail_err(rc, &e);
        matches[i] = buf_take(&path);
        buf_fini(&path);
    }
    q->matches = (const char *const *)matches;
    q->n_matches = n;
    if (status == CLI_YES)
        status = print_all(c, q);
    for (size_t i = 0; matches && i < n; i++)
        free(matches[i]);
    free(matches);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    static const struct option options[] = {
        {"since", required_argument, NULL, 's'}, {"until", required_argument, NULL, 'u'}, {0}};
    struct cli_common o;
    struct config *c = NULL;
    struct receipt_query q = {.since_ns = INT64_MIN, .until_ns = INT64_MAX};
    int opt;
    enum cli_status status = cli_common_options(&cmd_receipts, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 's' && opt != 'u')
            return cli_fail(CLI_USAGE,
                            "usage: spoolgate receipts [--since T] [--until T] [FILE|PATTERN]…");
        if (!receipts_parse_time(optarg, clock_wall_now_ns(),
                                 opt == 's' ? &q.since_ns : &q.until_ns))
            return cli_fail(CLI_USAGE,
                            "\"%s\" is no time: expected 2026-11-23T08:00:00Z, 2026-11-23, or how "
                            "long ago, as 2h",
                            optarg);
    }
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    status = receipts(c, &q, argc - optind, argv + optind);
    config_free(c);
    return status;
}

const struct cli_command cmd_receipts = {
    .name = "receipts",
    .summary = "what was delivered: one line of JSON for each file",
    .help =
        "Usage: spoolgate receipts [--since T] [--until T] [FILE|PATTERN]… [-c FILE]\n\n"
        "Prints a line of JSON for each delivered file, in the order of their receipts: path, key, "
        "bucket, size,\n"
        "sha256, etag, version_id, request_id, attempts, verified, accepted_at, delivered_at. Read "
        "from the\n"
        "journal, whether a gateway runs or not; receipts are kept for receipts.keep_days.\n\n"
        "      --since T  delivered at T or later; T is 2026-11-23T08:00:00Z, 2026-11-23 (UTC), or "
        "how long\n"
        "                 ago, as 2h\n"
        "      --until T  delivered at T or before\n\n"
        "Example:\n  spoolgate receipts --since 24h 'Panoptica/findings/*'\n\n"
        "Exit status: 0 all were printed (also none); 1 a part of the journal is damaged, the rest "
        "was\nprinted; 100 usage; 111 the journal cannot be read.\n",
    .run = run,
};
