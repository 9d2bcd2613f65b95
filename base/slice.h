/* How soon a thread runs after it was woken, on a machine whose processors are all busy. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>

/* For a thread that mostly waits and must be quick when there is something: it asks the scheduler
 * for short turns. It gets no more of the processor than before, but its turn sooner. Threads and
 * processes it makes have the usual turns. Where the kernel does not know of this (before Linux
 * 6.12), or does not allow it, nothing changes. */
void slice_short(void);

/* While a backlog waits, a moment more or less matters to no file in it, and a thread that pushes
 * another aside for each answer costs both of them. slice_patience tells the whole process whether
 * it is so; a thread that calls slice_follow lets others end their turns from then on
 * (SCHED_BATCH), and pushes them aside again afterwards. */
void slice_patience(bool patient);
void slice_follow(void);

#endif
