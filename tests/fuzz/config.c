/* A configuration from any text: faults that may be shown, or settings that say the same when they
 * are written out and read again. */
#include "gateway/config.h"

#include "base/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    char *text = fuzz_take(&in, n, &n);
    struct config *c = NULL, *again = NULL;
    struct config_faults faults = {0};
    enum rc rc = config_parse(text, n, "spoolgate.json", &c, &faults);
    BUG_ON((rc == RC_OK) != (faults.n == 0) || (rc == RC_OK) != (c != NULL));
    for (size_t i = 0; i < faults.n; i++)
        fuzz_is_safe(faults.lines[i]);
    if (rc == RC_OK) {
        struct buf first, second;
        buf_init(&first, 1 << 22);
        buf_init(&second, 1 << 22);
        json_t *v = config_to_json(c);
        json_write(&first, v);
        json_decref(v);
        BUG_ON(config_parse(first.data, first.len, "again", &again, &faults) != RC_OK);
        v = config_to_json(again);
        json_write(&second, v);
        json_decref(v);
        BUG_ON(first.len != second.len || memcmp(first.data, second.data, first.len) != 0);
        (void)config_selects(c, "findings", 8);
        buf_fini(&first);
        buf_fini(&second);
    }
    config_free(c);
    config_free(again);
    config_faults_fini(&faults);
    free(text);
    return 0;
}
