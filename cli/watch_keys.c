/* Keys of `status --watch`: what is chosen, filtered and asked for. See watch_int.h. A verb is put
 * only after `y`, and only about the row that the question names.
 */
#include "cli/watch_int.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MS 10000
#define PAGE_ROWS  10

static const struct watch_verb verbs[] = {
    {'r', "/v1/retry", "tried again", "Try again",
     "No file is held or rejected; the bucket is tried now: "},
    {'h', "/v1/hold", "held", "Hold", "No file waits that could be held: "},
    {'l', "/v1/release", "released", "Release", "No file is held by hand or for its sake: "},
};

void watch_say(struct watch *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(w->message, sizeof w->message, fmt, args); /* a cut one is still a message */
    va_end(args);
    w->message_until_ms = loop_now_ms(w->loop) + MESSAGE_MS;
}

/* ---- rows ---- */

static bool passes(const char *match, const char *text)
{
    return match[0] == '\0' || strcasestr(text, match);
}

static bool is_in(const struct watch_row *rows, unsigned n, const char *path)
{
    for (unsigned i = 0; i < n; i++) {
        if (rows[i].kind == WATCH_FILE && strcmp(rows[i].name, path) == 0)
            return true;
    }
    return false;
}

unsigned watch_rows(const struct watch *w, struct watch_row rows[WATCH_ROWS_MAX])
{
    char state[WATCH_WORD_MAX], match[WATCH_WORD_MAX];
    unsigned n = 0;
    size_t i;
    const json_t *v;
    watch_filter_words(w->filter, state, match);
    json_array_foreach(json_object_get(w->status, "event_types"), i, v)
    {
        const char *name = json_string_value(json_object_get(v, "event_type"));
        if (name && passes(match, name) && n < WATCH_ROWS_MAX / 2)
            rows[n++] = (struct watch_row){.kind = WATCH_TYPE, .v = v, .name = name};
    }
    bool sending = state[0] == '\0' || strcmp(state, "sending") == 0;
    json_array_foreach(json_object_get(w->status, "transfers"), i, v)
    {
        const char *path = json_string_value(json_object_get(v, "path"));
        if (path && sending && passes(match, path) && n < WATCH_ROWS_MAX)
            rows[n++] =
                (struct watch_row){.kind = WATCH_FILE, .v = v, .name = path, .sending = true};
    }
    json_array_foreach(w->files, i, v)
    {
        const char *path = json_string_value(json_object_get(v, "path"));
        if (path && n < WATCH_ROWS_MAX && !is_in(rows, n, path))
            rows[n++] = (struct watch_row){.kind = WATCH_FILE, .v = v, .name = path};
    }
    return n;
}

static void choose(struct watch *w, const struct watch_row *row, unsigned at)
{
    char *name = row ? mem_strdup(row->name) : NULL; /* it may be the one that is freed */
    free(w->chosen_name);
    w->chosen = row ? row->kind : WATCH_NOTHING;
    w->chosen_name = name;
    w->chosen_at = at;
}

unsigned watch_chosen(struct watch *w, const struct watch_row *rows, unsigned n)
{
    if (w->chosen == WATCH_NOTHING)
        return n;
    for (unsigned i = 0; i < n; i++) {
        if (rows[i].kind == w->chosen && strcmp(rows[i].name, w->chosen_name) == 0) {
            w->chosen_at = i;
            return i;
        }
    }
    if (n == 0)
        return n;
    unsigned at = w->chosen_at < n ? w->chosen_at : n - 1;
    choose(w, &rows[at], at);
    return at;
}

static void move(struct watch *w, int by)
{
    struct watch_row rows[WATCH_ROWS_MAX];
    unsigned n = watch_rows(w, rows);
    unsigned at = watch_chosen(w, rows, n);
    if (n == 0)
        return;
    long to = (at < n ? (long)at : by > 0 ? -1 : (long)n) + by;
    to = to < 0 ? 0 : to >= (long)n ? (long)n - 1 : to;
    choose(w, &rows[to], (unsigned)to);
}

/* ---- verbs ---- */

static void ask(struct watch *w, const struct watch_verb *verb)
{
    struct watch_row rows[WATCH_ROWS_MAX];
    unsigned n = watch_rows(w, rows);
    unsigned at = watch_chosen(w, rows, n);
    if (at == n) {
        watch_say(w, "Choose a row with the arrows first: an event type, or a file.");
        return;
    }
    if (w->ask_verb.busy) {
        watch_say(w, "One after the other: the gateway has not answered the last one yet.");
        return;
    }
    free(w->verb_name);
    w->verb = verb;
    w->verb_kind = rows[at].kind;
    w->verb_name = mem_strdup(rows[at].name);
    w->mode = WATCH_ASKING;
}

static void answer(struct watch *w, int key)
{
    w->mode = WATCH_PLAIN;
    if (key != 'y' && key != 'Y') {
        watch_say(w, "Nothing was changed.");
        return;
    }
    w->verb_done = w->verb_failed = 0;
    w->verb_stopped = false;
    buf_reset(&w->verb_cursor);
    watch_say(w, "The gateway has been asked.");
    watch_ask_verb(w);
}

/* ---- filter ---- */

static void filter_now(struct watch *w, const char *text)
{
    text_copy(w->filter, sizeof w->filter, text);
    json_decref(w->files); /* what it found before does not fit it */
    w->files = NULL;
    w->files_due_ms = 0;
    choose(w, NULL, 0);
    watch_ask_files(w);
}

static void type(struct watch *w, int key)
{
    size_t n = strlen(w->typed);
    if (key == '\r' || key == '\n') {
        w->mode = WATCH_PLAIN;
        filter_now(w, w->typed);
    } else if (key == TERM_KEY_ESCAPE) {
        w->mode = WATCH_PLAIN;
    } else if (key == 0x7f || key == 0x08) {
        while (n > 0 && (w->typed[--n] & 0xc0) == 0x80)
            ;
        w->typed[n] = '\0';
    } else if (key == 0x15) { /* Control-U */
        w->typed[0] = '\0';
    } else if (key >= ' ' && key < 256 && n + 1 < sizeof w->typed) {
        w->typed[n] = (char)key;
        w->typed[n + 1] = '\0';
    }
}

/* ---- keys ---- */

static void escape(struct watch *w)
{
    if (w->ask_verb.busy && w->verb_kind == WATCH_TYPE && !w->verb_stopped) {
        w->verb_stopped = true; /* the page that is on its way is the last one */
    } else if (w->chosen != WATCH_NOTHING) {
        choose(w, NULL, 0);
    } else if (w->filter[0]) {
        filter_now(w, "");
    }
}

static void plain(struct watch *w, int key)
{
    switch (key) {
    case 'q':
    case 'Q':
        loop_stop(w->loop);
        return;
    case '?':
        w->mode = WATCH_HELP;
        return;
    case '\r':
    case '\n':
        w->mode = WATCH_DETAILS;
        return;
    case 'f':
    case '/':
        text_copy(w->typed, sizeof w->typed, w->filter);
        w->mode = WATCH_TYPING;
        return;
    case TERM_KEY_ESCAPE:
        escape(w);
        return;
    case TERM_KEY_UP:
    case 'k':
        move(w, -1);
        return;
    case TERM_KEY_DOWN:
    case 'j':
        move(w, 1);
        return;
    case TERM_KEY_PAGE_UP:
        move(w, -PAGE_ROWS);
        return;
    case TERM_KEY_PAGE_DOWN:
        move(w, PAGE_ROWS);
        return;
    case TERM_KEY_HOME:
        move(w, -WATCH_ROWS_MAX);
        return;
    case TERM_KEY_END:
        move(w, WATCH_ROWS_MAX);
        return;
    case 0x0c: /* Control-L */
        w->anew = true;
        return;
    default:
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
            if (key < 256 && tolower(key) == verbs[i].key)
                ask(w, &verbs[i]);
        }
    }
}

void watch_keys(struct watch *w, const int *keys, int n)
{
    for (int i = 0; i < n; i++) {
        switch (w->mode) {
        case WATCH_PLAIN:
            plain(w, keys[i]);
            break;
        case WATCH_TYPING:
            type(w, keys[i]);
            break;
        case WATCH_ASKING:
            answer(w, keys[i]);
            break;
        case WATCH_HELP:
        case WATCH_DETAILS:
            w->mode = WATCH_PLAIN;
            if (keys[i] == 'q')
                loop_stop(w->loop);
            break;
        }
    }
}
