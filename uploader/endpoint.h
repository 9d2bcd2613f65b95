/* Where a bucket is reached: scheme, host, style of addressing. Pure.
 *
 * Without an `endpoint` it is AWS: virtual-hosted style ("bucket.s3.region.amazonaws.com"), path
 * style for names with dots (their certificate would not match), the partition's DNS suffix by
 * region (cn-*: amazonaws.com.cn), dual-stack and FIPS names on request.
 */
#ifndef UPLOADER_ENDPOINT_H
#define UPLOADER_ENDPOINT_H

#include "base/buf.h"

#include <stdbool.h>

struct endpoint_cfg {
    const char *bucket;
    const char *region;
    const char *url; /* NULL: AWS. "https://host[:port][/prefix]", http only to loopback unless: */
    bool allow_http;
    bool path_style; /* with url; for AWS decided here */
    bool dual_stack;
    bool fips;
};

struct endpoint {
    char origin[320]; /* "https://host[:port]", the connection */
    char host[280];   /* the Host header: default ports left out */
    char base[256];   /* what stands before the key: "", "/bucket", "/prefix/bucket" */
    char bucket[64];
    char region[64];
};

/* RC_INVALID with a sentence: not a URL, http to a host that is not loopback, a bucket name against
 * the rules (3-63 of a-z 0-9 . -, S3 User Guide "Bucket naming rules"), a bad region name. */
enum rc endpoint_resolve(const struct endpoint_cfg *cfg, struct endpoint *out,
                         struct err *e) MUST_CHECK;
/* Of AWS, as its partitions.json has them. */
struct endpoint_partition {
    const char *name;    /* as in an ARN: "aws-cn" */
    const char *regions; /* how the names of its regions begin; of "aws" "", all others */
    const char *first;   /* a region in which all of its stores know how to be asked */
    const char *suffix;  /* of its hosts: "amazonaws.com.cn" */
    bool fips;
};
const struct endpoint_partition *endpoint_partition_of(const char *region);
/* "aws" for a name that is none. */
const struct endpoint_partition *endpoint_partition_named(const char *name);
/* The encoded path of a key ("" for the bucket itself): base + "/" + key, each byte but the
 * unreserved and '/' as %XX. */
void endpoint_path(const struct endpoint *ep, const char *key, size_t key_len, struct buf *out);
/* The service itself, for requests that are of no bucket (ListBuckets); cfg->bucket is not looked
 * at. */
enum rc endpoint_service(const struct endpoint_cfg *cfg, struct endpoint *out,
                         struct err *e) MUST_CHECK;
/* As resolved, in another region (after a redirect). RC_INVALID: not a region's name. For a custom
 * endpoint only the signing region changes. */
enum rc endpoint_reroute(const struct endpoint_cfg *cfg, const char *region, struct endpoint *out,
                         struct err *e) MUST_CHECK;

#endif
