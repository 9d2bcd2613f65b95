/* One signed request without a body, asked to its end: for commands that want to know rather than
 * to send. Blocks its caller, at most for the HTTP client's time limits.
 */
#ifndef UPLOADER_QUESTION_H
#define UPLOADER_QUESTION_H

#include "uploader/answer.h"
#include "uploader/http.h"

struct question {
    const struct http_cfg *http;
    const struct request_context *context;
    int64_t clock_offset_s;  /* the store's clock minus ours */
    const atomic_bool *stop; /* RC_CANCELLED soon after it became true; NULL: nobody sets it */
};

struct question_answer {
    bool asked;
    enum rc rc;         /* RC_OK: 200; RC_ABSENT: 404; RC_DENIED: any other refusal; RC_NET: none */
    int status;         /* 0: no answer */
    char code[64];      /* S3's, or why no answer came */
    char message[256];  /* the store's own words: hostile text, controls masked */
    const char *remedy; /* not RC_OK: what to change, as answer_remedy has it */
    char etag[72], region[64];
    int64_t date_unix_s;     /* the store's Date, 0 if none */
    char location[64];       /* GetBucketLocation: the region, also where S3 says nothing or "EU" */
    bool owner_full_control; /* GetObjectAcl */
    char *body;              /* NUL-terminated, at most 64 KiB; question_answer_fini frees it */
    size_t body_len;
};
/* op: any that has no body; key: "" for the bucket's own. */
void question_ask(const struct question *q, enum request_op op, const char *key,
                  struct question_answer *out);
void question_answer_fini(struct question_answer *a);

#endif
