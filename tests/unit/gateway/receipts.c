/* Receipts by the page, from journals of several segments, while they are written and damaged. */
#include "gateway/receipts.h"

#include "base/buf.h"
#include "spool/journal.h"
#include "spool/segment.h"

#include "tests/unit/spool/scratch.h"

#define SEGMENT 8192 /* bytes: some thirty receipts */

struct rig {
    struct scratch dir;
    struct journal *journal;
    int64_t now_ns;
    unsigned written;
};

static enum rc ignore(void *arg, record_place at, const struct record *r)
{
    (void)arg, (void)at, (void)r;
    return RC_OK;
}

static int64_t rig_now(void *arg)
{
    return ((struct rig *)arg)->now_ns;
}

static struct rig *rig_new(void)
{
    static const struct journal_reader reader = {.record = ignore};
    struct rig *rig = calloc(1, sizeof *rig);
    bool lost;
    rig->dir = scratch_new();
    rig->now_ns = 1000;
    struct journal_cfg cfg = {.fs = &fsio_system,
                              .dirfd = rig->dir.fd,
                              .segment_bytes = SEGMENT,
                              .wall_ns = rig_now,
                              .wall_arg = rig};
    cr_assert_eq(journal_open(&cfg, &reader, &lost, &rig->journal, NULL), RC_OK);
    return rig;
}

static void rig_free(struct rig *rig)
{
    journal_close(rig->journal);
    scratch_free(&rig->dir);
    free(rig);
}

/* The n-th receipt is of f-<n>, delivered at 1000 + n; before each a record of another type. */
static void deliver(struct rig *rig, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char path[64];
        rig->now_ns++;
        (void)snprintf(path, sizeof path, "t/%s/f-%u", rig->written % 2 ? "odd" : "even",
                       rig->written);
        struct record_text text = {path, (uint16_t)strlen(path)};
        struct record accepted = {
            .type = RECORD_ACCEPTED, .at_ns = rig->now_ns, .path = text, .event_type = {"t", 1}};
        struct record delivered = {.type = RECORD_DELIVERED,
                                   .at_ns = rig->now_ns,
                                   .path = text,
                                   .event_type = {"t", 1},
                                   .key = text,
                                   .etag = {"e", 1}};
        journal_append(rig->journal, &accepted, NULL, NULL);
        journal_append(rig->journal, &delivered, NULL, NULL);
        journal_flush(rig->journal);
        rig->written++;
    }
}

struct seen {
    unsigned numbers[1000];
    size_t n;
};

static void see(void *arg, const struct record *r)
{
    struct seen *s = arg;
    char path[64];
    (void)snprintf(path, sizeof path, "%.*s", (int)r->path.n, r->path.p);
    cr_assert_lt(s->n, 1000);
    s->numbers[s->n++] = (unsigned)strtoul(strrchr(path, '-') + 1, NULL, 10);
}

/* All pages; how many they were, and whether any was damaged. */
static unsigned read_all(struct rig *rig, struct receipts_query q, struct seen *seen, bool *damaged)
{
    struct receipts_page page = {.each = see, .arg = seen};
    unsigned pages = 0;
    *damaged = false;
    seen->n = 0;
    do {
        size_t before = seen->n;
        page.damaged = false;
        cr_assert_eq(receipts_read(&fsio_system, rig->dir.fd, &q, &page, NULL), RC_OK);
        cr_assert_leq(seen->n - before, q.limit);
        *damaged = *damaged || page.damaged;
        cr_assert(page.next == 0 || q.before == 0 || page.next < q.before, "pages go backwards");
        q.before = page.next;
        cr_assert_lt(++pages, 2000);
    } while (page.next != 0);
    return pages;
}

static const struct receipts_query all = {
    .since_ns = INT64_MIN, .until_ns = INT64_MAX, .limit = 1000, .budget_ms = 10000};

Test(receipts, come_newest_first_each_once_whatever_the_page)
{
    static const size_t limits[] = {1, 2, 7, 29, 30, 31, 100, 1000};
    struct rig *rig = rig_new();
    struct seen *seen = calloc(1, sizeof *seen);
    bool damaged;
    cr_assert_eq(read_all(rig, all, seen, &damaged), 1); /* none yet */
    cr_assert_eq(seen->n, 0);
    deliver(rig, 200);
    for (size_t k = 0; k < 2 * sizeof limits / sizeof limits[0]; k++) {
        struct receipts_query q = all;
        q.limit = limits[k / 2];
        q.budget_ms = k % 2 ? 0 : 10000; /* 0: a segment a page */
        (void)read_all(rig, q, seen, &damaged);
        cr_assert_not(damaged);
        cr_assert_eq(seen->n, 200, "%zu at once: %zu", q.limit, seen->n);
        for (unsigned i = 0; i < 200; i++)
            cr_assert_eq(seen->numbers[i], 199 - i);
    }
    free(seen);
    rig_free(rig);
}

Test(receipts, are_chosen_by_time_and_by_path)
{
    static const struct {
        const char *match;
        int64_t since, until;
        size_t n;
        unsigned newest;
    } rows[] = {
        {NULL, 1101, INT64_MAX, 100, 199}, {NULL, INT64_MIN, 1100, 100, 99},
        {NULL, 1050, 1059, 10, 58},        {NULL, 5000, INT64_MAX, 0, 0},
        {NULL, INT64_MIN, 1000, 0, 0},     {"t/odd/*", INT64_MIN, INT64_MAX, 100, 199},
        {"even", 1001, 1010, 5, 8},        {"t/odd/f-77", INT64_MIN, INT64_MAX, 1, 77},
        {"f-19", INT64_MIN, 1100, 1, 19},  {"nothing", INT64_MIN, INT64_MAX, 0, 0},
    };
    struct rig *rig = rig_new();
    struct seen *seen = calloc(1, sizeof *seen);
    bool damaged;
    deliver(rig, 200);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct receipts_query q = all;
        q.match = rows[i].match;
        q.since_ns = rows[i].since;
        q.until_ns = rows[i].until;
        (void)read_all(rig, q, seen, &damaged);
        cr_assert_eq(seen->n, rows[i].n, "row %zu: %zu", i, seen->n);
        if (seen->n > 0)
            cr_assert_eq(seen->numbers[0], rows[i].newest, "row %zu", i);
    }
    free(seen);
    rig_free(rig);
}

Test(receipts, written_long_after_the_delivery_are_found_by_its_time)
{
    struct rig *rig = rig_new();
    struct seen *seen = calloc(1, sizeof *seen);
    struct receipts_query q = all;
    bool damaged;
    deliver(rig, 100);
    rig->now_ns += 10000; /* the journal could not be written for so long */
    deliver(rig, 100);    /* into younger segments */
    struct record_text path = {"t/late/f-200", 12};
    struct record late = {.type = RECORD_DELIVERED,
                          .at_ns = 1100,
                          .path = path,
                          .event_type = {"t", 1},
                          .key = path,
                          .etag = {"e", 1}};
    journal_append(rig->journal, &late, NULL, NULL);
    journal_flush(rig->journal);
    q.until_ns = 1100;
    (void)read_all(rig, q, seen, &damaged);
    cr_assert_eq(seen->n, 101, "%zu", seen->n);
    cr_assert_eq(seen->numbers[0], 200);
    free(seen);
    rig_free(rig);
}

Test(receipts, that_come_while_somebody_pages_are_not_in_the_later_pages)
{
    struct rig *rig = rig_new();
    struct seen seen = {.n = 0};
    struct receipts_page page = {.each = see, .arg = &seen};
    struct receipts_query q = all;
    deliver(rig, 50);
    q.limit = 20;
    cr_assert_eq(receipts_read(&fsio_system, rig->dir.fd, &q, &page, NULL), RC_OK);
    deliver(rig, 100);
    for (q.before = page.next; q.before != 0; q.before = page.next)
        cr_assert_eq(receipts_read(&fsio_system, rig->dir.fd, &q, &page, NULL), RC_OK);
    cr_assert_eq(seen.n, 50);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(seen.numbers[i], 49 - i);
    rig_free(rig);
}

Test(receipts, beside_damage_are_told_and_the_damage_is)
{
    struct rig *rig = rig_new();
    struct seen *seen = calloc(1, sizeof *seen);
    char name[SEGMENT_NAME_SIZE];
    bool damaged;
    deliver(rig, 200);
    segment_name(name, 2);
    int fd = openat(rig->dir.fd, name, O_WRONLY);
    cr_assert_eq(pwrite(fd, "XXXX", 4, SEGMENT / 2), 4);
    (void)close(fd);
    (void)read_all(rig, all, seen, &damaged);
    cr_assert(damaged);
    cr_assert(seen->n >= 198 && seen->n < 200, "%zu", seen->n);
    cr_assert_eq(unlinkat(rig->dir.fd, name, 0), 0); /* a whole one is gone */
    (void)read_all(rig, all, seen, &damaged);
    cr_assert(seen->n > 100 && seen->n < 198, "%zu", seen->n);
    free(seen);
    rig_free(rig);
}

Test(receipts, times_are_rfc_3339_dates_or_how_long_ago)
{
    static const struct {
        const char *text;
        bool good;
        int64_t ns;
    } rows[] = {
        {"1970-01-02", true, INT64_C(86400000000000)},
        {"1970-01-01T00:00:05Z", true, INT64_C(5000000000)},
        {"2s", true, INT64_C(8000000000)},
        {"", false, 0},
        {"yesterday", false, 0},
        {"2026-13-01", false, 0},
        {"999999999999999999999d", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = 0;
        cr_assert_eq(receipts_parse_time(rows[i].text, INT64_C(10000000000), &ns), rows[i].good,
                     "%s", rows[i].text);
        if (rows[i].good)
            cr_assert_eq(ns, rows[i].ns, "%s", rows[i].text);
    }
}
