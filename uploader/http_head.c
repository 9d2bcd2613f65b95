/* The header of an answer, from lines to facts. Every byte is the network's: values are bounded,
 * and those that are kept as text hold printable ASCII only, for they end in logs and in the
 * journal.
 */
#include "uploader/http_int.h"

#include "base/clock.h"

#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX_S 60
#define HEAD_MAX          (64u << 10)

static int parse_status(const char *line, size_t n)
{
    const char *sp = memchr(line, ' ', n);
    int status = 0;

    if (sp == NULL || (size_t)(line + n - sp) < 4)
        return 0;
    for (int i = 1; i <= 3; i++) {
        if (sp[i] < '0' || sp[i] > '9')
            return 0;
        status = status * 10 + (sp[i] - '0');
    }
    return status;
}

static void take_retry_after(struct http_head *h, const char *value)
{
    uint64_t s = 0;
    const char *p = value;

    for (; *p >= '0' && *p <= '9' && s <= RETRY_AFTER_MAX_S; p++)
        s = s * 10 + (uint64_t)(*p - '0');
    if (p != value)
        h->answer->retry_after_ms = (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * 1000;
    else if (clock_parse_http_date(value, &h->retry_at_unix_s) != RC_OK)
        h->retry_at_unix_s = 0;
}

#define FIELD(name, member)                                                                        \
    {                                                                                              \
        name, sizeof(name) - 1, offsetof(struct http_answer, member),                              \
            sizeof(((struct http_answer *)0)->member)                                              \
    }
static const struct {
    const char *name;
    size_t name_len, offset, size;
} fields[] = {
    FIELD("etag", etag),
    FIELD("x-amz-version-id", version_id),
    FIELD("x-amz-request-id", request_id),
    FIELD("x-amz-checksum-sha256", checksum_sha256),
    FIELD("x-amz-bucket-region", region),
    FIELD("location", location),
};

/* One that does not fit is left out, since half an ETag is none. */
static void take_text(char *out, size_t size, const char *value, size_t n)
{
    if (n >= size)
        return;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < ' ' || value[i] > '~')
            return;
    }
    memcpy(out, value, n);
    out[n] = '\0';
}

static void take_header(struct http_head *h, const char *name, size_t name_len, const char *value,
                        size_t n)
{
    struct http_answer *a = h->answer;
    char text[64];

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        if (fields[i].name_len != name_len || strncasecmp(fields[i].name, name, name_len) != 0)
            continue;
        if (i == 0 && n >= 2 && value[0] == '"' && value[n - 1] == '"') {
            value++;
            n -= 2;
        }
        take_text((char *)a + fields[i].offset, fields[i].size, value, n);
        return;
    }
    if (n >= sizeof(text))
        return;
    memcpy(text, value, n);
    text[n] = '\0';
    if (name_len == 4 && strncasecmp(name, "date", 4) == 0) {
        if (clock_parse_http_date(text, &a->date_unix_s) != RC_OK)
            a->date_unix_s = 0;
    } else if (name_len == 11 && strncasecmp(name, "retry-after", 11) == 0) {
        take_retry_after(h, text);
    }
}

static void forget(struct http_head *h)
{
    struct http_answer *a = h->answer;

    h->whole = false;
    h->retry_at_unix_s = 0;
    a->status = 0;
    a->etag[0] = a->version_id[0] = a->request_id[0] = a->checksum_sha256[0] = '\0';
    a->region[0] = a->location[0] = '\0';
    a->date_unix_s = 0;
    a->retry_after_ms = 0;
    a->content_length = UINT64_MAX;
}

void http_head_begin(struct http_head *h, struct http_answer *a)
{
    h->answer = a;
    h->bytes = 0;
    a->text[0] = '\0';
    a->failure = HTTP_NO_FAILURE;
    forget(h);
}

bool http_head_line(struct http_head *h, const char *line, size_t n)
{
    const char *colon, *value, *end;

    h->bytes += n;
    if (h->bytes > HEAD_MAX)
        return false;
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r' || line[n - 1] == ' '))
        n--;
    if (n == 0) {
        h->whole = true;
        return true;
    }
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        forget(h);
        h->answer->status = parse_status(line, n);
        return true;
    }
    colon = memchr(line, ':', n);
    if (colon == NULL)
        return true;
    end = line + n;
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
        ;
    take_header(h, line, (size_t)(colon - line), value, (size_t)(end - value));
    return true;
}

void http_head_end(struct http_head *h, int64_t now_unix_s)
{
    struct http_answer *a = h->answer;
    int64_t wait;

    if (h->retry_at_unix_s == 0)
        return;
    wait = h->retry_at_unix_s - (a->date_unix_s ? a->date_unix_s : now_unix_s);
    wait = wait < 0 ? 0 : wait > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : wait;
    a->retry_after_ms = (uint64_t)wait * 1000;
}
