#include "spool/contents.h"

#include "base/mem.h"
#include "spool/ndjson.h"

#include "tests/unit/spool/scratch.h"

enum { LINE = 1024, LINES = 33 * 1024, SIZE = LINE * LINES };

static char *lines(void)
{
    char *data = mem_alloc(SIZE);
    memset(data, 'x', SIZE);
    for (size_t at = 0; at < SIZE; at += LINE) {
        memcpy(data + at, "{\"k\":\"", 6);
        memcpy(data + at + LINE - 3, "\"}\n", 3);
    }
    return data;
}

/* The check of a file that holds this says what the check of the bytes says. */
static enum rc check(const struct scratch *s, const char *data, size_t size, struct err *e)
{
    struct ndjson v;
    struct err want_text = {0};
    ndjson_init(&v);
    enum rc want = ndjson_feed(&v, data, size, &want_text);
    if (want == RC_OK)
        want = ndjson_finish(&v, &want_text);
    int fd = openat(s->fd, "f", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fsio_write_all(&fsio_system, fd, data, size, 0, NULL), RC_OK);
    *e = (struct err){0};
    enum rc rc = contents_check(&fsio_system, fd, size, e);
    cr_expect_eq(rc, want, "%s", e->text);
    cr_expect_str_eq(e->text, want_text.text);
    cr_assert_eq(close(fd), 0);
    return rc;
}

Test(contents, a_large_file_is_judged_in_halves_as_it_is_in_one_piece)
{
    static const struct {
        const char *what, *put, *says;
        size_t at, cut; /* the bytes put there, those cut from the end */
    } cases[] = {
        {"nothing wrong", "", "", 0, 0},
        {"the first byte", "x", "line 1, column 1: expected an object", 0, 0},
        {"the first half", "\x01", "line 6, column 21:", 5 * LINE + 20, 0},
        {"the second half", "\x01", "line 30001, column 21:", 30000 * LINE + 20, 0},
        {"the last line", "}", "line 33792, column 1:", SIZE - LINE, 0},
        {"a mark at the beginning", "\xef\xbb\xbf", "line 1, column 1: the file begins with", 0, 0},
        {"a mark where the halves meet", "\xef\xbb\xbf", "line 16898, column 1:", SIZE / 2 + LINE,
         0},
        {"no newline at the end", "", "line 33792, column 1024: the last line has no newline", 0,
         1},
        {"it ends in mid-line", "", "line 33792, column 1014: the file ends in mid-line", 0, 11},
        {"a line break within a string where the file is halved", "\n",
         "line 16897, column 11: expected the string to go on", SIZE / 2 + 10, 0},
        {"a blank line where the file is halved", "\n", "line 16898, column 1: the line is blank",
         SIZE / 2 + LINE, 0},
    };
    struct scratch s = scratch_new();
    char *data = lines();
    cr_assert_geq(SIZE - 11, CONTENTS_HALVES_MIN);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e;
        char kept[8];
        size_t n = strlen(cases[i].put);
        memcpy(kept, data + cases[i].at, n);
        memcpy(data + cases[i].at, cases[i].put, n);
        enum rc rc = check(&s, data, SIZE - cases[i].cut, &e);
        cr_expect_eq(rc, cases[i].says[0] ? RC_INVALID : RC_OK, "%s", cases[i].what);
        cr_expect(strncmp(e.text, cases[i].says, strlen(cases[i].says)) == 0, "%s: %s",
                  cases[i].what, e.text);
        memcpy(data + cases[i].at, kept, n);
    }
    /* Of faults in both halves the first is told. */
    struct err e;
    data[2 * LINE] = data[30000 * LINE] = '[';
    cr_expect_eq(check(&s, data, SIZE, &e), RC_INVALID);
    cr_expect(strncmp(e.text, "line 3, column 1:", 17) == 0, "%s", e.text);
    free(data);
    scratch_free(&s);
}

Test(contents, a_large_file_without_a_line_near_its_middle_is_judged_too)
{
    struct scratch s = scratch_new();
    struct err e;
    char *data = mem_alloc(SIZE);
    memset(data, 'x', SIZE);
    memcpy(data, "{\"k\":\"", 6);
    memcpy(data + SIZE - 3, "\"}\n", 3);
    cr_expect_eq(check(&s, data, SIZE, &e), RC_OK, "%s", e.text);
    data[SIZE - 2] = 'x';
    cr_expect_eq(check(&s, data, SIZE, &e), RC_INVALID);
    free(data);
    scratch_free(&s);
}

Test(contents, a_file_that_became_shorter_is_judged_as_far_as_it_goes)
{
    struct scratch s = scratch_new();
    struct err e;
    char *data = lines();
    int fd = openat(s.fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fsio_write_all(&fsio_system, fd, data, 10 * LINE, 0, NULL), RC_OK);
    cr_expect_eq(contents_check(&fsio_system, fd, SIZE, &e), RC_OK);
    cr_assert_eq(ftruncate(fd, 10 * LINE - 1), 0);
    cr_expect_eq(contents_check(&fsio_system, fd, SIZE, &e), RC_INVALID);
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_expect_eq(contents_check(&fsio_system, fd, SIZE, &e), RC_INVALID);
    cr_assert_eq(close(fd), 0);
    free(data);
    scratch_free(&s);
}
