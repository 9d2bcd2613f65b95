/* What an answer means: one table of S3's codes (AWS, MinIO, Ceph), then the HTTP status for what
 * is not in it.
 *
 * P8: nothing condemns an object but the two codes that say so of the object itself, with a 4xx, to
 * the request that carries it. What is unknown waits: a 4xx is held, a 5xx tried again. P2: only
 * the status that the operation promises is a success. */
#include "uploader/answer.h"

#include <string.h>

static const char *const class_names[] = {
    [ANSWER_OK] = "ok",           [ANSWER_EXISTS] = "exists",
    [ANSWER_RETRY] = "retry",     [ANSWER_THROTTLE] = "throttle",
    [ANSWER_SKEW] = "skew",       [ANSWER_DIGEST] = "digest",
    [ANSWER_REFRESH] = "refresh", [ANSWER_REROUTE] = "reroute",
    [ANSWER_RESTART] = "restart", [ANSWER_HOLD] = "hold",
    [ANSWER_CONDEMN] = "condemn",
};
_Static_assert(sizeof class_names / sizeof class_names[0] == ANSWER_CLASS_COUNT_,
               "a name for each class");

const char *answer_class_name(enum answer_class c)
{
    BUG_ON((unsigned)c >= ANSWER_CLASS_COUNT_);
    return class_names[c];
}

struct rule {
    const char *code;
    enum answer_class class;
    const char *remedy;
};

static const char slow_down[] = "the store asks for fewer requests; fewer are sent at once, and "
                                "more again when it answers well";
static const char busy[] =
    "the store cannot serve this now; it is tried again, nothing needs to be done";
static const char token_expired[] =
    "the temporary keys have expired or are no longer valid; new ones are fetched, and if this "
    "stays look at the credentials source";
static const char other_region[] =
    "the bucket is in another region; the request is sent there, and \"bucket.region\" in the "
    "configuration should be set to it";
static const char other_region_unnamed[] =
    "the bucket is in another region or at another endpoint, but the answer does not say which; "
    "set "
    "\"bucket.region\" and \"bucket.endpoint\" in the configuration to the bucket's";
static const char digest[] =
    "what the store received is not what was sent; it is sent again, and if this stays look for a "
    "proxy that changes bodies, or for bad memory";
static const char begin_anew[] =
    "the store no longer has this multipart upload or one of its parts (a lifecycle rule may have "
    "aborted it); the upload begins anew";
static const char key_too_long[] =
    "the key is over the 1024 bytes that S3 allows; use a shorter prefix, account or file name";
static const char too_large[] =
    "the object is larger than the store accepts; write smaller files, or raise the store's limit";
static const char storage_full[] =
    "the store has no space left; free or add space there, uploads go on by themselves";
static const char quota[] =
    "the bucket's or the user's quota is used up; have it raised or objects removed, uploads go on "
    "by themselves";
static const char bad_name[] =
    "the store does not accept this key; rename the file, or change \"prefix\" or the layout";
static const char name_taken[] = "the key is in the way of another one: the store cannot have both "
                                 "an object \"a\" and one \"a/b\"; "
                                 "rename the file, or remove the other object";
static const char our_request[] =
    "the store does not understand a part of the request; look at what else stands between "
    "(a proxy, a gateway), and at the store's version";

static const struct rule rules[] = {
    /* passing */
    {"InternalError", ANSWER_RETRY, busy},
    {"InternalFailure", ANSWER_RETRY, busy},
    {"ServiceUnavailable", ANSWER_RETRY, busy},
    {"ServiceFailure", ANSWER_RETRY, busy},
    {"Busy", ANSWER_RETRY, busy},
    {"XMinioServerNotInitialized", ANSWER_RETRY,
     "MinIO is still starting; it is tried again, nothing needs to be done"},
    {"XMinioBackendDown", ANSWER_RETRY,
     "MinIO does not reach its own storage; look at that server, uploads go on by themselves"},
    {"RequestTimeout", ANSWER_RETRY,
     "the request's body came too slowly; it is tried again, and if this stays look at the network "
     "or lower \"uploads\""},
    {"IncompleteBody", ANSWER_RETRY,
     "the connection ended before the whole body was sent; it is tried again"},
    {"OperationAborted", ANSWER_RETRY,
     "another change to the same bucket or key is under way; it is tried again"},
    {"ConditionalRequestConflict", ANSWER_RETRY,
     "another upload of the same key is under way; it is tried again"},
    {"ConcurrentModification", ANSWER_RETRY,
     "another upload of the same key is under way; it is tried again"},
    {"KMS.InternalException", ANSWER_RETRY, busy},
    {"KMS.KMSInternalException", ANSWER_RETRY, busy},
    {"KMS.DependencyTimeoutException", ANSWER_RETRY, busy},
    /* less, please */
    {"SlowDown", ANSWER_THROTTLE, slow_down},
    {"SlowDownRead", ANSWER_THROTTLE, slow_down},
    {"SlowDownWrite", ANSWER_THROTTLE, slow_down},
    {"Throttling", ANSWER_THROTTLE, slow_down},
    {"ThrottlingException", ANSWER_THROTTLE, slow_down},
    {"ThrottledException", ANSWER_THROTTLE, slow_down},
    {"RequestThrottled", ANSWER_THROTTLE, slow_down},
    {"RequestThrottledException", ANSWER_THROTTLE, slow_down},
    {"RequestLimitExceeded", ANSWER_THROTTLE, slow_down},
    {"BandwidthLimitExceeded", ANSWER_THROTTLE, slow_down},
    {"TooManyRequests", ANSWER_THROTTLE, slow_down},
    {"TooManyRequestsException", ANSWER_THROTTLE, slow_down},
    {"KMS.ThrottlingException", ANSWER_THROTTLE,
     "the bucket's KMS key is used more often than its quota allows; fewer requests are sent at "
     "once, and the owner may switch on S3 Bucket Keys"},
    /* clock, bytes, keys, place, upload id */
    {"RequestTimeTooSkewed", ANSWER_SKEW,
     "this machine's clock and the store's differ by more than 15 minutes; the difference is "
     "corrected for, but have this machine's clock synchronised"},
    {"BadDigest", ANSWER_DIGEST, digest},
    {"InvalidDigest", ANSWER_DIGEST, digest},
    {"XAmzContentSHA256Mismatch", ANSWER_DIGEST, digest},
    {"XAmzContentChecksumMismatch", ANSWER_DIGEST, digest},
    {"ExpiredToken", ANSWER_REFRESH, token_expired},
    {"ExpiredTokenException", ANSWER_REFRESH, token_expired},
    {"InvalidToken", ANSWER_REFRESH, token_expired},
    {"InvalidTokenId", ANSWER_REFRESH, token_expired},
    {"TokenRefreshRequired", ANSWER_REFRESH, token_expired},
    {"InvalidAccessKeyId", ANSWER_REFRESH,
     "the store does not know this access key id; check that it is right, not deactivated, and one "
     "of this store"},
    {"InvalidClientTokenId", ANSWER_REFRESH,
     "the store does not know this access key id; check that it is right, not deactivated, and one "
     "of this partition"},
    {"PermanentRedirect", ANSWER_REROUTE, other_region},
    {"TemporaryRedirect", ANSWER_REROUTE, other_region},
    {"Redirect", ANSWER_REROUTE, other_region},
    {"AuthorizationHeaderMalformed", ANSWER_REROUTE, other_region},
    {"IllegalLocationConstraintException", ANSWER_REROUTE, other_region},
    {"InvalidRegion", ANSWER_REROUTE, other_region},
    {"NoSuchUpload", ANSWER_RESTART, begin_anew},
    {"InvalidPart", ANSWER_RESTART, begin_anew},
    {"InvalidPartOrder", ANSWER_RESTART, begin_anew},
    {"PreconditionFailed", ANSWER_EXISTS,
     "an object of this key exists already; it is compared with the file"},
    {"NoSuchKey", ANSWER_RETRY,
     "the object went away between two requests; the upload is tried again"},
    /* never */
    {"KeyTooLongError", ANSWER_CONDEMN, key_too_long},
    {"KeyTooLong", ANSWER_CONDEMN, key_too_long},
    {"EntityTooLarge", ANSWER_CONDEMN, too_large},
    /* refused until somebody changes something */
    {"AccessDenied", ANSWER_HOLD, NULL}, /* by operation */
    {"SignatureDoesNotMatch", ANSWER_HOLD,
     "the secret access key does not belong to the access key id, or a proxy changes the request; "
     "enter the keys anew"},
    {"NoSuchBucket", ANSWER_HOLD,
     "there is no such bucket at this endpoint; check \"bucket.arn\" and \"bucket.endpoint\", or "
     "have the "
     "bucket made"},
    {"InvalidBucketName", ANSWER_HOLD,
     "the store does not accept the bucket's name; check \"bucket.arn\" and \"bucket.path_style\""},
    {"AccessControlListNotSupported", ANSWER_HOLD,
     "the bucket has ACLs disabled (Object Ownership: bucket owner enforced), so that its owner "
     "owns "
     "every object anyway; set \"bucket.acl\" to \"none\", or have the owner choose "
     "\"bucket owner preferred\""},
    {"InvalidBucketAclWithObjectOwnership", ANSWER_HOLD,
     "the bucket's Object Ownership does not allow this ACL; set \"bucket.acl\" to \"none\""},
    {"AccountProblem", ANSWER_HOLD,
     "AWS reports a problem with the account; its owner must contact AWS Support"},
    {"AllAccessDisabled", ANSWER_HOLD,
     "all access to the bucket is disabled; its owner must contact the store's support"},
    {"InvalidPayer", ANSWER_HOLD,
     "all access to the object is disabled; its owner must contact AWS Support"},
    {"NotSignedUp", ANSWER_HOLD,
     "the account is not signed up for S3; its owner must sign up first"},
    {"InvalidSecurity", ANSWER_HOLD, "the keys are not valid for this store; enter them anew"},
    {"UserSuspended", ANSWER_HOLD,
     "the store's administrator has suspended this user; have it enabled again"},
    {"UnauthorizedAccess", ANSWER_HOLD,
     "the keys are not allowed to use this store; have them given access"},
    {"InvalidObjectState", ANSWER_HOLD,
     "the object of this key is archived and cannot be compared; have it restored, or rename the "
     "file"},
    {"InvalidBucketState", ANSWER_HOLD,
     "the bucket's present state does not allow this; look at its Object Lock and replication "
     "settings"},
    {"MethodNotAllowed", ANSWER_HOLD,
     "the store does not allow this method here; check that \"bucket.endpoint\" is the S3 API's "
     "address "
     "and not the console's"},
    {"QuotaExceeded", ANSWER_HOLD, quota},
    {"XMinioAdminBucketQuotaExceeded", ANSWER_HOLD, quota},
    {"XMinioStorageFull", ANSWER_HOLD, storage_full},
    {"InsufficientStorage", ANSWER_HOLD, storage_full},
    {"XMinioInvalidObjectName", ANSWER_HOLD, bad_name},
    {"XMinioInvalidResourceName", ANSWER_HOLD, bad_name},
    {"InvalidObjectName", ANSWER_HOLD, bad_name},
    {"InvalidURI", ANSWER_HOLD, bad_name},
    {"XMinioObjectExistsAsDirectory", ANSWER_HOLD, name_taken},
    {"XMinioParentIsObject", ANSWER_HOLD, name_taken},
    {"XMinioInsecureClientRequest", ANSWER_HOLD,
     "the store speaks TLS on this port; write https:// in \"bucket.endpoint\""},
    {"NotImplemented", ANSWER_HOLD,
     "the store does not know a header that we send; set \"bucket.acl\" to \"none\" (some stores "
     "know no ACLs), else switch off if_none_match or checksum_sha256, or the encryption where it "
     "has no keys for it, or use a newer version of the store"},
    {"InvalidTag", ANSWER_HOLD,
     "the store does not take one of the tags of \"bucket.tags\"; change it"},
    {"InvalidStorageClass", ANSWER_HOLD,
     "the store has no such class; change \"bucket.storage_class\""},
    {"InvalidEncryptionAlgorithmError", ANSWER_HOLD,
     "the store does not encrypt in this way; change \"bucket.encryption\""},
    {"MissingContentMD5", ANSWER_HOLD,
     "the bucket asks for Content-MD5 (Object Lock); switch content_md5 on"},
    {"InvalidRequest", ANSWER_HOLD,
     "the store refuses the form of the request; its message says why (often Object Lock, a "
     "missing "
     "encryption header or an old signature version)"},
    {"InvalidArgument", ANSWER_HOLD,
     "the store refuses a value in the request; its message says which (often the ACL or the "
     "encryption)"},
    {"EntityTooSmall", ANSWER_HOLD,
     "a part was smaller than the 5 MiB that S3 allows; set the part size to 5 MiB or more"},
    {"MaxMessageLengthExceeded", ANSWER_HOLD,
     "the request is larger than something on the way accepts; raise that limit"},
    {"MetadataTooLarge", ANSWER_HOLD, our_request},
    {"MissingContentLength", ANSWER_HOLD,
     "the Content-Length did not arrive; look for a proxy that sends bodies in chunks"},
    {"MissingSecurityHeader", ANSWER_HOLD, our_request},
    {"MalformedXML", ANSWER_HOLD, our_request},
    /* Any other trouble with the key that encrypts the bucket. */
    {"KMS.", ANSWER_HOLD,
     "the KMS key that encrypts the bucket cannot be used (disabled, deleted, or not allowed to "
     "our "
     "role); its owner must allow kms:GenerateDataKey and kms:Decrypt to the role"},
};

static const struct rule *find_rule(const char *code)
{
    size_t kms = strlen("KMS.");
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strcmp(rules[i].code, code) == 0)
            return &rules[i];
    if (strncmp(code, "KMS.", kms) == 0)
        return find_rule("KMS.");
    return NULL;
}

const char *answer_code_known(const char *code)
{
    const struct rule *rule = find_rule(code);
    return rule ? rule->code : NULL;
}

uint64_t answer_wait_ms(const char *code, uint64_t retry_after_ms)
{
    return strcmp(code, "XMinioServerNotInitialized") == 0 ? 0 : retry_after_ms;
}

/* What only some operations or answers may mean; else what the rule says. */
static enum answer_class by_rule(const struct rule *rule, const struct answer_facts *f)
{
    bool makes_object = f->op == REQUEST_PUT_OBJECT || f->op == REQUEST_COMPLETE_MULTIPART;
    bool names_object = makes_object || f->op == REQUEST_CREATE_MULTIPART;
    bool has_upload = f->op == REQUEST_UPLOAD_PART || f->op == REQUEST_COMPLETE_MULTIPART;
    switch (rule->class) {
    case ANSWER_REROUTE:
        return f->has_region ? ANSWER_REROUTE : ANSWER_HOLD;
    case ANSWER_REFRESH:
        /* Permanent keys that are not known will not be after asking for them again. */
        return rule->remedy == token_expired || f->temporary_credentials ? ANSWER_REFRESH
                                                                         : ANSWER_HOLD;
    case ANSWER_RESTART:
        if (f->op == REQUEST_ABORT_MULTIPART && strcmp(rule->code, "NoSuchUpload") == 0)
            return ANSWER_OK; /* it is gone, as was asked */
        return has_upload ? ANSWER_RESTART : ANSWER_HOLD;
    case ANSWER_EXISTS:
        return makes_object ? ANSWER_EXISTS : ANSWER_HOLD;
    case ANSWER_CONDEMN:
        /* The size is that of a part, or not told yet, for the others. */
        if (strcmp(rule->code, "EntityTooLarge") == 0 ? !makes_object : !names_object)
            return ANSWER_HOLD;
        return f->status >= 400 && f->status < 500 ? ANSWER_CONDEMN : ANSWER_HOLD;
    case ANSWER_RETRY:
        if (strcmp(rule->code, "NoSuchKey") == 0 && f->op != REQUEST_HEAD_OBJECT &&
            f->op != REQUEST_GET_OBJECT && f->op != REQUEST_GET_OBJECT_ACL)
            return ANSWER_HOLD;
        return ANSWER_RETRY;
    default:
        return rule->class;
    }
}

/* Without a code, or with one that we do not know. */
static enum answer_class by_status(const struct answer_facts *f)
{
    bool bare = f->code[0] == '\0';
    switch (f->status) {
    case 408:
    case 425:
        return ANSWER_RETRY;
    case 429:
    case 509:
        return ANSWER_THROTTLE;
    case 409: /* S3's own conflicts pass; one that has a name of its own may not */
        return bare ? ANSWER_RETRY : ANSWER_HOLD;
    case 507:
        return ANSWER_HOLD;
    case 412:
        return f->op == REQUEST_PUT_OBJECT || f->op == REQUEST_COMPLETE_MULTIPART ? ANSWER_EXISTS
                                                                                  : ANSWER_HOLD;
    case 400: /* a HEAD has no body, and a wrong region is told by its header alone */
        return bare && f->has_region && f->op == REQUEST_HEAD_OBJECT ? ANSWER_REROUTE : ANSWER_HOLD;
    case 404:
        return bare && f->op == REQUEST_HEAD_OBJECT ? ANSWER_RETRY : ANSWER_HOLD;
    default:
        break;
    }
    if (f->status >= 300 && f->status < 400)
        return f->has_region ? ANSWER_REROUTE : ANSWER_HOLD;
    return f->status >= 400 && f->status < 500 ? ANSWER_HOLD : ANSWER_RETRY;
}

/* P2: nothing but the status that S3 documents for the operation. */
static bool is_success(const struct answer_facts *f)
{
    return f->status == 200 || (f->op == REQUEST_ABORT_MULTIPART && f->status == 204);
}

enum answer_class answer_classify(const struct answer_facts *f)
{
    if (f->transport != RC_OK || f->status == 0)
        return ANSWER_RETRY;
    if (is_success(f) && !f->body_is_error)
        return ANSWER_OK;
    const struct rule *rule = find_rule(f->code);
    if (rule)
        return by_rule(rule, f);
    if (f->status >= 200 && f->status < 300)
        /* An error inside a 200 came after the headers had left: the store's trouble. Another 2xx
         * is not S3 speaking. */
        return is_success(f) ? ANSWER_RETRY : ANSWER_HOLD;
    return by_status(f);
}

static const char *denied_remedy(const struct answer_facts *f)
{
    switch (f->op) {
    case REQUEST_ABORT_MULTIPART:
        return "the bucket's policy or our role's does not allow s3:AbortMultipartUpload; have the "
               "owner add the statements of \"spoolgate policy generate\"";
    case REQUEST_HEAD_OBJECT:
    case REQUEST_GET_OBJECT:
        return "the bucket's policy or our role's does not allow s3:GetObject (or s3:ListBucket, "
               "to "
               "see that an object is missing); have the owner add the statements of \"spoolgate "
               "policy generate\"";
    case REQUEST_GET_OBJECT_ACL:
        return "the bucket's policy or our role's does not allow s3:GetObjectAcl; the ACL cannot "
               "be "
               "shown, uploads do not need it";
    case REQUEST_GET_BUCKET_LOCATION:
        return "the bucket's policy or our role's does not allow s3:GetBucketLocation; have the "
               "owner "
               "add the statements of \"spoolgate policy generate\"";
    case REQUEST_LIST_BUCKETS:
        return "our keys may not list buckets (s3:ListAllMyBuckets); name the bucket's ARN instead";
    case REQUEST_LIST_MULTIPARTS:
        return "the bucket's policy or our role's does not allow s3:ListBucketMultipartUploads; "
               "have "
               "the owner add the statements of \"spoolgate policy generate\"";
    default:
        if (f->no_acl)
            return "the bucket's policy or our role's does not allow s3:PutObject without an ACL; "
                   "set \"bucket.acl\" to \"bucket-owner-full-control\", or have the owner allow "
                   "it "
                   "under this prefix";
        return "the bucket's policy or our role's does not allow s3:PutObject with this ACL "
               "(s3:PutObjectAcl) under this prefix; have the owner add the statements of "
               "\"spoolgate policy generate\"";
    }
}

static const char *transport_remedy(const struct answer_facts *f)
{
    switch (f->transport) {
    case RC_LIMIT:
        return "the answer is longer than any of S3's; check that \"bucket.endpoint\" is an S3 "
               "store";
    case RC_CANCELLED:
        return "the request was cancelled; it is made again";
    case RC_IO:
        return "the file could not be read while it was sent; it is tried again";
    default:
        return http_failure_remedy(f->failure);
    }
}

static const char *status_remedy(const struct answer_facts *f)
{
    switch (f->status) {
    case 401:
        return "something before the store asks for a login (a proxy?); check \"bucket.endpoint\" "
               "and the "
               "proxy variables";
    case 403:
        return denied_remedy(f);
    case 404:
        return "there is nothing at this address; check \"bucket.arn\", \"bucket.endpoint\" and "
               "\"bucket.path_style\"";
    case 407:
        return "the proxy asks for a login; put it into the proxy variable";
    case 408:
        return "the request came too slowly; it is tried again";
    case 409:
        return "the request conflicts with another one or with the bucket's state; the store's "
               "message says which";
    case 412:
        return "an object of this key exists already; it is compared with the file";
    case 413:
        return "something before the store limits the size of a body; raise that limit (nginx: "
               "client_max_body_size)";
    case 414:
    case 431:
        return "something before the store limits the length of a URL or header; raise that limit";
    case 429:
    case 509:
        return slow_down;
    case 502:
    case 504:
        return "a proxy or balancer does not reach the store; it is tried again";
    case 507:
        return storage_full;
    default:
        break;
    }
    if (f->status >= 500)
        return busy;
    if (f->status >= 400)
        return "the store refuses the request for a reason that we do not know; its message and "
               "the "
               "request id help its operator";
    if (f->status >= 300)
        return f->has_region ? other_region : other_region_unnamed;
    return f->body_is_error
               ? "the answer says success and is not what S3 says then; look for a proxy that "
                 "answers itself; it is tried again"
               : "the answer is no success that S3 knows; look for a proxy that answers itself";
}

const char *answer_remedy(const struct answer_facts *f)
{
    if (f->transport != RC_OK || f->status == 0)
        return transport_remedy(f);
    if (answer_classify(f) == ANSWER_OK)
        return "nothing needs to be done";
    const struct rule *rule = find_rule(f->code);
    if (!rule)
        return status_remedy(f);
    if (rule->class == ANSWER_REROUTE && !f->has_region)
        return other_region_unnamed;
    if (rule->remedy == token_expired && !f->temporary_credentials)
        return "the store takes our permanent keys for temporary ones that are not valid; enter "
               "them "
               "anew";
    return rule->remedy ? rule->remedy : denied_remedy(f);
}
