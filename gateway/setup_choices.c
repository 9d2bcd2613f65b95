/* What a set-up offers to choose from: see setup.h. Nothing here is decisive: an account, a role or
 * a bucket that is not found can be typed.
 */
#include "gateway/setup.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/ask.h"
#include "gateway/settings.h"
#include "policy/arn.h"
#include "uploader/endpoint.h"
#include "uploader/xml.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWS_FILE_MAX (1 << 20)
/* Stand in for what is not known yet while the store is asked. */
#define NO_BUCKET "spoolgate-setup"

/* ---- the files of the AWS tools ---- */

struct told { /* NULL: not wanted */
    setup_found *account, *role;
    void *arg;
};

static char *aws_file(const char *variable, const char *below_home)
{
    const char *named = getenv(variable), *home = getenv("HOME");
    char path[4096];
    char *text = NULL;
    size_t n;
    struct err e;
    if (named && named[0])
        (void)snprintf(path, sizeof path, "%s", named);
    else if (home)
        (void)snprintf(path, sizeof path, "%s/%s", home, below_home);
    else
        return NULL;
    return fsio_read_file(&fsio_system, AT_FDCWD, path, AWS_FILE_MAX, &text, &n, &e) == RC_OK
               ? text
               : NULL;
}

/* "[profile x]" and "[x]" of a config file, or NULL. Cuts the line. */
static char *section_name(char *line)
{
    char *end = strchr(line, ']');
    if (line[0] != '[' || !end)
        return NULL;
    *end = '\0';
    line += strspn(line, "[ \t");
    if (strncmp(line, "profile ", 8) == 0)
        line += 8 + strspn(line + 8, " \t");
    return strncmp(line, "sso-session ", 12) == 0 || strncmp(line, "services ", 9) == 0 ? NULL
                                                                                        : line;
}

/* The value of `name = value`, or NULL. Cuts the line. */
static char *value_of(char *line, const char *name)
{
    size_t n = strlen(name);
    line += strspn(line, " \t");
    if (strncmp(line, name, n) != 0)
        return NULL;
    line += n + strspn(line + n, " \t");
    if (*line != '=')
        return NULL;
    line += 1 + strspn(line + 1, " \t");
    line[strcspn(line, " \t\r")] = '\0';
    return *line ? line : NULL;
}

static void take_file(char *text, const struct told *told)
{
    char *save = NULL, *section = NULL, *found;
    for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '[') {
            section = section_name(line);
            if (section && told->account)
                told->account(told->arg, section, "profile of the AWS tools");
        } else if (section && told->role && (found = value_of(line, "role_arn"))) {
            told->role(told->arg, found, section);
        } else if (section && told->account && (found = value_of(line, "sso_account_id"))) {
            told->account(told->arg, found, section);
        }
    }
    free(text);
}

static void take_aws_files(const struct told *told)
{
    take_file(aws_file("AWS_CONFIG_FILE", ".aws/config"), told);
    take_file(aws_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
              &(struct told){.account = told->account, .arg = told->arg});
}

void setup_accounts(const struct setup *s, setup_found *found, void *arg)
{
    const char *ours = setup_existing(s, "account_name");
    if (ours)
        found(arg, ours, "configured now");
    take_aws_files(&(struct told){.account = found, .arg = arg});
}

void setup_roles(const struct setup *s, setup_found *found, void *arg)
{
    const char *ours = setup_existing(s, "credentials.assume_role.arn");
    if (ours)
        found(arg, ours, "configured now");
    take_aws_files(&(struct told){.role = found, .arg = arg});
}

/* ---- the store ---- */

/* The bucket's; without one, that of the region. */
static const struct endpoint_partition *partition_of(const struct setup *s)
{
    struct arn_bucket bucket;
    const char *region = s->region ? s->region : getenv("AWS_REGION");
    if (s->bucket_arn && arn_parse_bucket(s->bucket_arn, &bucket, NULL) == RC_OK)
        return endpoint_partition_named(bucket.partition);
    return endpoint_partition_of(region ? region : "");
}

static void arn_of(const struct setup *s, const char *name, char arn[128])
{
    (void)snprintf(arn, 128, "arn:%s:s3:::%.63s", partition_of(s)->name, name);
}

/* With the keys that the answers so far lead to. */
static void ask_in_region(const struct setup *s, enum request_op op, const char *region,
                          struct question_answer *out)
{
    char arn[128];
    arn_of(s, NO_BUCKET, arn);
    struct config *c = NULL;
    struct config_faults faults = {0};
    struct credentials_source *source = NULL;
    struct credentials *keys = NULL;
    struct endpoint ep;
    struct err e;
    *out = (struct question_answer){.rc = RC_ABSENT};
    enum rc rc = setup_config(s, arn, region, &c, &faults);
    config_faults_fini(&faults);
    if (rc != RC_OK)
        return;
    struct endpoint_cfg ec = settings_endpoint(c);
    struct credentials_cfg cc = settings_credentials(c);
    cc.stop = s->stop;
    rc = op == REQUEST_LIST_BUCKETS ? endpoint_service(&ec, &ep, &e)
                                    : endpoint_resolve(&ec, &ep, &e);
    if (rc == RC_OK && credentials_source_new(&cc, &source, &e) == RC_OK &&
        credentials_source_get(source, &keys, &e) == RC_OK) {
        struct asker asker = {.config = c, .endpoint = &ep, .keys = keys, .stop = s->stop};
        ask_store(&asker, op, "", out);
    }
    credentials_free(keys);
    credentials_source_free(source);
    config_free(c);
}

const char *setup_first_region(const struct setup *s)
{
    return partition_of(s)->first;
}

/* Some stores refuse a signature for another region than theirs, and name it. */
static void ask_anywhere(const struct setup *s, enum request_op op, struct question_answer *out)
{
    char region[sizeof out->region];
    ask_in_region(s, op, setup_first_region(s), out);
    if (out->rc == RC_OK || out->region[0] == '\0' ||
        strcmp(out->region, setup_first_region(s)) == 0)
        return;
    text_copy(region, sizeof region, out->region);
    question_answer_fini(out);
    ask_in_region(s, op, region, out);
}

struct buckets {
    const struct setup *setup;
    setup_found *found;
    void *arg;
};

static void add_bucket(void *arg, const char *name)
{
    const struct buckets *b = arg;
    char arn[128];
    arn_of(b->setup, name, arn);
    b->found(b->arg, arn, "");
}

void setup_buckets(const struct setup *s, setup_found *found, void *arg)
{
    const char *ours = setup_existing(s, "bucket.arn");
    struct buckets b = {.setup = s, .found = found, .arg = arg};
    struct question_answer a;
    struct err e;
    if (ours)
        found(arg, ours, "configured now");
    ask_anywhere(s, REQUEST_LIST_BUCKETS, &a);
    if (a.rc == RC_OK &&
        xml_each(a.body, a.body_len, "Bucket", "Name", add_bucket, &b, &e) != RC_OK)
        (void)e; /* what was read of it is there to choose; the rest can be typed */
    question_answer_fini(&a);
}

bool setup_find_region(const struct setup *s, char out[64])
{
    struct question_answer a;
    ask_anywhere(s, REQUEST_GET_BUCKET_LOCATION, &a);
    text_copy(out, 64, a.location[0] ? a.location : a.region);
    question_answer_fini(&a);
    return out[0] != '\0';
}
