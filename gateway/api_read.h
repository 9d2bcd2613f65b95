/* What is read from the disk, on the pool: GET /v1/receipts and GET /v1/file/head. */
#ifndef GATEWAY_API_READ_H
#define GATEWAY_API_READ_H

#include "gateway/api.h"

void api_read_add(struct api *api);

#endif
