/* ARNs of buckets and roles, taken apart and held against AWS's rules: what passes here goes into
 * policies, hosts and messages as it is. */
#include "policy/arn.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BUCKET_FORM "an S3 bucket ARN such as \"arn:aws:s3:::my-bucket\""
#define ROLE_FORM   "a role's ARN such as \"arn:aws:iam::111122223333:role/my-role\""

enum { SHOWN_MAX = 80, NAME_MIN = 3, NAME_LONGEST = 63, ROLE_NAME_MAX = 64 };

/* AWS General Reference, "Amazon Resource Names": arn:partition:service:region:account:resource,
 * where only the resource may have further colons. */
struct parts {
    struct part {
        const char *s;
        size_t n;
    } partition, service, region, account;
    const char *resource;
};

/* Bytes of the input in a sentence: escaped, cut. */
struct shown {
    char text[4 * SHOWN_MAX + 8];
};

static const char *show(struct shown *out, const char *s, size_t n)
{
    struct buf b;
    bool cut = n > SHOWN_MAX;
    buf_init(&b, sizeof out->text);
    if (cut) {
        n = SHOWN_MAX;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    }
    utf8_escape(&b, s, n);
    (void)snprintf(out->text, sizeof out->text, "%s%s", b.data, cut ? "…" : "");
    buf_fini(&b);
    return out->text;
}

static bool is(struct part p, const char *text)
{
    return p.n == strlen(text) && memcmp(p.s, text, p.n) == 0;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool split(const char *s, struct parts *out)
{
    struct part *const into[] = {&out->partition, &out->service, &out->region, &out->account};
    if (strncmp(s, "arn:", 4) != 0)
        return false;
    s += 4;
    for (size_t i = 0; i < sizeof into / sizeof into[0]; i++) {
        *into[i] = (struct part){s, strcspn(s, ":")};
        s += into[i]->n;
        if (*s++ != ':')
            return false;
    }
    out->resource = s;
    return true;
}

/* The partitions there are: partitions.json of the AWS SDKs. */
static enum rc take_partition(const char *s, struct part p, char out[16], struct err *e)
{
    static const char *const known[] = {"aws",       "aws-us-gov", "aws-cn",    "aws-iso",
                                        "aws-iso-b", "aws-iso-e",  "aws-iso-f", "aws-eusc"};
    struct shown whole, part;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is(p, known[i])) {
            (void)snprintf(out, 16, "%s", known[i]);
            return RC_OK;
        }
    }
    return err_set(e, RC_INVALID,
                   "expected the partition \"aws\", \"aws-us-gov\" or \"aws-cn\", found \"%s\" in "
                   "\"%s\"",
                   show(&part, p.s, p.n), show(&whole, s, strlen(s)));
}

/* ---- buckets ---- */

/* Four numbers with dots between. */
static bool looks_like_ip(const char *s)
{
    int dots = 0;
    for (; *s; s++) {
        if (*s != '.' && (*s < '0' || *s > '9'))
            return false;
        dots += *s == '.';
    }
    return dots == 3;
}

static const char *name_fault(const char *name)
{
    static const char *const prefixes[] = {"xn--", "sthree-", "amzn-s3-demo-"};
    static const char *const suffixes[] = {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"};
    size_t n = strlen(name);
    if (n < NAME_MIN || n > NAME_LONGEST)
        return "it must have 3 to 63 characters";
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(name[i]) && name[i] != '-' && name[i] != '.')
            return "it may have lower-case letters, digits, dots and hyphens only";
    }
    if (!is_alnum(name[0]) || !is_alnum(name[n - 1]))
        return "it must begin and end with a letter or a digit";
    if (strstr(name, ".."))
        return "it has two dots in a row";
    if (looks_like_ip(name))
        return "it looks like an IP address";
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return "names that begin with \"xn--\", \"sthree-\" or \"amzn-s3-demo-\" are reserved";
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t len = strlen(suffixes[i]);
        if (n > len && strcmp(name + n - len, suffixes[i]) == 0)
            return "its ending is reserved for access points, directory and table buckets; a "
                   "general purpose bucket is needed";
    }
    return NULL;
}

enum rc arn_check_bucket_name(const char *name, struct err *e)
{
    struct shown shown;
    const char *why = name_fault(name);
    if (!why)
        return RC_OK;
    return err_set(e, RC_INVALID, "expected the name of a bucket, found \"%s\": %s",
                   show(&shown, name, strlen(name)), why);
}

/* What stands where a bucket's name belongs, and is one of the other things that S3 has. */
static enum rc refuse_other(const char *s, const struct parts *p, struct err *e)
{
    struct shown whole, bucket;
    const char *slash = strchr(p->resource, '/');
    (void)show(&whole, s, strlen(s));
    if (!is(p->service, "s3"))
        return err_set(e, RC_INVALID, "expected " BUCKET_FORM ", found \"%s\" of another service",
                       whole.text);
    if (strncmp(p->resource, "accesspoint", strlen("accesspoint")) == 0 && (slash || p->region.n))
        return err_set(e, RC_INVALID,
                       "expected " BUCKET_FORM ", found the access point \"%s\": name the bucket "
                       "behind it",
                       whole.text);
    if (p->region.n > 0 || p->account.n > 0)
        return err_set(e, RC_INVALID,
                       "expected " BUCKET_FORM ", found \"%s\": a bucket's ARN has neither region "
                       "nor account",
                       whole.text);
    return err_set(e, RC_INVALID,
                   "expected a bucket's ARN, found \"%s\", which names objects: the bucket's is "
                   "\"arn:%.*s:s3:::%s\"",
                   whole.text, (int)p->partition.n, p->partition.s,
                   show(&bucket, p->resource, (size_t)(slash - p->resource)));
}

enum rc arn_parse_bucket(const char *s, struct arn_bucket *out, struct err *e)
{
    struct parts p;
    struct shown shown;
    *out = (struct arn_bucket){0};
    if (!split(s, &p))
        return err_set(e, RC_INVALID, "expected " BUCKET_FORM ", found \"%s\"",
                       show(&shown, s, strlen(s)));
    enum rc rc = take_partition(s, p.partition, out->partition, e);
    if (rc != RC_OK)
        return rc;
    if (!is(p.service, "s3") || p.region.n > 0 || p.account.n > 0 || strchr(p.resource, '/'))
        return refuse_other(s, &p, e);
    rc = arn_check_bucket_name(p.resource, e);
    if (rc == RC_OK)
        (void)snprintf(out->name, sizeof out->name, "%s", p.resource);
    return rc;
}

/* ---- roles, users, accounts ---- */

/* IAM User Guide, "IAM and AWS STS quotas": a name has letters, digits and +=,.@_- and at most 64
 * of them; a path before it visible ASCII, and both together at most 512. */
static bool is_role_name(const char *s)
{
    const char *slash = strrchr(s, '/'), *name = slash ? slash + 1 : s;
    size_t n = strlen(name);
    if (n == 0 || n > ROLE_NAME_MAX || strlen(s) >= sizeof((struct arn_role *)0)->name ||
        s[0] == '/' || strstr(s, "//"))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(name[i]) && !(name[i] >= 'A' && name[i] <= 'Z') &&
            !strchr("+=,.@_-", name[i]))
            return false;
    }
    for (; s < name; s++) {
        if (*s <= ' ' || *s > '~')
            return false;
    }
    return true;
}

static bool is_account(struct part p)
{
    for (size_t i = 0; i < p.n; i++) {
        if (p.s[i] < '0' || p.s[i] > '9')
            return false;
    }
    return p.n == sizeof((struct arn_role *)0)->account - 1;
}

static const char *principal_fault(const struct parts *p, struct arn_principal *out)
{
    static const char session[] = "assumed-role/";
    static const struct {
        const char *begin;
        enum arn_kind kind;
    } kinds[] = {{"role/", ARN_ROLE}, {"user/", ARN_USER}};
    if (is(p->service, "sts") && strncmp(p->resource, session, strlen(session)) == 0)
        return "that is a session of a role: name the role itself, service \"iam\" and \"role/…\"";
    if (!is(p->service, "iam"))
        return "the service must be \"iam\"";
    if (p->region.n > 0)
        return "IAM has no regions: nothing stands between the colons after \"iam\"";
    if (!is_account(p->account))
        return "the account must have 12 digits";
    (void)snprintf(out->account, sizeof out->account, "%.*s", (int)p->account.n, p->account.s);
    if (strcmp(p->resource, "root") == 0) {
        out->kind = ARN_ACCOUNT;
        return NULL;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strncmp(p->resource, kinds[i].begin, strlen(kinds[i].begin)) != 0)
            continue;
        out->kind = kinds[i].kind;
        const char *name = p->resource + strlen(kinds[i].begin);
        if (!is_role_name(name))
            return "a name has 1 to 64 letters, digits and +=,.@_-";
        (void)snprintf(out->name, sizeof out->name, "%s", name);
        return NULL;
    }
    return "that is no role: \"role/\", \"user/\" or \"root\" must follow the account";
}

enum rc arn_parse_principal(const char *s, const char *partition, struct arn_principal *out,
                            struct err *e)
{
    struct parts p;
    struct shown shown;
    struct part bare = {s, strlen(s)};
    char expanded[64];
    *out = (struct arn_principal){0};
    if (is_account(bare)) {
        (void)snprintf(expanded, sizeof expanded, "arn:%.15s:iam::%.12s:root", partition, s);
        s = expanded;
    }
    (void)show(&shown, s, strlen(s));
    if (!split(s, &p))
        return err_set(e, RC_INVALID, "expected " ROLE_FORM ", found \"%s\"", shown.text);
    const char *why = principal_fault(&p, out);
    if (why)
        return err_set(e, RC_INVALID, "expected " ROLE_FORM ", found \"%s\": %s", shown.text, why);
    (void)snprintf(out->arn, sizeof out->arn, "%s", s);
    return take_partition(s, p.partition, out->partition, e);
}

enum rc arn_parse_role(const char *s, struct arn_role *out, struct err *e)
{
    struct arn_principal p;
    struct shown shown;
    *out = (struct arn_role){0};
    enum rc rc = arn_parse_principal(s, "", &p, e);
    if (rc != RC_OK)
        return rc;
    if (p.kind != ARN_ROLE)
        return err_set(e, RC_INVALID,
                       "expected " ROLE_FORM ", found \"%s\": that is no role: \"role/\" must "
                       "follow the account",
                       show(&shown, s, strlen(s)));
    memcpy(out->partition, p.partition, sizeof out->partition);
    memcpy(out->account, p.account, sizeof out->account);
    memcpy(out->name, p.name, sizeof out->name);
    return RC_OK;
}
