/* Copying text into a field of fixed size. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/* What fits of `from` into to[size], NUL-terminated, cut between UTF-8 characters. size > 0; from
 * NULL: "". */
void text_copy(char *to, size_t size, const char *from);
/* Control characters become '?', those of two bytes in UTF-8 two of them. */
void text_mask_controls(char *s);

#endif
