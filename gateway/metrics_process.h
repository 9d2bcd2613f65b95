/* What the kernel knows of this process, under the names that all exporters use.
 */
#ifndef GATEWAY_METRICS_PROCESS_H
#define GATEWAY_METRICS_PROCESS_H

#include "gateway/metrics_text.h"

/* What cannot be learned is left out. */
void metrics_process(struct metrics_text *t);

#endif
