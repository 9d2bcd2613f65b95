/* Keys from what endpoints and programs answer: JSON of the metadata services and of
 * credential_process, XML of STS. Pure. Every byte is hostile; none of it is ever quoted, since it
 * may be a secret. */
#include "uploader/credentials_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "uploader/xml.h"

#include <string.h>

/* "2026-11-23T01:02:03Z"; NULL: never. */
static enum rc read_expiry(const char *text, int64_t shift_s, const char *where, int64_t *out,
                           struct err *e)
{
    int64_t ns;
    *out = INT64_MAX;
    if (!text || !*text)
        return RC_OK;
    if (clock_parse_rfc3339(text, &ns) != RC_OK)
        return err_set(e, RC_INVALID, "%s: Expiration is no time such as 2026-11-23T01:02:03Z",
                       where);
    *out = ns / CLOCK_NS_PER_S + shift_s;
    return RC_OK;
}

static enum rc make(const char *const parts[4], int64_t shift_s, const char *where,
                    struct credentials **out, struct err *e)
{
    static const char *const names[] = {"AccessKeyId", "SecretAccessKey"};
    int64_t expires;
    for (size_t i = 0; i < 2; i++)
        if (!parts[i] || !*parts[i])
            return err_set(e, RC_INVALID, "%s: there is no %s in it", where, names[i]);
    const char *token = parts[2] && *parts[2] ? parts[2] : NULL;
    enum rc rc = read_expiry(parts[3], shift_s, where, &expires, e);
    if (rc == RC_OK)
        rc = credentials_check(parts[0], parts[1], token, where, e);
    if (rc == RC_OK)
        *out = credentials_new_from(where, parts[0], parts[1], token, expires);
    return rc;
}

enum rc credentials_from_json(const struct credentials_text *t, enum credentials_form form,
                              const char *where, int64_t shift_s, struct credentials **out,
                              struct err *e)
{
    bool process = form == CREDENTIALS_OF_PROCESS;
    const char *const names[4] = {"AccessKeyId", "SecretAccessKey",
                                  process ? "SessionToken" : "Token", "Expiration"};
    const char *parts[4];
    struct err quoted = {0}; /* jansson's words show what stands there */
    json_t *root = json_parse(t->data, t->len, &quoted);
    enum rc rc;
    secret_wipe(&quoted, sizeof quoted);
    if (!json_is_object(root)) {
        rc = err_set(e, RC_INVALID, "%s: the answer is not one JSON object", where);
        goto out;
    }
    const char *code = json_string_value(json_object_get(root, "Code"));
    if (!process && code && strcmp(code, "Success") != 0) {
        rc = err_set(e, RC_INVALID,
                     "%s: it has no keys at this time; look at the role that is attached", where);
        goto out;
    }
    if (process && json_integer_value(json_object_get(root, "Version")) != 1) {
        rc = err_set(e, RC_INVALID, "%s: \"Version\" has to be the number 1", where);
        goto out;
    }
    for (size_t i = 0; i < 4; i++) {
        const json_t *v = json_object_get(root, names[i]);
        parts[i] = json_string_value(v);
        if (v && !json_is_null(v) && !parts[i]) {
            rc = err_set(e, RC_INVALID, "%s: %s is not a text", where, names[i]);
            goto out;
        }
    }
    rc = make(parts, shift_s, where, out, e);
out:
    json_decref(root);
    return rc;
}

enum rc credentials_from_xml(const struct credentials_text *t, const char *where, int64_t shift_s,
                             struct credentials **out, struct err *e)
{
    struct xml_keys keys;
    struct err detail = {0};
    enum rc rc = xml_parse_keys(t->data, t->len, &keys, &detail);
    if (rc == RC_OK) {
        const char *const parts[4] = {keys.access_key_id, keys.secret_access_key,
                                      keys.session_token, keys.expiration};
        rc = make(parts, shift_s, where, out, e);
    } else {
        err_set(e, rc, "%s: %s", where, detail.text);
    }
    secret_wipe(&keys, sizeof keys);
    return rc;
}
