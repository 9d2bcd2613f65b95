/* Who may use the console: links that open one session each, sessions that end when they are not
 * used, and how often somebody may try. Pure: no I/O, and the time is an argument.
 *
 * A token is 32 random bytes in hexadecimal. The table keeps digests of them only, and compares in
 * constant time, so that neither memory nor clock tells one.
 */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_TOKEN_SIZE 65 /* with its NUL */

enum {
    SESSION_LINKS_MAX = 8, /* one more drops the oldest */
    SESSION_MAX = 16,      /* one more ends the one that was not used for the longest */
    SESSION_ATTEMPTS = 5,  /* wrong ones within SESSION_ATTEMPTS_MS */
    SESSION_ATTEMPTS_MS = 60 * 1000,
    SESSION_LINK_MS = 5 * 60 * 1000,
    SESSION_IDLE_MS = 30 * 60 * 1000,
    SESSION_LIFE_MS = 12 * 60 * 60 * 1000, /* used or not */
};

struct session_table;
struct session_table *session_table_new(void);
void session_table_free(struct session_table *t); /* NULL allowed */

/* All times: milliseconds of a clock that never goes back. */

/* A token that session_open takes once. */
void session_link(struct session_table *t, uint64_t now_ms, char token[SESSION_TOKEN_SIZE]);

enum session_answer {
    SESSION_OPENED,
    SESSION_REFUSED, /* no such link, or used, or too old */
    SESSION_LATER,   /* too many were refused: what was brought was not even looked at */
};
/* OPENED: cookie is the session's name, which its browser keeps; csrf goes with every change. */
enum session_answer session_open(struct session_table *t, uint64_t now_ms, const char *token,
                                 char cookie[SESSION_TOKEN_SIZE], char csrf[SESSION_TOKEN_SIZE]);
/* LATER: until it is looked at again. */
uint64_t session_wait_ms(const struct session_table *t, uint64_t now_ms);

/* Is there such a session? cookie NULL: no. It counts as used now, and csrf is what belongs to it.
 */
bool session_use(struct session_table *t, uint64_t now_ms, const char *cookie,
                 char csrf[SESSION_TOKEN_SIZE]);
/* Is this what session_use gave? given NULL: no. */
bool session_csrf_is(const char csrf[SESSION_TOKEN_SIZE], const char *given);
void session_end(struct session_table *t, const char *cookie);

/* Sessions and links that still open something. */
size_t session_count(struct session_table *t, uint64_t now_ms);

#endif
