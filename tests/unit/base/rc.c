#include "base/rc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(rc, every_code_has_a_name_of_its_own)
{
    for (int a = 0; a < RC_COUNT_; a++) {
        cr_assert_gt(strlen(rc_name((enum rc)a)), 1);
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(rc_name((enum rc)a), rc_name((enum rc)b));
    }
    cr_assert_str_eq(rc_name(RC_OK), "ok");
    cr_assert_str_eq(rc_name(RC_CANCELLED), "cancelled");
}

Test(rc, a_code_out_of_range_is_a_bug, .signal = SIGABRT)
{
    (void)rc_name((enum rc)RC_COUNT_);
}

Test(rc, errno_values_fall_into_classes)
{
    static const struct {
        int sys_errno;
        enum rc rc;
    } cases[] = {
        {0, RC_OK},         {ENOENT, RC_ABSENT}, {EEXIST, RC_EXISTS}, {EACCES, RC_DENIED},
        {EPERM, RC_DENIED}, {EROFS, RC_DENIED},  {ENOSPC, RC_FULL},   {EDQUOT, RC_FULL},
        {EAGAIN, RC_AGAIN}, {EBUSY, RC_AGAIN},   {EINTR, RC_AGAIN},   {EIO, RC_IO},
        {ELOOP, RC_IO},     {ENOTDIR, RC_IO},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        cr_assert_eq(rc_from_errno(cases[i].sys_errno), cases[i].rc, "errno %d",
                     cases[i].sys_errno);
}

Test(rc, an_error_says_what_and_why)
{
    struct err e;
    memset(&e, 0x5a, sizeof e);
    cr_assert_eq(err_set(&e, RC_LIMIT, "too many: %d", 7), RC_LIMIT);
    cr_assert_eq(e.rc, RC_LIMIT);
    cr_assert_eq(e.sys_errno, 0);
    cr_assert_eq(e.http_status, 0);
    cr_assert_str_eq(e.code, "");
    cr_assert_str_eq(e.text, "too many: 7");

    cr_assert_eq(err_sys(&e, -ENOSPC, "cannot write %s", "a"), RC_FULL);
    cr_assert_eq(e.sys_errno, ENOSPC);
    cr_assert_str_eq(e.text, "cannot write a: No space left on device");
    cr_assert_eq(err_sys(&e, ENOENT, "cannot open"), RC_ABSENT);
    cr_assert_str_eq(e.text, "cannot open: No such file or directory");
}

Test(rc, nobody_has_to_ask_for_the_detail)
{
    cr_assert_eq(err_set(NULL, RC_NET, "x %s", "y"), RC_NET);
    cr_assert_eq(err_sys(NULL, EACCES, "x"), RC_DENIED);
}

Test(rc, an_error_can_be_wrapped_in_its_own_text)
{
    struct err e;
    (void)err_set(&e, RC_IO, "inner");
    (void)err_set(&e, e.rc, "outer: %s", e.text);
    cr_assert_str_eq(e.text, "outer: inner");
}

Test(rc, a_text_too_long_is_cut_and_stays_printable)
{
    char longer[2000];
    struct err e;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)err_sys(&e, EIO, "%s", longer);
    cr_assert_eq(strlen(e.text), sizeof e.text - 1);

    /* two-byte characters from the second byte on: the cut falls into the middle of one */
    for (size_t i = 1; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa4", 2);
    (void)err_set(&e, RC_IO, "%s", longer);
    cr_assert_eq(e.text[sizeof e.text - 2] & 0x80, (sizeof e.text - 2) % 2 == 0 ? 0x80 : 0);
    (void)err_set(&e, RC_IO, "x%s", longer);
    cr_assert_eq(e.text[sizeof e.text - 2], '?');
}

Test(rc, hostile_bytes_do_not_reach_the_terminal)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\033[2Jb", "a?[2Jb"}, {"line\nline", "line?line"},      {"\xc2\x9b", "??"},
        {"\xff\xfe", "??"},      {"\xe4\xbd\xa0", "\xe4\xbd\xa0"}, {"\x7f", "?"},
        {"x\xe4\xbd", "x??"},
    };
    struct err e;
    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)err_set(&e, RC_IO, "%s", cases[i].in);
        cr_assert_str_eq(e.text, cases[i].out);
    }
}

Test(rc, a_bug_aborts, .signal = SIGABRT)
{
    BUG_ON(1 + 1 == 2);
}
