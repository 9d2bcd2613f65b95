/* A question with the settings of a configuration: see ask.h. */
#include "gateway/ask.h"

#include "gateway/settings.h"

void ask_store(const struct asker *a, enum request_op op, const char *key,
               struct question_answer *out)
{
    struct http_cfg http = settings_http(a->config);
    struct options options = settings_options(a->config);
    struct request_context context = {.endpoint = a->endpoint,
                                      .credentials = a->keys,
                                      .options = &options,
                                      .user_agent = "spoolgate"};
    struct question q = {
        .http = &http, .context = &context, .clock_offset_s = a->clock_offset_s, .stop = a->stop};
    question_ask(&q, op, key, out);
}
