/* The NDJSON check: a byte at a time through a table of states and classes for the structure, and
 * eight or sixteen bytes at a time through strings, which is where events keep their bytes.
 *
 * All that is known between two pieces is in struct ndjson, so that a piece may end anywhere:
 * within a character, an escape or a literal. */
#include "spool/ndjson.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum class {
    C_OTHER, /* of no meaning outside strings */
    C_SPACE, /* space, tab, carriage return */
    C_LINE,
    C_QUOTE,
    C_OBJECT, /* { */
    C_OBJECT_END,
    C_ARRAY, /* [ */
    C_ARRAY_END,
    C_COLON,
    C_COMMA,
    C_MINUS,
    C_PLUS,
    C_DOT,
    C_ZERO,
    C_DIGIT, /* 1 to 9 */
    C_E,
    C_LETTER, /* t, f, n: a literal begins */
    C_COUNT
};

enum state {
    S_LINE,      /* nothing of the line's object yet */
    S_END,       /* after it */
    S_FIRST_KEY, /* after { */
    S_KEY,       /* after a comma in an object */
    S_COLON,
    S_VALUE,
    S_FIRST_VALUE, /* after [ */
    S_IN_OBJECT,   /* after a member */
    S_IN_ARRAY,    /* after an element */
    S_MINUS,
    S_ZERO,
    S_INTEGER,
    S_DOT,
    S_FRACTION,
    S_E,
    S_E_SIGN,
    S_EXPONENT,
    S_TABLE_COUNT,
    /* These have no row in the table. */
    S_STRING = S_TABLE_COUNT,
    S_UTF8,
    S_ESCAPE,
    S_HEX,
    S_LOW_BACKSLASH, /* after a high surrogate */
    S_LOW_U,
    S_UNPAIRED, /* in a message only: a low surrogate without a high one */
    S_LITERAL,
    S_FAULT,
    /* Not states but what to do besides. */
    A_FAULT,
    A_LINE, /* the line is complete */
    A_OBJECT,
    A_ARRAY,
    A_CLOSE,  /* the innermost object or array */
    A_KEY,    /* a string begins that is a key */
    A_STRING, /* one that is a value */
    A_LITERAL,
    A_AFTER /* a number ends before this byte */
};

static const uint8_t class_of[256] = {
    [' '] = C_SPACE,     ['\t'] = C_SPACE, ['\r'] = C_SPACE,     ['\n'] = C_LINE,
    ['"'] = C_QUOTE,     ['{'] = C_OBJECT, ['}'] = C_OBJECT_END, ['['] = C_ARRAY,
    [']'] = C_ARRAY_END, [':'] = C_COLON,  [','] = C_COMMA,      ['-'] = C_MINUS,
    ['+'] = C_PLUS,      ['.'] = C_DOT,    ['0'] = C_ZERO,       ['1' ... '9'] = C_DIGIT,
    ['e'] = C_E,         ['E'] = C_E,      ['t'] = C_LETTER,     ['f'] = C_LETTER,
    ['n'] = C_LETTER,
};

/* clang-format off */
#define __ A_FAULT
static const uint8_t next_of[S_TABLE_COUNT][C_COUNT] = {
    /*                  other space          line    "         {         }        [        ]        :        ,        -        +         .      0           1-9         e    tfn */
    [S_LINE]        = { __, S_LINE,        __,     __,       A_OBJECT, __,      __,      __,      __,      __,      __,      __,       __,    __,         __,         __,  __ },
    [S_END]         = { __, S_END,         A_LINE, __,       __,       __,      __,      __,      __,      __,      __,      __,       __,    __,         __,         __,  __ },
    [S_FIRST_KEY]   = { __, S_FIRST_KEY,   __,     A_KEY,    __,       A_CLOSE, __,      __,      __,      __,      __,      __,       __,    __,         __,         __,  __ },
    [S_KEY]         = { __, S_KEY,         __,     A_KEY,    __,       __,      __,      __,      __,      __,      __,      __,       __,    __,         __,         __,  __ },
    [S_COLON]       = { __, S_COLON,       __,     __,       __,       __,      __,      __,      S_VALUE, __,      __,      __,       __,    __,         __,         __,  __ },
    [S_VALUE]       = { __, S_VALUE,       __,     A_STRING, A_OBJECT, __,      A_ARRAY, __,      __,      __,      S_MINUS, __,       __,    S_ZERO,     S_INTEGER,  __,  A_LITERAL },
    [S_FIRST_VALUE] = { __, S_FIRST_VALUE, __,     A_STRING, A_OBJECT, __,      A_ARRAY, A_CLOSE, __,      __,      S_MINUS, __,       __,    S_ZERO,     S_INTEGER,  __,  A_LITERAL },
    [S_IN_OBJECT]   = { __, S_IN_OBJECT,   __,     __,       __,       A_CLOSE, __,      __,      __,      S_KEY,   __,      __,       __,    __,         __,         __,  __ },
    [S_IN_ARRAY]    = { __, S_IN_ARRAY,    __,     __,       __,       __,      __,      A_CLOSE, __,      S_VALUE, __,      __,       __,    __,         __,         __,  __ },
    [S_MINUS]       = { __, __,            __,     __,       __,       __,      __,      __,      __,      __,      __,      __,       __,    S_ZERO,     S_INTEGER,  __,  __ },
    [S_ZERO]        = { __, A_AFTER,       __,     __,       __,       A_AFTER, __,      A_AFTER, __,      A_AFTER, __,      __,       S_DOT, __,         __,         S_E, __ },
    [S_INTEGER]     = { __, A_AFTER,       __,     __,       __,       A_AFTER, __,      A_AFTER, __,      A_AFTER, __,      __,       S_DOT, S_INTEGER,  S_INTEGER,  S_E, __ },
    [S_DOT]         = { __, __,            __,     __,       __,       __,      __,      __,      __,      __,      __,      __,       __,    S_FRACTION, S_FRACTION, __,  __ },
    [S_FRACTION]    = { __, A_AFTER,       __,     __,       __,       A_AFTER, __,      A_AFTER, __,      A_AFTER, __,      __,       __,    S_FRACTION, S_FRACTION, S_E, __ },
    [S_E]           = { __, __,            __,     __,       __,       __,      __,      __,      __,      __,      S_E_SIGN, S_E_SIGN, __,   S_EXPONENT, S_EXPONENT, __,  __ },
    [S_E_SIGN]      = { __, __,            __,     __,       __,       __,      __,      __,      __,      __,      __,      __,       __,    S_EXPONENT, S_EXPONENT, __,  __ },
    [S_EXPONENT]    = { __, A_AFTER,       __,     __,       __,       A_AFTER, __,      A_AFTER, __,      A_AFTER, __,      __,       __,    S_EXPONENT, S_EXPONENT, __,  __ },
};
#undef __
/* clang-format on */

static const char *const expected[] = {
    [S_LINE] = "an object: '{'",
    [S_END] = "the end of the line",
    [S_FIRST_KEY] = "a key in quotes or '}'",
    [S_KEY] = "a key in quotes",
    [S_COLON] = "':'",
    [S_VALUE] = "a value",
    [S_FIRST_VALUE] = "a value or ']'",
    [S_IN_OBJECT] = "',' or '}'",
    [S_IN_ARRAY] = "',' or ']'",
    [S_MINUS] = "a digit",
    [S_ZERO] = "the number's end (no digit follows a leading 0)",
    [S_INTEGER] = "the number to go on or to end",
    [S_DOT] = "a digit",
    [S_FRACTION] = "the number to go on or to end",
    [S_E] = "a digit or a sign",
    [S_E_SIGN] = "a digit",
    [S_EXPONENT] = "the number to go on or to end",
    [S_STRING] = "the string to go on (a control character in it must be escaped)",
    [S_UTF8] = "UTF-8",
    [S_ESCAPE] = "one of \"\\/bfnrtu after the backslash",
    [S_HEX] = "a hexadecimal digit",
    [S_UNPAIRED] = "the first half of the surrogate pair, \\uD800 to \\uDBFF, before this",
    [S_LOW_BACKSLASH] = "the second half of the surrogate pair, \\uDC00 to \\uDFFF",
    [S_LOW_U] = "the second half of the surrogate pair, \\uDC00 to \\uDFFF",
    [S_LITERAL] = "true, false or null",
};

static const char *const literals[] = {"true", "false", "null"};

void ndjson_init(struct ndjson *v)
{
    *v = (struct ndjson){.line = 1, .column = 1, .state = S_LINE};
}

static enum rc fault(struct ndjson *v, uint8_t found, struct err *e)
{
    char text[24];
    unsigned state = v->state;
    v->state = S_FAULT;
    if (found == 0xef && state == S_LINE && v->line == 1 && v->column == 1)
        return err_set(e, RC_INVALID,
                       "line 1, column 1: the file begins with a byte order mark or other bytes "
                       "that are not JSON: write UTF-8 without a mark");
    if (found == '\n' && state == S_LINE)
        return err_set(e, RC_INVALID, "line %llu, column %llu: the line is blank",
                       (unsigned long long)v->line, (unsigned long long)v->column);
    if (found == '\n')
        (void)snprintf(text, sizeof text, "the end of the line");
    else if (found > ' ' && found < 0x7f)
        (void)snprintf(text, sizeof text, "'%c'", found);
    else
        (void)snprintf(text, sizeof text, "byte 0x%02x", found);
    return err_set(e, RC_INVALID, "line %llu, column %llu: expected %s, found %s",
                   (unsigned long long)v->line, (unsigned long long)v->column, expected[state],
                   text);
}

#ifdef __SSE2__
/* Which of the sixteen bytes are not plain, a bit each. Compared as signed numbers, the bytes of
 * longer characters are below the space as control characters are. */
static unsigned stops_of_16(const uint8_t *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(' '));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), low));
}
#endif

/* Past the bytes of a string that are themselves: not a quote, a backslash, a control character,
 * nor part of a longer character. */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__ /* which every x86-64 has; elsewhere what follows does it all */
    for (; end - p >= 16; p += 16) {
        unsigned stops = stops_of_16(p);
        if (stops != 0)
            return p + __builtin_ctz(stops);
    }
#endif
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, sizeof x);
        x = le64toh(x);
        /* In each term a byte's top bit is set if the byte is meant, and may be set wrongly only
         * above a byte that is: the lowest is right. */
        uint64_t quote = x ^ (ones * '"'), backslash = x ^ (ones * '\\');
        uint64_t stop = (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                         ((x - ones * ' ') & ~x) | x) &
                        tops;
        if (stop != 0)
            return p + __builtin_ctzll(stop) / 8;
        p += 8;
    }
    while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* RFC 3629 section 4: what may follow a first byte. False: it is none. */
static bool utf8_begin(struct ndjson *v, uint8_t first)
{
    if (first < 0xc2 || first > 0xf4)
        return false;
    v->utf8_left = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    v->utf8_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    v->utf8_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    v->state = S_UTF8;
    return true;
}

/* Past whole characters of two and three bytes with no special rule, which are most. */
static const uint8_t *skip_characters(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 3 && *p >= 0x80) {
        if (*p >= 0xc2 && *p <= 0xdf && (p[1] & 0xc0) == 0x80)
            p += 2;
        else if (*p > 0xe0 && *p < 0xf0 && *p != 0xed && (p[1] & 0xc0) == 0x80 &&
                 (p[2] & 0xc0) == 0x80)
            p += 3;
        else
            break;
    }
    return p;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of an escape are complete. */
static bool take_unit(struct ndjson *v)
{
    bool high = v->hex >= 0xd800 && v->hex < 0xdc00, low = v->hex >= 0xdc00 && v->hex < 0xe000;
    if (low != (v->high_surrogate != 0))
        return false;
    v->high_surrogate = high ? v->hex : 0;
    v->state = high ? S_LOW_BACKSLASH : S_STRING;
    return true;
}

static bool take_hex(struct ndjson *v, uint8_t c)
{
    int digit = hex_value(c);
    if (digit < 0)
        return false;
    v->hex = (uint16_t)(v->hex << 4 | digit);
    if (--v->hex_left > 0)
        return true;
    if (take_unit(v))
        return true;
    v->state = v->high_surrogate ? S_LOW_U : S_UNPAIRED;
    return false;
}

static void begin_hex(struct ndjson *v)
{
    v->state = S_HEX;
    v->hex_left = 4;
    v->hex = 0;
}

static void after_value(struct ndjson *v)
{
    uint32_t top = v->depth - 1;
    v->state = v->depth == 0                               ? S_END
               : (v->stack[top / 8] >> (top % 8) & 1) != 0 ? S_IN_OBJECT
                                                           : S_IN_ARRAY;
}

/* Go on in a string or literal at *at, at most to end. False: the byte at *at is a fault. */
static bool run_text(struct ndjson *v, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    bool good = true;
    while (p < end && good && v->state >= S_TABLE_COUNT) {
        uint8_t c = *p;
        switch ((enum state)v->state) {
        case S_STRING:
            p = skip_characters(skip_plain(p, end), end);
            if (p == end)
                continue;
            c = *p;
            if (c == '"') {
                if (v->in_key)
                    v->state = S_COLON;
                else
                    after_value(v);
            } else if (c == '\\') {
                v->state = S_ESCAPE;
            } else if (c >= 0x80) {
                good = utf8_begin(v, c);
                if (!good)
                    v->state = S_UTF8;
            } else if (c < ' ') {
                good = false;
            } else {
                continue; /* plain again, after longer characters */
            }
            break;
        case S_UTF8:
            good = c >= v->utf8_low && c <= v->utf8_high;
            v->utf8_low = 0x80;
            v->utf8_high = 0xbf;
            if (good && --v->utf8_left == 0)
                v->state = S_STRING;
            break;
        case S_ESCAPE:
            if (c == 'u')
                begin_hex(v);
            else if (c != '\0' && strchr("\"\\/bfnrt", c))
                v->state = S_STRING;
            else
                good = false;
            break;
        case S_HEX:
            good = take_hex(v, c);
            break;
        case S_LOW_BACKSLASH:
            good = c == '\\';
            if (good)
                v->state = S_LOW_U;
            break;
        case S_LOW_U:
            good = c == 'u';
            if (good)
                begin_hex(v);
            break;
        case S_LITERAL:
            good = c == (uint8_t)literals[v->literal][v->literal_at];
            if (good && literals[v->literal][++v->literal_at] == '\0')
                after_value(v);
            break;
        default:
            BUG_ON(true);
        }
        if (good)
            p++;
    }
    *at = p;
    return good;
}

static bool open_level(struct ndjson *v, bool object)
{
    if (v->depth == NDJSON_DEPTH_MAX)
        return false;
    uint8_t bit = (uint8_t)(1U << (v->depth % 8));
    if (object)
        v->stack[v->depth / 8] |= bit;
    else
        v->stack[v->depth / 8] &= (uint8_t)~bit;
    v->depth++;
    v->state = object ? S_FIRST_KEY : S_FIRST_VALUE;
    return true;
}

static void begin_string(struct ndjson *v, bool key)
{
    v->state = S_STRING;
    v->in_key = key;
}

static void begin_literal(struct ndjson *v, uint8_t c)
{
    v->state = S_LITERAL;
    v->literal = c == 't' ? 0 : c == 'f' ? 1 : 2;
    v->literal_at = 1;
}

enum rc ndjson_feed(struct ndjson *v, const char *data, size_t n, struct err *e)
{
    const uint8_t *p = (const uint8_t *)data, *end = p + n;
    const uint8_t *mark = p; /* the byte that v->column tells of */
    if (v->state == S_FAULT)
        return err_set(e, RC_INVALID, "line %llu, column %llu: it was at fault before",
                       (unsigned long long)v->line, (unsigned long long)v->column);
    bool good = true;
    while (p < end && good) {
        if (v->state >= S_TABLE_COUNT) {
            good = run_text(v, &p, end);
            continue;
        }
        uint8_t next = next_of[v->state][class_of[*p]];
        if (next < S_TABLE_COUNT) {
            v->state = next;
            p++;
            continue;
        }
        switch (next) {
        case A_LINE:
            v->line++;
            v->column = 1;
            mark = p + 1;
            v->state = S_LINE;
            break;
        case A_OBJECT:
        case A_ARRAY:
            if (!open_level(v, next == A_OBJECT)) {
                v->column += (uint64_t)(p - mark);
                v->state = S_FAULT;
                return err_set(
                    e, RC_INVALID, "line %llu, column %llu: nested deeper than %d levels",
                    (unsigned long long)v->line, (unsigned long long)v->column, NDJSON_DEPTH_MAX);
            }
            break;
        case A_CLOSE:
            v->depth--;
            after_value(v);
            break;
        case A_KEY:
        case A_STRING:
            begin_string(v, next == A_KEY);
            break;
        case A_LITERAL:
            begin_literal(v, *p);
            break;
        case A_AFTER:
            after_value(v);
            continue; /* the byte is looked at again */
        default:
            good = false;
            continue;
        }
        p++;
    }
    v->column += (uint64_t)(p - mark);
    return good ? RC_OK : fault(v, *p, e);
}

enum rc ndjson_finish(struct ndjson *v, struct err *e)
{
    if (v->state == S_FAULT)
        return err_set(e, RC_INVALID, "line %llu, column %llu: it was at fault before",
                       (unsigned long long)v->line, (unsigned long long)v->column);
    if (v->state == S_LINE && v->column == 1) {
        if (v->line > 1)
            return RC_OK;
        return err_set(e, RC_INVALID,
                       "the file is empty: it must hold at least one line, a JSON "
                       "object");
    }
    if (v->state == S_END)
        return err_set(e, RC_INVALID,
                       "line %llu, column %llu: the last line has no newline at its end",
                       (unsigned long long)v->line, (unsigned long long)v->column);
    return err_set(e, RC_INVALID, "line %llu, column %llu: the file ends in mid-line, expected %s",
                   (unsigned long long)v->line, (unsigned long long)v->column, expected[v->state]);
}
