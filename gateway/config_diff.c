/* Differences of configurations, by the schema: see config_diff.h. */
#include "gateway/config_diff.h"

#include "gateway/config_int.h"

#include <string.h>

/* What the watcher, the sandbox, the threads and the log were made with. */
static const char *const restart_keys[] = {
    "spool",   "state",     "control",    "layout",         "prefix",
    "settle",  "rescan",    "threads",    "metrics.listen", "receipts.keep_days",
    "sandbox", "log.level", "log.format",
};
#define RESTART_KEYS (sizeof restart_keys / sizeof restart_keys[0])

static bool differs(const json_t *a, const json_t *b, const char *name)
{
    const json_t *x = json_at(a, name), *y = json_at(b, name);
    return x && y ? !json_equal(x, y) : x != y;
}

json_t *config_diff(const json_t *a, const json_t *b)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < config_table.n; i++) {
        const struct config_key *k = &config_table.keys[i];
        if (k->kind != CONFIG_KIND_OBJECT && differs(a, b, k->name))
            json_array_append_new(keys, json_string(k->name));
    }
    return keys;
}

json_t *config_diff_restart_keys(void)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < RESTART_KEYS; i++)
        json_array_append_new(keys, json_string(restart_keys[i]));
    return keys;
}

json_t *config_diff_restart(const json_t *keys)
{
    json_t *found = json_array();
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        for (size_t k = 0; k < RESTART_KEYS; k++) {
            if (strcmp(json_string_value(key), restart_keys[k]) == 0)
                json_array_append(found, key);
        }
    }
    return found;
}

const char *config_diff_needs_restart(const struct config *a, const struct config *b)
{
    json_t *x = config_to_json(a), *y = config_to_json(b);
    const char *found = NULL;
    for (size_t i = 0; i < RESTART_KEYS && !found; i++) {
        if (differs(x, y, restart_keys[i]))
            found = restart_keys[i];
    }
    json_decref(x);
    json_decref(y);
    return found;
}

/* What stands in place of a patched object: without the nulls of the patch, which say that nothing
 * does. */
static json_t *patched(json_t *before, json_t *patch)
{
    if (!json_is_object(patch))
        return json_incref(patch);
    json_t *after = json_is_object(before) ? json_incref(before) : json_object();
    config_diff_merge(after, patch);
    return after;
}

void config_diff_merge(json_t *target, const json_t *patch)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patch, name, value)
    {
        if (json_is_null(value))
            (void)json_object_del(target, name); /* it need not be there */
        else
            json_object_set_new(target, name, patched(json_object_get(target, name), value));
    }
}

json_t *config_diff_errors(const struct config_faults *faults)
{
    json_t *errors = json_array();
    for (size_t i = 0; i < faults->n; i++) {
        const char *line = faults->lines[i], *text = strstr(line, ": ");
        const char *path = line[0] == '$' ? line + 1 + (line[1] == '.') : NULL;
        json_array_append_new(
            errors,
            path && text
                ? json_pack("{s:o, s:o}", "path", json_text(path, (size_t)(text - path)), "text",
                            json_text(text + 2, strlen(text + 2)))
                : json_pack("{s:s, s:o}", "path", "", "text", json_text(line, strlen(line))));
    }
    return errors;
}
