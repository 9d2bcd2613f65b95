#include "spool/layout.h"

#include "spool/beneath.h"

#include <criterion/criterion.h>
#include <string.h>

#define DEFAULT "Panoptica/{event_type}/{date}/{account}/{file}"

static struct layout *make(const char *template, const char *prefix)
{
    struct layout *l = NULL;
    struct err e = {0};
    cr_assert_eq(layout_new(template, prefix, &l, &e), RC_OK, "%s: %s", template, e.text);
    return l;
}

static bool is(const char *path, struct layout_span span, const char *text)
{
    return span.n == strlen(text) && memcmp(path + span.at, text, span.n) == 0;
}

Test(layout, the_fields_of_a_path_are_found)
{
    static const char path[] = "Panoptica/findings/2026-11-23/acct-1/a b\xc3\xa9.ndjson";
    struct layout *l = make(DEFAULT, "");
    struct layout_match m;
    struct err e = {0};
    cr_assert_eq(layout_match(l, path, strlen(path), &m, &e), RC_OK, "%s", e.text);
    cr_expect(is(path, m.event_type, "findings"));
    cr_expect(is(path, m.date, "2026-11-23"));
    cr_expect(is(path, m.account, "acct-1"));
    cr_expect(is(path, m.file, "a b\xc3\xa9.ndjson"));
    cr_expect_eq(m.days, 20780);
    cr_expect(!layout_is_any(l));
    cr_expect_eq(layout_date_depth(l), 3);
    size_t n;
    const char *literal = layout_literal(l, 1, &n);
    cr_expect(n == 9 && memcmp(literal, "Panoptica", n) == 0);
    cr_expect_null(layout_literal(l, 2, &n));
    layout_free(l);

    l = make("any", "");
    cr_assert_eq(layout_match(l, "a/b/c", 5, &m, NULL), RC_OK);
    cr_expect(is("a/b/c", m.event_type, "a"));
    cr_expect(is("a/b/c", m.file, "c"));
    cr_expect_eq(m.days, INT64_MIN);
    cr_assert_eq(layout_match(l, "a", 1, &m, NULL), RC_OK);
    cr_expect_eq(m.event_type.n, 0);
    cr_expect(is("a", m.file, "a"));
    cr_expect(layout_is_any(l));
    cr_expect_eq(layout_date_depth(l), 0);
    layout_free(l);
}

Test(layout, a_path_that_does_not_fit_is_refused_with_its_reason)
{
    static char long_name[1200], long_component[300];
    memset(long_component, 'x', 256);
    memset(long_name, 'x', 1100);
    for (size_t i = 100; i < 1100; i += 100)
        long_name[i] = '/';
    static const struct {
        const char *template, *path;
        size_t n;
        const char *code;
    } cases[] = {
        {DEFAULT, "Panoptica/a/2026-11-23/b", 0, "depth"},
        {DEFAULT, "Panoptica/a/2026-11-23/b/c/d", 0, "depth"},
        {DEFAULT, "stray", 0, "depth"},
        {DEFAULT, "panoptica/a/2026-11-23/b/c", 0, "name"},
        {DEFAULT, "Panoptica2/a/2026-11-23/b/c", 0, "name"},
        {DEFAULT, "Panoptica/a/2026-02-30/b/c", 0, "date"},
        {DEFAULT, "Panoptica/a/2026-2-03/b/c", 0, "date"},
        {DEFAULT, "Panoptica/a/2025-02-29/b/c", 0, "date"},
        {DEFAULT, "Panoptica/a/\xff/b/c", 0, "utf8"},
        {DEFAULT, "Panoptica/a/2026-11-23/b/c\n", 0, "control"},
        {DEFAULT, "Panoptica/a/2026-11-23/b/c\xc2\x85", 0, "control"},
        {DEFAULT, "Panoptica/a/2026-11-23/b/c\0d", 28, "control"},
        {DEFAULT, "Panoptica/../2026-11-23/b/c", 0, "dots"},
        {DEFAULT, "Panoptica/./2026-11-23/b/c", 0, "dots"},
        {DEFAULT, "Panoptica/a/2026-11-23/b/..", 0, "dots"},
        {"any", "", 0, "name"},
        {"any", "/a", 0, "name"},
        {"any", "a/", 0, "name"},
        {"any", "a//b", 0, "name"},
        {"any", ".spoolgate/rejected/a", 0, "name"},
        {"any", "..", 0, "dots"},
        {"any", long_component, 0, "too-long"},
        {"any", long_name, 0, "too-long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct layout *l = make(cases[i].template, "");
        struct layout_match m;
        struct err e = {0};
        size_t n = cases[i].n ? cases[i].n : strlen(cases[i].path);
        cr_expect_eq(layout_match(l, cases[i].path, n, &m, &e), RC_INVALID, "%s", cases[i].path);
        cr_expect_str_eq(e.code, cases[i].code, "%s: %s", cases[i].path, e.text);
        cr_expect_neq(e.text[0], '\0');
        for (const char *p = e.text; *p; p++)
            cr_expect((unsigned char)*p >= ' ', "a control character in \"%s\"", e.text);
        cr_expect_eq(layout_match(l, cases[i].path, n, &m, NULL), RC_INVALID);
        layout_free(l);
    }
}

Test(layout, a_key_is_prefix_and_path_and_at_most_1024_bytes)
{
    char path[1100];
    struct layout_match m;
    struct buf b;
    struct layout *l = make("any", "some/where/");
    buf_init(&b, 2000);
    layout_key(l, "a/b", 3, &b);
    cr_expect_str_eq(b.data, "some/where/a/b");
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 100 == 99 ? '/' : 'x';
    cr_expect_eq(layout_match(l, path, 1024 - 11, &m, NULL), RC_OK);
    cr_expect_eq(layout_match(l, path, 1024 - 10, &m, NULL), RC_INVALID);
    layout_free(l);
    buf_fini(&b);
}

Test(layout, a_template_or_prefix_that_cannot_work_is_refused)
{
    static const struct {
        const char *template, *prefix, *says;
    } cases[] = {
        {"", "", "empty"},
        {"/a/{file}", "", "component 1 is empty"},
        {"a//{file}", "", "component 2 is empty"},
        {"{file}/", "", "component 2 is empty"},
        {"a/b", "", "must end with {file}"},
        {"{file}/{date}", "", "must end with {file}"},
        {"{date}/{date}/{file}", "", "{date} twice"},
        {"{file}/{file}", "", "{file} twice"},
        {"x{date}/{file}", "", "component 1, \"x{date}\""},
        {"{tenant}/{file}", "", "component 1, \"{tenant}\""},
        {"a/../{file}", "", "component 2"},
        {".hidden/{file}", "", "begins with a dot"},
        {".spoolgate/{file}", "", ".spoolgate"},
        {"a\n/{file}", "", "control"},
        {"a\xff/{file}", "", "UTF-8"},
        {"any", "noslash", "end with a slash"},
        {"any", "/a/", "component 1 is empty"},
        {"any", "a//", "component 2 is empty"},
        {"any", "../", "component 1"},
        {"any", "\xff/", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct layout *l = NULL;
        struct err e = {0};
        cr_expect_eq(layout_new(cases[i].template, cases[i].prefix, &l, &e), RC_INVALID, "case %zu",
                     i);
        cr_expect(strstr(e.text, cases[i].says), "%s: %s", cases[i].template, e.text);
        cr_expect_null(l);
    }
}

Test(layout, a_path_made_from_fields_matches)
{
    static const char *const templates[] = {DEFAULT, "any", "{date}/x/{file}", "{account}/{file}"};
    static const char *const want[] = {"Panoptica/audit/2026-11-23/prod/f",
                                       "audit/2026-11-23/prod/f", "2026-11-23/x/f", "prod/f"};
    for (size_t i = 0; i < 4; i++) {
        struct layout *l = make(templates[i], "");
        struct layout_match m;
        struct buf b;
        buf_init(&b, 1024);
        layout_path(l, "audit", "2026-11-23", "prod", "f", &b);
        cr_expect_str_eq(b.data, want[i]);
        cr_expect_eq(layout_match(l, b.data, b.len, &m, NULL), RC_OK);
        buf_fini(&b);
        layout_free(l);
    }
}

Test(layout, temporary_names_are_ignored)
{
    static const char *const patterns[] = {"*.tmp", "*.part", "*.swp"};
    const struct layout_ignore g = {patterns, 3};
    static const char *const ignored[] = {".a",    ".",      "a~",     "~",
                                          "x.tmp", "x.part", ".x.swp", ".tmp"};
    static const char *const seen[] = {"a", "a.tmp2", "a~b", "tmp", "a.ndjson", "\xff"};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        cr_expect(layout_ignored(&g, ignored[i]), "%s", ignored[i]);
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++)
        cr_expect(!layout_ignored(&g, seen[i]), "%s", seen[i]);
}

Test(layout, a_long_path_is_shown_with_its_beginning_and_its_end)
{
    char out[BENEATH_SHOWN_SIZE], path[700];
    cr_expect_str_eq(beneath_show(out, "a/b", 3), "a/b");
    cr_expect_str_eq(beneath_show(out, "a\x01\xff", 3), "a\\x01\\xff");
    /* Characters of two bytes, so that every cut may fall into one. */
    for (size_t shift = 0; shift < 2; shift++) {
        memset(path, 'x', sizeof path);
        for (size_t i = shift; i + 1 < sizeof path; i += 2)
            memcpy(path + i, "\xc3\xa9", 2);
        beneath_show(out, path, 600 + shift);
        cr_expect_lt(strlen(out), sizeof out);
        cr_expect_gt(strlen(out), 190);
        cr_expect(strstr(out, " … "));
        for (const char *p = out; *p; p++)
            cr_expect(*p != '\\', "%s", out);
    }
}
