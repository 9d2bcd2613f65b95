/* One journal record from any bytes; and, with length and CRC set right, from bytes that only the
 * fields' checks can refuse. What is taken for a record encodes to the same bytes. */
#include "spool/record.h"

#include "tests/fuzz/fuzz.h"

#include <endian.h>

enum { SEGMENT = 3 };

static void look(const char *data, size_t n)
{
    struct record r;
    struct err e;
    size_t len = 0;
    enum rc rc = record_decode(data, n, SEGMENT, &r, &len, &e);
    if (rc == RC_CORRUPT)
        fuzz_is_told(rc, &e);
    else
        BUG_ON(rc != RC_OK && rc != RC_ABSENT && rc != RC_AGAIN);
    if (rc != RC_OK)
        return;
    BUG_ON(len > n || len > RECORD_MAX || len % 8 != 0);
    BUG_ON(r.path.n > RECORD_PATH_MAX);
    struct buf again;
    buf_init(&again, RECORD_MAX);
    BUG_ON(record_encode(&again, &r, SEGMENT) != RC_OK);
    BUG_ON(again.len != len || memcmp(again.data, data, len) != 0);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_begin(data, n);
    char *bytes = fuzz_take(&in, n, &n);
    look(bytes, n);
    size_t len = (n < RECORD_MAX ? n : RECORD_MAX) / 8 * 8;
    if (len >= RECORD_HEADER_SIZE) {
        uint32_t le = htole32((uint32_t)len);
        memcpy(bytes, &le, sizeof le);
        record_seal(bytes, len, 7, 1, SEGMENT);
        look(bytes, n);
    }
    free(bytes);
    return 0;
}
