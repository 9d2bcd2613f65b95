#include "base/log.h"

#include "base/json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reader;

static void open_log(enum log_level level, enum log_format format, bool prefix)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    reader = ends[0];
    log_setup(ends[1], level, format, prefix);
}

/* What one read finds, as a string: the lines written since. */
static const char *logged(void)
{
    static char text[65536];
    ssize_t n = read(reader, text, sizeof text - 1);
    cr_assert_gt(n, 0);
    text[n] = '\0';
    return text;
}

/* The line without its time, which is checked. */
static const char *after_time(const char *line, const char *before)
{
    cr_assert_eq(strncmp(line, before, strlen(before)), 0, "%s", line);
    line += strlen(before);
    cr_assert_eq(line[10], 'T', "%s", line);
    cr_assert_eq(line[23], 'Z', "%s", line);
    return line + 24;
}

Test(log, a_line_of_text_has_the_event_and_its_fields)
{
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
    log_info("delivered", F_STR("key", "a/b.json"), F_U64("size", UINT64_MAX), F_I64("skew", -5),
             F_BOOL("whole", true), F_BOOL("again", false), F_STR("nothing", NULL));
    cr_assert_str_eq(after_time(logged(), "time="),
                     " level=info event=delivered key=a/b.json size=18446744073709551615 skew=-5 "
                     "whole=true again=false nothing=-\n");
    log_error("bare");
    cr_assert_str_eq(after_time(logged(), "time="), " level=error event=bare\n");
}

Test(log, a_line_of_json_is_json)
{
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON, false);
    log_warning("odd", F_STR("key", "say \"hi\"\\\n\xff"), F_U64("size", 3), F_BOOL("b", true));
    const char *line = logged();
    cr_assert_str_eq(after_time(line, "{\"time\":\""),
                     "\",\"level\":\"warning\",\"event\":\"odd\",\"key\":\"say \\\"hi\\\"\\\\\\\\"
                     "\\\\n\\\\xff\",\"size\":3,\"b\":true}\n");
    json_t *v = json_parse(line, strlen(line), NULL);
    cr_assert_str_eq(json_string_value(json_object_get(v, "key")), "say \"hi\"\\\\\\n\\xff");
    json_decref(v);
}

Test(log, hostile_text_stays_one_quoted_value_on_one_line)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a b", "\"a b\""},
        {"", "\"\""},
        {"x=y", "\"x=y\""},
        {"a\nlevel=error", "\"a\\nlevel=error\""},
        {"\033[31m", "\"\\x1b[31m\""},
        {"quote\"", "\"quote\\\"\""},
        {"back\\", "\"back\\\\\""},
        {"\xff", "\"\\xff\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},
        {"a-b_c.d/e:f", "a-b_c.d/e:f"},
    };
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char want[100];
        log_info("e", F_STR("k", cases[i].in));
        (void)snprintf(want, sizeof want, " level=info event=e k=%s\n", cases[i].out);
        cr_assert_str_eq(after_time(logged(), "time="), want);
    }
}

Test(log, levels_below_the_chosen_one_are_silent)
{
    open_log(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, true);
    cr_assert(log_enabled(LOG_LEVEL_ERROR));
    cr_assert(log_enabled(LOG_LEVEL_WARNING));
    cr_assert_not(log_enabled(LOG_LEVEL_INFO));
    log_info("no");
    log_debug("no");
    log_warning("yes");
    cr_assert_str_eq(after_time(logged(), "<4>time="), " level=warning event=yes\n");
    log_error("yes");
    cr_assert_str_eq(after_time(logged(), "<3>time="), " level=error event=yes\n");
}

Test(log, a_long_value_is_shortened_and_the_line_can_still_be_parsed)
{
    static char longer[20000];
    for (int quotes = 0; quotes < 2; quotes++) {
        memset(longer, quotes ? '"' : 'x', sizeof longer - 1);
        open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON, false);
        log_info("long", F_STR("text", longer), F_STR("more", longer), F_U64("last", 1));
        const char *line = logged();
        size_t n = strlen(line);
        cr_assert_leq(n, 4096);
        cr_assert_gt(n, 3000);
        cr_assert_eq(line[n - 1], '\n');
        json_t *v = json_parse(line, n, NULL);
        cr_assert_not_null(v);
        const char *text = json_string_value(json_object_get(v, "text"));
        cr_assert_not_null(text);
        cr_assert_str_eq(text + strlen(text) - 3, "...");
        json_decref(v);
    }
}

static bool takes;
static char taken[500];

static bool take(const struct log_record *r)
{
    struct buf b;
    buf_init(&b, sizeof taken - 1);
    buf_addf(&b, "%s %d [%.*s]", r->event, r->priority, (int)r->text_len, r->text);
    for (const struct log_field *f = r->fields; f->kind != LOG_KIND_END; f++) {
        buf_addf(&b, " %s:", f->name);
        log_add_value(&b, f);
    }
    memcpy(taken, b.data, b.len + 1);
    buf_fini(&b);
    errno = ENOSYS;
    return takes;
}

Test(log, an_event_can_go_elsewhere_with_its_fields_and_is_a_line_where_it_is_not_taken)
{
    takes = true;
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true);
    log_divert(take);
    errno = EXDEV;
    log_warning("odd", F_STR("path", "a\nb\"c"), F_I64("n", -1), F_BOOL("is", true),
                F_STR("nothing", NULL));
    cr_assert_eq(errno, EXDEV);
    cr_assert_str_eq(taken, "odd 4 [event=odd path=\"a\\nb\\\"c\" n=-1 is=true nothing=-] "
                            "path:a\\nb\"c n:-1 is:true nothing:-");
    log_debug("no");
    takes = false;
    log_info("bare");
    cr_assert_str_eq(taken, "bare 6 [event=bare]");
    cr_assert_str_eq(after_time(logged(), "<6>time="), " level=info event=bare\n");

    takes = true;
    open_log(LOG_LEVEL_INFO, LOG_FORMAT_JSON, false);
    taken[0] = '\0';
    log_error("lines again");
    cr_assert_str_eq(taken, "");
    cr_assert_str_eq(after_time(logged(), "{\"time\":\""),
                     "\",\"level\":\"error\",\"event\":\"lines again\"}\n");
    log_divert(take);
    log_error("bare", F_U64("n", 1));
    cr_assert_str_eq(taken, "bare 3 [{\"event\":\"bare\",\"n\":1}] n:1");
}

Test(log, errno_survives_and_a_log_that_is_gone_does_no_harm)
{
    log_setup(-1, LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
    errno = EXDEV;
    log_info("into the void");
    cr_assert_eq(errno, EXDEV);
}

static void *log_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("thread", F_STR("name", arg), F_STR("end", "end"));
    return NULL;
}

Test(log, lines_of_threads_do_not_mix)
{
    static char names[4][200];
    char path[] = "/tmp/spoolgate-test-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
    log_setup(fd, LOG_LEVEL_INFO, LOG_FORMAT_TEXT, false);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        memset(names[i], 'a' + i, sizeof names[i] - 1);
        cr_assert_eq(pthread_create(&threads[i], NULL, log_often, names[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);

    FILE *f = fdopen(fd, "r");
    char line[1000];
    int lines = 0;
    rewind(f);
    while (fgets(line, sizeof line, f)) {
        const char *name = strstr(line, " name=");
        cr_assert_not_null(name);
        name += 6;
        cr_assert_eq(strspn(name, (char[]){name[0], '\0'}), sizeof names[0] - 1);
        cr_assert_str_eq(name + sizeof names[0] - 1, " end=end\n");
        lines++;
    }
    cr_assert_eq(lines, 800);
    cr_assert_eq(fclose(f), 0);
}
