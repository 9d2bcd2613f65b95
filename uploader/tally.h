/* What an uploader thread counts of its requests: how often which operation was answered how, and
 * how long that took. It is the thread's own and is handed over as a copy, so that counting a
 * request takes no lock and no memory.
 */
#ifndef UPLOADER_TALLY_H
#define UPLOADER_TALLY_H

#include "base/histogram.h"
#include "uploader/answer.h"

#define TALLY_ANSWERS_MAX 96
/* What stands for the answers that came when the table was full. */
#define TALLY_OTHER "other"

struct tally_answer {
    enum request_op op;
    const char *code; /* static, of tally_code */
    uint64_t n;
};
struct tally {
    struct histogram durations[REQUEST_OP_COUNT_]; /* histogram_quick */
    struct tally_answer answers[TALLY_ANSWERS_MAX];
    unsigned n;
};

/* One word of a closed list: S3's error code if it is one that we know, why no answer came, the
 * HTTP status if it is a common one, else its class ("4xx"). Static. code: S3's, "" if none. */
const char *tally_code(const struct answer_facts *f, enum answer_class class);
/* code: a result of tally_code. */
void tally_add(struct tally *t, enum request_op op, const char *code, uint64_t us);
void tally_merge(struct tally *to, const struct tally *from);

#endif
