/* S3's error codes and the document that carries them.
 * Source: "Error responses", Amazon S3 API Reference.
 */
#include "tests/fakes/devstore/failure.h"

#include "tests/fakes/devstore/xmlout.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *code;
    int status;
} known[] = {
    {"AccessDenied", 403},
    {"AuthorizationHeaderMalformed", 400},
    {"BadDigest", 400},
    {"BadRequest", 400},
    {"ConditionalRequestConflict", 409},
    {"EntityTooLarge", 400},
    {"EntityTooSmall", 400},
    {"ExpiredToken", 400},
    {"InternalError", 500},
    {"InvalidAccessKeyId", 403},
    {"InvalidArgument", 400},
    {"InvalidDigest", 400},
    {"InvalidPart", 400},
    {"InvalidPartOrder", 400},
    {"InvalidRange", 416},
    {"InvalidRequest", 400},
    {"InvalidToken", 400},
    {"InvalidURI", 400},
    {"KeyTooLongError", 400},
    {"MalformedXML", 400},
    {"MaxMessageLengthExceeded", 400},
    {"MethodNotAllowed", 405},
    {"MissingContentLength", 411},
    {"NoSuchBucket", 404},
    {"NoSuchBucketPolicy", 404},
    {"NoSuchKey", 404},
    {"NoSuchUpload", 404},
    {"NotImplemented", 501},
    {"NotModified", 304},
    {"ObjectLockConfigurationNotFoundError", 404},
    {"OperationAborted", 409},
    {"PermanentRedirect", 301},
    {"PreconditionFailed", 412},
    {"QuotaExceeded", 403},
    {"RequestHeaderSectionTooLarge", 400},
    {"RequestTimeTooSkewed", 403},
    {"RequestTimeout", 400},
    {"ServiceUnavailable", 503},
    {"SignatureDoesNotMatch", 403},
    {"SlowDown", 503},
    {"TemporaryRedirect", 307},
    {"TooManyRequests", 429},
    {"XAmzContentSHA256Mismatch", 400},
    {"XMinioStorageFull", 507},
};

void failure_init(struct failure *f)
{
    memset(f, 0, sizeof *f);
    buf_init(&f->detail, 64 * 1024);
}

void failure_fini(struct failure *f)
{
    buf_fini(&f->detail);
}

void failure_reset(struct failure *f)
{
    f->status = 0;
    f->code[0] = f->message[0] = '\0';
    buf_reset(&f->detail);
}

int failure_status(const char *code)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].code, code) == 0)
            return known[i].status;
    return 400;
}

bool failure_set(struct failure *f, const char *code, const char *fmt, ...)
{
    va_list args;

    failure_reset(f);
    f->status = failure_status(code);
    (void)snprintf(f->code, sizeof f->code, "%s", code);
    va_start(args, fmt);
    (void)vsnprintf(f->message, sizeof f->message, fmt, args);
    va_end(args);
    return false;
}

void failure_write(struct buf *out, const struct failure *f, const char *resource,
                   const char *request_id)
{
    xmlout_begin(out);
    buf_adds(out, "<Error>");
    xmlout_element(out, "Code", f->code);
    xmlout_element(out, "Message", f->message);
    buf_add(out, f->detail.data, f->detail.len);
    xmlout_element(out, "Resource", resource);
    xmlout_element(out, "RequestId", request_id);
    xmlout_element(out, "HostId", "devstore");
    buf_adds(out, "</Error>");
}
