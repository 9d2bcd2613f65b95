/* The configuration file: read whole, parsed, held against the table, checked as a whole. Either
 * all of it is right and there is a struct config, or there is a line for each fault. */
#include "gateway/config.h"

#include "base/fsio.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "gateway/config_int.h"
#include "policy/arn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1024 * 1024, OPTION_MAX_BYTES = 6 * 1024 /* S3 takes 8 KiB of headers */ };

/* Line and column (in bytes) of an offset, both from 1. */
static void place_of(const char *text, size_t at, size_t *line, size_t *column)
{
    size_t start = 0;
    *line = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    }
    *column = at - start + 1;
}

/* The parser's words, and what to do where they do not say it. */
static void syntax_fault(struct config_faults *faults, const char *text)
{
    static const char bare[] =
        ": texts stand in double quotes; there are no comments, and no comma "
        "stands before a closing bracket";
    static const struct {
        const char *said, *remedy;
    } known[] = {
        {"string or '}' expected", bare},
        {"invalid token", bare},
        {"duplicate object key", ": each key stands once"},
        {"JSON_ALLOW_NUL", ": no text here may hold the character 0"},
    };
    const char *remedy = "";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(text, known[i].said))
            remedy = known[i].remedy;
    }
    config_fault(faults, "%s%s", text, remedy);
}

/* The document, or NULL and one fault: what is said before the JSON parser could only be told in
 * its terms ("'{' expected near …"). */
static json_t *parse_document(const char *text, size_t n, struct config_faults *faults)
{
    static const char object[] = "one object with the keys of the configuration";
    size_t at = utf8_span(text, n), line, column;
    if (at < n) {
        place_of(text, at, &line, &column);
        config_fault(faults, "line %zu, column %zu: byte 0x%02x is not UTF-8: save it as UTF-8",
                     line, column, (unsigned)(unsigned char)text[at]);
        return NULL;
    }
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        config_fault(faults, "line 1, column 1: the file begins with a byte order mark: save it as "
                             "UTF-8 without one");
        return NULL;
    }
    for (at = 0; at < n && strchr(" \t\r\n", text[at]) && text[at];)
        at++;
    if (at == n) {
        config_fault(faults, "$: expected %s, found an empty file", object);
        return NULL;
    }
    struct err e = {0};
    json_t *root = json_parse(text, n, &e);
    if (!root && text[at] != '{' && text[at] != '[') {
        place_of(text, at, &line, &column);
        config_fault(faults, "line %zu, column %zu: expected %s, which begins with {", line, column,
                     object);
    } else if (!root) {
        syntax_fault(faults, e.text);
    }
    return root;
}

/* A word "none" is NULL. */
static void none_is_null(char **word)
{
    if (*word && strcmp(*word, "none") == 0) {
        free(*word);
        *word = NULL;
    }
}

/* The value of a header, NULL when there are no pairs. */
static char *text_of_pairs(const char *path, const struct config_pairs *p,
                           void (*write)(struct buf *, const struct options_pair *, size_t),
                           struct config_faults *f)
{
    struct buf b;
    if (p->n == 0)
        return NULL;
    buf_init(&b, OPTION_MAX_BYTES);
    write(&b, p->items, p->n);
    if (b.overflow)
        config_fault(f, "%s: expected texts of at most %d KiB together, as a header has them", path,
                     OPTION_MAX_BYTES / 1024);
    char *text = b.overflow ? NULL : mem_strdup(b.data);
    buf_fini(&b);
    return text;
}

/* What follows from other keys. */
static void derive(struct config *c, struct config_faults *f)
{
    struct arn_bucket arn;
    if (c->bucket.arn) {
        BUG_ON(arn_parse_bucket(c->bucket.arn, &arn, NULL) != RC_OK); /* checked when it was read */
        c->bucket.name = mem_strdup(arn.name);
        c->bucket.partition = mem_strdup(arn.partition);
    }
    none_is_null(&c->bucket.acl);
    none_is_null(&c->bucket.encryption.algorithm);
    c->bucket.tagging = text_of_pairs("$.bucket.tags", &c->bucket.tags, options_tagging, f);
    c->bucket.encryption.context_text = text_of_pairs(
        "$.bucket.encryption.context", &c->bucket.encryption.context, options_context, f);
}

enum rc config_parse(const char *text, size_t n, const char *path, struct config **out,
                     struct config_faults *faults)
{
    size_t before = faults->n;
    json_t *root = parse_document(text, n, faults);
    if (!root)
        return RC_INVALID;
    struct config *c = mem_alloc(sizeof *c);
    c->path = mem_strdup(path);
    config_read(c, root, faults);
    derive(c, faults);
    if (json_is_object(root))
        config_check_whole(c, root, faults);
    json_decref(root);
    if (faults->n > before) {
        config_free(c);
        return RC_INVALID;
    }
    *out = c;
    return RC_OK;
}

enum rc config_load(const char *path, struct config **out, struct config_faults *faults)
{
    char *text = NULL;
    size_t n = 0;
    struct err e = {0};
    enum rc rc = fsio_read_file(&fsio_system, AT_FDCWD, path, FILE_MAX_BYTES, &text, &n, &e);
    switch (rc) {
    case RC_OK:
        rc = config_parse(text, n, path, out, faults);
        break;
    case RC_ABSENT:
        config_fault(faults, "there is no such file: write one (examples/spoolgate.json is a "
                             "beginning); -c or " CONFIG_ENV " names another");
        break;
    case RC_DENIED:
        config_fault(faults, "this user may not read it: run as the user of the gateway, or give "
                             "its group the right to read (there are no secrets in it)");
        break;
    default:
        config_fault(faults, "%s", e.text);
    }
    free(text);
    return rc;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < config_table.n; i++) {
        const struct config_key *k = &config_table.keys[i];
        if (k->kind == CONFIG_KIND_TEXT || k->kind == CONFIG_KIND_WORD ||
            k->kind == CONFIG_KIND_PATH)
            free(*(char **)config_at(k, c));
        else if (k->kind == CONFIG_KIND_PAIRS)
            config_pairs_fini(config_at(k, c));
    }
    for (size_t i = 0; i < c->send.n_types; i++)
        free(c->send.types[i].name);
    for (size_t i = 0; i < c->n_ignore; i++)
        free(c->ignore[i]);
    for (size_t i = 0; i < c->credentials.n_roles; i++)
        config_role_fini(&c->credentials.roles[i]);
    free(c->credentials.roles);
    free(c->send.types);
    free(c->ignore);
    free(c->bucket.name);
    free(c->bucket.partition);
    free(c->bucket.tagging);
    free(c->bucket.encryption.context_text);
    free(c->path);
    free(c);
}

void config_faults_fini(struct config_faults *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->lines[i]);
    free(f->lines);
    *f = (struct config_faults){0};
}

const char *config_choose_path(const char *from_option)
{
    if (from_option)
        return from_option;
    const char *from_env = getenv(CONFIG_ENV);
    return from_env && *from_env ? from_env : CONFIG_PATH_DEFAULT;
}

const struct config_type *config_type(const struct config *c, const char *event_type, size_t n)
{
    static const struct config_type unnamed[2][2] = {
        {{.name = "", .class = CONFIG_PROCESSED, .content = CONFIG_NDJSON},
         {.name = "", .class = CONFIG_PROCESSED, .content = CONFIG_ANY}},
        {{.name = "", .class = CONFIG_RAW, .content = CONFIG_NDJSON},
         {.name = "", .class = CONFIG_RAW, .content = CONFIG_ANY}},
    };
    for (size_t i = 0; i < c->send.n_types; i++) {
        const char *name = c->send.types[i].name;
        if (strlen(name) == n && memcmp(name, event_type, n) == 0)
            return &c->send.types[i];
    }
    return &unnamed[c->send.unnamed][c->content];
}

bool config_selects(const struct config *c, const char *event_type, size_t n)
{
    return config_type(c, event_type, n)->class == CONFIG_RAW ? c->send.raw : c->send.processed;
}

bool config_selects_all(const struct config *c)
{
    bool all = config_selects(c, "", 0); /* those that have no row */
    for (size_t i = 0; i < c->send.n_types && all; i++)
        all = config_selects(c, c->send.types[i].name, strlen(c->send.types[i].name));
    return all;
}
