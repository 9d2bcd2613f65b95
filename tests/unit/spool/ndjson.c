#include "spool/ndjson.h"

#include "base/json.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum rc check_in_pieces(const char *data, size_t n, size_t piece, struct err *e)
{
    struct ndjson v;
    enum rc rc = RC_OK;
    ndjson_init(&v);
    for (size_t at = 0; rc == RC_OK && at < n; at += piece)
        rc = ndjson_feed(&v, data + at, n - at < piece ? n - at : piece, e);
    return rc == RC_OK ? ndjson_finish(&v, e) : rc;
}

static enum rc check(const char *data, size_t n, struct err *e)
{
    return check_in_pieces(data, n, n ? n : 1, e);
}

Test(ndjson, what_is_right_passes)
{
    static const char *const good[] = {
        "{}\n",
        "{}\n{}\n",
        "{}\r\n{}\r\n",
        " \t{ } \r\n",
        "{\"a\":1}\n",
        "{\"a\":{\"b\":[1,2,{\"c\":[]}]},\"d\":null}\n",
        "{\"a\":[true,false,null,-0,0,0.5,-1.25e+10,1E-2,12e3,10]}\n",
        "{\"a\" : [ 1 , 2 ] , \"b\" : { } }\n",
        "{\"\":\"\"}\n",
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\uD83D\\uDE00\\u0000\"}\n",
        "{\"a\":\"\x7f\"}\n",
        "{\"a\":\"\xc3\xa9\xe2\x82\xac\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"}\n",
        "{\"a\":1,\"a\":2}\n",
        "{\"a\":123456789012345678901234567890e999}\n",
        "{\"a\":\r\"b\"}\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        for (size_t piece = 1; piece <= 9; piece++) {
            struct err e = {0};
            cr_expect_eq(check_in_pieces(good[i], strlen(good[i]), piece, &e), RC_OK,
                         "%s in pieces of %zu: %s", good[i], piece, e.text);
        }
}

struct fault {
    const char *text;
    size_t n; /* 0: to the NUL */
    const char *says;
};

Test(ndjson, what_is_wrong_is_told_with_line_and_column)
{
    static const struct fault faults[] = {
        {"", 0, "the file is empty"},
        {"\n", 0, "line 1, column 1: the line is blank"},
        {"{}\n\n", 0, "line 2, column 1: the line is blank"},
        {"{}\n  \n", 0, "line 2, column 3: the line is blank"},
        {"{}\n\r\n", 0, "line 2, column 2: the line is blank"},
        {"{}", 0, "line 1, column 3: the last line has no newline"},
        {"{}\n{}", 0, "line 2, column 3: the last line has no newline"},
        {"{}\n{\"a\"", 0, "line 2, column 5: the file ends in mid-line, expected ':'"},
        {"{}\n ", 0, "line 2, column 2: the file ends in mid-line, expected an object"},
        {"\xef\xbb\xbf{}\n", 0, "line 1, column 1: the file begins with a byte order mark"},
        {"[]\n", 0, "line 1, column 1: expected an object: '{', found '['"},
        {"1\n", 0, "line 1, column 1: expected an object"},
        {"null\n", 0, "line 1, column 1: expected an object"},
        {"{} {}\n", 0, "line 1, column 4: expected the end of the line, found '{'"},
        {"{}}\n", 0, "line 1, column 3: expected the end of the line, found '}'"},
        {"{\"a\":1,}\n", 0, "line 1, column 8: expected a key in quotes, found '}'"},
        {"{,}\n", 0, "line 1, column 2: expected a key in quotes or '}'"},
        {"{a:1}\n", 0, "line 1, column 2: expected a key in quotes or '}', found 'a'"},
        {"{\"a\" 1}\n", 0, "line 1, column 6: expected ':', found '1'"},
        {"{\"a\":}\n", 0, "line 1, column 6: expected a value, found '}'"},
        {"{\"a\":[1,]}\n", 0, "line 1, column 9: expected a value, found ']'"},
        {"{\"a\":[1}\n", 0, "line 1, column 8: expected ',' or ']', found '}'"},
        {"{\"a\":[}\n", 0, "line 1, column 7: expected a value or ']'"},
        {"{\"a\":1]\n", 0, "line 1, column 7: expected ',' or '}', found ']'"},
        {"{\"a\":1\n}\n", 0,
         "line 1, column 7: expected the number to go on or to end, found the "
         "end of the line"},
        {"{\"a\":[]\n}\n", 0, "line 1, column 8: expected ',' or '}', found the end of the line"},
        {"{\n}\n", 0, "line 1, column 2: expected a key in quotes or '}', found the end of the"},
        {"{\"a\":01}\n", 0, "line 1, column 7: expected the number's end"},
        {"{\"a\":-}\n", 0, "line 1, column 7: expected a digit, found '}'"},
        {"{\"a\":+1}\n", 0, "line 1, column 6: expected a value, found '+'"},
        {"{\"a\":.5}\n", 0, "line 1, column 6: expected a value, found '.'"},
        {"{\"a\":1.}\n", 0, "line 1, column 8: expected a digit, found '}'"},
        {"{\"a\":1e}\n", 0, "line 1, column 8: expected a digit or a sign"},
        {"{\"a\":1e+}\n", 0, "line 1, column 9: expected a digit, found '}'"},
        {"{\"a\":1.5.}\n", 0, "line 1, column 9: expected the number to go on or to end"},
        {"{\"a\":NaN}\n", 0, "line 1, column 6: expected a value, found 'N'"},
        {"{\"a\":nul}\n", 0, "line 1, column 9: expected true, false or null, found '}'"},
        {"{\"a\":truee}\n", 0, "line 1, column 10: expected ',' or '}', found 'e'"},
        {"{\"a\":'b'}\n", 0, "line 1, column 6: expected a value, found '''"},
        {"{\"a\":\"\t\"}\n", 0, "line 1, column 7: expected the string to go on (a control"},
        {"{\"a\":\"12345678\n\"}\n", 0, "line 1, column 15: expected the string to go on"},
        {"{\"a\":\"\0\"}\n", 10,
         "line 1, column 7: expected the string to go on (a control "
         "character in it must be escaped), found byte 0x00"},
        {"{\"a\":\"\\x\"}\n", 0, "line 1, column 8: expected one of"},
        {"{\"a\":\"\\\0\"}\n", 11, "line 1, column 8: expected one of"},
        {"{\"a\":\"\\u12G4\"}\n", 0, "line 1, column 11: expected a hexadecimal digit, found 'G'"},
        {"{\"a\":\"\\uD83D\"}\n", 0, "line 1, column 13: expected the second half"},
        {"{\"a\":\"\\uD83Dx\"}\n", 0, "line 1, column 13: expected the second half"},
        {"{\"a\":\"\\uD83D\\n\"}\n", 0, "line 1, column 14: expected the second half"},
        {"{\"a\":\"\\uD83D\\u0041\"}\n", 0, "line 1, column 18: expected the second half"},
        {"{\"a\":\"\\uDE00\"}\n", 0, "line 1, column 12: expected the first half"},
        {"{\"a\":\"\xff\"}\n", 0, "line 1, column 7: expected UTF-8, found byte 0xff"},
        {"{\"a\":\"\x80\"}\n", 0, "line 1, column 7: expected UTF-8, found byte 0x80"},
        {"{\"a\":\"\xc0\x80\"}\n", 0, "line 1, column 7: expected UTF-8, found byte 0xc0"},
        {"{\"a\":\"\xc3\"}\n", 0, "line 1, column 8: expected UTF-8, found '\"'"},
        {"{\"a\":\"\xe0\x80\x80\"}\n", 0, "line 1, column 8: expected UTF-8, found byte 0x80"},
        {"{\"a\":\"\xed\xa0\x80\"}\n", 0, "line 1, column 8: expected UTF-8, found byte 0xa0"},
        {"{\"a\":\"\xf4\x90\x80\x80\"}\n", 0, "line 1, column 8: expected UTF-8, found byte 0x90"},
        {"{\"a\":\"\xe2\x82 \"}\n", 0, "line 1, column 9: expected UTF-8, found byte 0x20"},
        {"{\"a\":\"\xe2\x82\xac\xc3\xa9\xff\"}\n", 0, "line 1, column 12: expected UTF-8"},
        {"{}\n{}\n\xef\n", 0, "line 3, column 1: expected an object: '{', found byte 0xef"},
        {"\0", 1, "line 1, column 1: expected an object: '{', found byte 0x00"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const struct fault *f = &faults[i];
        size_t n = f->n ? f->n : strlen(f->text);
        for (size_t piece = 1; piece <= 20; piece++) {
            struct err e = {0};
            cr_expect_eq(check_in_pieces(f->text, n, piece, &e), RC_INVALID, "case %zu", i);
            cr_expect(strncmp(e.text, f->says, strlen(f->says)) == 0,
                      "case %zu in pieces of %zu: \"%s\", not \"%s\"", i, piece, e.text, f->says);
        }
    }
}

Test(ndjson, a_fault_in_line_17_is_told_as_line_17)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 1; i <= 16; i++)
        buf_addf(&b, "{\"line\":%d,\"text\":\"%*s\"}\n", i, i * 1000, "");
    size_t good = b.len;
    buf_adds(&b, "{\"line\":17,\"text\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",,}\n{}\n");
    for (size_t piece = 1; piece < 70000; piece = piece * 3 + 1) {
        struct err e = {0};
        cr_expect_eq(check_in_pieces(b.data, b.len, piece, &e), RC_INVALID);
        cr_expect_str_eq(e.text, "line 17, column 64: expected a key in quotes, found ','");
    }
    struct ndjson v;
    ndjson_init(&v);
    cr_expect_eq(ndjson_feed(&v, b.data, b.len, NULL), RC_INVALID);
    cr_expect_eq(v.line, 17);
    cr_expect_eq(v.column, 64);
    cr_expect_eq(ndjson_feed(&v, "{}\n", 3, NULL), RC_INVALID, "a fault is for ever");
    cr_expect_eq(ndjson_finish(&v, NULL), RC_INVALID);
    cr_expect_eq(check(b.data, good, NULL), RC_OK);
    buf_fini(&b);
}

/* A piece of one byte never reaches the code that takes many at once. */
static void expect_as_byte_by_byte(const char *data, size_t n, size_t cut)
{
    struct err one = {0}, whole = {0};
    struct ndjson v;
    enum rc want = check_in_pieces(data, n, 1, &one);
    ndjson_init(&v);
    enum rc rc = ndjson_feed(&v, data, cut, &whole);
    if (rc == RC_OK)
        rc = ndjson_feed(&v, data + cut, n - cut, &whole);
    if (rc == RC_OK)
        rc = ndjson_finish(&v, &whole);
    cr_assert(rc == want && strcmp(one.text, whole.text) == 0,
              "cut at %zu: \"%s\", not \"%s\": %.*s", cut, whole.text, one.text, (int)n, data);
}

/* {"k":"aaaa?aaa"} with so many bytes in the string, one of them another. Nothing follows it in
 * memory, so that the address sanitizer finds a byte read too many. */
static char *string_line(size_t length, size_t at, uint8_t byte, size_t *n)
{
    *n = length + 9;
    char *line = mem_alloc(*n);
    memcpy(line, "{\"k\":\"", 6);
    memset(line + 6, 'a', length);
    memcpy(line + 6 + length, "\"}\n", 3);
    if (at < length)
        line[6 + at] = (char)byte;
    return line;
}

Test(ndjson, many_bytes_of_a_string_at_once_are_judged_as_they_are_one_by_one)
{
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 80; at++) {
            size_t n;
            char *line = string_line(80, at, (uint8_t)byte, &n);
            expect_as_byte_by_byte(line, n, n);
            free(line);
        }
    static const uint8_t edges[] = {0x00, 0x1f, ' ', '!',  '"',  '#',
                                    '[',  '\\', ']', 0x7f, 0x80, 0xff};
    for (size_t length = 0; length <= 80; length++)
        for (size_t at = 0; at <= length; at++) {
            size_t n;
            uint8_t byte = edges[(length + at) % sizeof edges];
            char *line = string_line(length, at, byte, &n);
            for (size_t cut = 0; cut <= n; cut += length % 8 == 0 ? 1 : 7)
                expect_as_byte_by_byte(line, n, cut);
            free(line);
        }
}

Test(ndjson, nesting_is_allowed_to_512_levels_of_any_mixture)
{
    for (int levels = 510; levels <= 514; levels++) {
        struct buf b;
        struct err e = {0};
        buf_init(&b, 1 << 20);
        buf_adds(&b, "{\"a\":");
        for (int i = 1; i < levels; i++)
            buf_adds(&b, i % 3 ? "[" : "{\"k\":");
        buf_adds(&b, "0");
        for (int i = levels - 1; i >= 1; i--)
            buf_adds(&b, i % 3 ? "]" : "}");
        buf_adds(&b, "}\n");
        cr_expect_eq(check(b.data, b.len, &e), levels <= 512 ? RC_OK : RC_INVALID, "%d", levels);
        if (levels > 512)
            cr_expect(strstr(e.text, "nested deeper than 512 levels"), "%s", e.text);
        buf_fini(&b);
    }
}

/* A small generator whose numbers are the same on every machine. */
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* What jansson says of it, line by line. -1: it is beyond what jansson can hold. */
static int reference(const char *data, size_t n)
{
    if (n == 0 || data[n - 1] != '\n')
        return 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(data + at, '\n', n - at);
        size_t len = (size_t)(end - data) - at;
        json_error_t error;
        json_t *v = json_loadb(data + at, len, JSON_ALLOW_NUL, &error);
        bool good = v && json_is_object(v);
        json_decref(v);
        if (!v && (strstr(error.text, "overflow") || strstr(error.text, "too big")))
            return -1;
        if (!good)
            return 0;
        at += len + 1;
    }
    return 1;
}

static void mutate(struct buf *b, uint32_t *seed)
{
    static const char pieces[] = "{}[]:,\"\\/ \t\r\nbfnrtu0123456789.eE+-aDdC8\xc3\xa9\xe2\x82\xac"
                                 "\xf0\x9f\x98\x80\xed\xa0\xff\x7f\x01";
    char *at = b->data + next_random(seed) % b->len;
    char byte = pieces[next_random(seed) % (sizeof pieces - 1)];
    size_t rest = b->len - (size_t)(at - b->data);
    switch (next_random(seed) % 4) {
    case 0:
        *at = byte;
        break;
    case 1:
        memmove(at, at + 1, rest - 1);
        buf_cut(b, b->len - 1);
        break;
    case 2:
        buf_addc(b, '\n');
        at = b->data + (b->len - 1 - rest);
        memmove(at + 1, at, rest);
        *at = byte;
        break;
    default: {
        char *other = b->data + next_random(seed) % b->len;
        char kept = *at;
        *at = *other;
        *other = kept;
    }
    }
}

Test(ndjson, it_agrees_with_jansson_about_thousands_of_mutated_documents)
{
    static const char *const seeds[] = {
        "{\"id\":17,\"name\":\"an event\",\"tags\":[\"a\",\"b\\u00e9\"],\"at\":{\"x\":-1.5e3}}\n",
        "{\"a\":\"\\uD83D\\uDE00\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9\"}\n{\"b\":[true,false,null]}"
        "\n",
        "{}\n{\"\":[[],{},[{}]]}\r\n{\"k\":[0,-0,0.0,1e9,1E+9,1e-9,10]}\n",
        "{\"path\":\"C:\\\\dir\\/"
        "file\\n\\t\\b\\f\\r\\\"\",\"long\":\"0123456789abcdef0123456789\"}\n",
    };
    uint32_t seed = 2463534242U;
    unsigned valid = 0, invalid = 0;
    for (unsigned i = 0; i < 60000; i++) {
        const char *text = seeds[i % (sizeof seeds / sizeof seeds[0])];
        struct buf b;
        struct err e = {0};
        buf_init(&b, 4096);
        buf_adds(&b, text);
        for (uint32_t n = 1 + next_random(&seed) % 3; n > 0; n--)
            mutate(&b, &seed);
        int want = reference(b.data, b.len);
        if (want >= 0) {
            size_t piece = 1 + next_random(&seed) % 40;
            enum rc rc = check_in_pieces(b.data, b.len, piece, &e);
            cr_assert_eq(rc == RC_OK, want == 1, "document %u: %s\n%s", i, e.text, b.data);
            cr_assert_eq(check(b.data, b.len, &e), rc, "document %u in one piece: %s", i, b.data);
            *(want ? &valid : &invalid) += 1;
        }
        buf_fini(&b);
    }
    cr_expect_gt(valid, 5000, "only %u of the mutants are valid: the test says little", valid);
    cr_expect_gt(invalid, 5000);
}
