/* What an HTTP client goes by where its owner left it open. */
#include "uploader/http_int.h"

#include <stdlib.h>

/* The variables that curl looks at; to it, too, an empty one is none. */
static bool proxy_in_environment(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL && value[0] != '\0')
            return true;
    }
    return false;
}

void http_cfg_complete(struct http_cfg *cfg)
{
    cfg->connections = cfg->connections ? cfg->connections : 1;
    cfg->connect_ms = cfg->connect_ms ? cfg->connect_ms : 10000;
    cfg->first_byte_ms = cfg->first_byte_ms ? cfg->first_byte_ms : 60000;
    cfg->stall_ms = cfg->stall_ms ? cfg->stall_ms : 60000;
    cfg->lifetime_s = cfg->lifetime_s ? cfg->lifetime_s : 300;
    cfg->no_proxy = cfg->no_proxy || !proxy_in_environment();
}

uint64_t http_cfg_watch_ms(const struct http_cfg *cfg)
{
    uint64_t shorter = cfg->first_byte_ms < cfg->stall_ms ? cfg->first_byte_ms : cfg->stall_ms;
    uint64_t ms = shorter / 8;

    return ms < 10 ? 10 : ms > 1000 ? 1000 : ms;
}
