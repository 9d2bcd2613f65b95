/* The NDJSON check against jansson, a line at a time; and in pieces of every size, which may not
 * change its answer. Where the two may differ is said below. */
#include "spool/ndjson.h"

#include "base/json.h"
#include "tests/fuzz/fuzz.h"

enum opinion { GOOD, BAD, NONE };

static enum rc check(const char *data, size_t n, size_t piece, struct err *e)
{
    struct ndjson v;
    enum rc rc = RC_OK;
    ndjson_init(&v);
    for (size_t at = 0; at < n && rc == RC_OK; at += piece)
        rc = ndjson_feed(&v, data + at, n - at < piece ? n - at : piece, e);
    return rc == RC_OK ? ndjson_finish(&v, e) : rc;
}

/* jansson builds values, and refuses those that it cannot hold. */
static enum opinion jansson_line(const char *line, size_t n)
{
    if (memchr(line, '\0', n)) /* jansson passes over one behind a number or a word */
        return BAD;
    json_error_t error;
    json_t *v = json_loadb(line, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    enum opinion o = json_is_object(v) ? GOOD : BAD;
    if (!v && (strstr(error.text, "real number overflow") ||
               strstr(error.text, "NUL byte in object key")))
        o = NONE;
    json_decref(v);
    return o;
}

static enum opinion jansson(const char *data, size_t n)
{
    enum opinion all = GOOD;
    if (n == 0 || data[n - 1] != '\n')
        return BAD;
    for (const char *end; n > 0 && all != BAD; n -= (size_t)(end + 1 - data), data = end + 1) {
        end = memchr(data, '\n', n);
        enum opinion o = jansson_line(data, (size_t)(end - data));
        if (o != GOOD)
            all = o;
    }
    return all;
}

static bool is_deep(const char *data, size_t n)
{
    size_t opened = 0;
    for (size_t i = 0; i < n; i++)
        opened += data[i] == '{' || data[i] == '[';
    return opened > NDJSON_DEPTH_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    struct err e = {0}, e2 = {0};
    size_t piece = fuzz_byte(&in) % 19 + 1;
    char *text = fuzz_take(&in, in.n, &n);
    enum rc rc = check(text, n, n ? n : 1, &e);
    if (rc != RC_OK)
        fuzz_is_told(rc, &e);
    BUG_ON(check(text, n, piece, &e2) != rc || strcmp(e.text, e2.text) != 0);
    enum opinion o = jansson(text, n);
    if (o != NONE && !is_deep(text, n))
        BUG_ON((rc == RC_OK) != (o == GOOD));
    free(text);
    return 0;
}
