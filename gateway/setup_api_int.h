/* What the parts of the set-up over the control API share. */
#ifndef GATEWAY_SETUP_API_INT_H
#define GATEWAY_SETUP_API_INT_H

#include "gateway/setup_api.h"

#define SETUP_TEXT_MAX 2048

/* One more {"path", "text"}. */
void setup_fault(json_t *list, const char *path, const char *text);
/* 400 with these, which are taken over. */
void setup_refuse(struct control_answer *a, json_t *faults);
/* A text without the blanks around it, which pasting brings; null or nothing is "". false: it is no
 * text, or too long. */
bool setup_text(const json_t *v, char out[SETUP_TEXT_MAX + 1]);
/* The body as a JSON object, or NULL: a says what is wrong with it. The caller json_decrefs. */
json_t *setup_body(const struct control_request *r, struct control_answer *a);

/* Tests, and saves what was tested: one at a time. */
struct setup_test;
struct setup_test *setup_test_new(const struct setup_api_cfg *cfg);
void setup_test_start(struct setup_test *t, const struct control_request *r,
                      struct control_answer *a, bool save);
void setup_test_free(struct setup_test *t); /* waits for one that is under way, NULL allowed */

#endif
