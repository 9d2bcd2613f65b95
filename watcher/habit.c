/* A small number a directory: see habit.h. One file written in place outweighs many that came
 * whole, since being wrong about it would send the first half of a file.
 */
#include "watcher/habit.h"

enum { HABIT_IN_PLACE = -32, HABIT_WHOLE = 1 };

struct tree_node *habit_whole(struct tree_node *dir)
{
    struct tree_node *turned = NULL;
    for (; dir; dir = dir->parent) {
        if (dir->habit == HABIT_WHOLE)
            continue;
        dir->habit = (int8_t)(dir->habit + 1);
        if (dir->habit >= 0) /* whole now, or nothing is known any more and its parent counts */
            turned = dir;
    }
    return turned;
}

void habit_in_place(struct tree_node *dir)
{
    for (; dir; dir = dir->parent)
        dir->habit = HABIT_IN_PLACE;
}

bool habit_is_whole(const struct tree_node *dir)
{
    while (dir && dir->habit == 0)
        dir = dir->parent;
    return dir && dir->habit == HABIT_WHOLE;
}
