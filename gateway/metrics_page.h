/* Everything that can be measured of the gateway, as a page for those who scrape it;
 * docs/metrics.md has the table. Reads everything, changes nothing, takes no lock but those of the
 * uploader threads' counts.
 */
#ifndef GATEWAY_METRICS_PAGE_H
#define GATEWAY_METRICS_PAGE_H

#include "gateway/metrics_text.h"
#include "gateway/pipeline.h"

#define METRICS_PAGE_MAX (4 << 20)

void metrics_page(struct pipeline *p, enum metrics_format f, struct buf *out);

/* Can files be accepted, and does the bucket take them? If not, a sentence a line says why. */
bool metrics_ready(struct pipeline *p, struct buf *why);

#endif
