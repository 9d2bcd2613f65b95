/* GET /v1/status, /v1/files, /v1/file, /livez; POST /v1/retry, hold, release, forget, rescan. */
#ifndef GATEWAY_API_FILES_H
#define GATEWAY_API_FILES_H

#include "gateway/api.h"

void api_files_add(struct api *api);

#endif
