/* spoolgate policy: the bucket access policy to paste. */
#include "cli/cli.h"

#include "policy/document.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROLES_MAX 32

struct policy_options {
    struct cli_common common;
    const char *bucket_arn;
    const char *roles[ROLES_MAX];
    size_t n_roles;
};

static enum cli_status parse(int argc, char **argv, struct policy_options *o)
{
    static const struct option options[] = {
        {"bucket-arn", required_argument, NULL, 'b'}, {"role", required_argument, NULL, 'r'}, {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'b') {
            o->bucket_arn = optarg;
        } else if (opt == 'r' && o->n_roles < ROLES_MAX) {
            o->roles[o->n_roles++] = optarg;
        } else {
            return cli_fail(CLI_USAGE, "spoolgate policy --help says which options there are");
        }
    }
    if (optind + 1 != argc || strcmp(argv[optind], "generate") != 0)
        return cli_fail(CLI_USAGE,
                        "usage: spoolgate policy generate --role ARN [--bucket-arn ARN]");
    if (o->n_roles == 0)
        return cli_fail(CLI_USAGE, "--role is missing: the ARN of the role that writes, such as "
                                   "arn:aws:iam::111122223333:role/spoolgate");
    return CLI_YES;
}

static enum cli_status generate(const struct policy_options *o, const char *bucket_arn)
{
    struct buf document;
    struct err e = {0};
    buf_init(&document, 65536);
    struct document_cfg cfg = {
        .bucket_arn = bucket_arn, .role_arns = o->roles, .n_role_arns = o->n_roles};
    enum rc rc = document_generate(&cfg, &document, &e);
    enum cli_status status = rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
    if (rc == RC_OK) {
        fputs(document.data, stdout);
        const char *name = strrchr(bucket_arn, ':');
        if (cli_is_terminal(STDERR_FILENO) && name)
            fprintf(stderr,
                    "\nPaste it in the AWS console, under the bucket's Permissions, Bucket policy, "
                    "Edit, Save:\n"
                    "https://s3.console.aws.amazon.com/s3/buckets/%s?tab=permissions\n",
                    name + 1);
    }
    buf_fini(&document);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    struct policy_options o = {0};
    struct config *c = NULL;
    enum cli_status status = cli_common_options(&cmd_policy, &argc, argv, &o.common);
    if (status != CLI_YES || o.common.done)
        return status;
    if ((status = parse(argc, argv, &o)) != CLI_YES)
        return status;
    if (!o.bucket_arn && (status = cli_load_config(&o.common, &c)) != CLI_YES)
        return status;
    status = generate(&o, o.bucket_arn ? o.bucket_arn : c->bucket.arn);
    config_free(c);
    return status;
}

const struct cli_command cmd_policy = {
    .name = "policy",
    .summary = "generate: the access policy for the bucket's owner to paste",
    .help =
        "Usage: spoolgate policy generate --role ARN… [--bucket-arn ARN] [-c FILE]\n\n"
        "Prints the bucket policy that lets the role write with bucket-owner-full-control. The "
        "bucket is\n"
        "the configuration's unless --bucket-arn names one (then no configuration is needed).\n\n"
        "      --role ARN        the role that writes; may be given more than once\n"
        "      --bucket-arn ARN  such as arn:aws:s3:::customer-siem\n\n"
        "Example:\n"
        "  spoolgate policy generate --role arn:aws:iam::111122223333:role/spoolgate \\\n"
        "      --bucket-arn arn:aws:s3:::customer-siem > policy.json\n\n"
        "Exit status: 0 printed; 100 an ARN is wrong.\n",
    .run = run,
};
