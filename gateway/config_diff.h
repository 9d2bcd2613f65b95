/* Configurations against each other, and a change laid over one: for the control API. Pure. */
#ifndef GATEWAY_CONFIG_DIFF_H
#define GATEWAY_CONFIG_DIFF_H

#include "gateway/config.h"

/* The keys ("bucket.arn") whose values differ, in the order of the schema; of what config_to_json
 * gave. Caller json_decrefs. */
json_t *config_diff(const json_t *a, const json_t *b);
/* The keys that a running gateway cannot change. Caller json_decrefs. */
json_t *config_diff_restart_keys(void);
/* Those of `keys` among them. Caller json_decrefs. */
json_t *config_diff_restart(const json_t *keys);
/* The first key that differs and that a running gateway cannot change; NULL: none. Static. */
const char *config_diff_needs_restart(const struct config *a, const struct config *b);
/* JSON merge patch (RFC 7396), in place; both are objects. */
void config_diff_merge(json_t *target, const json_t *patch);
/* As the member errors of a problem: [{"path": "bucket.arn", "text": "expected …"}]. */
json_t *config_diff_errors(const struct config_faults *faults);

#endif
