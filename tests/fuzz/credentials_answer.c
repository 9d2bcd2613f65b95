/* What endpoints and programs answer with keys, and a command of credential_process: either keys
 * that may go into a header, or a sentence with nothing of the answer in it. */
#include "uploader/credentials_int.h"

#include "tests/fuzz/fuzz.h"

static void check_outcome(enum rc rc, struct credentials *c, const struct err *e)
{
    struct err again = {0};
    if (rc != RC_OK) {
        BUG_ON(c != NULL || rc != RC_INVALID);
        fuzz_is_told(rc, e);
        BUG_ON(strncmp(e->text, "WHERE", 5) != 0);
        return;
    }
    BUG_ON(credentials_check(credentials_access_key_id(c), credentials_secret_access_key(c),
                             credentials_session_token(c), "WHERE", &again) != RC_OK);
    credentials_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    uint8_t which = fuzz_byte(&in) & 3;
    char *text = fuzz_text(&in, '\0');
    struct credentials_text t = {.data = text, .len = strlen(text), .size = strlen(text) + 1};
    struct credentials *c = NULL;
    struct err e = {0};
    if (which == 3) {
        char *words[CREDENTIALS_WORDS_MAX + 1];
        char *end = text + t.len;
        if (credentials_split(text, words, &e) != RC_OK)
            fuzz_is_told(RC_INVALID, &e);
        else
            for (size_t i = 0; words[i]; i++)
                BUG_ON(words[i] < text || words[i] + strlen(words[i]) > end);
    } else {
        enum rc rc = which == 2 ? credentials_from_xml(&t, "WHERE", 0, &c, &e)
                                : credentials_from_json(
                                      &t, which ? CREDENTIALS_OF_PROCESS : CREDENTIALS_OF_METADATA,
                                      "WHERE", 0, &c, &e);
        check_outcome(rc, c, &e);
    }
    free(text);
    return 0;
}
