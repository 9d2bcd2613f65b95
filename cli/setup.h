/* The answers that `spoolgate setup` gathers, and the configuration that they make.
 */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

#include "cli/choose.h"
#include "cli/cli.h"

/* What is known so far; NULL: not said. Flags are borrowed from argv, asked answers are owned. */
struct setup {
    struct cli_common common;
    const char *path; /* of the configuration */
    json_t *existing; /* what stands there, or an empty object */
    bool may_ask;
    const char *account, *bucket_arn, *region, *role; /* the four answers */
    const char *endpoint, *ca_file, *external_id, *profile, *spool, *state, *control;
    bool path_style, allow_http, keys_as_they_are;
    bool copy, yes, save_anyway;
    char *owned[8];
    size_t n_owned;
};

/* The existing text of a key such as "bucket.arn", or NULL. */
const char *setup_existing(const struct setup *s, const char *path);
/* The document: what exists, with the answers laid over it. Where bucket_arn or region are not
 * known yet, these stand in for them. Caller json_decrefs. */
json_t *setup_document(const struct setup *s, const char *bucket_arn, const char *region);
/* The same, checked. NULL: the faults were told if `tell`. */
struct config *setup_config(const struct setup *s, const char *bucket_arn, const char *region,
                            bool tell);
/* Whole or not at all. */
enum rc setup_save(const struct setup *s, struct err *e) MUST_CHECK;

/* What there is to choose from. Best effort: what cannot be read or asked is left out. */
void setup_accounts(const struct setup *s, struct choose_list *out);
void setup_roles(const struct setup *s, struct choose_list *out);
void setup_buckets(const struct setup *s, struct choose_list *out);
/* Where the store says that the bucket is; false: it does not. */
bool setup_find_region(const struct setup *s, char out[64]);

#endif
