/* The journal's records: what each says and how it lies on disk. FORMAT.md is the same in words; a
 * change here is a change of the format's version.
 *
 * A record is a 24-byte header (length, CRC-32C, sequence, type, flags, place in its commit) and a
 * body of fixed fields and counted strings, little-endian, padded with zeros to 8 bytes.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "base/buf.h"
#include "base/checksum.h"
#include "base/identity.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_HEADER_SIZE 24
#define RECORD_MAX         8192 /* no record is longer, header and padding included */
#define RECORD_PATH_MAX    1024

/* Where a record lies: segment number * 2^24 + offset. 0 is no place. */
#define RECORD_OFFSET_BITS 24
#define RECORD_SEGMENT_MAX ((1u << 23) - 1) /* the index keeps a place in 44 bits */
/* A number, not a struct: kept packed in the index and the deques. */
typedef uint64_t record_place;

enum record_type {
    RECORD_ACCEPTED = 1,
    RECORD_ATTEMPT = 2,   /* the class of answers changed */
    RECORD_PART = 3,      /* multipart: created (number 0) or part acknowledged */
    RECORD_DELIVERED = 4, /* the receipt */
    RECORD_HELD = 5,
    RECORD_REJECTED = 6,
    RECORD_RETIRED = 7,
    RECORD_FORGOTTEN = 8,
    RECORD_RELEASED = 9, /* a held file is wanted again */
};
const char *record_type_name(enum record_type t); /* "accepted", … */

enum record_flag {
    RECORD_VERIFIED = 1,     /* DELIVERED: by comparing after a 412 */
    RECORD_KEPT = 2,         /* RETIRED: the file stays where it is; ACCEPTED: carried over, kept;
                                FORGOTTEN: by hand, the file stays and is not taken up again as it is */
    RECORD_CARRIED_HELD = 4, /* ACCEPTED: carried over from an older segment, held */
    RECORD_ARCHIVED = 8,     /* RETIRED: moved to the archive */
    RECORD_GONE = 16,        /* RETIRED: the file was not there any more */
    RECORD_CARRIED_FORGOTTEN = 32, /* ACCEPTED: carried over, forgotten */
};

/* A string inside a record: not NUL-terminated. */
struct record_text {
    const char *p;
    uint16_t n;
};

/* All fields of all types; record_encode writes those of the type, record_decode clears the rest.
 * Which type has which: FORMAT.md's table. */
struct record {
    enum record_type type;
    uint8_t flags;
    uint64_t seq;       /* set by the journal */
    uint32_t nth;       /* set by the journal: how many records of its commit stand before it */
    uint64_t hash;      /* keyed hash of the path */
    record_place first; /* the file's ACCEPTED record; in that itself the replaced file's, or 0 */
    record_place prev;  /* the record before this one about the file; in ACCEPTED the last one about
                           the file of that path that it replaces, or 0 */
    int64_t at_ns;      /* wall clock */
    struct identity id; /* ACCEPTED, DELIVERED, REJECTED */
    struct record_text path;                         /* ACCEPTED, DELIVERED, REJECTED */
    struct record_text event_type;                   /* ACCEPTED, DELIVERED */
    struct record_text key;                          /* DELIVERED: under which it is stored */
    struct record_text etag, version_id, request_id; /* DELIVERED; PART: etag */
    struct record_text upload_id;                    /* PART */
    struct record_text code,
        text; /* ATTEMPT, HELD, REJECTED, FORGOTTEN; ACCEPTED when carried held or forgotten */
    uint8_t sha256[SHA256_SIZE]; /* DELIVERED, PART; number 0: of how the upload was begun */
    int64_t accepted_ns,
        first_try_ns;     /* DELIVERED; ACCEPTED when carried over: accepted_ns, else 0 */
    uint32_t attempts;    /* ATTEMPT, DELIVERED */
    uint16_t http_status; /* ATTEMPT */
    uint8_t answer_class; /* ATTEMPT: enum answer_class of the uploader, a number here */
    uint32_t part_number; /* PART */
    uint64_t part_bytes;  /* PART */
};

/* Append the encoded record to out. segment goes into the CRC, so that a record in the wrong
 * segment is not taken for one. RC_LIMIT: over RECORD_MAX, or a path over RECORD_PATH_MAX (texts
 * are the caller's to cut); nothing was appended. */
enum rc record_encode(struct buf *out, const struct record *r, uint32_t segment) MUST_CHECK;
/* Give the encoded record of len bytes at data another sequence, place in its commit and segment.
 */
void record_seal(char *data, size_t len, uint64_t seq, uint32_t nth, uint32_t segment);

/* Look at the n bytes from the record's first on. RC_OK: *r is decoded, its texts point into data,
 * *len is the whole length. RC_ABSENT: only zeros up to n, or n == 0: the end. RC_AGAIN: n is too
 * few to tell. RC_CORRUPT: e says what is wrong (length, CRC, type, field). Any bytes are safe. */
enum rc record_decode(const char *data, size_t n, uint32_t segment, struct record *r, size_t *len,
                      struct err *e) MUST_CHECK;

#endif
