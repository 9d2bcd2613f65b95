/* From the configuration to the uploader's settings: see settings.h. */
#include "gateway/settings.h"

#include <stdlib.h>

struct endpoint_cfg settings_endpoint(const struct config *c)
{
    return (struct endpoint_cfg){
        .bucket = c->bucket.name,
        .region = c->bucket.region,
        .url = c->bucket.endpoint,
        .allow_http = c->bucket.allow_http,
        .path_style = c->bucket.path_style,
        .dual_stack = c->bucket.dual_stack,
        .fips = c->bucket.fips,
    };
}

static const char *env_of_process(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

struct credentials_cfg settings_credentials(const struct config *c)
{
    return (struct credentials_cfg){
        .source = c->credentials.source,
        .profile = c->credentials.profile,
        .file = c->credentials.file,
        .roles = c->credentials.roles,
        .n_roles = c->credentials.n_roles,
        .region = c->bucket.region,
        .ca_file = c->bucket.ca_file,
        .allow_http = c->bucket.allow_http,
        .fips = c->bucket.fips,
        .env = env_of_process,
    };
}

struct options settings_options(const struct config *c)
{
    return (struct options){
        .encryption = c->bucket.encryption.algorithm,
        .kms_key_id = c->bucket.encryption.kms_key_id,
        .encryption_context = c->bucket.encryption.context_text,
        .bucket_key = c->bucket.encryption.bucket_key_enabled,
        .storage_class = c->bucket.storage_class,
        .tagging = c->bucket.tagging,
        .expected_owner = c->bucket.expected_owner,
        .requester_pays = c->bucket.requester_pays,
    };
}

static enum transfer_conflict conflict_of(const struct config *c)
{
    switch (c->conflict) {
    case CONFIG_HOLD:
        return TRANSFER_HOLD_NEW;
    case CONFIG_OVERWRITE:
        return TRANSFER_OVERWRITE;
    case CONFIG_KEEP_BOTH:
        break;
    }
    return TRANSFER_KEEP_BOTH;
}

struct transfer_cfg settings_transfer(const struct config *c, int root_fd)
{
    return (struct transfer_cfg){
        .root_fd = root_fd,
        .single_max = c->multipart.threshold,
        .single_limit = UINT64_C(5) << 30,
        .part_bytes = c->multipart.part_size,
        .parts_in_flight = c->multipart.parallel,
        .read_whole_max = 1 << 20,
        .conflict = conflict_of(c),
        .acl = c->bucket.acl,
        .options = settings_options(c),
        .checksum_sha256 = c->checksum_sha256,
        .content_md5 = c->content_md5,
        .if_none_match = c->if_none_match && c->conflict != CONFIG_OVERWRITE,
        .user_agent = "spoolgate",
    };
}

struct http_cfg settings_http(const struct config *c)
{
    return (struct http_cfg){
        .ca_file = c->bucket.ca_file,
        .connect_ms = c->timeouts.connect_ms,
        .first_byte_ms = c->timeouts.first_byte_ms,
        .stall_ms = c->timeouts.stall_ms,
        .bytes_per_second = c->bandwidth,
    };
}
