/* Text that must not leak: kept in libsodium's guarded memory (locked where allowed, left out of
 * core dumps, wiped when freed). Immutable and reference-counted, so that threads may share it. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret;
/* Copies n bytes and a NUL. The caller wipes its own copy: secret_wipe. */
struct secret *secret_new(const char *text, size_t n);
struct secret *secret_share(struct secret *s);   /* one more owner; thread-safe; NULL gives NULL */
void secret_free(struct secret *s);              /* one owner less; NULL allowed */
const char *secret_text(const struct secret *s); /* NUL-terminated, valid while owned */
size_t secret_len(const struct secret *s);
/* memset that the compiler may not drop. */
void secret_wipe(void *p, size_t n);
/* memcmp whose duration says nothing of where they differ. */
bool secret_equal(const void *a, const void *b, size_t n);

#endif
