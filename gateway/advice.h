/* What an outcome means: for the file, and for the destination. Pure; one table (advice.c), one
 * test. P2 and P8 are decided here: nothing but a condemned object or a hostile answer to it moves
 * a file away, and only a final success delivers it.
 */
#ifndef GATEWAY_ADVICE_H
#define GATEWAY_ADVICE_H

#include "uploader/transfer.h"

enum advice {
    ADVICE_DELIVER,     /* write the receipt */
    ADVICE_DEFER,       /* this one again after a while */
    ADVICE_PUT_BACK,    /* to the queue: the destination as a whole waits, or it was cancelled */
    ADVICE_RESTART,     /* forget the multipart upload, then again after a while */
    ADVICE_REFUSED,     /* its event type's prefix is, as far as can be told (suspects.h) */
    ADVICE_HOLD_FILE,   /* a person must decide about this one */
    ADVICE_REJECT_FILE, /* it can never be stored */
    ADVICE_LOOK_AGAIN,  /* other bytes by now: out of the books, let the watcher look */
    ADVICE_FORGET       /* it is gone */
};

enum advice_destination {
    ADVICE_DEST_NOTHING, /* says nothing about the destination */
    ADVICE_DEST_SUCCESS,
    ADVICE_DEST_FAILURE,   /* passing */
    ADVICE_DEST_THROTTLED, /* passing, and send less */
    ADVICE_DEST_REFUSED,   /* as a whole: keys, bucket, quota, storage */
    ADVICE_DEST_REFRESH,   /* ask for new credentials */
    ADVICE_DEST_REROUTE    /* another region */
};

struct advice_verdict {
    enum advice file;
    enum advice_destination destination;
};

/* A digest mismatch, or a refusal of this object alone: the file is held with the
 * ADVICE_TRIES_MAXth. What failed for another reason, lost connections among them, is not counted:
 * it says nothing of the file. */
#define ADVICE_TRIES_MAX 5
bool advice_is_its_own(const struct transfer_outcome *o);
/* refusals: how many of this file's outcomes before this one were its own. */
struct advice_verdict advice_of(const struct transfer_outcome *o, unsigned refusals);
/* Why ADVICE_HOLD_FILE, as a word: "conflict", "shrunk", "digest" or "refused". */
const char *advice_hold_code(const struct transfer_outcome *o);

#endif
