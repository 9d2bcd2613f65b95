/* The inside of `status --watch`, shared by its files: watch.c (life, signals), watch_ask.c
 * (requests), watch_keys.c (keys, filter, verbs), watch_past.c (rates, the last minutes, the last
 * errors), watch_view.c (the picture).
 */
#ifndef CLI_WATCH_INT_H
#define CLI_WATCH_INT_H

#include "base/loop.h"
#include "cli/term.h"
#include "cli/watch.h"
#include "spool/layout.h"
#include "uploader/http.h"

#define WATCH_OBJECTIVE_MS 60000
enum {
    WATCH_SECONDS = 1200, /* of which deliveries are remembered */
    WATCH_RATE_SECONDS = 10,
    WATCH_ERRORS_MAX = 12,
    WATCH_ROWS_MAX = 256, /* of both tables */
    WATCH_WORD_MAX = 128,
};

/* One request of a kind at a time. */
struct watch_call {
    struct watch *w;
    struct http_call http;
    struct buf url, body;
    bool busy;
    uint64_t since_ms;
    /* status 0: no answer, trouble says why; v: the answer's JSON, NULL if it is none. */
    void (*answered)(struct watch *w, int status, const json_t *v, const char *trouble);
};

enum watch_mode { WATCH_PLAIN, WATCH_TYPING, WATCH_ASKING, WATCH_HELP, WATCH_DETAILS };
enum watch_kind { WATCH_NOTHING, WATCH_TYPE, WATCH_FILE };

/* A row of the tables; points into the answers. */
struct watch_row {
    enum watch_kind kind;
    const json_t *v;
    const char *name; /* event type, path */
    bool sending;
};

struct watch_verb {
    char key;
    const char *path, *word, *ask; /* "/v1/hold", "held", "Hold" */
    const char *none;              /* there was nothing to do; before the event type */
};

struct watch {
    const struct config *config;
    bool json;
    struct term *term; /* NULL: lines */
    struct loop *loop;
    struct loop_timer *tick, *key_wait;
    struct loop_poll *poll;
    struct loop_signal *signals[8];
    unsigned n_signals;
    struct http_client *http;
    struct watch_call ask_status, ask_history, ask_files, ask_verb;
    int ended_by; /* a signal; 0: a key */
    bool anew;    /* draw everything */

    json_t *status; /* the last answer; NULL: none yet */
    uint64_t answered_ms;
    char gone[768]; /* why there was no answer; "": there was */
    bool gone_told; /* on stderr, where stdout is for figures alone */

    /* Files that want attention, or that the filter finds. */
    json_t *files, *fresh;
    char files_filter[WATCH_WORD_MAX]; /* that the fresh ones are asked for with */
    unsigned files_step, files_pages;
    uint64_t files_due_ms;
    json_int_t files_sum; /* of the counts that they were asked for */
    bool files_more;
    struct buf cursor;

    struct watch_sample {
        uint64_t at_ms;
        int64_t files, bytes;
    } samples[WATCH_RATE_SECONDS + 1]; /* newest last */
    unsigned n_samples;
    double files_per_s, bytes_per_s;
    int64_t second_files; /* delivered, as of the last second; -1: not known */
    float seconds[WATCH_SECONDS];
    uint64_t ticks; /* seconds so far, and a ring's before: its next place */
    struct watch_error {
        char at[16];
        char *text;
        bool now, before; /* it was there in the last answer, in the one before */
    } errors[WATCH_ERRORS_MAX];
    unsigned n_errors;

    enum watch_mode mode;
    char filter[WATCH_WORD_MAX], typed[WATCH_WORD_MAX];
    enum watch_kind chosen;
    char *chosen_name;
    unsigned chosen_at; /* its row, should it go */
    struct layout *layout;
    const struct watch_verb *verb; /* asked about, or on its way */
    enum watch_kind verb_kind;
    char *verb_name;
    struct buf verb_cursor;
    bool verb_stopped; /* by Esc: no further page */
    unsigned long long verb_done, verb_failed;
    char message[512];
    uint64_t message_until_ms;
};

/* watch_ask.c */
void watch_ask_init(struct watch *w);
void watch_ask_fini(struct watch *w);
void watch_ask_status(struct watch *w);  /* unless it is on its way */
void watch_ask_history(struct watch *w); /* once */
void watch_ask_files(struct watch *w);   /* if it is time */
void watch_ask_verb(struct watch *w);    /* the next page of it */
/* The filter's word that is a state, and the one that is not; "" if there is none. */
void watch_filter_words(const char *filter, char state[WATCH_WORD_MAX], char match[WATCH_WORD_MAX]);

/* watch_past.c */
void watch_past_answer(struct watch *w); /* a new status */
void watch_past_tick(struct watch *w);   /* a second is over */
void watch_past_files(struct watch *w);  /* new files */
/* The minutes before this view began, as GET /v1/history tells them. */
void watch_past_history(struct watch *w, const json_t *history);
void watch_past_fini(struct watch *w);
/* Files a second in the n last columns of `step` seconds, oldest first; below 0: not known. */
void watch_past_columns(const struct watch *w, unsigned step, float *out, unsigned n);

/* watch_keys.c */
void watch_keys(struct watch *w, const int *keys, int n);
void watch_say(struct watch *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The rows that both tables have, event types first. */
unsigned watch_rows(const struct watch *w, struct watch_row rows[WATCH_ROWS_MAX]);
/* Which of them is chosen, n: none; sees to it that one that has gone is followed by its
 * neighbour. */
unsigned watch_chosen(struct watch *w, const struct watch_row *rows, unsigned n);

/* watch_view.c */
void watch_draw(struct watch *w);
/* The sentence, or that nobody answers. */
void watch_sentence(const struct watch *w, struct buf *out);

/* Something of the status; 0, NULL if it is not there. */
json_int_t watch_number(const json_t *v, const char *group, const char *key);
const char *watch_text(const json_t *v, const char *group, const char *key);

#endif
