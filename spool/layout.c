/* The layout: a template taken apart once, and paths held against it. Pure: it looks at no file,
 * and what it lets pass is a key that S3 takes and a path that stays below the root. */
#include "spool/layout.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "spool/beneath.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part_kind {
    PART_LITERAL,
    PART_EVENT_TYPE,
    PART_DATE,
    PART_ACCOUNT,
    PART_FILE,
    PART_KIND_COUNT
};

struct part {
    enum part_kind kind;
    const char *text; /* into the template; of a field its name with braces */
    size_t n;
};

struct layout {
    char *template; /* NULL: any */
    char *prefix;
    size_t prefix_len;
    struct part *parts;
    size_t part_count;
};

static const struct {
    const char *name;
    enum part_kind kind;
} fields[] = {
    {"{event_type}", PART_EVENT_TYPE},
    {"{date}", PART_DATE},
    {"{account}", PART_ACCOUNT},
    {"{file}", PART_FILE},
};

/* Refuse with a code beside the sentence. */
#define REFUSE(e, word, ...) refused(err_set(e, RC_INVALID, __VA_ARGS__), e, word)

static enum rc refused(enum rc rc, struct err *e, const char *code)
{
    if (e)
        (void)snprintf(e->code, sizeof e->code, "%s", code);
    return rc;
}

static bool is_span(const char *s, size_t n, const char *text)
{
    return strlen(text) == n && memcmp(s, text, n) == 0;
}

/* What no component may be, wherever it stands. */
static enum rc check_component(const char *s, size_t n, size_t number, struct err *e)
{
    if (n == 0)
        return REFUSE(e, "name", "component %zu is empty: two slashes in a row, or one at an end",
                      number);
    if (is_span(s, n, ".") || is_span(s, n, ".."))
        return REFUSE(e, "dots", "component %zu is \"%.*s\", which is not a name", number, (int)n,
                      s);
    if (is_span(s, n, BENEATH_OURS))
        return REFUSE(e, "name",
                      "component %zu is \"" BENEATH_OURS "\", which is the gateway's own", number);
    if (n > NAME_MAX)
        return REFUSE(e, "too-long", "component %zu has %zu bytes; a name has %d at most", number,
                      n, NAME_MAX);
    return RC_OK;
}

/* Bytes that a key may not hold. `what` begins the sentence. */
static enum rc check_bytes(const char *what, const char *s, size_t n, struct err *e)
{
    size_t at = utf8_span(s, n);
    if (at < n)
        return REFUSE(e, "utf8", "%s is not UTF-8: byte 0x%02x at offset %zu", what,
                      (unsigned)(unsigned char)s[at], at);
    at = utf8_find_control(s, n);
    if (at < n)
        return REFUSE(e, "control", "%s holds a control character at offset %zu", what, at);
    return RC_OK;
}

static enum rc check_prefix(const char *prefix, size_t n, struct err *e)
{
    if (n == 0)
        return RC_OK;
    if (prefix[n - 1] != '/')
        return err_set(e, RC_INVALID, "the prefix must end with a slash");
    if (n >= LAYOUT_KEY_MAX)
        return err_set(e, RC_INVALID, "the prefix has %zu bytes; a key has %d at most", n,
                       LAYOUT_KEY_MAX);
    enum rc rc = check_bytes("the prefix", prefix, n, e);
    size_t number = 1;
    for (size_t at = 0; rc == RC_OK && at < n; number++) {
        size_t len = strcspn(prefix + at, "/");
        struct err why;
        rc = check_component(prefix + at, len, number, &why);
        if (rc != RC_OK)
            (void)err_set(e, rc, "the prefix: %s", why.text);
        at += len + 1;
    }
    return rc;
}

/* One component of the template. */
static enum rc parse_part(struct part *part, size_t number, struct err *e)
{
    if (memchr(part->text, '{', part->n) || memchr(part->text, '}', part->n)) {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            if (is_span(part->text, part->n, fields[i].name)) {
                part->kind = fields[i].kind;
                return RC_OK;
            }
        return err_set(e, RC_INVALID,
                       "the layout's component %zu, \"%.*s\", is neither a plain name nor exactly "
                       "one of {event_type}, {date}, {account}, {file}",
                       number, (int)part->n, part->text);
    }
    struct err why;
    part->kind = PART_LITERAL;
    enum rc rc = check_component(part->text, part->n, number, &why);
    if (rc != RC_OK)
        return err_set(e, rc, "the layout: %s", why.text);
    if (part->text[0] == '.')
        return err_set(e, RC_INVALID,
                       "the layout's component %zu begins with a dot: such names are not looked at",
                       number);
    return RC_OK;
}

static enum rc parse_template(struct layout *l, struct err *e)
{
    bool seen[PART_KIND_COUNT] = {false};
    const char *at = l->template;
    if (*at == '\0')
        return err_set(e, RC_INVALID, "the layout is empty: give a template or \"any\"");
    if (strlen(at) > LAYOUT_KEY_MAX)
        return err_set(e, RC_INVALID, "the layout has more than %d bytes", LAYOUT_KEY_MAX);
    enum rc rc = check_bytes("the layout", at, strlen(at), e);
    while (rc == RC_OK) {
        l->parts = mem_resize(l->parts, l->part_count + 1, sizeof *l->parts);
        struct part *part = &l->parts[l->part_count++];
        *part = (struct part){.text = at, .n = strcspn(at, "/")};
        rc = parse_part(part, l->part_count, e);
        if (rc == RC_OK && part->kind != PART_LITERAL && seen[part->kind])
            rc = err_set(e, RC_INVALID, "the layout has %.*s twice", (int)part->n, at);
        seen[part->kind] = true;
        if (at[part->n] == '\0')
            break;
        at += part->n + 1;
    }
    if (rc == RC_OK && l->parts[l->part_count - 1].kind != PART_FILE)
        rc = err_set(e, RC_INVALID, "the layout must end with {file}");
    return rc;
}

enum rc layout_new(const char *template, const char *prefix, struct layout **out, struct err *e)
{
    struct layout *l = mem_alloc(sizeof *l);
    l->prefix = mem_strdup(prefix);
    l->prefix_len = strlen(prefix);
    enum rc rc = check_prefix(prefix, l->prefix_len, e);
    if (rc == RC_OK && strcmp(template, "any") != 0) {
        l->template = mem_strdup(template);
        rc = parse_template(l, e);
    }
    if (rc != RC_OK) {
        layout_free(l);
        return rc;
    }
    *out = l;
    return RC_OK;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    free(l->template);
    free(l->prefix);
    free(l->parts);
    free(l);
}

bool layout_is_any(const struct layout *l)
{
    return !l->template;
}

static enum rc match_part(const struct part *part, const char *path, struct layout_span span,
                          struct layout_match *m, struct err *e)
{
    const char *s = path + span.at;
    char shown[BENEATH_SHOWN_SIZE];
    switch (part->kind) {
    case PART_LITERAL:
        if (span.n != part->n || memcmp(s, part->text, part->n) != 0)
            return REFUSE(e, "name", "\"%s\" stands where the layout has \"%.*s\"",
                          beneath_show(shown, s, span.n), (int)part->n, part->text);
        return RC_OK;
    case PART_EVENT_TYPE:
        m->event_type = span;
        return RC_OK;
    case PART_DATE:
        if (!clock_parse_date(s, span.n, &m->days))
            return REFUSE(e, "date", "\"%s\" is no date of the calendar written as YYYY-MM-DD",
                          beneath_show(shown, s, span.n));
        m->date = span;
        return RC_OK;
    case PART_ACCOUNT:
        m->account = span;
        return RC_OK;
    case PART_FILE:
    case PART_KIND_COUNT:
        break;
    }
    return RC_OK; /* the file is the last component, and is known already */
}

/* How many components a path has, all of them checked; 0: refused. */
static size_t check_path(const char *path, size_t n, struct err *e)
{
    size_t count = 0;
    for (size_t at = 0; at <= n;) {
        const char *slash = at < n ? memchr(path + at, '/', n - at) : NULL;
        size_t len = slash ? (size_t)(slash - path) - at : n - at;
        if (check_component(path + at, len, count + 1, e) != RC_OK)
            return 0;
        count++;
        at += len + 1;
    }
    return count;
}

enum rc layout_match(const struct layout *l, const char *path, size_t n, struct layout_match *out,
                     struct err *e)
{
    char shown[BENEATH_SHOWN_SIZE];
    *out = (struct layout_match){.days = INT64_MIN};
    if (l->prefix_len + n > LAYOUT_KEY_MAX)
        return REFUSE(e, "too-long", "the key would have %zu bytes; S3 takes %d at most",
                      l->prefix_len + n, LAYOUT_KEY_MAX);
    enum rc rc = check_bytes("the path", path, n, e);
    if (rc != RC_OK)
        return rc;
    size_t count = check_path(path, n, e);
    if (count == 0)
        return RC_INVALID;
    if (l->template && count != l->part_count)
        return REFUSE(e, "depth", "%s has %zu components, the layout %s has %zu",
                      beneath_show(shown, path, n), count, l->template, l->part_count);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const char *slash = memchr(path + at, '/', n - at);
        size_t len = slash ? (size_t)(slash - path) - at : n - at;
        struct layout_span span = {.at = (uint16_t)at, .n = (uint16_t)len};
        if (l->template)
            rc = match_part(&l->parts[i], path, span, out, e);
        else if (i == 0 && count > 1)
            out->event_type = span;
        if (rc != RC_OK)
            return rc;
        if (i + 1 == count)
            out->file = span;
        at += len + 1;
    }
    return RC_OK;
}

void layout_key(const struct layout *l, const char *path, size_t n, struct buf *out)
{
    buf_add(out, l->prefix, l->prefix_len);
    buf_add(out, path, n);
}

void layout_path(const struct layout *l, const char *event_type, const char *date,
                 const char *account, const char *file, struct buf *out)
{
    const char *const text[] = {
        [PART_EVENT_TYPE] = event_type,
        [PART_DATE] = date,
        [PART_ACCOUNT] = account,
        [PART_FILE] = file,
    };
    if (!l->template) {
        buf_addf(out, "%s/%s/%s/%s", event_type, date, account, file);
        return;
    }
    for (size_t i = 0; i < l->part_count; i++) {
        const struct part *part = &l->parts[i];
        if (i > 0)
            buf_addc(out, '/');
        if (part->kind == PART_LITERAL)
            buf_add(out, part->text, part->n);
        else
            buf_adds(out, text[part->kind]);
    }
}

unsigned layout_date_depth(const struct layout *l)
{
    for (size_t i = 0; i < l->part_count; i++)
        if (l->parts[i].kind == PART_DATE)
            return (unsigned)i + 1;
    return 0;
}

const char *layout_literal(const struct layout *l, unsigned number, size_t *n)
{
    BUG_ON(number == 0 || number > l->part_count);
    const struct part *part = &l->parts[number - 1];
    *n = part->n;
    return part->kind == PART_LITERAL ? part->text : NULL;
}

bool layout_ignored(const struct layout_ignore *g, const char *name)
{
    size_t n = strlen(name);
    if (name[0] == '.' || (n > 0 && name[n - 1] == '~'))
        return true;
    for (size_t i = 0; i < g->n; i++)
        if (fnmatch(g->patterns[i], name, 0) == 0)
            return true;
    return false;
}
