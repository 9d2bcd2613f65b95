/* An answer's body and status to what is done with the file. Whatever the store says, a file counts
 * as delivered only after a success with a body that is none of an error (P2). */
#include "uploader/xml.h"

#include "tests/fuzz/fuzz.h"
#include "uploader/answer.h"

static void classify(struct fuzz_input *in, const char *code)
{
    static const int statuses[] = {0,   100, 200, 204, 206, 301, 304, 307, 400, 401, 403, 404,
                                   405, 408, 409, 411, 412, 413, 416, 429, 500, 501, 503, 507};
    unsigned bits = fuzz_byte(in), s = fuzz_byte(in);
    struct answer_facts f = {
        .op = (enum request_op)(fuzz_byte(in) % REQUEST_OP_COUNT_),
        .transport = bits & 1 ? (enum rc)(s % RC_COUNT_) : RC_OK,
        .status = bits & 2 ? (int)s * 4 : statuses[s % (sizeof statuses / sizeof statuses[0])],
        .code = code,
        .body_is_error = (bits & 4) != 0,
        .temporary_credentials = (bits & 8) != 0,
        .has_region = (bits & 16) != 0,
    };
    enum answer_class c = answer_classify(&f);
    BUG_ON((unsigned)c >= ANSWER_CLASS_COUNT_);
    BUG_ON(answer_class_name(c)[0] == '\0');
    /* To abort an upload that is not there any more is to have aborted it. */
    bool gone = f.op == REQUEST_ABORT_MULTIPART && strcmp(code, "NoSuchUpload") == 0;
    if (c == ANSWER_OK && !gone)
        BUG_ON(f.transport != RC_OK || f.status < 200 || f.status > 299 || f.body_is_error);
    if (c == ANSWER_EXISTS)
        BUG_ON(f.transport != RC_OK || f.status != 412);
    const char *remedy = answer_remedy(&f);
    BUG_ON(!remedy);
    fuzz_is_safe(remedy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct xml_answer empty;
    struct fuzz_input in = fuzz_begin(data, n), facts = in;
    struct xml_answer a;
    struct err e;
    for (int i = 0; i < 3; i++)
        (void)fuzz_byte(&in);
    char *body = fuzz_take(&in, in.n, &n);
    enum rc rc = xml_parse(body, n, &a, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
        BUG_ON(rc != RC_INVALID || memcmp(&a, &empty, sizeof a) != 0);
    }
    const char *const texts[] = {a.root,     a.code,       a.message,     a.region,
                                 a.resource, a.etag,       a.server_time, a.location_constraint,
                                 a.owner_id, a.request_id, a.upload_id,   a.checksum_sha256};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        BUG_ON(utf8_span(texts[i], strlen(texts[i])) != strlen(texts[i]));
    classify(&facts, a.code);
    free(body);
    return 0;
}
