/* Records: every type there and back, every damaged byte seen. */
#include "spool/record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TEXT(s) ((struct record_text){(s), sizeof(s) - 1})
#define IDENTITY                                                                                   \
    {                                                                                              \
        .dev = 66, .ino = 1ull << 40, .size = 4096, .mtime_ns = -5, .ctime_ns = 1ll << 60          \
    }
#define WHY  .code = TEXT("AccessDenied"), .text = TEXT("a sentence; h\xc3\xa4")
#define LINK .first = 0x1000040, .prev = 0x2000080
#define SHA  .sha256 = {1, 2, 3, [31] = 255}

/* One of each type, with every field that it has. */
static const struct record all[] = {
    {.type = RECORD_ACCEPTED,
     .flags = RECORD_KEPT | RECORD_CARRIED_HELD,
     .id = IDENTITY,
     WHY,
     .path = TEXT("Panoptica/audit/2026-11-23/prod/a.json"),
     .event_type = TEXT("audit"),
     .accepted_ns = 7},
    {.type = RECORD_ATTEMPT, LINK, WHY, .attempts = 3, .http_status = 503, .answer_class = 9},
    {.type = RECORD_PART,
     LINK,
     SHA,
     .part_number = 10000,
     .part_bytes = 1ull << 33,
     .etag = TEXT("\"e\""),
     .upload_id = TEXT("upload")},
    {.type = RECORD_DELIVERED,
     .flags = RECORD_VERIFIED,
     LINK,
     SHA,
     .id = IDENTITY,
     .accepted_ns = 7,
     .first_try_ns = 8,
     .attempts = 2,
     .path = TEXT("p"),
     .event_type = TEXT("audit"),
     .key = TEXT("prefix/p"),
     .etag = TEXT("\"e\""),
     .version_id = TEXT("v"),
     .request_id = TEXT("r")},
    {.type = RECORD_HELD, LINK, WHY},
    {.type = RECORD_REJECTED, LINK, WHY, .id = IDENTITY, .path = TEXT("bad\xff\n")},
    {.type = RECORD_RETIRED, .flags = RECORD_ARCHIVED | RECORD_GONE, LINK},
    {.type = RECORD_FORGOTTEN, LINK, WHY},
    {.type = RECORD_RELEASED, LINK},
};
enum { TYPES = sizeof all / sizeof all[0], SEGMENT = 77 };

static void same_text(const struct record_text *a, const struct record_text *b, const char *what)
{
    cr_assert_eq(a->n, b->n, "%s", what);
    cr_assert(a->n == 0 || memcmp(a->p, b->p, a->n) == 0, "%s", what);
}

static void same(const struct record *a, const struct record *b)
{
    cr_assert_eq(a->type, b->type);
    cr_assert_eq(a->flags, b->flags);
    cr_assert_eq(a->seq, b->seq);
    cr_assert_eq(a->nth, b->nth);
    cr_assert_eq(a->hash, b->hash);
    cr_assert_eq(a->first, b->first);
    cr_assert_eq(a->prev, b->prev);
    cr_assert_eq(a->at_ns, b->at_ns);
    cr_assert(identity_equal(&a->id, &b->id));
    same_text(&a->path, &b->path, "path");
    same_text(&a->event_type, &b->event_type, "event_type");
    same_text(&a->key, &b->key, "key");
    same_text(&a->etag, &b->etag, "etag");
    same_text(&a->version_id, &b->version_id, "version_id");
    same_text(&a->request_id, &b->request_id, "request_id");
    same_text(&a->upload_id, &b->upload_id, "upload_id");
    same_text(&a->code, &b->code, "code");
    same_text(&a->text, &b->text, "text");
    cr_assert_eq(memcmp(a->sha256, b->sha256, SHA256_SIZE), 0);
    cr_assert_eq(a->accepted_ns, b->accepted_ns);
    cr_assert_eq(a->first_try_ns, b->first_try_ns);
    cr_assert_eq(a->attempts, b->attempts);
    cr_assert_eq(a->http_status, b->http_status);
    cr_assert_eq(a->answer_class, b->answer_class);
    cr_assert_eq(a->part_number, b->part_number);
    cr_assert_eq(a->part_bytes, b->part_bytes);
}

static struct record numbered(int i)
{
    struct record r = all[i];
    r.seq = 1000 + (uint64_t)i;
    r.nth = (uint32_t)i;
    r.hash = 0xfedcba9876543210u + (uint64_t)i;
    r.at_ns = -1 - i;
    return r;
}

Test(record, every_type_comes_back_as_it_was)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < TYPES; i++) {
        struct record in = numbered(i), out;
        size_t len, before = b.len;
        struct err e;
        cr_assert_eq(record_encode(&b, &in, SEGMENT), RC_OK);
        cr_assert_eq((b.len - before) % 8, 0);
        enum rc rc = record_decode(b.data + before, b.len - before, SEGMENT, &out, &len, &e);
        cr_assert_eq(rc, RC_OK, "%s: %s", record_type_name(in.type), e.text);
        cr_assert_eq(len, b.len - before);
        same(&in, &out);
    }
    buf_fini(&b);
}

Test(record, sealing_gives_another_sequence_and_segment)
{
    struct buf b;
    struct record in = numbered(0), out;
    size_t len;
    struct err e;
    buf_init(&b, 1 << 20);
    cr_assert_eq(record_encode(&b, &in, 0), RC_OK);
    record_seal(b.data, b.len, 5, 6, SEGMENT);
    cr_assert_eq(record_decode(b.data, b.len, 0, &out, &len, &e), RC_CORRUPT);
    cr_assert_eq(record_decode(b.data, b.len, SEGMENT, &out, &len, &e), RC_OK);
    in.seq = 5;
    in.nth = 6;
    same(&in, &out);
    buf_fini(&b);
}

Test(record, no_wrong_byte_goes_unseen)
{
    for (int i = 0; i < TYPES; i++) {
        struct buf b;
        struct record in = numbered(i), out;
        size_t len;
        struct err e;
        buf_init(&b, 1 << 20);
        cr_assert_eq(record_encode(&b, &in, SEGMENT), RC_OK);
        for (size_t at = 0; at < b.len; at++)
            for (unsigned flip = 1; flip < 256; flip++) {
                b.data[at] = (char)((unsigned char)b.data[at] ^ flip);
                enum rc rc = record_decode(b.data, b.len, SEGMENT, &out, &len, &e);
                cr_assert(rc == RC_CORRUPT || rc == RC_AGAIN, "%s, byte %zu ^ %u: %s",
                          record_type_name(in.type), at, flip, rc_name(rc));
                b.data[at] = (char)((unsigned char)b.data[at] ^ flip);
            }
        buf_fini(&b);
    }
}

Test(record, a_part_of_a_record_asks_for_more)
{
    struct buf b;
    struct record in = numbered(3), out;
    size_t len;
    struct err e;
    buf_init(&b, 1 << 20);
    cr_assert_eq(record_encode(&b, &in, SEGMENT), RC_OK);
    cr_assert_eq(record_decode(b.data, 0, SEGMENT, &out, &len, &e), RC_ABSENT);
    for (size_t n = 1; n < b.len; n++)
        cr_assert_eq(record_decode(b.data, n, SEGMENT, &out, &len, &e), RC_AGAIN, "%zu", n);
    buf_fini(&b);
}

Test(record, zeros_are_the_end_and_nothing_else_is)
{
    char data[64] = {0};
    struct record out;
    size_t len;
    struct err e;
    for (size_t n = 0; n <= sizeof data; n++)
        cr_assert_eq(record_decode(data, n, SEGMENT, &out, &len, &e), RC_ABSENT, "%zu", n);
    data[63] = 1;
    cr_assert_eq(record_decode(data, 64, SEGMENT, &out, &len, &e), RC_CORRUPT);
    static const uint32_t lengths[] = {1, 8, 32, 41, 8193, 8200, UINT32_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memcpy(data, &lengths[i], 4);
        cr_assert_eq(record_decode(data, 64, SEGMENT, &out, &len, &e), RC_CORRUPT, "%u",
                     lengths[i]);
    }
}

Test(record, what_is_too_long_is_refused_and_leaves_nothing)
{
    static char big[UINT16_MAX];
    struct buf b;
    struct record r = {.type = RECORD_HELD};
    memset(big, 'x', sizeof big);
    buf_init(&b, 1 << 20);
    for (int fits = 1; fits >= 0; fits--) {
        /* header 24, hash, at, first, prev 32, two counts 4 */
        r.text = (struct record_text){big, (uint16_t)(RECORD_MAX - 60 + !fits)};
        cr_assert_eq(record_encode(&b, &r, 1), fits ? RC_OK : RC_LIMIT);
        cr_assert_eq(b.len, RECORD_MAX);
    }
    r = (struct record){.type = RECORD_REJECTED, .path = {big, RECORD_PATH_MAX + 1}};
    cr_assert_eq(record_encode(&b, &r, 1), RC_LIMIT);
    r.path.n = RECORD_PATH_MAX;
    cr_assert_eq(record_encode(&b, &r, 1), RC_OK);
    r.path = TEXT("a\0b");
    cr_assert_eq(record_encode(&b, &r, 1), RC_LIMIT);
    buf_fini(&b);
}

/* A record whose CRC is right and whose fields are not: written by a fault of ours, or by malice.
 */
Test(record, a_right_crc_does_not_make_fields_believed)
{
    static const struct {
        const char *what;
        size_t at;
        unsigned char value;
    } wrong[] = {
        {"type 0", 16, 0},
        {"type 10", 16, 10},
        {"type 255", 16, 255},
        {"reserved", 18, 1},
        {"reserved", 19, 1},
        {"a text that is longer than the record", 57, 0x7f},
        {"a text that leaves too much behind", 56, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct buf b;
        struct record r = {.type = RECORD_HELD, .seq = 9, .code = TEXT("0123456789abcdef")}, out;
        size_t len;
        struct err e;
        buf_init(&b, 1 << 20);
        cr_assert_eq(record_encode(&b, &r, 1), RC_OK);
        b.data[wrong[i].at] = (char)wrong[i].value;
        record_seal(b.data, b.len, 9, 0, 1);
        cr_assert_eq(record_decode(b.data, b.len, 1, &out, &len, &e), RC_CORRUPT, "%s",
                     wrong[i].what);
        buf_fini(&b);
    }
}
