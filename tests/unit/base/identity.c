#include "base/identity.h"

#include "base/clock.h"

#include <criterion/criterion.h>

static const struct identity one = {.dev = 1, .ino = 2, .size = 3, .mtime_ns = 4, .ctime_ns = 5};

Test(identity, each_field_tells_files_apart)
{
    struct identity changed[5] = {one, one, one, one, one};
    changed[0].dev++;
    changed[1].ino++;
    changed[2].size++;
    changed[3].mtime_ns++;
    changed[4].ctime_ns++;
    cr_assert(identity_equal(&one, &one));
    cr_assert(identity_equal_moved(&one, &one));
    for (int i = 0; i < 5; i++) {
        cr_assert_not(identity_equal(&one, &changed[i]), "field %d", i);
        cr_assert_eq(identity_equal_moved(&one, &changed[i]), i == 4, "field %d", i);
    }
}

Test(identity, a_file_modified_within_two_ticks_is_racy)
{
    static const struct {
        int64_t mtime_ms;
        bool racy;
    } cases[] = {{-1000, false}, {-20, false}, {-19, true}, {0, true}, {19, true}, {20, false}};
    const int64_t now = INT64_C(1700000000) * CLOCK_NS_PER_S;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct identity id = {.mtime_ns = now + cases[i].mtime_ms * CLOCK_NS_PER_MS,
                              .ctime_ns = now};
        cr_assert_eq(identity_is_racy(&id, now), cases[i].racy, "%ld ms", (long)cases[i].mtime_ms);
    }
}

Test(identity, a_shorter_file_that_nobody_wrote_to_since_is_torn_whatever_its_device)
{
    static const struct {
        const char *what;
        struct identity is;
        bool torn;
    } cases[] = {
        {"as it was", {.dev = 1, .ino = 2, .size = 3, .mtime_ns = 4}, false},
        {"empty", {.dev = 1, .ino = 2, .size = 0, .mtime_ns = 4}, true},
        {"an older time", {.dev = 1, .ino = 2, .size = 2, .mtime_ns = 3}, true},
        {"another device", {.dev = 7, .ino = 2, .size = 2, .mtime_ns = 4}, true},
        {"another ctime", {.dev = 1, .ino = 2, .size = 2, .mtime_ns = 4, .ctime_ns = 9}, true},
        {"another file", {.dev = 1, .ino = 3, .size = 2, .mtime_ns = 4}, false},
        {"written to since", {.dev = 1, .ino = 2, .size = 2, .mtime_ns = 5}, false},
        {"longer", {.dev = 1, .ino = 2, .size = 4, .mtime_ns = 4}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(identity_is_torn(&one, &cases[i].is), cases[i].torn, "%s", cases[i].what);
}
