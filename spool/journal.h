/* The journal: append-only segments, one writer, group commit on a pool thread. FORMAT.md.
 *
 * P3: a caller is told of its record only after the fdatasync of the bytes that hold it. After a
 * failed one the journal is poisoned: everything waiting fails, appends fail, until it has been
 * reopened, its durable part re-read, and a new segment begun (by itself, 1 s to 30 s apart). The
 * new segment's first sequence makes void whatever may lie behind the durable part.
 */
#ifndef SPOOL_JOURNAL_H
#define SPOOL_JOURNAL_H

#include "base/fsio.h"
#include "base/histogram.h"
#include "base/loop.h"
#include "spool/record.h"

struct journal_cfg {
    const struct fsio *fs;
    int dirfd;         /* the directory of the segments; borrowed */
    struct loop *loop; /* NULL: commits happen in journal_flush, on the caller's thread (tests) */
    uint32_t segment_bytes;        /* 16 MiB at most and by default (0) */
    int64_t (*wall_ns)(void *arg); /* NULL: clock_wall_now_ns */
    void *wall_arg;
    void (*poisoned)(void *arg, bool is, const struct err *why); /* told of changes; NULL allowed */
    void *arg;
};

struct journal;

/* What a reader is told of each valid record, oldest first. r's texts are valid during the call.
 * Not RC_OK ends the reading with that result. */
struct journal_reader {
    enum rc (*record)(void *arg, record_place at, const struct record *r);
    /* NULL, or: journal_open is about to read the nth of so many segments, from 1. */
    void (*segment)(void *arg, size_t nth, size_t of);
    void *arg;
};

/* Read all segments as a stream, set damaged ones aside (moved to quarantine/ with a .reason, told
 * in the log), be ready to append. P4: it starts whatever the segments hold, unless the directory
 * itself cannot be used (RC_DENIED, RC_IO, RC_FULL with the path), the machine can open no file now
 * (RC_IO: EMFILE, ENFILE, ENOMEM), or the newest segment cannot be written again and synced
 * (RC_DENIED: EROFS; RC_FULL; RC_IO). What was read of it is written again and synced before it is
 * trusted: a page whose write-back failed is clean in memory only.
 * *lost is set when something was quarantined: the spool must be walked. */
enum rc journal_open(const struct journal_cfg *cfg, const struct journal_reader *reader, bool *lost,
                     struct journal **out, struct err *e) MUST_CHECK;
/* Waits for the commit under way (the loop turns meanwhile: not from one of its callbacks); what is
 * not committed then fails with RC_CANCELLED. NULL allowed. */
void journal_close(struct journal *j);

/* The key of the keyed hash of paths: made with the first segment, the same in every later one. */
const uint8_t *journal_hash_key(const struct journal *j);

/* Queue a record; r and its texts are copied. done is called from the loop (or journal_flush), in
 * order: RC_OK and where it lies, after it is durable. RC_FULL, RC_LIMIT (over RECORD_MAX),
 * RC_CANCELLED: it is not in the journal. RC_IO: nothing may be built on it; should the process die
 * before the journal has been reopened, it may be found there. done may be NULL, and may append. */
typedef void journal_done(void *arg, enum rc rc, record_place at);
void journal_append(struct journal *j, const struct record *r, journal_done *done, void *arg);
/* Without a loop: commit what is queued, now. With one: start the commit now rather than when the
 * loop is about to wait. */
void journal_flush(struct journal *j);
/* Nothing queued or under way. */
bool journal_is_idle(const struct journal *j);

/* The record at a place that append or the reader gave, from disk or a small cache. The texts point
 * into buf (RECORD_MAX bytes). RC_ABSENT: that segment is gone; RC_CORRUPT: so is the record, or
 * the disk does not give it, or its segment is one that the next start sets aside since it cannot
 * be opened. Others: not to be read now (descriptors, memory). */
enum rc journal_read(struct journal *j, record_place at, char *buf, struct record *r,
                     struct err *e) MUST_CHECK;

/* The oldest segment that is not the one being written: its number and the time of its newest
 * record. RC_ABSENT: there is none. */
enum rc journal_oldest(const struct journal *j, uint32_t *segment, int64_t *newest_ns) MUST_CHECK;
/* Remove it (unlink, fsync the directory). */
enum rc journal_drop_oldest(struct journal *j, struct err *e) MUST_CHECK;

struct journal_stats {
    uint64_t records, commits, bytes, commit_us_max; /* since it was opened */
    struct histogram syncs; /* how long commits took, the sync included: histogram_quick */
    uint64_t waiting;       /* records queued or under way: it is the caller who bounds them */
    uint32_t segments, newest_segment;
    uint64_t disk_bytes;
    uint32_t quarantined;
    bool poisoned;
    struct err why; /* while poisoned, or the last append's failure */
};
void journal_stats(const struct journal *j, struct journal_stats *out);

/* Offline: read every segment under dirfd; each record to reader (may be NULL), each fault to
 * fault: segment, offset, reason, and whether it is legal (a torn tail of the newest). With fix,
 * damaged segments are copied to quarantine/ first and then cut or rewritten with the records that
 * are whole. Returns RC_OK: no illegal fault; RC_CORRUPT: at least one (mended if fix); RC_IO,
 * RC_DENIED. */
struct journal_fault {
    uint32_t segment;
    uint64_t offset;
    bool legal;
    bool mended;
    struct err why;
};
struct journal_verify_cfg {
    const struct fsio *fs;
    int dirfd;
    const struct journal_reader *reader;                     /* NULL allowed */
    void (*fault)(void *arg, const struct journal_fault *f); /* NULL allowed */
    void *arg;
    bool fix;
    /* Only to read, not to mend: */
    bool newest_first; /* the segments; in each the records are told oldest first */
    int64_t since_ns;  /* segments with only older records need not be read; 0: all */
};
/* A gateway may append and drop segments meanwhile, unless `fix`. */
enum rc journal_verify(const struct journal_verify_cfg *cfg, struct err *e) MUST_CHECK;

#endif
