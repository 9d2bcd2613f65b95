/* From what a trial saw to a cause: see cause.h.
 *
 * A refusal is the hard one: S3 says AccessDenied whether the role is unknown to the policy, an
 * action, resource or condition is missing, or somebody denies it. So the store's own words are
 * read where it has any (AWS names the action and the kind of policy), and else the answers to the
 * other requests that the policy should allow tell which part of it is missing.
 */
#include "gateway/cause.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_OFF_S 60 /* from here on it is worth a remark */

static PRINTF_LIKE(3, 4) void say(char *to, size_t size, const char *fmt, ...)
{
    char text[sizeof((struct cause *)0)->what];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut if too long */
    va_end(ap);
    text_copy(to, size, text);
}
#define WHAT(c, ...)   say((c)->what, sizeof(c)->what, __VA_ARGS__)
#define REMEDY(c, ...) say((c)->remedy, sizeof(c)->remedy, __VA_ARGS__)

static void name(struct cause *c, const char *id)
{
    text_copy(c->id, sizeof c->id, id);
}

static const char *endpoint_of(const struct config *c, const struct trial *t)
{
    return t->endpoint[0] ? t->endpoint : c->bucket.endpoint ? c->bucket.endpoint : "AWS";
}

/* ---- policies ---- */

/* Whom a policy has to name: the role that is assumed, else what the store calls us. *of_session:
 * the role of the session that the store names, which does not show the role's path. */
static const char *role_of(const struct config *c, const struct trial *t, char buf[600],
                           bool *of_session)
{
    const char *user = strstr(t->outcome.message, "User: arn:");
    char account[13], role[256], partition[16];
    *of_session = false;
    if (c->credentials.n_roles > 0)
        return c->credentials.roles[c->credentials.n_roles - 1].arn;
    if (user &&
        sscanf(user, "User: arn:%15[a-z-]:sts::%12[0-9]:assumed-role/%255[A-Za-z0-9+=,.@_-]",
               partition, account, role) == 3) {
        (void)snprintf(buf, 600, "arn:%s:iam::%s:role/%s", partition, account, role);
        *of_session = true;
        return buf;
    }
    /* Followed by a space, or it was cut. */
    return user && sscanf(user, "User: %599[!-~]%1[ ]", buf, partition) == 2 ? buf : NULL;
}

/* What the request that makes an object wants to be allowed (policy/ours.c). Returns how many. */
#define ACTIONS_MAX 3
static size_t wanted(const struct config *c, const char *out[ACTIONS_MAX])
{
    size_t n = 0;
    out[n++] = "s3:PutObject";
    if (c->bucket.acl)
        out[n++] = "s3:PutObjectAcl";
    if (c->bucket.tags.n > 0)
        out[n++] = "s3:PutObjectTagging";
    return n;
}

/* The same in a sentence: "s3:PutObject and s3:PutObjectAcl". */
static const char *wanted_words(const struct config *c, char out[80])
{
    const char *actions[ACTIONS_MAX];
    size_t n = wanted(c, actions), len = 0;
    for (size_t i = 0; i < n; i++) {
        const char *before = i == 0 ? "" : i + 1 < n ? ", " : " and ";
        len += (size_t)snprintf(out + len, 80 - len, "%s%s", before, actions[i]);
        BUG_ON(len >= 80);
    }
    return out;
}

/* The statement that would do; the remedy says if the role in it may not be named in full.
 *
 * S3 knows no ACL of s3:PutObjectTagging (Service Authorization Reference): a condition on it would
 * refuse the tags. */
static void add_statement(const struct config *c, const struct trial *t, struct cause *out)
{
    char role[600], resource[160];
    bool of_session;
    const char *who = role_of(c, t, role, &of_session), *actions[ACTIONS_MAX];
    size_t n = wanted(c, actions), len = strlen(out->remedy);
    struct buf text;
    (void)snprintf(resource, sizeof resource, "%s/*", c->bucket.arn);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(actions[i]));
    json_t *v = json_pack("{s:s, s:{s:[s]}, s:o, s:s}", "Effect", "Allow", "Principal", "AWS",
                          who ? who : "<the ARN of the role that we use>", "Action", list,
                          "Resource", resource);
    if (c->bucket.acl && c->bucket.tags.n == 0)
        json_object_set_new(v, "Condition",
                            json_pack("{s:{s:s}}", "StringEquals", "s3:x-amz-acl", c->bucket.acl));
    buf_init(&text, sizeof out->statement - 1);
    json_write(&text, v);
    if (!text.overflow)
        text_copy(out->statement, sizeof out->statement, text.data);
    if (of_session)
        say(out->remedy + len, sizeof out->remedy - len,
            "; name our role with its path, if it has one: %s is taken from its session, which "
            "shows none",
            who);
    buf_fini(&text);
    json_decref(v);
}

/* What AWS says that we may not do: "is not authorized to perform: s3:PutObject on …". False: no
 * action is named. */
static bool action_of(const struct trial *t, char action[80])
{
    const char *at = strstr(t->outcome.message, "perform: ");
    return at && sscanf(at, "perform: %79[A-Za-z0-9:-]", action) == 1 && strchr(action, ':');
}

/* The usual document allows no tags, and is an interface: the configuration does not change it. */
static const char *paste(const struct config *c)
{
    return c->bucket.tags.n > 0
               ? "have the bucket's owner paste what \"spoolgate policy generate --minimal\" "
                 "prints, which allows the tags too, or add it with \"spoolgate policy merge "
                 "--minimal\""
               : "have the bucket's owner paste what \"spoolgate policy generate\" prints, or add "
                 "it with \"spoolgate policy merge\"";
}

static void refused_by(const struct trial *t, struct cause *out, const char *id, const char *what)
{
    const char *request = request_op_name(t->outcome.op);
    char action[80];
    name(out, id);
    if (action_of(t, action))
        WHAT(out, "%s was refused (%s): %s", request, action, what);
    else
        WHAT(out, "%s was refused: %s", request, what);
}

/* AWS: "User: arn:… is not authorized to perform: s3:PutObject on resource: "…" because …". */
static bool from_words(const struct config *c, const struct trial *t, struct cause *out)
{
    static const struct {
        const char *words, *id, *what, *remedy;
    } rows[] = {
        {"explicit deny in a resource-based policy", "explicit-deny",
         "a Deny statement of the bucket's policy forbids it",
         "have the bucket's owner except our role from that statement, or send what it demands "
         "(encryption, TLS, a VPC endpoint): \"spoolgate policy check\" on the policy names it"},
        {"explicit deny in an identity-based policy", "explicit-deny-identity",
         "a Deny statement of our role's own policy forbids it",
         "remove that statement from the policies attached to our role or user"},
        {"explicit deny in a service control policy", "explicit-deny-organization",
         "a service control policy of our organization forbids it",
         "have the organization's administrator except our role from it"},
        {"no service control policy allows", "organization-policy",
         "no service control policy of our organization allows it",
         "have the organization's administrator allow it to our account, on each level from the "
         "root down"},
        {"explicit deny in a resource control policy", "explicit-deny-organization",
         "a resource control policy of the bucket's organization forbids it",
         "have that organization's administrator except our role from it"},
        {"explicit deny in a VPC endpoint policy", "vpc-endpoint-policy",
         "the policy of the VPC endpoint on our way forbids it",
         "have the bucket and action allowed in that endpoint's policy"},
        {"no VPC endpoint policy allows", "vpc-endpoint-policy",
         "the policy of the VPC endpoint on our way does not allow it",
         "have the bucket and action allowed in that endpoint's policy"},
        {"no permissions boundary allows", "permissions-boundary",
         "the permissions boundary of our role does not allow it",
         "have the action added to that boundary"},
        {"explicit deny in a permissions boundary", "permissions-boundary",
         "a Deny statement of our role's permissions boundary forbids it",
         "have the bucket excepted from that statement of the boundary"},
        {"no session policy allows", "session-policy",
         "the session policy that the role was assumed with does not allow it",
         "assume the role without a session policy, or with one that allows it"},
        {"explicit deny in a session", "session-policy", /* "session policy", "sessions policy" */
         "a Deny statement of the session policy that the role was assumed with forbids it",
         "assume the role without a session policy, or with one that allows it"},
    };
    const char *words = t->outcome.message;
    char actions[80];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!strstr(words, rows[i].words))
            continue;
        refused_by(t, out, rows[i].id, rows[i].what);
        REMEDY(out, "%s", rows[i].remedy);
        return true;
    }
    if (strstr(words, "no identity-based policy allows")) {
        refused_by(t, out, "identity-policy", "our role's own policy does not allow it");
        REMEDY(out,
               "attach to our role a policy that allows %s, and s3:GetObject and "
               "s3:AbortMultipartUpload, on the bucket; across accounts the bucket's policy alone "
               "is not enough",
               wanted_words(c, actions));
        return true;
    }
    if (strstr(words, "no resource-based policy allows")) {
        refused_by(t, out, "policy-missing", "the bucket's policy does not allow it to our role");
        REMEDY(out, "%s", paste(c));
        add_statement(c, t, out);
        return true;
    }
    return false;
}

/* The store says no more than AccessDenied: what else does it allow? */
static void from_other_answers(const struct config *c, const struct trial *t, struct cause *out)
{
    bool bucket = t->location.rc == RC_OK || t->uploads.rc == RC_OK;
    bool objects = t->object.rc == RC_OK || t->object.rc == RC_ABSENT;
    char actions[80];
    if (!c->bucket.acl && (bucket || objects)) {
        name(out, "acl-missing");
        WHAT(out,
             "our role may use s3://%s but not write this object: most likely the bucket's policy "
             "demands the ACL bucket-owner-full-control, and \"bucket.acl\" is \"none\"",
             c->bucket.name);
        REMEDY(out,
               "set \"bucket.acl\" to \"bucket-owner-full-control\", for which the policy has to "
               "allow s3:PutObjectAcl to our role, too; that s3:PutObject is not allowed, or a "
               "Deny statement, can be the reason as well: \"spoolgate policy check\" on the "
               "policy names it");
    } else if (objects) {
        name(out, "put-missing");
        WHAT(out, "our role may read objects of s3://%s but not write this one", c->bucket.name);
        REMEDY(
            out,
            "have the bucket's owner allow %s on %s/* to our role; a condition that our "
            "uploads do not meet, or a Deny statement, can be the reason too: \"spoolgate policy "
            "check\" on the policy names it",
            wanted_words(c, actions), c->bucket.arn);
        add_statement(c, t, out);
    } else if (bucket) {
        name(out, "object-resource-missing");
        WHAT(out,
             "our role may use the bucket %s but neither write nor read this object: most likely "
             "the policy's statement is not for its objects",
             c->bucket.name);
        REMEDY(out,
               "have the bucket's owner add \"%s/*\" to the Resource of the statement, beside "
               "\"%s\"; a Deny statement can be the reason too: \"spoolgate policy check\" on the "
               "policy names it",
               c->bucket.arn, c->bucket.arn);
        add_statement(c, t, out);
    } else {
        name(out, "policy-missing");
        WHAT(out, "the store allows nothing in s3://%s to the keys of %s (%s)", c->bucket.name,
             t->origin, t->access_key_id);
        REMEDY(out, "%s; its Principal has to be the role or user that these keys belong to",
               paste(c));
        add_statement(c, t, out);
    }
}

static void denied(const struct config *c, const struct trial *t, struct cause *out)
{
    const char *words = t->outcome.message;
    char action[80];
    bool kms = action_of(t, action)
                   ? strncmp(action, "kms:", 4) == 0 /* names may hold such words, too */
                   : strstr(words, "kms:") || strstr(words, "KMS");
    if (kms) {
        name(out, "kms-not-allowed");
        WHAT(out, "the key that encrypts the bucket may not be used by our role");
        REMEDY(out, "have the key's owner allow kms:GenerateDataKey and kms:Decrypt to our role in "
                    "the key's policy, and allow the same in our role's own policy");
    } else if (strstr(words, "BlockPublicAcls")) {
        name(out, "block-public-acls");
        WHAT(out, "the bucket blocks public ACLs, and takes ours for one");
        REMEDY(out, "set \"bucket.acl\" to \"bucket-owner-full-control\", which is not public");
    } else if (!from_words(c, t, out)) {
        from_other_answers(c, t, out);
    }
}

/* ---- codes ---- */

static void clock_is_off(const struct trial *t, struct cause *out)
{
    int64_t minutes = (t->clock_offset_s < 0 ? -t->clock_offset_s : t->clock_offset_s) / 60;
    name(out, "clock");
    WHAT(out, "this machine's clock is %" PRId64 " minutes %s the store's", minutes,
         t->clock_offset_s > 0 ? "behind" : "ahead of");
    REMEDY(out, "have this machine's clock synchronised (systemd-timesyncd, chrony); until then "
                "the difference is corrected for");
}

/* Codes that say all by themselves: the word for machines, and the sentence is answer_remedy's. */
static const struct {
    const char *code, *id;
} codes[] = {
    {"InvalidAccessKeyId", "unknown-key"},
    {"InvalidClientTokenId", "unknown-key"},
    {"SignatureDoesNotMatch", "wrong-secret"},
    {"ExpiredToken", "expired-token"},
    {"InvalidToken", "invalid-token"},
    {"NoSuchBucket", "no-such-bucket"},
    {"InvalidBucketName", "invalid-bucket-name"},
    {"AccessControlListNotSupported", "acls-disabled"},
    {"InvalidBucketAclWithObjectOwnership", "acls-disabled"},
    {"PermanentRedirect", "wrong-region"},
    {"TemporaryRedirect", "wrong-region"},
    {"AuthorizationHeaderMalformed", "wrong-region"},
    {"IllegalLocationConstraintException", "wrong-region"},
    {"XMinioStorageFull", "storage-full"},
    {"InsufficientStorage", "storage-full"},
    {"QuotaExceeded", "quota"},
    {"XMinioAdminBucketQuotaExceeded", "quota"},
    {"SlowDown", "throttled"},
    {"TooManyRequests", "throttled"},
    {"NotImplemented", "header-not-known"},
    {"MissingContentMD5", "content-md5-demanded"},
    {"InvalidEncryptionAlgorithmError", "other-encryption-demanded"},
    {"AccountProblem", "account-problem"},
    {"AllAccessDisabled", "bucket-disabled"},
    {"UserSuspended", "user-suspended"},
    {"MethodNotAllowed", "not-the-api"},
    {"XMinioInsecureClientRequest", "tls-expected"},
    {"NameNotFound", "name-not-found"},
    {"ProxyNotFound", "proxy-not-found"},
    {"ProxyRefused", "proxy-refused"},
    {"NotConnected", "not-connected"},
    {"ConnectTimeout", "connect-timeout"},
    {"TlsFailed", "tls-failed"},
    {"CertificateUnknown", "certificate-unknown"},
    {"CertificateExpired", "certificate-expired"},
    {"CertificateNotYetValid", "certificate-not-yet-valid"},
    {"CertificateOtherName", "certificate-other-name"},
    {"CertificateBad", "certificate-bad"},
    {"CaFileBad", "ca-file-bad"},
    {"NotHttp", "not-http"},
    {"ConnectionLost", "connection-lost"},
    {"NoAnswer", "no-answer"},
    {"Stalled", "stalled"},
};

static const char *id_of_status(int status)
{
    switch (status) {
    case 301:
    case 307:
        return "wrong-region";
    case 401:
        return "login-demanded";
    case 404:
        return "nothing-there";
    case 405:
        return "not-the-api";
    case 407:
        return "proxy-refused";
    case 413:
        return "body-limit";
    case 429:
        return "throttled";
    case 507:
        return "storage-full";
    default:
        return status >= 500 ? "store-fails" : status == 0 ? "no-answer" : "refused";
    }
}

static const char *id_of_code(const char *code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].id;
    }
    return strncmp(code, "KMS.", 4) == 0 ? "kms-unusable" : NULL;
}

static void by_code(const struct trial *t, struct cause *out)
{
    const struct transfer_outcome *o = &t->outcome;
    const char *id = id_of_code(o->err.code);
    name(out, id ? id : id_of_status(o->err.http_status));
    REMEDY(out, "%s", o->remedy ? o->remedy : "");
}

/* How much of the outcome's sentence comes before ": " and the remedy. */
static size_t without_remedy(const struct transfer_outcome *o)
{
    const char *at = o->remedy ? strstr(o->err.text, o->remedy) : NULL;
    return at && at - o->err.text >= 2 ? (size_t)(at - o->err.text) - 2 : strlen(o->err.text);
}

static size_t without_stop(const char *sentence)
{
    size_t n = strlen(sentence);
    return n > 0 && sentence[n - 1] == '.' ? n - 1 : n;
}

static void refused(const struct config *c, const struct trial *t, struct cause *out)
{
    const struct transfer_outcome *o = &t->outcome;
    const char *where = endpoint_of(c, t);
    if (strcmp(o->err.code, "RequestTimeTooSkewed") == 0) {
        clock_is_off(t, out);
        return;
    }
    by_code(t, out);
    if (o->err.http_status == 0)
        WHAT(out, "the test message did not reach %s: %.*s", where, (int)without_remedy(o),
             o->err.text);
    else
        WHAT(out, "%s answered %s with %d%s%s%s%.*s", where, request_op_name(o->op),
             o->err.http_status, o->err.code[0] ? " " : "", o->err.code, o->message[0] ? ": " : "",
             (int)without_stop(o->message), o->message);
    if (strcmp(out->id, "wrong-region") == 0 && o->region[0])
        REMEDY(out, "set \"bucket.region\" to \"%s\"; it is \"%s\" now", o->region,
               c->bucket.region);
    else if (strcmp(o->err.code, "AccessDenied") == 0 ||
             (o->err.http_status == 403 && o->err.code[0] == '\0'))
        denied(c, t, out);
}

/* The sentences of sources have their remedies. */
static void before_sending(const struct trial *t, struct cause *out)
{
    const char *id = id_of_code(t->err.code);
    WHAT(out, "%s", t->err.text);
    if (t->stage == TRIAL_LOCAL)
        name(out, "local");
    else if (t->err.code[0]) /* of STS, or of a source that asks others */
        name(out, id ? id : "role-refused");
    else
        name(out, t->err.rc == RC_ABSENT   ? "no-keys"
                  : t->err.rc == RC_DENIED ? "keys-unreadable"
                                           : "keys-wrong");
}

/* ---- remarks ---- */

static size_t remarks(const struct config *c, const struct trial *t, struct cause *out)
{
    size_t n = 0;
    if (strcmp(t->region, c->bucket.region) != 0) {
        name(&out[n], "wrong-region");
        WHAT(&out[n], "the bucket is in %s, not in %s", t->region, c->bucket.region);
        REMEDY(&out[n], "set \"bucket.region\" to \"%s\", which saves a redirect at each start",
               t->region);
        n++;
    }
    if (t->clock_offset_s >= CLOCK_OFF_S || t->clock_offset_s <= -CLOCK_OFF_S)
        clock_is_off(t, &out[n++]);
    if (t->readback.asked && t->readback.rc == RC_OK && !t->same_bytes) {
        name(&out[n], "read-back-differs");
        WHAT(&out[n], "what can be read back of the message is not what was sent");
        REMEDY(&out[n], "look for a proxy or gateway before the store that changes objects");
        n++;
    }
    if (t->acl.asked && t->acl.rc == RC_OK && !t->acl.owner_full_control) {
        name(&out[n], "owner-without-full-control");
        WHAT(&out[n], "the object's grants do not give its owner full control");
        REMEDY(&out[n], "look at \"bucket.acl\" and the bucket's Object Ownership setting");
        n++;
    }
    if (t->temporary && strcmp(t->origin, "environment") == 0) {
        name(&out[n], "keys-expire");
        WHAT(&out[n], "the keys come from the environment and are temporary: when they expire "
                      "nothing renews them there");
        REMEDY(&out[n], "use a source that can be refreshed: a profile, a role, or a file that is "
                        "renewed");
        n++;
    }
    for (size_t i = 0; i < n; i++)
        out[i].ok = true;
    return n;
}

size_t cause_of(const struct config *c, const struct trial *t, struct cause out[CAUSES_MAX])
{
    memset(out, 0, CAUSES_MAX * sizeof *out);
    if (t->stage != TRIAL_SENT) {
        before_sending(t, &out[0]);
        return 1;
    }
    if (!t->arrived) {
        refused(c, t, &out[0]);
        return 1;
    }
    name(&out[0], "arrived");
    out[0].ok = true;
    WHAT(&out[0], "The test message arrived: s3://%s/%s", c->bucket.name, t->outcome.key);
    return 1 + remarks(c, t, out + 1);
}
