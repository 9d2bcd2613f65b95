/* Requests counted by operation and code, whatever a store calls its answers. */
#include "uploader/tally.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t count_of(const struct tally *t, enum request_op op, const char *code)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (t->answers[i].op == op && strcmp(t->answers[i].code, code) == 0)
            return t->answers[i].n;
    }
    return 0;
}

Test(tally, a_code_is_one_of_a_closed_list)
{
    static const struct {
        struct answer_facts f;
        enum answer_class class;
        const char *code;
    } cases[] = {
        {{.status = 200, .code = ""}, ANSWER_OK, "200"},
        {{.status = 204, .code = ""}, ANSWER_OK, "204"},
        {{.status = 299, .code = ""}, ANSWER_OK, "2xx"},
        {{.status = 200, .code = ""}, ANSWER_RETRY, "BadAnswer"},
        {{.status = 200, .code = "InternalError"}, ANSWER_RETRY, "InternalError"},
        {{.status = 403, .code = "AccessDenied"}, ANSWER_HOLD, "AccessDenied"},
        {{.status = 403, .code = ""}, ANSWER_HOLD, "403"},
        {{.status = 400, .code = "KMS.DisabledException"}, ANSWER_HOLD, "KMS."},
        {{.status = 418, .code = "\"} 1\nspoolgate_lies 1"}, ANSWER_HOLD, "4xx"},
        {{.status = 503, .code = "Made-up"}, ANSWER_RETRY, "503"},
        {{.status = 599, .code = ""}, ANSWER_RETRY, "5xx"},
        {{.status = 999, .code = ""}, ANSWER_RETRY, "other"},
        {{.status = -1, .code = ""}, ANSWER_RETRY, "other"},
        {{.transport = RC_NET, .failure = HTTP_CONNECT_TIMEOUT, .code = ""},
         ANSWER_RETRY,
         "ConnectTimeout"},
        {{.transport = RC_NET, .code = ""}, ANSWER_RETRY, "Network"},
        {{.transport = RC_LIMIT, .code = ""}, ANSWER_RETRY, "AnswerTooLong"},
        {{.transport = RC_IO, .code = ""}, ANSWER_RETRY, "FileNotRead"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_expect_str_eq(tally_code(&cases[i].f, cases[i].class), cases[i].code, "case %zu", i);
}

Test(tally, requests_are_counted_and_timed_by_operation)
{
    struct tally t = {0}, sum = {0};
    tally_add(&t, REQUEST_PUT_OBJECT, "200", 700);
    tally_add(&t, REQUEST_PUT_OBJECT, "200", 800);
    tally_add(&t, REQUEST_PUT_OBJECT, "SlowDown", 50);
    tally_add(&t, REQUEST_UPLOAD_PART, "200", 2000000);
    cr_expect_eq(count_of(&t, REQUEST_PUT_OBJECT, "200"), 2);
    cr_expect_eq(count_of(&t, REQUEST_PUT_OBJECT, "SlowDown"), 1);
    cr_expect_eq(count_of(&t, REQUEST_UPLOAD_PART, "200"), 1);
    cr_expect_eq(histogram_count(&t.durations[REQUEST_PUT_OBJECT]), 3);
    cr_expect_eq(t.durations[REQUEST_UPLOAD_PART].sum_us, 2000000);
    tally_merge(&sum, &t);
    tally_merge(&sum, &t);
    cr_expect_eq(count_of(&sum, REQUEST_PUT_OBJECT, "200"), 4);
    cr_expect_eq(histogram_count(&sum.durations[REQUEST_UPLOAD_PART]), 2);
}

Test(tally, more_answers_than_it_holds_are_counted_as_others)
{
    static char codes[300][8];
    struct tally t = {0};
    uint64_t all = 0;
    for (unsigned i = 0; i < COUNT(codes); i++) {
        (void)snprintf(codes[i], sizeof codes[i], "c%u", i);
        for (unsigned op = 0; op < REQUEST_OP_COUNT_; op++)
            tally_add(&t, (enum request_op)op, codes[i], 1);
    }
    cr_expect_leq(t.n, TALLY_ANSWERS_MAX);
    for (unsigned i = 0; i < t.n; i++)
        all += t.answers[i].n;
    cr_expect_eq(all, COUNT(codes) * REQUEST_OP_COUNT_);
    for (unsigned op = 0; op < REQUEST_OP_COUNT_; op++)
        cr_expect_gt(count_of(&t, (enum request_op)op, TALLY_OTHER), 0);
}
