/* How far a long step is: a line on stderr that the next one replaces, on a terminal only. Nothing
 * is shown of a step that is over in a moment, and nothing is left behind.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "put", borrowed; of our own, no name of a file */
    uint64_t total;   /* bytes; 0: not known */
    uint64_t begin_ms, drawn_ms;
    bool silent, drawn;
};
/* Silent: no terminal, TERM=dumb, or `quiet`. */
void progress_begin(struct progress *p, const char *what, uint64_t total, bool quiet);
/* So many bytes of it are done. Cheap: draws ten times a second at most. */
void progress_bytes(struct progress *p, uint64_t done);
/* Something whose end cannot be foreseen: shown at once. */
void progress_step(struct progress *p, const char *text);
/* What is being waited for instead, with the seconds so far; hostile bytes are escaped. */
void progress_wait(struct progress *p, const char *text);
/* The line is taken away. May be called twice. */
void progress_end(struct progress *p);

#endif
