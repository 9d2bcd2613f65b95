/* The layout of the spool: which path is which event, and which key it gets. Pure.
 *
 * A template is a path of literal components and components that are one field:
 * "Panoptica/{event_type}/{date}/{account}/{file}". "any" mirrors every path.
 */
#ifndef SPOOL_LAYOUT_H
#define SPOOL_LAYOUT_H

#include "base/buf.h"
#include "base/rc.h"

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_KEY_MAX 1024 /* bytes; S3 User Guide, "Naming Amazon S3 objects" */

struct layout;
/* prefix: put before every key, "" or "some/where/". RC_INVALID with what is wrong and where. */
enum rc layout_new(const char *template, const char *prefix, struct layout **out,
                   struct err *e) MUST_CHECK;
void layout_free(struct layout *l);
bool layout_is_any(const struct layout *l);

/* Where the fields of a path lie in it: offset and length, length 0 if the template lacks it. With
 * "any" the event type is the first component if there is more than one. */
struct layout_span {
    uint16_t at, n;
};
struct layout_match {
    struct layout_span event_type, date, account, file;
    int64_t days; /* of the date, since 1970-01-01; INT64_MIN without */
};
/* RC_INVALID: e->code is one word ("depth", "name", "date", "utf8", "control", "dots", "too-long"),
 * e->text the sentence, path escaped. Also refused: a component "." or "..", an empty one, a
 * leading slash, ".spoolgate". */
enum rc layout_match(const struct layout *l, const char *path, size_t n, struct layout_match *out,
                     struct err *e) MUST_CHECK;
/* The object's key: prefix + path, byte for byte (checked by layout_match before). */
void layout_key(const struct layout *l, const char *path, size_t n, struct buf *out);
/* A path from fields, for `test`. date: YYYY-MM-DD. With "any": event_type/date/account/file. */
void layout_path(const struct layout *l, const char *event_type, const char *date,
                 const char *account, const char *file, struct buf *out);
/* How many components there are up to and including {date}; 0 if the template has none. */
unsigned layout_date_depth(const struct layout *l);
/* The text of component `number` (from 1, within the template) if it is a literal: *n bytes, not
 * NUL-terminated. NULL: it is a field. */
const char *layout_literal(const struct layout *l, unsigned number, size_t *n);

/* Names that are not looked at: a leading dot, a trailing '~', and the patterns (fnmatch, on the
 * last component). */
struct layout_ignore {
    const char *const *patterns;
    size_t n;
};
bool layout_ignored(const struct layout_ignore *g, const char *name);

#endif
