/* The set-up over the control API: what `spoolgate setup` does, for a page. Keys never come this
 * way: they are found as always.
 *
 *   GET  /v1/setup         what is known and what is configured
 *   POST /v1/setup/policy  {"bucket_arn", "role_arn", "put_role_arn", "minimal"}: the text, and
 *                          where and how to paste it
 *   POST /v1/setup/test    settings: a test message, and what came of it
 *   POST /v1/setup/save    settings, "anyway": tests, and saves if that arrived (or anyway)
 *
 * settings = {"account_name", "bucket_arn", "role_arn", "external_id", "region", "endpoint",
 * "path_style", "ca_file"}: the first two are required. What is left out, null or "" is not
 * configured afterwards; the region then is asked of the store.
 */
#ifndef GATEWAY_SETUP_API_H
#define GATEWAY_SETUP_API_H

#include "gateway/api.h"

struct setup_api_cfg {
    struct api *api;
    struct loop *loop;
    const char *path;         /* of the configuration */
    void (*saved)(void *arg); /* a file that can be taken over without a restart */
    void *arg;
};
struct setup_api;
/* Adds its routes. */
struct setup_api *setup_api_new(const struct setup_api_cfg *cfg);
/* A test that is under way is stopped and waited for, shortly. After api_free. */
void setup_api_free(struct setup_api *s);

#endif
