/* A test message: one small object into the bucket, now, on the way that every file takes, and then
 * what tells why: what can be read back of it, or which other requests the store allows. Blocks its
 * caller; runs on a loop of its own, so any thread may call it.
 */
#ifndef GATEWAY_TRIAL_H
#define GATEWAY_TRIAL_H

#include "gateway/config.h"
#include "uploader/question.h"
#include "uploader/transfer.h"

#include <stdatomic.h>

enum trial_stage {
    TRIAL_LOCAL,       /* it could not be written here, or the configuration does not resolve */
    TRIAL_CREDENTIALS, /* no keys */
    TRIAL_SENT         /* the outcome says what came of it */
};

struct trial {
    enum trial_stage stage;
    struct err err; /* before TRIAL_SENT: why it went no further */
    char key[TRANSFER_KEY_MAX + 1];
    bool arrived;
    struct transfer_outcome outcome;
    char endpoint[320];
    char region[64];        /* where it was sent at last: another than the configured after a
                               redirect */
    int64_t clock_offset_s; /* the store's clock minus ours, where the store objected to ours */
    char origin[512], access_key_id[132]; /* of the keys */
    bool temporary;
    /* Arrived: what can be read back. */
    struct question_answer readback, acl;
    bool same_bytes;
    /* Refused: what else is allowed. `object` asks for the key that could not be written. */
    struct question_answer location, object, uploads;
};
/* Never fails: what goes wrong is in *out. http_global_init must have been called. stop: set by
 * another thread, it ends early, as far as it has come; NULL: nobody does. */
void trial_run(const struct config *c, const atomic_bool *stop, struct trial *out);
void trial_fini(struct trial *t);

#endif
