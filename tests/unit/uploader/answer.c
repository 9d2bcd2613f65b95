/* Every code of S3, MinIO and Ceph that may answer one of our requests, and what it means for the
 * file. */
#include "uploader/answer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct sample {
    enum request_op op;
    int status;
    const char *code;
    enum answer_class class;
};

static struct answer_facts facts_of(const struct sample *s)
{
    return (struct answer_facts){.op = s->op, .status = s->status, .code = s->code};
}

#define PUT      REQUEST_PUT_OBJECT
#define CREATE   REQUEST_CREATE_MULTIPART
#define PART     REQUEST_UPLOAD_PART
#define COMPLETE REQUEST_COMPLETE_MULTIPART
#define ABORT    REQUEST_ABORT_MULTIPART
#define HEAD     REQUEST_HEAD_OBJECT
#define GET      REQUEST_GET_OBJECT
#define LIST     REQUEST_LIST_MULTIPARTS
#define LOCATION REQUEST_GET_BUCKET_LOCATION
#define ACL      REQUEST_GET_OBJECT_ACL

/* Permanent keys, no region named, the body no error in a 200. "Error responses", Amazon S3 API
 * Reference; MinIO cmd/api-errors.go; Ceph rgw_common.cc. */
static const struct sample samples[] = {
    /* success */
    {PUT, 200, "", ANSWER_OK},
    {CREATE, 200, "", ANSWER_OK},
    {PART, 200, "", ANSWER_OK},
    {COMPLETE, 200, "", ANSWER_OK},
    {ABORT, 204, "", ANSWER_OK},
    {ABORT, 200, "", ANSWER_OK},
    {HEAD, 200, "", ANSWER_OK},
    {GET, 200, "", ANSWER_OK},
    {LIST, 200, "", ANSWER_OK},
    {LOCATION, 200, "", ANSWER_OK},
    {ACL, 200, "", ANSWER_OK},
    {PUT, 201, "", ANSWER_HOLD},
    {PUT, 202, "", ANSWER_HOLD},
    {PUT, 204, "", ANSWER_HOLD},
    {GET, 206, "", ANSWER_HOLD},
    /* passing */
    {PUT, 500, "InternalError", ANSWER_RETRY},
    {PUT, 503, "ServiceUnavailable", ANSWER_RETRY},
    {PUT, 503, "Busy", ANSWER_RETRY},
    {PUT, 503, "XMinioServerNotInitialized", ANSWER_RETRY},
    {PUT, 503, "XMinioBackendDown", ANSWER_RETRY},
    {PUT, 503, "XMinioIAMNotInitialized", ANSWER_RETRY},
    {PUT, 400, "RequestTimeout", ANSWER_RETRY},
    {PUT, 408, "RequestTimeout", ANSWER_RETRY},
    {PUT, 503, "RequestTimeout", ANSWER_RETRY},
    {PUT, 400, "IncompleteBody", ANSWER_RETRY},
    {PUT, 409, "OperationAborted", ANSWER_RETRY},
    {PUT, 409, "ConditionalRequestConflict", ANSWER_RETRY},
    {COMPLETE, 409, "ConditionalRequestConflict", ANSWER_RETRY},
    {PUT, 409, "ConcurrentModification", ANSWER_RETRY},
    {PUT, 500, "KMS.InternalException", ANSWER_RETRY},
    {PUT, 500, "SomethingNew", ANSWER_RETRY},
    {PUT, 599, "SomethingNew", ANSWER_RETRY},
    {PUT, 500, "", ANSWER_RETRY},
    {PUT, 501, "", ANSWER_RETRY},
    {PUT, 502, "", ANSWER_RETRY},
    {PUT, 503, "", ANSWER_RETRY},
    {PUT, 504, "", ANSWER_RETRY},
    {PUT, 408, "", ANSWER_RETRY},
    {PUT, 409, "", ANSWER_RETRY},
    {PUT, 425, "", ANSWER_RETRY},
    {PUT, 100, "", ANSWER_RETRY},
    {PUT, 700, "", ANSWER_RETRY},
    {PUT, -1, "", ANSWER_RETRY},
    {HEAD, 404, "", ANSWER_RETRY},
    {GET, 404, "NoSuchKey", ANSWER_RETRY},
    /* less, please */
    {PUT, 503, "SlowDown", ANSWER_THROTTLE},
    {PUT, 503, "SlowDownRead", ANSWER_THROTTLE},
    {PUT, 503, "SlowDownWrite", ANSWER_THROTTLE},
    {PUT, 400, "Throttling", ANSWER_THROTTLE},
    {PUT, 400, "ThrottlingException", ANSWER_THROTTLE},
    {PUT, 400, "ThrottledException", ANSWER_THROTTLE},
    {PUT, 400, "RequestThrottled", ANSWER_THROTTLE},
    {PUT, 400, "RequestThrottledException", ANSWER_THROTTLE},
    {PUT, 503, "RequestLimitExceeded", ANSWER_THROTTLE},
    {PUT, 509, "BandwidthLimitExceeded", ANSWER_THROTTLE},
    {PUT, 429, "TooManyRequests", ANSWER_THROTTLE},
    {PUT, 429, "TooManyRequestsException", ANSWER_THROTTLE},
    {PUT, 429, "", ANSWER_THROTTLE},
    {PUT, 429, "SomethingNew", ANSWER_THROTTLE},
    {PUT, 509, "", ANSWER_THROTTLE},
    {PUT, 400, "KMS.ThrottlingException", ANSWER_THROTTLE},
    /* clock and bytes */
    {PUT, 403, "RequestTimeTooSkewed", ANSWER_SKEW},
    {PUT, 400, "BadDigest", ANSWER_DIGEST},
    {PUT, 400, "InvalidDigest", ANSWER_DIGEST},
    {PUT, 400, "XAmzContentSHA256Mismatch", ANSWER_DIGEST},
    {PART, 400, "XAmzContentChecksumMismatch", ANSWER_DIGEST},
    /* keys */
    {PUT, 400, "ExpiredToken", ANSWER_REFRESH},
    {PUT, 403, "ExpiredTokenException", ANSWER_REFRESH},
    {PUT, 400, "InvalidToken", ANSWER_REFRESH},
    {PUT, 403, "InvalidTokenId", ANSWER_REFRESH},
    {PUT, 400, "TokenRefreshRequired", ANSWER_REFRESH},
    {PUT, 403, "InvalidAccessKeyId", ANSWER_HOLD},
    {PUT, 403, "InvalidClientTokenId", ANSWER_HOLD},
    {PUT, 403, "SignatureDoesNotMatch", ANSWER_HOLD},
    {PUT, 403, "InvalidSecurity", ANSWER_HOLD},
    {PUT, 400, "CredentialsNotSupported", ANSWER_HOLD},
    {PUT, 400, "InvalidSecretKey", ANSWER_HOLD},
    {PUT, 403, "UserSuspended", ANSWER_HOLD},
    {PUT, 401, "UnauthorizedAccess", ANSWER_HOLD},
    {PUT, 401, "", ANSWER_HOLD},
    /* another place, but none is named */
    {PUT, 301, "PermanentRedirect", ANSWER_HOLD},
    {PUT, 307, "TemporaryRedirect", ANSWER_HOLD},
    {PUT, 307, "Redirect", ANSWER_HOLD},
    {PUT, 400, "AuthorizationHeaderMalformed", ANSWER_HOLD},
    {PUT, 400, "IllegalLocationConstraintException", ANSWER_HOLD},
    {PUT, 400, "InvalidRegion", ANSWER_HOLD},
    {PUT, 301, "", ANSWER_HOLD},
    {PUT, 302, "", ANSWER_HOLD},
    {PUT, 304, "", ANSWER_HOLD},
    {PUT, 308, "SomethingNew", ANSWER_HOLD},
    {HEAD, 400, "", ANSWER_HOLD},
    /* the multipart upload */
    {PART, 404, "NoSuchUpload", ANSWER_RESTART},
    {COMPLETE, 404, "NoSuchUpload", ANSWER_RESTART},
    {COMPLETE, 400, "InvalidPart", ANSWER_RESTART},
    {COMPLETE, 400, "InvalidPartOrder", ANSWER_RESTART},
    {ABORT, 404, "NoSuchUpload", ANSWER_OK},
    {ABORT, 400, "InvalidPart", ANSWER_HOLD},
    {PUT, 404, "NoSuchUpload", ANSWER_HOLD},
    {COMPLETE, 400, "EntityTooSmall", ANSWER_HOLD},
    /* the key exists */
    {PUT, 412, "PreconditionFailed", ANSWER_EXISTS},
    {COMPLETE, 412, "PreconditionFailed", ANSWER_EXISTS},
    {PUT, 412, "", ANSWER_EXISTS},
    {PART, 412, "PreconditionFailed", ANSWER_HOLD},
    {HEAD, 412, "", ANSWER_HOLD},
    /* never */
    {PUT, 400, "KeyTooLongError", ANSWER_CONDEMN},
    {CREATE, 400, "KeyTooLongError", ANSWER_CONDEMN},
    {PUT, 400, "KeyTooLong", ANSWER_CONDEMN},
    {PUT, 400, "EntityTooLarge", ANSWER_CONDEMN},
    {PUT, 413, "EntityTooLarge", ANSWER_CONDEMN},
    {COMPLETE, 400, "EntityTooLarge", ANSWER_CONDEMN},
    /* … but not by a part, another request, or a server in trouble */
    {PART, 400, "EntityTooLarge", ANSWER_HOLD},
    {CREATE, 400, "EntityTooLarge", ANSWER_HOLD},
    {HEAD, 400, "EntityTooLarge", ANSWER_HOLD},
    {PUT, 500, "EntityTooLarge", ANSWER_HOLD},
    {PUT, 503, "KeyTooLongError", ANSWER_HOLD},
    {GET, 400, "KeyTooLongError", ANSWER_HOLD},
    {LIST, 400, "KeyTooLongError", ANSWER_HOLD},
    /* refused */
    {PUT, 403, "AccessDenied", ANSWER_HOLD},
    {PUT, 403, "", ANSWER_HOLD},
    {HEAD, 403, "", ANSWER_HOLD},
    {PUT, 403, "AccountProblem", ANSWER_HOLD},
    {PUT, 403, "AllAccessDisabled", ANSWER_HOLD},
    {PUT, 403, "NotSignedUp", ANSWER_HOLD},
    {PUT, 403, "InvalidPayer", ANSWER_HOLD},
    {PUT, 403, "InvalidObjectState", ANSWER_HOLD},
    {PUT, 400, "AccessControlListNotSupported", ANSWER_HOLD},
    {PUT, 400, "InvalidBucketAclWithObjectOwnership", ANSWER_HOLD},
    {PUT, 400, "UnresolvableGrantByEmailAddress", ANSWER_HOLD},
    {PUT, 404, "NoSuchBucket", ANSWER_HOLD},
    {HEAD, 404, "NoSuchBucket", ANSWER_HOLD},
    {PUT, 404, "NoSuchKey", ANSWER_HOLD},
    {PUT, 404, "", ANSWER_HOLD},
    {PUT, 400, "InvalidBucketName", ANSWER_HOLD},
    {PUT, 409, "InvalidBucketState", ANSWER_HOLD},
    {PUT, 409, "BucketAlreadyExists", ANSWER_HOLD},
    {PUT, 403, "QuotaExceeded", ANSWER_HOLD},
    {PUT, 400, "XMinioAdminBucketQuotaExceeded", ANSWER_HOLD},
    {PUT, 507, "XMinioStorageFull", ANSWER_HOLD},
    {PUT, 507, "InsufficientStorage", ANSWER_HOLD},
    {PUT, 507, "", ANSWER_HOLD},
    {PUT, 501, "NotImplemented", ANSWER_HOLD},
    {PUT, 405, "MethodNotAllowed", ANSWER_HOLD},
    {PUT, 405, "", ANSWER_HOLD},
    {PUT, 411, "MissingContentLength", ANSWER_HOLD},
    {PUT, 400, "MissingContentMD5", ANSWER_HOLD},
    {PUT, 400, "MissingSecurityHeader", ANSWER_HOLD},
    {PUT, 400, "MissingRequestBodyError", ANSWER_HOLD},
    {PUT, 400, "InvalidRequest", ANSWER_HOLD},
    {PUT, 400, "InvalidArgument", ANSWER_HOLD},
    {PUT, 400, "InvalidStorageClass", ANSWER_HOLD},
    {PUT, 400, "InvalidEncryptionAlgorithmError", ANSWER_HOLD},
    {PUT, 400, "InvalidTag", ANSWER_HOLD},
    {PUT, 400, "InvalidURI", ANSWER_HOLD},
    {PUT, 400, "InvalidObjectName", ANSWER_HOLD},
    {PUT, 400, "MaxMessageLengthExceeded", ANSWER_HOLD},
    {PUT, 400, "MetadataTooLarge", ANSWER_HOLD},
    {COMPLETE, 400, "MalformedXML", ANSWER_HOLD},
    {PUT, 400, "BadRequest", ANSWER_HOLD},
    {PUT, 400, "", ANSWER_HOLD},
    {PUT, 413, "", ANSWER_HOLD},
    {PUT, 413, "RequestEntityTooLarge", ANSWER_HOLD},
    {PUT, 414, "", ANSWER_HOLD},
    {PUT, 416, "InvalidRange", ANSWER_HOLD},
    {PUT, 422, "UnprocessableEntity", ANSWER_HOLD},
    {PUT, 423, "Locked", ANSWER_HOLD},
    {PUT, 431, "", ANSWER_HOLD},
    {PUT, 400, "XMinioInvalidObjectName", ANSWER_HOLD},
    {PUT, 400, "XMinioInvalidResourceName", ANSWER_HOLD},
    {PUT, 409, "XMinioObjectExistsAsDirectory", ANSWER_HOLD},
    {PUT, 400, "XMinioParentIsObject", ANSWER_HOLD},
    {PUT, 400, "XMinioInsecureClientRequest", ANSWER_HOLD},
    {PUT, 400, "KMS.DisabledException", ANSWER_HOLD},
    {PUT, 400, "KMS.NotFoundException", ANSWER_HOLD},
    {PUT, 400, "KMS.KMSInvalidStateException", ANSWER_HOLD},
    {PUT, 400, "KMS.SomethingNew", ANSWER_HOLD},
    {PUT, 400, "InvalidTag", ANSWER_HOLD},
    {PUT, 400, "InvalidStorageClass", ANSWER_HOLD},
    {PUT, 400, "InvalidEncryptionAlgorithmError", ANSWER_HOLD},
    {PUT, 499, "SomethingNew", ANSWER_HOLD},
};
#define N_SAMPLES (sizeof samples / sizeof samples[0])

Test(answer, each_answer_has_its_class)
{
    for (size_t i = 0; i < N_SAMPLES; i++) {
        struct answer_facts f = facts_of(&samples[i]);
        enum answer_class got = answer_classify(&f);
        cr_expect_eq(got, samples[i].class, "%s %d \"%s\" is %s, not %s", request_op_name(f.op),
                     f.status, f.code, answer_class_name(got), answer_class_name(samples[i].class));
    }
}

Test(answer, without_a_whole_answer_it_is_tried_again)
{
    static const enum rc transports[] = {RC_NET, RC_LIMIT, RC_IO, RC_CANCELLED};
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        struct answer_facts f = {
            .transport = transports[i], .status = 200, .code = "KeyTooLongError"};
        cr_expect_eq(answer_classify(&f), ANSWER_RETRY, "%s", rc_name(transports[i]));
    }
    struct answer_facts none = {.code = ""};
    cr_expect_eq(answer_classify(&none), ANSWER_RETRY);
}

Test(answer, a_200_with_an_error_in_it_is_no_success)
{
    static const struct sample cases[] = {
        {COMPLETE, 200, "", ANSWER_RETRY},
        {PUT, 200, "", ANSWER_RETRY},
        {COMPLETE, 200, "SomethingNew", ANSWER_RETRY},
        {COMPLETE, 200, "InternalError", ANSWER_RETRY},
        {COMPLETE, 200, "SlowDown", ANSWER_THROTTLE},
        {COMPLETE, 200, "PreconditionFailed", ANSWER_EXISTS},
        {COMPLETE, 200, "NoSuchUpload", ANSWER_RESTART},
        {COMPLETE, 200, "AccessDenied", ANSWER_HOLD},
        {COMPLETE, 200, "EntityTooLarge", ANSWER_HOLD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer_facts f = facts_of(&cases[i]);
        f.body_is_error = true;
        cr_expect_eq(answer_classify(&f), cases[i].class, "%s", f.code);
    }
}

Test(answer, a_region_in_the_answer_is_followed)
{
    static const struct sample cases[] = {
        {PUT, 301, "PermanentRedirect", ANSWER_REROUTE},
        {PUT, 307, "TemporaryRedirect", ANSWER_REROUTE},
        {PUT, 400, "AuthorizationHeaderMalformed", ANSWER_REROUTE},
        {PUT, 400, "IllegalLocationConstraintException", ANSWER_REROUTE},
        {PUT, 400, "InvalidRegion", ANSWER_REROUTE},
        {HEAD, 301, "", ANSWER_REROUTE},
        {HEAD, 400, "", ANSWER_REROUTE},
        {PUT, 400, "", ANSWER_HOLD},
        {PUT, 403, "AccessDenied", ANSWER_HOLD},
        {PUT, 200, "", ANSWER_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer_facts f = facts_of(&cases[i]);
        f.has_region = true;
        cr_expect_eq(answer_classify(&f), cases[i].class, "%d %s", f.status, f.code);
    }
}

Test(answer, temporary_keys_that_are_not_known_are_fetched_anew)
{
    static const char *const codes[] = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId",
                                        "InvalidClientTokenId"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct answer_facts f = {.status = 403, .code = codes[i], .temporary_credentials = true};
        cr_expect_eq(answer_classify(&f), ANSWER_REFRESH, "%s", codes[i]);
    }
    struct answer_facts denied = {
        .status = 403, .code = "AccessDenied", .temporary_credentials = true};
    cr_expect_eq(answer_classify(&denied), ANSWER_HOLD);
}

/* P8, for every operation, status, code and other fact. */
Test(answer, nothing_condemns_an_object_but_its_key_and_its_size)
{
    unsigned condemned = 0;
    for (int op = 0; op < REQUEST_OP_COUNT_; op++)
        for (int status = 100; status < 600; status++)
            for (size_t i = 0; i < N_SAMPLES; i++)
                for (unsigned bits = 0; bits < 8; bits++) {
                    struct answer_facts f = {.op = (enum request_op)op,
                                             .status = status,
                                             .code = samples[i].code,
                                             .body_is_error = bits & 1,
                                             .temporary_credentials = bits & 2,
                                             .has_region = bits & 4};
                    if (answer_classify(&f) != ANSWER_CONDEMN)
                        continue;
                    condemned++;
                    cr_assert(strncmp(f.code, "KeyTooLong", 10) == 0 ||
                              strcmp(f.code, "EntityTooLarge") == 0);
                    cr_assert(status >= 400 && status < 500);
                    cr_assert(op == PUT || op == CREATE || op == COMPLETE);
                }
    cr_assert_gt(condemned, 0);
}

/* P2 */
Test(answer, nothing_is_a_success_but_the_status_that_s3_documents)
{
    for (int op = 0; op < REQUEST_OP_COUNT_; op++)
        for (int status = 0; status < 700; status++) {
            struct answer_facts f = {.op = (enum request_op)op, .status = status, .code = ""};
            bool good = status == 200 || (op == ABORT && status == 204);
            cr_assert_eq(answer_classify(&f) == ANSWER_OK, good, "%s %d", request_op_name(f.op),
                         status);
        }
}

Test(answer, each_remedy_is_one_sentence_and_the_known_codes_have_their_own)
{
    struct answer_facts unknown = {.status = 400, .code = "SomethingNew"};
    const char *general = answer_remedy(&unknown);
    unsigned own = 0;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        struct answer_facts f = facts_of(&samples[i]);
        const char *remedy = answer_remedy(&f);
        size_t len = strlen(remedy);
        cr_expect_gt(len, 20, "%s", f.code);
        cr_expect_lt(len, 300, "%s: %zu", f.code,
                     len); /* fits err.text with what comes before it */
        cr_expect_not(strchr(remedy, '\n') || remedy[len - 1] == '.' || remedy[len - 1] == ' ',
                      "%s", f.code);
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) {
            struct answer_facts earlier = facts_of(&samples[k]);
            seen = strcmp(answer_remedy(&earlier), remedy) == 0;
        }
        own += !seen && strcmp(remedy, general) != 0;
    }
    cr_expect_geq(own, 50, "%u different remedies", own);
}

Test(answer, remedies_name_what_has_to_be_changed)
{
    static const struct {
        struct sample s;
        const char *says;
    } cases[] = {
        {{PUT, 403, "AccessDenied", 0}, "s3:PutObject"},
        {{HEAD, 403, "", 0}, "s3:GetObject"},
        {{ABORT, 403, "AccessDenied", 0}, "s3:AbortMultipartUpload"},
        {{LIST, 403, "AccessDenied", 0}, "s3:ListBucketMultipartUploads"},
        {{LOCATION, 403, "AccessDenied", 0}, "s3:GetBucketLocation"},
        {{ACL, 403, "AccessDenied", 0}, "s3:GetObjectAcl"},
        {{PUT, 400, "AccessControlListNotSupported", 0}, "\"bucket.acl\" to \"none\""},
        {{PUT, 404, "NoSuchBucket", 0}, "bucket.arn"},
        {{PUT, 403, "SignatureDoesNotMatch", 0}, "secret access key"},
        {{PUT, 403, "RequestTimeTooSkewed", 0}, "clock"},
        {{PUT, 413, "", 0}, "client_max_body_size"},
        {{PUT, 400, "KMS.DisabledException", 0}, "kms:GenerateDataKey"},
        {{PUT, 400, "InvalidTag", 0}, "bucket.tags"},
        {{PUT, 400, "InvalidStorageClass", 0}, "bucket.storage_class"},
        {{PUT, 400, "InvalidEncryptionAlgorithmError", 0}, "bucket.encryption"},
        {{PUT, 301, "PermanentRedirect", 0}, "does not say which"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer_facts f = facts_of(&cases[i].s);
        cr_expect(strstr(answer_remedy(&f), cases[i].says), "%s: %s", f.code, answer_remedy(&f));
    }
    struct answer_facts net = {.transport = RC_NET, .failure = HTTP_NOT_CONNECTED, .code = ""};
    cr_expect(strstr(answer_remedy(&net), "bucket.endpoint"));
}

Test(answer, failures_of_the_network_have_codes_and_remedies_of_their_own)
{
    for (int f = 0; f < HTTP_FAILURE_COUNT_; f++) {
        cr_expect_gt(strlen(http_failure_remedy((enum http_failure)f)), 10);
        for (int other = 0; other < f; other++)
            cr_expect_str_neq(http_failure_code((enum http_failure)f),
                              http_failure_code((enum http_failure)other));
    }
    cr_expect_eq(http_failure_of_certificate(0), HTTP_CERTIFICATE_OTHER_NAME);
    cr_expect_eq(http_failure_of_certificate(1), HTTP_CERTIFICATE_OTHER_NAME);
    cr_expect_eq(http_failure_of_certificate(10), HTTP_CERTIFICATE_EXPIRED);
    cr_expect_eq(http_failure_of_certificate(18), HTTP_CERTIFICATE_UNKNOWN);
    cr_expect_eq(http_failure_of_certificate(23), HTTP_CERTIFICATE_BAD);
}

Test(answer, classes_have_names)
{
    for (int c = 0; c < ANSWER_CLASS_COUNT_; c++)
        for (int other = 0; other < c; other++)
            cr_expect_str_neq(answer_class_name((enum answer_class)c),
                              answer_class_name((enum answer_class)other));
    cr_expect_str_eq(answer_class_name(ANSWER_RETRY), "retry");
}
