/* What makes a value of the configuration wrong although its form is right: single values against
 * the rules of those who use them, and keys against one another. Asks neither disk nor network. */
#include "gateway/config_int.h"

#include "base/utf8.h"
#include "gateway/metrics_listen.h"
#include "policy/arn.h"
#include "spool/layout.h"
#include "uploader/endpoint.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum { SAID_MAX = 1024 };

static enum rc refuse(const char *expected, const char *value, struct err *e)
{
    struct buf b;
    buf_init(&b, SAID_MAX);
    config_say_text(&b, value);
    enum rc rc = err_set(e, RC_INVALID, "expected %s, found %s", expected, b.data);
    buf_fini(&b);
    return rc;
}

enum rc config_check_arn(const char *value, struct err *e)
{
    struct arn_bucket arn;
    return arn_parse_bucket(value, &arn, e);
}

/* Stores that are not AWS's have ARNs of their own, so the parts are not looked at. */
enum rc config_check_role(const char *value, struct err *e)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (value[i] <= ' ' || value[i] > '~')
            n = 0;
    if (n < 20 || n > 200 || strncmp(value, "arn:", 4) != 0 || !strstr(value, ":role/"))
        return refuse("the ARN of a role such as \"arn:aws:iam::111122223333:role/name\"", value,
                      e);
    return RC_OK;
}

/* API Reference of STS, AssumeRole: RoleSessionName and ExternalId. */
static enum rc check_signs(const char *value, const char *signs, size_t longest, const char *what,
                           struct err *e)
{
    static const char usual[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (!strchr(usual, value[i]) && !strchr(signs, value[i]))
            n = 0;
    return n < 2 || n > longest ? refuse(what, value, e) : RC_OK;
}

enum rc config_check_session(const char *value, struct err *e)
{
    return check_signs(value, "+=,.@-", 64, "2 to 64 letters, digits and any of _+=,.@-", e);
}

enum rc config_check_external_id(const char *value, struct err *e)
{
    return check_signs(value, "+=,.@:/-", 1224, "2 to 1224 letters, digits and any of _+=,.@:/-",
                       e);
}

static enum rc check_sts(const char *url, bool allow_http, struct err *e)
{
    struct endpoint_cfg cfg = {.bucket = "sts",
                               .region = "us-east-1",
                               .url = url,
                               .allow_http = allow_http,
                               .path_style = true};
    struct endpoint ep;
    return endpoint_resolve(&cfg, &ep, e);
}

enum rc config_check_url(const char *value, struct err *e)
{
    return check_sts(value, true, e); /* what hangs on bucket.allow_http: check_roles */
}

enum rc config_check_plain(const char *value, struct err *e)
{
    size_t n = strlen(value);
    if (utf8_find_control(value, n) < n)
        return refuse("a text without control characters", value, e);
    return RC_OK;
}

enum rc config_check_account(const char *value, struct err *e)
{
    if (strlen(value) != 12 || strspn(value, "0123456789") != 12)
        return refuse("the 12 digits of an account, in quotes", value, e);
    return RC_OK;
}

enum rc config_check_word(const char *value, struct err *e)
{
    enum { LONGEST = 2048 };
    for (const char *c = value; *c; c++) {
        if (*c <= ' ' || *c > '~' || c - value >= LONGEST)
            return refuse("a word of ASCII letters, digits and marks", value, e);
    }
    return RC_OK;
}

enum rc config_check_component(const char *value, struct err *e)
{
    size_t n = strlen(value);
    if (n == 0 || n > NAME_MAX || strchr(value, '/') || strcmp(value, ".") == 0 ||
        strcmp(value, "..") == 0 || utf8_find_control(value, n) < n)
        return refuse("one component of a path: 1 to 255 bytes, no slash, no control characters, "
                      "not \".\" or \"..\"",
                      value, e);
    return RC_OK;
}

static bool has_dots(const char *path)
{
    for (const char *at = path; *at; at += strcspn(at, "/")) {
        at += *at == '/';
        size_t n = strcspn(at, "/");
        if ((n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return true;
    }
    return false;
}

enum rc config_check_directory(const char *value, struct err *e)
{
    if (strcmp(value, "/") == 0 || strlen(value) >= PATH_MAX || has_dots(value))
        return refuse("the absolute path of a directory below /, without \".\" and \"..\"", value,
                      e);
    return RC_OK;
}

enum rc config_check_socket(const char *value, struct err *e)
{
    enum { LONGEST = sizeof((struct sockaddr_un *)0)->sun_path - 1 };
    if (strlen(value) > LONGEST)
        return err_set(e, RC_INVALID,
                       "expected an absolute path of at most %d bytes, found one of %zu: the name "
                       "of a unix socket can be no longer",
                       LONGEST, strlen(value));
    if (strcmp(value, "/") == 0 || has_dots(value))
        return refuse("the absolute path of a socket, without \".\" and \"..\"", value, e);
    return RC_OK;
}

enum rc config_check_listen(const char *value, struct err *e)
{
    struct metrics_address a;
    if (metrics_address(value, &a) != RC_OK)
        return refuse("an address and a port such as \"127.0.0.1:9469\"", value, e);
    return RC_OK;
}

/* ---- keys against one another ---- */

static void check_metrics(const struct config *c, struct config_faults *f)
{
    struct metrics_address a;
    if (c->metrics.listen && !c->metrics.allow_remote &&
        metrics_address(c->metrics.listen, &a) == RC_OK && !a.loopback)
        config_fault(f,
                     "$.metrics.listen: expected an address of this machine alone, such as "
                     "\"127.0.0.1:9469\", found \"%s\": others could read the metrics from "
                     "there; set \"allow_remote\": true beside it if they should",
                     c->metrics.listen);
}

static bool is_inside(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

static void check_places(const struct config *c, struct config_faults *f)
{
    if (!c->spool || !c->state)
        return;
    const char *how = strcmp(c->spool, c->state) == 0 ? "the same directory as $.spool"
                      : is_inside(c->state, c->spool) ? "a directory inside $.spool"
                      : is_inside(c->spool, c->state) ? "a directory around $.spool"
                                                      : NULL;
    if (!how)
        return;
    struct buf b;
    buf_init(&b, SAID_MAX);
    config_say_text(&b, c->state);
    config_fault(f,
                 "$.state: expected a directory apart from $.spool, found %s, %s: what is below "
                 "the spool root is sent, so the gateway's own files must not be there",
                 b.data, how);
    buf_fini(&b);
}

static void check_layout(const struct config *c, struct config_faults *f)
{
    struct layout *l = NULL;
    struct err e = {0};
    if (layout_new("any", c->prefix, &l, &e) != RC_OK)
        config_fault(f, "$.prefix: %s", e.text);
    layout_free(l);
    l = NULL;
    if (layout_new(c->layout, "", &l, &e) != RC_OK)
        config_fault(f, "$.layout: %s", e.text);
    layout_free(l);
}

/* "eu-central-1", "us-gov-west-1": words of letters, then a number. */
static bool looks_like_region(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t words = 0, n;
    while ((n = strspn(s, letters)) > 0 && s[n] == '-') {
        words++;
        s += n + 1;
    }
    n = strspn(s, "0123456789");
    return words >= 2 && n > 0 && s[n] == '\0';
}

/* Is the region one of AWS's, and of the ARN's partition? Another store may call its own as it
 * likes. */
static bool region_fits(const struct config *c, struct config_faults *f)
{
    const char *region = c->bucket.region;
    if (c->bucket.endpoint)
        return true;
    if (!looks_like_region(region)) {
        struct err e;
        (void)refuse("a region of AWS such as \"eu-central-1\"", region, &e);
        config_fault(f, "$.bucket.region: %s", e.text);
        return false;
    }
    const char *partition = endpoint_partition_of(region)->name;
    if (c->bucket.partition && strcmp(partition, c->bucket.partition) != 0) {
        config_fault(f,
                     "$.bucket.region: expected a region of the ARN's partition \"%s\", found "
                     "\"%s\" of \"%s\"",
                     c->bucket.partition, region, partition);
        return false;
    }
    return true;
}

static void check_endpoint(const struct config *c, const json_t *root, struct config_faults *f)
{
    static const char aws_only[] = "expected false, found true: it concerns the endpoints of AWS "
                                   "only, and $.bucket.endpoint names another";
    if (c->bucket.endpoint && c->bucket.dual_stack)
        config_fault(f, "$.bucket.dual_stack: %s", aws_only);
    if (c->bucket.endpoint && c->bucket.fips)
        config_fault(f, "$.bucket.fips: %s", aws_only);
    const json_t *named = json_object_get(json_object_get(root, "bucket"), "endpoint");
    bool unreadable = named && !json_is_null(named) && !c->bucket.endpoint;
    if (unreadable || !c->bucket.region || !region_fits(c, f))
        return;
    struct endpoint_cfg cfg = {
        .bucket = c->bucket.name ? c->bucket.name : "bucket", /* its fault has been told */
        .region = "us-east-1",
        .url = c->bucket.endpoint,
        .allow_http = c->bucket.allow_http,
        .path_style = c->bucket.path_style,
        .dual_stack = c->bucket.dual_stack,
        .fips = c->bucket.fips,
    };
    struct endpoint ep;
    struct err e = {0};
    /* First with a region that is right: what fails then is the endpoint. */
    if (endpoint_resolve(&cfg, &ep, &e) != RC_OK)
        config_fault(f, "$.bucket.endpoint: %s", e.text);
    else if (cfg.region = c->bucket.region, endpoint_resolve(&cfg, &ep, &e) != RC_OK)
        config_fault(f, "$.bucket.%s: %s", c->bucket.fips ? "fips" : "region", e.text);
}

/* What goes together in the options of requests, and what AWS knows. */
static void check_options(const struct config *c, const json_t *root, struct config_faults *f)
{
    static const char *const classes[] = {"STANDARD",   "REDUCED_REDUNDANCY",  "STANDARD_IA",
                                          "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR",
                                          "GLACIER",    "DEEP_ARCHIVE"};
    enum { N_CLASSES = sizeof classes / sizeof classes[0] };
    const char *class = c->bucket.storage_class, *algorithm = c->bucket.encryption.algorithm;
    size_t i = 0;
    while (class && i < N_CLASSES && strcmp(class, classes[i]) != 0)
        i++;
    if (i == N_CLASSES && !c->bucket.endpoint)
        config_fault(f,
                     "$.bucket.storage_class: expected a class that AWS has for such buckets "
                     "(STANDARD, REDUCED_REDUNDANCY, STANDARD_IA, ONEZONE_IA, "
                     "INTELLIGENT_TIERING, GLACIER_IR, GLACIER, DEEP_ARCHIVE), found \"%s\"",
                     class);
    const json_t *named = json_object_get(
        json_object_get(json_object_get(root, "bucket"), "encryption"), "algorithm");
    /* One that is none has its own line. */
    bool unreadable =
        json_is_string(named) && !algorithm && strcmp(json_string_value(named), "none") != 0;
    if (unreadable || (algorithm && strncmp(algorithm, "aws:kms", 7) == 0))
        return;
    static const char kms_only[] = "goes with the algorithms \"aws:kms\" and \"aws:kms:dsse\" only";
    if (c->bucket.encryption.kms_key_id)
        config_fault(f, "$.bucket.encryption.kms_key_id: it %s", kms_only);
    if (c->bucket.encryption.bucket_key_enabled)
        config_fault(f, "$.bucket.encryption.bucket_key_enabled: it %s", kms_only);
    if (c->bucket.encryption.context.n > 0)
        config_fault(f, "$.bucket.encryption.context: it %s", kms_only);
}

static void check_archive(const struct config *c, const json_t *root, struct config_faults *f)
{
    const json_t *after = json_object_get(root, "after_delivery");
    const json_t *action = json_object_get(after, "action");
    const struct config_key *k = config_find(&config_table, "after_delivery", "action");
    /* An action that is none has its own line, and may have been meant as "archive". */
    if (c->after_delivery.action == CONFIG_ARCHIVE ||
        (action && (!json_is_string(action) ||
                    strcmp(json_string_value(action), k->words[c->after_delivery.action]) != 0)))
        return;
    for (size_t i = 0; i < config_table.n; i++) {
        const char *last = config_key_in(&config_table.keys[i], "after_delivery");
        if (last && (config_table.keys[i].flags & CONFIG_ARCHIVE_ONLY) &&
            json_object_get(after, last))
            config_fault(f,
                         "$.after_delivery.%s: expected only with \"action\": \"archive\", found "
                         "with \"%s\"",
                         last, k->words[c->after_delivery.action]);
    }
}

static void check_roles(const struct config *c, struct config_faults *f)
{
    for (size_t i = 0; i < c->credentials.n_roles; i++) {
        const char *url = c->credentials.roles[i].endpoint;
        struct err e = {0};
        char at[32] = "";
        if (c->credentials.n_roles > 1)
            (void)snprintf(at, sizeof at, "[%zu]", i);
        if (url && check_sts(url, c->bucket.allow_http, &e) != RC_OK)
            config_fault(f, "$.credentials.assume_role%s.endpoint: %s", at, e.text);
    }
}

void config_check_whole(const struct config *c, const json_t *root, struct config_faults *f)
{
    check_places(c, f);
    check_endpoint(c, root, f);
    check_roles(c, f);
    check_layout(c, f);
    check_archive(c, root, f);
    check_options(c, root, f);
    check_metrics(c, f);
}
