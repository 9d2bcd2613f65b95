/* From JSON to struct config, by the table. A value is stored only when it is right as a whole;
 * one that is not leaves its default and one line in the faults. */
#include "gateway/config_int.h"

#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 2048, PATH_BYTES = 512, NAME_SHOWN = 64, TYPES_MAX = 1000 };
#define DAY_MS UINT64_C(86400000)

struct reader {
    struct config *config;
    struct config_faults *faults;
    struct buf path; /* of what is being read: "$.bucket.arn" */
};

static size_t path_push(struct reader *r, const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t mark = r->path.len, n = strlen(name);
    if (n > 0 && n <= NAME_SHOWN && strspn(name, plain) == n) {
        buf_addf(&r->path, ".%s", name);
    } else {
        buf_addc(&r->path, '[');
        config_say_text(&r->path, name);
        buf_addc(&r->path, ']');
    }
    return mark;
}

static void path_pop(struct reader *r, size_t mark)
{
    buf_cut(&r->path, mark);
    r->path.overflow = false;
}

/* `remedy` may be "". */
static void fault(struct reader *r, const char *expected, const json_t *found, const char *remedy)
{
    struct buf b;
    buf_init(&b, LINE_BYTES);
    config_say_found(&b, found);
    config_fault(r->faults, "%s: expected %s, found %s%s%s", r->path.data, expected, b.data,
                 *remedy ? ": " : "", remedy);
    buf_fini(&b);
}

static void fault_of(struct reader *r, const struct config_key *k, const json_t *found,
                     const char *remedy)
{
    struct buf b;
    buf_init(&b, LINE_BYTES);
    config_say_expected(&b, k);
    fault(r, b.data, found, remedy);
    buf_fini(&b);
}

/* ---- single values: RC_INVALID with e->text "" is "expected …, found …" ---- */

static enum rc store_text(const struct config_key *k, char **at, char *value, struct err *e)
{
    enum rc rc = k->check ? k->check(value, e) : RC_OK;
    if (rc == RC_OK) {
        free(*at);
        *at = value;
    } else {
        free(value);
    }
    return rc;
}

static enum rc read_text(const struct config_key *k, char **at, const char *s, struct err *e)
{
    if (!*s && !(k->fallback && !*k->fallback))
        return RC_INVALID;
    return store_text(k, at, mem_strdup(s), e);
}

/* "/a//b/" is "/a/b". */
static enum rc read_path(const struct config_key *k, char **at, const char *s, struct err *e)
{
    size_t n = strlen(s), len = 0;
    if (s[0] != '/' || utf8_find_control(s, n) < n)
        return RC_INVALID;
    char *path = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '/' || len == 0 || path[len - 1] != '/')
            path[len++] = s[i];
    }
    if (len > 1 && path[len - 1] == '/')
        len--;
    path[len] = '\0';
    return store_text(k, at, path, e);
}

static bool find_word(const char *const *words, const char *s, unsigned *index)
{
    for (*index = 0; words[*index]; ++*index) {
        if (strcmp(words[*index], s) == 0)
            return true;
    }
    return false;
}

static bool in_range(const struct config_key *k, uint64_t value)
{
    return (value >= k->min && value <= k->max) || (value == 0 && (k->flags & CONFIG_ZERO));
}

static enum rc read_string(const struct config_key *k, void *at, const char *s, struct err *e)
{
    uint64_t number;
    unsigned word;
    switch (k->kind) {
    case CONFIG_KIND_TEXT:
        return read_text(k, at, s, e);
    case CONFIG_KIND_PATH:
        return read_path(k, at, s, e);
    case CONFIG_KIND_WORD:
        return find_word(k->words, s, &word) ? read_text(k, at, s, e) : RC_INVALID;
    case CONFIG_KIND_CHOICE:
        if (!find_word(k->words, s, &word))
            return RC_INVALID;
        *(unsigned *)at = word;
        return RC_OK;
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_DURATION:
        if ((k->kind == CONFIG_KIND_SIZE ? units_parse_size(s, &number)
                                         : units_parse_duration(s, &number)) != RC_OK ||
            !in_range(k, number))
            return RC_INVALID;
        *(uint64_t *)at = number;
        return RC_OK;
    default:
        return RC_INVALID;
    }
}

static void set_null(const struct config_key *k, void *at)
{
    if (k->kind == CONFIG_KIND_COUNT) {
        *(unsigned *)at = 0;
    } else {
        free(*(char **)at);
        *(char **)at = NULL;
    }
}

static enum rc read_integer(const struct config_key *k, void *at, json_int_t value)
{
    if (value < 0 || !in_range(k, (uint64_t)value))
        return RC_INVALID;
    if (k->kind == CONFIG_KIND_COUNT)
        *(unsigned *)at = (unsigned)value;
    else
        *(uint64_t *)at = (uint64_t)value * DAY_MS;
    return RC_OK;
}

static enum rc read_scalar(const struct config_key *k, void *at, const json_t *v, struct err *e)
{
    if (json_is_null(v) && (k->flags & CONFIG_NULLABLE)) {
        set_null(k, at);
        return RC_OK;
    }
    if (k->kind == CONFIG_KIND_BOOL) {
        if (json_is_boolean(v))
            *(bool *)at = json_is_true(v);
        return json_is_boolean(v) ? RC_OK : RC_INVALID;
    }
    if (k->kind == CONFIG_KIND_COUNT || k->kind == CONFIG_KIND_DAYS)
        return json_is_integer(v) ? read_integer(k, at, json_integer_value(v)) : RC_INVALID;
    return json_is_string(v) ? read_string(k, at, json_string_value(v), e) : RC_INVALID;
}

/* ---- what has parts ---- */

static void free_patterns(struct config *c)
{
    for (size_t i = 0; i < c->n_ignore; i++)
        free(c->ignore[i]);
    free(c->ignore);
    c->ignore = NULL;
    c->n_ignore = 0;
}

static void read_patterns(struct reader *r, const struct config_key *k, const json_t *v)
{
    if (!json_is_array(v)) {
        fault_of(r, k, v, "");
        return;
    }
    free_patterns(r->config);
    r->config->ignore = mem_alloc(json_array_size(v) * sizeof *r->config->ignore);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        const char *s = json_string_value(item);
        if (s && *s && !strchr(s, '/')) {
            r->config->ignore[r->config->n_ignore++] = mem_strdup(s);
            continue;
        }
        size_t mark = r->path.len;
        buf_addf(&r->path, "[%zu]", i);
        fault(r, "a pattern for names such as \"*.tmp\", without a slash", item, "");
        path_pop(r, mark);
    }
}

void config_pairs_fini(struct config_pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].name);
        free(p->items[i].value);
    }
    free(p->items);
    *p = (struct config_pairs){0};
}

static void read_pair(struct reader *r, const struct config_key *k, struct config_pairs *to,
                      const char *name, const json_t *v)
{
    const char *value = json_string_value(v);
    struct err e = {0};
    if (!value)
        fault(r, "a text", v, "");
    else if (k->check_pair && k->check_pair(name, value, &e) != RC_OK)
        config_fault(r->faults, "%s: %s", r->path.data, e.text);
    else
        to->items[to->n++] = (struct options_pair){mem_strdup(name), mem_strdup(value)};
}

static void read_pairs(struct reader *r, const struct config_key *k, void *base, const json_t *v)
{
    struct config_pairs *to = config_at(k, base);
    const char *name;
    const json_t *item;
    if (!json_is_object(v)) {
        fault_of(r, k, v, "");
        return;
    }
    if (json_object_size(v) > k->max) {
        config_fault(r->faults, "%s: expected at most %zu pairs, found %zu", r->path.data,
                     (size_t)k->max, json_object_size(v));
        return;
    }
    config_pairs_fini(to);
    to->items = mem_alloc((json_object_size(v) + 1) * sizeof *to->items);
    json_object_foreach((json_t *)v, name, item)
    {
        size_t mark = path_push(r, name);
        read_pair(r, k, to, name, item);
        path_pop(r, mark);
    }
}

static void read_object(struct reader *r, const struct config_table *t, const char *parent,
                        void *base, const json_t *v);

static void read_type(struct reader *r, const char *name, const json_t *v)
{
    struct config *c = r->config;
    struct err e = {0};
    if (config_check_component(name, &e) != RC_OK) {
        config_fault(r->faults, "%s: the name of an event type: %s", r->path.data, e.text);
        return;
    }
    if (!json_is_object(v)) {
        fault(r, "an object such as {\"class\": \"raw\"}", v, "");
        return;
    }
    c->send.types = mem_resize(c->send.types, c->send.n_types + 1, sizeof *c->send.types);
    struct config_type *type = &c->send.types[c->send.n_types++];
    *type = (struct config_type){
        .name = mem_strdup(name), .class = CONFIG_INHERITED, .content = CONFIG_INHERITED};
    read_object(r, &config_type_table, "", type, v);
}

static void read_types(struct reader *r, const struct config_key *k, const json_t *v)
{
    const char *name;
    const json_t *item;
    if (!json_is_object(v)) {
        fault_of(r, k, v, "");
        return;
    }
    if (json_object_size(v) > TYPES_MAX) {
        config_fault(r->faults, "%s: expected at most %d event types, found %zu", r->path.data,
                     TYPES_MAX, json_object_size(v));
        return;
    }
    json_object_foreach((json_t *)v, name, item)
    {
        size_t mark = path_push(r, name);
        read_type(r, name, item);
        path_pop(r, mark);
    }
}

void config_role_fini(struct credentials_role *role)
{
    for (size_t i = 0; i < config_role_table.n; i++)
        if (config_role_table.keys[i].kind == CONFIG_KIND_TEXT)
            free(*(char **)config_at(&config_role_table.keys[i], role));
}

static void read_role(struct reader *r, const struct config_key *k, const json_t *v)
{
    struct config *c = r->config;
    struct credentials_role *role = &c->credentials.roles[c->credentials.n_roles++];
    if (!json_is_object(v)) {
        fault_of(r, k, v, "");
        return;
    }
    role->session_name = mem_strdup("spoolgate");
    read_object(r, &config_role_table, "", role, v);
}

static void read_roles(struct reader *r, const struct config_key *k, const json_t *v)
{
    struct config *c = r->config;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (json_is_null(v))
        return;
    if (n > CONFIG_ROLES_MAX) {
        config_fault(r->faults, "%s: expected at most %d roles, found %zu", r->path.data,
                     CONFIG_ROLES_MAX, n);
        return;
    }
    c->credentials.roles = mem_alloc(n * sizeof *c->credentials.roles);
    if (!json_is_array(v)) {
        read_role(r, k, v);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t mark = r->path.len;
        buf_addf(&r->path, "[%zu]", i);
        read_role(r, k, json_array_get(v, i));
        path_pop(r, mark);
    }
}

static void read_key(struct reader *r, const struct config_table *t, const struct config_key *k,
                     void *base, const json_t *v)
{
    struct err e = {0};
    switch (k->kind) {
    case CONFIG_KIND_OBJECT:
        if (json_is_object(v))
            read_object(r, t, k->name, base, v);
        else
            fault_of(r, k, v, json_is_array(v) && k->if_array ? k->if_array : "");
        return;
    case CONFIG_KIND_PATTERNS:
        read_patterns(r, k, v);
        return;
    case CONFIG_KIND_TYPES:
        read_types(r, k, v);
        return;
    case CONFIG_KIND_ROLES:
        read_roles(r, k, v);
        return;
    case CONFIG_KIND_PAIRS:
        read_pairs(r, k, base, v);
        return;
    default:
        if (read_scalar(k, config_at(k, base), v, &e) == RC_OK)
            return;
        if (e.text[0])
            config_fault(r->faults, "%s: %s", r->path.data, e.text);
        else
            fault_of(r, k, v, "");
    }
}

static void unknown_key(struct reader *r, const struct config_table *t, const char *parent,
                        const char *name)
{
    struct buf b;
    buf_init(&b, LINE_BYTES);
    config_say_unknown(&b, t, parent, name);
    config_fault(r->faults, "%s: %s", r->path.data, b.data);
    buf_fini(&b);
}

/* base: the struct that the table's offsets are of. */
static void read_object(struct reader *r, const struct config_table *t, const char *parent,
                        void *base, const json_t *v)
{
    const char *name;
    const json_t *item;
    json_object_foreach((json_t *)v, name, item)
    {
        const struct config_key *k = config_find(t, parent, name);
        size_t mark = path_push(r, name);
        if (k)
            read_key(r, t, k, base, item);
        else
            unknown_key(r, t, parent, name);
        path_pop(r, mark);
    }
    for (size_t i = 0; i < t->n; i++) {
        const char *last = config_key_in(&t->keys[i], parent);
        if (last && (t->keys[i].flags & CONFIG_REQUIRED) && !json_object_get(v, last)) {
            size_t mark = path_push(r, last);
            fault_of(r, &t->keys[i], NULL, "it is required");
            path_pop(r, mark);
        }
    }
}

/* ---- defaults ---- */

static json_t *fallback_of(const struct config_key *k)
{
    json_t *v;
    const char *s = k->fallback;
    switch (k->kind) {
    case CONFIG_KIND_BOOL:
        return json_boolean(strcmp(s, "true") == 0);
    case CONFIG_KIND_COUNT:
    case CONFIG_KIND_DAYS:
        return json_integer(strtol(s, NULL, 10));
    case CONFIG_KIND_PATTERNS:
        v = json_array();
        for (size_t n; *s; s += n + (s[n] == ' ')) {
            n = strcspn(s, " ");
            BUG_ON(json_array_append_new(v, json_stringn(s, n)) != 0);
        }
        return v;
    default:
        return json_string(s);
    }
}

static void set_defaults(struct reader *r)
{
    for (size_t i = 0; i < config_table.n; i++) {
        const struct config_key *k = &config_table.keys[i];
        if (!k->fallback)
            continue;
        json_t *v = fallback_of(k);
        read_key(r, &config_table, k, r->config, v);
        json_decref(v);
    }
    BUG_ON(r->faults->n > 0);
}

void config_read(struct config *c, const json_t *root, struct config_faults *f)
{
    struct config_faults none = {0};
    struct reader r = {.config = c, .faults = &none};
    buf_init(&r.path, PATH_BYTES);
    buf_addc(&r.path, '$');
    set_defaults(&r);
    r.faults = f;
    if (json_is_object(root))
        read_object(&r, &config_table, "", c, root);
    else
        fault(&r, "one object with the keys of the configuration", root, "");
    for (size_t i = 0; i < c->send.n_types; i++) {
        struct config_type *type = &c->send.types[i];
        if (type->class == CONFIG_INHERITED)
            type->class = c->send.unnamed;
        if (type->content == CONFIG_INHERITED)
            type->content = c->content;
    }
    buf_fini(&r.path);
}
