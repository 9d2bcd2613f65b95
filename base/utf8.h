/* UTF-8: is it, and how to show bytes that may not be. (RFC 3629; overlong forms, surrogates and
 * code points past U+10FFFF are not UTF-8.) */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"

/* The offset of the first byte that is not part of valid UTF-8, or n if all is. */
size_t utf8_span(const char *s, size_t n);
/* The offset of the first control character (U+0000-U+001F, U+007F, U+0080-U+009F; s must be valid
 * UTF-8), or n if there is none. */
size_t utf8_find_control(const char *s, size_t n);
/* Append s so that it is safe on a terminal, in a log and inside a JSON string's quotes once more
 * escaped: controls, invalid bytes and backslash as \n \t \\ or \xHH. */
void utf8_escape(struct buf *b, const char *s, size_t n);

#endif
