/* spool/retire: what a crash left in retiring/. */
#include "spool/archive.h"
#include "tests/unit/spool/failing.h"
#include "tests/unit/spool/retire_fix.h"

#include <errno.h>

static bool knows_not(void *arg, uint64_t place, struct retire_origin *out)
{
    (void)arg;
    (void)place;
    (void)out;
    return false;
}

static bool knows(void *arg, uint64_t place, struct retire_origin *out)
{
    const struct retire_file *f = arg;
    (void)snprintf(out->path, sizeof out->path, "%s", PATH);
    out->ino = f->id.ino;
    return place == 0x1234;
}

/* How many times the bytes are anywhere: 1, or 0 if they are gone. */
static unsigned copies(const struct scratch *s, const struct retire_file *f)
{
    char aside[160];
    aside_path(aside, f);
    return (scratch_has(s, PATH) ? 1U : 0U) + (scratch_has(s, aside) ? 1U : 0U) +
           (scratch_has(s, ARCHIVE_DIR "/2026-11-23/" PATH) ? 1U : 0U) +
           (scratch_count(s, STRAYS_DIR) > 0 ? 1U : 0U);
}

Test(retire_recover, whichever_call_fails_nothing_is_lost_and_recovery_mends_it)
{
    for (int action = RETIRE_DELETE; action <= RETIRE_ARCHIVE; action++) {
        enum retire_result r = RETIRE_FAILED;
        int at = 1;
        for (;; at++) {
            struct retire_file f;
            struct scratch s = set_up(&f);
            struct failing failing = {.at = at, .result = -EIO};
            const struct fsio fs = {&failing_ops, &failing};
            struct err e = {0};
            unsigned n;
            f.racy = true;
            r = retire_file(&fs, s.fd, (enum retire_action)action, &f, &e);
            bool was_hit = failing.calls >= at;
            bool synced_last = action == RETIRE_ARCHIVE && r == RETIRE_FAILED &&
                               scratch_has(&s, ARCHIVE_DIR "/2026-11-23/" PATH);
            if (!synced_last)
                cr_expect_eq(copies(&s, &f), r == RETIRE_DONE && action == RETIRE_DELETE ? 0 : 1,
                             "action %d, call %d of retire: %d", action, at, r);
            if (was_hit)
                cr_expect_eq(r, RETIRE_FAILED, "action %d, call %d", action, at);
            if (r == RETIRE_FAILED)
                cr_expect_neq(e.text[0], '\0');
            cr_expect_eq(
                retire_recover(&fsio_system, s.fd, (enum retire_action)action, knows, &f, &n, &e),
                RC_OK);
            cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
            if (scratch_has(&s, PATH))
                cr_expect_eq(retire(&s, (enum retire_action)action, &f), RETIRE_DONE);
            scratch_free(&s);
            if (!was_hit)
                break;
        }
        cr_expect_eq(r, RETIRE_DONE);
        cr_expect_gt(at, 8);
    }
}

Test(retire_recover, leftovers_go_back_when_known_and_are_judged_by_their_bytes_when_not)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    char aside[160], other[160];
    unsigned n;
    struct err e = {0};
    aside_path(aside, &f);
    cr_assert_eq(renameat(s.fd, PATH, s.fd, aside), 0);
    cr_assert_eq(retire_recover(&fsio_system, s.fd, RETIRE_DELETE, knows, &f, &n, &e), RC_OK);
    cr_expect_eq(n, 1);
    cr_expect_str_eq(scratch_text(&s, PATH), BYTES);

    cr_assert_eq(renameat(s.fd, PATH, s.fd, aside), 0);
    f.place = 0x99;
    aside_path(other, &f);
    scratch_write(&s, other, "not those bytes");
    scratch_write(&s, RETIRE_DIR "/nonsense", "?");
    cr_assert_eq(mkfifoat(s.fd, RETIRE_DIR "/0000000000000001", 0600), 0);
    cr_assert_eq(retire_recover(&fsio_system, s.fd, RETIRE_DELETE, knows_not, NULL, &n, &e), RC_OK,
                 "%s", e.text);
    cr_expect_eq(n, 4);
    cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
    cr_expect_eq(scratch_count(&s, STRAYS_DIR), 6, "three files and their reasons");
    cr_expect(!scratch_has(&s, PATH));
    cr_expect_str_eq(scratch_text(&s, STRAYS_DIR "/nonsense"), "?");

    for (int action = RETIRE_ARCHIVE; action <= RETIRE_KEEP; action++) {
        scratch_write(&s, aside, BYTES);
        cr_assert_eq(
            retire_recover(&fsio_system, s.fd, (enum retire_action)action, knows_not, NULL, &n, &e),
            RC_OK, "%s", e.text);
        cr_expect_eq(n, 1);
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
    }
    cr_expect_eq(scratch_count(&s, STRAYS_DIR), 6);
    scratch_free(&s);
}

Test(retire_recover, a_leftover_that_cannot_be_dealt_with_stays_and_ends_nothing)
{
    bool was_hit = true;
    for (int at = 1; was_hit; at++) {
        struct retire_file f;
        struct scratch s = set_up(&f);
        struct failing failing = {.at = at, .result = -EIO};
        const struct fsio fs = {&failing_ops, &failing};
        struct err e = {0};
        char aside[160];
        unsigned n;
        for (f.place = 1; f.place <= 3; f.place++) {
            aside_path(aside, &f);
            scratch_write(&s, aside, BYTES);
        }
        enum rc rc = retire_recover(&fs, s.fd, RETIRE_ARCHIVE, knows_not, NULL, &n, &e);
        was_hit = failing.calls >= at;
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 3 - n);
        cr_expect(rc == RC_OK || n == 0, "call %d: it could not be listed: %s", at, e.text);
        cr_expect(rc != RC_OK || n >= 2, "call %d: only one cannot be dealt with: %u", at, n);
        cr_expect_eq(retire_recover(&fsio_system, s.fd, RETIRE_ARCHIVE, knows_not, NULL, &n, &e),
                     RC_OK, "%s", e.text);
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
        scratch_free(&s);
    }
}

Test(retire_recover, a_leftover_whose_name_is_taken_is_finished_and_not_sent_again)
{
    for (int action = RETIRE_DELETE; action <= RETIRE_ARCHIVE; action++) {
        struct retire_file f;
        struct scratch s = set_up(&f);
        char aside[160];
        unsigned n;
        struct err e = {0};
        aside_path(aside, &f);
        cr_assert_eq(renameat(s.fd, PATH, s.fd, aside), 0);
        scratch_write(&s, PATH, "a newer one");
        cr_assert_eq(
            retire_recover(&fsio_system, s.fd, (enum retire_action)action, knows, &f, &n, &e),
            RC_OK, "%s", e.text);
        cr_expect_eq(n, 1);
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
        cr_expect_eq(scratch_count(&s, "P/audit/2026-11-20/acct"), 1);
        cr_expect_str_eq(scratch_text(&s, PATH), "a newer one");
        /* Other bytes than its name tells are a new file, beside it. */
        scratch_write(&s, aside, "other bytes");
        f = record(&s, aside, BYTES);
        cr_assert_eq(
            retire_recover(&fsio_system, s.fd, (enum retire_action)action, knows, &f, &n, &e),
            RC_OK, "%s", e.text);
        cr_expect_eq(scratch_count(&s, "P/audit/2026-11-20/acct"), 2);
        scratch_free(&s);
    }
}

/* Of a journal that was lost and begun anew while the leftover lay there. */
Test(retire_recover, a_leftover_whose_place_is_another_files_by_now_does_not_get_its_path)
{
    for (int action = RETIRE_DELETE; action <= RETIRE_ARCHIVE; action++) {
        struct retire_file f;
        struct scratch s = set_up(&f);
        char aside[160];
        unsigned n;
        struct err e = {0};
        aside_path(aside, &f);
        scratch_write(&s, aside, BYTES);
        cr_assert_eq(renameat(s.fd, PATH, s.fd, "elsewhere"), 0); /* it keeps its inode */
        cr_assert_eq(
            retire_recover(&fsio_system, s.fd, (enum retire_action)action, knows, &f, &n, &e),
            RC_OK, "%s", e.text);
        cr_expect_eq(n, 1);
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
        cr_expect(!scratch_has(&s, PATH));
        cr_expect_eq(scratch_count(&s, ARCHIVE_DIR), action == RETIRE_ARCHIVE);

        scratch_write(&s, aside, "not those bytes");
        cr_assert_eq(
            retire_recover(&fsio_system, s.fd, (enum retire_action)action, knows, &f, &n, &e),
            RC_OK, "%s", e.text);
        cr_expect(!scratch_has(&s, PATH));
        cr_expect_eq(scratch_count(&s, STRAYS_DIR), 2, "it and the reason");
        scratch_free(&s);
    }
}
