/* How producers bring files to a part of the tree: whole, by rename or link, or written in place.
 *
 * It answers one question that no system call does. In a directory that was made a moment ago a
 * file may be found before the watch was there to tell how it came. By the rule for scans it would
 * wait for `settle`, and a producer that makes a directory for each file would always wait. So what
 * was seen of its neighbours decides: where the last files came whole, this one did too; where
 * anything was written in place, or nothing is known, it waits.
 */
#ifndef WATCHER_HABIT_H
#define WATCHER_HABIT_H

#include "watcher/tree.h"

/* An event told that a file came whole into this directory, or was written in it. Noted for the
 * directory and all above it. habit_whole returns the uppermost directory below which there may now
 * be some that habit_is_whole says yes of, and did not before; NULL: none. */
struct tree_node *habit_whole(struct tree_node *dir);
void habit_in_place(struct tree_node *dir);
/* Of the nearest directory, from this one up, of which anything is known: do files come whole? */
bool habit_is_whole(const struct tree_node *dir);

#endif
