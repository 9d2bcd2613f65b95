/* What `status --watch` asks of the gateway: see watch_int.h. At most one request of a kind is on
 * its way, so that a slow gateway is not asked faster than it answers.
 */
#include "cli/watch_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX = 16 << 20,
    FILES_EACH = 20, /* of each state that wants attention */
    FILES_FOUND = 60,
    FOUND_PAGES_MAX = 5,
    FILES_AGAIN_MS = 3000,
    VERB_PAGE = 500,
};

static const char *const attention[] = {"rejected", "held", "deferred"};
#define ATTENTION (sizeof attention / sizeof attention[0])

/* ---- one request ---- */

static void done(void *arg, const struct http_answer *a)
{
    struct watch_call *c = arg;
    struct watch *w = c->w;
    struct buf why;
    json_t *v = NULL;
    c->busy = false;
    if (a->rc == RC_CANCELLED)
        return;
    buf_init(&why, 4096);
    if (a->rc != RC_OK)
        cli_no_gateway(w->config, a->text, &why);
    else
        v = json_loadb(a->body, a->body_len, JSON_REJECT_DUPLICATES, NULL);
    c->answered(w, a->rc == RC_OK ? a->status : 0, v, why.data);
    json_decref(v);
    buf_fini(&why);
}

static void call_init(struct watch_call *c, struct watch *w,
                      void (*answered)(struct watch *, int, const json_t *, const char *))
{
    *c = (struct watch_call){.w = w, .answered = answered};
    buf_init(&c->url, 16384);
    buf_init(&c->body, 1 << 16);
}

static void call_fini(struct watch_call *c)
{
    buf_fini(&c->url);
    buf_fini(&c->body);
}

/* url and body are set. */
static void start(struct watch_call *c, const char *method)
{
    static const char *const headers[] = {"Host: localhost", "Content-Type: application/json"};
    c->busy = true;
    c->since_ms = loop_now_ms(c->w->loop);
    c->http = (struct http_call){.method = method,
                                 .url = c->url.data,
                                 .headers = headers,
                                 .n_headers = 2,
                                 .body = {.data = c->body.data, .size = c->body.len, .fd = -1},
                                 .answer_max = ANSWER_MAX,
                                 .unix_socket = c->w->config->control,
                                 .done = done,
                                 .arg = c};
    http_start(c->w->http, &c->http);
}

static void begin_url(struct watch_call *c, const char *path)
{
    buf_reset(&c->url);
    buf_reset(&c->body);
    buf_addf(&c->url, "http://localhost%s", path);
}

/* ---- status ---- */

/* Files came into a state that wants attention, or left it. */
static void look_again(struct watch *w)
{
    json_int_t sum = 0;
    for (size_t i = 0; i < ATTENTION; i++)
        sum = sum * 31 + watch_number(w->status, "files", attention[i]);
    if (sum != w->files_sum)
        w->files_due_ms = 0;
    w->files_sum = sum;
    watch_ask_files(w);
}

static void status_answered(struct watch *w, int status, const json_t *v, const char *trouble)
{
    if (status != 200 || !json_is_string(json_object_get(v, "sentence"))) {
        text_copy(w->gone, sizeof w->gone,
                  status == 0 ? trouble : "The gateway's answer cannot be understood.");
        return;
    }
    json_decref(w->status);
    w->status = json_incref((json_t *)(uintptr_t)v);
    w->gone[0] = '\0';
    w->answered_ms = loop_now_ms(w->loop);
    watch_past_answer(w);
    look_again(w);
}

void watch_ask_status(struct watch *w)
{
    if (w->ask_status.busy)
        return;
    begin_url(&w->ask_status, "/v1/status");
    start(&w->ask_status, "GET");
}

/* ---- the minutes before ---- */

static void history_answered(struct watch *w, int status, const json_t *v, const char *trouble)
{
    (void)trouble; /* without it they begin now */
    if (status == 200)
        watch_past_history(w, v);
}

void watch_ask_history(struct watch *w)
{
    begin_url(&w->ask_history, "/v1/history?span=hour");
    start(&w->ask_history, "GET");
}

/* ---- files ---- */

void watch_filter_words(const char *filter, char state[WATCH_WORD_MAX], char match[WATCH_WORD_MAX])
{
    static const char *const states[] = {"settling", "accepted", "sending",   "deferred",
                                         "held",     "rejected", "forgotten", "delivered"};
    state[0] = match[0] = '\0';
    for (const char *p = filter; *p;) {
        size_t n = strcspn(p, " ");
        bool is_state = false;
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
            is_state |= n == strlen(states[i]) && memcmp(p, states[i], n) == 0;
        if (n > 0)
            (void)snprintf(is_state ? state : match, WATCH_WORD_MAX, "%.*s", (int)n, p);
        p += n;
        p += strspn(p, " ");
    }
}

static void ask_page(struct watch *w, const char *state, const char *match, unsigned limit)
{
    struct watch_call *c = &w->ask_files;
    begin_url(c, "/v1/files?limit=");
    buf_addf(&c->url, "%u", limit);
    if (state[0])
        buf_addf(&c->url, "&state=%s", state);
    if (match[0]) {
        buf_adds(&c->url, "&match=");
        cli_query_encode(&c->url, match);
    }
    if (w->cursor.len > 0) {
        buf_adds(&c->url, "&cursor=");
        cli_query_encode(&c->url, w->cursor.data);
    }
    start(c, "GET");
}

/* All that was wanted is there, or the gateway is not. */
static void files_end(struct watch *w, bool whole)
{
    if (whole) {
        json_decref(w->files);
        w->files = w->fresh;
        w->fresh = NULL;
        w->files_more = w->cursor.len > 0;
        watch_past_files(w);
    }
    json_decref(w->fresh);
    w->fresh = NULL;
    w->files_due_ms = loop_now_ms(w->loop) + FILES_AGAIN_MS;
}

static void files_go_on(struct watch *w)
{
    char state[WATCH_WORD_MAX], match[WATCH_WORD_MAX];
    watch_filter_words(w->filter, state, match);
    if (state[0] || match[0]) {
        size_t found = json_array_size(w->fresh);
        if (w->files_pages > 0 &&
            (w->cursor.len == 0 || found >= FILES_FOUND || w->files_pages == FOUND_PAGES_MAX)) {
            files_end(w, true);
            return;
        }
        w->files_pages++;
        ask_page(w, state, match, FILES_FOUND - (unsigned)found);
        return;
    }
    buf_reset(&w->cursor);
    while (w->files_step < ATTENTION &&
           watch_number(w->status, "files", attention[w->files_step]) == 0)
        w->files_step++;
    if (w->files_step < ATTENTION)
        ask_page(w, attention[w->files_step++], "", FILES_EACH);
    else
        files_end(w, true);
}

static void files_answered(struct watch *w, int status, const json_t *v, const char *trouble)
{
    const char *cursor = json_string_value(json_object_get(v, "cursor"));
    (void)trouble; /* the status tells it */
    if (status != 200) {
        files_end(w, false);
        return;
    }
    if (strcmp(w->files_filter, w->filter) != 0) { /* nobody wants these any more */
        files_end(w, false);
        w->files_due_ms = 0;
        watch_ask_files(w);
        return;
    }
    json_array_extend(w->fresh, json_object_get(v, "files"));
    buf_reset(&w->cursor);
    buf_adds(&w->cursor, cursor ? cursor : "");
    files_go_on(w);
}

void watch_ask_files(struct watch *w)
{
    if (w->ask_files.busy || !w->status || !w->term || loop_now_ms(w->loop) < w->files_due_ms)
        return;
    w->fresh = json_array();
    text_copy(w->files_filter, sizeof w->files_filter, w->filter);
    w->files_step = w->files_pages = 0;
    buf_reset(&w->cursor);
    files_go_on(w);
}

/* ---- verbs ---- */

/* The pattern of an event type's paths; false: the layout has none. */
static bool pattern_of(const struct watch *w, const char *type, struct buf *out)
{
    struct buf plain;
    if (!w->layout || type[0] == '\0')
        return false;
    buf_init(&plain, 4096);
    for (const char *p = type; *p; p++) {
        if (strchr("*?[\\", *p))
            buf_addc(&plain, '\\');
        buf_addc(&plain, *p);
    }
    if (layout_is_any(w->layout))
        buf_addf(out, "%s/*", plain.data);
    else
        layout_path(w->layout, plain.data, "*", "*", "*", out);
    buf_fini(&plain);
    return true;
}

void watch_ask_verb(struct watch *w)
{
    struct watch_call *c = &w->ask_verb;
    struct buf pattern;
    json_t *body;
    begin_url(c, w->verb->path);
    if (w->verb_kind == WATCH_FILE) {
        body = json_pack("{s:[s]}", "paths", w->verb_name);
    } else {
        buf_init(&pattern, 8192);
        if (!pattern_of(w, w->verb_name, &pattern)) {
            watch_say(w, "Files without an event type are chosen one by one.");
            buf_fini(&pattern);
            return;
        }
        body = json_pack("{s:b, s:s, s:i, s:s}", "all", 1, "match", pattern.data, "limit",
                         VERB_PAGE, "cursor", w->verb_cursor.data);
        buf_fini(&pattern);
    }
    json_write(&c->body, body);
    json_decref(body);
    start(c, "POST");
}

static void count_results(struct watch *w, const json_t *files)
{
    size_t i;
    const json_t *f;
    json_array_foreach(files, i, f)
    {
        const char *result = json_string_value(json_object_get(f, "result"));
        if (result && strcmp(result, "failed") == 0)
            w->verb_failed++;
        else if (result && strcmp(result, "unchanged") != 0)
            w->verb_done++;
    }
}

static void tell_one(struct watch *w, const json_t *file)
{
    const char *result = json_string_value(json_object_get(file, "result"));
    const char *text = json_string_value(json_object_get(file, "text"));
    watch_say(w, "%s%s%s: %s", result ? result : "no answer", text ? ", " : "", text ? text : "",
              w->verb_name);
}

static void verb_answered(struct watch *w, int status, const json_t *v, const char *trouble)
{
    const char *title = json_string_value(json_object_get(v, "title"));
    const char *cursor = json_string_value(json_object_get(v, "cursor"));
    const json_t *files = json_object_get(v, "files");
    w->files_due_ms = 0;
    if (status / 100 != 2) {
        watch_say(w, "%s", title ? title : trouble[0] ? trouble : "The gateway refused it.");
        return;
    }
    if (w->verb_kind == WATCH_FILE) {
        tell_one(w, json_array_get(files, 0));
        watch_ask_status(w);
        return;
    }
    count_results(w, files);
    buf_reset(&w->verb_cursor);
    buf_adds(&w->verb_cursor, cursor && !w->verb_stopped ? cursor : "");
    if (w->verb_failed > 0)
        watch_say(w, "%llu files of %s %s, %llu failed", w->verb_done, w->verb_name, w->verb->word,
                  w->verb_failed);
    else if (w->verb_done > 0 || w->verb_cursor.len > 0)
        watch_say(w, "%llu files of %s %s%s", w->verb_done, w->verb_name, w->verb->word,
                  w->verb_cursor.len > 0 ? " so far; Esc leaves it there" : "");
    else
        watch_say(w, "%s%s", w->verb->none, w->verb_name);
    if (w->verb_cursor.len > 0)
        watch_ask_verb(w);
    else
        watch_ask_status(w);
}

/* ---- life ---- */

void watch_ask_init(struct watch *w)
{
    struct http_cfg cfg = {.user_agent = "spoolgate",
                           .connections = 3,
                           .connect_ms = 5000,
                           .first_byte_ms = 60000, /* a verb waits for files being sent */
                           .no_proxy = true};
    w->http = http_client_new(w->loop, &cfg);
    call_init(&w->ask_status, w, status_answered);
    call_init(&w->ask_history, w, history_answered);
    call_init(&w->ask_files, w, files_answered);
    call_init(&w->ask_verb, w, verb_answered);
    buf_init(&w->cursor, 4096);
    buf_init(&w->verb_cursor, 8192);
}

void watch_ask_fini(struct watch *w)
{
    http_client_free(w->http);
    call_fini(&w->ask_status);
    call_fini(&w->ask_history);
    call_fini(&w->ask_files);
    call_fini(&w->ask_verb);
    buf_fini(&w->cursor);
    buf_fini(&w->verb_cursor);
    json_decref(w->files);
    json_decref(w->fresh);
}
