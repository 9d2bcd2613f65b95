/* What came of a test message, as a cause and the one thing to change. Pure: everything known is in
 * the trial. Used by `test`, `setup` and whoever shows the same on a page.
 */
#ifndef GATEWAY_CAUSE_H
#define GATEWAY_CAUSE_H

#include "gateway/trial.h"

#define CAUSES_MAX 6

struct cause {
    char id[40];      /* a word for machines: "arrived", "unknown-key", "no-such-bucket", … */
    bool ok;          /* nothing stands in the way: the message arrived, or this is a remark */
    char what[1280];  /* one sentence, no full stop */
    char remedy[768]; /* the one thing to change and where, "" if nothing; no full stop */
    /* Where a statement of the bucket's policy is missing: it, as JSON; else "". */
    char statement[1536];
};
/* The verdict first, then remarks on what arrived although something is not as it should be. The
 * texts hold bytes from the store: escape them before they reach a terminal. Returns how many. */
size_t cause_of(const struct config *c, const struct trial *t, struct cause out[CAUSES_MAX]);

#endif
