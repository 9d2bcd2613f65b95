/* The keys that are in use: asked for on a worker thread, and again in good time, when a file
 * changed, or when the store refuses them. Nothing waits for it: the old keys serve until there are
 * new ones, also when asking fails. Belongs to the main thread.
 */
#ifndef GATEWAY_KEYS_H
#define GATEWAY_KEYS_H

#include "base/loop.h"
#include "gateway/config.h"
#include "uploader/credentials.h"

struct keys_cfg {
    struct loop *loop;
    /* An asking has ended. other: there are keys, and they are not those from before. */
    void (*asked)(void *arg, bool other);
    void *arg;
};

struct keys;
/* Do two configurations ask for keys in the same way? Then those that are there serve on. */
bool keys_same_way(const struct config *a, const struct config *b);
/* Asks at once. RC_INVALID: no such source. */
enum rc keys_new(const struct keys_cfg *cfg, const struct config *config, struct keys **out,
                 struct err *e) MUST_CHECK;
/* What is under way is stopped and waited for, shortly; the loop does not turn meanwhile. */
void keys_free(struct keys *k);
/* NULL: none yet. Lives until the next keys come. */
struct credentials *keys_now(const struct keys *k);
/* Ask at once, unless that is under way. */
void keys_ask(struct keys *k);

struct keys_status {
    bool asking;
    uint64_t asked, failed; /* how often, since the start */
    struct err why;         /* of the last failure; text "" when the last asking was answered */
    uint64_t next_ms;       /* until the next asking; UINT64_MAX: when a file changes */
};
void keys_status(const struct keys *k, struct keys_status *out);

#endif
