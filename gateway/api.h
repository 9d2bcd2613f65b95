/* The control API, version 1: the routes, their JSON. Errors are problem details (RFC 9457).
 *
 *   GET  /v1/status
 *   GET  /v1/files?state=S&match=PATTERN&cursor=C&limit=N   {"files": […], "cursor": "…"}
 *   GET  /v1/file?path=P                                     what `why` shows
 *   POST /v1/retry|hold|release|forget  {"paths": […]}, at most 1000, or a page of those chosen by
 *        {"state": S, "match": PATTERN, "all": true, "cursor": C, "limit": N, "dry_run": true};
 *        answered when it is durable: {"count": n, "files": […], "cursor": "…"}
 *   POST /v1/rescan
 *   GET  /livez
 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include "gateway/control.h"
#include "gateway/pipeline.h"

/* The handler for control_new; arg is the struct pipeline. */
void api_handle(void *arg, const struct control_request *r, struct control_answer *a);

#endif
