/* spool/ledger: each verb, what a restart and a failing disk make of it, and the order of records.
 */
#include "tests/unit/spool/ledger_fix.h"

static struct ledger_file *take(struct fix *f, const char *path)
{
    struct ledger_file *file = ledger_take(f->l);
    cr_assert_not_null(file);
    cr_assert_str_eq(file->path, path);
    return file;
}

Test(ledger, an_accepted_file_is_ours_when_durable_and_after_a_restart)
{
    struct fix f;
    struct ledger_view v;
    struct identity id = id_of(300), other = id_of(301);
    int ok = 0;
    fix_new(&f);
    ledger_accept(f.l, "a/b", 3, &id, "audit", count_ok, &ok);
    cr_assert_not(ledger_knows(f.l, "a/b", 3, NULL));
    flush(&f);
    cr_assert_eq(ok, 1);
    for (int i = 0; i < 3; i++) {
        cr_assert(ledger_knows(f.l, "a/b", 3, &id));
        cr_assert_not(ledger_knows(f.l, "a/b", 3, &other));
        cr_assert_not(ledger_knows(f.l, "a/", 2, NULL));
        cr_assert_eq(ledger_find(f.l, "a/b", 3, &v), RC_OK);
        cr_assert(v.state == LEDGER_ACCEPTED && v.id.size == 300 && !v.file);
        cr_assert_str_eq(v.event_type, "audit");
        struct ledger_lane_counts c = lane_counts(&f, "audit");
        cr_assert(c.files == 1 && c.bytes == 300 && c.oldest_ns == v.accepted_ns);
        cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), 1);
        restart(&f);
    }
    fix_free(&f);
}

Test(ledger, accepting_again_replaces_however_soon)
{
    struct fix f;
    struct ledger_view v;
    fix_new(&f);
    accept(&f, "p", "audit", 1);
    accept(&f, "p", "audit", 2); /* before the first is durable */
    flush(&f);
    accept(&f, "p", "findings", 3);
    accept(&f, "q", "audit", 10);
    flush(&f);
    for (int i = 0; i < 2; i++) {
        cr_assert(ledger_find(f.l, "p", 1, &v) == RC_OK && v.id.size == 3);
        cr_assert_str_eq(v.event_type, "findings");
        cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), 2);
        cr_assert_eq(lane_counts(&f, "audit").bytes, 10);
        cr_assert_eq(lane_counts(&f, "findings").bytes, 3);
        restart(&f);
    }
    cr_assert_str_eq(take(&f, "p")->path, "p");
    cr_assert_str_eq(take(&f, "q")->path, "q");
    cr_assert_null(ledger_take(f.l));
    fix_free(&f);
}

static void delivered_and_retire(void *arg, enum rc rc)
{
    struct fix *f = arg;
    struct ledger_view v;
    cr_assert_eq(rc, RC_OK);
    cr_assert(ledger_find(f->l, "p", 1, &v) == RC_OK && v.file && v.file->delivered);
    ledger_retire(f->l, v.file, RECORD_KEPT);
    cr_assert(ledger_find(f->l, "p", 1, &v) == RC_OK && !v.file && v.moving, "it was given up");
    accept(f, "p", "audit", 50); /* stands behind RETIRED */
}

Test(ledger, records_of_one_file_follow_each_other_though_none_was_waited_for)
{
    static const enum record_type want[] = {RECORD_ACCEPTED, RECORD_RETIRED, RECORD_DELIVERED,
                                            RECORD_PART,     RECORD_PART,    RECORD_ATTEMPT,
                                            RECORD_ACCEPTED};
    struct ledger_part part = {.number = 1, .etag = "x"};
    struct err why = {.http_status = 503, .code = "SlowDown", .text = "Please reduce"};
    struct ledger_history rows[10];
    struct ledger_view v;
    struct fix f;
    fix_new(&f);
    accept(&f, "p", "audit", 40);
    flush(&f);
    struct ledger_file *file = take(&f, "p");
    file->attempts = 4;
    ledger_attempt(f.l, file, 2, &why);
    ledger_attempt(f.l, file, 2, &why); /* the same class: no record */
    ledger_upload_created(f.l, file, "upload", 1000, (uint8_t[SHA256_SIZE]){0});
    ledger_part_stored(f.l, file, &part, NULL, NULL);
    ledger_deliver(f.l, file, receipt(), delivered_and_retire, &f);
    flush(&f);
    for (int i = 0; i < 2; i++) {
        cr_assert(ledger_find(f.l, "p", 1, &v) == RC_OK && v.id.size == 50);
        cr_assert_eq(ledger_history(f.l, v.last, rows, 10), 7);
        for (int k = 0; k < 7; k++)
            cr_assert_eq(rows[k].type, want[k]);
        cr_assert(rows[5].http_status == 503 && rows[5].attempts == 4 && rows[5].answer_class == 2);
        cr_assert_str_eq(rows[5].code, "SlowDown");
        cr_assert_str_eq(rows[5].text, "Please reduce");
        cr_assert_eq(ledger_history(f.l, v.last, rows, 2), 2);
        restart(&f);
    }
    fix_free(&f);
}

Test(ledger, what_was_taken_is_queued_again_after_a_restart_with_what_was_learnt)
{
    struct ledger_part part = {.number = 2, .etag = "two", .sha256 = {9}};
    struct err why = {.http_status = 500, .code = "InternalError"};
    char id[1024] = ""; /* of all its size */
    struct fix f;
    memset(id, 'i', sizeof id - 1);
    fix_new(&f);
    accept(&f, "p", "audit", 40);
    accept(&f, "later", "audit", 41);
    flush(&f);
    struct ledger_file *file = take(&f, "p");
    ledger_upload_created(f.l, file, "old", 500, (uint8_t[SHA256_SIZE]){3});
    ledger_part_stored(f.l, file, &part, NULL, NULL);
    ledger_upload_forgotten(f.l, file);
    ledger_upload_created(f.l, file, id, 1000, (uint8_t[SHA256_SIZE]){7, 8});
    ledger_part_stored(f.l, file, &part, NULL, NULL);
    part.number = 1;
    ledger_part_stored(f.l, file, &part, NULL, NULL);
    (void)snprintf(part.etag, sizeof part.etag, "again");
    ledger_part_stored(f.l, file, &part, NULL, NULL);
    file->attempts = 3;
    ledger_attempt(f.l, file, 1, &why);
    cr_assert_eq(file->n_parts, 2);
    flush(&f);
    restart(&f);
    cr_assert_str_eq(state(&f, "p"), "accepted");
    file = take(&f, "p");
    cr_assert(file->attempts == 3 && file->last_class == 1 && file->why.http_status == 500);
    cr_assert_str_eq(file->upload_id, id);
    cr_assert(file->part_bytes == 1000 && file->n_parts == 2);
    cr_assert(file->upload_terms[0] == 7 && file->upload_terms[1] == 8);
    cr_assert(file->parts[0].number == 1 && file->parts[1].number == 2);
    cr_assert_str_eq(file->parts[0].etag, "again");
    cr_assert_eq(file->parts[1].sha256[0], 9);
    ledger_upload_forgotten(f.l, file);
    flush(&f);
    restart(&f);
    file = take(&f, "p");
    cr_assert(!file->upload_id && file->n_parts == 0);
    cr_assert_eq(lane_counts(&f, "audit").files, 2, "taken ones count");
    fix_free(&f);
}

Test(ledger, what_was_delivered_and_not_retired_comes_back_to_be_retired)
{
    struct fix f;
    int ok = 0;
    fix_new(&f);
    accept(&f, "p", "audit", 40);
    flush(&f);
    struct ledger_file *file = take(&f, "p");
    file->first_try_ns = 5;
    file->attempts = 7;
    ledger_deliver(f.l, file, receipt(), count_ok, &ok);
    cr_assert_not(file->delivered);
    flush(&f);
    cr_assert(ok == 1 && file->delivered && file->state == LEDGER_DELIVERED);
    cr_assert_eq(lane_counts(&f, "audit").files, 0);
    restart(&f);
    cr_assert_eq(lane_counts(&f, "audit").files, 0);
    cr_assert_eq(ledger_count(f.l, LEDGER_DELIVERED), 1);
    cr_assert_str_eq(state(&f, "p"), "delivered");
    cr_assert_null(ledger_take(f.l));
    file = ledger_take_delivered(f.l);
    cr_assert_null(ledger_take_delivered(f.l));
    cr_assert(file->delivered && file->id.size == 40 && file->attempts == 7);
    cr_assert(file->sha256[1] == 2 && file->delivered_ns == 77 && file->first_try_ns == 5);
    cr_assert_str_eq(file->path, "p");
    ledger_retire(f.l, file, 0);
    flush(&f);
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(state(&f, "p"), "");
        cr_assert_null(ledger_take_delivered(f.l));
        restart(&f);
    }
    fix_free(&f);
}

Test(ledger, held_files_wait_with_their_reason_until_released)
{
    struct fix f;
    struct ledger_view v;
    int ok = 0;
    fix_new(&f);
    accept(&f, "p", "audit", 40);
    accept(&f, "q", "audit", 50);
    flush(&f);
    cr_assert_eq(
        ledger_hold_path(f.l, "none", 4, &(struct err){.code = "x", .text = "y"}, NULL, NULL),
        RC_ABSENT);
    cr_assert_eq(ledger_hold_path(f.l, "q", 1,
                                  &(struct err){.code = "by-hand", .text = "q is held"}, NULL,
                                  NULL),
                 RC_OK);
    cr_assert_eq(ledger_hold_path(f.l, "q", 1,
                                  &(struct err){.code = "by-hand", .text = "q is held"}, NULL,
                                  NULL),
                 RC_AGAIN, "on its way");
    struct ledger_file *file = take(&f, "p");
    cr_assert_null(ledger_take(f.l), "what is being held is not handed out");
    cr_assert_eq(ledger_hold_path(f.l, "p", 1, &(struct err){.code = "x", .text = "y"}, NULL, NULL),
                 RC_AGAIN);
    ledger_hold(f.l, file, "shrunk", "it is shorter now", count_ok, &ok);
    flush(&f);
    cr_assert_eq(ok, 1);
    for (int i = 0; i < 2; i++) {
        cr_assert(ledger_find(f.l, "p", 1, &v) == RC_OK && v.state == LEDGER_HELD);
        cr_assert_str_eq(v.code, "shrunk");
        cr_assert_not(v.moving);
        cr_assert_str_eq(v.text, "it is shorter now");
        cr_assert_str_eq(state(&f, "q"), "held");
        cr_assert_eq(lane_counts(&f, "audit").files, 0);
        cr_assert_eq(ledger_count(f.l, LEDGER_HELD), 2);
        cr_assert_null(ledger_take(f.l));
        restart(&f);
    }
    cr_assert_eq(ledger_release_path(f.l, "p", 1, NULL, NULL), RC_OK);
    cr_assert(ledger_find(f.l, "p", 1, &v) == RC_OK && v.state == LEDGER_HELD && v.moving);
    cr_assert_eq(ledger_forget_path(f.l, "q", 1, &(struct err){.code = "by-hand"}, NULL, NULL),
                 RC_OK);
    flush(&f);
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(state(&f, "p"), "accepted");
        cr_assert_str_eq(state(&f, "q"), "forgotten");
        cr_assert_eq(lane_counts(&f, "audit").bytes, 40);
        cr_assert_eq(ledger_count(f.l, LEDGER_HELD), 0);
        restart(&f);
    }
    take(&f, "p");
    fix_free(&f);
}

Test(ledger, a_failing_disk_changes_nothing)
{
    struct fix f;
    struct err why = {.code = "x"};
    int told = 0;
    fix_new(&f);
    accept(&f, "p", "audit", 40);
    accept(&f, "h", "audit", 7);
    flush(&f);
    cr_assert_eq(
        ledger_hold_path(f.l, "h", 1, &(struct err){.code = "by-hand", .text = "x"}, NULL, NULL),
        RC_OK);
    flush(&f);
    for (int verb = 0; verb < 9; verb++) {
        struct ledger_file *file = verb < 5 ? take(&f, "p") : NULL;
        struct identity id = id_of(41);
        f.broken = true;
        told = 0;
        switch (verb) {
        case 0:
            ledger_deliver(f.l, file, receipt(), count_ok, &told);
            break;
        case 1:
            ledger_hold(f.l, file, "code", "text", count_ok, &told);
            break;
        case 2:
            ledger_forget(f.l, file, "code", "text", NULL, NULL);
            break;
        case 3:
            ledger_attempt(f.l, file, 3, &why);
            break;
        case 4:
            ledger_upload_created(f.l, file, "id", 5, (uint8_t[SHA256_SIZE]){0});
            break;
        case 5:
            ledger_accept(f.l, "p", 1, &id, "findings", count_ok, &told);
            break;
        case 6:
            cr_assert_eq(
                ledger_hold_path(f.l, "p", 1, &(struct err){.code = "c", .text = "t"}, NULL, NULL),
                RC_OK);
            break;
        case 7:
            cr_assert_eq(ledger_forget_path(f.l, "p", 1, &(struct err){.code = "c"}, NULL, NULL),
                         RC_OK);
            break;
        default:
            cr_assert_eq(ledger_release_path(f.l, "h", 1, NULL, NULL), RC_OK);
        }
        flush(&f);
        cr_assert_eq(told, verb == 0 || verb == 1 || verb == 5 ? 1000 : 0);
        mend(&f);
        if (verb == 0)
            cr_assert(!file->delivered && file->state == LEDGER_SENDING);
        if (verb == 0 || verb == 3 || verb == 4)
            ledger_put_back(f.l, file);
        for (int i = 0; i < 2; i++) {
            cr_assert_str_eq(state(&f, "p"), "accepted", "verb %d", verb);
            cr_assert_str_eq(state(&f, "h"), "held");
            cr_assert_eq(queue_total(ledger_queue(f.l)), 1);
            struct ledger_lane_counts c = lane_counts(&f, "audit");
            cr_assert(c.files == 1 && c.bytes == 40);
            restart(&f);
        }
    }
    fix_free(&f);
}

/* The record that the newer ACCEPTED names as the one before it is in a segment that is set aside.
 */
Test(ledger, an_entry_that_was_replaced_ends_though_the_records_between_are_lost)
{
    struct fix f;
    fix_new(&f);
    accept(&f, "a/f", "x", 10);
    flush(&f);
    restart(&f); /* each life has a segment of its own */
    cr_assert_eq(
        ledger_hold_path(f.l, "a/f", 3, &(struct err){.code = "by-hand", .text = ""}, NULL, NULL),
        RC_OK);
    flush(&f);
    restart(&f);
    accept(&f, "a/f", "x", 20);
    flush(&f);
    ledger_close(f.l);
    int fd = openat(f.dir.fd, "0000000000000002.seg", O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, "damage", 6, 10) == 6 && close(fd) == 0);
    fix_open(&f);
    cr_assert(f.lost);
    cr_expect_str_eq(state(&f, "a/f"), "accepted");
    cr_expect_eq(ledger_count(f.l, LEDGER_ACCEPTED), 1);
    cr_expect_eq(ledger_count(f.l, LEDGER_HELD), 0);
    struct ledger_file *file = ledger_take(f.l);
    cr_assert_not_null(file);
    cr_expect_eq(file->id.size, 20);
    cr_expect_null(ledger_take(f.l));
    fix_free(&f);
}

Test(ledger, what_was_taken_as_the_newest_and_put_back_does_not_hide_the_oldest)
{
    struct fix f;
    char path[16];
    fix_new(&f);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof path, "f/%d", i);
        accept(&f, path, "audit", 10);
    }
    flush(&f);
    int64_t oldest = lane_counts(&f, "audit").oldest_ns;
    for (int i = 0; i < 12; i++) { /* one turn of four is the newest one's */
        struct ledger_file *file = ledger_take(f.l);
        ledger_put_back(f.l, file);
        cr_assert_eq(lane_counts(&f, "audit").oldest_ns, oldest, "turn %d", i);
    }
    fix_free(&f);
}

Test(ledger, that_a_file_is_in_its_lane_again_is_told_when_it_is_not_before)
{
    static const struct {
        const char *name;
        bool attempt, forget, broken;
    } rows[] = {
        {"put back", false, false, false},
        {"put back behind a record", true, false, false},
        {"put back behind a record that fails", true, false, true},
        {"forgotten by a record that fails", false, true, true},
        {"forgotten behind a record, and both fail", true, true, true},
    };
    struct err why = {.code = "x"};
    struct fix f;
    fix_new(&f);
    accept(&f, "p", "audit", 40);
    flush(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ledger_file *file = take(&f, "p");
        bool at_once = !rows[i].attempt && !rows[i].forget;
        f.broken = rows[i].broken;
        f.queued_again = 0;
        if (rows[i].attempt)
            ledger_attempt(f.l, file, file->last_class == 3 ? 4 : 3, &why);
        if (rows[i].forget)
            ledger_forget(f.l, file, "code", "text", NULL, NULL);
        else
            ledger_put_back(f.l, file);
        cr_expect_eq(f.queued_again, at_once, "%s", rows[i].name);
        cr_expect_eq(queue_total(ledger_queue(f.l)), at_once, "%s", rows[i].name);
        flush(&f);
        cr_expect_eq(f.queued_again, 1, "%s", rows[i].name);
        cr_expect_eq(queue_total(ledger_queue(f.l)), 1, "%s", rows[i].name);
        if (rows[i].broken)
            mend(&f);
    }
    fix_free(&f);
}

static void hold_and_release(struct fix *f, const char *path)
{
    const struct err by_hand = {.code = "by-hand", .text = "why"};
    cr_assert_eq(ledger_hold_path(f->l, path, strlen(path), &by_hand, NULL, NULL), RC_OK);
    flush(f);
    cr_assert_eq(ledger_release_path(f->l, path, strlen(path), NULL, NULL), RC_OK);
    flush(f);
}

Test(ledger, what_was_released_or_put_back_does_not_hide_the_oldest)
{
    struct fix f;
    struct ledger_file *a, *b;
    fix_new(&f);
    accept(&f, "first", "audit", 10);
    flush(&f);
    int64_t oldest = lane_counts(&f, "audit").oldest_ns;
    for (char path[] = "a"; *path < 'e'; ++*path) {
        f.now += CLOCK_NS_PER_S;
        accept(&f, path, "audit", 10);
        flush(&f);
    }
    hold_and_release(&f, "d");
    cr_assert_eq(lane_counts(&f, "audit").oldest_ns, oldest);
    hold_and_release(&f, "b"); /* older than d, and behind it */
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(lane_counts(&f, "audit").oldest_ns, oldest, "round %d", round);
        restart(&f);
    }
    a = ledger_take(f.l);
    cr_assert_str_eq(a->path, "b");
    b = ledger_take(f.l);
    cr_assert_str_eq(b->path, "d", "then what was released");
    ledger_forget(f.l, a, "code", "text", NULL, NULL);
    ledger_forget(f.l, b, "code", "text", NULL, NULL);
    flush(&f);
    a = ledger_take(f.l);
    cr_assert_str_eq(a->path, "first");
    b = ledger_take_from(f.l, a->lane, false);
    ledger_put_back(f.l, a);
    ledger_put_back(f.l, b);
    cr_assert_eq(lane_counts(&f, "audit").oldest_ns, oldest, "the younger one lies before it");
    hold_and_release(&f, "first");
    cr_assert_eq(lane_counts(&f, "audit").oldest_ns, oldest);
    cr_assert_eq(ledger_forget_path(f.l, "first", 5, &(struct err){.code = "x"}, NULL, NULL),
                 RC_OK);
    flush(&f);
    cr_assert_gt(lane_counts(&f, "audit").oldest_ns, oldest, "it has left");
    fix_free(&f);
}

Test(ledger, what_was_released_goes_first_and_the_oldest_of_it_before_the_others)
{
    enum { HELD = 10, BACKLOG = 5 };
    const struct err by_hand = {.code = "by-hand", .text = "why"};
    struct ledger_file *file;
    struct fix f;
    char path[16];
    fix_new(&f);
    for (int round = 0; round < 2; round++) { /* the second time after a restart */
        for (int i = 0; i < HELD + BACKLOG; i++) {
            (void)snprintf(path, sizeof path, "f/%d", i);
            accept(&f, path, "audit", (uint64_t)i + 1);
            flush(&f);
            if (i < HELD)
                cr_assert_eq(ledger_hold_path(f.l, path, strlen(path), &by_hand, NULL, NULL),
                             RC_OK);
        }
        flush(&f);
        for (int i = 0; i < HELD; i++) {
            (void)snprintf(path, sizeof path, "f/%d", i);
            cr_assert_eq(ledger_release_path(f.l, path, strlen(path), NULL, NULL), RC_OK);
        }
        flush(&f);
        if (round)
            restart(&f);
        uint64_t next = 1, newest = HELD + BACKLOG;
        for (int turn = 1; (file = ledger_take(f.l)); turn++) {
            cr_assert_eq(file->id.size, turn % 4 ? next++ : newest--, "round %d: turn %d: %lu",
                         round, turn, file->id.size);
            ledger_forget(f.l, file, "code", "text", NULL, NULL);
        }
        cr_assert_eq(next, newest + 1, "all were taken");
        flush(&f);
        restart(&f);
    }
    fix_free(&f);
}

Test(ledger, what_is_in_flight_when_it_closes_is_told_as_cancelled)
{
    struct fix f;
    struct identity id = id_of(1);
    int told = 0;
    fix_new(&f);
    for (int i = 0; i < 3; i++)
        ledger_accept(f.l, "p", 1, &id, "audit", count_ok, &told);
    restart(&f);
    cr_assert_eq(told, 3000);
    cr_assert_str_eq(state(&f, "p"), "");
    fix_free(&f);
}

Test(ledger, a_rejection_is_a_record_and_nothing_more)
{
    struct fix f;
    struct identity id = id_of(1);
    int ok = 0;
    fix_new(&f);
    accept(&f, "p", "audit", 1);
    ledger_reject(f.l, "p", 1, &id, "line", "line 3, column 1: not an object", count_ok, &ok);
    ledger_reject(f.l, "r", 1, &id, "line", "x", count_ok, &ok);
    flush(&f);
    cr_assert_eq(ok, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(state(&f, "p"), "accepted");
        cr_assert_str_eq(state(&f, "r"), "");
        restart(&f);
    }
    fix_free(&f);
}

/* ---- what is being sent ---- */

Test(ledger, the_largest_of_what_is_being_sent_come_first_and_no_more_than_asked_for)
{
    static const uint64_t sizes[] = {5, 90, 1, 90, 40, 7};
    static const uint64_t largest[] = {90, 90, 40, 7};
    const struct ledger_file *out[8] = {0};
    struct ledger_file *file;
    char path[32];
    struct fix f;
    fix_new(&f);
    for (unsigned i = 0; i < 6; i++) {
        (void)snprintf(path, sizeof path, "f/%u", i);
        accept(&f, path, "audit", sizes[i]);
    }
    flush(&f);
    cr_assert_eq(ledger_sending(f.l, out, 8), 0);
    while ((file = ledger_take(f.l)) != NULL)
        continue;
    cr_assert_eq(ledger_sending(f.l, out, 8), 6);
    cr_assert_eq(out[5]->id.size, 1);
    out[4] = NULL;
    cr_assert_eq(ledger_sending(f.l, out, 4), 4);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(out[i]->id.size, largest[i]);
    cr_assert_str_eq(out[0]->path, "f/1", "of the same size the one taken first");
    cr_assert_eq(out[4], NULL);
    file = (struct ledger_file *)(uintptr_t)out[0];
    file->state = LEDGER_DEFERRED;
    cr_assert_eq(ledger_sending(f.l, out, 8), 5);
    cr_assert_eq(ledger_sending(f.l, out, 0), 0);
    fix_free(&f);
}

/* ---- cost ---- */

static size_t resident(void)
{
    unsigned long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%lu %lu", &all, &pages) == 2);
    cr_assert_eq(fclose(file), 0);
    return (size_t)pages * 4096;
}

Test(ledger, a_million_files_cost_less_than_eighteen_megabytes_and_two_seconds_to_replay)
{
    enum { N = 1000000 };
    char path[128];
    struct fix f;
    fix_new(&f);
    for (int i = 0; i < N; i++) {
        (void)snprintf(path, sizeof path, "Panoptica/findings/2026-11-23/prod/event-%08d.ndjson",
                       i);
        accept(&f, path, i % 5 ? "findings" : "audit", 300);
        if (i % 20000 == 0)
            flush(&f);
    }
    flush(&f);
    cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), N);
    cr_assert_lt(ledger_memory(f.l), 18u * 1000 * 1000, "%zu bytes", ledger_memory(f.l));
    ledger_close(f.l);
    size_t before = resident();
    int64_t start = clock_mono_now_ns();
    fix_open(&f);
    int64_t ms = (clock_mono_now_ns() - start) / CLOCK_NS_PER_MS;
    cr_log_info("replay of %d: %lld ms, %zu bytes, resident +%zu", N, (long long)ms,
                ledger_memory(f.l), resident() - before);
    cr_assert_eq(ledger_count(f.l, LEDGER_ACCEPTED), N);
    cr_assert_lt(ledger_memory(f.l), 18u * 1000 * 1000, "%zu bytes", ledger_memory(f.l));
    cr_assert_eq(lane_counts(&f, "findings").files, N / 5 * 4);
    fix_free(&f);
}
