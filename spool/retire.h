/* Retirement: what happens to a file whose receipt is durable (P1). Runs on a pool thread.
 *
 * The name is taken aside first (into .spoolgate/retiring/), identity and absence of a writer are
 * checked there, and only then is it removed or archived; if they do not hold it goes back
 * (RENAME_NOREPLACE) and is a new file. The name aside says place and SHA-256, so that a crash in
 * between is finished by retire_recover, with the journal or without.
 */
#ifndef SPOOL_RETIRE_H
#define SPOOL_RETIRE_H

#include "base/checksum.h"
#include "base/fsio.h"
#include "base/open_file.h"
#include "spool/reject.h"

#include <stdbool.h>

#define RETIRE_DIR ".spoolgate/retiring"

enum retire_action { RETIRE_DELETE, RETIRE_ARCHIVE, RETIRE_KEEP };

struct retire_file {
    const char *path;
    struct identity id; /* as recorded in DELIVERED */
    uint8_t sha256[SHA256_SIZE];
    bool racy;      /* identity_is_racy when it was read: the bytes are hashed again aside */
    uint64_t place; /* of its ACCEPTED record: unique */
    int64_t delivered_ns;
    struct open_file *open; /* NULL allowed; else one that had `id` while it was open: what is taken
                               aside need not be opened again. Its share is given up. */
    struct identity *found; /* NULL allowed; set to what the regular file under its name has */
};
enum retire_result {
    RETIRE_DONE,    /* removed, archived, or left where it is (keep) */
    RETIRE_GONE,    /* it was not there any more */
    RETIRE_CHANGED, /* other bytes, or a writer: it is under its name (or under name~<hex8> when
                       that was taken, or among the strays when its directory is shut): a new file
                     */
    RETIRE_FAILED   /* err; where it was; try again later */
};
/* Many files in a row, by one thread: descriptors of the directories are kept from one to the next.
 * Of a file whose ctime alone is not as recorded (it was put back by us, or its mode changed) the
 * bytes are hashed again; any other difference is RETIRE_CHANGED. RETIRE_KEEP only looks: any
 * difference is. Archived files go to .spoolgate/archive/<YYYY-MM-DD of delivered_ns>/<path>, "~2"
 * … on a clash, and are durable there once retire_end has returned RC_OK: record them after it. */
struct retire_batch;
enum rc retire_begin(const struct fsio *fs, int root_fd, enum retire_action action,
                     struct retire_batch **out, struct err *e) MUST_CHECK;
enum retire_result retire_next(struct retire_batch *b, const struct retire_file *f, struct err *e);
/* The batch is gone whatever the result. */
enum rc retire_end(struct retire_batch *b, struct err *e) MUST_CHECK;
/* A batch of one. */
enum retire_result retire_file(const struct fsio *fs, int root_fd, enum retire_action action,
                               const struct retire_file *f, struct err *e);
/* Make .spoolgate and its directories (0750; rejected, archive, retiring, canary). RC_DENIED too if
 * one of them is there and belongs to somebody who is neither us nor root. */
enum rc retire_prepare(const struct fsio *fs, int root_fd, struct err *e) MUST_CHECK;
/* What ACCEPTED says at a place. */
struct retire_origin {
    char path[1025];
    uint64_t ino;
};
/* At start: every file left in retiring/. `find` tells what the journal has at a place (true), or
 * that it does not know. Known, and of this inode (a journal that was lost and begun anew gives the
 * same places to others): it goes back under its path (the pipeline retires it again). Unknown, or
 * its path is taken: hashed; the bytes of its name, and no writer: they were delivered: `action` is
 * done, "keep" as if it were "archive", an unknown one below <date>/recovered/; other bytes: back
 * beside its path if that is known, else moved to STRAYS_DIR with a reason. One that cannot be
 * dealt with stays for the next start, with a line in the log: only that the directory cannot be
 * read is a failure. */
enum rc retire_recover(const struct fsio *fs, int root_fd, enum retire_action action,
                       bool (*find)(void *arg, uint64_t place, struct retire_origin *out),
                       void *arg, unsigned *recovered, struct err *e) MUST_CHECK;

#endif
