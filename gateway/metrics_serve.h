/* GET /metrics, /livez and /readyz: on the control socket, and for programs that cannot open that
 * on the address of metrics.listen, where nothing else is answered.
 */
#ifndef GATEWAY_METRICS_SERVE_H
#define GATEWAY_METRICS_SERVE_H

#include "gateway/api.h"

void metrics_serve_add(struct api *api);

struct metrics_serve;
/* listen_fd: of metrics_listen, taken over. Answers by api, which must live longer. RC_IO. */
enum rc metrics_serve_new(struct api *api, int listen_fd, struct metrics_serve **out,
                          struct err *e) MUST_CHECK;
void metrics_serve_free(struct metrics_serve *s);

/* Is this a Host that a program on this machine would send? A page that was told that its own name
 * leads here sends that. NULL: none was sent. */
bool metrics_serve_is_local(const char *host);

#endif
