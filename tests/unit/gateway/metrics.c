/* Counting within bounds, and pages that a scraper reads whatever is in them. */
#include "gateway/metrics.h"
#include "gateway/metrics_listen.h"
#include "gateway/metrics_process.h"
#include "gateway/metrics_serve.h"
#include "gateway/metrics_text.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define S        CLOCK_NS_PER_S

static struct metrics m; /* zero in each test's process */

/* ---- counting ---- */

Test(metrics, event_types_have_rows_in_the_order_of_their_coming_and_the_rest_share_one)
{
    char name[16];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            (void)snprintf(name, sizeof name, "type-%u", i);
            unsigned expected = i < METRICS_TYPES_MAX ? i : METRICS_TYPES_MAX;
            cr_expect_eq(metrics_type(&m, name, strlen(name)), expected, "%s", name);
        }
    }
    cr_expect_str_eq(metrics_type_name(&m, 31), "type-31");
    cr_expect_str_eq(metrics_type_name(&m, METRICS_TYPES_MAX), "other");
    cr_expect(metrics_has_type(&m, 31) && metrics_has_type(&m, METRICS_TYPES_MAX));
    metrics_accepted(&m, metrics_type(&m, "type-999", 8), 7);
    metrics_accepted(&m, metrics_type(&m, "type-500", 8), 8);
    cr_expect_eq(m.types[METRICS_TYPES_MAX].accepted.files, 2);
    cr_expect_eq(m.types[METRICS_TYPES_MAX].accepted.bytes, 15);
}

Test(metrics, a_name_is_taken_whole_and_one_that_is_none_or_too_long_has_its_place)
{
    char longest[METRICS_TYPE_SIZE + 1];
    memset(longest, 'x', sizeof longest);
    unsigned a = metrics_type(&m, "findings", 8), b = metrics_type(&m, "findingsX", 9);
    cr_expect_neq(a, b);
    cr_expect(metrics_has_type(&m, b) && !metrics_has_type(&m, b + 1));
    cr_expect(!metrics_has_type(&m, METRICS_TYPES_MAX));
    cr_expect_eq(metrics_type(&m, "other", 5), METRICS_TYPES_MAX); /* else two of that name */
    cr_expect(metrics_has_type(&m, METRICS_TYPES_MAX));
    cr_expect_eq(metrics_type(&m, "findingsX", 8), a);
    cr_expect_str_eq(metrics_type_name(&m, metrics_type(&m, "", 0)), "none");
    cr_expect_eq(metrics_type(&m, longest, METRICS_TYPE_SIZE), METRICS_TYPES_MAX);
    cr_expect_lt(metrics_type(&m, longest, METRICS_TYPE_SIZE - 1), METRICS_TYPES_MAX);
}

Test(metrics, a_delivery_counts_from_when_the_file_was_closed)
{
    static const struct {
        int64_t closed, accepted, delivered;
        uint64_t sum_us;
        bool late;
    } cases[] = {
        {1000 * S, 1001 * S, 1002 * S, 2000000, false},
        {1000 * S, 1001 * S, 1060 * S, 60000000, false},
        {1000 * S, 1001 * S, 1060 * S + 1000, 60000001, true},
        {1000 * S, 1001 * S, 90000 * S, UINT64_C(89000000000), true},
        {0, 1001 * S, 1002 * S, 1000000, false},        /* no time of closing */
        {2000 * S, 1001 * S, 1002 * S, 1000000, false}, /* in the future */
        {1000 * S, 1001 * S, 999 * S, 0, false},        /* the clock went back */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct metrics_delivery d = {0, 5, cases[i].closed, cases[i].accepted, cases[i].delivered};
        memset(&m, 0, sizeof m);
        metrics_delivered(&m, &d);
        cr_expect_eq(m.journey.sum_us, cases[i].sum_us, "case %zu: %llu", i,
                     (unsigned long long)m.journey.sum_us);
        cr_expect_eq(m.types[0].late, cases[i].late, "case %zu", i);
        cr_expect_eq(m.types[0].delivered.files, 1);
        cr_expect_eq(m.types[0].delivered.bytes, 5);
    }
}

static unsigned row_of(const char *reason)
{
    for (unsigned i = 0; metrics_reason(i); i++) {
        if (strcmp(metrics_reason(i), reason) == 0)
            return i;
    }
    return METRICS_REASONS_MAX;
}

Test(metrics, reasons_are_those_of_a_closed_list)
{
    static const char *const known[] = {
        "content",        "kind",     "links",   "size",   "name",     "date",
        "depth",          "utf8",     "control", "dots",   "too-long", "KeyTooLongError",
        "EntityTooLarge", "conflict", "digest",  "shrunk", "by-hand",  "refused"};
    for (size_t i = 0; i < COUNT(known); i++) {
        metrics_rejected(&m, 3, known[i], 10);
        cr_assert_lt(row_of(known[i]), METRICS_REASONS_MAX, "%s", known[i]);
        cr_expect_eq(m.rejected.sums[3][row_of(known[i])].files, 1, "%s", known[i]);
    }
    metrics_held(&m, 3, "something else", 10);
    metrics_held(&m, 3, "", 10);
    cr_expect_eq(m.held.sums[3][row_of("other")].files, 2);
    cr_expect_eq(m.held.sums[3][row_of("other")].bytes, 20);
    cr_expect_eq(row_of("something else"), METRICS_REASONS_MAX);
}

static uint64_t failed(const char *code)
{
    for (unsigned i = 0; i < m.n_failed; i++) {
        if (strcmp(m.failed[i].code, code) == 0)
            return m.failed[i].n;
    }
    return 0;
}

Test(metrics, failed_attempts_are_counted_by_the_code_of_the_store_the_network_or_the_machine)
{
    static const struct {
        struct err e;
        const char *code;
    } cases[] = {
        {{.rc = RC_AGAIN, .http_status = 503, .code = "SlowDown"}, "SlowDown"},
        {{.rc = RC_AGAIN, .http_status = 500, .code = "Nonsense"}, "500"},
        {{.rc = RC_AGAIN, .http_status = 200, .code = ""}, "BadAnswer"},
        {{.rc = RC_NET, .code = "NotConnected"}, "NotConnected"},
        {{.rc = RC_NET, .code = "made up"}, "Network"},
        {{.rc = RC_DENIED, .code = ""}, "denied"},
        {{.rc = RC_IO, .code = ""}, "io"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        metrics_attempt_failed(&m, &cases[i].e);
        cr_expect_eq(failed(cases[i].code), 1, "%s", cases[i].code);
    }
    for (int status = 100; status < 700; status++) {
        for (int rc = 0; rc < RC_COUNT_; rc++) {
            struct err e = {.rc = (enum rc)rc, .http_status = status % 2 ? status : 0};
            metrics_attempt_failed(&m, &e);
        }
    }
    cr_expect_leq(m.n_failed, METRICS_CODES_MAX);
}

/* ---- text ---- */

static struct buf out;

static struct metrics_text begin(enum metrics_format f)
{
    buf_init(&out, 1 << 20);
    return (struct metrics_text){.out = &out, .format = f};
}

static void write_all(struct metrics_text *t)
{
    struct histogram h = {0};
    const struct histogram_bounds b = {{5000, 60000000}, 2};
    histogram_add(&h, &b, 4000);
    histogram_add(&h, &b, 1500000);
    histogram_add(&h, &b, 60000001);
    metrics_family(t, "x_bytes", METRICS_COUNTER, "bytes", "How much.");
    metrics_sample(t, &METRICS_LABELLED({"event_type", "a"}, {"reason", "b"}), UINT64_MAX);
    metrics_family(t, "x_build", METRICS_INFO, NULL, "What.");
    metrics_sample(t, &METRICS_LABELLED({"version", "1"}), 1);
    metrics_family(t, "x_seconds", METRICS_HISTOGRAM, "seconds", "How long.");
    metrics_sample_histogram(t, &METRICS_LABELLED({"op", "P"}), &h, &b);
    metrics_family(t, "x_age_seconds", METRICS_GAUGE, "seconds", "How old.");
    metrics_sample_us(t, &METRICS_UNLABELLED, 1500000);
    metrics_sample_us(t, &METRICS_LABELLED({"of", "it"}), -2000001);
    metrics_sample_us(t, &METRICS_LABELLED({"of", "ever"}), INT64_MAX);
    metrics_end(t);
}

Test(metrics, the_page_is_openmetrics)
{
    struct metrics_text t = begin(METRICS_OPENMETRICS);
    write_all(&t);
    cr_expect_str_eq(out.data, "# HELP x_bytes How much.\n"
                               "# TYPE x_bytes counter\n"
                               "# UNIT x_bytes bytes\n"
                               "x_bytes_total{event_type=\"a\",reason=\"b\"} 18446744073709551615\n"
                               "# HELP x_build What.\n"
                               "# TYPE x_build info\n"
                               "x_build_info{version=\"1\"} 1\n"
                               "# HELP x_seconds How long.\n"
                               "# TYPE x_seconds histogram\n"
                               "# UNIT x_seconds seconds\n"
                               "x_seconds_bucket{op=\"P\",le=\"0.005\"} 1\n"
                               "x_seconds_bucket{op=\"P\",le=\"60.0\"} 2\n"
                               "x_seconds_bucket{op=\"P\",le=\"+Inf\"} 3\n"
                               "x_seconds_sum{op=\"P\"} 61.504001\n"
                               "x_seconds_count{op=\"P\"} 3\n"
                               "# HELP x_age_seconds How old.\n"
                               "# TYPE x_age_seconds gauge\n"
                               "# UNIT x_age_seconds seconds\n"
                               "x_age_seconds 1.5\n"
                               "x_age_seconds{of=\"it\"} -2.000001\n"
                               "x_age_seconds{of=\"ever\"} +Inf\n"
                               "# EOF\n");
    buf_fini(&out);
}

Test(metrics, the_older_format_has_the_same_series_and_other_comments)
{
    struct metrics_text t = begin(METRICS_PLAIN);
    write_all(&t);
    cr_expect_not_null(strstr(out.data, "# TYPE x_bytes_total counter\nx_bytes_total{"));
    cr_expect_not_null(strstr(out.data, "# HELP x_build_info What.\n# TYPE x_build_info gauge\n"));
    cr_expect_not_null(strstr(out.data, "x_seconds_bucket{op=\"P\",le=\"60.0\"} 2\n"));
    cr_expect_null(strstr(out.data, "# UNIT"));
    cr_expect_null(strstr(out.data, "# EOF"));
    buf_fini(&out);
}

Test(metrics, whatever_is_in_a_label_the_page_stays_lines_of_utf8)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"", ""},
        {"a b", "a b"},
        {"Ünï", "Ünï"},
        {"\"} 1\nspoolgate_lies 1", "\\\"} 1\\\\nspoolgate_lies 1"},
        {"back\\slash", "back\\\\slash"},
        {"\xff\xfe", "\\\\xff\\\\xfe"},
        {"\x1b[31m", "\\\\x1b[31m"},
        {"cr\rlf\n", "cr\\\\x0dlf\\\\n"},
        {"\xc2\x85", "\\\\xc2\\\\x85"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[256];
        struct metrics_text t = begin(METRICS_OPENMETRICS);
        t.name = "x";
        t.kind = METRICS_GAUGE;
        metrics_sample(&t, &METRICS_LABELLED({"l", cases[i].value}), 1);
        (void)snprintf(line, sizeof line, "x{l=\"%s\"} 1\n", cases[i].shown);
        cr_expect_str_eq(out.data, line, "case %zu: %s", i, out.data);
        cr_expect_eq(utf8_span(out.data, out.len), out.len);
        buf_fini(&out);
    }
}

Test(metrics, the_accept_header_decides_the_format)
{
    static const struct {
        const char *accept;
        enum metrics_format f;
    } cases[] = {
        {NULL, METRICS_OPENMETRICS},
        {"", METRICS_OPENMETRICS},
        {"*/*", METRICS_OPENMETRICS},
        {"text/plain", METRICS_PLAIN},
        {"Text/Plain;version=0.0.4", METRICS_PLAIN},
        {"text/plain, */*;q=0.1", METRICS_PLAIN},
        {"text/plain;q=0.5, */*", METRICS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         METRICS_OPENMETRICS},
        {"application/openmetrics-text;q=0.2, text/plain;q=0.8", METRICS_PLAIN},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", METRICS_OPENMETRICS},
        {"text/plain;q=0", METRICS_OPENMETRICS},
        {"text/plain;q=nonsense", METRICS_OPENMETRICS},
        {",,;q=,text/plainer", METRICS_OPENMETRICS},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_eq(metrics_format_of(cases[i].accept), cases[i].f, "%s", cases[i].accept);
}

Test(metrics, the_process_tells_of_itself)
{
    static const char *const names[] = {"\nprocess_cpu_seconds_total ",
                                        "\nprocess_resident_memory_bytes ", "\nprocess_open_fds ",
                                        "\nprocess_max_fds ", "\nprocess_start_time_seconds "};
    struct metrics_text t = begin(METRICS_OPENMETRICS);
    metrics_process(&t);
    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_not_null(strstr(out.data, names[i]), "%s", names[i]);
    const char *at = strstr(out.data, names[4]);
    double began = at ? strtod(at + strlen(names[4]), NULL) : 0;
    double now = (double)clock_wall_now_ns() / (double)S;
    cr_expect(began <= now + 1 && began > now - 60, "%f", now - began);
    buf_fini(&out);
}

/* ---- listening ---- */

Test(metrics, a_request_that_names_another_host_is_not_of_this_machine)
{
    static const char *const local[] = {NULL,           "localhost",      "localhost:9469",
                                        "LOCALHOST:1",  "127.0.0.1:9469", "127.0.0.1",
                                        "127.1.2.3:80", "[::1]:9469",     "[::1]"};
    static const char *const other[] = {"",
                                        "evil.example",
                                        "evil.example:9469",
                                        "localhost.evil",
                                        "127.0.0.1.evil.example",
                                        "127.evil:9469",
                                        "[::2]:9469",
                                        "[::1",
                                        "192.0.2.1:9469",
                                        "localhostx"};
    for (size_t i = 0; i < COUNT(local); i++)
        cr_expect(metrics_serve_is_local(local[i]), "%s", local[i]);
    for (size_t i = 0; i < COUNT(other); i++)
        cr_expect(!metrics_serve_is_local(other[i]), "%s", other[i]);
}

Test(metrics, a_port_that_somebody_has_is_said)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    char text[32];
    struct err e = {0};
    int fd = -1, taken = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(taken, (struct sockaddr *)&at, n), 0);
    cr_assert_eq(listen(taken, 1), 0);
    cr_assert_eq(getsockname(taken, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(at.sin_port));
    cr_expect_eq(metrics_listen(text, &fd, &e), RC_EXISTS);
    cr_expect_not_null(strstr(e.text, text), "%s", e.text);
    (void)close(taken);
    cr_assert_eq(metrics_listen(text, &fd, &e), RC_OK, "%s", e.text);
    (void)close(fd);
    cr_expect_neq(metrics_listen("192.0.2.1:9469", &fd, &e), RC_OK);
    cr_expect_not_null(strstr(e.text, "metrics.listen"), "%s", e.text);
}
