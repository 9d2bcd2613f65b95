/* AWS Signature Version 4 in the Authorization header, checked as strictly as S3 does.
 *
 * The stages of uploader/sigv4.h compute; what is fed to them is taken from the request as it came:
 * path and query are decoded and encoded again, as S3 does, so that a client that sends one
 * encoding and signs another is told so.
 */
#ifndef DEVSTORE_AUTH_H
#define DEVSTORE_AUTH_H

#include "tests/fakes/devstore/config.h"
#include "tests/fakes/devstore/failure.h"
#include "tests/fakes/devstore/http.h"

#include <stdint.h>

enum payload {
    PAYLOAD_SIGNED,   /* x-amz-content-sha256 is the body's digest */
    PAYLOAD_UNSIGNED, /* no digest */
    PAYLOAD_CHUNKED,  /* aws-chunked, decoded and not verified */
};

/* Scratch and the derived key; one a thread. */
struct auth;
struct auth *auth_new(const struct config *config);
void auth_free(struct auth *a);
/* False, and why, if the request must be refused. *unsigned_header: refused for a header that is
 * not signed. */
bool auth_verify(struct auth *a, const struct http_request *r, int64_t now_unix_s,
                 enum payload *payload, bool *unsigned_header, struct failure *f);

#endif
