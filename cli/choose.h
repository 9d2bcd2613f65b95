/* Questions at a terminal: a line, a yes or no, and a list that typing narrows. They are asked on
 * stderr and answered on stdin; whoever asks has made sure that both are terminals
 * (choose_may_ask).
 */
#ifndef CLI_CHOOSE_H
#define CLI_CHOOSE_H

#include "base/buf.h"

#include <stdbool.h>

/* Are stdin and stderr a terminal? Otherwise nobody is asked anything. */
bool choose_may_ask(void);

struct choose_list {
    struct choose_item {
        char *value;
        char *note; /* shown behind it; "" */
    } * items;
    size_t n;
};
/* The value is copied; one that is there already is not added again. Both are made printable. */
void choose_list_add(struct choose_list *l, const char *value, const char *note);
void choose_list_fini(struct choose_list *l);

/* Append the answer. list: what typing narrows, by any part of the value or its note, letters of
 * either case alike; may be empty, then it is a plain line. What is not in the list may be typed
 * too. preset: what Enter alone gives, "" if nothing. RC_CANCELLED: Ctrl-C, Ctrl-D, or the terminal
 * is gone. */
enum rc choose_from(const char *question, const struct choose_list *list, const char *preset,
                    struct buf *out) MUST_CHECK;
/* One of these keys, in lower case: keys is such as "rsq"; Enter alone is the first. 0: cancelled.
 */
char choose_key(const char *question, const char *keys);

#endif
