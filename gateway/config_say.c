/* The configuration's words: what was expected, what was found, what was meant.
 *
 * What is quoted comes from the file: it is escaped and cut here, and nowhere else. */
#include "gateway/config_int.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SHOWN_MAX = 80, LINE_MAX_BYTES = 2048, NAME_LONGEST = 48 };

void config_fault(struct config_faults *f, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    f->lines = mem_resize(f->lines, f->n + 1, sizeof *f->lines);
    f->lines[f->n++] = mem_strdup(line);
}

void config_say_text(struct buf *b, const char *s)
{
    size_t len = strlen(s), n = len;
    if (n > SHOWN_MAX) {
        n = SHOWN_MAX;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    }
    buf_addc(b, '"');
    utf8_escape(b, s, n);
    buf_adds(b, n < len ? "…\"" : "\"");
}

void config_say_found(struct buf *b, const json_t *v)
{
    if (!v)
        buf_adds(b, "nothing");
    else if (json_is_string(v))
        config_say_text(b, json_string_value(v));
    else if (json_is_array(v))
        buf_addf(b, "an array of %zu", json_array_size(v));
    else if (json_is_object(v))
        buf_adds(b, "an object");
    else
        json_write(b, v);
}

void config_say_duration(struct buf *b, uint64_t ms)
{
    static const struct {
        uint64_t factor;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    size_t i = ms == 0 ? 3 : 0;
    while (ms % units[i].factor != 0)
        i++;
    buf_addf(b, "%" PRIu64 "%s", ms / units[i].factor, units[i].name);
}

void config_say_size(struct buf *b, uint64_t bytes)
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    for (; bytes > 0 && bytes % 1024 == 0 && i + 1 < sizeof names / sizeof names[0]; i++)
        bytes /= 1024;
    buf_addf(b, "%" PRIu64 "%s", bytes, names[i]);
}

static void say_range(struct buf *b, const struct config_key *k,
                      void (*say)(struct buf *, uint64_t))
{
    buf_adds(b, " from ");
    say(b, k->min);
    if (k->max != UINT64_MAX) {
        buf_adds(b, " to ");
        say(b, k->max);
    }
    if (k->flags & CONFIG_ZERO)
        buf_addf(b, ", or \"0\": %s", k->what);
}

static void say_words(struct buf *b, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        buf_addf(b, "%s\"%s\"", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
}

void config_say_expected(struct buf *b, const struct config_key *k)
{
    switch (k->kind) {
    case CONFIG_KIND_OBJECT:
    case CONFIG_KIND_TYPES:
        buf_adds(b, k->what ? k->what : "an object");
        return;
    case CONFIG_KIND_TEXT: /* their words say whether they may be null */
    case CONFIG_KIND_PATTERNS:
    case CONFIG_KIND_PAIRS:
    case CONFIG_KIND_ROLES:
        buf_adds(b, k->what);
        return;
    case CONFIG_KIND_WORD:
    case CONFIG_KIND_CHOICE:
        say_words(b, k->words);
        break;
    case CONFIG_KIND_PATH:
        buf_addf(b, "an absolute path such as \"%s\"", k->example);
        break;
    case CONFIG_KIND_BOOL:
        buf_adds(b, "true or false");
        break;
    case CONFIG_KIND_COUNT:
    case CONFIG_KIND_DAYS:
        buf_addf(b, "a whole number%s from %" PRIu64 " to %" PRIu64,
                 k->kind == CONFIG_KIND_DAYS ? " of days" : "", k->min, k->max);
        break;
    case CONFIG_KIND_SIZE:
        buf_addf(b, "a size such as \"%s\"", k->example ? k->example : k->fallback);
        say_range(b, k, config_say_size);
        break;
    case CONFIG_KIND_DURATION:
        buf_addf(b, "a duration such as \"%s\"", k->example ? k->example : "1s\" or \"5min");
        say_range(b, k, config_say_duration);
        break;
    }
    if (k->flags & CONFIG_NULLABLE)
        buf_adds(b, ", or null");
}

/* How many letters must be added, taken away or replaced, case aside (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b), row[NAME_LONGEST + 1];
    if (n > NAME_LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (strncasecmp(a + i, b + j, 1) != 0);
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (diagonal + 1 < best)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

/* The key that was meant: one of the same object that differs by a slip, or one of that very name
 * elsewhere. */
static const char *meant(const struct config_table *t, const char *parent, const char *name)
{
    const char *found = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < t->n; i++) {
        const char *last = config_key_in(&t->keys[i], parent);
        size_t d = last ? distance(last, name) : SIZE_MAX;
        if (d < least && d <= 1 + strlen(last) / 4) {
            least = d;
            found = last;
        }
    }
    for (size_t i = 0; !found && i < t->n; i++) {
        const char *dot = strrchr(t->keys[i].name, '.');
        if (strcmp(dot ? dot + 1 : t->keys[i].name, name) == 0)
            found = t->keys[i].name;
    }
    return found;
}

void config_say_unknown(struct buf *b, const struct config_table *t, const char *parent,
                        const char *name)
{
    static const char *const secrets[] = {"secret", "access_key", "accesskey", "password", "token"};
    buf_adds(b, "unknown key");
    const char *found = meant(t, parent, name);
    if (found) {
        buf_addf(b, " (did you mean \"%s\"?)", found);
        return;
    }
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (strcasestr(name, secrets[i])) {
            buf_adds(b, "; no secrets belong in this file: keys come from credentials.source");
            return;
        }
    }
    const char *between = "; there are ";
    for (size_t i = 0; i < t->n; i++) {
        const char *last = config_key_in(&t->keys[i], parent);
        if (last) {
            buf_addf(b, "%s%s", between, last);
            between = ", ";
        }
    }
}
