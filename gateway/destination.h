/* The one bucket: endpoint, credentials, uploader threads, circuit breaker, concurrency. It decides
 * what an outcome means for the file (advice) and for itself; the pipeline acts on files.
 */
#ifndef GATEWAY_DESTINATION_H
#define GATEWAY_DESTINATION_H

#include "gateway/advice.h"
#include "gateway/config.h"
#include "gateway/keys.h"
#include "uploader/pool.h"
#include "uploader/retry.h"

struct destination_cfg {
    struct loop *loop;
    const struct config *config; /* borrowed; replaced by destination_reload */
    int root_fd;
    unsigned threads;
    /* How often the file with this tag was refused so far for its own sake (advice.h). */
    unsigned (*refusals)(void *arg, uint64_t tag);
    void (*done)(void *arg, const struct transfer_outcome *o, enum advice a);
    void (*progress)(void *arg, const struct transfer_progress *p);
    void (*ready)(void *arg); /* it may be worth asking destination_slots again */
    /* Other keys than before: what was refused may be allowed now. */
    void (*other_keys)(void *arg);
    void *arg;
};

struct destination;
/* RC_INVALID: endpoint or credentials source. Missing credentials are no error: the destination is
 * held with that reason and they are asked for again. */
enum rc destination_new(const struct destination_cfg *cfg, struct destination **out,
                        struct err *e) MUST_CHECK;
void destination_free(struct destination *d);

/* How many files may be submitted now. While the breaker probes: one, then none. */
unsigned destination_slots(struct destination *d);
/* Each submitted file comes back by done, once. */
void destination_submit(struct destination *d, struct transfer_job *job);
void destination_cancel_all(struct destination *d);
/* A part that progress told of is recorded, or will never be: transfer_progress's `worker`. */
void destination_recorded(struct destination *d, unsigned worker);
/* Try now whatever was waited for (reload, `retry`). */
void destination_kick(struct destination *d);
/* New settings, when nothing is in flight (BUG). RC_INVALID: the old ones stay. */
enum rc destination_reload(struct destination *d, const struct config *config,
                           struct err *e) MUST_CHECK;

struct destination_status {
    enum breaker_state state;
    struct err why;         /* of the last failure; text "" when all is well */
    uint64_t since_ms;      /* how long it has not been closed */
    uint64_t next_probe_ms; /* from now; UINT64_MAX: an answer is awaited */
    unsigned in_flight, concurrency;
    struct pool_stats pool;
    char endpoint[320], bucket[64], region[64];
    char credentials_origin[512], access_key_id[132];
    int64_t credentials_expire; /* INT64_MAX never */
    bool has_credentials;
    struct keys_status keys;
};
void destination_status(struct destination *d, struct destination_status *out);
/* Of all requests since the start, reloads included. */
struct destination_tally {
    struct tally requests;
    struct http_stats http;
};
void destination_tally(struct destination *d, struct destination_tally *out);

#endif
