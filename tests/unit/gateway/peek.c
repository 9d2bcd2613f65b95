/* The first lines of what is rejected. */
#include "gateway/peek.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static json_t *look(const char *data, size_t n, bool whole, const char *reason, unsigned lines)
{
    struct peek_text t = {
        .data = data, .n = n, .whole = whole, .code = "content", .reason = reason};
    json_t *o = json_object();
    peek_lines(&t, lines, o);
    return o;
}

static const char *text_of(const json_t *o, size_t i)
{
    return json_string_value(
        json_object_get(json_array_get(json_object_get(o, "lines"), i), "text"));
}

static json_int_t number_of(const json_t *o, size_t i, const char *name)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(o, "lines"), i), name));
}

static bool is_cut(const json_t *o, size_t i)
{
    return json_is_true(json_object_get(json_array_get(json_object_get(o, "lines"), i), "cut"));
}

static size_t count(const json_t *o)
{
    return json_array_size(json_object_get(o, "lines"));
}

Test(peek, lines_end_at_newlines_and_bytes_that_are_no_text_are_replaced)
{
    static const char data[] = "one\r\n\ntw\xffo\xc3\xa9\xe2\x82\n\x1b[31m\0z";
    json_t *o = look(data, sizeof data - 1, true, "line 3, column 3: not UTF-8", 20);
    cr_assert_eq(count(o), 4);
    cr_assert_str_eq(text_of(o, 0), "one");
    cr_assert_str_eq(text_of(o, 1), "");
    cr_assert_str_eq(text_of(o, 2), "tw\xef\xbf\xbdo\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    cr_assert_not(is_cut(o, 2));
    cr_assert_eq(
        json_string_length(json_object_get(json_array_get(json_object_get(o, "lines"), 3), "text")),
        7);
    const json_t *fault = json_object_get(o, "fault");
    cr_assert_eq(json_integer_value(json_object_get(fault, "line")), 3);
    cr_assert_eq(json_integer_value(json_object_get(fault, "column")), 3);
    cr_assert_str_eq(json_string_value(json_object_get(fault, "text")), "not UTF-8");
    json_decref(o);
    o = look("", 0, true, "it is empty", 20);
    cr_assert_eq(count(o), 0);
    cr_assert(json_is_null(json_object_get(o, "fault")));
    json_decref(o);
}

Test(peek, a_fault_behind_the_first_lines_is_shown_with_those_around_it)
{
    char data[600] = "";
    for (int i = 1; i <= 100; i++)
        (void)snprintf(data + strlen(data), sizeof data - strlen(data), "%d\n", i);
    json_t *o = look(data, strlen(data), true, "line 50, column 1: no", 3);
    cr_assert_eq(count(o), 8);
    cr_assert_eq(number_of(o, 3, "number"), 48);
    cr_assert_str_eq(text_of(o, 5), "50");
    cr_assert_eq(number_of(o, 7, "number"), 52);
    json_decref(o);
    o = look(data, strlen(data), true, "line 5000, column 1: no", 3); /* behind what was read */
    cr_assert_eq(count(o), 3);
    json_decref(o);
}

Test(peek, of_a_long_line_what_is_around_the_fault_is_shown)
{
    char *data = malloc(PEEK_BYTES_MAX);
    memset(data, 'x', PEEK_BYTES_MAX);
    json_t *o = look(data, PEEK_BYTES_MAX, false, "line 1, column 30001: no", 5);
    cr_assert_eq(count(o), 1);
    cr_assert_eq(strlen(text_of(o, 0)), PEEK_TEXT_MAX);
    cr_assert_eq(number_of(o, 0, "column"), 30001 - PEEK_TEXT_MAX / 2 + 1);
    cr_assert(is_cut(o, 0));
    json_decref(o);
    o = look(data, PEEK_BYTES_MAX, false, "line 1, column 1000000000: no", 5);
    cr_assert_eq(number_of(o, 0, "column"), 1);
    cr_assert(is_cut(o, 0));
    json_decref(o);
    memset(data, 0x80, PEEK_BYTES_MAX); /* no character begins anywhere */
    o = look(data, PEEK_BYTES_MAX, false, "line 1, column 60000: no", 5);
    cr_assert_leq(strlen(text_of(o, 0)), 3 * PEEK_BYTES_MAX);
    cr_assert(is_cut(o, 0));
    json_decref(o);
    free(data);
}

Test(peek, a_reason_that_is_none_of_ours_marks_nothing)
{
    static const char *const reasons[] = {
        "",
        "line",
        "line x, column 3: y",
        "line 0, column 3: y",
        "line 3, column 0: y",
        "line 3: y",
        "line 99999999999999999999999999, column : y",
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        json_t *o = look("a\n", 2, true, reasons[i], 5);
        cr_assert(json_is_null(json_object_get(o, "fault")), "%s", reasons[i]);
        json_decref(o);
    }
}
