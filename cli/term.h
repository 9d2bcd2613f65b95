/* A terminal that is drawn on as a whole: alternate screen, one key at a time, lines that are
 * rewritten only when they changed. Nothing reaches it but what was made printable here: a file's
 * name cannot speak to the terminal. It takes termios and a few sequences that every terminal since
 * the VT100 knows, no library.
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include "base/buf.h"

#include <stdbool.h>

enum { TERM_ROWS_MAX = 500, TERM_COLUMNS_MAX = 1000 };

/* What is no byte. */
enum {
    TERM_KEY_UP = 256,
    TERM_KEY_DOWN,
    TERM_KEY_PAGE_UP,
    TERM_KEY_PAGE_DOWN,
    TERM_KEY_HOME,
    TERM_KEY_END,
    TERM_KEY_ESCAPE,
};

enum term_style {
    TERM_PLAIN,
    TERM_FAINT,
    TERM_BOLD,
    TERM_GOOD,
    TERM_WARNING,
    TERM_BAD,
    TERM_MARKED, /* of the selected row; where there are no colours, too */
    TERM_STYLE_COUNT_
};

struct term;
/* Do stdin and stdout lead to one that can be drawn on? Not a pipe, not TERM=dumb. */
bool term_is_there(void);
/* NULL and e: it cannot be opened. Looks at NO_COLOR, COLORTERM and the locale. */
struct term *term_new(struct err *e);
/* Leaves it as it was found. NULL allowed. */
void term_free(struct term *t);
/* Take it over, and give it back for a while (SIGTSTP): both may be called at any time, twice, too.
 * A signal that ends the process by a fault of ours gives it back as well. */
void term_enter(struct term *t);
void term_leave(struct term *t);
/* For loop_poll_new: not the descriptor that the shell shares with us. */
int term_fd(const struct term *t);
/* Keys that are there: at most n; 0: none, -1: the terminal is gone. A sequence that came in pieces
 * is waited for; `flush`: it has been waited for long enough. */
int term_keys(struct term *t, int *keys, int n, bool flush);
/* An escape byte came, and nothing yet that says what it begins. */
bool term_is_waiting(const struct term *t);

bool term_is_utf8(const struct term *t);
unsigned term_rows(const struct term *t);
unsigned term_columns(const struct term *t);

/* ---- one picture ---- */

/* Asks for the size anew; every line is empty then. */
void term_begin(struct term *t);
/* What is behind the last row is cut off. */
void term_style(struct term *t, unsigned row, enum term_style style);
/* Append text to the row, in `room` cells at most; longer: cut, with an ellipsis. `keep_end`: in
 * the middle, as a path's end tells more. Everything that is no printable character is escaped. */
void term_text(struct term *t, unsigned row, const char *text, unsigned room, bool keep_end);
void term_textf(struct term *t, unsigned row, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Text that ends at this column, counted from 0. */
void term_right(struct term *t, unsigned row, unsigned column, const char *text);
/* Blanks up to this column; if it is behind it already, one. */
void term_column(struct term *t, unsigned row, unsigned column);
unsigned term_used(const struct term *t, unsigned row); /* cells */
/* How many rows this text takes, at most max; and to draw it from `row` on: at words, what is too
 * long is cut in the middle. */
unsigned term_wrap_rows(const struct term *t, const char *text, unsigned max);
void term_wrap(struct term *t, unsigned row, const char *text, unsigned rows, enum term_style s);
/* Show it: only rows that differ from what is there are written, all at once. `anew`: all of them.
 * False: the terminal is gone. */
bool term_end(struct term *t, bool anew);

#endif
