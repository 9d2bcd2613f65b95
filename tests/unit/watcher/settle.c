/* The settle rules as tables: what happened when, and what is told when. No kernel, no clock. */
#include "watcher/settle.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { SETTLE = 1000 };

/* A step: at its time what is due is taken first (and compared with the expected), then `what`
 * happens. */
enum what {
    END,
    APPEARED,
    CLOSED,
    ARRIVED,
    LEFT,
    AWAY,
    TMP_CLOSED, /* of inode 7 */
    WRITER,     /* the probe: inode 7 */
    WHOLE,      /* the probe */
    QUIET,      /* the probe cannot tell */
    GONE,       /* the probe */
    DONE,       /* the answer */
    AGAIN,      /* the answer: wait 500 */
    LOOK,       /* in 100 */
    TOLD_MOVED, /* nothing happens, but it must have become due right now */
    TOLD_QUIET,
    NOT_TOLD,
    NO_ENTRY
};
struct step {
    uint64_t at;
    enum what what;
};
static const struct rule {
    const char *name;
    struct step steps[12];
} rules[] = {
    {"moved in: at once", {{0, ARRIVED}, {0, TOLD_MOVED}, {1, DONE}, {1, NO_ENTRY}}},
    {"written in place: quiet for settle after the close",
     {{0, APPEARED}, {0, WRITER}, {50, CLOSED}, {1049, NOT_TOLD}, {1050, TOLD_QUIET}}},
    {"each close puts it off",
     {{0, CLOSED}, {900, CLOSED}, {1800, CLOSED}, {2799, NOT_TOLD}, {2800, TOLD_QUIET}}},
    {"linked in and closed: at once", {{0, APPEARED}, {1, WHOLE}, {1, TOLD_MOVED}}},
    {"linked in while it is written: when its inode is closed",
     {{0, APPEARED}, {1, WRITER}, {700, TMP_CLOSED}, {700, TOLD_MOVED}}},
    {"another inode's close says nothing", {{0, APPEARED}, {1, TMP_CLOSED}, {5, NOT_TOLD}}},
    {"a lease cannot be asked: quiet from then on",
     {{0, APPEARED}, {10, QUIET}, {1009, NOT_TOLD}, {1010, TOLD_QUIET}}},
    {"a writer whose close is lost is looked at all the same",
     {{0, APPEARED}, {0, WRITER}, {29999, NOT_TOLD}, {30000, TOLD_QUIET}}},
    {"and if it still writes, its close by inode is still waited for",
     {{0, APPEARED},
      {0, WRITER},
      {30000, TOLD_QUIET},
      {30001, AGAIN},
      {30100, TMP_CLOSED},
      {30100, TOLD_MOVED}}},
    {"written in place, then renamed over itself",
     {{0, APPEARED}, {0, WRITER}, {5, ARRIVED}, {5, TOLD_MOVED}}},
    {"gone before it was finished", {{0, CLOSED}, {10, LEFT}, {10, NO_ENTRY}, {2000, NOT_TOLD}}},
    {"gone before its probe came back", {{0, APPEARED}, {10, GONE}, {10, NO_ENTRY}}},
    {"again, after the wait",
     {{0, ARRIVED}, {0, TOLD_MOVED}, {1, AGAIN}, {500, NOT_TOLD}, {501, TOLD_MOVED}}},
    {"again, or sooner when it is closed",
     {{0, ARRIVED}, {0, TOLD_MOVED}, {1, AGAIN}, {2, ARRIVED}, {2, TOLD_MOVED}}},
    {"moved over while it is looked at: once more after the answer",
     {{0, ARRIVED},
      {0, TOLD_MOVED},
      {5, ARRIVED},
      {6, NOT_TOLD},
      {7, DONE},
      {7, TOLD_MOVED},
      {8, DONE},
      {8, NO_ENTRY}}},
    {"rewritten while it is looked at: once more when it was quiet",
     {{0, ARRIVED}, {0, TOLD_MOVED}, {5, CLOSED}, {7, DONE}, {1004, NOT_TOLD}, {1005, TOLD_QUIET}}},
    {"gone while it is looked at: nothing more, whatever the answer",
     {{0, ARRIVED}, {0, TOLD_MOVED}, {5, LEFT}, {7, AGAIN}, {7, NO_ENTRY}}},
    {"gone and back while it is looked at",
     {{0, ARRIVED}, {0, TOLD_MOVED}, {5, LEFT}, {6, ARRIVED}, {7, DONE}, {7, TOLD_MOVED}}},
    {"moved away before it was finished: looked at, not waited for",
     {{0, CLOSED}, {10, AWAY}, {10, TOLD_QUIET}, {11, DONE}, {11, NO_ENTRY}}},
    {"its writer moved it away", {{0, APPEARED}, {0, WRITER}, {10, AWAY}, {10, NO_ENTRY}}},
    {"it changed names with another one: that is told first as arrived, then as moved away",
     {{0, CLOSED}, {5, ARRIVED}, {5, AWAY}, {5, TOLD_MOVED}, {6, DONE}, {6, NO_ENTRY}}},
    {"the same while it is looked at",
     {{0, ARRIVED}, {0, TOLD_MOVED}, {5, ARRIVED}, {5, AWAY}, {6, DONE}, {6, TOLD_MOVED}}},
    {"and if it is looked at between the two",
     {{5, ARRIVED},
      {5, TOLD_MOVED},
      {6, AWAY},
      {7, DONE},
      {7, TOLD_MOVED},
      {8, AGAIN},
      {508, TOLD_MOVED}}},
    {"someone knows that it needs a look",
     {{0, LOOK},
      {99, NOT_TOLD},
      {100, TOLD_QUIET},
      {101, LOOK},
      {102, DONE},
      {200, NOT_TOLD},
      {201, TOLD_QUIET}}},
    {"a look does not put off what is due sooner", {{0, ARRIVED}, {0, LOOK}, {0, TOLD_MOVED}}},
    {"a look brings forward what is due later", {{0, CLOSED}, {10, LOOK}, {110, TOLD_QUIET}}},
};

static void happen(struct settle *s, struct settle_entry *e, const struct step *step,
                   const char *name)
{
    static const enum settle_event events[] = {[APPEARED] = SETTLE_APPEARED,
                                               [CLOSED] = SETTLE_CLOSED,
                                               [ARRIVED] = SETTLE_ARRIVED,
                                               [LEFT] = SETTLE_LEFT,
                                               [AWAY] = SETTLE_MOVED_AWAY};
    bool full;
    switch (step->what) {
    case APPEARED:
    case CLOSED:
    case ARRIVED:
    case LEFT:
    case AWAY:
        (void)settle_happen(s, NULL, "f", 1, events[step->what], step->at, &full);
        cr_assert_not(full);
        break;
    case TMP_CLOSED:
        (void)settle_tmp_closed(s, 7, step->at);
        break;
    case WRITER:
        settle_writer(s, e, 7, step->at);
        break;
    case WHOLE:
        settle_whole(s, e, step->at);
        break;
    case QUIET:
        settle_quiet(s, e, step->at);
        break;
    case GONE:
        settle_drop(s, e);
        break;
    case DONE:
    case AGAIN:
        settle_answer(s, e, step->what == DONE ? WATCHER_DONE : WATCHER_AGAIN, 500, step->at);
        break;
    case LOOK:
        cr_assert_not_null(settle_look(s, NULL, "f", 1, 100, step->at));
        break;
    case NO_ENTRY:
        cr_assert_null(e, "%s: at %llu there is an entry", name, (unsigned long long)step->at);
        break;
    default:
        break;
    }
}

Test(settle, each_rule_tells_a_file_when_it_should_and_not_before)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct settle s;
        settle_init(&s, SETTLE, 10);
        for (const struct step *step = rules[i].steps; step->what != END; step++) {
            const char *name = rules[i].name;
            bool is_told = step->what == TOLD_MOVED || step->what == TOLD_QUIET;
            if (is_told || step->what == NOT_TOLD) {
                struct settle_entry *due = settle_take(&s, step->at);
                cr_assert_eq(due != NULL, is_told, "%s: at %llu", name,
                             (unsigned long long)step->at);
                if (due)
                    cr_assert_eq(due->trust == WATCHER_MOVED, step->what == TOLD_MOVED, "%s", name);
                continue;
            }
            happen(&s, settle_find(&s, "f", 1), step, name);
        }
        settle_fini(&s);
    }
}

Test(settle, the_earliest_is_taken_first_and_the_table_has_an_end)
{
    struct settle s;
    char name[16];
    bool full;
    uint64_t last = 0;
    settle_init(&s, SETTLE, 500);
    for (unsigned i = 0; i < 501; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        (void)settle_happen(&s, NULL, name, strlen(name), SETTLE_CLOSED, i * 7919 % 1009, &full);
        cr_assert_eq(full, i == 500);
    }
    for (unsigned i = 0; i < 500; i += 3) { /* out of the middle of the heap */
        (void)snprintf(name, sizeof name, "%u", i);
        settle_drop(&s, settle_find(&s, name, strlen(name)));
    }
    for (struct settle_entry *e; (e = settle_take(&s, UINT64_MAX - 1));) {
        cr_assert_geq(e->due_ms, last);
        last = e->due_ms;
        settle_answer(&s, e, WATCHER_DONE, 0, 0);
    }
    cr_assert_eq(s.n, 0);
    cr_assert_eq(s.out, 0);
    settle_fini(&s);
}

Test(settle, stuck_files_take_a_quarter_of_the_table)
{
    enum { MAX = 20, FIT = MAX / 4 };
    struct settle s;
    bool full;
    settle_init(&s, SETTLE, MAX);
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", i);
        struct settle_entry *e = settle_found(&s, NULL, name, strlen(name), WATCHER_EVENT, 0);
        cr_assert_not_null(e);
        cr_assert_eq(settle_answer(&s, e, WATCHER_STUCK, 500, 0), i < FIT);
    }
    cr_assert_eq(s.n, FIT);
    for (unsigned i = 0; i < FIT; i++) { /* and keep their places */
        struct settle_entry *e = settle_take(&s, 500);
        cr_assert_not_null(e);
        cr_assert(settle_answer(&s, e, WATCHER_STUCK, 500, 500));
    }
    cr_assert_eq(s.stuck, FIT);
    (void)settle_happen(&s, NULL, "0", 1, SETTLE_CLOSED, 501, &full);
    cr_assert_eq(s.stuck, FIT - 1, "something happened to it");
    (void)settle_happen(&s, NULL, "1", 1, SETTLE_LEFT, 501, &full);
    cr_assert_eq(s.stuck, FIT - 2);
    for (struct settle_entry *e; (e = settle_take(&s, 10000));)
        cr_assert(settle_answer(&s, e, WATCHER_DONE, 0, 10000));
    cr_assert_eq(s.stuck, 0);
    cr_assert_eq(s.n, 0);
    settle_fini(&s);
}

Test(settle, what_is_out_outlives_its_directory)
{
    struct settle s;
    struct tree t;
    bool full;
    tree_init(&t);
    struct tree_node *dir = tree_add(&t, t.root, "d", 1);
    settle_init(&s, SETTLE, 10);
    (void)settle_happen(&s, dir, "d/out", 5, SETTLE_ARRIVED, 0, &full);
    cr_assert_not_null(settle_take(&s, 0));
    (void)settle_happen(&s, dir, "d/waits", 7, SETTLE_CLOSED, 0, &full);
    settle_drop_dir(&s, dir);
    cr_assert_null(dir->files);
    cr_assert_null(settle_find(&s, "d/waits", 7));
    struct settle_entry *out = settle_find(&s, "d/out", 5);
    cr_assert_not_null(out);
    settle_answer(&s, out, WATCHER_AGAIN, 0, 1);
    cr_assert_eq(s.n, 0);
    settle_fini(&s);
    tree_fini(&t);
}

Test(settle, an_unsure_file_becomes_sure_once_and_not_after_something_happened_to_it)
{
    static const struct {
        enum settle_event event;
        uint64_t due_ms;
    } cases[] = {{SETTLE_EVENTS, 12}, {SETTLE_CLOSED, 10 + SETTLE}, {SETTLE_ARRIVED, 10}};
    struct tree t;
    tree_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settle s;
        bool full;
        settle_init(&s, SETTLE, 10);
        struct settle_entry *e = settle_found(&s, t.root, "f", 1, WATCHER_EVENT, 0);
        settle_unsure(&s, e);
        settle_sure(&s, t.root, 2, 0);
        cr_expect_eq(s.out, 1, "not while it is out");
        settle_answer(&s, e, WATCHER_AGAIN, SETTLE, 0);
        if (cases[i].event != SETTLE_EVENTS)
            (void)settle_happen(&s, t.root, "f", 1, cases[i].event, 10, &full);
        settle_sure(&s, t.root, 2, 10);
        cr_expect_eq(settle_due_ms(&s), cases[i].due_ms, "case %zu", i);
        cr_expect_eq(s.unsure, 0);
        settle_sure(&s, t.root, 1, 100);
        cr_expect_eq(settle_due_ms(&s), cases[i].due_ms, "once only: case %zu", i);
        settle_fini(&s);
    }
    tree_fini(&t);
}
