/* A request to evaluate, and the answer, as JSON: so that another program can ask. Pure.
 *
 * {"principal": "arn:…" or null, "session": "…", "canonical_user": "…", "action": "s3:PutObject",
 *  "resource": "arn:…", "complete": false,
 *  "context": {"aws:SecureTransport": "true", "aws:TagKeys": ["a", "b"], "aws:Referer": null,
 *              "s3:TlsVersion": {"one_of": ["1.2", "1.3"]}}}
 *
 * In the context a string is the one value of a key, a list the values of a key with many, null
 * says that the key is absent. What is not there is not known; with "complete" it is absent.
 */
#ifndef POLICY_REQUEST_JSON_H
#define POLICY_REQUEST_JSON_H

#include "policy/evaluate.h"

struct request_json {
    struct evaluate_request request; /* points into the document and into the arrays below */
    struct context_key *keys_;
    const char **values_;
};
/* `v` must live as long as *out. RC_INVALID: e says which member is wrong. *out may be given to
 * request_json_fini always. */
enum rc request_json_read(const json_t *v, struct request_json *out, struct err *e) MUST_CHECK;
void request_json_fini(struct request_json *r);

/* {"decision": "denied", "statement": 2 (from 1) or null, "sid": …, "missing": "action" or null,
 * "unknown": "key aws:SourceVpce" or null, "reason": "…"}. Caller json_decrefs. */
json_t *request_json_answer(const struct statements *policy, const struct evaluate_result *r);

#endif
