/* The files of the AWS tools: the keys of one profile, or the line that is wrong, with nothing of
 * the file's contents in the sentence. */
#include "uploader/credentials_int.h"

#include "tests/fuzz/fuzz.h"

static void check_value(const char *value, const char *text, size_t n)
{
    if (!value)
        return;
    BUG_ON(value < text || value >= text + n || *value == '\0' || strchr(value, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    bool is_config = fuzz_byte(&in) & 1;
    char *text = fuzz_text(&in, '\0');
    struct credentials_profile p;
    struct err e = {0};
    n = strlen(text);
    enum rc rc = credentials_ini_parse(text, "FILE", "prod", is_config, &p, &e);
    if (rc != RC_OK) {
        fuzz_is_told(rc, &e);
        BUG_ON(rc != RC_INVALID || strncmp(e.text, "FILE, line ", 11) != 0);
    } else {
        BUG_ON(!p.found && (p.access_key_id || p.secret_access_key || p.session_token));
        check_value(p.access_key_id, text, n);
        check_value(p.secret_access_key, text, n);
        check_value(p.session_token, text, n);
        if (p.access_key_id && p.secret_access_key &&
            credentials_check(p.access_key_id, p.secret_access_key, p.session_token, "FILE", &e))
            fuzz_is_told(e.rc, &e);
    }
    free(text);
    return 0;
}
