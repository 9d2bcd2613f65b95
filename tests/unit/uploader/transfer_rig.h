/* One transfer after the other over a rig, as on an uploader thread. */
#ifndef TESTS_UNIT_UPLOADER_TRANSFER_RIG_H
#define TESTS_UNIT_UPLOADER_TRANSFER_RIG_H

#include "tests/unit/uploader/rig.h"

/* A thread's worth of surroundings for transfers one after the other. */
struct ride {
    struct rig rig;
    struct loop *loop;
    struct transfer_env env;
    int64_t offset_s;
    struct transfer_outcome out;
    unsigned done;
    struct transfer_progress progress[MINI_PARTS];
    unsigned n_progress;
};

void ride_init(struct ride *r);
void ride_fini(struct ride *r);
void ride_done(void *arg, const struct transfer_outcome *o);
/* To its end. */
const struct transfer_outcome *ride_job(struct ride *r, struct transfer_job *job);
const struct transfer_outcome *ride_file(struct ride *r, const char *name);
char *ride_pattern(size_t n, unsigned seed);
bool ride_stored(const struct ride *r, const char *key, const char *data, size_t n);
void ride_has(struct ride *r, const char *key, const char *data, size_t n);

/* Answers by operation: status 0 leaves it to the store. */
struct script {
    enum request_op op;
    unsigned from, to; /* which askings */
    int status;
    const char *code, *headers;
};
struct scripts {
    const struct script *at;
    size_t n;
};
void ride_play(struct ride *r, struct scripts *s, const struct script *at, size_t n);
#define RIDE_PLAY(r, s, rows) ride_play(r, s, rows, sizeof(rows) / sizeof(*(rows)))

#endif
