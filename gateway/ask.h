/* A question to the store as this configuration's gateway would put it: with its options, CA and
 * time limits. For commands; blocks its caller, see uploader/question.h.
 */
#ifndef GATEWAY_ASK_H
#define GATEWAY_ASK_H

#include "gateway/config.h"
#include "uploader/question.h"

struct asker {
    const struct config *config;
    const struct endpoint *endpoint;
    const struct credentials *keys;
    int64_t clock_offset_s;  /* the store's clock minus ours */
    const atomic_bool *stop; /* as of struct question */
};
/* As question_ask. */
void ask_store(const struct asker *a, enum request_op op, const char *key,
               struct question_answer *out);

#endif
