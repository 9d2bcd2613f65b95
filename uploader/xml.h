/* S3's XML, read with expat: flat, bounded, no entities, nothing external. */
#ifndef UPLOADER_XML_H
#define UPLOADER_XML_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>

/* With its NUL. AWS says why it refuses in the end of its message, and whom and what in its
 * beginning; between the two stands the object's ARN. */
#define XML_MESSAGE_SIZE 768

/* The texts of the elements that we know, "" where absent; cut at the field's size, except for the
 * message, of which the middle is left out (" … "), and for the upload id, which is "" where it is
 * too long: nothing can be asked of the store with a part of it.
 */
struct xml_answer {
    char root[64]; /* local name of the outermost element: "Error", "InitiateMultipartUploadResult"
                    */
    char code[64], message[XML_MESSAGE_SIZE], region[64], request_id[128], resource[256];
    char upload_id[1024], etag[72], location_constraint[64];
    char checksum_sha256[64];
    char server_time[40];    /* ServerTime of RequestTimeTooSkewed */
    bool owner_full_control; /* GetObjectAcl: a grant of FULL_CONTROL to the owner's id was seen */
    char owner_id[132];
};
/* RC_INVALID: not well-formed, deeper than 8, over 64 KiB, or with a DTD; *out is empty. */
enum rc xml_parse(const char *data, size_t n, struct xml_answer *out, struct err *e) MUST_CHECK;

/* Tell the text of each element `name` directly inside a `parent`: the entries of a listing. What
 * was told before an error was found counts as told. RC_INVALID as above. */
enum rc xml_each(const char *data, size_t n, const char *parent, const char *name,
                 void (*each)(void *arg, const char *text), void *arg, struct err *e) MUST_CHECK;

/* What STS answers to AssumeRole and AssumeRoleWithWebIdentity: the texts of <Credentials>. */
struct xml_keys {
    char access_key_id[160], secret_access_key[640], session_token[12544], expiration[64];
};
/* RC_INVALID as above, or where a text is longer than its field; e->text quotes nothing. The caller
 * wipes *out; the parser's memory is wiped here. */
enum rc xml_parse_keys(const char *data, size_t n, struct xml_keys *out, struct err *e) MUST_CHECK;

#endif
