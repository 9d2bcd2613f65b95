#include "uploader/http_int.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

Test(http_head, the_header_of_an_answer_becomes_facts)
{
    static const struct {
        const char *line;
        size_t offset;
        const char *text;
    } rows[] = {
#define AT(member) offsetof(struct http_answer, member)
        {"ETag: \"abc\"", AT(etag), "abc"},
        {"etag:abc  ", AT(etag), "abc"},
        {"ETag: \"", AT(etag), "\""},
        {"X-Amz-Version-Id: v1", AT(version_id), "v1"},
        {"x-amz-request-id: R", AT(request_id), "R"},
        {"x-amz-checksum-sha256: c=-2", AT(checksum_sha256), "c=-2"},
        {"x-amz-bucket-region: eu-central-1", AT(region), "eu-central-1"},
        {"Location: http://x/", AT(location), "http://x/"},
        {"x-amz-request-id: \x1b[2J", AT(request_id), ""},
        {"x-amz-bucket-region: 0123456789012345678901234567890123456789012345678901234567890123",
         AT(region), ""},
        {"no colon", AT(etag), ""},
    };
    static const struct {
        const char *date, *retry;
        uint64_t ms;
    } waits[] = {
        {"", "Retry-After: 0", 0},
        {"", "retry-after: 7", 7000},
        {"", "Retry-After: 61", 60000},
        {"", "Retry-After: 99999999999999999999999", 60000},
        {"", "Retry-After: soon", 0},
        {"Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:49:40 GMT", 3000},
        {"Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:49:30 GMT", 0},
        {"", "Retry-After: Sun, 06 Nov 1994 08:49:42 GMT", 5000},
    };
    struct http_answer a;
    struct http_head h;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        http_head_begin(&h, &a);
        http_head_line(&h, "HTTP/1.1 200 OK\r\n", 17);
        http_head_line(&h, rows[i].line, strlen(rows[i].line));
        cr_expect_str_eq((char *)&a + rows[i].offset, rows[i].text, "row %zu", i);
        cr_expect(!h.whole);
    }
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        http_head_begin(&h, &a);
        http_head_line(&h, waits[i].date, strlen(waits[i].date));
        http_head_line(&h, waits[i].retry, strlen(waits[i].retry));
        http_head_end(&h, 784111777);
        cr_expect_eq(a.retry_after_ms, waits[i].ms, "row %zu", i);
    }
    http_head_begin(&h, &a);
    http_head_line(&h, "HTTP/1.1 100 Continue", 21);
    http_head_line(&h, "etag: no", 8);
    http_head_line(&h, "\r\n", 2);
    cr_expect(h.whole);
    http_head_line(&h, "HTTP/1.1 503 Slow", 17);
    cr_expect(!h.whole);
    cr_expect_eq(a.status, 503);
    cr_expect_str_eq(a.etag, "");
}

Test(http_head, a_header_that_does_not_end_is_refused_whatever_it_is_made_of)
{
    static const char *const floods[] = {"x-a: b\r\n", "HTTP/1.1 100 Continue\r\n", "\r\n"};
    struct http_answer a;
    struct http_head h;

    for (size_t i = 0; i < sizeof(floods) / sizeof(*floods); i++) {
        size_t bytes = 0, n = strlen(floods[i]);

        http_head_begin(&h, &a);
        cr_expect(http_head_line(&h, "HTTP/1.1 200 OK\r\n", 17));
        while (bytes < (1 << 20) && http_head_line(&h, floods[i], n))
            bytes += n;
        cr_expect(bytes > 60000 && bytes < 70000, "flood %zu: %zu bytes", i, bytes);
        http_head_begin(&h, &a);
        cr_expect(http_head_line(&h, "HTTP/1.1 200 OK\r\n", 17), "the next answer begins anew");
    }
}
