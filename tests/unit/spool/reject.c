#include "spool/reject.h"

#include "base/clock.h"

#include "tests/torture/faultfs.h"
#include "tests/unit/spool/disk.h"
#include "tests/unit/spool/scratch.h"

#include <errno.h>

#define R ".spoolgate/rejected/"

static const struct err why = {.rc = RC_INVALID, .code = "content", .text = "line 3: \"wrong\""};

static enum rc reject(const struct fsio *fs, int root, const char *path, struct err *e)
{
    const struct reject_what what = {
        .path = path, .why = &why, .now_ns = 1795399200 * CLOCK_NS_PER_S};
    return reject_file(fs, root, &what, e);
}

static void must_reject(const struct scratch *s, const char *path)
{
    struct err e = {0};
    cr_assert_eq(reject(&fsio_system, s->fd, path, &e), RC_OK, "%s: %s", path, e.text);
}

Test(reject, a_rejected_file_keeps_its_path_and_has_its_reason_beside_it)
{
    struct scratch s = scratch_new();
    struct reject_row row;
    struct err e = {0};
    scratch_write(&s, "a/b/f", "bytes");
    must_reject(&s, "a/b/f");
    cr_expect(!scratch_has(&s, "a/b/f"));
    cr_expect_str_eq(scratch_text(&s, R "a/b/f"), "bytes");
    cr_expect_str_eq(
        scratch_text(&s, R "a/b/f.reason"),
        "{\"path\":\"a/b/f\",\"code\":\"content\",\"reason\":\"line 3: \\\"wrong\\\"\","
        "\"rejected_at\":\"2026-11-23T02:00:00.000Z\"}\n");
    cr_assert_eq(reject_find(&fsio_system, s.fd, "a/b/f", &row, &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(row.path, "a/b/f");
    cr_expect_str_eq(row.code, "content");
    cr_expect_str_eq(row.reason, "line 3: \"wrong\"");
    cr_expect_eq(row.size, 5);
    cr_expect_eq(row.rejected_ns, 1795399200 * CLOCK_NS_PER_S);
    cr_expect_eq(reject(&fsio_system, s.fd, "a/b/f", &e), RC_ABSENT);
    cr_expect_eq(reject(&fsio_system, s.fd, "x/y/z", &e), RC_ABSENT);
    cr_expect_eq(reject(&fsio_system, s.fd, "a/b", &e), RC_INVALID);
    cr_expect_eq(reject_find(&fsio_system, s.fd, "a/b/g", &row, &e), RC_ABSENT);
    cr_expect_eq(reject_find(&fsio_system, s.fd, "a/b", &row, &e), RC_ABSENT);
    cr_expect_eq(reject_find(&fsio_system, s.fd, "a/b/f.reason", &row, &e), RC_ABSENT);
    cr_expect_eq(reject_find(&fsio_system, s.fd, "../retiring/x", &row, &e), RC_ABSENT);
    scratch_free(&s);
}

Test(reject, names_that_are_taken_or_could_be_a_reason_get_a_number)
{
    struct scratch s = scratch_new();
    struct reject_row row;
    for (int i = 0; i < 3; i++) {
        scratch_write(&s, "f", i == 0 ? "0" : i == 1 ? "1" : "2");
        must_reject(&s, "f");
    }
    cr_expect_str_eq(scratch_text(&s, R "f"), "0");
    cr_expect_str_eq(scratch_text(&s, R "f~2"), "1");
    cr_expect_str_eq(scratch_text(&s, R "f~3"), "2");
    cr_expect(scratch_has(&s, R "f~3.reason"));
    /* A file with the name of a reason, before and after the file of that reason. */
    scratch_write(&s, "g.reason", "mine");
    must_reject(&s, "g.reason");
    scratch_write(&s, "g", "g");
    must_reject(&s, "g");
    scratch_write(&s, "f.reason.tmp", "mine too");
    must_reject(&s, "f.reason.tmp");
    cr_expect_str_eq(scratch_text(&s, R "g.reason~2"), "mine");
    cr_expect_str_eq(scratch_text(&s, R "f.reason.tmp~2"), "mine too");
    cr_expect_eq(reject_find(&fsio_system, s.fd, "g", &row, NULL), RC_OK);
    cr_expect_str_eq(row.code, "content");
    scratch_free(&s);
}

Test(reject, what_was_rejected_goes_back_to_where_it_was)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    memcpy(name, "\xff\x01 ", 3);
    static const char *const plain[] = {"a/b/f", "f", "a/x.reason", "\xfe\xff/\n"};
    for (size_t i = 0; i < 5; i++) {
        const char *path = i < 4 ? plain[i] : name;
        scratch_write(&s, path, "first");
        must_reject(&s, path);
        scratch_write(&s, path, "second");
        must_reject(&s, path);
        cr_expect(!scratch_has(&s, path));
    }
    cr_assert_eq(unlinkat(s.fd, "a/b", AT_REMOVEDIR), 0, "directories are tidied away meanwhile");
    cr_assert_eq(reject_restore(&fsio_system, s.fd, "a/b/f~2", &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, "a/b/f"), "second");
    cr_expect(!scratch_has(&s, R "a/b/f~2.reason"));
    cr_expect_eq(reject_restore(&fsio_system, s.fd, "a/b/f", &e), RC_EXISTS);
    cr_expect(strstr(e.text, "a/b/f"), "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, R "a/b/f"), "first");
    cr_assert_eq(reject_restore(&fsio_system, s.fd, "\xfe\xff/\n~2", &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, "\xfe\xff/\n"), "second");
    cr_assert_eq(reject_restore(&fsio_system, s.fd, "a/x.reason~2", &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, "a/x.reason"), "first");
    char second[256], below[300];
    (void)snprintf(second, sizeof second, "%.253s~2", name);
    (void)snprintf(below, sizeof below, R "%s", second);
    cr_expect_str_eq(scratch_text(&s, below), "second");
    cr_assert_eq(reject_restore(&fsio_system, s.fd, second, &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, name), "second");
    cr_expect_eq(reject_restore(&fsio_system, s.fd, "nothing", &e), RC_ABSENT);
    scratch_free(&s);
}

Test(reject, links_pipes_and_files_where_directories_should_be_are_no_obstacle)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    scratch_mkdirs(&s, ".spoolgate/rejected/strays");
    cr_assert_eq(symlinkat("/etc", s.fd, "link"), 0);
    cr_assert_eq(mkfifoat(s.fd, "pipe", 0600), 0);
    must_reject(&s, "link");
    must_reject(&s, "pipe");
    cr_expect(scratch_has(&s, R "link"));
    /* rejected/link is a link to a directory: what was in a directory of that name goes elsewhere.
     */
    scratch_write(&s, "link/passwd", "x");
    scratch_write(&s, "pipe/f", "y");
    must_reject(&s, "link/passwd");
    must_reject(&s, "pipe/f");
    cr_expect_str_eq(scratch_text(&s, STRAYS_DIR "/passwd"), "x");
    cr_expect_str_eq(scratch_text(&s, STRAYS_DIR "/f"), "y");
    cr_assert_eq(reject_restore(&fsio_system, s.fd, "strays/passwd", &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, "link/passwd"), "x");
    /* A directory of the spool that became a link leads nowhere. */
    cr_assert_eq(symlinkat("link", s.fd, "alias"), 0);
    cr_expect_eq(reject(&fsio_system, s.fd, "alias/passwd", &e), RC_ABSENT);
    cr_expect(scratch_has(&s, "link/passwd"));
    scratch_free(&s);
}

Test(reject, a_path_that_climbs_is_no_path)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    static const char *const climbing[] = {"a/../f", "a/./b", "./f", "/f", "a//b", "a/b/", ""};
    scratch_write(&s, "f", "x");
    scratch_write(&s, "a/b", "x");
    for (size_t i = 0; i < sizeof climbing / sizeof climbing[0]; i++)
        cr_expect_neq(reject(&fsio_system, s.fd, climbing[i], &e), RC_OK, "%s", climbing[i]);
    cr_expect(scratch_has(&s, "f"));
    cr_expect(scratch_has(&s, "a/b"));
    scratch_free(&s);
}

Test(reject, a_forged_reason_leads_nowhere_else)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    static const char *const forged[] = {
        "{\"path\":\"../../etc/x\"}",
        "{\"path\":\"/etc/x\"}",
        "{\"path\":\".spoolgate/archive/x\"}",
        "{\"path\":\"\"}",
        "{\"path\":17}",
        "not JSON",
        "{\"path\":\"y\",\"path_hex\":\"zz\"}",
    };
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        scratch_write(&s, R "d/f", "x");
        scratch_write(&s, R "d/f.reason", forged[i]);
        cr_assert_eq(reject_restore(&fsio_system, s.fd, "d/f", &e), RC_OK, "%s", e.text);
        cr_expect(scratch_has(&s, "d/f"), "%s", forged[i]);
        cr_assert_eq(unlinkat(s.fd, "d/f", 0), 0);
    }
    scratch_free(&s);
}

struct seen {
    char paths[12][32];
    size_t n, stop_at;
};

static bool see(void *arg, const struct reject_row *row)
{
    struct seen *seen = arg;
    cr_assert_lt(seen->n, 12);
    (void)snprintf(seen->paths[seen->n++], 32, "%.31s", row->path);
    return seen->n != seen->stop_at;
}

Test(reject, they_are_listed_in_order_of_path_from_anywhere)
{
    struct scratch s = scratch_new();
    struct seen all = {0};
    static const char *const sorted[] = {"a.x", "a/b/1", "a/b/2", "a/c", "a0", "b", "z/y/x/w"};
    cr_expect_eq(reject_each(&fsio_system, s.fd, "", see, &all, NULL), RC_OK, "none at all");
    cr_expect_eq(all.n, 0);
    for (size_t i = 7; i > 0; i--) {
        scratch_write(&s, sorted[i - 1], "");
        must_reject(&s, sorted[i - 1]);
    }
    cr_expect_eq(reject_each(&fsio_system, s.fd, "", see, &all, NULL), RC_OK);
    cr_assert_eq(all.n, 7);
    for (size_t i = 0; i < 7; i++)
        cr_expect_str_eq(all.paths[i], sorted[i]);
    for (size_t i = 0; i < 7; i++) {
        struct seen rest = {.stop_at = 2};
        cr_expect_eq(reject_each(&fsio_system, s.fd, sorted[i], see, &rest, NULL), RC_OK);
        cr_expect_eq(rest.n, 7 - i - 1 < 2 ? 7 - i - 1 : 2);
        for (size_t k = 0; k < rest.n; k++)
            cr_expect_str_eq(rest.paths[k], sorted[i + 1 + k]);
    }
    scratch_free(&s);
}

static bool count(void *arg, const struct reject_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
    return true;
}

Test(reject, a_directory_with_more_names_than_a_page_is_listed_whole)
{
    struct scratch s = scratch_new();
    unsigned n = 0;
    scratch_mkdirs(&s, R "d");
    for (int i = 0; i < 5000; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, R "d/%d", i);
        int fd = openat(s.fd, path, O_WRONLY | O_CREAT, 0600);
        (void)close(fd);
    }
    cr_expect_eq(reject_each(&fsio_system, s.fd, "", count, &n, NULL), RC_OK);
    cr_expect_eq(n, 5000);
    n = 0;
    cr_expect_eq(reject_each(&fsio_system, s.fd, "d/4", count, &n, NULL), RC_OK);
    cr_expect_eq(n, 5000 - 3335, "%u", n); /* 0…, 1…, 2…, 3… are 1 + 3 * 1111, and d/4 itself */
    scratch_free(&s);
}

/* Every page is the same as the walk that was not interrupted, wherever it ended. */
static bool see_one(void *arg, const struct reject_row *row)
{
    (void)snprintf(arg, 64, "%.63s", row->path);
    return false;
}

Test(reject, one_by_one_they_come_in_the_same_order_and_are_as_many_as_counted)
{
    struct scratch s = scratch_new();
    static const char *const files[] = {"d.x", "d/1", "d/1.a/2", "d/1/x", "d/2", "d0", "e/f/g/h"};
    char last[64] = "";
    uint64_t n;
    cr_assert(reject_count(&fsio_system, s.fd, &n, NULL) == RC_OK && n == 0);
    for (size_t i = 0; i < 7; i++) {
        if (strcmp(files[i], "d/1") == 0)
            continue; /* a directory of that name comes */
        scratch_write(&s, files[i], "");
        must_reject(&s, files[i]);
    }
    cr_assert(reject_count(&fsio_system, s.fd, &n, NULL) == RC_OK && n == 6);
    for (size_t i = 0; i < 7; i++) {
        char after[64];
        if (strcmp(files[i], "d/1") == 0)
            continue;
        memcpy(after, last, sizeof after);
        cr_assert_eq(reject_each(&fsio_system, s.fd, after, see_one, last, NULL), RC_OK);
        cr_expect_str_eq(last, files[i]);
    }
    scratch_free(&s);
}

/* One directory may not be entered, and of another's file system the disk fails. */
static int shut(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    return strcmp(path, "shut") == 0 ? -EACCES
           : strcmp(path, "broken") == 0
               ? -EIO
               : fsio_system.ops->open_beneath(ctx, dirfd, path, flags, mode);
}

Test(reject, a_directory_that_may_not_be_read_is_not_counted_and_the_others_are)
{
    static const char *const files[] = {"a/1", "shut/2", "shut/3", "z/4", "z/y/5"};
    struct scratch s = scratch_new();
    struct fsio_ops ops = *fsio_system.ops;
    const struct fsio fs = {&ops, NULL};
    struct err e = {0};
    uint64_t n = 0;
    ops.open_beneath = shut;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        scratch_write(&s, files[i], "");
        must_reject(&s, files[i]);
    }
    cr_expect_eq(reject_count(&fs, s.fd, &n, &e), RC_DENIED);
    cr_expect(strstr(e.text, "shut"), "%s", e.text);
    cr_expect_eq(n, 3, "%llu", (unsigned long long)n);
    /* Whichever of them is met first. */
    scratch_write(&s, "broken/6", "");
    must_reject(&s, "broken/6");
    cr_expect_eq(reject_count(&fs, s.fd, &n, &e), RC_IO);
    cr_expect(strstr(e.text, "broken"), "%s", e.text);
    cr_expect_eq(reject_count(&fs, s.fd, &n, NULL), RC_IO);
    scratch_free(&s);
}

Test(reject, what_was_taken_aside_goes_whatever_it_is)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    uint64_t n;
    scratch_write(&s, "aside/d/f", "x");
    struct reject_source source = {.from_dir = openat(s.fd, "aside", O_PATH | O_CLOEXEC),
                                   .from = "d"};
    cr_assert_geq(source.from_dir, 0);
    cr_expect_eq(reject_aside(&fsio_system, s.fd, &source, "strays/d", &why, &e), RC_OK, "%s",
                 e.text);
    cr_expect_str_eq(scratch_text(&s, R "strays/d/f"), "x");
    cr_expect(scratch_has(&s, R "strays/d.reason"));
    cr_expect(!scratch_has(&s, "aside/d"));
    cr_assert(reject_count(&fsio_system, s.fd, &n, NULL) == RC_OK && n == 1);
    (void)close(source.from_dir);
    scratch_free(&s);
}

/* Every write fails. */
static ssize_t full(void *ctx, int fd, const void *data, size_t n, uint64_t offset)
{
    (void)ctx;
    (void)fd;
    (void)data;
    (void)n;
    (void)offset;
    return -ENOSPC;
}

Test(reject, a_full_disk_costs_the_reason_and_not_the_file)
{
    struct scratch s = scratch_new();
    struct fsio_ops ops = *fsio_system.ops;
    const struct fsio fs = {&ops, NULL};
    struct reject_row row;
    struct err e = {0};
    ops.pwrite = full;
    scratch_write(&s, "a/f", "x");
    cr_expect_eq(reject(&fs, s.fd, "a/f", &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(scratch_text(&s, R "a/f"), "x");
    cr_expect_eq(scratch_count(&s, R "a"), 1);
    cr_expect_eq(reject_find(&fs, s.fd, "a/f", &row, &e), RC_OK);
    cr_expect_str_eq(row.reason, "no reason is kept beside it");
    cr_expect_eq(reject_restore(&fs, s.fd, "a/f", &e), RC_OK, "%s", e.text);
    cr_expect(scratch_has(&s, "a/f"));
    scratch_free(&s);
}

Test(reject, a_move_is_durable_with_its_reason_or_without)
{
    for (int full = 0; full < 2; full++) {
        struct faultfs *disk = faultfs_new();
        const struct fsio *fs = faultfs_fsio(disk);
        const struct faultfs_plan plan = {
            .call = FAULTFS_PWRITE, .nth = 1, .fault = FAULTFS_ERROR, .error = ENOSPC};
        int root = spool_on_disk(disk);
        struct err e = {0};
        struct file_stat st;
        faultfs_arm(disk, full ? &plan : NULL);
        cr_assert_eq(reject(fs, root, "f", &e), RC_OK, "%s", e.text);
        faultfs_restart(disk, 0);
        root = faultfs_root(disk);
        cr_expect_eq(fs->ops->stat(fs->ctx, root, R "f", &st), 0);
        cr_expect_eq(fs->ops->stat(fs->ctx, root, R "f.reason", &st), full ? -ENOENT : 0);
        cr_expect_eq(fs->ops->stat(fs->ctx, root, "f", &st), -ENOENT);
        faultfs_free(disk);
    }
}

static struct identity identity_of(const struct scratch *s, const char *path)
{
    struct file_stat st;
    cr_assert_eq(fsio_system.ops->stat(fsio_system.ctx, s->fd, path, &st), 0, "%s", path);
    return st.id;
}

static enum rc reject_judged(const struct fsio *fs, const struct scratch *s, const char *path,
                             const struct identity *id)
{
    const struct reject_what what = {.path = path, .id = id, .why = &why};
    return reject_file(fs, s->fd, &what, NULL);
}

static void place(const struct scratch *s, const char *path, const char *text)
{
    scratch_write(s, "placed", text);
    cr_assert_eq(renameat(s->fd, "placed", s->fd, path), 0);
}

Test(reject, what_is_not_the_file_that_was_judged_is_left_alone)
{
    struct scratch s = scratch_new();
    scratch_write(&s, "a/f", "bad");
    struct identity id = identity_of(&s, "a/f");
    place(&s, "a/f", "new");
    cr_expect_eq(reject_judged(&fsio_system, &s, "a/f", &id), RC_CHANGED);
    cr_expect_str_eq(scratch_text(&s, "a/f"), "new");
    /* Its writer went on. */
    id = identity_of(&s, "a/f");
    scratch_write(&s, "a/f", "longer");
    cr_expect_eq(reject_judged(&fsio_system, &s, "a/f", &id), RC_CHANGED);
    cr_assert_eq(symlinkat("f", s.fd, "a/link"), 0);
    struct identity link = identity_of(&s, "a/link");
    place(&s, "a/link", "good");
    cr_expect_eq(reject_judged(&fsio_system, &s, "a/link", &link), RC_CHANGED);
    cr_expect_eq(scratch_count(&s, R "a"), 0);
    id = identity_of(&s, "a/f");
    cr_expect_eq(reject_judged(&fsio_system, &s, "a/f", &id), RC_OK);
    cr_expect_str_eq(scratch_text(&s, R "a/f"), "longer");
    id = identity_of(&s, "a/link");
    cr_expect_eq(reject_judged(&fsio_system, &s, "a/f", &id), RC_ABSENT);
    /* A pipe's times are not its own. */
    cr_assert_eq(mkfifoat(s.fd, "pipe", 0600), 0);
    id = identity_of(&s, "pipe");
    id.mtime_ns--;
    id.ctime_ns--;
    cr_expect_eq(reject_judged(&fsio_system, &s, "pipe", &id), RC_OK);
    scratch_free(&s);
}

/* A producer that is just between the look and the move, and again just after the move. */
static struct between {
    const struct scratch *s;
    bool before, after;
} between;

static int rename_between(void *ctx, int from_dir, const char *from, int to_dir, const char *to,
                          unsigned flags)
{
    if (between.before) {
        between.before = false;
        place(between.s, "a/f", "new");
    }
    int result = fsio_system.ops->rename(ctx, from_dir, from, to_dir, to, flags);
    if (between.after) {
        between.after = false;
        place(between.s, "a/f", "newest");
    }
    return result;
}

Test(reject, what_came_between_the_look_and_the_move_goes_back)
{
    struct scratch s = scratch_new();
    struct fsio_ops ops = *fsio_system.ops;
    const struct fsio fs = {&ops, fsio_system.ctx};
    ops.rename = rename_between;
    scratch_write(&s, "a/f", "bad");
    struct identity id = identity_of(&s, "a/f");
    between = (struct between){.s = &s, .before = true};
    cr_expect_eq(reject_judged(&fs, &s, "a/f", &id), RC_CHANGED);
    cr_expect_str_eq(scratch_text(&s, "a/f"), "new");
    cr_expect_eq(scratch_count(&s, R "a"), 0);
    /* What has been replaced once more is nowhere lost. */
    id = identity_of(&s, "a/f");
    between = (struct between){.s = &s, .before = true, .after = true};
    cr_expect_eq(reject_judged(&fs, &s, "a/f", &id), RC_OK);
    cr_expect_str_eq(scratch_text(&s, "a/f"), "newest");
    cr_expect_str_eq(scratch_text(&s, R "a/f"), "new");
    scratch_free(&s);
}
