/* Counting requests: see tally.h. The first answer that a thread sees is nearly always the success
 * of a PutObject, so a search from the front ends at once. Codes come from closed lists, since a
 * store may send any text as one.
 */
#include "uploader/tally.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    int status;
    const char *code;
} statuses[] = {
    {200, "200"}, {204, "204"}, {206, "206"}, {301, "301"}, {302, "302"}, {307, "307"},
    {308, "308"}, {400, "400"}, {401, "401"}, {403, "403"}, {404, "404"}, {405, "405"},
    {407, "407"}, {408, "408"}, {409, "409"}, {411, "411"}, {412, "412"}, {413, "413"},
    {416, "416"}, {429, "429"}, {500, "500"}, {501, "501"}, {502, "502"}, {503, "503"},
    {504, "504"}, {507, "507"},
};
static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

static const char *of_status(int status)
{
    for (size_t i = 0; i < COUNT(statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].code;
    }
    return status >= 100 && status < 600 ? classes[status / 100 - 1] : TALLY_OTHER;
}

static const char *of_transport(const struct answer_facts *f)
{
    switch (f->transport) {
    case RC_NET:
        return f->failure == HTTP_NO_FAILURE ? "Network" : http_failure_code(f->failure);
    case RC_LIMIT:
        return "AnswerTooLong";
    case RC_IO:
        return "FileNotRead";
    case RC_CANCELLED:
        return "Cancelled";
    default:
        return TALLY_OTHER;
    }
}

const char *tally_code(const struct answer_facts *f, enum answer_class class)
{
    if (f->transport != RC_OK)
        return of_transport(f);
    const char *known = f->code[0] != '\0' ? answer_code_known(f->code) : NULL;
    if (known)
        return known;
    /* A success that is none: a page of somebody who stands between us and the store. */
    return class != ANSWER_OK && f->status / 100 == 2 ? "BadAnswer" : of_status(f->status);
}

static struct tally_answer *answer_of(struct tally *t, enum request_op op, const char *code)
{
    for (unsigned i = 0; i < t->n; i++) {
        struct tally_answer *a = &t->answers[i];
        if (a->op == op && (a->code == code || strcmp(a->code, code) == 0))
            return a;
    }
    /* Room is kept for each operation's row of the others. */
    bool full = t->n >= TALLY_ANSWERS_MAX - REQUEST_OP_COUNT_;
    if (full && strcmp(code, TALLY_OTHER) != 0)
        return answer_of(t, op, TALLY_OTHER);
    t->answers[t->n] = (struct tally_answer){.op = op, .code = code};
    return &t->answers[t->n++];
}

void tally_add(struct tally *t, enum request_op op, const char *code, uint64_t us)
{
    answer_of(t, op, code)->n++;
    histogram_add(&t->durations[op], &histogram_quick, us);
}

void tally_merge(struct tally *to, const struct tally *from)
{
    for (unsigned i = 0; i < from->n; i++)
        answer_of(to, from->answers[i].op, from->answers[i].code)->n += from->answers[i].n;
    for (unsigned op = 0; op < REQUEST_OP_COUNT_; op++)
        histogram_merge(&to->durations[op], &from->durations[op]);
}
