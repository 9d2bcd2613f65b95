/* Result codes and error detail. Nothing here fails, allocates or logs. */
#include "base/rc.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rc_name(enum rc rc)
{
    static const char *const names[] = {
        [RC_OK] = "ok",
        [RC_AGAIN] = "again",
        [RC_EXISTS] = "exists",
        [RC_ABSENT] = "absent",
        [RC_DENIED] = "denied",
        [RC_FULL] = "full",
        [RC_INVALID] = "invalid",
        [RC_LIMIT] = "limit",
        [RC_CORRUPT] = "corrupt",
        [RC_CHANGED] = "changed",
        [RC_IO] = "io",
        [RC_NET] = "net",
        [RC_CANCELLED] = "cancelled",
    };
    _Static_assert(sizeof names / sizeof names[0] == RC_COUNT_, "a name for every result code");
    BUG_ON((unsigned)rc >= RC_COUNT_);
    return names[rc];
}

enum rc rc_from_errno(int sys_errno)
{
    switch (sys_errno) {
    case 0:
        return RC_OK;
    case ENOENT:
        return RC_ABSENT;
    case EEXIST:
        return RC_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return RC_DENIED;
    case ENOSPC:
    case EDQUOT:
        return RC_FULL;
    case EAGAIN:
    case EBUSY:
    case EINTR:
        return RC_AGAIN;
    default:
        return RC_IO;
    }
}

/* A net below the callers, who should have escaped what is not theirs. */
static void make_printable(char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        i += utf8_find_control(s + i, utf8_span(s + i, n - i));
        if (i < n)
            s[i] = '?';
    }
}

/* Callers may fill an err from its own text ("…: %s", e->text), so the new text is made aside. */
PRINTF_LIKE(4, 0)
static void fill(struct err *e, enum rc rc, int sys_errno, const char *fmt, va_list args)
{
    char text[sizeof e->text];
    int len = vsnprintf(text, sizeof text, fmt, args);
    BUG_ON(len < 0);
    if (sys_errno != 0) {
        size_t used = strlen(text);
        char reason[128];
        (void)snprintf(text + used, sizeof text - used, ": %s",
                       strerror_r(sys_errno, reason, sizeof reason));
    }
    make_printable(text);
    *e = (struct err){.rc = rc, .sys_errno = sys_errno};
    memcpy(e->text, text, sizeof text);
}

enum rc err_set(struct err *e, enum rc rc, const char *fmt, ...)
{
    if (e) {
        va_list args;
        va_start(args, fmt);
        fill(e, rc, 0, fmt, args);
        va_end(args);
    }
    return rc;
}

enum rc err_sys(struct err *e, int sys_errno, const char *fmt, ...)
{
    if (sys_errno < 0)
        sys_errno = -sys_errno;
    enum rc rc = rc_from_errno(sys_errno);
    if (e) {
        va_list args;
        va_start(args, fmt);
        fill(e, rc, sys_errno, fmt, args);
        va_end(args);
    }
    return rc;
}

void bug_found(const char *file, int line, const char *condition)
{
    fprintf(stderr, "spoolgate: BUG at %s:%d: %s\n", file, line, condition);
    abort();
}
