/* Bytes as text: lower-case hexadecimal and base64 (RFC 4648, padded). */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

/* out has 2*n+1 bytes; NUL-terminated. */
void hex_encode(char *out, const void *data, size_t n);
/* Exactly n bytes from 2*n digits of either case. RC_INVALID otherwise. */
enum rc hex_decode(void *out, size_t n, const char *text, size_t text_len) MUST_CHECK;
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
void base64_encode(char *out, const void *data, size_t n); /* out: BASE64_SIZE(n) */
/* RC_INVALID: not strict base64; RC_LIMIT: more than cap bytes. */
enum rc base64_decode(void *out, size_t cap, size_t *n, const char *text,
                      size_t text_len) MUST_CHECK;

#endif
