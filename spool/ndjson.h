/* Newline-delimited JSON, checked as it streams by: every line one JSON object (RFC 8259), the last
 * one terminated by a newline. Builds nothing and needs a fixed amount of memory whatever the
 * line's length; which is why it is not jansson. Strings must be UTF-8, escaped surrogates in
 * pairs; nesting at most 512. A blank line is a fault; "\r\n" ends a line too; a byte order mark is
 * a fault.
 */
#ifndef SPOOL_NDJSON_H
#define SPOOL_NDJSON_H

#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NDJSON_DEPTH_MAX 512

struct ndjson {
    uint64_t line, column; /* of the next byte, from 1; columns count bytes */
    uint8_t state;         /* the rest is the implementation's */
    bool in_key;
    uint8_t literal, literal_at;
    uint8_t utf8_left, utf8_low, utf8_high;
    uint8_t hex_left;
    uint16_t hex, high_surrogate;
    uint32_t depth;
    uint8_t stack[NDJSON_DEPTH_MAX / 8]; /* a bit a level: set for an object */
};
void ndjson_init(struct ndjson *v);
/* RC_INVALID: e->text "line 17, column 5: expected ',' or '}', found 'x'". v then says where, and
 * is good for nothing else. */
enum rc ndjson_feed(struct ndjson *v, const char *data, size_t n, struct err *e) MUST_CHECK;
/* The end: RC_INVALID if in mid-line ("line N, column C: the last line has no newline at its end")
 * or if there was no line at all. */
enum rc ndjson_finish(struct ndjson *v, struct err *e) MUST_CHECK;

#endif
