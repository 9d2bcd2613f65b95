/* spool/ledger_list: pages of files in each state, while others come and go. */
#include "tests/unit/spool/ledger_fix.h"

#include <inttypes.h>

enum { MANY = 10000 };

static void accept_many(struct fix *f)
{
    char path[32];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "f/%d", i);
        accept(f, path, i % 3 ? "audit" : "findings", (uint64_t)i);
    }
    flush(f);
}

static size_t page_all(struct fix *f, enum ledger_state s, uint8_t *seen, bool busy)
{
    static struct ledger_row rows[100];
    char cursor[64] = "";
    size_t all = 0;
    memset(seen, 0, MANY);
    do {
        size_t n = ledger_page(f->l, s, cursor, rows, 100);
        for (size_t i = 0; i < n; i++) {
            cr_assert_eq(rows[i].state, s);
            cr_assert_eq(strncmp(rows[i].path, "f/", 2), 0);
            seen[strtoul(rows[i].path + 2, NULL, 10)]++;
        }
        all += n;
        for (int i = 0; busy && i < 7; i++) {
            struct ledger_file *file = ledger_take(f->l);
            if (file && i % 2)
                ledger_put_back(f->l, file);
        }
    } while (cursor[0]);
    return all;
}

Test(ledger_list, pages_show_ten_thousand_files_once_in_each_state)
{
    static uint8_t seen[MANY];
    char path[32];
    struct fix f;
    fix_new(&f);
    accept_many(&f);
    cr_assert_eq(page_all(&f, LEDGER_ACCEPTED, seen, false), MANY);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(seen[i], 1);
    for (int i = 0; i < MANY; i += 2) {
        (void)snprintf(path, sizeof path, "f/%d", i);
        cr_assert_eq(ledger_hold_path(f.l, path, strlen(path),
                                      &(struct err){.code = "by-hand", .text = "why"}, NULL, NULL),
                     RC_OK);
    }
    flush(&f);
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(page_all(&f, LEDGER_HELD, seen, false), MANY / 2);
        for (int i = 0; i < MANY; i++)
            cr_assert_eq(seen[i], i % 2 == 0);
        cr_assert_eq(page_all(&f, LEDGER_ACCEPTED, seen, false), MANY / 2);
        restart(&f);
    }
    page_all(&f, LEDGER_ACCEPTED, seen, true); /* while files are taken and put back */
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "f/%d", i);
        cr_assert_leq(seen[i], 2);
        if (i % 2 && strcmp(state(&f, path), "accepted") == 0)
            cr_assert_geq(seen[i], 1, "%s stayed and was not shown", path);
    }
    size_t sending = page_all(&f, LEDGER_SENDING, seen, false);
    cr_assert(sending > 150 && sending == ledger_count(f.l, LEDGER_SENDING));
    cr_assert_eq(page_all(&f, LEDGER_DEFERRED, seen, false), 0);
    struct ledger_file *file;
    while ((file = ledger_take(f.l)) != NULL) {
        ledger_deliver(f.l, file, receipt(), NULL, NULL);
        flush(&f);
        ledger_retire(f.l, file, RECORD_KEPT);
    }
    flush(&f);
    size_t kept = page_all(&f, LEDGER_DELIVERED, seen, false);
    cr_assert_eq(kept, MANY / 2 - sending);
    cr_assert_eq(kept, ledger_count(f.l, LEDGER_DELIVERED));
    fix_free(&f);
}

/* Those that were released stand before the others, and leave there while they
 * are listed; those that are held are swept out from between. */
Test(ledger_list, no_file_is_missed_by_who_holds_them_page_by_page)
{
    static struct ledger_row rows[100];
    const struct err by_hand = {.code = "by-hand", .text = "why"};
    struct fix f;
    char path[32];
    fix_new(&f);
    accept_many(&f);
    for (int round = 0; round < 2; round++) {
        char cursor[64] = "";
        do {
            size_t n = ledger_page(f.l, LEDGER_ACCEPTED, cursor, rows, 100);
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(
                    ledger_hold_path(f.l, rows[i].path, strlen(rows[i].path), &by_hand, NULL, NULL),
                    RC_OK);
            flush(&f);
            for (int i = 0; i < 20; i++)
                (void)ledger_take(f.l);
        } while (cursor[0]);
        cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), 0, "round %d: %" PRIu64 " were missed",
                     round, ledger_count(f.l, LEDGER_ACCEPTED));
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(path, sizeof path, "f/%d", i);
            if (strcmp(state(&f, path), "held") == 0)
                cr_assert_eq(ledger_release_path(f.l, path, strlen(path), NULL, NULL), RC_OK);
        }
        flush(&f);
        accept(&f, round ? "g/1" : "g/0", "audit", 7);
        flush(&f);
    }
    fix_free(&f);
}

Test(ledger_list, any_text_is_a_cursor_that_ends)
{
    static const char *const texts[] = {"x",   "0.0.0",  "ffffffffffffffff.ffffffffffffffff.1",
                                        "1.1", "0.1.8.", "0.fffffffffffffffe.ffffffffffffffff"};
    static struct ledger_row rows[10];
    struct fix f;
    fix_new(&f);
    accept(&f, "p", "audit", 1);
    accept(&f, "q", "audit", 1);
    flush(&f);
    cr_assert_eq(ledger_hold_path(f.l, "q", 1, &(struct err){.code = "a", .text = "b"}, NULL, NULL),
                 RC_OK);
    flush(&f);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int s = 0; s < LEDGER_STATE_COUNT_; s++) {
            char cursor[64] = "";
            memcpy(cursor, texts[i], strlen(texts[i]));
            cr_assert_leq(ledger_page(f.l, (enum ledger_state)s, cursor, rows, 10), 1);
            cr_assert_str_empty(cursor);
        }
    fix_free(&f);
}
