/* Result codes, error detail and the assertion that is never compiled out.
 *
 * A function that can fail because of the world returns enum rc and, where the
 * caller may want to say more than "it failed", fills an optional struct err.
 * A fault of our own is BUG_ON. Nothing below main() calls exit().
 */
#ifndef BASE_RC_H
#define BASE_RC_H

#define MUST_CHECK                   __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

enum rc {
    RC_OK = 0,
    RC_AGAIN,     /* not now: busy, would block, a writer has it open */
    RC_EXISTS,    /* it is there already */
    RC_ABSENT,    /* there is no such thing */
    RC_DENIED,    /* permission, credentials, policy */
    RC_FULL,      /* no space, no inodes, quota */
    RC_INVALID,   /* the input is wrong and will stay wrong */
    RC_LIMIT,     /* over a documented maximum */
    RC_CORRUPT,   /* bytes on disk are not what was written */
    RC_CHANGED,   /* the world moved under us: look again */
    RC_IO,        /* any other failure of the local system */
    RC_NET,       /* connection, name, TLS, time-out */
    RC_CANCELLED, /* stopped by us */
    RC_COUNT_
};

/* Detail for people and for decisions above. `text` is one sentence without a
 * final newline, safe to print: whoever fills it escapes hostile bytes, and err_set and err_sys
 * turn into ? what is left of controls and invalid UTF-8. */
struct err {
    enum rc rc;
    int sys_errno;   /* 0: none */
    int http_status; /* 0: none */
    char code[64];   /* S3's or our own machine-readable code, "" if none */
    char text[512];
};

/* The enumerator's name without RC_, lower case: "ok", "again", … */
const char *rc_name(enum rc rc);

/* ENOENT→RC_ABSENT, EEXIST→RC_EXISTS, EACCES/EPERM/EROFS→RC_DENIED,
 * ENOSPC/EDQUOT→RC_FULL, EAGAIN/EBUSY/EINTR→RC_AGAIN, others RC_IO; 0→RC_OK. */
enum rc rc_from_errno(int sys_errno);

/* Fill *e (NULL allowed) and return rc, so that `return err_set(e, RC_…, "…")` reads well. */
enum rc err_set(struct err *e, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same from an errno value (positive; a negative one is taken as -errno);
 * ": <strerror>" is appended to the text. */
enum rc err_sys(struct err *e, int sys_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Our own fault: says file, line and condition on stderr, then abort(). Crashing
 * is safe by design: every promise holds across kill -9. */
#define BUG_ON(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!!(cond), 0))                                                         \
            bug_found(__FILE__, __LINE__, #cond);                                                  \
    } while (0)
_Noreturn void bug_found(const char *file, int line, const char *condition);

#endif
