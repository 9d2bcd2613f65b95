/* Changes laid over a configuration, and what they change. */
#include "gateway/config_diff.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static json_t *parsed(const char *text)
{
    struct err e = {0};
    json_t *v = json_parse(text, strlen(text), &e);
    cr_assert_not_null(v, "%s: %s", text, e.text);
    return v;
}

/* RFC 7396, appendix A, where both are objects; and some of ours. */
Test(config_diff, a_merge_patch_does_what_its_standard_says)
{
    static const struct {
        const char *target, *patch, *result;
    } rows[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"{\"a\":\"foo\"}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":[1,2]}", "{\"a\":[{\"b\":null}]}", "{\"a\":[{\"b\":null}]}"},
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"{\"a\":1}", "{\"z\":null}", "{\"a\":1}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *target = parsed(rows[i].target), *patch = parsed(rows[i].patch);
        json_t *result = parsed(rows[i].result);
        config_diff_merge(target, patch);
        cr_assert(json_equal(target, result), "row %zu", i);
        json_decref(target);
        json_decref(patch);
        json_decref(result);
    }
}

static struct config *config_with(const char *more)
{
    char text[2048];
    struct config *c = NULL;
    struct config_faults faults = {0};
    (void)snprintf(text, sizeof text,
                   "{\"spool\":\"/s\",\"state\":\"/t\",\"account_name\":\"a\",\"control\":"
                   "\"/r/c.sock\",\"bucket\":{\"arn\":\"arn:aws:s3:::bucket\",\"region\":"
                   "\"eu-central-1\"}%s}",
                   more);
    cr_assert_eq(config_parse(text, strlen(text), "test", &c, &faults), RC_OK, "%s",
                 faults.n ? faults.lines[0] : "");
    return c;
}

static void assert_keys(const char *before, const char *after, const char *changed,
                        const char *restart)
{
    struct config *a = config_with(before), *b = config_with(after);
    json_t *x = config_to_json(a), *y = config_to_json(b), *keys = config_diff(x, y);
    json_t *wanted = parsed(changed), *needing = config_diff_restart(keys);
    json_t *wanted_restart = parsed(restart);
    cr_assert(json_equal(keys, wanted), "%s", after);
    cr_assert(json_equal(needing, wanted_restart), "%s", after);
    const char *first = config_diff_needs_restart(a, b);
    cr_assert_eq(first == NULL, json_array_size(needing) == 0, "%s", after);
    json_decref(x);
    json_decref(y);
    json_decref(keys);
    json_decref(needing);
    json_decref(wanted);
    json_decref(wanted_restart);
    config_free(a);
    config_free(b);
}

Test(config_diff, names_the_keys_that_differ_and_those_that_need_a_restart)
{
    assert_keys("", "", "[]", "[]");
    assert_keys("", ",\"uploads\":32", "[]", "[]"); /* its default */
    assert_keys("", ",\"uploads\":7", "[\"uploads\"]", "[]");
    assert_keys(",\"settle\":\"2s\"", ",\"settle\":\"2000ms\"", "[]", "[]");
    assert_keys("", ",\"settle\":\"2s\"", "[\"settle\"]", "[\"settle\"]");
    assert_keys("", ",\"uploads\":7,\"prefix\":\"p/\",\"limits\":{\"quota\":\"1GiB\"}",
                "[\"prefix\",\"uploads\",\"limits.quota\"]", "[\"prefix\"]");
    assert_keys("", ",\"send\":{\"types\":{\"x\":{\"class\":\"raw\"}}}", "[\"send.types\"]", "[]");
    assert_keys("", ",\"after_delivery\":{\"action\":\"archive\"}",
                "[\"after_delivery.action\",\"after_delivery.keep\",\"after_delivery.max_size\"]",
                "[]");
}

Test(config_diff, every_key_that_needs_a_restart_is_a_key)
{
    struct config *c = config_with("");
    json_t *document = config_to_json(c), *keys = config_diff_restart_keys();
    cr_assert_gt(json_array_size(keys), 5);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        char name[64];
        const json_t *at = document;
        (void)snprintf(name, sizeof name, "%s", json_string_value(json_array_get(keys, i)));
        char *rest = name;
        for (char *part; (part = strsep(&rest, "."));)
            at = json_object_get(at, part);
        cr_assert_not_null(at, "%s", json_string_value(json_array_get(keys, i)));
    }
    json_decref(document);
    json_decref(keys);
    config_free(c);
}

Test(config_diff, faults_become_errors_with_their_path)
{
    char *lines[] = {(char *)(uintptr_t) "$.bucket.arn: expected an ARN: not this",
                     (char *)(uintptr_t) "$: expected an object",
                     (char *)(uintptr_t) "line 1, column 2: expected an object, which begins"};
    struct config_faults faults = {.lines = lines, .n = 3};
    json_t *errors = config_diff_errors(&faults);
    json_t *wanted = parsed("[{\"path\":\"bucket.arn\",\"text\":\"expected an ARN: not this\"},"
                            "{\"path\":\"\",\"text\":\"expected an object\"},"
                            "{\"path\":\"\",\"text\":\"line 1, column 2: expected an object, which "
                            "begins\"}]");
    cr_assert(json_equal(errors, wanted));
    json_decref(errors);
    json_decref(wanted);
}
