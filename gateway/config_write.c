/* From struct config to JSON, by the table: what config_parse reads back as the same. */
#include "gateway/config_int.h"

#include <string.h>

#define DAY_MS UINT64_C(86400000)

static void put(json_t *object, const char *name, json_t *value)
{
    BUG_ON(!value || json_object_set_new(object, name, value) != 0);
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *patterns(const struct config *c)
{
    json_t *v = json_array();
    for (size_t i = 0; i < c->n_ignore; i++)
        BUG_ON(json_array_append_new(v, json_string(c->ignore[i])) != 0);
    return v;
}

static json_t *pairs(const struct config_pairs *p)
{
    json_t *v = json_object();
    for (size_t i = 0; i < p->n; i++)
        put(v, p->items[i].name, json_string(p->items[i].value));
    return v;
}

static json_t *written(void (*say)(struct buf *, uint64_t), uint64_t value)
{
    struct buf b;
    buf_init(&b, 64);
    say(&b, value);
    json_t *v = json_string(b.data);
    buf_fini(&b);
    return v;
}

static json_t *write_types(const struct config *c);
static json_t *write_roles(const struct config *c);

static json_t *write_value(const struct config_key *k, const void *base)
{
    const void *at = (const char *)base + k->offset;
    unsigned number;
    switch (k->kind) {
    case CONFIG_KIND_OBJECT:
        return json_object();
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_WORD:
    case CONFIG_KIND_PATH:
        return text_or_null(*(char *const *)at);
    case CONFIG_KIND_CHOICE:
        return json_string(k->words[*(const unsigned *)at]);
    case CONFIG_KIND_BOOL:
        return json_boolean(*(const bool *)at);
    case CONFIG_KIND_COUNT:
        number = *(const unsigned *)at;
        return number == 0 && (k->flags & CONFIG_NULLABLE) ? json_null() : json_integer(number);
    case CONFIG_KIND_DAYS:
        return json_integer((json_int_t)(*(const uint64_t *)at / DAY_MS));
    case CONFIG_KIND_SIZE:
        return written(config_say_size, *(const uint64_t *)at);
    case CONFIG_KIND_DURATION:
        return written(config_say_duration, *(const uint64_t *)at);
    case CONFIG_KIND_PATTERNS:
        return patterns(base);
    case CONFIG_KIND_TYPES:
        return write_types(base);
    case CONFIG_KIND_PAIRS:
        return pairs(at);
    case CONFIG_KIND_ROLES:
        return write_roles(base);
    }
    return json_null();
}

static json_t *write_types(const struct config *c)
{
    json_t *types = json_object();
    for (size_t i = 0; i < c->send.n_types; i++) {
        const struct config_type *type = &c->send.types[i];
        json_t *row = json_object();
        for (size_t k = 0; k < config_type_table.n; k++)
            put(row, config_type_table.keys[k].name, write_value(&config_type_table.keys[k], type));
        put(types, type->name, row);
    }
    return types;
}

/* The object that holds the key of this name, and the name's last part. The rows of objects stand
 * before those of their keys, so it is there. */
static json_t *holder(json_t *root, const char *name, const char **last)
{
    const char *dot;
    char part[64];
    for (*last = name; (dot = strchr(*last, '.')); *last = dot + 1) {
        size_t n = (size_t)(dot - *last);
        BUG_ON(n >= sizeof part);
        memcpy(part, *last, n);
        part[n] = '\0';
        root = json_object_get(root, part);
    }
    return root;
}

/* One as an object, several as an array. */
static json_t *write_roles(const struct config *c)
{
    json_t *roles = json_array();
    for (size_t i = 0; i < c->credentials.n_roles; i++) {
        json_t *row = json_object();
        for (size_t k = 0; k < config_role_table.n; k++)
            put(row, config_role_table.keys[k].name,
                write_value(&config_role_table.keys[k], &c->credentials.roles[i]));
        BUG_ON(json_array_append_new(roles, row) != 0);
    }
    if (c->credentials.n_roles > 1)
        return roles;
    json_t *one = c->credentials.n_roles ? json_incref(json_array_get(roles, 0)) : json_null();
    json_decref(roles);
    return one;
}

json_t *config_to_json(const struct config *c)
{
    json_t *root = json_object();
    for (size_t i = 0; i < config_table.n; i++) {
        const struct config_key *k = &config_table.keys[i];
        if ((k->flags & CONFIG_ARCHIVE_ONLY) && c->after_delivery.action != CONFIG_ARCHIVE)
            continue;
        const char *last;
        json_t *object = holder(root, k->name, &last);
        put(object, last, write_value(k, c));
    }
    return root;
}
