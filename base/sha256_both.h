/* SHA-256's compression of the same blocks into two states at once, with the CPU's instructions for
 * it. For checksum.c, which has everything else of SHA-256 from OpenSSL. */
#ifndef BASE_SHA256_BOTH_H
#define BASE_SHA256_BOTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Has this CPU the instructions? If not, the other must not be called. */
bool sha256_both_possible(void);
/* blocks: of 64 bytes. */
void sha256_both(uint32_t a[8], uint32_t b[8], const uint8_t *data, size_t blocks);

#endif
