/* How soon a thread runs after it was woken, on a machine whose processors are all busy. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

/* For a thread that mostly waits and must be quick when there is something: it asks the scheduler
 * for short turns. It gets no more of the processor than before, but its turn sooner. Threads and
 * processes it makes have the usual turns. Where the kernel does not know of this (before Linux
 * 6.12), or does not allow it, nothing changes. */
void slice_short(void);

#endif
