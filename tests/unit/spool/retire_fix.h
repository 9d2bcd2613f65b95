/* A spool with one file in it that was delivered and is to be retired. */
#ifndef TESTS_UNIT_SPOOL_RETIRE_FIX_H
#define TESTS_UNIT_SPOOL_RETIRE_FIX_H

#include "base/clock.h"
#include "base/hex.h"
#include "spool/retire.h"
#include "tests/unit/spool/scratch.h"

#define PATH  "P/audit/2026-11-20/acct/f"
#define DAY   INT64_C(1795399200) /* 2026-11-23 */
#define BYTES "{\"a\":1}\n"

/* The file as the pipeline would have recorded it. */
static inline struct retire_file record(const struct scratch *s, const char *path,
                                        const char *bytes)
{
    struct retire_file f = {.path = path, .place = 0x1234, .delivered_ns = DAY * CLOCK_NS_PER_S};
    struct file_stat st;
    cr_assert_eq(fsio_system.ops->stat(NULL, s->fd, path, &st), 0);
    f.id = st.id;
    sha256(bytes, strlen(bytes), f.sha256);
    return f;
}

static inline struct scratch set_up(struct retire_file *f)
{
    struct scratch s = scratch_new();
    struct err e = {0};
    cr_assert_eq(retire_prepare(&fsio_system, s.fd, &e), RC_OK, "%s", e.text);
    scratch_write(&s, PATH, BYTES);
    *f = record(&s, PATH, BYTES);
    return s;
}

static inline enum retire_result retire(const struct scratch *s, enum retire_action action,
                                        const struct retire_file *f)
{
    struct err e = {0};
    enum retire_result r = retire_file(&fsio_system, s->fd, action, f, &e);
    if (r == RETIRE_FAILED)
        cr_log_warn("%s", e.text);
    return r;
}

static inline void aside_path(char out[160], const struct retire_file *f)
{
    char hex[2 * SHA256_SIZE + 1];
    hex_encode(hex, f->sha256, SHA256_SIZE);
    (void)snprintf(out, 160, RETIRE_DIR "/%016llx.%s", (unsigned long long)f->place, hex);
}

#endif
