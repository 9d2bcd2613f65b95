/* What an answer of the store means for the file and for the destination. One pure function, one
 * table; promises P2 and P8 hang on it.
 */
#ifndef UPLOADER_ANSWER_H
#define UPLOADER_ANSWER_H

#include "base/rc.h"
#include "uploader/http_failure.h"
#include "uploader/request.h"

#include <stdbool.h>
#include <stdint.h>

enum answer_class {
    ANSWER_OK,       /* final success of this request */
    ANSWER_EXISTS,   /* 412: the key exists; compare */
    ANSWER_RETRY,    /* passing: network, 408, 429, 5xx, SlowDown, RequestTimeout, conflict 409 */
    ANSWER_THROTTLE, /* as RETRY, and send less: 429, 503 SlowDown and their kin */
    ANSWER_SKEW,   /* RequestTimeTooSkewed: correct the offset from the answer's date, then retry */
    ANSWER_DIGEST, /* BadDigest and its kin: retry, bounded, then hold that file */
    ANSWER_REFRESH, /* ExpiredToken, InvalidToken, InvalidAccessKeyId of temporary keys */
    ANSWER_REROUTE, /* another region: 301, 307, AuthorizationHeaderMalformed with a region */
    ANSWER_RESTART, /* NoSuchUpload, InvalidPart, InvalidPartOrder: begin the multipart upload anew
                     */
    ANSWER_HOLD, /* refused until somebody changes something, the whole destination, this prefix or
                    this object: AccessDenied, SignatureDoesNotMatch, NoSuchBucket, quota, storage
                    full, ACL not supported, a name or size, anything unknown 4xx */
    ANSWER_CONDEMN, /* this one object never: KeyTooLongError, EntityTooLarge */
    ANSWER_CLASS_COUNT_
};
const char *answer_class_name(enum answer_class c); /* "ok", "retry", … */

struct answer_facts {
    enum request_op op;
    enum rc transport;         /* RC_OK: a whole HTTP answer came */
    enum http_failure failure; /* with RC_NET */
    int status;                /* 0 without an answer */
    const char *code;          /* S3's error code, "" if none */
    bool body_is_error; /* a 200 whose body is <Error> (CompleteMultipartUpload, copy) or not what
                           the operation returns */
    bool temporary_credentials;
    bool has_region; /* the answer named a region: header or body */
    bool no_acl;     /* writes are sent without an ACL: what a policy may refuse */
};
enum answer_class answer_classify(const struct answer_facts *f);
/* What of an answer's Retry-After is meant. MinIO says a minute with every 503: also while it
 * starts, which takes moments. */
uint64_t answer_wait_ms(const char *code, uint64_t retry_after_ms);
/* The code as it stands in our table of those that stores are known to send; NULL: not among them.
 */
const char *answer_code_known(const char *code);
/* The cause and the remedy as one sentence for people: by code where we know it, else by status. */
const char *answer_remedy(const struct answer_facts *f);

#endif
