/* AWS Signature Version 4 as S3 wants it, in three pure stages that a test can look between.
 *
 * S3 differs from other services: the path is URI-encoded once and never normalised ("//", "." and
 * ".." stay), and the payload's hash is a header of its own that is signed with the rest.
 * Source: "Signature Calculations for the Authorization Header", Amazon S3 API Reference.
 */
#ifndef UPLOADER_SIGV4_H
#define UPLOADER_SIGV4_H

#include "base/buf.h"
#include "base/checksum.h"

#include <stdint.h>

/* The most of each that one request may have; more is a BUG. */
#define SIGV4_HEADERS_MAX 64
#define SIGV4_QUERY_MAX   64

/* A header to send and sign. Names in lower case; values as sent (folded and trimmed here for
 * signing). */
struct sigv4_header {
    const char *name;
    const char *value;
};

/* What is signed. Borrowed for the call. */
struct sigv4_request {
    const char *method; /* "PUT" */
    const char *path;   /* as on the wire: encoded, with its leading slash */
    const char *query;  /* as on the wire, without '?', "" if none; any order; at most
                           SIGV4_QUERY_MAX parameters */
    const struct sigv4_header *headers; /* every one is signed; "host" must be among them; any
                                           order, the same name may stand more than once */
    size_t n_headers;                   /* at most SIGV4_HEADERS_MAX */
    const char *payload_hash; /* 64 hex digits, or "UNSIGNED-PAYLOAD" where a test needs it */
};

/* When, where and by whom. */
struct sigv4_scope {
    char amz_date[17]; /* "20150830T123600Z" */
    const char *region;
    const char *service; /* "s3", "sts" */
    const char *access_key_id;
};

/* The key that signs for one day, region and service: derive it once, use it until the date
 * changes. Wipe it with secret_wipe. */
struct sigv4_key {
    uint8_t bytes[SHA256_SIZE];
};
void sigv4_key_derive(struct sigv4_key *out, const char *secret_access_key, const char *amz_date,
                      const char *region, const char *service);

/* Stage 1. Appends the canonical request; signed_headers gets "host;x-amz-date;…". */
void sigv4_canonical_request(struct buf *out, struct buf *signed_headers,
                             const struct sigv4_request *r);
/* Stage 2. */
void sigv4_string_to_sign(struct buf *out, const struct sigv4_scope *s, const char *canonical,
                          size_t canonical_len);
/* Stage 3. hex: 65 bytes. */
void sigv4_signature(char hex[2 * SHA256_SIZE + 1], const struct sigv4_key *key,
                     const char *string_to_sign, size_t n);

/* The value of the Authorization header from what the stages gave. */
void sigv4_credential(struct buf *out, const struct sigv4_scope *s, const char *signed_headers,
                      const char *signature);

/* All stages: the value of the Authorization header. Overflow of out is the caller's to check. */
void sigv4_authorization(struct buf *out, const struct sigv4_request *r,
                         const struct sigv4_scope *s, const struct sigv4_key *key);

/* Append s with every byte but A-Z a-z 0-9 - . _ ~ as %XX; '/' stays when keep_slash. */
void sigv4_uri_encode(struct buf *out, const char *s, size_t n, int keep_slash);

#endif
