/* The tree of directories by itself. */
#include "watcher/tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(tree, paths_are_rebuilt_and_found_again)
{
    struct tree t;
    char path[16];
    tree_init(&t);
    struct tree_node *a = tree_add(&t, t.root, "a", 1);
    struct tree_node *b = tree_add(&t, a, "bb", 2);
    cr_assert_eq(tree_path(b, "f", 1, path, sizeof path), 6);
    cr_assert_str_eq(path, "a/bb/f");
    cr_assert_eq(tree_path(b, "", 0, path, sizeof path), 4);
    cr_assert_str_eq(path, "a/bb");
    cr_assert_eq(tree_path(t.root, "f", 1, path, sizeof path), 1);
    cr_assert_eq(tree_path(b, "0123456789", 10, path, sizeof path), 15);
    cr_assert_eq(tree_path(b, "0123456789x", 11, path, sizeof path), 0, "no room for the NUL");
    cr_assert_eq(tree_dir_of(&t, "a/bb/f", 6), b);
    cr_assert_eq(tree_dir_of(&t, "f", 1), t.root);
    cr_assert_null(tree_dir_of(&t, "a/c/f", 5));
    cr_assert_null(tree_child(&t, t.root, "bb", 2));
    tree_fini(&t);
}

Test(tree, a_pinned_node_stays_until_it_is_let_go_and_a_queue_passes_over_it)
{
    struct tree t;
    struct tree_queue q = {0};
    tree_init(&t);
    struct tree_node *a = tree_add(&t, t.root, "a", 1);
    struct tree_node *b = tree_add(&t, t.root, "b", 1);
    tree_set(&t, a, TREE_STARTUP);
    tree_queue_push(&t, &q, a);
    tree_queue_push(&t, &q, b);
    tree_remove(&t, a);
    cr_assert_eq(t.flagged[__builtin_ctz(TREE_STARTUP)], 0);
    cr_assert_eq(tree_queue_pop(&t, &q), b);
    tree_unpin(b);
    cr_assert_null(tree_queue_pop(&t, &q));
    cr_assert_eq(t.nodes, 2);
    tree_fini(&t);
}

Test(tree, walking_meets_every_node_once)
{
    struct tree t;
    size_t met = 0;
    tree_init(&t);
    for (int i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        struct tree_node *node = tree_add(&t, t.root, name, strlen(name));
        tree_set_wd(&t, node, i);
        (void)tree_add(&t, tree_add(&t, node, "x", 1), "y", 1);
    }
    for (struct tree_node *n = t.root; n; n = tree_next(t.root, n))
        met++;
    cr_assert_eq(met, 301);
    cr_assert_eq(t.nodes, 301);
    cr_assert_eq(t.watches, 100);
    cr_assert_str_eq(tree_by_wd(&t, 42)->name, "42");
    tree_set_wd(&t, tree_by_wd(&t, 42), -1);
    cr_assert_null(tree_by_wd(&t, 42));
    tree_fini(&t);
}
