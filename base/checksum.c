/* Digests and checksums: the only file that includes OpenSSL or ISA-L.
 *
 * sha256 and hmac_sha256 run several times per uploaded file on several threads. An EVP fetch costs
 * more than hashing a small message, so each algorithm is fetched once for the process, and each
 * thread keeps one context for good. HMAC by hand over it takes two thirds of the time of an
 * EVP_MAC with a context of its own, and a quarter of that of HMAC().
 *
 * A running SHA-256 is OpenSSL's older SHA256_CTX, the same code inside: its state lies open, so
 * that two can take the same bytes together. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/checksum.h"

#include "base/mem.h"
#include "base/rc.h"
#include "base/sha256_both.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(KEYED_HASH_KEY_SIZE == crypto_shorthash_KEYBYTES, "SipHash-2-4's key");
_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "SipHash-2-4's result");

enum { SHA256_BLOCK = 64 };

struct digest {
    enum digest_kind kind;
    EVP_MD_CTX *ctx;   /* NULL for SHA-256 */
    SHA256_CTX sha256; /* else */
};

static bool both_possible;

static EVP_MD *algorithms[2];
static pthread_key_t thread_ctx_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_thread_ctx(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void start(void)
{
    algorithms[DIGEST_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms[DIGEST_MD5] = EVP_MD_fetch(NULL, "MD5", NULL);
    BUG_ON(!algorithms[DIGEST_SHA256]);
    BUG_ON(pthread_key_create(&thread_ctx_key, free_thread_ctx) != 0);
    both_possible = sha256_both_possible();
}

/* After the first call with the algorithm, a NULL type makes OpenSSL reset the context only. */
static EVP_MD_CTX *ctx_new(enum digest_kind kind)
{
    BUG_ON(pthread_once(&once, start) != 0);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    BUG_ON(!ctx);
    /* KNOWN: in FIPS mode there is no MD5, and Content-MD5 cannot be had: a fault, not an error. */
    BUG_ON(EVP_DigestInit_ex2(ctx, algorithms[kind], NULL) != 1);
    return ctx;
}

struct digest *digest_new(enum digest_kind kind)
{
    struct digest *d = mem_alloc(sizeof *d);
    d->kind = kind;
    BUG_ON(pthread_once(&once, start) != 0);
    if (kind == DIGEST_MD5)
        d->ctx = ctx_new(kind);
    digest_begin(d);
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

void digest_begin(struct digest *d)
{
    if (d->ctx)
        BUG_ON(EVP_DigestInit_ex2(d->ctx, NULL, NULL) != 1);
    else
        BUG_ON(SHA256_Init(&d->sha256) != 1);
}

void digest_update(struct digest *d, const void *data, size_t n)
{
    if (d->ctx)
        BUG_ON(EVP_DigestUpdate(d->ctx, data, n) != 1);
    else
        BUG_ON(SHA256_Update(&d->sha256, data, n) != 1);
}

/* The length in bits is kept in two halves. */
static void count(SHA256_CTX *c, size_t bytes)
{
    uint64_t bits = ((uint64_t)c->Nh << 32 | c->Nl) + ((uint64_t)bytes << 3);
    c->Nl = (uint32_t)bits;
    c->Nh = (uint32_t)(bits >> 32);
}

void digest_update_both(struct digest *a, struct digest *b, const void *data, size_t n)
{
    size_t whole = 0;
    if (both_possible && !a->ctx && !b->ctx && a->sha256.num == 0 && b->sha256.num == 0) {
        whole = n - n % SHA256_BLOCK;
        sha256_both(a->sha256.h, b->sha256.h, data, whole / SHA256_BLOCK);
        count(&a->sha256, whole);
        count(&b->sha256, whole);
    }
    digest_update(a, (const uint8_t *)data + whole, n - whole);
    digest_update(b, (const uint8_t *)data + whole, n - whole);
}

void digest_finish(struct digest *d, uint8_t *out)
{
    if (d->ctx)
        BUG_ON(EVP_DigestFinal_ex(d->ctx, out, NULL) != 1);
    else
        BUG_ON(SHA256_Final(out, &d->sha256) != 1);
}

static EVP_MD_CTX *thread_ctx(void)
{
    static _Thread_local EVP_MD_CTX *ctx;
    if (!ctx) {
        ctx = ctx_new(DIGEST_SHA256);
        BUG_ON(pthread_setspecific(thread_ctx_key, ctx) != 0);
    }
    return ctx;
}

/* SHA-256 of two pieces one after the other. */
static void sha256_pair(EVP_MD_CTX *ctx, const void *a, size_t a_len, const void *b, size_t b_len,
                        uint8_t out[SHA256_SIZE])
{
    BUG_ON(EVP_DigestInit_ex2(ctx, NULL, NULL) != 1);
    BUG_ON(EVP_DigestUpdate(ctx, a, a_len) != 1);
    BUG_ON(EVP_DigestUpdate(ctx, b, b_len) != 1);
    BUG_ON(EVP_DigestFinal_ex(ctx, out, NULL) != 1);
}

void sha256(const void *data, size_t n, uint8_t out[SHA256_SIZE])
{
    sha256_pair(thread_ctx(), NULL, 0, data, n, out);
}

/* RFC 2104. */
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t n,
                 uint8_t out[SHA256_SIZE])
{
    EVP_MD_CTX *ctx = thread_ctx();
    uint8_t block[SHA256_BLOCK] = {0}, inner[SHA256_BLOCK], outer[SHA256_BLOCK];
    if (key_len > sizeof block)
        sha256(key, key_len, block);
    else if (key_len > 0)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < sizeof block; i++) {
        inner[i] = block[i] ^ 0x36;
        outer[i] = block[i] ^ 0x5c;
    }
    sha256_pair(ctx, inner, sizeof inner, data, n, out);
    sha256_pair(ctx, outer, sizeof outer, out, SHA256_SIZE, out);
    sodium_memzero(block, sizeof block);
    sodium_memzero(inner, sizeof inner);
    sodium_memzero(outer, sizeof outer);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    /* ISA-L leaves both inversions to the caller, and takes an int for the length. It only reads.
     */
    unsigned char *p = (unsigned char *)(uintptr_t)data;
    crc = ~crc;
    while (n > 0) {
        int piece = n > 1 << 30 ? 1 << 30 : (int)n;
        crc = crc32_iscsi(p, piece, crc);
        p += piece;
        n -= (size_t)piece;
    }
    return ~crc;
}

uint64_t keyed_hash(const uint8_t key[KEYED_HASH_KEY_SIZE], const void *data, size_t n)
{
    uint64_t hash;
    (void)crypto_shorthash((unsigned char *)&hash, data, n, key); /* always 0 */
    return hash;
}
