/* XML for answers: elements whose text is escaped, whatever bytes it has. */
#ifndef DEVSTORE_XMLOUT_H
#define DEVSTORE_XMLOUT_H

#include "base/buf.h"

#include <stdint.h>

#define XMLOUT_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

void xmlout_begin(struct buf *out); /* the declaration */
/* Markup escaped; what XML 1.0 in UTF-8 cannot carry becomes '?'. */
void xmlout_text(struct buf *out, const char *s, size_t n);
void xmlout_element(struct buf *out, const char *name, const char *text);
void xmlout_element_n(struct buf *out, const char *name, const char *text, size_t n);
void xmlout_number(struct buf *out, const char *name, uint64_t value);
/* RFC 3339 with milliseconds, as S3 writes times. */
void xmlout_time(struct buf *out, const char *name, int64_t unix_ns);

#endif
