/* Hexadecimal and base64. Decoders are strict: each byte string has one text (but for the case of
 * hexadecimal digits). */
#include "base/hex.h"

#include <stdbool.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hex_encode(char *out, const void *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = data;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

/* -1: not a digit */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum rc hex_decode(void *out, size_t n, const char *text, size_t text_len)
{
    uint8_t *to = out;
    if (text_len / 2 != n || text_len % 2 != 0)
        return RC_INVALID;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return RC_INVALID;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return RC_OK;
}

void base64_encode(char *out, const void *data, size_t n)
{
    const uint8_t *in = data;
    for (; n >= 3; n -= 3, in += 3) {
        *out++ = base64_digits[in[0] >> 2];
        *out++ = base64_digits[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = base64_digits[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = base64_digits[in[2] & 63];
    }
    if (n > 0) {
        unsigned second = n == 2 ? in[1] : 0;
        *out++ = base64_digits[in[0] >> 2];
        *out++ = base64_digits[(in[0] & 3U) << 4 | second >> 4];
        *out++ = n == 2 ? base64_digits[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out = '\0';
}

/* -1: not a digit */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

enum rc base64_decode(void *out, size_t cap, size_t *n, const char *text, size_t text_len)
{
    uint8_t *to = out;
    size_t pad = 0;
    if (text_len % 4 != 0)
        return RC_INVALID;
    while (pad < 2 && pad < text_len && text[text_len - 1 - pad] == '=')
        pad++;
    size_t len = text_len / 4 * 3 - pad;
    if (len > cap)
        return RC_LIMIT;
    uint32_t bits = 0;
    size_t made = 0;
    for (size_t i = 0; i < text_len; i++) {
        int value = i < text_len - pad ? base64_value(text[i]) : 0;
        if (value < 0)
            return RC_INVALID;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8) {
            uint8_t byte = (uint8_t)(bits >> shift);
            if (made < len)
                to[made++] = byte;
            else if (byte != 0)
                return RC_INVALID; /* the digit before '=' has bits that say nothing */
        }
        bits = 0;
    }
    *n = len;
    return RC_OK;
}
