#include "base/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(json, a_document_is_read_and_written_in_order)
{
    const char *text = "{\"b\":1,\"a\":[true,null,\"\\u00e4\"],\"c\":{}}";
    struct err e;
    struct buf b;
    json_t *v = json_parse(text, strlen(text), &e);
    cr_assert_not_null(v);
    buf_init(&b, 1000);
    json_write(&b, v);
    cr_assert_str_eq(b.data, "{\"b\":1,\"a\":[true,null,\"\xc3\xa4\"],\"c\":{}}");
    buf_reset(&b);
    json_write_pretty(&b, json_object_get(v, "a"));
    cr_assert_str_eq(b.data, "[\n  true,\n  null,\n  \"\xc3\xa4\"\n]");
    buf_reset(&b);
    json_write(&b, json_object_get(v, "b"));
    cr_assert_str_eq(b.data, "1");
    buf_fini(&b);
    json_decref(v);
}

Test(json, what_is_written_cannot_speak_to_a_terminal)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\033[2J", "\"\\u001B[2J\""},
        {"\xc2\x9b"
         "2J",
         "\"\\u009B2J\""},
        {"a\x7f", "\"a\\u007F\""},
        {"\xc2\x80\xc2\x9f\x7f\x7f", "\"\\u0080\\u009F\\u007F\\u007F\""},
        {"\xc2\xa0\xc3\x9b\xe2\x80\x9b\xf0\x9f\x82\x80",
         "\"\xc2\xa0\xc3\x9b\xe2\x80\x9b\xf0\x9f\x82\x80\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        struct err e;
        json_t *v = json_string(cases[i].in),
               *o = json_pack("{s:O, s:s}", cases[i].in, v, "a", "b");
        buf_init(&b, 1000);
        json_write(&b, v);
        cr_expect_str_eq(b.data, cases[i].out);
        for (int pretty = 0; pretty < 2; pretty++) { /* names of members, too */
            buf_reset(&b);
            if (pretty)
                json_write_pretty(&b, o);
            else
                json_write(&b, o);
            cr_expect_not_null(strstr(b.data, cases[i].out), "%s", b.data);
            json_t *again = json_parse(b.data, b.len, &e);
            cr_expect(json_equal(again, o), "%s", b.data);
            cr_expect_null(strchr(b.data, 0x7f));
            json_decref(again);
        }
        buf_fini(&b);
        json_decref(v);
        json_decref(o);
    }
}

Test(json, writing_past_the_maximum_overflows)
{
    struct buf b;
    json_t *v = json_string("a long enough string");
    buf_init(&b, 10);
    json_write(&b, v);
    cr_assert(b.overflow);
    buf_fini(&b);
    json_decref(v);
}

Test(json, an_error_says_line_and_column)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"{\n  \"a\": x\n}", "line 2, column 8: "},
        {"{\"a\":1,\"a\":2}", "line 1, column 10: duplicate"},
        {"", "line 1, column 0: "},
        {"{} trailing", "line 1, column 11: "},
        {"\"\xff\"", "line 1, column "},
        {"[1,2", "line 1, column 4: "},
        {"\033[2J", "line 1, column 1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e;
        cr_assert_null(json_parse(cases[i].text, strlen(cases[i].text), &e), "case %zu", i);
        cr_assert_eq(e.rc, RC_INVALID);
        cr_assert_eq(strncmp(e.text, cases[i].where, strlen(cases[i].where)), 0,
                     "case %zu says: %s", i, e.text);
        cr_assert_null(strchr(e.text, '\033'));
    }
    cr_assert_null(json_parse("{", 1, NULL));
}

Test(json, a_document_over_four_mebibytes_is_refused)
{
    const size_t max = 4 * 1024 * 1024;
    char *text = malloc(max + 1);
    struct err e;
    memset(text, ' ', max + 1);
    text[0] = '[';
    text[max - 1] = ']';
    json_t *v = json_parse(text, max, &e);
    cr_assert_not_null(v);
    json_decref(v);
    cr_assert_null(json_parse(text, max + 1, &e));
    cr_assert_eq(e.rc, RC_LIMIT);
    free(text);
}

Test(json, text_that_is_not_utf8_is_escaped)
{
    static const struct {
        const char *in, *out;
    } cases[] = {{"plain", "plain"}, {"\xc3\xa4", "\xc3\xa4"}, {"a\nb", "a\nb"},
                 {"\xff", "\\xff"},  {"\\\xff", "\\\\\\xff"},  {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *v = json_text(cases[i].in, strlen(cases[i].in));
        cr_assert_str_eq(json_string_value(v), cases[i].out);
        json_decref(v);
    }
    struct buf b;
    json_t *v = json_text("a\0b", 3);
    buf_init(&b, 100);
    json_write(&b, v);
    cr_assert_str_eq(b.data, "\"a\\u0000b\"");
    buf_fini(&b);
    json_decref(v);
}

Test(json, a_value_is_found_by_the_path_of_its_members)
{
    static const struct {
        const char *path, *text; /* NULL: not there */
    } cases[] = {
        {"a", "one"},  {"b.c", "two"}, {"b.d.e", "three"}, {"b.x", NULL},
        {"a.c", NULL}, {"x", NULL},    {"b.d.e.f", NULL},
    };
    static const char document[] = "{\"a\":\"one\",\"b\":{\"c\":\"two\",\"d\":{\"e\":\"three\"}}}";
    struct err e;
    json_t *root = json_parse(document, sizeof document - 1, &e);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = json_string_value(json_at(root, cases[i].path));
        cr_expect((text == NULL) == (cases[i].text == NULL), "%s", cases[i].path);
        if (text && cases[i].text)
            cr_expect_str_eq(text, cases[i].text);
    }
    cr_expect_eq(json_at(root, ""), root);
    cr_expect_null(json_at(NULL, "a"));
    json_decref(root);
}
