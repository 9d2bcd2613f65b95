/* Our statements into somebody else's policy. Pure.
 *
 * Their document stays theirs: every byte outside of what is added or replaced is copied as it is,
 * numbers, escapes and blanks included. */
#ifndef POLICY_MERGE_H
#define POLICY_MERGE_H

#include "base/buf.h"

enum merge_did { MERGE_KEPT, MERGE_REPLACED, MERGE_ADDED };
enum { MERGE_STATEMENTS_MAX = 2 };
struct merge_result {
    size_t n; /* of our statements */
    struct {
        enum merge_did did;
        size_t at;    /* which statement of the result it is, from 0 */
        char sid[64]; /* which Sid it has there */
        bool others;  /* replaced, and principals that it named before were kept */
    } of[MERGE_STATEMENTS_MAX];
};
/* ours: what document_generate wrote. For each of its statements: one of theirs that grants it
 * already stays as it is; an earlier one of ours (the same Sid, and no more than we ever write) is
 * replaced where it stands, and keeps the principals that it names unless only_ours (one that does
 * more or less for those than ours would is not touched); else it is added at the end, under
 * another Sid if theirs has that one. Twice is as once. RC_INVALID: theirs is no policy, or one of
 * Version 2008-10-17 whose texts would change their meaning; RC_LIMIT: before or after it is over
 * 20 KiB. */
enum rc merge_policy(const char *theirs, size_t n, const char *ours, bool only_ours,
                     struct buf *out, struct merge_result *result, struct err *e) MUST_CHECK;

#endif
