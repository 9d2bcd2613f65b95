/* The table from outcomes to verdicts: see advice.h. */
#include "gateway/advice.h"

#include <string.h>

/* A refusal with one of these codes cannot be a matter of the key's prefix. */
static bool refuses_everything(const struct err *why)
{
    static const char *const codes[] = {
        "NoSuchBucket",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "InvalidToken",
        "ExpiredToken",
        "QuotaExceeded",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "InsufficientStorage",
        "AccessControlListNotSupported",
        "AllAccessDisabled",
        "AccountProblem",
        "PermanentRedirect",
        "InvalidBucketName",
        "AuthorizationHeaderMalformed",
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(why->code, codes[i]) == 0)
            return true;
    }
    return why->http_status == 507 || why->http_status == 301;
}

/* One with these speaks of this object's name, size or what stands under its key: another file of
 * the same event type may pass, and none of them has to wait for it. */
static bool refuses_the_object(const struct transfer_outcome *o)
{
    static const char *const codes[] = {
        "XMinioInvalidObjectName", "XMinioInvalidResourceName",
        "InvalidObjectName",       "InvalidURI",
        "XMinioParentIsObject",    "XMinioObjectExistsAsDirectory",
        "KeyTooLongError",         "KeyTooLong",
        "EntityTooLarge",          "MaxMessageLengthExceeded",
        "InvalidObjectState",
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(o->err.code, codes[i]) == 0)
            return true;
    }
    return o->object_alone || o->err.http_status == 413 || o->err.http_status == 414;
}

bool advice_is_its_own(const struct transfer_outcome *o)
{
    if (o->result != TRANSFER_ANSWERED)
        return false;
    return o->class == ANSWER_DIGEST || (o->class == ANSWER_HOLD && refuses_the_object(o));
}

const char *advice_hold_code(const struct transfer_outcome *o)
{
    switch (o->result) {
    case TRANSFER_CONFLICT:
        return "conflict";
    case TRANSFER_SHRUNK:
        return "shrunk";
    default:
        return o->class == ANSWER_DIGEST ? "digest" : "refused";
    }
}

static struct advice_verdict of_answer(const struct transfer_outcome *o, unsigned refusals)
{
    static const struct advice_verdict by_class[ANSWER_CLASS_COUNT_] = {
        /* A 200 or 412 that the transfer did not turn into a result proves nothing (P2). */
        [ANSWER_OK] = {ADVICE_DEFER, ADVICE_DEST_FAILURE},
        [ANSWER_EXISTS] = {ADVICE_DEFER, ADVICE_DEST_NOTHING},
        [ANSWER_RETRY] = {ADVICE_DEFER, ADVICE_DEST_FAILURE},
        [ANSWER_THROTTLE] = {ADVICE_DEFER, ADVICE_DEST_THROTTLED},
        [ANSWER_SKEW] = {ADVICE_DEFER, ADVICE_DEST_FAILURE},
        [ANSWER_DIGEST] = {ADVICE_DEFER, ADVICE_DEST_NOTHING},
        [ANSWER_REFRESH] = {ADVICE_PUT_BACK, ADVICE_DEST_REFRESH},
        [ANSWER_REROUTE] = {ADVICE_PUT_BACK, ADVICE_DEST_REROUTE},
        [ANSWER_RESTART] = {ADVICE_RESTART, ADVICE_DEST_NOTHING},
        [ANSWER_HOLD] = {ADVICE_REFUSED, ADVICE_DEST_NOTHING},
        [ANSWER_CONDEMN] = {ADVICE_REJECT_FILE, ADVICE_DEST_NOTHING},
    };
    BUG_ON(o->class >= ANSWER_CLASS_COUNT_);
    if (advice_is_its_own(o)) {
        enum advice file = refusals + 1 >= ADVICE_TRIES_MAX ? ADVICE_HOLD_FILE : ADVICE_DEFER;
        return (struct advice_verdict){file, ADVICE_DEST_NOTHING};
    }
    if (o->class == ANSWER_HOLD && refuses_everything(&o->err))
        return (struct advice_verdict){ADVICE_PUT_BACK, ADVICE_DEST_REFUSED};
    return by_class[o->class];
}

struct advice_verdict advice_of(const struct transfer_outcome *o, unsigned refusals)
{
    switch (o->result) {
    case TRANSFER_STORED:
    case TRANSFER_VERIFIED:
        return (struct advice_verdict){ADVICE_DELIVER, ADVICE_DEST_SUCCESS};
    case TRANSFER_CONFLICT:
    case TRANSFER_SHRUNK:
        return (struct advice_verdict){ADVICE_HOLD_FILE, ADVICE_DEST_NOTHING};
    case TRANSFER_ANSWERED:
        return of_answer(o, refusals);
    case TRANSFER_CHANGED:
        return (struct advice_verdict){ADVICE_LOOK_AGAIN, ADVICE_DEST_NOTHING};
    case TRANSFER_VANISHED:
        return (struct advice_verdict){ADVICE_FORGET, ADVICE_DEST_NOTHING};
    case TRANSFER_LOCAL:
        return (struct advice_verdict){ADVICE_DEFER, ADVICE_DEST_NOTHING};
    case TRANSFER_CANCELLED:
        break;
    }
    return (struct advice_verdict){ADVICE_PUT_BACK, ADVICE_DEST_NOTHING};
}
