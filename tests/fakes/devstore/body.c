/* Bodies. The digests are computed while the bytes pass; nothing larger than what one read brought
 * is held, but for the few documents that are bounded by BODY_TEXT_MAX.
 *
 * KNOWN: chunk signatures, trailers and checksums other than SHA-256 are not verified; strict
 * clients of this store use none of them.
 */
#include "tests/fakes/devstore/body.h"

#include "base/hex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_TEXT_MAX (4 * 1024 * 1024)

void body_init(struct body *b, struct store *store, const struct config *config)
{
    memset(b, 0, sizeof *b);
    b->store = store;
    b->counting = config->count;
    b->no_md5 = config->no_md5;
    b->fd = -1;
    buf_init(&b->text, BODY_TEXT_MAX);
}

void body_fini(struct body *b)
{
    body_drop(b);
    digest_free(b->sha);
    digest_free(b->md5);
    buf_fini(&b->text);
}

void body_tmp_taken(struct body *b)
{
    b->tmp[0] = '\0';
}

void body_drop(struct body *b)
{
    if (b->fd >= 0)
        (void)close(b->fd); /* its bytes are given up */
    b->fd = -1;
    if (b->tmp[0] != '\0')
        store_tmp_remove(b->store, b->tmp);
    b->tmp[0] = '\0';
    if (b->text.cap > 64 * 1024) {
        buf_fini(&b->text);
        buf_init(&b->text, BODY_TEXT_MAX);
    }
}

void body_begin(struct body *b, enum body_mode mode, enum payload payload,
                const struct http_request *r)
{
    b->mode = mode;
    b->chunked = payload == PAYLOAD_CHUNKED;
    chunked_begin(&b->chunks);
    b->error = 0;
    b->size = 0;
    b->with_md5 = false;
    buf_reset(&b->text);
    if (mode == BODY_DROP)
        return;
    if (b->sha == NULL)
        b->sha = digest_new(DIGEST_SHA256);
    digest_begin(b->sha);
    b->with_md5 = (mode == BODY_OBJECT && !b->no_md5) || http_header(r, "content-md5") != NULL;
    if (b->with_md5) {
        if (b->md5 == NULL)
            b->md5 = digest_new(DIGEST_MD5);
        digest_begin(b->md5);
    }
    if (mode != BODY_OBJECT || b->counting)
        return;
    b->fd = store_tmp_open(b->store, b->tmp);
    if (b->fd < 0) {
        b->error = -b->fd;
        b->tmp[0] = '\0';
    }
}

static void accept_bytes(void *arg, const char *data, size_t n)
{
    struct body *b = arg;

    digest_update(b->sha, data, n);
    if (b->with_md5)
        digest_update(b->md5, data, n);
    b->size += n;
    if (b->mode == BODY_COLLECT)
        buf_add(&b->text, data, n);
    while (b->fd >= 0 && b->error == 0 && n > 0) {
        ssize_t written = write(b->fd, data, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            b->error = written < 0 ? errno : ENOSPC;
            break;
        }
        data += written;
        n -= (size_t)written;
    }
}

void body_feed(struct body *b, const char *data, size_t n)
{
    if (b->mode == BODY_DROP)
        return;
    if (b->chunked)
        (void)chunked_feed(&b->chunks, data, n, accept_bytes, b); /* what follows is ignored */
    else
        accept_bytes(b, data, n);
}

/* A base64 header of n bytes against what was computed. */
static bool check_base64(const char *header, const char *name, const uint8_t *sum, size_t n,
                         struct failure *f)
{
    uint8_t given[SHA256_SIZE];
    size_t got;

    if (header == NULL)
        return true;
    if (base64_decode(given, sizeof given, &got, header, strlen(header)) != RC_OK || got != n)
        return failure_set(f, strcmp(name, "Content-MD5") == 0 ? "InvalidDigest" : "InvalidRequest",
                           "Value for %s header is invalid.", name);
    if (memcmp(given, sum, n) != 0)
        return failure_set(f, "BadDigest",
                           "The %s you specified did not match the calculated checksum.", name);
    return true;
}

bool body_end(struct body *b, enum payload payload, const struct http_request *r, struct failure *f)
{
    const char *decoded_length = http_header(r, "x-amz-decoded-content-length");
    char hex[2 * SHA256_SIZE + 1];

    if (b->mode == BODY_DROP)
        return true;
    digest_finish(b->sha, b->sha256);
    if (b->with_md5)
        digest_finish(b->md5, b->md5_sum);
    else
        memcpy(b->md5_sum, b->sha256, MD5_SIZE);
    if (b->fd >= 0 && close(b->fd) < 0 && b->error == 0)
        b->error = errno;
    b->fd = -1;
    if (b->error != 0)
        return failure_set(f, "InternalError", "devstore cannot keep the body: %s",
                           strerror(b->error));
    if (b->chunks.wrong != NULL)
        return failure_set(f, "InvalidRequest", "The aws-chunked body is malformed: %s",
                           b->chunks.wrong);
    if (b->chunked && !chunked_has_all(&b->chunks))
        return failure_set(f, "InvalidRequest", "The aws-chunked body is incomplete");
    if (b->chunked && decoded_length != NULL && strtoull(decoded_length, NULL, 10) != b->size)
        return failure_set(f, "InvalidRequest", "x-amz-decoded-content-length is wrong");
    if (b->text.overflow)
        return failure_set(f, "MaxMessageLengthExceeded", "Your request was too big.");
    if (payload == PAYLOAD_SIGNED) {
        hex_encode(hex, b->sha256, SHA256_SIZE);
        if (strcmp(hex, http_header(r, "x-amz-content-sha256")) != 0)
            return failure_set(f, "XAmzContentSHA256Mismatch",
                               "The provided 'x-amz-content-sha256' header does not match what was "
                               "computed.");
    }
    return check_base64(http_header(r, "content-md5"), "Content-MD5", b->md5_sum, MD5_SIZE, f) &&
           check_base64(http_header(r, "x-amz-checksum-sha256"), "x-amz-checksum-sha256", b->sha256,
                        SHA256_SIZE, f);
}
