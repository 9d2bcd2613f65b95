/* GET and PATCH /v1/config: what is in force, and a change of the file, checked whole before it is
 * written and then taken over as at SIGHUP. One change at a time.
 */
#ifndef GATEWAY_API_CONFIG_H
#define GATEWAY_API_CONFIG_H

#include "gateway/api.h"

struct api_config;
/* reload: read the file again; done is told once, on the loop's thread, what came of it, perhaps at
 * once. */
typedef void api_config_reload(void *arg,
                               void (*done)(void *done_arg, enum rc rc, const struct err *e),
                               void *done_arg);
struct api_config *api_config_new(struct api *api, api_config_reload *reload, void *arg);
/* Before the api; a change under way may come back later. */
void api_config_free(struct api_config *c);

#endif
