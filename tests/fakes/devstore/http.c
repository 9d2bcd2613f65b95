/* HTTP heads: parsed in a private copy, bounded in size and in number of lines.
 *
 * Strict where leniency would let two readers disagree about the length of a request: no folding,
 * no bare LF, one Content-Length, no space before the colon.
 */
#include "tests/fakes/devstore/http.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

size_t http_head_end(const char *data, size_t n)
{
    const char *end = memmem(data, n, "\r\n\r\n", 4);

    return end != NULL ? (size_t)(end - data) + 4 : 0;
}

static bool is_token(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool parse_length(const char *s, uint64_t *out)
{
    uint64_t v = 0;

    if (*s == '\0' || strlen(s) > 18)
        return false;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    *out = v;
    return true;
}

/* line is NUL-terminated and holds no CR or LF. */
static const char *parse_header(struct http_request *r, char *line)
{
    char *colon = strchr(line, ':');
    char *value, *end;

    if (colon == NULL || colon == line)
        return "a header line has no name and colon";
    for (char *p = line; p < colon; p++) {
        if (!is_token((unsigned char)*p))
            return "a header's name has a character that is not allowed";
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 'a' - 'A');
    }
    *colon = '\0';
    value = colon + 1;
    while (*value == ' ' || *value == '\t')
        value++;
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    for (const char *p = value; *p != '\0'; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return "a header's value has a control character";
    if (r->n_headers == HTTP_HEADERS_MAX)
        return "there are too many headers";
    r->headers[r->n_headers++] = (struct http_header){.name = line, .value = value};

    if (strcmp(line, "content-length") == 0) {
        if (r->has_length || !parse_length(value, &r->content_length))
            return "Content-Length is no number, or stands twice";
        r->has_length = true;
    } else if (strcmp(line, "transfer-encoding") == 0) {
        if (r->chunked || strcasecmp(value, "chunked") != 0)
            return "Transfer-Encoding is not \"chunked\", or stands twice";
        r->chunked = true;
    } else if (strcmp(line, "expect") == 0) {
        r->expect_continue = strcasecmp(value, "100-continue") == 0;
    } else if (strcmp(line, "connection") == 0) {
        if (strcasestr(value, "close") != NULL)
            r->keep_alive = false;
    }
    return NULL;
}

static const char *parse_request_line(struct http_request *r, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;

    if (version == NULL)
        return "the request line is not METHOD TARGET VERSION";
    *target++ = '\0';
    *version++ = '\0';
    for (const char *p = line; *p != '\0'; p++)
        if (*p < 'A' || *p > 'Z')
            return "the method is not made of capital letters";
    if (*line == '\0' || *target != '/')
        return "the request's target does not begin with a slash";
    for (const char *p = target; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return "the request's target has a control character";
    if (strcmp(version, "HTTP/1.1") == 0)
        r->keep_alive = true;
    else if (strcmp(version, "HTTP/1.0") != 0)
        return "only HTTP/1.1 and HTTP/1.0 are spoken here";
    r->method = line;
    r->path = target;
    r->query = strchr(target, '?');
    if (r->query != NULL)
        *r->query++ = '\0';
    else
        r->query = target + strlen(target);
    return NULL;
}

const char *http_parse(struct http_request *r, const char *data, size_t n)
{
    char *line, *end;
    const char *wrong;

    if (n + 1 > r->head_cap) {
        r->head_cap = n + 1 < 4096 ? 4096 : n + 1;
        r->head = mem_resize(r->head, r->head_cap, 1);
    }
    memcpy(r->head, data, n);
    r->head[n] = '\0';
    r->n_headers = 0;
    r->content_length = 0;
    r->has_length = r->chunked = r->expect_continue = r->keep_alive = false;
    if (memchr(data, '\0', n) != NULL)
        return "the head has a NUL byte";

    line = r->head;
    for (bool first = true;; first = false) {
        end = strstr(line, "\r\n");
        if (end == NULL)
            return "the head has no end";
        *end = '\0';
        if (end == line)
            break;
        if (strpbrk(line, "\r\n") != NULL)
            return "a line of the head ends in a bare CR or LF";
        wrong = first ? parse_request_line(r, line) : parse_header(r, line);
        if (wrong != NULL)
            return wrong;
        line = end + 2;
    }
    if (r->head == line)
        return "there is no request line";
    if (r->has_length && r->chunked)
        return "both Content-Length and Transfer-Encoding are given";
    return NULL;
}

void http_request_fini(struct http_request *r)
{
    free(r->head);
    r->head = NULL;
    r->head_cap = 0;
}

const char *http_header(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_decode(struct buf *out, const char *s, size_t n, bool plus_is_space)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '%') {
            buf_addc(out, plus_is_space && s[i] == '+' ? ' ' : s[i]);
            continue;
        }
        if (n - i < 3 || digit(s[i + 1]) < 0 || digit(s[i + 2]) < 0)
            return false;
        int c = digit(s[i + 1]) * 16 + digit(s[i + 2]);
        if (c == 0)
            return false;
        buf_addc(out, (char)c);
        i += 2;
    }
    return true;
}

bool http_query(const struct http_request *r, const char *name, struct buf *value)
{
    size_t name_len = strlen(name);
    const char *p = r->query;

    while (*p != '\0') {
        size_t n = strcspn(p, "&");
        const char *eq = memchr(p, '=', n);
        size_t this_len = eq != NULL ? (size_t)(eq - p) : n;
        if (this_len == name_len && memcmp(p, name, name_len) == 0) {
            if (value == NULL)
                return true;
            return eq == NULL || http_decode(value, eq + 1, n - this_len - 1, true);
        }
        p += n;
        if (*p == '&')
            p++;
    }
    return false;
}

void http_date(char out[HTTP_DATE_SIZE], int64_t unix_ns)
{
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t s = unix_ns / CLOCK_NS_PER_S;
    struct civil c;

    clock_civil(s, &c);
    (void)snprintf(out, HTTP_DATE_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                   days + s / 86400 % 7 * 3, c.day, months + (c.month - 1) * 3, c.year, c.hour,
                   c.minute, c.second);
}

void http_response_init(struct http_response *r)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->headers, 64 * 1024);
    buf_init(&r->body, (size_t)1 << 30);
    r->fd = -1;
}

void http_response_reset(struct http_response *r)
{
    if (r->fd >= 0)
        (void)close(r->fd); /* opened for reading only: nothing to lose */
    r->fd = -1;
    r->status = 0;
    r->offset = r->length = 0;
    r->head_only = false;
    buf_reset(&r->headers);
    if (r->body.cap > 1024 * 1024) { /* a large listing does not stay with the connection */
        size_t max = r->body.max;
        buf_fini(&r->body);
        buf_init(&r->body, max);
    }
    buf_reset(&r->body);
}

void http_response_fini(struct http_response *r)
{
    http_response_reset(r);
    buf_fini(&r->headers);
    buf_fini(&r->body);
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {416, "Requested Range Not Satisfiable"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Slow Down"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}
