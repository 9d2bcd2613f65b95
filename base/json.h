/* The door to jansson: every use of JSON documents goes through this header. (Event files are
 * checked by spool/ndjson.h instead, which streams and builds nothing.) */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#include <jansson.h>

/* Parse n bytes, duplicates refused, at most 4 MiB. NULL and e->text "line L, column C: …". */
json_t *json_parse(const char *data, size_t n, struct err *e);
/* Append compact text; keys in insertion order. Control characters are escaped in it, those above
 * ASCII and DEL as well: it cannot speak to a terminal. */
void json_write(struct buf *b, const json_t *v);
/* The same, indented (two spaces), no final newline. */
void json_write_pretty(struct buf *b, const json_t *v);
/* A JSON string from bytes that may not be UTF-8 (escaped with utf8_escape if they are not). */
json_t *json_text(const char *s, size_t n);
/* The value below root by a path of members such as "bucket.arn", each of at most 63 bytes.
 * Borrowed; NULL: there is none. */
const json_t *json_at(const json_t *root, const char *path);

#endif
