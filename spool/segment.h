/* One segment file of the journal: its name, its header, and reading it as a stream. FORMAT.md.
 *
 * Nothing here knows of the segments beside it; what they say about each other is journal_scan's.
 */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "base/fsio.h"
#include "spool/record.h"

#define SEGMENT_VERSION     1
#define SEGMENT_HEADER_SIZE 64
#define SEGMENT_BYTES_MAX   (UINT32_C(1) << RECORD_OFFSET_BITS)
#define SEGMENT_NUMBER_MAX  ((UINT32_C(1) << 23) - 1) /* places are packed in 44 bits of 8 bytes */
#define SEGMENT_NAME_SIZE   21                        /* "0000000000000001.seg" + NUL */

enum segment_flag {
    SEGMENT_MENDED = 1, /* rewritten by verify: zeros stand where damage was, sequences may skip */
};

struct segment_header {
    uint32_t number; /* from 1 */
    uint32_t flags;
    uint64_t first_seq; /* of its first record, or of the next one if it stays empty */
    int64_t created_ns;
    uint8_t hash_key[KEYED_HASH_KEY_SIZE];
};

void segment_name(char out[SEGMENT_NAME_SIZE], uint32_t number);
/* false: not a segment's name. */
bool segment_parse_name(const char *name, uint32_t *number);

void segment_encode_header(char out[SEGMENT_HEADER_SIZE], const struct segment_header *h);
/* data: the first n bytes of the file that is named for `number`. RC_CORRUPT: damaged, or of
 * another number; RC_LIMIT: of a newer version than we know. */
enum rc segment_decode_header(const char *data, size_t n, uint32_t number, struct segment_header *h,
                              struct err *e) MUST_CHECK;

/* Make the file, durably (fsio_replace). */
enum rc segment_create(const struct fsio *fs, int dirfd, const struct segment_header *h,
                       struct err *e) MUST_CHECK;
/* Take away what lies behind `end`, durably: bytes that do not count, or are in doubt. A shorter
 * file stays as it is. */
enum rc segment_cut(const struct fsio *fs, int dirfd, uint32_t number, uint64_t end,
                    struct err *e) MUST_CHECK;

/* It cannot be opened (errno): is that this one file's fault, rather than the machine's, which
 * cannot open any, or the directory's, which is shut? */
bool segment_is_at_fault(const struct fsio *fs, int dirfd, uint32_t number, int error);

/* After a read that failed: of the n bytes at `from` those before the first that the disk does not
 * give. */
size_t segment_read_some(const struct fsio *fs, int fd, char *data, size_t n, uint64_t from);

/* Reads one segment after another through one window of memory. */
struct segment_reader;
struct segment_reader *segment_reader_new(const struct fsio *fs, int dirfd);
void segment_reader_free(struct segment_reader *s); /* no segment open; NULL allowed */

/* Open a segment and read its header. RC_OK and RC_CORRUPT, RC_LIMIT (as segment_decode_header):
 * it is open, to be closed; any other result: it is not. RC_INVALID: not a regular file.
 * rewrite: what is read as valid is written again in place, and synced by segment_close. */
enum rc segment_open(struct segment_reader *s, uint32_t number, bool rewrite,
                     struct segment_header *h, struct err *e) MUST_CHECK;
/* The next record; its texts are valid until the next call. RC_ABSENT: the end, nothing but zeros
 * follows. RC_AGAIN: the file ends within a record. RC_CORRUPT: damage. RC_IO: the disk does not
 * give the bytes. After all but RC_OK: why in e (not for RC_ABSENT), and segment_end tells where.
 */
enum rc segment_next(struct segment_reader *s, struct record *r, struct err *e) MUST_CHECK;
/* The record just given is not to count: it is not written again, and segment_end is its begin.
 * segment_resync may find it again. */
void segment_untake(struct segment_reader *s);
/* After RC_CORRUPT, RC_AGAIN or segment_untake: go on to the next whole record with seq > after.
 * RC_ABSENT: none; RC_IO. What is found from here on is not written again. */
enum rc segment_resync(struct segment_reader *s, uint64_t after, struct record *r,
                       struct err *e) MUST_CHECK;
/* Where the record just given begins. */
uint64_t segment_at(const struct segment_reader *s);
/* Where the last valid record (or the header) ended. */
uint64_t segment_end(const struct segment_reader *s);
/* Not RC_OK: what was to be written again is not durable (rewrite only). */
enum rc segment_close(struct segment_reader *s, struct err *e) MUST_CHECK;

#endif
