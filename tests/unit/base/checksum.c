#include "base/checksum.h"

#include "base/hex.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *hex(const uint8_t *bytes, size_t n)
{
    static char text[2 * 64 + 1];
    hex_encode(text, bytes, n);
    return text;
}

/* FIPS 180-2 appendix B, and RFC 1321 A.5 */
static const struct {
    const char *message, *sha256, *md5;
} digests[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
     "d41d8cd98f00b204e9800998ecf8427e"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
     "900150983cd24fb0d6963f7d28e17f72"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
     "8215ef0796a20bcaaae116d3876c664a"},
};

Test(checksum, digests_are_those_of_the_standards)
{
    struct digest *sha = digest_new(DIGEST_SHA256), *md5 = digest_new(DIGEST_MD5);
    uint8_t out[SHA256_SIZE];
    for (size_t i = 0; i < COUNT(digests); i++) {
        const char *message = digests[i].message;
        sha256(message, strlen(message), out);
        cr_assert_str_eq(hex(out, sizeof out), digests[i].sha256);
        digest_begin(sha);
        digest_begin(md5);
        for (const char *p = message; *p; p++) {
            digest_update(sha, p, 1);
            digest_update(md5, p, 1);
        }
        digest_finish(sha, out);
        cr_assert_str_eq(hex(out, SHA256_SIZE), digests[i].sha256);
        digest_finish(md5, out);
        cr_assert_str_eq(hex(out, MD5_SIZE), digests[i].md5);
    }
    digest_free(sha);
    digest_free(md5);
    digest_free(NULL);
}

/* Pieces of these lengths, one after the other, into a digest of all and one begun at each piece
 * that is marked: with and without multiples of the block, and the two out of step. */
Test(checksum, two_digests_take_the_same_bytes_and_each_is_what_it_is_alone)
{
    static const struct {
        size_t length;
        bool begins;
    } pieces[] = {{64, true},  {128, false}, {100000, false}, {28, false},
                  {640, true}, {0, true},    {1, false},      {65535, false},
                  {192, true}, {63, false},  {64, true},      {200, false}};
    static uint8_t data[1 << 18];
    struct digest *all = digest_new(DIGEST_SHA256), *piece = digest_new(DIGEST_SHA256);
    struct digest *md5 = digest_new(DIGEST_MD5), *md5_alone = digest_new(DIGEST_MD5);
    uint8_t got[SHA256_SIZE], expected[SHA256_SIZE];
    size_t at = 0, began = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t i = 0; i < COUNT(pieces); i++) {
        if (pieces[i].begins) {
            digest_finish(piece, got);
            sha256(data + began, at - began, expected);
            cr_expect_arr_eq(got, expected, sizeof got, "the piece before %zu", i);
            digest_begin(piece);
            began = at;
        }
        digest_update_both(all, piece, data + at, pieces[i].length);
        digest_update_both(md5, md5_alone, data + at, pieces[i].length);
        at += pieces[i].length;
    }
    digest_finish(all, got);
    sha256(data, at, expected);
    cr_expect_arr_eq(got, expected, sizeof got);
    digest_finish(md5, got);
    digest_begin(md5_alone);
    digest_update(md5_alone, data, at);
    digest_finish(md5_alone, expected);
    cr_expect_arr_eq(got, expected, MD5_SIZE);
    digest_free(all);
    digest_free(piece);
    digest_free(md5);
    digest_free(md5_alone);
}

/* The length is kept in two halves of 32 bits: 4 GiB of bits are 512 MiB. */
Test(checksum, a_digest_of_more_than_512_mib_has_its_length_right)
{
    enum { PIECE = 1 << 20, PIECES = 513 };
    uint8_t *data = calloc(1, PIECE), together[SHA256_SIZE], alone[SHA256_SIZE];
    struct digest *a = digest_new(DIGEST_SHA256), *b = digest_new(DIGEST_SHA256);
    for (int i = 0; i < PIECES; i++)
        digest_update_both(a, b, data, PIECE);
    digest_finish(a, together);
    digest_begin(b);
    for (int i = 0; i < PIECES; i++)
        digest_update(b, data, PIECE);
    digest_finish(b, alone);
    cr_expect_arr_eq(together, alone, sizeof alone);
    digest_free(a);
    digest_free(b);
    free(data);
}

Test(checksum, a_digest_left_half_way_can_begin_anew)
{
    struct digest *d = digest_new(DIGEST_SHA256);
    uint8_t out[SHA256_SIZE];
    digest_begin(d);
    digest_update(d, "forgotten", 9);
    digest_begin(d);
    digest_update(d, "abc", 3);
    digest_update(d, "", 0);
    digest_finish(d, out);
    cr_assert_str_eq(hex(out, sizeof out), digests[1].sha256);
    digest_free(d);
}

/* RFC 4231, and a key of exactly one block (checked with openssl dgst) */
Test(checksum, hmac_is_that_of_the_standard)
{
    uint8_t out[SHA256_SIZE], key[131], data[50];
    memset(key, 0x0b, sizeof key);
    hmac_sha256(key, 20, "Hi There", 8, out);
    cr_assert_str_eq(hex(out, sizeof out),
                     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
    cr_assert_str_eq(hex(out, sizeof out),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    hmac_sha256(key, 20, data, sizeof data, out);
    cr_assert_str_eq(hex(out, sizeof out),
                     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    hmac_sha256(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
    cr_assert_str_eq(hex(out, sizeof out),
                     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_sha256("", 0, "", 0, out);
    cr_assert_str_eq(hex(out, sizeof out),
                     "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

Test(checksum, the_key_or_the_data_may_be_where_the_result_goes)
{
    uint8_t chained[SHA256_SIZE], apart[SHA256_SIZE];
    sha256("key", 3, chained);
    hmac_sha256(chained, sizeof chained, "data", 4, apart);
    hmac_sha256(chained, sizeof chained, "data", 4, chained);
    cr_assert_arr_eq(chained, apart, sizeof apart);
    hmac_sha256("k", 1, apart, sizeof apart, chained);
    hmac_sha256("k", 1, apart, sizeof apart, apart);
    cr_assert_arr_eq(chained, apart, sizeof apart);
    sha256(chained, sizeof chained, apart);
    sha256(chained, sizeof chained, chained);
    cr_assert_arr_eq(chained, apart, sizeof apart);
}

static void *hash_often(void *arg)
{
    struct digest *d = digest_new(DIGEST_MD5);
    uint8_t out[SHA256_SIZE];
    void *failed = NULL;
    for (int i = 0; i < 2000 && !failed; i++) {
        char text[2 * SHA256_SIZE + 1];
        sha256("abc", 3, out);
        hex_encode(text, out, sizeof out);
        if (strcmp(text, digests[1].sha256) != 0)
            failed = arg;
        digest_begin(d);
        digest_update(d, "abc", 3);
        digest_finish(d, out);
        hex_encode(text, out, MD5_SIZE);
        if (strcmp(text, digests[1].md5) != 0)
            failed = arg;
    }
    digest_free(d);
    return failed;
}

Test(checksum, threads_do_not_disturb_each_other)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hash_often, threads), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
}

/* RFC 3720 B.4 */
Test(checksum, crc32c_is_that_of_iscsi)
{
    uint8_t zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++)
        up[i] = i;
    cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283);
    cr_assert_eq(crc32c(0, zeros, 32), 0x8a9136aa);
    cr_assert_eq(crc32c(0, ones, 32), 0x62a8ab43);
    cr_assert_eq(crc32c(0, up, 32), 0x46dd794e);
    cr_assert_eq(crc32c(0, "", 0), 0);
    cr_assert_eq(crc32c(0x12345678, NULL, 0), 0x12345678);
}

/* One bit at a time, as the definition says. */
static uint32_t crc32c_slow(const uint8_t *p, size_t n)
{
    uint32_t crc = UINT32_MAX;
    while (n-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

Test(checksum, crc32c_goes_on_where_it_stopped_at_any_length_and_alignment)
{
    uint8_t data[700];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 + i / 3);
    for (size_t start = 0; start < 9; start++)
        for (size_t n = 0; n < 600; n += 7)
            cr_assert_eq(crc32c(0, data + start, n), crc32c_slow(data + start, n));
    uint32_t whole = crc32c_slow(data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut++)
        cr_assert_eq(crc32c(crc32c(0, data, cut), data + cut, sizeof data - cut), whole);
}

/* The reference implementation's vectors: key 00..0f, messages "", 00, 00 01, … */
Test(checksum, the_keyed_hash_is_siphash_2_4)
{
    static const uint64_t want[] = {UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd),
                                    UINT64_C(0x0d6c8009d9a94f5a), UINT64_C(0x85676696d7fb7e2d)};
    uint8_t key[KEYED_HASH_KEY_SIZE], message[4];
    for (uint8_t i = 0; i < sizeof key; i++)
        key[i] = i;
    for (uint8_t i = 0; i < sizeof message; i++)
        message[i] = i;
    for (size_t n = 0; n < COUNT(want); n++)
        cr_assert_eq(keyed_hash(key, message, n), want[n]);
    key[0]++;
    cr_assert_neq(keyed_hash(key, message, 0), want[0]);
}
