/* What torture-spool is made of: producers, a store, a gateway in one thread, and a witness of what
 * the gateway does to names.
 *
 *   torture_spool.c   the workload, and the faults
 *   spool_checks.c    what must hold in the end
 *   spool_gateway.c   the modules of spool/, put together as gateway/ does
 *   spool_witness.c   the file system as the gateway sees it, each removal and rename judged (P1)
 *   spool_store.c     a bucket that survives every power cut
 */
#ifndef TORTURE_SPOOL_RIG_H
#define TORTURE_SPOOL_RIG_H

#include "base/checksum.h"
#include "spool/admit.h"
#include "spool/ledger.h"
#include "spool/retire.h"
#include "tests/torture/faultfs.h"

#define RIG_ROOT  "spool" /* of faultfs's root */
#define RIG_INBOX "in"    /* of the spool: where producers write */

enum { VERSIONS = 24, OBJECTS_MAX = 64, RECEIPTS_MAX = 256, WINDOW = 32 };
enum { SEGMENT_BYTES = 8256, PART_BYTES = 1000, BIG_BYTES = 2500 };

/* The bytes of one version of one file. Each version has bytes of its own. */
struct version {
    const char *path;
    size_t size;
    bool wrong; /* no NDJSON: to be rejected */
};
extern const struct version versions[VERSIONS];
size_t version_bytes(unsigned v, char *out); /* of at most 8 KiB; how many */
const uint8_t *version_sha(unsigned v);
int version_of(const uint8_t sha[SHA256_SIZE]); /* -1: of none */

enum fate {
    NOTHING,    /* not tried, or no more than tried */
    UNSYNCED,   /* written, and promised to nobody */
    PROMISED,   /* its producer was told that it is durable */
    SUPERSEDED, /* its producer has put another under its name, or may have */
};

/* ---- store ---- */

struct object {
    char key[1100];
    uint8_t sha[SHA256_SIZE];
    size_t size;
};
struct upload {
    char id[32];
    unsigned n_parts;
    size_t sizes[16];
    char data[16][PART_BYTES];
};
struct store {
    struct object objects[OBJECTS_MAX];
    size_t n_objects;
    struct upload uploads[OBJECTS_MAX];
    size_t n_uploads;
    unsigned requests;
    bool flaky;
};
/* HTTP statuses. Every seventh request of a flaky store is a 503. */
int store_put(struct store *s, const char *key, const void *data, size_t n);
int store_create(struct store *s, char id[32]);
int store_part(struct store *s, const char *id, unsigned number, const void *data, size_t n);
int store_complete(struct store *s, const char *id, const char *key);
const struct object *store_find(const struct store *s, const char *key);
bool store_has(const struct store *s, const uint8_t sha[SHA256_SIZE]);

/* ---- the run ---- */

struct receipt {
    uint8_t sha[SHA256_SIZE];
    uint64_t ino;
};

struct gateway {
    struct ledger *ledger;
    int root_fd, journal_fd;
    enum retire_action action;
    struct ledger_file *delivered[WINDOW]; /* to be retired */
    size_t n_delivered;
    char rejected[WINDOW][64]; /* REJECTED is durable: to be moved away */
    size_t n_rejected;
    bool closing;
};

struct run {
    struct faultfs *fs;
    struct fsio witnessed; /* the gateway's: judged, then faultfs's */
    struct store store;
    struct gateway g;
    struct layout *layout;
    enum fate fate[VERSIONS];
    bool told[VERSIONS];    /* an event of it that the gateway has not looked into */
    bool refused[VERSIONS]; /* REJECTED is durable */
    struct receipt receipts[RECEIPTS_MAX];
    size_t n_receipts;
    int64_t now_ns;
    bool lost; /* the journal said, under a fault, that it had lost something */
    unsigned violations;
    const char *fault; /* for messages */
    uint64_t nth;
};
void violation(struct run *t, const char *what, const char *about);

/* ---- witness ---- */

extern const struct fsio_ops witness_ops; /* ctx: the run */
void witness_receipt(struct run *t, const uint8_t sha[SHA256_SIZE], uint64_t ino);

/* ---- checks ---- */

/* Every DELIVERED in the journal is true. */
void check_receipts(struct run *t);
/* power_cut: what was never synced may be anything; disk_failed: calls have failed. */
void check_all(struct run *t, bool power_cut, bool disk_failed);

/* ---- gateway ---- */

/* Open, recover, and be ready; false: it could not, and nothing is open. */
bool gateway_open(struct run *t);
/* What it had in memory is gone. Its file system may be another already. */
void gateway_close(struct run *t);
/* Walk, accept or reject, send at most `most` files, write receipts, retire. */
void gateway_round(struct run *t, size_t most);
void gateway_hold(struct run *t, const char *path);
void gateway_release(struct run *t, const char *path);
void gateway_forget(struct run *t, const char *path);
void gateway_housekeep(struct run *t);

#endif
