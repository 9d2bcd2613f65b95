#include "watcher/habit.h"

#include <criterion/criterion.h>

Test(habit, one_whole_file_makes_one_and_one_in_place_breaks_it_for_long)
{
    struct tree t;
    tree_init(&t);
    struct tree_node *a = tree_add(&t, t.root, "a", 1), *b = tree_add(&t, t.root, "b", 1);
    struct tree_node *fresh = tree_add(&t, a, "fresh", 5);
    cr_expect_not(habit_is_whole(fresh), "nothing is known");
    cr_expect_eq(habit_whole(a), t.root, "all on the way have turned");
    cr_expect(habit_is_whole(fresh), "its parent's habit");
    cr_expect_null(habit_whole(a), "nothing new");
    cr_expect_eq(habit_whole(fresh), fresh, "it alone knew nothing yet");
    cr_expect(habit_is_whole(b), "the root's, for want of one nearer");
    habit_in_place(b);
    cr_expect(habit_is_whole(fresh), "what is nearer counts");
    cr_expect_not(habit_is_whole(b));
    habit_in_place(fresh);
    for (int i = 0; i < 32; i++) {
        struct tree_node *turned = habit_whole(fresh);
        cr_expect_eq(turned, i < 31 ? NULL : t.root, "%d: forgotten with the last", i);
        cr_expect_not(habit_is_whole(fresh), "%d", i);
    }
    cr_expect_eq(habit_whole(fresh), t.root);
    cr_expect(habit_is_whole(fresh), "after 33 in a row again");
    tree_remove(&t, fresh);
    tree_fini(&t);
}
