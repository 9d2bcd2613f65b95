/* spoolgate setup: from an account and a bucket to a tested, saved configuration. Every question
 * has a flag; a pipe is asked nothing. What is saved has been tested first.
 */
#include "base/mem.h"
#include "cli/choose.h"
#include "cli/clipboard.h"
#include "cli/policy.h"
#include "cli/progress.h"
#include "cli/verdict.h"
#include "gateway/setup.h"
#include "policy/document.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Texts of flags are borrowed from argv, asked answers are owned. */
struct asking {
    struct setup of;
    struct cli_common common;
    bool may_ask, copy, yes, save_anyway;
    char *owned[8];
    size_t n_owned;
};

/* ---- options ---- */

struct flag {
    struct option option;
    size_t offset; /* in struct asking: of a text or, without an argument, of a bool */
};
#define TEXT(n, f)                                                                                 \
    {                                                                                              \
        {n, required_argument, NULL, 't'}, offsetof(struct asking, f)                              \
    }
#define BOOL(n, f)                                                                                 \
    {                                                                                              \
        {n, no_argument, NULL, 'b'}, offsetof(struct asking, f)                                    \
    }
static const struct flag flags[] = {
    TEXT("account", of.account),
    TEXT("bucket-arn", of.bucket_arn),
    TEXT("region", of.region),
    TEXT("role", of.role),
    TEXT("external-id", of.external_id),
    TEXT("endpoint", of.endpoint),
    TEXT("ca-file", of.ca_file),
    TEXT("profile", of.profile),
    TEXT("spool", of.spool),
    TEXT("state", of.state),
    TEXT("control", of.control),
    BOOL("path-style", of.path_style),
    BOOL("allow-http", of.allow_http),
    BOOL("keys-as-they-are", of.keys_as_they_are),
    BOOL("copy", copy),
    BOOL("yes", yes),
    BOOL("save-anyway", save_anyway),
};
#define FLAGS (sizeof flags / sizeof flags[0])

static enum cli_status parse(int argc, char **argv, struct asking *s)
{
    struct option options[FLAGS + 1] = {0};
    int opt, at = 0;
    for (size_t i = 0; i < FLAGS; i++)
        options[i] = flags[i].option;
    while ((opt = getopt_long(argc, argv, "", options, &at)) != -1) {
        char *field = (char *)s + flags[at].offset;
        if (opt == 't')
            memcpy(field, &optarg, sizeof optarg);
        else if (opt == 'b')
            *(bool *)(void *)field = true;
        else
            return cli_fail(CLI_USAGE, "spoolgate setup --help says which options there are");
    }
    if (optind < argc)
        return cli_fail(CLI_USAGE, "setup takes no arguments, found \"%s\"", argv[optind]);
    return CLI_YES;
}

/* ---- questions ---- */

/* Around what waits for the store: the person sees for whom. */
static void wait_begin(struct progress *p, const char *for_whom)
{
    progress_begin(p, "", 0, false);
    progress_step(p, for_whom);
}

/* The flag, else the answer, else what is configured; a question that nobody answers names its
 * flag. */
static enum cli_status settle(struct asking *s, const char **answer, const char *question,
                              const char *flag, const struct choose_list *list, const char *preset)
{
    struct buf b;
    if (*answer)
        return CLI_YES;
    if (!s->may_ask) {
        *answer = preset;
        if (!preset)
            return cli_fail(CLI_USAGE, "%s is not known: give it with --%s", question, flag);
        return CLI_YES;
    }
    buf_init(&b, 4096);
    enum rc rc = choose_from(question, list, preset ? preset : "", &b);
    if (rc == RC_OK)
        *answer = s->owned[s->n_owned++] = buf_take(&b);
    buf_fini(&b);
    return rc == RC_OK ? CLI_YES : cli_fail(CLI_NO, "nothing was changed");
}

static void offer(void *arg, const char *value, const char *note)
{
    choose_list_add(arg, value, note);
}

static enum cli_status ask_account(struct asking *s)
{
    struct choose_list list = {0};
    setup_accounts(&s->of, offer, &list);
    enum cli_status status = settle(s, &s->of.account, "AWS account name", "account", &list,
                                    setup_existing(&s->of, "account_name"));
    choose_list_fini(&list);
    return status;
}

static enum cli_status ask_role(struct asking *s)
{
    const char *now = setup_existing(&s->of, "credentials.assume_role.arn");
    const json_t *configured =
        json_object_get(json_object_get(s->of.existing, "credentials"), "assume_role");
    struct choose_list list = {0};
    if (s->of.keys_as_they_are || (!s->may_ask && !s->of.role && !now))
        return CLI_YES;
    if (json_is_array(configured) && !s->of.role)
        return CLI_YES; /* roles one after the other are no one answer: they stay */
    setup_roles(&s->of, offer, &list);
    enum cli_status status =
        settle(s, &s->of.role, "ARN of the role to assume (or \"none\": use the keys as they are)",
               "role", &list, now ? now : "none");
    choose_list_fini(&list);
    if (status == CLI_YES && strcmp(s->of.role, "none") == 0) {
        s->of.role = NULL;
        s->of.keys_as_they_are = true;
    }
    return status;
}

static enum cli_status ask_bucket(struct asking *s)
{
    const char *now = setup_existing(&s->of, "bucket.arn");
    struct choose_list list = {0};
    struct progress waiting;
    struct err e = {0};
    enum rc rc;
    if (!s->of.bucket_arn && s->may_ask) {
        wait_begin(&waiting, "The store is asked for its buckets ...");
        setup_buckets(&s->of, offer, &list);
        progress_end(&waiting);
    }
    enum cli_status status =
        settle(s, &s->of.bucket_arn, "S3 bucket ARN", "bucket-arn", &list, now);
    choose_list_fini(&list);
    rc = status == CLI_YES ? setup_same_bucket(&s->of, &e) : RC_OK;
    return rc == RC_OK ? status : cli_fail_err(rc, &e);
}

static enum cli_status ask_region(struct asking *s)
{
    const char *preset = setup_existing(&s->of, "bucket.region");
    char found[64] = "";
    struct progress waiting;
    wait_begin(&waiting, "The store is asked where the bucket is ...");
    if (!s->of.region && setup_find_region(&s->of, found))
        preset = found;
    progress_end(&waiting);
    if (!preset)
        preset = getenv("AWS_REGION");
    if (!preset)
        preset = getenv("AWS_DEFAULT_REGION");
    if (s->of.region || (found[0] && preset == found)) {
        if (!s->of.region)
            s->of.region = s->owned[s->n_owned++] = mem_strdup(found);
        return CLI_YES;
    }
    return settle(s, &s->of.region, "Region of the bucket", "region", NULL, preset);
}

/* ---- the policy ---- */

/* Other makers' stores have roles whose names AWS's policies know nothing of. */
static bool has_endpoint(const struct asking *s)
{
    return s->of.endpoint || setup_existing(&s->of, "bucket.endpoint");
}

/* The usual document allows no tags: where some are configured it is the one of what is needed. */
static enum cli_status show_policy(const struct asking *s, const struct config *c)
{
    const char *role = s->of.role;
    if (!role)
        role = json_string_value(json_object_get(setup_last_role(&s->of), "arn"));
    struct document_cfg cfg = {
        .bucket_arn = s->of.bucket_arn, .role_arns = &role, .n_role_arns = 1};
    struct document_needs needs = {.acl = c->bucket.acl != NULL, .tags = true};
    struct buf b, prefix;
    struct err e = {0};
    const char *how;
    if (!role || s->of.keys_as_they_are) {
        fputs(
            "The bucket's policy has to name whoever the keys belong to: spoolgate policy generate "
            "--role ARN prints it.\n",
            stderr);
        return CLI_YES;
    }
    buf_init(&b, DOCUMENT_MAX);
    buf_init(&prefix, 4096);
    if (c->bucket.tags.n > 0) {
        setup_prefix(c, &prefix);
        needs.prefix = prefix.data;
        cfg.needs = &needs;
    }
    enum rc rc = document_generate(&cfg, &b, &e);
    buf_fini(&prefix);
    if (rc == RC_OK) {
        if (!s->common.json)
            fputs(b.data, stdout);
        (void)fflush(stdout); /* in order with what follows; its failure is found at the end */
        policy_tell_where(s->of.bucket_arn);
        if (s->copy) {
            rc = clipboard_copy(b.data, b.len, &how, &e);
            if (rc == RC_OK)
                fprintf(stderr, "It is in the clipboard (%s).\n", how);
        }
    }
    buf_fini(&b);
    if (rc == RC_INVALID && has_endpoint(s)) {
        fprintf(stderr,
                "The bucket's policy cannot be told here, and is to be written as that "
                "store wants it: %s.\n",
                e.text);
        return CLI_YES;
    }
    return rc == RC_OK ? CLI_YES : cli_fail_err(rc, &e);
}

/* ---- the end ---- */

static void tell_next(const struct asking *s, const struct config *c)
{
    fprintf(stderr, "Saved in %s. ", s->of.path);
    if (access(c->control, F_OK) == 0)
        fputs("The gateway that runs takes it over with: systemctl reload spoolgate (or kill "
              "-HUP).\n",
              stderr);
    else
        fputs("Start the gateway with: systemctl enable --now spoolgate (or spoolgate run), after "
              "spoolgate check.\n",
              stderr);
}

static void print_facts(const struct asking *s, const struct config *c, const struct trial *t,
                        bool saved)
{
    json_t *all = config_to_json(c);
    json_t *v = json_pack("{s:b, s:o, s:o, s:o}", "saved", saved, "path",
                          json_text(s->of.path, strlen(s->of.path)), "test", verdict_json(c, t),
                          "config", all);
    cli_print_json(v);
    json_decref(v);
}

/* Test, and again as often as the person wants; then save. */
static enum cli_status test_and_save(const struct asking *s, const struct config *c)
{
    struct err e = {0};
    for (;;) {
        struct trial t;
        struct progress waiting;
        wait_begin(&waiting, "A test message is on its way to the bucket ...");
        trial_run(c, NULL, &t);
        progress_end(&waiting);
        enum cli_status status = s->common.json ? verdict_status(&t) : verdict_tell(c, &t);
        char answer = 'q';
        if (status == CLI_YES || s->save_anyway)
            answer = 's';
        else if (s->may_ask)
            answer =
                choose_key("[R]etry the test, [s]ave nevertheless, [q]uit without saving?", "rsq");
        enum rc rc = answer == 's' ? setup_save(&s->of, &e) : RC_OK;
        if (s->common.json && answer != 'r')
            print_facts(s, c, &t, answer == 's' && rc == RC_OK);
        trial_fini(&t);
        if (rc != RC_OK)
            return cli_fail_err(rc, &e);
        if (answer == 's')
            tell_next(s, c);
        else if (answer != 'r')
            (void)cli_fail(status, "nothing was saved: what is saved has passed the test, or is "
                                   "saved with --save-anyway");
        if (answer != 'r')
            return status;
    }
}

static enum cli_status go(struct asking *s)
{
    enum cli_status status;
    if ((status = ask_account(s)) != CLI_YES || (status = ask_role(s)) != CLI_YES ||
        (status = ask_bucket(s)) != CLI_YES || (status = ask_region(s)) != CLI_YES)
        return status;
    struct config *c = NULL;
    struct config_faults faults = {0};
    enum rc rc = setup_config(&s->of, "", "", &c, &faults);
    for (size_t i = 0; i < faults.n; i++)
        (void)cli_fail(CLI_USAGE, "%s", faults.lines[i]); /* returned below */
    config_faults_fini(&faults);
    if (rc != RC_OK)
        return CLI_USAGE;
    status = show_policy(s, c);
    if (status == CLI_YES && s->may_ask && !s->yes &&
        !choose_key("Press Enter when the policy is saved there, to send a test message.", "y"))
        status = cli_fail(CLI_NO, "nothing was changed");
    if (status == CLI_YES)
        status = test_and_save(s, c);
    config_free(c);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    struct asking s = {0};
    struct err e = {0};
    enum cli_status status = cli_common_options(&cmd_setup, &argc, argv, &s.common);
    if (status != CLI_YES || s.common.done)
        return status;
    s.may_ask = choose_may_ask();
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false); /* all is told here */
    s.of.path = config_choose_path(s.common.config_path);
    if ((status = parse(argc, argv, &s)) == CLI_YES) {
        enum rc rc = setup_read(&s.of, &e);
        if (rc == RC_OK)
            rc = http_global_init(&e);
        status = rc == RC_OK ? go(&s) : cli_fail_err(rc, &e);
        if (rc == RC_OK)
            http_global_fini();
    }
    json_decref(s.of.existing);
    for (size_t i = 0; i < s.n_owned; i++)
        free(s.owned[i]);
    return status;
}

const struct cli_command cmd_setup = {
    .name = "setup",
    .summary = "asks account, role and bucket; prints the policy; tests; saves",
    .help =
        "Usage: spoolgate setup [OPTION…] [-c FILE] [--json]\n\n"
        "Asks what is not given, prints the bucket policy and where to paste it, sends a test "
        "message, and\n"
        "saves the configuration when that has arrived. Typing narrows the lists. In a pipe "
        "nothing "
        "is asked.\n"
        "What the file holds already stays, but for the answers.\n\n"
        "      --account NAME      the AWS account's name, as it stands in the keys\n"
        "      --role ARN          the role to assume, which the policy names\n"
        "      --external-id ID    that the role's trust policy demands\n"
        "      --keys-as-they-are  assume no role\n"
        "      --bucket-arn ARN    such as arn:aws:s3:::customer-siem\n"
        "      --region NAME       of the bucket (else the store is asked)\n"
        "      --endpoint URL      a store that is not AWS; with --path-style, --ca-file FILE,\n"
        "                          --allow-http\n"
        "      --profile NAME      of the AWS tools' files\n"
        "      --spool DIR, --state DIR, --control PATH\n"
        "                          default /var/spool/spoolgate, /var/lib/spoolgate,\n"
        "                          /run/spoolgate/control.sock\n"
        "      --copy              the policy into the clipboard, too\n"
        "      --yes               do not wait until the policy is pasted\n"
        "      --save-anyway       save even if the test message did not arrive\n\n"
        "Example:\n"
        "  spoolgate setup --account prod --bucket-arn arn:aws:s3:::customer-siem \\\n"
        "      --role arn:aws:iam::111122223333:role/panoptica-customer --external-id 42 --yes\n\n"
        "Exit status: 0 tested and saved; 1 the test failed, or given up; 100 usage or "
        "configuration; 111 the\nenvironment.\n",
    .run = run,
};
