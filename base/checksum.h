/* Digests and checksums: SHA-256, HMAC-SHA-256 and MD5 from OpenSSL, CRC-32C from ISA-L.
 * The only file that includes OpenSSL or ISA-L. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define MD5_SIZE    16

/* A running digest. One is reused for many messages; it belongs to one thread at a time. */
struct digest;
enum digest_kind { DIGEST_SHA256, DIGEST_MD5 };
struct digest *digest_new(enum digest_kind kind);
void digest_free(struct digest *d); /* NULL allowed */
void digest_begin(struct digest *d);
void digest_update(struct digest *d, const void *data, size_t n);
/* The same bytes into both. Two of SHA-256 take about the time of one where the CPU has
 * instructions for it, as long as all lengths so far were multiples of 64. */
void digest_update_both(struct digest *a, struct digest *b, const void *data, size_t n);
void digest_finish(struct digest *d, uint8_t *out); /* SHA256_SIZE or MD5_SIZE bytes */

void sha256(const void *data, size_t n, uint8_t out[SHA256_SIZE]);
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t n,
                 uint8_t out[SHA256_SIZE]);

/* CRC-32C (Castagnoli, as in iSCSI: reflected, initial and final inversion). Start with crc 0 and
 * feed the result back to go on. crc32c(0, "123456789", 9) == 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);

/* A keyed 64-bit hash (SipHash-2-4) that hostile names cannot aim at. */
#define KEYED_HASH_KEY_SIZE 16
uint64_t keyed_hash(const uint8_t key[KEYED_HASH_KEY_SIZE], const void *data, size_t n);

#endif
