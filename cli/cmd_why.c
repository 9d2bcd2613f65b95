/* spoolgate why: the state of one file, the reason, the remedy, its history. */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_text(const json_t *v, const char *label, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    if (s && s[0] != '\0')
        printf("%-9s %s\n", label, s);
}

static void print_answer(const json_t *v)
{
    size_t i;
    const json_t *h;
    print_text(v, "file", "path");
    print_text(v, "state", "state");
    print_text(v, "why", "why");
    print_text(v, "remedy", "remedy");
    print_text(v, "place", "place");
    print_text(v, "accepted", "accepted_at");
    json_array_foreach(json_object_get(v, "history"), i, h)
    {
        const char *why = json_string_value(json_object_get(h, "why"));
        printf("%-9s %s  %s%s%s\n", i == 0 ? "history" : "",
               json_string_value(json_object_get(h, "at")),
               json_string_value(json_object_get(h, "what")), why ? ": " : "", why ? why : "");
    }
}

static void print_receipt(const json_t *r)
{
    print_text(r, "file", "path");
    puts("state     delivered");
    print_text(r, "key", "key");
    print_text(r, "bucket", "bucket");
    print_text(r, "at", "delivered_at");
    print_text(r, "etag", "etag");
    print_text(r, "sha256", "sha256");
    if (json_is_true(json_object_get(r, "verified")))
        puts("note      the object was there already and was verified to be the same bytes");
}

/* Was it, or one of its name, delivered after what the gateway tells of? What was rejected stays
 * where it is, and tells nothing of a good one that came later. */
static bool was_delivered(const struct config *c, const char *path, const json_t *v,
                          json_t **receipt)
{
    const char *at = json_string_value(json_object_get(v, "rejected_at"));
    int64_t since_ns = 0;
    struct err e;
    if (v && (!at || clock_parse_rfc3339(at, &since_ns) != RC_OK))
        return false;
    return receipt_find(c, path, since_ns, INT64_MIN, receipt, &e) == RC_OK;
}

static enum cli_status explain(const struct cli_common *o, const struct config *c, const char *path)
{
    struct err e = {0};
    struct buf url;
    json_t *v = NULL, *receipt = NULL;
    buf_init(&url, 16384);
    buf_adds(&url, "/v1/file?path=");
    cli_query_encode(&url, path);
    enum cli_status status = cli_ask(c, "GET", url.data, NULL, &v, &e);
    buf_fini(&url);
    if ((status == CLI_YES || status == CLI_NO) && was_delivered(c, path, v, &receipt)) {
        json_object_set_new(receipt, "state", json_string("delivered"));
        if (o->json)
            cli_print_json(receipt);
        else
            print_receipt(receipt);
        status = CLI_YES;
    } else if (status == CLI_YES && o->json) {
        cli_print_json(v);
    } else if (status == CLI_YES) {
        print_answer(v);
    } else if (status == CLI_NO) {
        status = cli_fail(CLI_NO, "%s", e.text);
    }
    json_decref(v);
    json_decref(receipt);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    struct cli_common o;
    struct config *c = NULL;
    struct err e = {0};
    struct buf path;
    enum cli_status status = cli_common_options(&cmd_why, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    if (argc != 2)
        return cli_fail(CLI_USAGE, "usage: spoolgate why FILE");
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    buf_init(&path, 8192);
    enum rc rc = cli_path_below(c, argv[1], &path, &e);
    status = rc == RC_OK ? explain(&o, c, path.data) : cli_fail_err(rc, &e);
    buf_fini(&path);
    config_free(c);
    return status;
}

const struct cli_command cmd_why = {
    .name = "why",
    .summary = "the state of one file, the reason, and what to do",
    .help = "Usage: spoolgate why FILE [-c FILE] [--json]\n\n"
            "FILE is a path below the spool root, or a whole path into it. A file that is gone "
            "from the\n"
            "spool, or was rejected and came again, is looked up among the receipts.\n\n"
            "Example:\n  spoolgate why Panoptica/findings/2026-11-23/prod/f-1.json\n\n"
            "Exit status: 0 something is known of it; 1 nothing is; 111 no gateway answers.\n",
    .run = run,
};
