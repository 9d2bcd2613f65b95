/* What a bucket's owner may want of our requests, apart from the ACL: how objects are encrypted, in
 * which class they are stored, their tags, whose bucket it has to be, and who pays.
 *
 *   PutObject, CreateMultipartUpload   everything
 *   all others but ListBuckets         expected_owner, requester_pays (GetBucketLocation: not this)
 */
#ifndef UPLOADER_OPTIONS_H
#define UPLOADER_OPTIONS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct options {
    const char *encryption; /* "AES256", "aws:kms", "aws:kms:dsse"; NULL: the bucket's own */
    const char *kms_key_id; /* NULL: the bucket's, or AWS's for S3 */
    const char *encryption_context; /* what options_context wrote; NULL: none */
    bool bucket_key;                /* fewer calls to KMS */
    const char *storage_class;      /* NULL: the bucket's */
    const char *tagging;            /* what options_tagging wrote; NULL: none */
    const char *expected_owner;     /* 12 digits: another's bucket is answered with 403; NULL */
    bool requester_pays;
};

/* Texts of its own, for options_fini. */
void options_copy(struct options *to, const struct options *from);
void options_fini(struct options *o);

struct options_pair {
    char *name, *value;
};
/* Append "name=value&…", encoded as in a URL: the value of x-amz-tagging. */
void options_tagging(struct buf *out, const struct options_pair *pairs, size_t n);
/* Append the base64 of a JSON object of them: of x-amz-server-side-encryption-context. The names
 * and values are UTF-8. */
void options_context(struct buf *out, const struct options_pair *pairs, size_t n);

#define OPTIONS_TAGS_MAX 10
/* S3's rules for one tag: 1 to 128 characters, the value up to 256, letters, digits, spaces and
 * + - = . _ : / @, no name that begins with "aws:". RC_INVALID: e says which is broken. Letters
 * beyond ASCII are the store's to judge. */
enum rc options_check_tag(const char *name, const char *value, struct err *e) MUST_CHECK;

#endif
