/* Answers policy questions by the line, for programs that ask many: each line of standard input is
 * {"policy": {…} or "text", "request": {…}} with the request as policy/request_json.h has it; each
 * gets one line, the answer, or {"error": "…"}. */
#include "policy/request_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *answer(const char *line, size_t n)
{
    struct err e = {0};
    struct statements policy = {0};
    struct request_json request = {0};
    struct evaluate_result result;
    struct buf text;
    buf_init(&text, 1 << 20);
    json_t *v = json_parse(line, n, &e), *said = NULL;
    const json_t *document = json_object_get(v, "policy");
    enum rc rc = RC_INVALID;
    if (json_is_string(document))
        buf_adds(&text, json_string_value(document));
    else if (document)
        json_write(&text, document);
    if (v)
        rc = statements_parse(text.data, text.len, &policy, &e);
    if (rc == RC_OK)
        rc = request_json_read(json_object_get(v, "request"), &request, &e);
    if (rc == RC_OK) {
        evaluate(&policy, &request.request, &result);
        said = request_json_answer(&policy, &result);
    } else {
        said = json_pack("{s:s}", "error", e.text);
    }
    request_json_fini(&request);
    statements_fini(&policy);
    json_decref(v);
    buf_fini(&text);
    return said;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        struct buf out;
        json_t *v = answer(line, (size_t)n);
        buf_init(&out, 1 << 20);
        json_write(&out, v);
        puts(out.data);
        fflush(stdout);
        buf_fini(&out);
        json_decref(v);
    }
    free(line);
    return 0;
}
