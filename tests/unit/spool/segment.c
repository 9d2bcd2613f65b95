/* Segment files: names, headers, reading. */
#include "spool/segment.h"
#include "tests/torture/faultfs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

Test(segment, only_sixteen_digits_and_seg_are_a_name)
{
    static const struct {
        const char *name;
        uint32_t number; /* 0: no name */
    } names[] = {
        {"0000000000000001.seg", 1}, {"0000000008388607.seg", RECORD_SEGMENT_MAX},
        {"0000000008388608.seg", 0}, {"0000004294967297.seg", 0},
        {"9999999999999999.seg", 0}, {"0000000000000000.seg", 0},
        {"000000000000001.seg", 0},  {"00000000000000001.seg", 0},
        {"0000000000000001.SEG", 0}, {"0000000000000001.seg.tmp", 0},
        {"000000000000000a.seg", 0}, {"+000000000000001.seg", 0},
        {" 000000000000001.seg", 0}, {"", 0},
        {"quarantine", 0},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t number = 0;
        bool is = segment_parse_name(names[i].name, &number);
        cr_assert_eq(is, names[i].number != 0, "%s", names[i].name);
        cr_assert_eq(number, names[i].number, "%s", names[i].name);
        if (is) {
            char again[SEGMENT_NAME_SIZE];
            segment_name(again, number);
            cr_assert_str_eq(again, names[i].name);
        }
    }
}

static const struct segment_header header = {
    .number = 7, .first_seq = 42, .created_ns = -3, .hash_key = {1, 2, 3, [15] = 9}};

Test(segment, a_header_comes_back_and_no_wrong_byte_goes_unseen)
{
    char data[SEGMENT_HEADER_SIZE];
    struct segment_header h;
    struct err e;
    segment_encode_header(data, &header);
    cr_assert_eq(segment_decode_header(data, sizeof data, 7, &h, &e), RC_OK);
    cr_assert_eq(h.number, 7);
    cr_assert_eq(h.first_seq, 42);
    cr_assert_eq(h.created_ns, -3);
    cr_assert_eq(memcmp(h.hash_key, header.hash_key, sizeof h.hash_key), 0);
    cr_assert_eq(segment_decode_header(data, sizeof data, 8, &h, &e), RC_CORRUPT, "the number");
    cr_assert_eq(segment_decode_header(data, sizeof data - 1, 7, &h, &e), RC_CORRUPT, "too short");
    for (size_t at = 0; at < sizeof data; at++)
        for (unsigned flip = 1; flip < 256; flip++) {
            data[at] = (char)((unsigned char)data[at] ^ flip);
            enum rc rc = segment_decode_header(data, sizeof data, 7, &h, &e);
            cr_assert(rc == RC_CORRUPT || (rc == RC_LIMIT && at >= 8 && at < 12), "byte %zu", at);
            data[at] = (char)((unsigned char)data[at] ^ flip);
        }
}

Test(segment, a_newer_version_is_named_as_such)
{
    char data[SEGMENT_HEADER_SIZE];
    struct segment_header h;
    struct err e;
    segment_encode_header(data, &header);
    data[8] = 2;
    cr_assert_eq(segment_decode_header(data, sizeof data, 7, &h, &e), RC_LIMIT);
    cr_assert_not_null(strstr(e.text, "version 2"), "%s", e.text);
}

/* A segment of n records with texts of `size` bytes, behind its header, unsynced. */
static void make(const struct fsio *fs, int dirfd, unsigned n, uint16_t size)
{
    static char text[RECORD_MAX];
    struct err e;
    struct buf b;
    char name[SEGMENT_NAME_SIZE];
    memset(text, 't', sizeof text);
    buf_init(&b, SEGMENT_BYTES_MAX);
    cr_assert_eq(segment_create(fs, dirfd, &header, &e), RC_OK);
    for (unsigned i = 0; i < n; i++) {
        struct record r = {.type = RECORD_HELD, .seq = 42 + i, .text = {text, size}};
        cr_assert_eq(record_encode(&b, &r, 7), RC_OK);
    }
    segment_name(name, 7);
    int fd = fs->ops->open(fs->ctx, dirfd, name, O_WRONLY, 0);
    cr_assert_eq(fsio_write_all(fs, fd, b.data, b.len, SEGMENT_HEADER_SIZE, &e), RC_OK);
    cr_assert_eq(fsio_close(fs, fd, &e), RC_OK);
    buf_fini(&b);
}

static unsigned count(const struct fsio *fs, int dirfd, bool rewrite)
{
    struct segment_reader *s = segment_reader_new(fs, dirfd);
    struct segment_header h;
    struct record r;
    struct err e;
    unsigned n = 0;
    uint64_t end = SEGMENT_HEADER_SIZE;
    cr_assert_eq(segment_open(s, 7, rewrite, &h, &e), RC_OK);
    while (segment_next(s, &r, &e) == RC_OK) {
        cr_assert_eq(r.seq, 42 + n++);
        cr_assert_eq(segment_at(s), end);
        end = segment_end(s);
    }
    cr_assert_eq(segment_close(s, &e), RC_OK);
    segment_reader_free(s);
    return n;
}

/* Larger than the reader's window, so that it is read and written again in several pieces. */
Test(segment, what_is_rewritten_survives_a_power_cut_and_what_is_read_only_does_not)
{
    for (int rewrite = 0; rewrite < 2; rewrite++) {
        struct faultfs *f = faultfs_new();
        const struct fsio *fs = faultfs_fsio(f);
        int dirfd = faultfs_root(f);
        make(fs, dirfd, 300, 5000);
        faultfs_kill(f);
        /* As after a write-back that failed: the cache is clean, the disk has nothing. */
        struct faultfs_plan plan = {FAULTFS_DATASYNC, 1, FAULTFS_ERROR, EIO, false};
        faultfs_arm(f, &plan);
        dirfd = faultfs_root(f);
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, 7);
        int fd = fs->ops->open(fs->ctx, dirfd, name, O_RDONLY, 0);
        cr_assert_eq(fs->ops->datasync(fs->ctx, fd), -EIO);
        cr_assert_eq(count(fs, dirfd, rewrite), 300);
        faultfs_restart(f, 0);
        cr_assert_eq(count(fs, faultfs_root(f), false), rewrite ? 300 : 0);
        faultfs_free(f);
    }
}

Test(segment, resync_finds_the_next_whole_record)
{
    static const struct {
        const char *what;
        uint64_t from, n; /* bytes overwritten */
        char byte;
        uint64_t found; /* sequence */
    } cases[] = {
        {"one byte of the second", 64 + 1064 + 100, 1, 0, 44},
        {"zeros over the second", 64 + 1064, 1064, 0, 44},
        {"zeros over a hundred", 64 + 1064, 100 * 1064, 0, 42 + 101},
        {"garbage over a hundred and a bit", 64 + 1064, 100 * 1064 + 1, 'x', 42 + 102},
        {"zeros beyond the window", 64 + 1064, 290 * 1064, 0, 42 + 291},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct faultfs *f = faultfs_new();
        const struct fsio *fs = faultfs_fsio(f);
        int dirfd = faultfs_root(f);
        struct err e;
        char name[SEGMENT_NAME_SIZE], *over = malloc(cases[i].n);
        make(fs, dirfd, 300, 1000); /* 24 + 32 + 4 + 1000, padded: 1064 bytes each */
        segment_name(name, 7);
        memset(over, cases[i].byte, cases[i].n);
        int fd = fs->ops->open(fs->ctx, dirfd, name, O_WRONLY, 0);
        cr_assert_eq(fsio_write_all(fs, fd, over, cases[i].n, cases[i].from, &e), RC_OK);
        free(over);
        struct segment_reader *s = segment_reader_new(fs, dirfd);
        struct segment_header h;
        struct record r;
        cr_assert_eq(segment_open(s, 7, false, &h, &e), RC_OK);
        cr_assert_eq(segment_next(s, &r, &e), RC_OK);
        cr_assert_eq(segment_next(s, &r, &e), RC_CORRUPT, "%s", cases[i].what);
        cr_assert_eq(segment_end(s), 64 + 1064);
        cr_assert_eq(segment_resync(s, 42, &r, &e), RC_OK, "%s", cases[i].what);
        cr_assert_eq(r.seq, cases[i].found, "%s: %d", cases[i].what, (int)r.seq);
        cr_assert_eq(segment_at(s), 64 + (cases[i].found - 42) * 1064);
        cr_assert_eq(segment_close(s, &e), RC_OK);
        segment_reader_free(s);
        faultfs_free(f);
    }
}

Test(segment, what_is_no_regular_file_is_not_opened)
{
    struct faultfs *f = faultfs_new();
    const struct fsio *fs = faultfs_fsio(f);
    int dirfd = faultfs_root(f);
    struct segment_header h;
    struct err e;
    cr_assert_eq(fs->ops->mkdir(fs->ctx, dirfd, "0000000000000007.seg", 0755), 0);
    struct segment_reader *s = segment_reader_new(fs, dirfd);
    cr_assert_eq(segment_open(s, 7, false, &h, &e), RC_INVALID);
    cr_assert_eq(segment_open(s, 7, true, &h, &e), RC_INVALID);
    cr_assert_eq(segment_open(s, 8, true, &h, &e), RC_ABSENT);
    segment_reader_free(s);
    faultfs_free(f);
}
