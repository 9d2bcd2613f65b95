/* The picture of `status --watch`: see watch_int.h. From the top: the sentence, figures, the last
 * minutes, event types, files, errors, one row that explains, keys. What the size has no room for
 * is left out from the bottom up; no row ever takes a second one. Draws only what the others know.
 */
#include "cli/watch_int.h"

#include "base/clock.h"
#include "base/units.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    NARROW = 60, /* columns below which figures stand one below the other */
    WIDE = 120,  /* from which on a file's reason stands beside it */
    STALE_MS = 3500,
};

/* ---- texts ---- */

/* In whole seconds: a picture that changes no more than it must is a calm one. */
static char *calm_age(char out[UNITS_TEXT_SIZE], uint64_t ms)
{
    if (ms >= 60000)
        return units_format_duration(out, ms / 1000 * 1000);
    (void)snprintf(out, UNITS_TEXT_SIZE, "%u s", (unsigned)(ms / 1000));
    return out;
}

/* Of rows, of which there are many: in minutes once it is more than one. */
static char *rough_age(char out[UNITS_TEXT_SIZE], uint64_t ms)
{
    const uint64_t minute = 60000, hour = 60 * minute;
    return ms < minute      ? calm_age(out, ms)
           : ms < 24 * hour ? units_format_duration(out, ms / minute * minute)
                            : units_format_duration(out, ms / hour * hour);
}

static void show_age(char out[UNITS_TEXT_SIZE], const json_t *ms)
{
    if (json_is_integer(ms))
        rough_age(out, (uint64_t)json_integer_value(ms));
    else
        (void)snprintf(out, UNITS_TEXT_SIZE, "-");
}

static void show_since(char out[UNITS_TEXT_SIZE], const json_t *time)
{
    int64_t then;
    const char *s = json_string_value(time);
    (void)snprintf(out, UNITS_TEXT_SIZE, "-");
    if (!s || clock_parse_rfc3339(s, &then) != RC_OK)
        return;
    int64_t age = clock_wall_now_ns() - then;
    rough_age(out, age > 0 ? (uint64_t)(age / CLOCK_NS_PER_MS) : 0);
}

static void show_size(char out[UNITS_TEXT_SIZE], const json_t *bytes)
{
    if (json_is_integer(bytes))
        units_format_size(out, (uint64_t)json_integer_value(bytes));
    else
        (void)snprintf(out, UNITS_TEXT_SIZE, "-");
}

static bool is_silent(const struct watch *w)
{
    return w->gone[0] ||
           (w->ask_status.busy && loop_now_ms(w->loop) - w->ask_status.since_ms > STALE_MS);
}

void watch_sentence(const struct watch *w, struct buf *out)
{
    char age[UNITS_TEXT_SIZE];
    const char *s = json_string_value(json_object_get(w->status, "sentence"));
    uint64_t now = loop_now_ms(w->loop);
    if (w->gone[0]) {
        buf_addf(out, "%s; it is asked again each second", w->gone);
        out->data[0] = (char)toupper((unsigned char)out->data[0]);
    } else if (is_silent(w)) {
        buf_addf(out, "The gateway takes connections and has not answered for %s; still waiting",
                 calm_age(age, now - w->ask_status.since_ms));
    } else {
        buf_adds(out, s ? s : "The gateway is asked");
        return;
    }
    if (w->status)
        buf_addf(out, " (what stands below is %s old)", calm_age(age, now - w->answered_ms));
    buf_addc(out, '.');
}

static enum term_style style_of(const struct watch *w)
{
    const char *state = json_string_value(json_object_get(w->status, "state"));
    if (is_silent(w) || !state)
        return TERM_BAD;
    if (strcmp(state, "ok") == 0)
        return TERM_GOOD;
    return strcmp(state, "stuck") == 0 ? TERM_BAD : TERM_WARNING;
}

/* ---- the upper part ---- */

static unsigned draw_sentence(struct watch *w)
{
    struct term *t = w->term;
    struct buf s;
    unsigned room = term_rows(t) < 12 ? term_rows(t) / 2 : term_rows(t) / 5;
    buf_init(&s, 65536);
    watch_sentence(w, &s);
    if (term_rows(t) >= 24 && room < 5)
        room = 5;
    unsigned rows = term_wrap_rows(t, s.data, room > 0 ? room : 1);
    term_wrap(t, 0, s.data, rows, w->status || w->gone[0] ? style_of(w) : TERM_BOLD);
    buf_fini(&s);
    return rows < 2 && room >= 2 ? 2 : rows;
}

static void draw_label(struct watch *w, unsigned y, unsigned x, const char *label)
{
    term_column(w->term, y, x);
    term_style(w->term, y, TERM_FAINT);
    term_text(w->term, y, label, 10, false);
    term_style(w->term, y, TERM_PLAIN);
    term_column(w->term, y, x + 9);
}

static void draw_oldest(struct watch *w, unsigned y, unsigned x)
{
    char age[UNITS_TEXT_SIZE];
    const json_t *ms = json_object_get(json_object_get(w->status, "backlog"), "oldest_age_ms");
    bool late = json_is_integer(ms) && json_integer_value(ms) > WATCH_OBJECTIVE_MS;
    if (json_is_integer(ms))
        calm_age(age, (uint64_t)json_integer_value(ms));
    draw_label(w, y, x, "oldest");
    if (late)
        term_style(w->term, y, TERM_BAD);
    if (json_is_integer(ms))
        term_textf(w->term, y, late ? "%s, LATE (over 1 min)" : "%s, within 1 min", age);
    else
        term_text(w->term, y, "nothing waits", 20, false);
    term_style(w->term, y, TERM_PLAIN);
}

static void draw_rate(struct watch *w, unsigned y)
{
    char text[UNITS_TEXT_SIZE];
    const json_t *again =
        json_object_get(json_object_get(w->status, "destination"), "next_probe_ms");
    const char *state = watch_text(w->status, "destination", "state");
    draw_label(w, y, 0, "rate");
    if (json_is_integer(again) && state && strcmp(state, "waiting") == 0)
        term_textf(w->term, y, "nothing goes; again in %s",
                   calm_age(text, (uint64_t)json_integer_value(again) + 999));
    else
        term_textf(w->term, y, "%.1f files/s, %s/s", w->files_per_s,
                   units_format_size(text, (uint64_t)w->bytes_per_s));
}

static void draw_backlog(struct watch *w, unsigned y)
{
    char size[UNITS_TEXT_SIZE];
    long long files = (long long)watch_number(w->status, "backlog", "files");
    draw_label(w, y, 0, "backlog");
    term_textf(w->term, y, "%lld file%s, %s", files, files == 1 ? "" : "s",
               units_format_size(size, (uint64_t)watch_number(w->status, "backlog", "bytes")));
}

static void draw_states(struct watch *w, unsigned y, unsigned x)
{
    static const char *const shown[] = {"settling", "deferred", "held", "rejected"};
    draw_label(w, y, x, "sending");
    term_textf(w->term, y, "%lld", (long long)watch_number(w->status, "files", "sending"));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        long long n = (long long)watch_number(w->status, "files", shown[i]);
        if (n > 0)
            term_textf(w->term, y, ", %s %lld", shown[i], n);
    }
}

static unsigned draw_figures(struct watch *w, unsigned y)
{
    unsigned wide = term_columns(w->term), half = wide >= WIDE ? 60 : 38;
    draw_rate(w, y);
    if (wide < NARROW)
        draw_oldest(w, ++y, 0);
    else
        draw_oldest(w, y, half);
    draw_backlog(w, ++y);
    if (wide >= NARROW)
        draw_states(w, y, half);
    return y + 1;
}

static unsigned draw_minutes(struct watch *w, unsigned y)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    enum { STEP = 5, COLUMNS_MAX = WATCH_SECONDS / STEP };
    float column[COLUMNS_MAX], most = 0;
    struct buf line;
    char span[32];
    unsigned n = term_columns(w->term) > 30 ? term_columns(w->term) - 30 : 1;
    n = n < COLUMNS_MAX ? n : COLUMNS_MAX;
    n -= n >= 12 ? n % 12 : 0; /* whole minutes */
    watch_past_columns(w, STEP, column, n);
    buf_init(&line, 8192);
    for (unsigned i = 0; i < n; i++)
        most = column[i] > most ? column[i] : most;
    for (unsigned i = 0; i < n; i++) {
        unsigned level = most > 0 && column[i] > 0 ? 1 + (unsigned)(column[i] / most * 6.99F) : 0;
        buf_adds(&line, column[i] < 0 ? " " : (term_is_utf8(w->term) ? blocks : ascii)[level & 7]);
    }
    (void)snprintf(span, sizeof span, "%u min", n * STEP / 60);
    draw_label(w, y, 0, n >= 12 ? span : "lately");
    term_text(w->term, y, line.data, n, false);
    term_column(w->term, y, 9 + n + 1);
    term_style(w->term, y, TERM_FAINT);
    term_textf(w->term, y, "peak %.1f/s", (double)most);
    term_style(w->term, y, TERM_PLAIN);
    buf_fini(&line);
    return y + 1;
}

/* ---- tables ---- */

static void draw_heading(struct watch *w, unsigned y, const char *text)
{
    term_style(w->term, y, TERM_BOLD);
    term_text(w->term, y, text, TERM_COLUMNS_MAX, false);
    term_style(w->term, y, TERM_PLAIN);
}

static void begin_row(struct watch *w, unsigned y, bool chosen)
{
    if (chosen)
        term_style(w->term, y, TERM_MARKED);
    term_text(w->term, y, chosen ? "> " : "  ", 2, false);
}

static void end_row(struct watch *w, unsigned y, bool chosen)
{
    if (chosen)
        term_column(w->term, y, term_columns(w->term));
    term_style(w->term, y, TERM_PLAIN);
}

/* Right edges of the columns; 0: no room for it. */
struct type_columns {
    unsigned name, files, bytes, oldest, delivered;
};

static struct type_columns type_columns(unsigned wide)
{
    struct type_columns c = {.name = wide >= WIDE ? 40 : wide >= NARROW ? 24 : 14};
    c.files = c.name + 11;
    c.bytes = wide >= NARROW ? c.files + 11 : 0;
    c.oldest = wide >= NARROW ? c.bytes + 12 : wide >= 40 ? c.files + 12 : 0;
    c.delivered = wide >= 74 ? c.oldest + 12 : 0;
    return c;
}

static void draw_types_heading(struct watch *w, unsigned y)
{
    struct type_columns c = type_columns(term_columns(w->term));
    term_style(w->term, y, TERM_BOLD);
    term_text(w->term, y, "EVENT TYPE", c.name, false);
    term_right(w->term, y, c.files, "WAITING");
    if (c.bytes)
        term_right(w->term, y, c.bytes, "SIZE");
    if (c.oldest)
        term_right(w->term, y, c.oldest, "OLDEST");
    if (c.delivered)
        term_right(w->term, y, c.delivered, "DELIVERED");
    term_style(w->term, y, TERM_PLAIN);
}

static void draw_type(struct watch *w, unsigned y, const struct watch_row *row, bool chosen)
{
    struct type_columns c = type_columns(term_columns(w->term));
    char text[UNITS_TEXT_SIZE];
    const char *held = json_string_value(json_object_get(row->v, "held"));
    begin_row(w, y, chosen);
    term_text(w->term, y, row->name[0] ? row->name : "(none)", c.name - 2, false);
    (void)snprintf(text, sizeof text, "%lld",
                   (long long)json_integer_value(json_object_get(row->v, "files")));
    term_right(w->term, y, c.files, text);
    show_size(text, json_object_get(row->v, "bytes"));
    if (c.bytes)
        term_right(w->term, y, c.bytes, text);
    show_age(text, json_object_get(row->v, "oldest_age_ms"));
    if (c.oldest)
        term_right(w->term, y, c.oldest, text);
    (void)snprintf(text, sizeof text, "%lld",
                   (long long)json_integer_value(json_object_get(row->v, "delivered_files")));
    if (c.delivered)
        term_right(w->term, y, c.delivered, text);
    if (held) {
        term_text(w->term, y, "  held: ", 8, false);
        term_text(w->term, y, held, TERM_COLUMNS_MAX, false);
    }
    end_row(w, y, chosen);
}

/* Of a file that is sent in parts: how far it is. Others: how long it waits. */
static void draw_how_far(struct watch *w, unsigned y, const struct watch_row *row)
{
    enum { CELLS = 8 };
    const char *full = term_is_utf8(w->term) ? "█" : "#",
               *empty = term_is_utf8(w->term) ? "░" : ".";
    json_int_t size = json_integer_value(json_object_get(row->v, "size"));
    json_int_t sent = json_integer_value(json_object_get(row->v, "sent"));
    char text[UNITS_TEXT_SIZE];
    if (!row->sending || sent <= 0 || size <= 0) {
        show_since(text, json_object_get(row->v, "since"));
        term_right(w->term, y, 24, text);
        return;
    }
    unsigned percent = (unsigned)(100.0 * (double)sent / (double)size);
    for (unsigned i = 0; i < CELLS; i++)
        term_text(w->term, y, i * 100 < percent * CELLS ? full : empty, 1, false);
    (void)snprintf(text, sizeof text, "%u %%", percent);
    term_right(w->term, y, 24, text);
}

static void draw_file(struct watch *w, unsigned y, const struct watch_row *row, bool chosen)
{
    struct term *t = w->term;
    unsigned wide = term_columns(t);
    const char *state = json_string_value(json_object_get(row->v, "state"));
    const char *why = json_string_value(json_object_get(row->v, "why"));
    char text[UNITS_TEXT_SIZE];
    begin_row(w, y, chosen);
    term_text(t, y, row->sending ? "sending" : state ? state : "", 9, false);
    if (wide >= 40) {
        term_column(t, y, 12);
        draw_how_far(w, y, row);
    }
    if (wide >= NARROW) {
        show_size(text, json_object_get(row->v, "size"));
        term_right(t, y, 35, text);
    }
    term_column(t, y, wide >= NARROW ? 37 : wide >= 40 ? 26 : 12);
    unsigned room = wide > term_used(t, y) ? wide - term_used(t, y) : 0;
    bool beside = wide >= WIDE && why;
    term_text(t, y, row->name, beside ? room * 11 / 20 : room, true);
    if (beside) {
        term_column(t, y, wide - room + room * 11 / 20 + 2);
        term_text(t, y, why, TERM_COLUMNS_MAX, false);
    }
    end_row(w, y, chosen);
}

/* How many rows each part gets; headings not counted, 0: left out altogether. By the size alone,
 * but for the event types, of which there are seldom more: nothing jumps when files come and go. */
struct shares {
    unsigned types, files, errors;
    bool gaps;
};

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static struct shares share(unsigned room, unsigned types)
{
    struct shares s = {.gaps = room >= 20};
    if (s.gaps)
        room -= 2;
    if (room >= 2) {
        s.types = least(types > 0 ? types : 1, room >= 6 ? (room - 1) * 2 / 5 : room - 1);
        room -= s.types + 1;
    }
    if (room >= 6) {
        s.errors = least(room / 4, 6);
        room -= s.errors + 1;
    }
    if (room >= 2)
        s.files = room - 1;
    return s;
}

/* The part of a table that is shown, so that the chosen row is in it. */
static unsigned first_shown(unsigned chosen, unsigned n, unsigned room)
{
    return chosen < n && chosen >= room ? chosen - room + 1 : 0;
}

static unsigned draw_types(struct watch *w, unsigned y, const struct watch_row *rows, unsigned n,
                           unsigned room, unsigned chosen)
{
    unsigned from = first_shown(chosen, n, room);
    draw_types_heading(w, y);
    if (n > room)
        term_textf(w->term, y, "  %u-%u/%u", from + 1, from + room, n);
    y++;
    if (n == 0)
        term_text(w->term, y, w->filter[0] ? "  none fits the filter" : "  none so far", 40, false);
    for (unsigned i = from; i < n && i < from + room; i++)
        draw_type(w, y + i - from, &rows[i], i == chosen);
    return y + room;
}

static unsigned draw_files(struct watch *w, unsigned y, const struct watch_row *rows, unsigned n,
                           unsigned room, unsigned chosen)
{
    char heading[128 + WATCH_WORD_MAX];
    unsigned from = first_shown(chosen, n, room);
    unsigned shown = least(room, n - from);
    (void)snprintf(heading, sizeof heading, "FILES %s%s", w->filter[0] ? "that fit: " : "",
                   w->filter[0] ? w->filter : "in flight, or in need of attention");
    draw_heading(w, y, heading);
    if (n > shown || w->files_more)
        term_textf(w->term, y, "  (%u-%u of %u%s)", from + 1, from + shown, n,
                   w->files_more ? " and more" : "");
    y++;
    if (n == 0)
        term_text(w->term, y, "  none", 40, false);
    for (unsigned i = from; i < n && i < from + room; i++)
        draw_file(w, y + i - from, &rows[i], i == chosen);
    return y + room;
}

static unsigned draw_errors(struct watch *w, unsigned y, unsigned room)
{
    draw_heading(w, y++, "LAST ERRORS (UTC)");
    if (w->n_errors == 0)
        term_text(w->term, y, "  none since this view began", 40, false);
    for (unsigned i = 0; i < w->n_errors && i < room; i++) {
        term_style(w->term, y + i, w->errors[i].now ? TERM_WARNING : TERM_FAINT);
        term_textf(w->term, y + i, "  %s %s ", w->errors[i].at, w->errors[i].now ? "!" : " ");
        term_text(w->term, y + i, w->errors[i].text, TERM_COLUMNS_MAX, false);
        term_style(w->term, y + i, TERM_PLAIN);
    }
    return y + room;
}

/* ---- the lower part ---- */

static void draw_question(struct watch *w, unsigned y)
{
    term_style(w->term, y, TERM_WARNING);
    term_textf(w->term, y, "%s%s ", w->verb->ask,
               w->verb_kind == WATCH_TYPE ? " all files of the event type" : "");
    unsigned used = term_used(w->term, y), wide = term_columns(w->term);
    term_text(w->term, y, w->verb_name, wide > used + 10 ? wide - used - 10 : 0, true);
    term_text(w->term, y, "? [y/n] ", 8, false);
    term_style(w->term, y, TERM_PLAIN);
}

/* A question, an answer, or what there is to say of the chosen row. */
static void draw_explanation(struct watch *w, unsigned y, unsigned rows,
                             const struct watch_row *row)
{
    const char *why =
        row ? json_string_value(json_object_get(row->v, row->kind == WATCH_TYPE ? "held" : "why"))
            : NULL;
    if (w->mode == WATCH_ASKING) {
        draw_question(w, y);
    } else if (w->mode == WATCH_TYPING) {
        term_text(w->term, y, "Filter (part of an event type or path, and a state): ", 60, false);
        term_text(w->term, y, w->typed, TERM_COLUMNS_MAX, true);
        term_text(w->term, y, "_", 1, false);
    } else if (w->message[0] && loop_now_ms(w->loop) < w->message_until_ms) {
        term_wrap(w->term, y, w->message, rows, TERM_BOLD);
    } else if (why) {
        term_wrap(w->term, y, why, rows, TERM_PLAIN);
    }
}

static void draw_keys(struct watch *w, unsigned y)
{
    unsigned wide = term_columns(w->term);
    char now[CLOCK_RFC3339_SIZE];
    clock_rfc3339(now, clock_wall_now_ns());
    term_style(w->term, y, TERM_FAINT);
    term_text(w->term, y,
              wide >= 74 ? "q quit  arrows choose  Enter more  r retry  h hold  l release  / filter"
              : wide >= 40 ? "q quit  r retry  h hold  l release"
                           : "q quit",
              wide, false);
    if (wide >= term_used(w->term, y) + 9) {
        (void)snprintf(now, sizeof now, "%.8s", now + 11);
        term_right(w->term, y, wide, wide >= 90 ? now : "? help");
    }
    term_style(w->term, y, TERM_PLAIN);
}

static unsigned draw_paragraph(struct watch *w, unsigned y, const char *text)
{
    unsigned rows = term_wrap_rows(w->term, text, term_rows(w->term));
    term_wrap(w->term, y, text, rows, TERM_PLAIN);
    return y + rows;
}

static void draw_help(struct watch *w)
{
    static const char *const lines[] = {
        "up, down    choose an event type or a file (also k, j, PgUp, PgDn, Home, End)",
        "Enter       all that is known of the chosen row, and the whole sentence",
        "r           try it again: a rejected file goes back, a held one is released",
        "h           hold it: it is not sent until it is released",
        "l           release it",
        "            of an event type: all its files; each is asked about first",
        "f or /      show only what fits: part of an event type or path, and a state:",
        "            settling accepted sending deferred held rejected forgotten delivered",
        "Esc         nothing chosen; no filter; no further files of an event type",
        "Control-L   draw anew",
        "q           quit (Control-C, too)",
        "",
        "A file that is sent in parts shows how much of it the bucket has acknowledged.",
        "Rates are of the last 10 s. An error with ! was in the last answer.",
        "",
        "Any key goes back.",
    };
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++)
        term_text(w->term, i, lines[i], TERM_COLUMNS_MAX, false);
}

static void draw_details(struct watch *w, const struct watch_row *row)
{
    struct buf s;
    const char *key;
    const json_t *v;
    buf_init(&s, 65536);
    watch_sentence(w, &s);
    unsigned y = draw_paragraph(w, 0, s.data) + 1;
    if (row) {
        json_object_foreach((json_t *)(uintptr_t)row->v, key, v)
        {
            buf_reset(&s);
            buf_addf(&s, "%s: ", key);
            if (json_is_string(v))
                buf_adds(&s, json_string_value(v));
            else
                json_write(&s, v);
            y = draw_paragraph(w, y, s.data);
        }
    }
    term_text(w->term, y + 1, "Any key goes back.", 20, false);
    buf_fini(&s);
}

static void draw_tables(struct watch *w, unsigned y, const struct watch_row *rows, unsigned n,
                        unsigned chosen)
{
    unsigned all = term_rows(w->term), explain = all >= 40 ? 3 : all >= 12 ? 1 : 0;
    unsigned types = 0, end = all - 1 - explain;
    while (types < n && rows[types].kind == WATCH_TYPE)
        types++;
    struct shares s = share(end > y ? end - y : 0, types);
    if (s.types)
        y = draw_types(w, y, rows, types, s.types, chosen) + s.gaps;
    if (s.files)
        y = draw_files(w, y, rows + types, n - types, s.files,
                       chosen >= types ? chosen - types : n) +
            s.gaps;
    if (s.errors)
        y = draw_errors(w, y, s.errors);
    if (explain)
        draw_explanation(w, end, explain, chosen < n ? &rows[chosen] : NULL);
    else if (w->mode != WATCH_PLAIN)
        draw_explanation(w, all - 1, 1, NULL);
    if (explain || w->mode == WATCH_PLAIN)
        draw_keys(w, all - 1);
}

void watch_draw(struct watch *w)
{
    struct watch_row rows[WATCH_ROWS_MAX];
    unsigned n = watch_rows(w, rows), y;
    unsigned chosen = watch_chosen(w, rows, n);
    term_begin(w->term);
    unsigned all = term_rows(w->term);
    if (w->mode == WATCH_HELP) {
        draw_help(w);
    } else if (w->mode == WATCH_DETAILS) {
        draw_details(w, chosen < n ? &rows[chosen] : NULL);
    } else {
        y = draw_sentence(w);
        y += all >= 16;
        if (all >= y + 3)
            y = draw_figures(w, y);
        if (all >= 12)
            y = draw_minutes(w, y);
        y += all >= 20;
        draw_tables(w, y, rows, n, chosen);
    }
    if (!term_end(w->term, w->anew))
        loop_stop(w->loop);
    w->anew = false;
}
