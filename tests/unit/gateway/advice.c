/* From outcomes to verdicts: the whole table, and who may deliver, reject or hold (P2, P8). */
#include "gateway/advice.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct transfer_outcome outcome(enum transfer_result result, enum answer_class class,
                                       int status, const char *code)
{
    struct transfer_outcome o = {.result = result, .class = class};
    o.err.http_status = status;
    (void)snprintf(o.err.code, sizeof o.err.code, "%s", code);
    return o;
}

static void expect(const struct transfer_outcome *o, unsigned refusals, enum advice file,
                   enum advice_destination destination)
{
    struct advice_verdict v = advice_of(o, refusals);
    cr_expect_eq(v.file, file, "result %d class %d status %d code %s: file %d, not %d", o->result,
                 o->class, o->err.http_status, o->err.code, v.file, file);
    cr_expect_eq(v.destination, destination,
                 "result %d class %d status %d code %s: dest %d, not %d", o->result, o->class,
                 o->err.http_status, o->err.code, v.destination, destination);
}

Test(advice, a_result_of_the_transfer_decides_whatever_the_class)
{
    static const struct {
        enum transfer_result result;
        enum advice file;
        enum advice_destination destination;
    } cases[] = {
        {TRANSFER_STORED, ADVICE_DELIVER, ADVICE_DEST_SUCCESS},
        {TRANSFER_VERIFIED, ADVICE_DELIVER, ADVICE_DEST_SUCCESS},
        {TRANSFER_CONFLICT, ADVICE_HOLD_FILE, ADVICE_DEST_NOTHING},
        {TRANSFER_CHANGED, ADVICE_LOOK_AGAIN, ADVICE_DEST_NOTHING},
        {TRANSFER_SHRUNK, ADVICE_HOLD_FILE, ADVICE_DEST_NOTHING},
        {TRANSFER_VANISHED, ADVICE_FORGET, ADVICE_DEST_NOTHING},
        {TRANSFER_LOCAL, ADVICE_DEFER, ADVICE_DEST_NOTHING},
        {TRANSFER_CANCELLED, ADVICE_PUT_BACK, ADVICE_DEST_NOTHING},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (unsigned class = 0; class < ANSWER_CLASS_COUNT_; class ++) {
            struct transfer_outcome o =
                outcome(cases[i].result, (enum answer_class) class, 200, "NoSuchBucket");
            expect(&o, 100, cases[i].file, cases[i].destination);
        }
    }
}

Test(advice, an_answer_is_judged_by_its_class_and_code)
{
    static const struct {
        enum answer_class class;
        int status;
        const char *code;
        enum advice file;
        enum advice_destination destination;
    } cases[] = {
        {ANSWER_OK, 200, "", ADVICE_DEFER, ADVICE_DEST_FAILURE},
        {ANSWER_EXISTS, 412, "PreconditionFailed", ADVICE_DEFER, ADVICE_DEST_NOTHING},
        {ANSWER_RETRY, 0, "", ADVICE_DEFER, ADVICE_DEST_FAILURE},
        {ANSWER_RETRY, 500, "InternalError", ADVICE_DEFER, ADVICE_DEST_FAILURE},
        {ANSWER_THROTTLE, 503, "SlowDown", ADVICE_DEFER, ADVICE_DEST_THROTTLED},
        {ANSWER_SKEW, 403, "RequestTimeTooSkewed", ADVICE_DEFER, ADVICE_DEST_FAILURE},
        {ANSWER_REFRESH, 400, "ExpiredToken", ADVICE_PUT_BACK, ADVICE_DEST_REFRESH},
        {ANSWER_REROUTE, 301, "PermanentRedirect", ADVICE_PUT_BACK, ADVICE_DEST_REROUTE},
        {ANSWER_RESTART, 404, "NoSuchUpload", ADVICE_RESTART, ADVICE_DEST_NOTHING},
        {ANSWER_CONDEMN, 400, "KeyTooLongError", ADVICE_REJECT_FILE, ADVICE_DEST_NOTHING},
        {ANSWER_CONDEMN, 400, "EntityTooLarge", ADVICE_REJECT_FILE, ADVICE_DEST_NOTHING},
        /* May be a matter of this prefix only. */
        {ANSWER_HOLD, 403, "AccessDenied", ADVICE_REFUSED, ADVICE_DEST_NOTHING},
        {ANSWER_HOLD, 418, "Unheard", ADVICE_REFUSED, ADVICE_DEST_NOTHING},
        {ANSWER_HOLD, 400, "", ADVICE_REFUSED, ADVICE_DEST_NOTHING},
        /* Cannot be. */
        {ANSWER_HOLD, 404, "NoSuchBucket", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
        {ANSWER_HOLD, 403, "SignatureDoesNotMatch", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
        {ANSWER_HOLD, 403, "InvalidAccessKeyId", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
        {ANSWER_HOLD, 400, "AccessControlListNotSupported", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
        {ANSWER_HOLD, 403, "QuotaExceeded", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
        {ANSWER_HOLD, 507, "", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
        {ANSWER_HOLD, 301, "", ADVICE_PUT_BACK, ADVICE_DEST_REFUSED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transfer_outcome o =
            outcome(TRANSFER_ANSWERED, cases[i].class, cases[i].status, cases[i].code);
        expect(&o, 0, cases[i].file, cases[i].destination);
        expect(&o, 1000, cases[i].file, cases[i].destination);
    }
}

Test(advice, a_digest_that_stays_wrong_holds_the_file_at_last)
{
    static const char *const codes[] = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                                        "XAmzContentChecksumMismatch"};
    for (size_t i = 0; i < COUNT(codes); i++) {
        struct answer_facts facts = {.op = REQUEST_UPLOAD_PART, .status = 400, .code = codes[i]};
        struct transfer_outcome o =
            outcome(TRANSFER_ANSWERED, answer_classify(&facts), 400, codes[i]);
        for (unsigned refusals = 0; refusals < ADVICE_TRIES_MAX - 1; refusals++)
            expect(&o, refusals, ADVICE_DEFER, ADVICE_DEST_NOTHING);
        expect(&o, ADVICE_TRIES_MAX - 1, ADVICE_HOLD_FILE, ADVICE_DEST_NOTHING);
        expect(&o, ADVICE_TRIES_MAX, ADVICE_HOLD_FILE, ADVICE_DEST_NOTHING);
    }
}

Test(advice, a_refusal_of_this_object_alone_holds_it_at_last_and_stops_no_other_file)
{
    static const struct {
        int status;
        const char *code;
        bool object_alone;
    } cases[] = {
        {413, "", false},
        {413, "RequestEntityTooLarge", false},
        {414, "", false},
        {400, "XMinioInvalidObjectName", false},
        {400, "XMinioInvalidResourceName", false},
        {400, "InvalidObjectName", false},
        {400, "InvalidURI", false},
        {400, "XMinioParentIsObject", false},
        {409, "XMinioObjectExistsAsDirectory", false},
        {503, "KeyTooLongError", false},
        {400, "KeyTooLong", false},
        {400, "EntityTooLarge", false},
        {400, "MaxMessageLengthExceeded", false},
        {403, "InvalidObjectState", false},
        {403, "AccessDenied", true},
        {404, "NoSuchBucket", true},
        {200, "", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transfer_outcome o =
            outcome(TRANSFER_ANSWERED, ANSWER_HOLD, cases[i].status, cases[i].code);
        o.object_alone = cases[i].object_alone;
        expect(&o, 0, ADVICE_DEFER, ADVICE_DEST_NOTHING);
        expect(&o, ADVICE_TRIES_MAX - 2, ADVICE_DEFER, ADVICE_DEST_NOTHING);
        expect(&o, ADVICE_TRIES_MAX - 1, ADVICE_HOLD_FILE, ADVICE_DEST_NOTHING);
        cr_expect_str_eq(advice_hold_code(&o), "refused");
    }
    struct transfer_outcome o = outcome(TRANSFER_ANSWERED, ANSWER_DIGEST, 400, "BadDigest");
    cr_expect_str_eq(advice_hold_code(&o), "digest");
    o = outcome(TRANSFER_CONFLICT, ANSWER_OK, 0, "");
    cr_expect_str_eq(advice_hold_code(&o), "conflict");
    o = outcome(TRANSFER_SHRUNK, ANSWER_OK, 0, "");
    cr_expect_str_eq(advice_hold_code(&o), "shrunk");
}

Test(advice, only_what_is_the_files_own_trouble_counts_as_such)
{
    static const struct {
        enum transfer_result result;
        enum answer_class class;
        int status;
        const char *code;
        bool own;
    } cases[] = {
        {TRANSFER_ANSWERED, ANSWER_DIGEST, 400, "BadDigest", true},
        {TRANSFER_ANSWERED, ANSWER_HOLD, 413, "", true},
        {TRANSFER_ANSWERED, ANSWER_HOLD, 400, "XMinioInvalidObjectName", true},
        {TRANSFER_ANSWERED, ANSWER_HOLD, 403, "AccessDenied", false},
        {TRANSFER_ANSWERED, ANSWER_HOLD, 507, "", false},
        {TRANSFER_ANSWERED, ANSWER_RETRY, 0, "", false},
        {TRANSFER_ANSWERED, ANSWER_RETRY, 500, "InternalError", false},
        {TRANSFER_ANSWERED, ANSWER_THROTTLE, 503, "SlowDown", false},
        {TRANSFER_ANSWERED, ANSWER_RESTART, 404, "NoSuchUpload", false},
        {TRANSFER_LOCAL, ANSWER_OK, 0, "", false},
        {TRANSFER_LOCAL, ANSWER_DIGEST, 400, "BadDigest", false},
        {TRANSFER_CANCELLED, ANSWER_HOLD, 413, "", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transfer_outcome o =
            outcome(cases[i].result, cases[i].class, cases[i].status, cases[i].code);
        cr_expect_eq(advice_is_its_own(&o), cases[i].own, "case %zu", i);
    }
}

/* P2, P8: over every class, status and code that are known to matter. */
Test(advice, no_answer_delivers_and_only_a_condemned_object_is_rejected)
{
    static const int statuses[] = {0, 200, 204, 301, 400, 403, 404, 409, 412, 429, 500, 503, 507};
    static const char *const codes[] = {
        "",         "AccessDenied", "NoSuchBucket",    "NoSuchKey",
        "SlowDown", "BadDigest",    "KeyTooLongError", "EntityTooLarge"};
    for (unsigned class = 0; class < ANSWER_CLASS_COUNT_; class ++)
        for (size_t s = 0; s < COUNT(statuses); s++)
            for (size_t c = 0; c < COUNT(codes); c++) {
                struct transfer_outcome o =
                    outcome(TRANSFER_ANSWERED, (enum answer_class) class, statuses[s], codes[c]);
                struct advice_verdict v = advice_of(&o, 0);
                cr_expect_neq(v.file, ADVICE_DELIVER);
                cr_expect_neq(v.file, ADVICE_FORGET);
                cr_expect_neq(v.destination, ADVICE_DEST_SUCCESS);
                cr_expect(v.file != ADVICE_REJECT_FILE || class == ANSWER_CONDEMN);
            }
}
