/* What changes, for those who watch: GET /v1/events (server-sent events) and GET /v1/history. */
#ifndef GATEWAY_API_WATCH_H
#define GATEWAY_API_WATCH_H

#include "gateway/api.h"

#define API_STREAMS_MAX 32

struct api_watch;
/* Adds its routes to the api and looks at the pipeline every few seconds. */
struct api_watch *api_watch_new(struct api *api);
/* After the listeners, before the api. */
void api_watch_free(struct api_watch *w);

#endif
