/* The journal's inside, shared by its files and their tests.
 *
 * journal_scan: what the segments of a directory say together. journal_commit: the pool thread's
 * part. journal_read: windows over what was written. journal.c joins them; journal_verify works
 * offline.
 */
#ifndef SPOOL_JOURNAL_INT_H
#define SPOOL_JOURNAL_INT_H

#include "spool/journal.h"
#include "spool/segment.h"

#define JOURNAL_QUARANTINE "quarantine"

/* ---- journal_scan.c ---- */

/* A file that is named as a segment. */
struct scan_entry {
    uint32_t number;
    struct segment_header h; /* if !bad */
    uint64_t next_seq;       /* once it was read without a fault: the sequence behind it; else 0 */
    struct err *bad;         /* why its header is not to be used; NULL: it is */
    bool refused; /* bad, but nothing to mend: of a newer version, another journal's, shut */
};

struct scan {
    const struct fsio *fs;
    int dirfd;
    struct segment_reader *reader;
    struct scan_entry *entries; /* by number */
    size_t n, cap;
    uint32_t max_number; /* of all segments, those in quarantine included; 0: none */
    uint32_t *set_aside; /* numbers in quarantine, sorted */
    size_t n_aside, aside_cap;
    bool has_key;
    uint8_t hash_key[KEYED_HASH_KEY_SIZE];
};

/* List the directory and read every header. Not RC_OK: the directory or a file in it cannot be
 * used; scan_fini in any case. */
enum rc scan_init(struct scan *s, const struct fsio *fs, int dirfd, struct err *e) MUST_CHECK;
void scan_fini(struct scan *s);
/* The entry is followed by a missing or bad segment, or by none: nothing says where it ends. */
bool scan_is_open_ended(const struct scan *s, size_t i);
/* Is a segment number missing right before entry i? *from..*to: the missing ones. */
bool scan_hole_before(const struct scan *s, size_t i, uint32_t *from, uint32_t *to);
/* Whatever numbers are missing before entry i, no record is: those around them follow each other,
 * or there is no segment behind them that counts. Numbers are passed over when a stray file had a
 * higher one. Tells only what has been read. */
bool scan_is_whole_before(const struct scan *s, size_t i);
/* For the next segment: never one that was used, as old places still name it. But a stray file with
 * the last number there is must not end the journal for good: then the whole segments alone count.
 */
uint32_t scan_next_number(const struct scan *s);
bool scan_is_set_aside(const struct scan *s, uint32_t number);

struct scan_result {
    uint64_t records;
    uint64_t next_seq; /* behind the last valid record */
    uint64_t end;      /* offset behind the last valid record: where a fault lies, if any */
    int64_t newest_ns; /* of its records; the header's if there is none */
    bool damaged;      /* a fault that is not legal: why */
    bool torn;         /* a legal torn tail: why */
    struct err why;
};
/* Read the valid records of an entry that is not bad. The last entry's are rewritten if `rewrite`.
 * Not RC_OK: a result of the reader's, or the segment cannot be opened or made durable. */
enum rc scan_segment(struct scan *s, size_t i, const struct journal_reader *reader, bool rewrite,
                     struct scan_result *out, struct err *e) MUST_CHECK;
/* The sequence behind the last one that belongs to entry i, as the segments after it say. */
uint64_t scan_limit(const struct scan *s, size_t i);

/* ---- journal_quarantine.c ---- */

/* Move a segment to quarantine/, with <name>.reason beside it. A name that is taken there gets a
 * suffix (.2, .3, …). RC_OK: it is moved, durably; a reason that could not be written is logged. */
enum rc journal_quarantine_move(const struct fsio *fs, int dirfd, uint32_t number,
                                const struct err *why, struct err *e) MUST_CHECK;
/* The same with a copy of its n bytes; the segment stays. */
enum rc journal_quarantine_copy(const struct fsio *fs, int dirfd, uint32_t number, const char *data,
                                size_t n, const struct err *why, struct err *e) MUST_CHECK;

/* A .reason alone: the segment is missing, and that is known from now on. */
enum rc journal_quarantine_note(const struct fsio *fs, int dirfd, uint32_t number,
                                const struct err *why, struct err *e) MUST_CHECK;

/* ---- journal_commit.c ---- */

struct journal_entry {
    journal_done *done;
    void *arg;
    int64_t at_ns;
    uint32_t offset, len; /* in the batch's data; no bytes: too long to be written */
};

/* What the pool thread works on. While it is under way, nobody else looks at it. */
struct journal_job {
    const struct fsio *fs;
    int dirfd, fd;
    bool create;                  /* begin a new segment first */
    struct segment_header header; /* of the segment to create */
    uint64_t offset, seq;         /* of the first record */
    char *data;
    const struct journal_entry *entries;
    size_t n, len;
    /* reopening: the durable part of the last segment, to be read again; number 0: none */
    uint32_t check_number;
    uint64_t check_end, check_seq;
    /* results */
    bool created, poison;
    enum rc rc;
    struct err err;
    int64_t ns;
};

/* Begin a segment if asked, write the records, sync. */
void journal_job_commit(struct journal_job *b);
/* Check the durable part of the last segment and begin another. */
void journal_job_reopen(struct journal_job *b);

/* ---- journal_read.c ---- */

/* Windows over segment files, for journal_read. */
struct journal_window;
struct journal_window *journal_window_new(const struct fsio *fs, int dirfd);
void journal_window_free(struct journal_window *w);
/* The record at offset of a segment whose valid bytes end at `end`. */
enum rc journal_window_read(struct journal_window *w, record_place at, uint64_t end, char *buf,
                            struct record *r, struct err *e) MUST_CHECK;
/* The segment is gone. */
void journal_window_forget(struct journal_window *w, uint32_t segment);

#endif
