/* What the configuration means for the uploader: the one place where its fields become the
 * settings of endpoint, credentials source, transfer and HTTP client. Pure; everything is borrowed
 * from the configuration.
 */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include "gateway/config.h"
#include "uploader/credentials.h"
#include "uploader/endpoint.h"
#include "uploader/http.h"
#include "uploader/transfer.h"

struct endpoint_cfg settings_endpoint(const struct config *c);
/* With this process's environment. */
struct credentials_cfg settings_credentials(const struct config *c);
struct options settings_options(const struct config *c);
struct transfer_cfg settings_transfer(const struct config *c, int root_fd);
struct http_cfg settings_http(const struct config *c);

#endif
