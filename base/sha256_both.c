/* Two SHA-256 states over the same bytes, for the time of one.
 *
 * A part of a large object goes into the part's digest and into the whole object's. The rounds of
 * one state wait for each other: SHA256RNDS2 takes twice as long as it keeps the CPU busy. A second
 * state fits between them, and the message schedule, which depends on the bytes only, is made once
 * for both. FIPS 180-4 has the function, Intel's SHA extensions paper the use of its instructions.
 */
#include "base/sha256_both.h"

#include "base/rc.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* A state as the instructions want it. */
struct halves {
    __m128i abef, cdgh;
};

WITH_SHA static inline struct halves load(const uint32_t h[8])
{
    __m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)h);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(h + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);

    return (struct halves){.abef = _mm_alignr_epi8(cdab, efgh, 8),
                           .cdgh = _mm_blend_epi16(efgh, cdab, 0xf0)};
}

WITH_SHA static inline void store(uint32_t h[8], struct halves s)
{
    __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b), dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);

    _mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* The four words that follow those of p, q, r and s. */
WITH_SHA static inline __m128i next_words(__m128i p, __m128i q, __m128i r, __m128i s)
{
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(p, q), _mm_alignr_epi8(s, r, 4)),
                                s);
}

/* Four rounds of both. */
WITH_SHA static inline void rounds(struct halves *a, struct halves *b, __m128i words)
{
    __m128i upper = _mm_shuffle_epi32(words, 0x0e);

    a->cdgh = _mm_sha256rnds2_epu32(a->cdgh, a->abef, words);
    b->cdgh = _mm_sha256rnds2_epu32(b->cdgh, b->abef, words);
    a->abef = _mm_sha256rnds2_epu32(a->abef, a->cdgh, upper);
    b->abef = _mm_sha256rnds2_epu32(b->abef, b->cdgh, upper);
}

WITH_SHA static inline void one_block(struct halves *a, struct halves *b, const uint8_t *data)
{
    const __m128i *k = (const __m128i *)(const void *)constants;
    const __m128i *in = (const __m128i *)(const void *)data;
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    struct halves a0 = *a, b0 = *b;
    __m128i w[4];

#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128(in + i), big_endian);
        rounds(a, b, _mm_add_epi32(w[i], k[i]));
    }
#pragma GCC unroll 4
    for (int i = 4; i < 16; i += 4) {
        w[0] = next_words(w[0], w[1], w[2], w[3]);
        rounds(a, b, _mm_add_epi32(w[0], k[i]));
        w[1] = next_words(w[1], w[2], w[3], w[0]);
        rounds(a, b, _mm_add_epi32(w[1], k[i + 1]));
        w[2] = next_words(w[2], w[3], w[0], w[1]);
        rounds(a, b, _mm_add_epi32(w[2], k[i + 2]));
        w[3] = next_words(w[3], w[0], w[1], w[2]);
        rounds(a, b, _mm_add_epi32(w[3], k[i + 3]));
    }
    a->abef = _mm_add_epi32(a->abef, a0.abef);
    a->cdgh = _mm_add_epi32(a->cdgh, a0.cdgh);
    b->abef = _mm_add_epi32(b->abef, b0.abef);
    b->cdgh = _mm_add_epi32(b->cdgh, b0.cdgh);
}

bool sha256_both_possible(void)
{
    unsigned eax, ebx, ecx, edx;
    const unsigned ssse3_and_sse41 = bit_SSSE3 | bit_SSE4_1;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & ssse3_and_sse41) != ssse3_and_sse41)
        return false;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_SHA) != 0;
}

WITH_SHA void sha256_both(uint32_t a[8], uint32_t b[8], const uint8_t *data, size_t blocks)
{
    struct halves first = load(a), second = load(b);

    for (; blocks > 0; blocks--, data += 64)
        one_block(&first, &second, data);
    store(a, first);
    store(b, second);
}

#else

bool sha256_both_possible(void)
{
    return false;
}

void sha256_both(uint32_t a[8], uint32_t b[8], const uint8_t *data, size_t blocks)
{
    (void)a;
    (void)b;
    (void)data;
    BUG_ON(blocks > 0);
}

#endif
