/* From the answers of a set-up to a configuration, and what there is to answer with: for `spoolgate
 * setup` and for the console's page.
 */
#ifndef GATEWAY_SETUP_H
#define GATEWAY_SETUP_H

#include "gateway/config.h"
#include "gateway/config_store.h"

#include <stdatomic.h>

/* What is known so far; NULL: not said. All texts are borrowed. */
struct setup {
    const char *path;                                 /* of the configuration */
    json_t *existing;                                 /* what stands there, or an empty object */
    char etag[CONFIG_STORE_ETAG_SIZE];                /* of what was read; "": there was no file */
    const char *account, *bucket_arn, *region, *role; /* the four answers */
    const char *endpoint, *ca_file, *external_id, *profile, *spool, *state, *control;
    bool path_style, allow_http, keys_as_they_are;
    const atomic_bool *stop; /* once it is true, asking the store ends soon; NULL: none */
};

/* The existing and etag of s->path. RC_INVALID: it is no JSON object; others: it cannot be read.
 * The caller json_decrefs. */
enum rc setup_read(struct setup *s, struct err *e) MUST_CHECK;
/* The existing text of a key such as "bucket.arn", or NULL. */
const char *setup_existing(const struct setup *s, const char *path);
/* The role that writes, of those that exist: the last, where they are assumed one after the other.
 * Borrowed; NULL: none. */
json_t *setup_last_role(const struct setup *s);
/* The document: what exists, with the answers laid over it. Where bucket_arn or region are not
 * known yet, these stand in for them. Caller json_decrefs. */
json_t *setup_document(const struct setup *s, const char *bucket_arn, const char *region);
/* The same, checked, as config_parse. */
enum rc setup_config(const struct setup *s, const char *bucket_arn, const char *region,
                     struct config **out, struct config_faults *faults) MUST_CHECK;
/* One installation serves one bucket. RC_EXISTS: it is another one that is configured, and e says
 * what to do. */
enum rc setup_same_bucket(const struct setup *s, struct err *e) MUST_CHECK;
/* RC_DENIED: this process may not write the file, and e says what to do. */
enum rc setup_may_save(const struct setup *s, struct err *e) MUST_CHECK;
/* Whole or not at all. Mode and owner of the file stay; a new one has 0644. RC_DENIED as before;
 * RC_CHANGED: it is not what setup_read has read. */
enum rc setup_save(const struct setup *s, struct err *e) MUST_CHECK;

/* What there is to choose from: each is told once or more often, with a note, "" if there is none.
 * Best effort: what cannot be read or asked is left out. */
typedef void setup_found(void *arg, const char *value, const char *note);
void setup_accounts(const struct setup *s, setup_found *found, void *arg);
void setup_roles(const struct setup *s, setup_found *found, void *arg);
/* Asks the store, and blocks: with keys that may list buckets, which the policy does not grant. */
void setup_buckets(const struct setup *s, setup_found *found, void *arg);
/* Where the store is asked while the region is not known: in one of the bucket's partition. */
const char *setup_first_region(const struct setup *s);
/* Where the store says that the bucket is; false: it does not. Blocks. */
bool setup_find_region(const struct setup *s, char out[64]);

/* What all keys begin with, appended. */
void setup_prefix(const struct config *c, struct buf *out);
/* How the policy is pasted on the page that document_console names. */
#define SETUP_STEPS 4
extern const char *const setup_steps[SETUP_STEPS];

#endif
