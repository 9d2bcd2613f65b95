/* The clipboard of whoever sits at the terminal. */
#ifndef CLI_CLIPBOARD_H
#define CLI_CLIPBOARD_H

#include "base/rc.h"

#include <stddef.h>

/* By wl-copy or xclip where there is a display and the program, else by the terminal itself (OSC
 * 52, which also reaches through ssh). *how: a static word for a message. RC_ABSENT: there is none
 * of them. */
enum rc clipboard_copy(const char *text, size_t n, const char **how, struct err *e) MUST_CHECK;

#endif
