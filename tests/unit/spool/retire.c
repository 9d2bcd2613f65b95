#include "tests/unit/spool/retire_fix.h"

#include "spool/archive.h"
#include "tests/unit/spool/failing.h"

#include <errno.h>

Test(retire, a_delivered_file_is_removed_archived_or_kept)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    cr_expect_eq(retire(&s, RETIRE_KEEP, &f), RETIRE_DONE);
    cr_expect(scratch_has(&s, PATH));
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_DONE);
    cr_expect(!scratch_has(&s, PATH));
    cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
    static const enum retire_action actions[] = {RETIRE_KEEP, RETIRE_DELETE, RETIRE_ARCHIVE};
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(retire(&s, actions[i], &f), RETIRE_GONE);
    for (int i = 0; i < 2; i++) {
        scratch_write(&s, PATH, BYTES);
        f = record(&s, PATH, BYTES);
        cr_expect_eq(retire(&s, RETIRE_ARCHIVE, &f), RETIRE_DONE);
        cr_expect(!scratch_has(&s, PATH));
    }
    cr_expect_str_eq(scratch_text(&s, ARCHIVE_DIR "/2026-11-23/" PATH), BYTES);
    cr_expect_str_eq(scratch_text(&s, ARCHIVE_DIR "/2026-11-23/" PATH "~2"), BYTES);
    /* An archived file where a directory is wanted. */
    scratch_write(&s, "P/audit/2026-11-20/acct/f/g", BYTES);
    f = record(&s, PATH "/g", BYTES);
    cr_expect_eq(retire(&s, RETIRE_ARCHIVE, &f), RETIRE_DONE);
    cr_expect_str_eq(scratch_text(&s, ARCHIVE_DIR "/2026-11-23/g"), BYTES);
    scratch_free(&s);
}

/* What somebody did to the file between its delivery and its retirement. */
static void overwrite(const struct scratch *s)
{
    scratch_write(s, PATH, "{\"b\":2}\n");
}
static void overwrite_by_another(const struct scratch *s)
{
    scratch_write(s, "new", "{\"b\":22}\n");
    cr_assert_eq(renameat(s->fd, "new", s->fd, PATH), 0);
}
static void append(const struct scratch *s)
{
    int fd = openat(s->fd, PATH, O_WRONLY | O_APPEND);
    cr_assert_eq(write(fd, "{}\n", 3), 3);
    (void)close(fd);
}
static void replace(const struct scratch *s)
{
    scratch_write(s, "new", BYTES);
    cr_assert_eq(renameat(s->fd, "new", s->fd, PATH), 0);
}
static void make_link(const struct scratch *s)
{
    cr_assert_eq(renameat(s->fd, PATH, s->fd, "kept"), 0);
    cr_assert_eq(symlinkat("../../../../kept", s->fd, PATH), 0);
}
static void make_directory(const struct scratch *s)
{
    cr_assert_eq(unlinkat(s->fd, PATH, 0), 0);
    cr_assert_eq(mkdirat(s->fd, PATH, 0755), 0);
}
/* Just before the call, another file gets the name. */
struct swap {
    const struct scratch *s;
    int done;
};
static bool swap_before_rename(void *arg, const char *call)
{
    struct swap *w = arg;
    if (strcmp(call, "rename") == 0 && !w->done++)
        overwrite_by_another(w->s);
    return false;
}

/* The same size, and the same mtime: only ctime and the bytes tell. */
static void forge(const struct scratch *s)
{
    struct stat st;
    cr_assert_eq(fstatat(s->fd, PATH, &st, 0), 0);
    overwrite(s);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    cr_assert_eq(utimensat(s->fd, PATH, times, 0), 0);
}

Test(retire, what_is_taken_aside_is_looked_at_again)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    struct swap w = {.s = &s};
    struct failing watching = {.before = swap_before_rename, .arg = &w};
    const struct fsio fs = {&failing_ops, &watching};
    struct err e = {0};
    cr_expect_eq(retire_file(&fs, s.fd, RETIRE_DELETE, &f, &e), RETIRE_CHANGED);
    cr_expect_gt(w.done, 0);
    cr_expect_str_eq(scratch_text(&s, PATH), "{\"b\":22}\n");
    cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
    scratch_free(&s);
}

Test(retire, what_has_the_name_of_a_changed_file_is_told)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    struct identity found = {0};
    struct stat st;
    f.found = &found;
    cr_assert_eq(fstatat(s.fd, PATH, &st, 0), 0);
    scratch_write(&s, PATH, "");
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_CHANGED);
    cr_expect_eq(found.ino, st.st_ino);
    cr_expect_eq(found.size, 0);
    cr_expect(scratch_has(&s, PATH));
    scratch_free(&s);
}

Test(retire, a_file_that_changed_stays_as_a_new_one)
{
    static void (*const changes[])(const struct scratch *) = {overwrite,      append, replace,
                                                              make_directory, forge,  make_link};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        for (int action = RETIRE_DELETE; action <= RETIRE_KEEP; action++) {
            struct retire_file f;
            struct scratch s = set_up(&f);
            (void)usleep(20000); /* so that the clock of the times has moved on */
            changes[i](&s);
            cr_expect_eq(retire(&s, (enum retire_action)action, &f), RETIRE_CHANGED, "%zu %d", i,
                         action);
            cr_expect(scratch_has(&s, PATH), "%zu %d", i, action);
            cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
            cr_expect_eq(scratch_count(&s, ARCHIVE_DIR), 0);
            scratch_free(&s);
        }
}

Test(retire, when_only_ctime_differs_the_bytes_decide)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    (void)usleep(20000);
    cr_assert_eq(fchmodat(s.fd, PATH, 0600, 0), 0);
    cr_expect_eq(retire(&s, RETIRE_KEEP, &f), RETIRE_CHANGED);
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_DONE);
    cr_expect(!scratch_has(&s, PATH));
    scratch_free(&s);
}

Test(retire, a_racy_file_is_hashed_again)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    f.racy = true;
    f.sha256[0] ^= 1;
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_CHANGED);
    cr_expect_str_eq(scratch_text(&s, PATH), BYTES);
    f.sha256[0] ^= 1;
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_DONE);
    cr_expect(!scratch_has(&s, PATH));
    scratch_free(&s);
}

Test(retire, a_file_that_somebody_writes_goes_back)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    int fd = openat(s.fd, PATH, O_WRONLY | O_APPEND);
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_CHANGED);
    cr_expect_eq(write(fd, "more\n", 5), 5);
    (void)close(fd);
    cr_expect_str_eq(scratch_text(&s, PATH), BYTES "more\n");
    cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
    scratch_free(&s);
}

/* The file as the uploader hands it on. */
static struct open_file *handed_on(const struct scratch *s)
{
    int fd = openat(s->fd, PATH, O_RDONLY | O_CLOEXEC);
    struct open_file *open = open_file_new(fd);
    cr_assert_not_null(open);
    return open;
}

Test(retire, one_that_is_open_already_is_judged_as_any_other_and_closed)
{
    static const struct {
        enum retire_action action;
        bool racy, writer, replaced, other_bytes, gone;
        enum retire_result result;
    } cases[] = {
        {.result = RETIRE_DONE},
        {.action = RETIRE_ARCHIVE, .result = RETIRE_DONE},
        {.action = RETIRE_KEEP, .result = RETIRE_DONE},
        {.racy = true, .result = RETIRE_DONE},
        {.racy = true, .other_bytes = true, .result = RETIRE_CHANGED},
        {.writer = true, .result = RETIRE_CHANGED},
        {.racy = true, .writer = true, .result = RETIRE_CHANGED},
        {.replaced = true, .result = RETIRE_CHANGED},
        {.gone = true, .result = RETIRE_GONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct retire_file f;
        struct scratch s = set_up(&f);
        struct open_file *open = handed_on(&s);
        int fd = open_file_fd(open), writer = -1;
        f.racy = cases[i].racy;
        f.sha256[0] ^= cases[i].other_bytes;
        if (cases[i].writer)
            writer = openat(s.fd, PATH, O_WRONLY | O_APPEND);
        if (cases[i].replaced || cases[i].gone)
            cr_assert_eq(unlinkat(s.fd, PATH, 0), 0);
        if (cases[i].replaced)
            scratch_write(&s, PATH, BYTES);
        f.open = open;
        cr_expect_eq(retire(&s, cases[i].action, &f), cases[i].result, "case %zu", i);
        cr_expect_eq(fcntl(fd, F_GETFD), -1, "case %zu is still open", i);
        cr_expect_eq(scratch_has(&s, PATH),
                     cases[i].result == RETIRE_CHANGED || cases[i].action == RETIRE_KEEP,
                     "case %zu", i);
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
        if (writer >= 0)
            (void)close(writer);
        scratch_free(&s);
    }
}

static bool swap_aside(void *arg, const char *call)
{
    struct scratch *s = arg;
    char aside[160];
    if (strcmp(call, "stat") != 0 || scratch_count(s, RETIRE_DIR) == 0)
        return false;
    struct retire_file f = {.place = 0x1234};
    sha256(BYTES, strlen(BYTES), f.sha256);
    aside_path(aside, &f);
    cr_assert_eq(unlinkat(s->fd, aside, 0), 0);
    scratch_write(s, aside, BYTES);
    return false;
}

Test(retire, what_is_aside_must_be_what_is_open)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    struct failing swapping = {.before = swap_aside, .arg = &s};
    const struct fsio fs = {&failing_ops, &swapping};
    struct err e;
    f.open = handed_on(&s);
    cr_expect_eq(retire_file(&fs, s.fd, RETIRE_DELETE, &f, &e), RETIRE_CHANGED);
    cr_expect(scratch_has(&s, PATH));
    scratch_free(&s);
}

/* After the file was taken aside its producer does something; then it is put back. */
struct meanwhile {
    const struct scratch *s;
    void (*act)(const struct scratch *s);
    bool done;
};

static bool act_once(void *arg, const char *call)
{
    struct meanwhile *m = arg;
    if (strcmp(call, "open_beneath") != 0 || m->done || scratch_count(m->s, RETIRE_DIR) == 0)
        return false;
    m->done = true;
    m->act(m->s);
    return true; /* the open of what lies aside */
}
static void write_again(const struct scratch *s)
{
    scratch_write(s, PATH, "new");
}
static void remove_directories(const struct scratch *s)
{
    cr_assert_eq(unlinkat(s->fd, "P/audit/2026-11-20/acct", AT_REMOVEDIR), 0);
    cr_assert_eq(unlinkat(s->fd, "P/audit/2026-11-20", AT_REMOVEDIR), 0);
}
static void shut_directory(const struct scratch *s)
{
    remove_directories(s);
    scratch_write(s, "P/audit/2026-11-20", "a file now");
}

Test(retire, what_goes_back_finds_its_place_whatever_became_of_it)
{
    static const struct {
        void (*act)(const struct scratch *s);
        unsigned in_place, strays;
    } cases[] = {{write_again, 2, 0}, {remove_directories, 1, 0}, {shut_directory, 0, 2}};
    for (size_t i = 0; i < 3; i++) {
        struct retire_file f;
        struct scratch s = set_up(&f);
        struct meanwhile m = {&s, cases[i].act, false};
        struct failing failing = {.result = -EIO, .before = act_once, .arg = &m};
        const struct fsio fs = {&failing_ops, &failing};
        struct err e = {0};
        cr_expect_eq(retire_file(&fs, s.fd, RETIRE_DELETE, &f, &e), RETIRE_FAILED, "%zu", i);
        cr_expect(m.done);
        cr_expect_eq(scratch_count(&s, "P/audit/2026-11-20/acct"), cases[i].in_place, "%zu", i);
        cr_expect_eq(scratch_count(&s, STRAYS_DIR), cases[i].strays, "%zu", i);
        cr_expect_eq(scratch_count(&s, RETIRE_DIR), 0);
        if (i == 0)
            cr_expect_str_eq(scratch_text(&s, PATH), "new");
        if (i == 1)
            cr_expect_str_eq(scratch_text(&s, PATH), BYTES);
        scratch_free(&s);
    }
}

Test(retire, a_leftover_in_the_way_is_kept_as_a_stray)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    char aside[160];
    aside_path(aside, &f);
    scratch_write(&s, aside, "older");
    cr_expect_eq(retire(&s, RETIRE_DELETE, &f), RETIRE_DONE);
    cr_expect(!scratch_has(&s, PATH));
    cr_expect_eq(scratch_count(&s, STRAYS_DIR), 2);
    scratch_free(&s);
}

Test(retire, a_batch_over_many_directories_costs_eight_calls_a_file_at_most)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    struct failing counting = {0};
    const struct fsio fs = {&failing_ops, &counting};
    struct retire_batch *b;
    struct err e = {0};
    char path[64];
    cr_assert_eq(retire_begin(&fs, s.fd, RETIRE_DELETE, &b, &e), RC_OK);
    int before = 0;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(path, sizeof path, "P/t%d/2026-11-20/a/f%d", i / 10, i);
        scratch_write(&s, path, BYTES);
        f = record(&s, path, BYTES);
        f.place = (uint64_t)i + 1;
        cr_expect_eq(retire_next(b, &f, &e), RETIRE_DONE, "%s", e.text);
        cr_expect(!scratch_has(&s, path));
        if (i % 10 > 0) /* stat, rename, open, stat, unlink; the lease and close are more */
            cr_expect_leq(counting.calls - before, 5);
        before = counting.calls;
    }
    cr_expect_eq(retire_end(b, &e), RC_OK);
    scratch_free(&s);
}

Test(retire, a_directory_that_may_not_be_written_is_named_with_its_owner_and_the_remedy)
{
    struct retire_file f;
    struct scratch s = set_up(&f);
    struct err e = {0};
    if (geteuid() != 0)
        cr_skip_test();
    cr_assert_eq(fchownat(s.fd, ".spoolgate", 65534, 65534, 0), 0);
    cr_assert_eq(fchownat(s.fd, RETIRE_DIR, 65534, 65534, 0), 0);
    cr_assert_eq(seteuid(65534), 0);
    cr_expect_eq(retire_file(&fsio_system, s.fd, RETIRE_DELETE, &f, &e), RETIRE_FAILED);
    cr_assert_eq(seteuid(0), 0);
    cr_expect_eq(e.rc, RC_DENIED);
    cr_expect(strstr(e.text, PATH) && strstr(e.text, "owner uid 0, gid 0, mode 07"), "%s", e.text);
    cr_expect(scratch_has(&s, PATH));
    scratch_free(&s);
}

Test(retire, directories_that_are_links_or_others_are_not_ours)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    cr_assert_eq(symlinkat("/tmp", s.fd, ".spoolgate"), 0);
    cr_expect_neq(retire_prepare(&fsio_system, s.fd, &e), RC_OK);
    cr_assert_eq(unlinkat(s.fd, ".spoolgate", 0), 0);
    if (geteuid() == 0) {
        scratch_mkdirs(&s, ".spoolgate");
        cr_assert_eq(fchownat(s.fd, ".spoolgate", 12345, 0, 0), 0);
        cr_expect_eq(retire_prepare(&fsio_system, s.fd, &e), RC_DENIED);
        cr_expect(strstr(e.text, "12345"), "%s", e.text);
        cr_assert_eq(fchownat(s.fd, ".spoolgate", 0, 0, 0), 0);
    }
    cr_expect_eq(retire_prepare(&fsio_system, s.fd, &e), RC_OK, "%s", e.text);
    cr_expect_eq(retire_prepare(&fsio_system, s.fd, &e), RC_OK, "%s", e.text);
    cr_expect(scratch_has(&s, ".spoolgate/canary"));
    scratch_free(&s);
}
