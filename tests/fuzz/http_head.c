/* The header of an answer, line by line: what is kept of it is bounded and printable. */
#include "uploader/http_int.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    struct http_answer a = {0};
    struct http_head head;
    http_head_begin(&head, &a);
    while (in.n > 0) {
        const char *end = memchr(in.p, '\n', in.n);
        char *line = fuzz_take(&in, end ? (size_t)(end - in.p) + 1 : in.n, &n);
        http_head_line(&head, line, n);
        free(line);
    }
    http_head_end(&head, 1790000000);
    const char *const texts[] = {a.etag,   a.version_id, a.request_id, a.checksum_sha256,
                                 a.region, a.location};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (const char *p = texts[i]; *p; p++)
            BUG_ON(*p < ' ' || *p > '~');
    BUG_ON(a.retry_after_ms > 60000 || a.status < 0 || a.status > 999);
    return 0;
}
