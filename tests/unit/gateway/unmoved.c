/* What is remembered of rejected files that cannot be moved away. */
#include "gateway/unmoved.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct identity id = {.dev = 1, .ino = 2, .size = 3, .mtime_ns = 4, .ctime_ns = 5};

/* A table for so many, as many marks, and nothing in view. */
static bool never(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return false;
}

static struct unmoved *table(size_t max)
{
    return unmoved_new(&(struct unmoved_cfg){.max = max, .marks_max = 100, .in_view = never});
}

static const struct err verdict = {.rc = RC_INVALID, .code = "content", .text = "line 1"};

static bool is_not(void *arg, const char *path)
{
    return strcmp(path, arg) != 0;
}

Test(unmoved, a_file_is_known_until_it_is_another)
{
    static const struct {
        struct identity before, now;
        bool same;
    } cases[] = {
        {{1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, true},  {{1, 2, 3, 4, 5}, {1, 2, 3, 4, 6}, false},
        {{1, 2, 3, 4, 5}, {1, 2, 3, 5, 5}, false}, {{1, 2, 3, 4, 5}, {1, 3, 3, 4, 5}, false},
        {{1, 2, 0, 4, 5}, {1, 2, 0, 6, 7}, true}, /* a pipe */
        {{1, 2, 0, 4, 5}, {1, 3, 0, 4, 5}, false}, {{1, 2, 0, 4, 5}, {1, 2, 1, 4, 5}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct unmoved *u = table(10);
        cr_expect_null(unmoved_find(u, "a", &cases[i].before));
        (void)unmoved_failed(u, "a", &cases[i].before, &verdict, "why");
        cr_expect_not_null(unmoved_find(u, "a", &cases[i].before));
        cr_expect_null(unmoved_find(u, "b", &cases[i].before));
        cr_expect_eq(unmoved_find(u, "a", &cases[i].now) != NULL, cases[i].same, "case %zu", i);
        uint64_t wait_ms = unmoved_failed(u, "a", &cases[i].now, &verdict, "why");
        cr_expect_eq(wait_ms, cases[i].same ? 60000 : 30000, "case %zu", i);
        unmoved_drop(u, "a", &cases[i].now);
        cr_expect_null(unmoved_find(u, "a", &cases[i].now));
        unmoved_free(u);
    }
}

Test(unmoved, the_pause_between_two_tries_doubles_up_to_an_hour)
{
    struct unmoved *u = table(10);
    for (uint64_t ms = 30000; ms < 3600000; ms *= 2)
        cr_assert_eq(unmoved_failed(u, "a", &id, &verdict, "why"), ms);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(unmoved_failed(u, "a", &id, &verdict, "why"), 3600000);
    unmoved_free(u);
}

static void count_look(void *arg, const char *path)
{
    unsigned *n = arg;
    *n += path[0] != '\0';
}

Test(unmoved, what_the_store_condemned_is_so_until_the_settings_change)
{
    struct unmoved *u = table(10);
    struct err why = {.rc = RC_DENIED, .code = "KeyTooLongError", .text = "too long"};
    unmoved_recorded(u, "a", &id);
    cr_assert_null(unmoved_find(u, "a", &id), "it was not known");
    unmoved_condemn(u, "a", &id, &why);
    unmoved_condemn(u, "a", &id, &why);
    const struct unmoved_file *f = unmoved_find(u, "a", &id);
    cr_assert(f && f->condemned && !f->recorded && !f->failure);
    cr_assert_str_eq(f->condemned->code, "KeyTooLongError");
    unmoved_recorded(u, "a", &id);
    cr_assert(unmoved_find(u, "a", &id)->recorded);
    (void)unmoved_failed(u, "a", &id, &verdict, "not writable");
    (void)unmoved_failed(u, "b", &id, &verdict, "not writable");
    f = unmoved_find(u, "a", &id);
    cr_assert(f && f->condemned && f->recorded);
    cr_assert_str_eq(f->failure, "not writable");
    unsigned looks = 0;
    cr_assert_eq(unmoved_failed(u, "b", &id, &verdict, "not writable"), 60000);
    unmoved_pardon(u, count_look, &looks);
    cr_assert_null(unmoved_find(u, "a", &id));
    cr_assert_not_null(unmoved_find(u, "b", &id));
    cr_assert_eq(looks, 2);
    cr_assert_eq(unmoved_failed(u, "b", &id, &verdict, "not writable"), 30000);
    unmoved_free(u);
}

/* Its entry, not only a mark. */
static bool has_words(struct unmoved *u, const char *path)
{
    const struct unmoved_file *f = unmoved_find(u, path, &id);
    return f && f->failure && strcmp(f->failure, path) == 0;
}

Test(unmoved, past_its_end_the_one_not_heard_of_for_longest_makes_room_and_the_latest_is_told)
{
    struct unmoved *u = table(3);
    char path[16], gone[] = "1";
    cr_assert_null(unmoved_latest(u, is_not, gone));
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%d", i);
        (void)unmoved_failed(u, path, &id, &verdict, path);
    }
    (void)unmoved_failed(u, "0", &id, &verdict, "0");
    (void)unmoved_failed(u, "3", &id, &verdict, "3");
    cr_assert(!has_words(u, "1"));
    cr_assert(has_words(u, "0"));
    cr_assert(has_words(u, "2"));
    cr_assert_str_eq(unmoved_latest(u, is_not, gone)->path, "3");
    unmoved_drop(u, "3", &id);
    cr_assert_str_eq(unmoved_latest(u, is_not, gone)->failure, "0");
    unmoved_free(u);
}

Test(unmoved, one_that_made_room_is_recorded_told_and_sent_no_second_time)
{
    static const struct identity other = {1, 2, 3, 4, 6};
    struct unmoved *u = table(1);
    struct err why = {.rc = RC_INVALID, .code = "EntityTooLarge", .text = "it is too large"};
    (void)unmoved_failed(u, "bad", &id, &verdict, "not writable");
    unmoved_condemn(u, "condemned", &id, &why);
    const struct unmoved_file *f = unmoved_find(u, "bad", &id);
    cr_assert(f && f->recorded && f->failure && !f->condemned);
    cr_assert_null(unmoved_find(u, "bad", &other), "it is another");
    cr_assert_null(unmoved_find(u, "worse", &id));
    (void)unmoved_failed(u, "bad", &id, &verdict, "not writable");
    f = unmoved_find(u, "condemned", &id);
    cr_assert(f && f->condemned && !f->recorded);
    (void)unmoved_failed(u, "condemned", &id, &verdict, "not writable");
    (void)unmoved_failed(u, "bad", &id, &verdict, "not writable");
    f = unmoved_find(u, "condemned", &id);
    cr_assert(f && f->condemned && f->recorded && f->failure);
    unsigned looks = 0;
    unmoved_pardon(u, count_look, &looks);
    cr_assert_eq(looks, 1);
    cr_assert_null(unmoved_find(u, "condemned", &id));
    (void)unmoved_failed(u, "third", &id, &verdict, "not writable");
    cr_assert(unmoved_find(u, "bad", &id)->recorded, "no settings make it good");
    unmoved_drop(u, "bad", &id);
    cr_assert_null(unmoved_find(u, "bad", &id), "moved");
    unmoved_free(u);
}

static bool always(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return true;
}

Test(unmoved, those_in_view_are_not_put_out_by_those_that_come_and_go)
{
    enum { MORE = 50 };
    struct unmoved *u =
        unmoved_new(&(struct unmoved_cfg){.max = 2, .marks_max = 2 * MORE, .in_view = always});
    struct err why = {.rc = RC_INVALID, .text = "it is too large"};
    char path[16];
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(unmoved_failed(u, "a", &id, &verdict, "a"), 30000U << round);
        (void)unmoved_failed(u, "b", &id, &verdict, "b");
        for (int i = 0; i < MORE; i++) {
            (void)snprintf(path, sizeof path, "%d", i);
            cr_assert_eq(unmoved_find(u, path, &id) != NULL, round > 0);
            if (i % 2)
                unmoved_condemn(u, path, &id, &why);
            (void)unmoved_failed(u, path, &id, &verdict, path);
            const struct unmoved_file *f = unmoved_find(u, path, &id);
            cr_assert(f->recorded && f->failure && !f->condemned == !(i % 2));
        }
        cr_assert(has_words(u, "a") && has_words(u, "b"));
    }
    unmoved_free(u);
}
