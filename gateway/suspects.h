/* Whose refusal is it, the event type's or that file's own? A refusal is first taken as that of its
 * event type's prefix, which then waits. Where another file of the type passes after it and the
 * same file is refused again, the refusal is its own. Pure.
 */
#ifndef GATEWAY_SUSPECTS_H
#define GATEWAY_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#define SUSPECTS_MAX   8
#define SUSPECTS_TRIES 10

/* Of one event type; zero at first. KNOWN: of more than SUSPECTS_MAX the newest of those that were
 * refused least is forgotten, and makes its event type wait once more; so the others come to be
 * held, and make room for it. */
struct suspects {
    struct suspect {
        uint64_t hash;  /* of its path */
        unsigned times; /* refused again, with others delivered in between each time */
        bool passed;    /* another file has been delivered since its last refusal */
    } at[SUSPECTS_MAX]; /* oldest first */
    unsigned n;
};

enum suspects_verdict {
    SUSPECTS_TYPE, /* the event type waits */
    SUSPECTS_FILE, /* this file waits by itself */
    SUSPECTS_HOLD /* so for the SUSPECTS_TRIESth time: a person must decide; it is forgotten here */
};
enum suspects_verdict suspects_refused(struct suspects *s, uint64_t hash);
void suspects_delivered(struct suspects *s, uint64_t hash);
/* It is not sent any more as it is: gone, changed, rejected, held, or a person decides. */
void suspects_drop(struct suspects *s, uint64_t hash);

#endif
