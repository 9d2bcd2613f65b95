/* spoolgate policy: the access policy of the bucket, made, merged, judged and explained. Here are
 * the options; the verbs are in policy_generate.c and policy_check.c.
 */
#include "cli/policy.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
    OPT_ACCOUNT = 256,
    OPT_ACL,
    OPT_BUCKET,
    OPT_COPY,
    OPT_ENCRYPTION,
    OPT_FORCE,
    OPT_KEY,
    OPT_KMS_KEY,
    OPT_MINIMAL,
    OPT_ONLY,
    OPT_OUTPUT,
    OPT_PUT_ROLE,
    OPT_REQUEST,
    OPT_ROLE,
    OPT_SESSION,
    OPT_STORAGE_CLASS,
    OPT_TAG,
    OPT_WITH,
    OPT_WITHOUT,
};
static const struct option options[] = {
    {"account", required_argument, NULL, OPT_ACCOUNT},
    {"acl", required_argument, NULL, OPT_ACL},
    {"bucket-arn", required_argument, NULL, OPT_BUCKET},
    {"copy", no_argument, NULL, OPT_COPY},
    {"encryption", required_argument, NULL, OPT_ENCRYPTION},
    {"force", no_argument, NULL, OPT_FORCE},
    {"key", required_argument, NULL, OPT_KEY},
    {"kms-key", required_argument, NULL, OPT_KMS_KEY},
    {"minimal", no_argument, NULL, OPT_MINIMAL},
    {"only", no_argument, NULL, OPT_ONLY},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"put-role", required_argument, NULL, OPT_PUT_ROLE},
    {"request", required_argument, NULL, OPT_REQUEST},
    {"role", required_argument, NULL, OPT_ROLE},
    {"session", required_argument, NULL, OPT_SESSION},
    {"storage-class", required_argument, NULL, OPT_STORAGE_CLASS},
    {"tag", required_argument, NULL, OPT_TAG},
    {"with", required_argument, NULL, OPT_WITH},
    {"without", required_argument, NULL, OPT_WITHOUT},
    {0},
};

static enum cli_status take_role(const char **roles, size_t *n, const char *arn)
{
    if (*n == POLICY_ROLES_MAX)
        return cli_fail(CLI_USAGE, "more than %d roles are given", POLICY_ROLES_MAX);
    roles[(*n)++] = arn;
    return CLI_YES;
}

/* "aws:SourceVpce=vpce-1", or the name alone of a key that is absent. */
static enum cli_status take_known(struct policy_options *o, const char *text, bool present)
{
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    if (o->n_known == POLICY_KNOWN_MAX || n == 0 || n >= sizeof o->names_[0])
        return cli_fail(CLI_USAGE, "--with and --without: at most %d keys, each with a name",
                        POLICY_KNOWN_MAX);
    if (present != (equals != NULL))
        return cli_fail(CLI_USAGE, "%s: expected %s", text,
                        present ? "--with KEY=VALUE" : "--without KEY");
    size_t i = o->n_known++;
    memcpy(o->names_[i], text, n);
    o->names_[i][n] = '\0';
    o->values_[i] = present ? equals + 1 : NULL;
    o->known[i] = (struct context_key){.name = o->names_[i],
                                       .kind = present ? CONTEXT_ONE : CONTEXT_ABSENT,
                                       .values = &o->values_[i],
                                       .n = present ? 1 : 0};
    return CLI_YES;
}

static enum cli_status take_tag(struct policy_options *o, const char *text)
{
    if (!strchr(text, '=') || strchr(text, '=') - text > 128 || o->n_tags == OURS_TAGS_MAX)
        return cli_fail(CLI_USAGE, "--tag: expected KEY=VALUE, at most %d of them", OURS_TAGS_MAX);
    o->tags[o->n_tags++] = text;
    return CLI_YES;
}

static const char **text_option(struct policy_options *o, int opt)
{
    switch (opt) {
    case OPT_ACCOUNT:
        return &o->account;
    case OPT_ACL:
        return &o->acl;
    case OPT_BUCKET:
        return &o->bucket_arn;
    case OPT_ENCRYPTION:
        return &o->encryption;
    case OPT_KEY:
        return &o->key;
    case OPT_KMS_KEY:
        return &o->kms_key;
    case OPT_OUTPUT:
        return &o->output;
    case OPT_REQUEST:
        return &o->request;
    case OPT_SESSION:
        return &o->session;
    case OPT_STORAGE_CLASS:
        return &o->storage_class;
    default:
        return NULL;
    }
}

static enum cli_status take(struct policy_options *o, int opt)
{
    const char **text = text_option(o, opt);
    if (text) {
        *text = optarg;
        return CLI_YES;
    }
    switch (opt) {
    case OPT_COPY:
        o->copy = true;
        return CLI_YES;
    case OPT_FORCE:
        o->force = true;
        return CLI_YES;
    case OPT_MINIMAL:
        o->minimal = true;
        return CLI_YES;
    case OPT_ONLY:
        o->only_ours = true;
        return CLI_YES;
    case OPT_ROLE:
        return take_role(o->roles, &o->n_roles, optarg);
    case OPT_PUT_ROLE:
        return take_role(o->put_roles, &o->n_put_roles, optarg);
    case OPT_TAG:
        return take_tag(o, optarg);
    case OPT_WITH:
    case OPT_WITHOUT:
        return take_known(o, optarg, opt == OPT_WITH);
    default:
        return cli_fail(CLI_USAGE, "spoolgate policy --help says which options there are");
    }
}

static const struct verb {
    const char *name;
    bool reads;
    enum cli_status (*run)(struct policy_options *o);
} verbs[] = {
    {"generate", false, policy_generate},
    {"merge", true, policy_merge},
    {"check", true, policy_check},
    {"explain", true, policy_explain},
};

static enum cli_status parse(int argc, char **argv, struct policy_options *o,
                             const struct verb **verb)
{
    enum cli_status status = CLI_YES;
    int opt;
    while (status == CLI_YES && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
        status = take(o, opt);
    if (status != CLI_YES)
        return status;
    *verb = NULL;
    for (size_t i = 0; optind < argc && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[optind], verbs[i].name) == 0)
            *verb = &verbs[i];
    }
    if (!*verb)
        return cli_fail(CLI_USAGE, "usage: spoolgate policy generate|merge|check|explain; "
                                   "spoolgate policy --help says more");
    if (argc - optind != 1 + (*verb)->reads)
        return cli_fail(CLI_USAGE, "usage: spoolgate policy %s%s [OPTION…]", (*verb)->name,
                        (*verb)->reads ? " FILE|-" : "");
    if (o->minimal && o->n_put_roles > 0)
        return cli_fail(CLI_USAGE, "--put-role names the role of the second statement, which "
                                   "--minimal does not have");
    o->verb = (*verb)->name;
    o->document = (*verb)->reads ? argv[optind + 1] : NULL;
    return CLI_YES;
}

static enum cli_status run(int argc, char **argv)
{
    struct policy_options o = {0};
    struct cli_common common;
    const struct verb *verb;
    enum cli_status status = cli_common_options(&cmd_policy, &argc, argv, &common);
    if (status != CLI_YES || common.done)
        return status;
    o.common = common;
    status = parse(argc, argv, &o, &verb);
    if (status == CLI_YES)
        status = verb->run(&o);
    config_free(o.config);
    for (size_t i = 0; i < OURS_TAGS_MAX; i++)
        free(o.tags_[i]);
    return status;
}

const struct cli_command cmd_policy = {
    .name = "policy",
    .summary = "the bucket's access policy: generate, merge, check, explain",
    .help =
        "Usage: spoolgate policy generate [OPTION…]      the policy to paste\n"
        "       spoolgate policy merge FILE|- [OPTION…]  the bucket's policy with our statements\n"
        "       spoolgate policy check FILE|- [OPTION…]  would our requests pass\n"
        "       spoolgate policy explain FILE|-          in plain sentences\n\n"
        "Roles and bucket are the configuration's unless they are given; then no configuration is\n"
        "needed.\n\n"
        "      --role ARN        who writes: a role, an IAM user, or an account (12 digits); may "
        "be\n"
        "                        given more than once\n"
        "      --account NAME    the configured account of that name: its role\n"
        "      --bucket-arn ARN  such as arn:aws:s3:::customer-siem\n\n"
        "generate and merge:\n"
        "      --put-role ARN    another role for the second statement\n"
        "      --minimal         only what this configuration needs\n"
        "      --only            merge: an earlier statement of ours loses roles not given now\n"
        "      --output FILE     into a new file; --force replaces one that is there\n"
        "      --copy            to the clipboard (wl-copy, xclip, or the terminal)\n\n"
        "check and explain, beside what the configuration says:\n"
        "      --key KEY         a typical object's\n"
        "      --session NAME    of the role's session\n"
        "      --acl ACL|none, --encryption ALGORITHM, --kms-key ARN, --storage-class CLASS,\n"
        "      --tag KEY=VALUE   what uploads have\n"
        "      --with KEY=VALUE  a context key, such as aws:SourceVpce=vpce-1\n"
        "      --without KEY     a context key that requests do not have\n"
        "      --request FILE    check: one request as JSON instead of ours\n\n"
        "Examples:\n"
        "  spoolgate policy generate --role arn:aws:iam::111122223333:role/spoolgate \\\n"
        "      --bucket-arn arn:aws:s3:::customer-siem --output policy.json\n"
        "  aws s3api get-bucket-policy --bucket customer-siem --query Policy --output text |\n"
        "      spoolgate policy merge -\n\n"
        "Exit status: 0 printed, or our requests pass; 1 check: they do not, or it cannot be "
        "told;\n"
        "100 an ARN is wrong, or the document is no policy; 111 a file cannot be read or "
        "written.\n",
    .run = run,
};
