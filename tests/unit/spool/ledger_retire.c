/* Delivered files that cannot be retired, and kept and held ones that are gone. */
#include "spool/ledger_int.h"
#include "tests/unit/spool/ledger_fix.h"

static void deliver_all(struct fix *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ledger_file *file = ledger_take(f->l);
        cr_assert(file);
        ledger_deliver(f->l, file, receipt(), NULL, NULL);
        flush(f);
        ledger_retire_later(f->l, file);
    }
}

static void accept_many(struct fix *f, unsigned n)
{
    char path[32];
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "a/%u", i);
        accept(f, path, "a", i + 1);
    }
    flush(f);
}

Test(ledger_retire, what_cannot_be_retired_leaves_the_window_and_comes_back_in_turn)
{
    struct fix f;
    fix_new(&f);
    accept_many(&f, 300);
    deliver_all(&f, 300);
    cr_assert_null(f.l->window, "none of them takes up the window");
    cr_assert_eq(ledger_count(f.l, LEDGER_DELIVERED), 300);
    cr_assert_str_eq(state(&f, "a/7"), "delivered");
    unsigned met[300] = {0};
    for (unsigned round = 0; round < 6; round++) {
        struct ledger_file *taken[100];
        for (unsigned i = 0; i < 100; i++) {
            cr_assert((taken[i] = ledger_take_delivered(f.l)));
            met[taken[i]->id.size - 1]++;
        }
        for (unsigned i = 0; i < 100; i++)
            ledger_retire_later(f.l, taken[i]);
    }
    for (unsigned i = 0; i < 300; i++)
        cr_assert(met[i] >= 1, "file %u had no turn", i);
    restart(&f);
    unsigned n = 0;
    for (struct ledger_file *file; (file = ledger_take_delivered(f.l)); n++)
        ledger_retire(f.l, file, 0);
    flush(&f);
    cr_assert_eq(n, 300);
    cr_assert_eq(ledger_count(f.l, LEDGER_DELIVERED), 0);
    restart(&f);
    cr_assert_null(ledger_take_delivered(f.l));
    fix_free(&f);
}

Test(ledger_retire, another_file_of_its_path_replaces_one_that_could_not_be_retired)
{
    struct fix f;
    struct ledger_view v;
    fix_new(&f);
    accept_many(&f, 1);
    deliver_all(&f, 1);
    cr_assert_eq(ledger_find(f.l, "a/0", 3, &v), RC_OK);
    cr_assert(v.state == LEDGER_DELIVERED && v.to_retire && !v.file);
    struct ledger_file *taken = ledger_take_delivered(f.l);
    cr_assert_eq(ledger_find(f.l, "a/0", 3, &v), RC_OK);
    cr_assert(v.state == LEDGER_DELIVERED && !v.to_retire && v.file == taken);
    ledger_retire_later(f.l, taken);
    f.broken = true;
    accept(&f, "a/0", "a", 98);
    flush(&f);
    mend(&f);
    cr_assert_eq(ledger_find(f.l, "a/0", 3, &v), RC_OK);
    cr_assert(v.state == LEDGER_DELIVERED && v.to_retire && v.id.size == 1, "it was not replaced");
    accept(&f, "a/0", "a", 99);
    flush(&f);
    cr_assert_null(ledger_take_delivered(f.l));
    cr_assert_str_eq(state(&f, "a/0"), "accepted");
    restart(&f);
    cr_assert_null(ledger_take_delivered(f.l));
    struct ledger_file *file = ledger_take(f.l);
    cr_assert(file && file->id.size == 99);
    fix_free(&f);
}

Test(ledger_retire, a_held_file_that_is_gone_is_held_no_more)
{
    const struct err by_hand = {.code = "by-hand", .text = "why"};
    struct fix f;
    fix_new(&f);
    accept_many(&f, 3);
    cr_assert_eq(ledger_hold_path(f.l, "a/0", 3, &by_hand, NULL, NULL), RC_OK);
    cr_assert_eq(ledger_hold_path(f.l, "a/1", 3, &by_hand, NULL, NULL), RC_OK);
    flush(&f);
    cr_assert_eq(ledger_gone(f.l, "a/0", 3), RC_OK);
    flush(&f);
    f.broken = true;
    cr_assert_eq(ledger_gone(f.l, "a/1", 3), RC_OK);
    flush(&f);
    mend(&f);
    for (int round = 0; round < 2; round++) {
        static struct ledger_row rows[3];
        char cursor[64] = "";
        cr_assert_str_eq(state(&f, "a/0"), "");
        cr_assert_str_eq(state(&f, "a/1"), "held", "what is not durable has not happened");
        cr_assert_eq(ledger_count(f.l, LEDGER_HELD), 1);
        cr_assert_eq(ledger_page(f.l, LEDGER_HELD, cursor, rows, 3), 1);
        cr_assert_str_eq(rows[0].path, "a/1");
        cr_assert_eq(lane_counts(&f, "a").files, 1);
        restart(&f);
    }
    fix_free(&f);
}

Test(ledger_retire, a_kept_file_that_is_gone_leaves_index_and_journal)
{
    struct fix f;
    fix_new(&f);
    accept_many(&f, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct ledger_file *file = ledger_take(f.l);
        ledger_deliver(f.l, file, receipt(), NULL, NULL);
        flush(&f);
        ledger_retire(f.l, file, RECORD_KEPT);
    }
    flush(&f);
    accept(&f, "a/2", "a", 3);
    flush(&f);
    cr_assert_eq(ledger_gone(f.l, "a/2", 3), RC_ABSENT, "it waits: sending it will tell");
    cr_assert_eq(ledger_gone(f.l, "a/9", 3), RC_ABSENT);
    cr_assert_eq(ledger_gone(f.l, "a/0", 3), RC_OK);
    cr_assert_eq(ledger_gone(f.l, "a/0", 3), RC_AGAIN, "its record is on its way");
    flush(&f);
    cr_assert_str_eq(state(&f, "a/0"), "");
    f.broken = true;
    cr_assert_eq(ledger_gone(f.l, "a/1", 3), RC_OK);
    flush(&f);
    cr_assert_str_eq(state(&f, "a/1"), "delivered", "what is not durable has not happened");
    mend(&f);
    restart(&f);
    cr_assert_str_eq(state(&f, "a/0"), "");
    cr_assert_str_eq(state(&f, "a/1"), "delivered");
    cr_assert_eq(ledger_count(f.l, LEDGER_DELIVERED), 1);
    fix_free(&f);
}
